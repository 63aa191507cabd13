//! The largest of the last ticks: a peak that is held for a fixed time.
//!
//! A rectified sine touches its peak twice a period. Held for half a period of the lowest tone, the peak of a steady
//! tone is a steady number, so what follows it has no ripple; and unlike a decaying peak it reads no tone too low.

use super::level::{amplitude_to_db, largest_of, SILENCE_DB};

/// Long windows are made of this many parts at most, so a window may be off by half of a 32nd of its length.
const MOST_PARTS: usize = 32;

/// A sliding maximum over ticks, in constant memory.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PeakWindow {
    /// The largest of each part; those behind `length` are 0.
    parts: [f32; MOST_PARTS],
    length: usize,
    ticks_per_part: usize,
    /// The part that is being filled, and how many ticks it has.
    at: usize,
    ticks: usize,
    /// The largest of all parts.
    held: f32,
}

impl PeakWindow {
    /// A window of about so many ticks (at least one), the current one among them.
    pub(crate) fn new(ticks: f64) -> PeakWindow {
        let ticks_per_part = ((ticks / MOST_PARTS as f64).ceil() as usize).max(1);
        // A window whose last part is being filled is shorter by half a part on average.
        let behind = (ticks_per_part - 1) as f64 / 2.0;
        let length = ((ticks + behind) / ticks_per_part as f64).round() as usize;
        PeakWindow {
            parts: [0.0; MOST_PARTS],
            length: length.clamp(1, MOST_PARTS),
            ticks_per_part,
            at: 0,
            ticks: 0,
            held: 0.0,
        }
    }

    /// Takes over what `before` holds, from now on.
    pub(crate) fn after(mut self, before: &PeakWindow) -> PeakWindow {
        self.held = before.held;
        self.parts[..self.length].fill(self.held);
        self
    }

    /// For how many ticks a peak is held on average, over where in a part it falls.
    pub(crate) fn ticks(&self) -> f64 {
        (self.length * self.ticks_per_part) as f64 - (self.ticks_per_part - 1) as f64 / 2.0
    }

    /// Takes the peak (0 or more) of one more tick and gives the largest in the window.
    #[inline]
    pub(crate) fn next(&mut self, peak: f32) -> f32 {
        if self.ticks == 0 {
            let oldest = std::mem::replace(&mut self.parts[self.at], 0.0);
            if oldest == self.held && peak < oldest {
                self.held = largest_of(&self.parts);
            }
        }
        self.parts[self.at] = self.parts[self.at].max(peak);
        self.held = self.held.max(peak);
        self.ticks += 1;
        if self.ticks == self.ticks_per_part {
            self.ticks = 0;
            self.at = if self.at + 1 == self.length { 0 } else { self.at + 1 };
        }
        self.held
    }
}

/// The level of what a window holds, in dB; the logarithm is only taken when that changes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HeldLevel {
    window: PeakWindow,
    peak: f32,
    level_db: f32,
}

impl HeldLevel {
    /// A window of about so many ticks, before any sound.
    pub(crate) fn new(ticks: f64) -> HeldLevel {
        HeldLevel { window: PeakWindow::new(ticks), peak: 0.0, level_db: SILENCE_DB }
    }

    /// Takes over what `before` holds, from now on.
    pub(crate) fn after(self, before: &HeldLevel) -> HeldLevel {
        HeldLevel { window: self.window.after(&before.window), ..*before }
    }

    /// For how many ticks a level is held on average.
    pub(crate) fn held_ticks(&self) -> f64 {
        self.window.ticks()
    }

    /// Takes the peak (0 or more) of one more tick and gives the level in dB relative to full scale.
    #[inline]
    pub(crate) fn next(&mut self, peak: f32) -> f32 {
        let held = self.window.next(peak);
        if held != self.peak {
            self.peak = held;
            self.level_db = amplitude_to_db(held);
        }
        self.level_db
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_largest_of_the_last_ticks() {
        let peaks: Vec<f32> =
            (0..2_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 1e6).collect();
        for ticks in [1, 2, 7, 31, 32] {
            let mut window = PeakWindow::new(f64::from(ticks));
            assert_eq!(window.ticks(), f64::from(ticks));
            for (index, peak) in peaks.iter().enumerate() {
                let from = (index + 1).saturating_sub(ticks as usize);
                let expected = peaks[from..=index].iter().copied().fold(0.0, f32::max);
                assert_eq!(window.next(*peak), expected, "tick {index} of a window of {ticks}");
            }
        }
    }

    #[test]
    fn a_long_window_holds_for_its_length_within_a_32nd() {
        for ticks in [33.0, 100.0, 600.0, 1_200.0] {
            let mut held = Vec::new();
            for before in 0..64 {
                let mut window = PeakWindow::new(ticks);
                (0..before).for_each(|_| assert_eq!(window.next(0.0), 0.0));
                let mut count = usize::from(window.next(1.0) == 1.0);
                while window.next(0.0) == 1.0 {
                    count += 1;
                }
                held.push(count as f64);
                assert!((count as f64 - ticks).abs() <= ticks / 32.0 + 1.0, "{count} of {ticks}");
            }
            assert!((PeakWindow::new(ticks).ticks() - ticks).abs() <= ticks / 64.0);
        }
    }
}

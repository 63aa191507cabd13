//! From peaks to a gain that is down before they arrive, and moves no faster than it must.
//!
//! ```text
//!  peak of a tick -> held over the window -> reduction -> release -> mean -> mean -> gain at the end of a tick
//! ```
//!
//! The needed reduction, in octaves, is held for one tick more than the two means together reach back. So every number
//! in the means is at least what the tick in question needs, and the one before it, whose gain leads to the same point;
//! hence so are the means. In front of a peak the gain falls along
//! two parabolas that meet, without a corner. Sums are of integers: they stay exact for ever.

use super::peak_window::PeakWindow;

/// Ticks that the means reach over, at the most.
pub(crate) const MOST_TICKS: usize = 24;
/// Steps of a reduction by one octave, as an integer.
const STEPS_PER_OCTAVE: f64 = (1u32 << 17) as f64;
/// Covers all that rounding may do to a sample on its way: 4 millionths.
const MARGIN: f64 = 1.0 - 4e-6;
/// A reduction that is smaller (0.006 dB) has been released.
const RELEASED: f64 = 1e-3;

/// The computer of a look-ahead limiter's gain, one step a tick.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LookAhead {
    window: PeakWindow,
    /// What the window holds, and the reduction in octaves that it needs.
    held: f32,
    needed: f64,
    ceiling: f64,
    /// The reduction, released slowly, and what is left of it after a tick without need.
    reduction: f64,
    keep: f64,
    means: [MovingSum; 2],
    gain: f32,
}

impl LookAhead {
    /// A gain that reaches its aim within `ticks` (1 to [`MOST_TICKS`]): what `next` gives is right for the end of the
    /// tick whose peak was told `ticks` calls before the last one, and for the beginning of the one after it.
    pub(crate) fn new(ticks: usize, ceiling: f64, release_ticks: f64) -> LookAhead {
        let first = ticks / 2 + 1;
        let mut look_ahead = LookAhead {
            window: PeakWindow::new((ticks + 1) as f64),
            held: 0.0,
            needed: 0.0,
            ceiling,
            reduction: 0.0,
            keep: 0.0,
            means: [MovingSum::new(first), MovingSum::new(ticks + 1 - first)],
            gain: 1.0,
        };
        look_ahead.set(ceiling, release_ticks);
        look_ahead
    }

    /// The ceiling (amplitude) and the ticks in which 63 % of a reduction are released, in dB.
    pub(crate) fn set(&mut self, ceiling: f64, release_ticks: f64) {
        // The means come later by half of their length, against the moment at which the need ends.
        let late = (self.means[0].length + self.means[1].length - 2) as f64 / 2.0 + 0.5;
        self.keep = (-1.0 / (release_ticks - late).max(1.0)).exp();
        if ceiling != self.ceiling {
            self.ceiling = ceiling;
            self.needed = self.needed();
        }
    }

    /// The gain (above 0, at most 1) at the end of the next tick of what comes out.
    #[inline]
    pub(crate) fn next(&mut self, peak: f32) -> f32 {
        let held = self.window.next(peak);
        if held != self.held {
            self.held = held;
            self.needed = self.needed();
        }
        let over = (self.reduction - self.needed) * self.keep;
        self.reduction = if over > RELEASED { self.needed + over } else { self.needed };
        let steps = (self.reduction * STEPS_PER_OCTAVE).ceil() as u32;
        let [first, second] = &mut self.means;
        let sum = second.next(first.next(steps));
        if sum == 0 {
            self.gain = 1.0;
        } else {
            let count = (first.length * second.length) as f64;
            self.gain = ((-f64::from(sum) / (count * STEPS_PER_OCTAVE)).exp2() * MARGIN) as f32;
        }
        self.gain
    }

    fn needed(&self) -> f64 {
        let held = f64::from(self.held);
        if held <= self.ceiling {
            0.0
        } else {
            (held / self.ceiling).log2()
        }
    }
}

/// The sum of the last `length` numbers.
#[derive(Debug, Clone, PartialEq)]
struct MovingSum {
    numbers: [u32; MOST_TICKS / 2 + 1],
    length: usize,
    at: usize,
    sum: u32,
}

impl MovingSum {
    fn new(length: usize) -> MovingSum {
        MovingSum { numbers: [0; MOST_TICKS / 2 + 1], length, at: 0, sum: 0 }
    }

    #[inline]
    fn next(&mut self, number: u32) -> u32 {
        let oldest = std::mem::replace(&mut self.numbers[self.at], number);
        self.at = if self.at + 1 == self.length { 0 } else { self.at + 1 };
        self.sum = self.sum - oldest + number;
        self.sum
    }
}

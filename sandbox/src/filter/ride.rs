//! A gain that is computed once a tick and moves in straight lines in between, on one or two linked channels.
//!
//! Ticks are counted from the start of the stream, so the cut into blocks makes no difference, to the bit. The peak
//! of one tick decides where the gain is at the end of the next; with ticks of one sample the gain of a sample follows
//! from the samples before it.

use super::level::largest_of;

/// What becomes smaller than this is made 0, long before it is subnormal and slow.
const FLUSH_BELOW: f32 = 1e-30;

/// What the gain is to be, from the end of the next tick on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ride {
    channels: usize,
    tick_samples: usize,
    /// Sample frames of this tick already seen, and their peak.
    seen: usize,
    peak: f32,
    /// The gain at the beginning of this tick, at its end, and by how much it moves a sample.
    gain: f32,
    target: f32,
    step: f32,
}

impl Ride {
    pub(crate) fn new(channels: usize, tick_samples: usize, gain: f32) -> Ride {
        Ride { channels, tick_samples, seen: 0, peak: 0.0, gain, target: gain, step: 0.0 }
    }

    /// Works on interleaved samples in place. At the end of each tick `next` gets its peak, of all channels, and gives
    /// the gain at the end of the next tick and how many samples that has.
    #[inline]
    pub(crate) fn process(&mut self, block: &mut [f32], mut next: impl FnMut(f32) -> (f32, usize)) {
        let mut rest = block;
        while rest.len() >= self.channels {
            let frames = (self.tick_samples - self.seen).min(rest.len() / self.channels);
            let (part, behind) = rest.split_at_mut(frames * self.channels);
            rest = behind;
            self.peak = self.peak.max(largest_of(part));
            self.apply(part);
            self.seen += frames;
            if self.seen == self.tick_samples {
                self.gain = self.target;
                (self.target, self.tick_samples) = next(self.peak);
                self.step = (self.target - self.gain) / self.tick_samples as f32;
                (self.seen, self.peak) = (0, 0.0);
            }
        }
    }

    #[inline]
    fn apply(&self, part: &mut [f32]) {
        if self.gain == 1.0 && self.target == 1.0 {
            return;
        }
        let at = |index: usize| self.gain + self.step * (self.seen + index + 1) as i32 as f32;
        if self.channels == 1 {
            for (index, sample) in part.iter_mut().enumerate() {
                *sample = product(*sample, at(index));
            }
        } else {
            for (index, frame) in part.chunks_exact_mut(2).enumerate() {
                let gain = at(index);
                frame[0] = product(frame[0], gain);
                frame[1] = product(frame[1], gain);
            }
        }
    }
}

/// A sample times a gain: finite, and never subnormal.
#[inline(always)]
fn product(sample: f32, gain: f32) -> f32 {
    let product = (sample * gain).clamp(-f32::MAX, f32::MAX);
    if product.abs() < FLUSH_BELOW {
        0.0
    } else {
        product
    }
}

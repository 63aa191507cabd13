//! A gain that is computed once a tick and moves in straight lines in between, on one or two linked channels.
//!
//! Ticks are counted from the start of the stream, so the cut into blocks makes no difference, to the bit. The peak
//! of one tick decides where the gain is at the end of the next; with ticks of one sample the gain of a sample follows
//! from the samples before it.

use super::level::largest_of;

/// What becomes smaller than this is made 0, long before it is subnormal and slow.
const FLUSH_BELOW: f32 = 1e-30;

/// A gain on its straight way from the beginning of a tick to its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ramp {
    from: f32,
    to: f32,
    step: f32,
}

impl Ramp {
    /// It stays where it is.
    pub(crate) fn at(gain: f32) -> Ramp {
        Ramp { from: gain, to: gain, step: 0.0 }
    }

    /// The next tick, of so many samples: on to `gain`.
    #[inline]
    pub(crate) fn on_to(&mut self, gain: f32, tick_samples: usize) {
        self.from = self.to;
        self.to = gain;
        self.step = (self.to - self.from) / tick_samples as f32;
    }

    /// The gain at the end of the tick.
    pub(crate) fn end(&self) -> f32 {
        self.to
    }

    /// Multiplies a part of a tick, behind `seen` sample frames of it. A gain of 1 changes no bit; what else comes out is
    /// finite and not subnormal.
    #[inline]
    pub(crate) fn apply<const CHANNELS: usize>(&self, seen: usize, part: &mut [f32]) {
        if self.from == 1.0 && self.to == 1.0 {
            return;
        }
        for (index, frame) in part.chunks_exact_mut(CHANNELS).enumerate() {
            // From the position alone, never by adding up: the same however the tick is cut.
            let gain = self.from + self.step * (seen + index + 1) as i32 as f32;
            for sample in frame {
                let product = (*sample * gain).clamp(-f32::MAX, f32::MAX);
                *sample = if product.abs() < FLUSH_BELOW { 0.0 } else { product };
            }
        }
    }
}

/// Finds the peak of each tick and applies the gain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ride {
    channels: usize,
    tick_samples: usize,
    /// Sample frames of this tick already seen, and their peak.
    seen: usize,
    peak: f32,
    ramp: Ramp,
}

impl Ride {
    pub(crate) fn new(channels: usize, tick_samples: usize, gain: f32) -> Ride {
        Ride { channels, tick_samples, seen: 0, peak: 0.0, ramp: Ramp::at(gain) }
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
            if self.channels == 1 {
                self.ramp.apply::<1>(self.seen, part);
            } else {
                self.ramp.apply::<2>(self.seen, part);
            }
            self.seen += frames;
            if self.seen == self.tick_samples {
                let (gain, tick_samples) = next(self.peak);
                self.ramp.on_to(gain, tick_samples);
                self.tick_samples = tick_samples;
                (self.seen, self.peak) = (0, 0.0);
            }
        }
    }
}

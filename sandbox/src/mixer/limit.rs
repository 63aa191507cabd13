//! The limiter at the end of every mix: a seam, so that another can take its place.

use crate::filter::limiter::Limiter;
use crate::stage::Stream;

/// How fast the gain comes back.
const RELEASE_MS: f32 = 100.0;

/// What the limiters of all mixes have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct MixLimiting {
    channels: usize,
    /// The factor by which an envelope falls from one sample frame to the next.
    fade: f32,
}

impl MixLimiting {
    pub(super) fn new(stream: Stream) -> Self {
        let fade = (-1e3 / (RELEASE_MS * stream.sample_rate_hz as f32)).exp();
        Self { channels: stream.channels, fade }
    }

    /// Limits one mix in place; `peak` is its largest magnitude.
    pub(super) fn process(&self, limiter: &mut MixLimiter, mix: &mut [f32], peak: f32) {
        match self.channels {
            1 => limiter.0.process::<1>(mix, peak, self.fade),
            _ => limiter.0.process::<2>(mix, peak, self.fade),
        }
    }
}

/// The state of one mix's limiter. A copy goes on where the original stands.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct MixLimiter(Limiter);

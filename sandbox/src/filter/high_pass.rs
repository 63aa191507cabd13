//! A high-pass whose cutoff can be changed in mid-stream.

use super::biquad::{Biquad, Coefficients};
use super::CrossFade;

/// A high-pass of one or two channels. Another cutoff is a cross-fade to a filter that begins anew. Handed on to it, the
/// memory would make the sound swing: what the old one holds back of a tone is, to a lower cutoff, a slope to go on with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct HighPass {
    heard: Filter,
    /// What is faded to.
    coming: Filter,
    wanted: Coefficients,
    fade: CrossFade,
    sample_rate_hz: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Filter {
    coefficients: Coefficients,
    memories: [Biquad; 2],
}

impl Filter {
    fn new(coefficients: Coefficients) -> Filter {
        Filter { coefficients, memories: Default::default() }
    }

    fn process<const CHANNELS: usize>(&mut self, block: &mut [f32]) {
        let mut memories: [Biquad; CHANNELS] = std::array::from_fn(|channel| self.memories[channel]);
        self.coefficients.process(&mut memories, block);
        self.memories[..CHANNELS].copy_from_slice(&memories);
    }
}

impl HighPass {
    /// One that has heard nothing.
    pub(super) fn new(coefficients: Coefficients, sample_rate_hz: u32) -> HighPass {
        let filter = Filter::new(coefficients);
        let fade = CrossFade::at_rest(sample_rate_hz, false);
        HighPass { heard: filter, coming: filter, wanted: coefficients, fade, sample_rate_hz }
    }

    /// Fades to another filter, after the fade it is in.
    pub(super) fn set(&mut self, coefficients: Coefficients) {
        self.wanted = coefficients;
    }

    /// Filters whole sample frames in place.
    pub(super) fn process<const CHANNELS: usize>(&mut self, block: &mut [f32]) {
        let mut rest = block;
        while !rest.is_empty() && (!self.fade.is_dry() || self.wanted != self.heard.coefficients) {
            if self.fade.is_dry() {
                self.coming = Filter::new(self.wanted);
                self.fade.rise(0);
            }
            let HighPass { heard, coming, fade, .. } = self;
            rest = fade.run_both(rest, CHANNELS, |old, new| {
                heard.process::<CHANNELS>(old);
                coming.process::<CHANNELS>(new);
            });
            if self.fade.is_wet() {
                self.heard = self.coming;
                self.fade = CrossFade::at_rest(self.sample_rate_hz, false);
            }
        }
        self.heard.process::<CHANNELS>(rest);
    }

    /// Sets feedback that has faded to nothing to zero. To be called once a millisecond.
    pub(super) fn flush(&mut self) {
        self.heard.memories.iter_mut().for_each(Biquad::flush);
        if !self.fade.is_dry() {
            self.coming.memories.iter_mut().for_each(Biquad::flush);
        }
    }
}

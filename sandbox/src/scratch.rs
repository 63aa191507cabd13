//! Buffers that hold nothing between two calls.

use crate::codec::PacketJoiner;

/// Working memory that any number of sandboxes can share, one after the other: decoded samples, and the parts of a
/// packet while it is put together. It grows to the longest block seen and stays there.
///
/// Keep one for each worker thread. Nothing in it survives a call, so sharing it can't mix two sessions.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Interleaved decoded samples; only what the last decode wrote is ever handed out.
    pub(crate) pcm: Vec<f32>,
    /// Samples on their way into or out of a resampler.
    pub(crate) unconverted: Vec<f32>,
    pub(crate) converted: Vec<f32>,
    pub(crate) joiner: PacketJoiner,
}

impl Scratch {
    /// At least `samples` samples; what they hold is left over from somebody else until it is written.
    pub(crate) fn pcm(&mut self, samples: usize) -> &mut [f32] {
        if self.pcm.len() < samples {
            self.pcm.resize(samples, 0.0);
        }
        &mut self.pcm[..samples]
    }
}

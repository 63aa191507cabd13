//! The soft limiter: no sample leaves it at or above its ceiling, and none comes late.
//!
//! It follows the peaks with an envelope that rises at once and falls slowly, and turns the gain down by the static
//! curve of that envelope. As the envelope is never below the sample itself, and the curve never reaches the ceiling,
//! nor can the sample. No look-ahead is needed, hence no delay.

/// Where the limiter begins to work: -4.4 dB relative to full scale.
pub const KNEE: f32 = 0.6;
/// What no sample reaches: -1 dB relative to full scale. The rest is left for what the codec adds.
pub const CEILING: f32 = 0.89;

/// The level that comes out for a level that goes in: the level itself up to [`KNEE`], from there a hyperbola of the
/// same slope that never reaches [`CEILING`].
#[inline]
pub fn limited(level: f32) -> f32 {
    const SPAN: f32 = CEILING - KNEE;
    if level <= KNEE {
        level
    } else {
        CEILING - SPAN * SPAN / (SPAN + (level - KNEE))
    }
}

/// The envelope of all channels together, so that they are turned down alike and the stereo image stays.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limiter {
    /// The last peak, faded; 0 once it lies below [`KNEE`], where it changes nothing.
    envelope: f32,
}

impl Limiter {
    /// Limits sample frames of `CHANNELS` samples in place. `peak` is at least the largest magnitude in `block`, `fade`
    /// the factor by which the envelope falls from one sample to the next.
    #[inline]
    pub fn process<const CHANNELS: usize>(&mut self, block: &mut [f32], peak: f32, fade: f32) {
        if self.envelope == 0.0 && peak <= KNEE {
            return;
        }
        for frame in block.chunks_exact_mut(CHANNELS) {
            let peak = frame.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
            self.envelope = peak.max(self.envelope * fade);
            if self.envelope <= KNEE {
                self.envelope = 0.0;
            } else {
                let gain = limited(self.envelope) / self.envelope;
                frame.iter_mut().for_each(|sample| *sample *= gain);
            }
        }
    }
}

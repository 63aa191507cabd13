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

#[cfg(test)]
mod tests {
    use super::*;

    const FADE: f32 = 0.999;

    /// The limiter over a whole signal, told the truth about its peak.
    fn limit<const CHANNELS: usize>(signal: &[f32]) -> Vec<f32> {
        let mut out = signal.to_vec();
        let peak = signal.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
        Limiter::default().process::<CHANNELS>(&mut out, peak, FADE);
        out
    }

    #[test]
    fn the_curve_is_straight_to_its_knee_smooth_there_and_never_reaches_the_ceiling() {
        assert_eq!(limited(0.3), 0.3);
        assert_eq!(limited(KNEE), KNEE);
        let slope = (limited(KNEE + 1e-3) - KNEE) / 1e-3;
        assert!((slope - 1.0).abs() < 0.01, "slope {slope} behind the knee");
        let levels = (0..10_000).map(|step| limited(step as f32 * 0.01));
        assert!(levels.clone().zip(levels.clone().skip(1)).all(|(lower, higher)| lower < higher));
        assert!(levels.fold(0.0, f32::max) < CEILING);
    }

    #[test]
    fn no_sample_reaches_the_ceiling_however_loud_or_sudden() {
        for loudness in [0.5, 0.7, 1.0, 4.0, 100.0] {
            let sudden = (0..48_000).map(|index| match index % 977 {
                0 => loudness,
                1 => -loudness * 1.5,
                phase => 0.4 * loudness * (phase as f32 * 0.05).sin(),
            });
            let out = limit::<1>(&sudden.collect::<Vec<_>>());
            let peak = out.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
            assert!(peak < CEILING, "{peak} for {loudness}");
        }
    }

    #[test]
    fn what_stays_below_the_knee_passes_bit_for_bit() {
        let quiet: Vec<f32> = (0..4_800).map(|index| 0.599 * (index as f32 * 0.1).sin()).collect();
        assert_eq!(limit::<1>(&quiet), quiet);
        // Also when the bound it is told is too high.
        let mut out = quiet.clone();
        Limiter::default().process::<1>(&mut out, 5.0, FADE);
        assert_eq!(out, quiet);
    }

    #[test]
    fn both_channels_are_turned_down_alike() {
        let stereo: Vec<f32> = (0..4_800).flat_map(|index| [2.0 * (index as f32 * 0.1).sin(), 0.1]).collect();
        for (before, after) in stereo.chunks(2).zip(limit::<2>(&stereo).chunks(2)) {
            if before[0] != 0.0 {
                assert!((after[0] / before[0] - after[1] / before[1]).abs() < 1e-6);
            }
        }
    }
}

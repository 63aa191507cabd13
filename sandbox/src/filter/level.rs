//! Levels in decibels, and the envelope that gate and compressor follow.

/// Stands for silence, and for all that is quieter.
pub const SILENCE_DB: f32 = -120.0;

/// 20 log10(2): decibels in a doubling of amplitude.
const DB_PER_OCTAVE: f32 = 6.020_6;

/// An amplitude (0 or more) in dB relative to full scale, not below [`SILENCE_DB`].
pub fn amplitude_to_db(amplitude: f32) -> f32 {
    // log2(0) is minus infinity, which max takes to the floor.
    (amplitude.log2() * DB_PER_OCTAVE).max(SILENCE_DB)
}

/// The amplitude factor of a gain in dB.
pub fn db_to_amplitude(gain_db: f32) -> f32 {
    (gain_db * (1.0 / DB_PER_OCTAVE)).exp2()
}

/// The largest magnitude among samples that are numbers.
#[inline(always)]
pub(crate) fn largest_magnitude(samples: impl Iterator<Item = f32>) -> f32 {
    f32::from_bits(largest_magnitude_bits(samples))
}

/// The same as bits, which order like the magnitudes themselves. Unlike a maximum of floats, whose result for NaN
/// depends on the order, a maximum of integers is compiled to vector instructions.
#[inline(always)]
pub(crate) fn largest_magnitude_bits(samples: impl Iterator<Item = f32>) -> u32 {
    const SIGN: u32 = 1 << 31;
    // As signed integers, which the magnitudes fit into: the oldest x86-64 can't compare unsigned ones.
    samples.fold(0, |peak: i32, sample| peak.max((sample.to_bits() & !SIGN) as i32)) as u32
}

/// The largest magnitude of samples that lie side by side; numbers only.
#[inline(always)]
pub(crate) fn largest_of(samples: &[f32]) -> f32 {
    // In lanes, and by a comparison: that is one instruction for four samples.
    let larger = |one: f32, other: f32| if one > other { one } else { other };
    let mut lanes = [0.0f32; 8];
    let eights = samples.chunks_exact(8);
    let rest = eights.remainder();
    for eight in eights {
        for (lane, sample) in lanes.iter_mut().zip(eight) {
            *lane = larger(sample.abs(), *lane);
        }
    }
    let rest = rest.iter().fold(0.0, |largest, sample| larger(sample.abs(), largest));
    lanes.into_iter().fold(rest, |largest, lane| larger(lane, largest))
}

/// Mean power, summed in lanes that are added up in a fixed order.
#[inline(always)]
pub(crate) fn mean_power(samples: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    let mut chunks = samples.chunks_exact(8);
    for chunk in &mut chunks {
        (0..8).for_each(|lane| lanes[lane] += chunk[lane] * chunk[lane]);
    }
    chunks.remainder().iter().zip(&mut lanes).for_each(|(sample, lane)| *lane += sample * sample);
    lanes.iter().sum::<f32>() / samples.len() as f32
}

/// How much of the way to its target a one-pole smoother goes in each of `ticks_per_second` steps:
/// 1 - exp(-1 / (time constant x rate)), so that 63 % are done after `time_ms`.
pub fn smoothing(time_ms: f32, ticks_per_second: f32) -> f32 {
    -(-1000.0 / (time_ms * ticks_per_second)).exp_m1()
}

/// A peak follower: up at once, down at a constant number of dB a second, which bridges the time between two pulses
/// of a low voice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LevelFollower {
    level_db: f32,
}

impl Default for LevelFollower {
    fn default() -> Self {
        LevelFollower { level_db: SILENCE_DB }
    }
}

impl LevelFollower {
    /// The level after a tick whose peak was `peak_db`. `fall_db` is how far it may fall in one tick.
    #[inline]
    pub fn next(&mut self, peak_db: f32, fall_db: f32) -> f32 {
        self.level_db = peak_db.max(self.level_db - fall_db).max(SILENCE_DB);
        self.level_db
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decibels_and_amplitudes_are_those_of_the_definition() {
        for gain_db in [-60.0f32, -6.0, 0.0, 6.0, 14.0] {
            let amplitude = 10f32.powf(gain_db / 20.0);
            assert!((amplitude_to_db(amplitude) - gain_db).abs() < 1e-3);
            assert!((db_to_amplitude(gain_db) / amplitude - 1.0).abs() < 1e-4);
        }
        assert_eq!(amplitude_to_db(0.0), SILENCE_DB);
    }

    #[test]
    fn a_smoother_has_done_63_percent_after_its_time_constant() {
        let share = smoothing(50.0, 2_000.0);
        let left = (0..100).fold(1.0f32, |left, _| left * (1.0 - share));
        assert!((left - (-1.0f32).exp()).abs() < 1e-3, "{left}");
    }

    #[test]
    fn a_level_rises_at_once_and_falls_at_its_own_pace() {
        let mut follower = LevelFollower::default();
        assert_eq!(follower.next(-10.0, 0.5), -10.0);
        assert_eq!(follower.next(-60.0, 0.5), -10.5);
        assert_eq!(follower.next(-60.0, 0.5), -11.0);
        assert_eq!(follower.next(-3.0, 0.5), -3.0);
        for _ in 0..1_000 {
            follower.next(f32::NEG_INFINITY, 0.5);
        }
        assert_eq!(follower.next(f32::NEG_INFINITY, 0.5), SILENCE_DB);
    }
}

//! The compressor: a soft knee, and gain smoothing in decibels.
//!
//! Giannoulis, Massberg, Reiss, "Digital Dynamic Range Compressor Design - A Tutorial and Analysis", JAES 60(6),
//! 2012: the gain computer is equation 4, the smoothing of the gain is the branching smooth detector (equation 17) in
//! the log domain, the place in the chain that the paper recommends (its figure 7c).

/// The static curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CompressorCurve {
    /// The level above which gain is reduced, in dB relative to full scale.
    pub threshold_db: f32,
    /// dB of reduction for each dB above the threshold: 1 - 1 / ratio. 0 switches the compressor off.
    pub slope: f32,
    /// Width of the knee around the threshold.
    pub knee_db: f32,
}

impl CompressorCurve {
    /// The gain (0 or less) for a level.
    #[inline]
    pub fn gain_db(&self, level_db: f32) -> f32 {
        let above_db = level_db - self.threshold_db;
        let half_knee = 0.5 * self.knee_db;
        if above_db <= -half_knee {
            0.0
        } else if above_db < half_knee {
            let into_knee = above_db + half_knee;
            -self.slope * into_knee * into_knee / (2.0 * self.knee_db)
        } else {
            -self.slope * above_db
        }
    }
}

/// How a compressor moves, in steps of one tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CompressorTiming {
    /// Share of the way to a lower gain that is gone in one tick.
    pub attack: f32,
    /// Share of the way to a higher gain that is gone in one tick.
    pub release: f32,
}

/// One channel's compressor.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Compressor {
    gain_db: f32,
}

impl Compressor {
    /// The gain in dB after a tick at `level_db`.
    #[inline]
    pub fn next(&mut self, curve: &CompressorCurve, timing: &CompressorTiming, level_db: f32) -> f32 {
        let target_db = curve.gain_db(level_db);
        let share = if target_db < self.gain_db { timing.attack } else { timing.release };
        self.gain_db += share * (target_db - self.gain_db);
        self.gain_db
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURVE: CompressorCurve = CompressorCurve { threshold_db: -26.0, slope: 0.75, knee_db: 10.0 };

    #[test]
    fn the_static_curve_is_the_papers_equation_4() {
        let (threshold, ratio, knee) = (-26.0f32, 4.0f32, 10.0f32);
        for tenth_db in -800..200 {
            let x = tenth_db as f32 / 10.0;
            let y = if 2.0 * (x - threshold) < -knee {
                x
            } else if 2.0 * (x - threshold).abs() <= knee {
                x + (1.0 / ratio - 1.0) * (x - threshold + knee / 2.0).powi(2) / (2.0 * knee)
            } else {
                threshold + (x - threshold) / ratio
            };
            assert!((CURVE.gain_db(x) - (y - x)).abs() < 1e-4, "at {x} dB");
        }
    }

    #[test]
    fn attack_and_release_take_their_own_time() {
        let timing = CompressorTiming { attack: 0.1, release: 0.01 };
        let mut compressor = Compressor::default();
        let target_db = CURVE.gain_db(-6.0);
        let first = compressor.next(&CURVE, &timing, -6.0);
        assert!((first - 0.1 * target_db).abs() < 1e-5);
        for _ in 0..200 {
            compressor.next(&CURVE, &timing, -6.0);
        }
        let settled = compressor.next(&CURVE, &timing, -6.0);
        assert!((settled - target_db).abs() < 1e-3);
        assert!((compressor.next(&CURVE, &timing, -90.0) - 0.99 * settled).abs() < 1e-4);
    }
}

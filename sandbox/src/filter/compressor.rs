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

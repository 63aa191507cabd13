//! The de-noise gate: a downward expander with a soft knee and a threshold that follows the noise.
//!
//! The static curve is that of an expander in Giannoulis, Massberg, Reiss, "Digital Dynamic Range Compressor Design -
//! A Tutorial and Analysis", JAES 60(6), 2012, section 1 and equation 4, mirrored to lie below the threshold. It is
//! limited to a range, as a pause that falls to nothing sounds like a dropped line.

/// What a gate does, in the units of the level it is fed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GateCurve {
    /// dB of reduction for each dB below the threshold: ratio - 1.
    pub slope: f32,
    /// Width of the knee around the threshold.
    pub knee_db: f32,
    /// The most it takes away. 0 switches the gate off.
    pub range_db: f32,
}

impl GateCurve {
    /// The gain (0 or less) for a level that lies `above_db` above the threshold (negative: below).
    #[inline]
    pub fn gain_db(&self, above_db: f32) -> f32 {
        let half_knee = 0.5 * self.knee_db;
        let reduction_db = if above_db >= half_knee {
            0.0
        } else if above_db > -half_knee {
            let into_knee = half_knee - above_db;
            self.slope * into_knee * into_knee / (2.0 * self.knee_db)
        } else {
            -self.slope * above_db
        };
        -reduction_db.min(self.range_db)
    }
}

/// How a gate moves, in steps of one tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GateTiming {
    /// Share of the way to a higher gain that is gone in one tick.
    pub open: f32,
    /// Share of the way to a lower gain that is gone in one tick.
    pub close: f32,
    /// Ticks for which the gate stays as open as it is before it closes.
    pub hold_ticks: u32,
    /// Share of the way down to a quieter noise that the noise estimate goes in one tick.
    pub floor_fall: f32,
    /// dB by which the noise estimate rises in one tick while the level lies above it.
    pub floor_rise_db: f32,
}

/// The lowest noise that is assumed: a threshold below that would be no gate at all.
const QUIETEST_NOISE_DB: f32 = -78.0;
/// The loudest noise that is believed. Whatever lasts at a higher level is taken for a wanted sound (music, a tone).
const LOUDEST_NOISE_DB: f32 = -40.0;
/// What is assumed before anything was heard.
const FIRST_NOISE_DB: f32 = -50.0;
/// Quieter than this is a muted line, not a quiet room; it teaches nothing on the noise.
const MUTED_DB: f32 = -90.0;
/// How far above the noise the threshold lies.
const THRESHOLD_ABOVE_NOISE_DB: f32 = 10.0;

/// One channel's gate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gate {
    gain_db: f32,
    hold: u32,
    noise_db: f32,
}

impl Default for Gate {
    /// Open, and with an open mind on the noise.
    fn default() -> Self {
        Gate { gain_db: 0.0, hold: 0, noise_db: FIRST_NOISE_DB }
    }
}

impl Gate {
    /// The gain in dB after a tick at `level_db`.
    #[inline]
    pub fn next(&mut self, curve: &GateCurve, timing: &GateTiming, level_db: f32) -> f32 {
        self.listen(timing, level_db);
        let target_db = curve.gain_db(level_db - self.noise_db - THRESHOLD_ABOVE_NOISE_DB);
        if target_db >= self.gain_db {
            self.hold = timing.hold_ticks;
            self.gain_db += timing.open * (target_db - self.gain_db);
        } else if self.hold > 0 {
            self.hold -= 1;
        } else {
            self.gain_db += timing.close * (target_db - self.gain_db);
        }
        self.gain_db
    }

    /// The noise the gate assumes, in dB.
    pub fn noise_db(&self) -> f32 {
        self.noise_db
    }

    /// Follows the quietest that was heard lately: fast down, slowly up.
    fn listen(&mut self, timing: &GateTiming, level_db: f32) {
        if level_db < MUTED_DB {
            return;
        }
        if level_db < self.noise_db {
            self.noise_db += timing.floor_fall * (level_db - self.noise_db);
        } else {
            self.noise_db += timing.floor_rise_db;
        }
        self.noise_db = self.noise_db.clamp(QUIETEST_NOISE_DB, LOUDEST_NOISE_DB);
    }
}

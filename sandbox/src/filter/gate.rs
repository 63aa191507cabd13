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

#[cfg(test)]
mod tests {
    use super::*;

    const CURVE: GateCurve = GateCurve { slope: 2.0, knee_db: 6.0, range_db: 18.0 };
    const TIMING: GateTiming =
        GateTiming { open: 0.5, close: 0.1, hold_ticks: 20, floor_fall: 0.02, floor_rise_db: 0.001 };

    #[test]
    fn the_static_curve_is_the_expanders_formula() {
        for tenth_db in -400..200 {
            let above_db = tenth_db as f32 / 10.0;
            // Level out for level in, ratio 1:3, as the paper writes it for a compressor, mirrored.
            let (ratio, knee) = (3.0, 6.0);
            let level_out = if 2.0 * above_db >= knee {
                above_db
            } else if 2.0 * above_db.abs() < knee {
                above_db - (ratio - 1.0) * (above_db - knee / 2.0).powi(2) / (2.0 * knee)
            } else {
                ratio * above_db
            };
            let expected = (level_out - above_db).max(-18.0);
            assert!((CURVE.gain_db(above_db) - expected).abs() < 1e-4, "at {above_db} dB");
        }
    }

    #[test]
    fn a_louder_level_is_never_turned_down_more() {
        let gains: Vec<f32> = (-600..200).map(|tenth_db| CURVE.gain_db(tenth_db as f32 / 10.0)).collect();
        assert!(gains.windows(2).all(|pair| pair[0] <= pair[1]));
    }

    #[test]
    fn the_threshold_follows_the_noise_down_fast_up_slowly_and_within_bounds() {
        let mut gate = Gate::default();
        let after = |gate: &mut Gate, ticks: usize, level_db: f32| {
            for _ in 0..ticks {
                gate.next(&CURVE, &TIMING, level_db);
            }
            gate.noise_db()
        };
        assert!((after(&mut gate, 400, -65.0) + 65.0).abs() < 0.1, "down within a moment");
        assert!((after(&mut gate, 400, -20.0) + 64.6).abs() < 0.1, "hardly up while somebody speaks");
        assert_eq!(after(&mut gate, 1_000_000, -20.0), LOUDEST_NOISE_DB);
        assert!((after(&mut gate, 10_000, -89.0) - QUIETEST_NOISE_DB).abs() < 1e-3);
        let before = gate.noise_db();
        assert_eq!(after(&mut gate, 10_000, MUTED_DB - 1.0), before, "a muted line teaches nothing");
    }

    #[test]
    fn it_opens_at_once_and_holds_before_it_closes() {
        let mut gate = Gate::default();
        let mut gain_db = 0.0;
        for _ in 0..1_000 {
            gain_db = gate.next(&CURVE, &TIMING, -70.0);
        }
        assert!(gain_db < -17.9, "closed in a pause: {gain_db} dB");
        for _ in 0..10 {
            gain_db = gate.next(&CURVE, &TIMING, -20.0);
        }
        assert!(gain_db > -0.1, "open for speech: {gain_db} dB");
        for _ in 0..TIMING.hold_ticks {
            assert_eq!(gate.next(&CURVE, &TIMING, -70.0), gain_db, "held");
        }
        assert!(gate.next(&CURVE, &TIMING, -70.0) < gain_db);
    }

    #[test]
    fn a_range_of_0_db_is_no_gate() {
        let off = GateCurve { range_db: 0.0, ..CURVE };
        assert_eq!(off.gain_db(-50.0), 0.0);
    }
}

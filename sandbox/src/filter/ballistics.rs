//! How fast a gain moves: attack and release in decibels, right in time though computed once a tick.
//!
//! The smoothing is the branching smooth detector in the log domain (Giannoulis, Massberg, Reiss, "Digital Dynamic
//! Range Compressor Design - A Tutorial and Analysis", JAES 60(6), 2012, equation 17). After a step of the level the
//! gain, in dB, has done 63 % (1 - 1/e) of its way after the time constant. A tick learns of a step up to a tick late:
//! the mean of that is taken off the time constant, and ticks are so short that the rest stays below 5 %.

use std::ops::RangeInclusive;

/// The times that gate and compressor accept: attacks, ...
pub(crate) const ATTACK_MS: RangeInclusive<f32> = 0.1..=200.0;
/// ... and releases.
pub(crate) const RELEASE_MS: RangeInclusive<f32> = 5.0..=3_000.0;
/// The soft knees of their curves.
pub(crate) const KNEE_DB: RangeInclusive<f32> = 0.0..=24.0;

/// A time constant has at least this many ticks: a step falls half a tick early or late, 4.2 % of that.
const TICKS_A_TIME: f64 = 12.0;
const TICKS_PER_SECOND: f64 = 1_000.0;
/// After a change of parameters the gain moves no faster than this for [`CALM_MS`], for it has no reason to jump.
const CALM_TIME_MS: f64 = 5.0;
/// Eight of those time constants: after that the last of the change is inaudible.
const CALM_MS: f64 = 40.0;
/// What is nearer to its aim is there: long before the rest is subnormal.
const THERE_DB: f64 = 1e-5;

/// Samples of a tick that serves times of `shortest_ms` and longer: a power of two, a millisecond at the most.
pub(crate) fn tick_samples(shortest_ms: f32, sample_rate_hz: u32) -> usize {
    let rate = f64::from(sample_rate_hz);
    let most = (f64::from(shortest_ms) / 1_000.0 * rate / TICKS_A_TIME).min(rate / TICKS_PER_SECOND);
    1 << (most.max(1.0) as usize).ilog2()
}

/// Time constants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Times {
    /// Of the way to a lower gain.
    pub(crate) fall_ms: f64,
    /// Of the way to a higher gain.
    pub(crate) rise_ms: f64,
}

/// A gain in dB on its way. In `f64`: the steps of the longest times are too small for `f32`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ballistics {
    fall: f64,
    rise: f64,
    calm: f64,
    calm_ticks: u32,
    calm_left: u32,
    gain_db: f64,
}

impl Ballistics {
    /// At rest at 0 dB.
    pub(crate) fn new(times: Times, tick_samples: usize, sample_rate_hz: u32) -> Ballistics {
        let rate = f64::from(sample_rate_hz);
        let tick = tick_samples as f64;
        let share = |time_ms: f64| {
            let samples = time_ms / 1_000.0 * rate - (tick - 1.0) / 2.0;
            -(-tick / samples).exp_m1()
        };
        Ballistics {
            fall: share(times.fall_ms),
            rise: share(times.rise_ms),
            calm: share(CALM_TIME_MS),
            calm_ticks: (CALM_MS / 1_000.0 * rate / tick) as u32,
            calm_left: 0,
            gain_db: 0.0,
        }
    }

    /// Takes over where `before` was, calmly.
    pub(crate) fn after(self, before: &Ballistics) -> Ballistics {
        Ballistics { gain_db: before.gain_db, calm_left: self.calm_ticks, ..self }
    }

    /// Where it is.
    pub(crate) fn gain_db(&self) -> f64 {
        self.gain_db
    }

    /// One tick's move towards `target_db`.
    #[inline]
    pub(crate) fn step(&mut self, target_db: f64) -> f64 {
        let mut share = if target_db < self.gain_db { self.fall } else { self.rise };
        if self.calm_left > 0 {
            self.calm_left -= 1;
            share = share.min(self.calm);
        }
        let way = target_db - self.gain_db;
        self.gain_db = if way.abs() < THERE_DB { target_db } else { self.gain_db + share * way };
        self.gain_db
    }
}

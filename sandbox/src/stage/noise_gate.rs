//! The noise gate: a downward expander with hold, which turns down what is quieter than its threshold.
//!
//! ```text
//!  in -+-> peak of a tick -> held 12.5 ms -> dB -> static curve -> hold -> attack/release -> gain -+
//!      `---------------------------------------------------------------------> (x) <- ramp -------'-> out
//! ```
//!
//! The static curve is that of an expander (Giannoulis, Massberg, Reiss, "Digital Dynamic Range Compressor Design - A
//! Tutorial and Analysis", JAES 60(6), 2012, section 1, with the knee of equation 4 mirrored to lie below the
//! threshold), limited to a range. Level means the peak of the samples. It is held for 12.5 ms, half a period of
//! 40 Hz, so that the gain does not ripple within a period; with a shorter `hold_ms` only for that. This is part of the
//! hold, not added to it.
//!
//! Both channels of a stereo stream get the same gain, by the louder one, for gains that differ would make the stereo
//! image wander.

use crate::filter::gate::GateCurve;
use crate::filter::level::db_to_amplitude;
use crate::filter::{tick_samples, Ballistics, HeldLevel, Ride, Times, ATTACK_MS, KNEE_DB, RELEASE_MS};

use super::accepted::accepted;
use super::{Described, Parameter, Stage, Stream};

/// Half a period of 40 Hz.
const LONGEST_WINDOW_MS: f32 = 12.5;

/// What a [`NoiseGate`] does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NoiseGateParameters {
    /// The level (peak, in dB relative to full scale) below which it works. -90 to 0.
    pub threshold_db: f32,
    /// dB of output for one dB of input below the threshold. 1 (nothing happens) to 100 (a hard gate).
    pub ratio: f32,
    /// Width of the soft knee around the threshold. 0 to 24.
    pub knee_db: f32,
    /// The most that is taken away. 0 (nothing happens) to 90.
    pub range_db: f32,
    /// Time in which the gain rises by 63 % of its way, in dB, when the level has stepped up. 0.1 to 200.
    pub attack_ms: f32,
    /// Time for which the gain stays as it is when the level has stepped down. 1 to 2,000.
    pub hold_ms: f32,
    /// Time in which the gain, after the hold, falls by 63 % of its way, in dB. 5 to 3,000.
    pub release_ms: f32,
}

impl Default for NoiseGateParameters {
    /// For a voice in a quiet room: pauses become 30 dB quieter at the most, words begin unharmed.
    fn default() -> Self {
        NoiseGateParameters {
            threshold_db: -50.0,
            ratio: 4.0,
            knee_db: 6.0,
            range_db: 30.0,
            attack_ms: 2.0,
            hold_ms: 50.0,
            release_ms: 120.0,
        }
    }
}

impl Described for NoiseGateParameters {
    const PARAMETERS: &'static [Parameter<Self>] = parameters! {
        threshold_db: -90.0..=0.0,
        ratio: 1.0..=100.0,
        knee_db: KNEE_DB,
        range_db: 0.0..=90.0,
        attack_ms: ATTACK_MS,
        hold_ms: 1.0..=2_000.0,
        release_ms: RELEASE_MS,
    };
}

/// The gate. It delays nothing, and begins open.
///
/// While parameters change, and for 40 ms afterwards, the gain moves no faster than with a time constant of 5 ms, so
/// that a change never clicks.
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseGate {
    ride: Ride,
    computer: Computer,
}

impl NoiseGate {
    /// By how much the gain is reduced at the moment, in dB: 0 or more.
    pub fn reduction_db(&self) -> f32 {
        (0.0 - self.computer.ballistics.gain_db()) as f32
    }
}

impl Stage for NoiseGate {
    type Parameters = NoiseGateParameters;

    fn new(stream: Stream, parameters: &NoiseGateParameters) -> NoiseGate {
        let computer = Computer::new(stream, accepted(parameters));
        NoiseGate { ride: Ride::new(stream.channels, computer.tick_samples, computer.gain), computer }
    }

    fn start(&mut self, stream: Stream, parameters: &NoiseGateParameters) {
        *self = NoiseGate::new(stream, parameters);
    }

    fn set(&mut self, parameters: &NoiseGateParameters) {
        self.computer.wished = accepted(parameters);
    }

    fn process(&mut self, block: &mut [f32]) {
        let computer = &mut self.computer;
        self.ride.process(block, |peak| computer.next(peak));
    }
}

/// What happens once a tick.
#[derive(Debug, Clone, PartialEq)]
struct Computer {
    stream: Stream,
    parameters: NoiseGateParameters,
    /// They become the parameters at the end of a tick.
    wished: NoiseGateParameters,
    tick_samples: usize,
    curve: GateCurve,
    level: HeldLevel,
    /// Ticks for which the gain stays when the level has fallen, and how many of them are left.
    hold_ticks: u32,
    hold_left: u32,
    ballistics: Ballistics,
    /// The last gain in dB, and as a factor.
    gain_db: f64,
    gain: f32,
}

impl Computer {
    fn new(stream: Stream, parameters: NoiseGateParameters) -> Computer {
        let rate = stream.sample_rate_hz;
        let NoiseGateParameters { threshold_db: _, ratio, knee_db, range_db, attack_ms, hold_ms, release_ms } =
            parameters;
        // The end of the hold falls on a tick: it gets more of them than the other times need.
        let tick_samples = tick_samples(attack_ms.min(hold_ms / 3.0).min(release_ms), rate);
        let ticks_per_ms = f64::from(rate) / 1_000.0 / tick_samples as f64;
        let hold_ticks = f64::from(hold_ms) * ticks_per_ms;
        let level = HeldLevel::new(hold_ticks.min(f64::from(LONGEST_WINDOW_MS) * ticks_per_ms));
        // A fall lies half a tick before the end of its own on average; the window ends the ticks that it holds later.
        let fall_ticks = (tick_samples - 1) as f64 / 2.0 / tick_samples as f64;
        let hold_ticks = (hold_ticks - level.held_ticks() - fall_ticks).round().max(0.0) as u32;
        let times = Times { fall_ms: release_ms.into(), rise_ms: attack_ms.into() };
        Computer {
            stream,
            parameters,
            wished: parameters,
            tick_samples,
            curve: GateCurve { slope: ratio - 1.0, knee_db, range_db },
            level,
            hold_ticks,
            hold_left: hold_ticks,
            ballistics: Ballistics::new(times, tick_samples, rate),
            gain_db: 0.0,
            gain: 1.0,
        }
    }

    /// Puts the wishes in force.
    fn change(&mut self) {
        let next = Computer::new(self.stream, self.wished);
        *self = Computer {
            level: next.level.after(&self.level),
            hold_left: self.hold_left.min(next.hold_ticks),
            ballistics: next.ballistics.after(&self.ballistics),
            gain_db: self.gain_db,
            gain: self.gain,
            ..next
        };
    }

    /// The gain at the end of the next tick, and that tick's length, after a tick with this peak.
    #[inline]
    fn next(&mut self, peak: f32) -> (f32, usize) {
        let level_db = self.level.next(peak);
        if self.wished != self.parameters {
            self.change();
        }
        let target_db = f64::from(self.curve.gain_db(level_db - self.parameters.threshold_db));
        if target_db >= self.gain_db {
            self.hold_left = self.hold_ticks;
        } else if self.hold_left > 0 {
            self.hold_left -= 1;
            return (self.gain, self.tick_samples);
        }
        let gain_db = self.ballistics.step(target_db);
        if gain_db != self.gain_db {
            self.gain_db = gain_db;
            self.gain = db_to_amplitude(gain_db as f32);
        }
        (self.gain, self.tick_samples)
    }
}

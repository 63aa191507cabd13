//! The compressor: turns down what is louder than its threshold, with a soft knee.
//!
//! ```text
//!  in -+-> peak of a tick -> held 12.5 ms -> dB -> static curve -> attack/release -> (+) make-up -> gain -+
//!      `---------------------------------------------------------------------------> (x) <- ramp --------'-> out
//! ```
//!
//! The design is the feed-forward one of Giannoulis, Massberg, Reiss, "Digital Dynamic Range Compressor Design - A
//! Tutorial and Analysis", JAES 60(6), 2012 (figure 7c; its equation 4 is the curve). Level means the peak of the
//! samples. It is held for 12.5 ms, half a period of 40 Hz, so that the gain does not ripple within a period; with a
//! release below 25 ms for half of the release. The hold is part of the release time, not added to it.
//!
//! Both channels of a stereo stream get the same gain, by the louder one, for gains that differ would make the stereo
//! image wander.

use crate::filter::compressor::CompressorCurve;
use crate::filter::level::db_to_amplitude;
use crate::filter::{tick_samples, Ballistics, HeldLevel, Ride, Times, ATTACK_MS, KNEE_DB, RELEASE_MS};

use super::accepted::accepted;
use super::{Described, Parameter, Stage, Stream};

/// Half a period of 40 Hz.
const LONGEST_HOLD_MS: f32 = 12.5;
const MAKE_UP_SMOOTHING_MS: f64 = 20.0;

/// What a [`Compressor`] does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CompressorParameters {
    /// The level (peak, in dB relative to full scale) above which it works. -60 to 0.
    pub threshold_db: f32,
    /// dB of input for one dB of output above the threshold. 1 (nothing happens) to 50.
    pub ratio: f32,
    /// Width of the soft knee around the threshold. 0 to 24.
    pub knee_db: f32,
    /// Time in which the gain falls by 63 % of its way, in dB, when the level has stepped up. 0.1 to 200.
    pub attack_ms: f32,
    /// Time in which the gain rises by 63 % of its way, in dB, when the level has stepped down. 5 to 3,000.
    pub release_ms: f32,
    /// Gain behind the compressor. 0 to 24.
    pub make_up_db: f32,
}

impl Default for CompressorParameters {
    /// Gentle, for speech and music: 3 to 1 above -20 dB.
    fn default() -> Self {
        CompressorParameters {
            threshold_db: -20.0,
            ratio: 3.0,
            knee_db: 6.0,
            attack_ms: 10.0,
            release_ms: 120.0,
            make_up_db: 0.0,
        }
    }
}

impl Described for CompressorParameters {
    const PARAMETERS: &'static [Parameter<Self>] = parameters! {
        threshold_db: -60.0..=0.0,
        ratio: 1.0..=50.0,
        knee_db: KNEE_DB,
        attack_ms: ATTACK_MS,
        release_ms: RELEASE_MS,
        make_up_db: 0.0..=24.0,
    };
}

/// The compressor. It delays nothing.
///
/// While parameters change, and for 40 ms afterwards, the gain moves no faster than with a time constant of 5 ms (the
/// make-up with 20 ms), so that a change never clicks.
#[derive(Debug, Clone, PartialEq)]
pub struct Compressor {
    ride: Ride,
    computer: Computer,
}

impl Compressor {
    /// By how much the gain is reduced at the moment, in dB: 0 or more; without the make-up.
    pub fn reduction_db(&self) -> f32 {
        (0.0 - self.computer.ballistics.gain_db()) as f32
    }
}

impl Stage for Compressor {
    type Parameters = CompressorParameters;

    fn new(stream: Stream, parameters: &CompressorParameters) -> Compressor {
        let computer = Computer::new(stream, accepted(parameters));
        let gain = db_to_amplitude(computer.make_up_db as f32);
        Compressor { ride: Ride::new(stream.channels, computer.tick_samples, gain), computer }
    }

    fn start(&mut self, stream: Stream, parameters: &CompressorParameters) {
        *self = Compressor::new(stream, parameters);
    }

    fn set(&mut self, parameters: &CompressorParameters) {
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
    parameters: CompressorParameters,
    /// They become the parameters at the end of a tick.
    wished: CompressorParameters,
    tick_samples: usize,
    curve: CompressorCurve,
    level: HeldLevel,
    ballistics: Ballistics,
    make_up_db: f64,
    make_up_share: f64,
    /// The last gain in dB, make-up included, and as a factor.
    gain_db: f64,
    gain: f32,
}

impl Computer {
    fn new(stream: Stream, parameters: CompressorParameters) -> Computer {
        let rate = stream.sample_rate_hz;
        let CompressorParameters { threshold_db, ratio, knee_db, attack_ms, release_ms, make_up_db } =
            parameters;
        let tick_samples = tick_samples(attack_ms.min(release_ms), rate);
        let ticks_per_ms = f64::from(rate) / 1_000.0 / tick_samples as f64;
        let level = HeldLevel::new(f64::from(LONGEST_HOLD_MS.min(release_ms / 2.0)) * ticks_per_ms);
        // A rise is seen at once, at the end of its tick; so a fall is late by a sample less than it is held.
        let held_ms = level.held_ticks() / ticks_per_ms - 1_000.0 / f64::from(rate);
        let rise_ms = f64::from(release_ms) - held_ms;
        Computer {
            stream,
            parameters,
            wished: parameters,
            tick_samples,
            curve: CompressorCurve { threshold_db, slope: 1.0 - 1.0 / ratio, knee_db },
            level,
            ballistics: Ballistics::new(Times { fall_ms: attack_ms.into(), rise_ms }, tick_samples, rate),
            make_up_db: make_up_db.into(),
            make_up_share: -(-1.0 / (MAKE_UP_SMOOTHING_MS * ticks_per_ms)).exp_m1(),
            gain_db: make_up_db.into(),
            gain: db_to_amplitude(make_up_db),
        }
    }

    /// Puts the wishes in force.
    fn change(&mut self) {
        let next = Computer::new(self.stream, self.wished);
        *self = Computer {
            level: next.level.after(&self.level),
            ballistics: next.ballistics.after(&self.ballistics),
            make_up_db: self.make_up_db,
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
        let reduction_db = self.ballistics.step(self.curve.gain_db(level_db).into());
        let make_up_way = f64::from(self.parameters.make_up_db) - self.make_up_db;
        self.make_up_db +=
            if make_up_way.abs() < 1e-5 { make_up_way } else { self.make_up_share * make_up_way };
        let gain_db = reduction_db + self.make_up_db;
        if gain_db != self.gain_db {
            self.gain_db = gain_db;
            self.gain = db_to_amplitude(gain_db as f32);
        }
        (self.gain, self.tick_samples)
    }
}

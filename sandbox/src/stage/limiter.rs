//! The limiter: nothing rises above its ceiling, neither a sample nor what a converter makes of the samples in between.
//!
//! ```text
//!  in -+-> true peak of a group of samples -> look-ahead -> release -> smoothing -> gain -+
//!      `-> delay --------------------------------------------> (x) <---- ramp -----------'-> out
//! ```
//!
//! True peaks are those of Recommendation ITU-R BS.1770-4, annex 2: four-fold oversampling, here at every rate. What lies
//! near half the sample rate is taken for as high as any meter may find it, so such a sound comes out lower than it need by
//! one of them: white noise by 1 dB, a tone at 0.45 of the rate by 1.5 dB, what ends at 0.42 not at all. The gain is down when the peak arrives, for the sound is delayed by the look-ahead (and by the meter's filter). It is computed
//! for groups of a third of a millisecond, and moves in straight lines in between, smoothly as seen from outside.
//!
//! Both channels of a stereo stream get the same gain, by the higher peak, for gains that differ would make the stereo
//! image wander.

use crate::filter::{LookAhead, Ramp, TruePeak, LAG, LONGEST_GROUP, MOST_TICKS};

use super::accepted::accepted;
use super::{Described, Parameter, Stage, Stream};

/// What is aimed for lies so far below the ceiling: what gains that move and meters that read too high (that of BS.1770
/// itself by 0.09 dB) may come to. Found by trial, see `tests/dynamics/limiter.rs`.
const MARGIN_DB: f64 = 0.05;
const LONGEST_LOOK_AHEAD_MS: f32 = 5.0;
const HIGHEST_RATE_HZ: u32 = 96_000;

/// What a [`Limiter`] does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LimiterParameters {
    /// What no sample and no true peak rises above, in dB relative to full scale. -20 to 0.
    pub ceiling_db: f32,
    /// How long before a peak the gain begins to fall: the longer, the smoother. 1.5 to 5. It makes most of the delay,
    /// so a change takes effect when the next stream starts.
    pub look_ahead_ms: f32,
    /// Time in which 63 % of a reduction, in dB, are taken back. 10 to 1,000.
    pub release_ms: f32,
}

impl Default for LimiterParameters {
    /// -1 dB, as EBU R 128 asks for.
    fn default() -> Self {
        LimiterParameters { ceiling_db: -1.0, look_ahead_ms: 1.5, release_ms: 80.0 }
    }
}

impl Described for LimiterParameters {
    const PARAMETERS: &'static [Parameter<Self>] = parameters! {
        ceiling_db: -20.0..=0.0,
        look_ahead_ms: 1.5..=LONGEST_LOOK_AHEAD_MS,
        release_ms: 10.0..=1_000.0,
    };
}

/// The limiter. What stays 0.05 dB below its ceiling passes bit for bit, [`delay_samples`](Stage::delay_samples) later.
///
/// A new ceiling holds for all that comes in from the next group of samples (a third of a millisecond) on. The gain
/// moves to it like to any other aim: down within the look-ahead, up with the release.
#[derive(Debug, Clone)]
pub struct Limiter {
    stream: Stream,
    /// Samples that share one measurement.
    group: usize,
    look_ahead_groups: usize,
    parameters: LimiterParameters,
    ceiling: f64,
    /// Sample frames of this group already seen.
    seen: usize,
    meters: [TruePeak; 2],
    look_ahead: LookAhead,
    ramp: Ramp,
    /// What came in, interleaved: a ring of `delay` samples of all channels. Its allocation serves every stream.
    delayed: Vec<f32>,
    delay: usize,
    at: usize,
}

impl Limiter {
    /// By how much the gain is reduced at the moment, in dB: 0 or more.
    pub fn reduction_db(&self) -> f32 {
        0.0 - 20.0 * self.ramp.end().log10()
    }

    /// A limiter that uses `delayed` for its memory.
    fn with_memory(stream: Stream, parameters: &LimiterParameters, mut delayed: Vec<f32>) -> Limiter {
        let parameters = accepted(parameters);
        let rate = stream.sample_rate_hz;
        let (group, look_ahead_groups) = groups(rate, &parameters);
        let delay = (LAG + look_ahead_groups * group) * stream.channels;
        delayed.clear();
        delayed.resize(delay, 0.0);
        let ceiling = aim(&parameters);
        let release_groups = release_groups(&parameters, rate, group);
        Limiter {
            stream,
            group,
            look_ahead_groups,
            parameters,
            ceiling,
            seen: 0,
            meters: [TruePeak::new(group), TruePeak::new(group)],
            // A group's gain is found when the group is complete: that is one of those by which sound is delayed.
            look_ahead: LookAhead::new(look_ahead_groups - 1, ceiling, release_groups),
            ramp: Ramp::at(1.0),
            delayed,
            delay,
            at: 0,
        }
    }

    fn process_channels<const CHANNELS: usize>(&mut self, block: &mut [f32]) {
        let mut rest = block;
        while rest.len() >= CHANNELS {
            let frames = (self.group - self.seen).min(rest.len() / CHANNELS);
            let (part, behind) = rest.split_at_mut(frames * CHANNELS);
            rest = behind;
            for (channel, meter) in self.meters[..CHANNELS].iter_mut().enumerate() {
                let seen = part.iter().skip(channel).step_by(CHANNELS);
                meter.group()[self.seen..][..frames].iter_mut().zip(seen).for_each(|(to, from)| *to = *from);
            }
            // The ring holds whole groups, so a part of one lies in one piece.
            let delayed = &mut self.delayed[self.at..][..part.len()];
            part.swap_with_slice(delayed);
            self.at += part.len();
            self.ramp.apply::<CHANNELS>(self.seen, part);
            self.seen += frames;
            if self.seen == self.group {
                self.next_group::<CHANNELS>();
            }
        }
    }

    fn next_group<const CHANNELS: usize>(&mut self) {
        self.seen = 0;
        if self.at == self.delay {
            self.at = 0;
        }
        let ceiling = self.ceiling as f32;
        let peak =
            self.meters[..CHANNELS].iter_mut().fold(0.0f32, |peak, meter| peak.max(meter.bound(ceiling)));
        self.ramp.on_to(self.look_ahead.next(peak), self.group);
    }
}

impl Stage for Limiter {
    type Parameters = LimiterParameters;

    fn new(stream: Stream, parameters: &LimiterParameters) -> Limiter {
        let most = LAG + LONGEST_GROUP + (LONGEST_LOOK_AHEAD_MS as usize * HIGHEST_RATE_HZ as usize) / 1_000;
        Limiter::with_memory(stream, parameters, Vec::with_capacity(2 * most))
    }

    fn start(&mut self, stream: Stream, parameters: &LimiterParameters) {
        let memory = std::mem::take(&mut self.delayed);
        *self = Limiter::with_memory(stream, parameters, memory);
    }

    fn set(&mut self, parameters: &LimiterParameters) {
        let look_ahead_ms = self.parameters.look_ahead_ms;
        self.parameters = LimiterParameters { look_ahead_ms, ..accepted(parameters) };
        self.ceiling = aim(&self.parameters);
        let release_groups = release_groups(&self.parameters, self.stream.sample_rate_hz, self.group);
        self.look_ahead.set(self.ceiling, release_groups);
    }

    fn process(&mut self, block: &mut [f32]) {
        if self.stream.channels == 1 {
            self.process_channels::<1>(block);
        } else {
            self.process_channels::<2>(block);
        }
    }

    fn delay_samples(&self) -> usize {
        LAG + self.look_ahead_groups * self.group
    }

    fn delay_at(stream: Stream, parameters: &LimiterParameters) -> usize {
        let (group, look_ahead_groups) = groups(stream.sample_rate_hz, &accepted(parameters));
        LAG + look_ahead_groups * group
    }
}

/// Samples that share one measurement, and how many such groups the look-ahead has.
fn groups(sample_rate_hz: u32, parameters: &LimiterParameters) -> (usize, usize) {
    let group = match sample_rate_hz {
        0..=12_000 => 4,
        12_001..=24_000 => 8,
        24_001..=48_000 => 16,
        _ => LONGEST_GROUP,
    };
    let look_ahead_samples = f64::from(parameters.look_ahead_ms) / 1_000.0 * f64::from(sample_rate_hz);
    (group, ((look_ahead_samples / group as f64).ceil() as usize).clamp(2, MOST_TICKS))
}

/// What no true peak may rise above, as an amplitude.
fn aim(parameters: &LimiterParameters) -> f64 {
    10f64.powf((f64::from(parameters.ceiling_db) - MARGIN_DB) / 20.0)
}

fn release_groups(parameters: &LimiterParameters, sample_rate_hz: u32, group: usize) -> f64 {
    f64::from(parameters.release_ms) / 1_000.0 * f64::from(sample_rate_hz) / group as f64
}

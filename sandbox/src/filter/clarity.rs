//! The voice clarity chain: high-pass, de-noise gate, compressor, make-up gain, soft limiter.
//!
//! ```text
//!             per sample                          every millisecond (a tick), per channel
//!  in -> sanitise -> high-pass -+-> peak -> dB -> envelope -+-> gate -> (+) -> compressor -> (+) make-up -> gain
//!                               |                                                                          |
//!                               `----------------------------> (x) <--- ramp over the next tick <----------'
//!                                                               `-> limiter -> out
//! ```
//!
//! Logarithms and exponentials are computed once a tick only; within a tick the gain moves in a straight line. Ticks
//! are counted from the start of the stream, not of a block, so the result does not depend on how a stream is cut
//! into blocks, to the bit. Each channel has its own high-pass, envelope, gate and compressor; the gains are linked
//! (the gate as open as the most open, the compressor as low as the lowest), for gains that differ would make the
//! stereo image wander.

use super::biquad::Coefficients;
use super::compressor::{Compressor, CompressorCurve, CompressorTiming};
use super::gate::{Gate, GateCurve, GateTiming};
use super::high_pass::HighPass;
use super::level::{amplitude_to_db, db_to_amplitude, largest_magnitude, smoothing, LevelFollower};
use super::limiter::Limiter;
use super::{sanitise, CrossFade};
use crate::{SampleRate, Settings};

const TICKS_PER_SECOND: f32 = 1_000.0;

/// Down to -40 dB in the 160 ms after a word: slower than the gaps between the pulses of a low voice, faster than
/// the pauses between words.
const ENVELOPE_FALL_DB_PER_SECOND: f32 = 400.0;
const MAKE_UP_SMOOTHING_MS: f32 = 30.0;
const LIMITER_RELEASE_MS: f32 = 60.0;

/// What depends on the intensity. Each value moves in straight lines from 0 (transparent) by 1 (standard) to 2
/// (strong).
#[derive(Debug, Clone, Copy, PartialEq)]
struct Parameters {
    cutoff_hz: f32,
    gate: GateCurve,
    compressor: CompressorCurve,
    make_up_db: f32,
}

impl Parameters {
    fn at(intensity: f32) -> Parameters {
        let between = |standard: f32, strong: f32| {
            if intensity <= 1.0 {
                standard * intensity
            } else {
                standard + (strong - standard) * (intensity - 1.0)
            }
        };
        Parameters {
            cutoff_hz: between(80.0, 100.0),
            gate: GateCurve { slope: between(3.0, 4.5), knee_db: 6.0, range_db: between(22.0, 34.0) },
            compressor: CompressorCurve { threshold_db: -26.0, slope: between(0.6, 0.8), knee_db: 10.0 },
            make_up_db: between(10.0, 15.0),
        }
    }
}

/// What depends on nothing but the length of a tick.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Timing {
    gate: GateTiming,
    compressor: CompressorTiming,
    envelope_fall_db: f32,
    make_up: f32,
}

impl Timing {
    fn new() -> Timing {
        let share = |time_ms| smoothing(time_ms, TICKS_PER_SECOND);
        Timing {
            gate: GateTiming {
                open: share(2.0),
                close: share(40.0),
                hold_ticks: (0.030 * TICKS_PER_SECOND) as u32,
                floor_fall: share(100.0),
                floor_rise_db: 3.0 / TICKS_PER_SECOND,
            },
            compressor: CompressorTiming { attack: share(5.0), release: share(80.0) },
            envelope_fall_db: ENVELOPE_FALL_DB_PER_SECOND / TICKS_PER_SECOND,
            make_up: share(MAKE_UP_SMOOTHING_MS),
        }
    }
}

/// One channel's own state, but for its high-pass.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Channel {
    /// The largest magnitude in this tick so far.
    peak: f32,
    level: LevelFollower,
    gate: Gate,
    compressor: Compressor,
}

/// All that a stream leaves behind, but for its high-passes. `Default` is a stream that has not begun, whatever the settings: so a change of
/// intensity before the first sample is the same as having begun with it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct State {
    channels: [Channel; 2],
    /// Samples of the current tick already seen, of each channel.
    seen: usize,
    /// The gain at the beginning of this tick, and by how much it moves with each sample.
    gain: f32,
    gain_step: f32,
    /// Moves to the target smoothly, for a jump would be heard.
    make_up_db: f32,
    limiter: Limiter,
}

impl Default for State {
    fn default() -> Self {
        State {
            channels: Default::default(),
            seen: 0,
            gain: 1.0,
            gain_step: 0.0,
            make_up_db: 0.0,
            limiter: Limiter::default(),
        }
    }
}

/// The chain, for one stream of one or two channels. It delays nothing and works on blocks of any length.
#[derive(Debug, Clone)]
pub struct VoiceClarity {
    sample_rate: SampleRate,
    channels: usize,
    intensity: f32,
    /// Of the last intensity above 0: they stay while the chain fades out.
    parameters: Parameters,
    timing: Timing,
    high_pass: HighPass,
    limiter_fade: f32,
    fade: CrossFade,
    /// Whether anything was processed since the stream began.
    has_begun: bool,
    state: State,
}

impl VoiceClarity {
    /// A chain for the rate, channels and intensity of `settings`.
    pub fn new(settings: &Settings) -> VoiceClarity {
        let sample_rate = settings.sample_rate();
        let parameters = Parameters::at(settings.intensity());
        VoiceClarity {
            sample_rate,
            channels: settings.channel_count(),
            intensity: settings.intensity(),
            parameters,
            timing: Timing::new(),
            high_pass: HighPass::new(high_pass(&parameters, sample_rate), sample_rate.hz()),
            limiter_fade: 1.0 - smoothing(LIMITER_RELEASE_MS, sample_rate.hz() as f32),
            fade: CrossFade::at_rest(sample_rate.hz(), settings.intensity() != 0.0),
            has_begun: false,
            state: State::default(),
        }
    }

    /// Begins a new stream: as good as new.
    pub fn start(&mut self, settings: &Settings) {
        *self = VoiceClarity::new(settings);
    }

    /// Changes the intensity (0 to 2) in mid-stream, without a click: from 0 the chain begins anew and is faded in, to 0
    /// it is faded out as it was (it can't glide there, for a high-pass at 0 Hz never forgets).
    pub fn set_intensity(&mut self, intensity: f32) {
        if intensity == self.intensity {
            return;
        }
        self.intensity = intensity;
        if intensity == 0.0 {
            self.fade.fall();
        } else {
            self.parameters = Parameters::at(intensity);
            let high_pass = high_pass(&self.parameters, self.sample_rate);
            if self.fade.is_dry() || !self.has_begun {
                self.state = State::default();
                self.high_pass = HighPass::new(high_pass, self.sample_rate.hz());
            }
            self.high_pass.set(high_pass);
            self.fade.rise(0);
        }
        if !self.has_begun {
            self.fade = CrossFade::at_rest(self.sample_rate.hz(), intensity != 0.0);
        }
    }

    /// Whether the intensity is above 0, or was a moment ago.
    pub(crate) fn changes_anything(&self) -> bool {
        !self.fade.is_dry()
    }

    /// Processes interleaved samples in place; a last sample frame that is not whole stays as it is.
    ///
    /// At intensity 0, once it has faded out, finite samples within +-16 pass bit for bit, and the chain has forgotten
    /// what it had heard. Whatever goes in, what comes out is finite; above intensity 0, once it has faded in, it lies
    /// below [`CEILING`](super::limiter::CEILING).
    pub fn process(&mut self, pcm: &mut [f32]) {
        sanitise::within_limit(pcm);
        self.process_sanitised(pcm);
    }

    /// The same for samples that are numbers within +-16 already, as the engine sees to at its entrance.
    pub(crate) fn process_sanitised(&mut self, pcm: &mut [f32]) {
        self.has_begun |= pcm.len() >= self.channels;
        if self.fade.is_wet() {
            self.process_all(pcm);
        } else if !self.fade.is_dry() {
            let mut fade = self.fade;
            let rest = fade.run(pcm, self.channels, |piece| self.process_all(piece));
            self.fade = fade;
            if self.fade.is_wet() {
                self.process_all(rest);
            }
        }
    }

    fn process_all(&mut self, pcm: &mut [f32]) {
        if self.channels == 1 {
            self.process_channels::<1>(pcm);
        } else {
            self.process_channels::<2>(pcm);
        }
    }

    fn process_channels<const CHANNELS: usize>(&mut self, pcm: &mut [f32]) {
        let tick_samples = (self.sample_rate.hz() as f32 / TICKS_PER_SECOND) as usize;
        let mut rest = pcm;
        while rest.len() >= CHANNELS {
            let samples = (tick_samples - self.state.seen).min(rest.len() / CHANNELS);
            let (block, behind) = rest.split_at_mut(samples * CHANNELS);
            rest = behind;
            self.filter::<CHANNELS>(block);
            let peak = self.apply_gain::<CHANNELS>(block);
            self.state.limiter.process::<CHANNELS>(block, peak, self.limiter_fade);
            self.state.seen += samples;
            if self.state.seen == tick_samples {
                self.tick::<CHANNELS>(tick_samples);
            }
        }
    }

    /// High-passes a part of a tick, and notes its peaks.
    fn filter<const CHANNELS: usize>(&mut self, block: &mut [f32]) {
        self.high_pass.process::<CHANNELS>(block);
        for (offset, channel) in self.state.channels[..CHANNELS].iter_mut().enumerate() {
            let samples = block.chunks_exact(CHANNELS).map(|frame| frame[offset]);
            channel.peak = largest_magnitude(samples).max(channel.peak);
        }
    }

    /// Multiplies a part of a tick by the gain ramp; returns a bound on what magnitude came out.
    fn apply_gain<const CHANNELS: usize>(&self, block: &mut [f32]) -> f32 {
        let State { seen, gain, gain_step, .. } = self.state;
        for (index, frame) in block.chunks_exact_mut(CHANNELS).enumerate() {
            // From the position alone, never by adding up: the same however the tick is cut.
            let gain = gain + gain_step * (seen + index + 1) as f32;
            frame.iter_mut().for_each(|sample| *sample *= gain);
        }
        let last_gain = gain + gain_step * (seen + block.len() / CHANNELS) as f32;
        let peak =
            self.state.channels[..CHANNELS].iter().fold(0.0f32, |peak, channel| peak.max(channel.peak));
        peak * gain.max(last_gain)
    }

    /// The end of a tick: where the gain has to be at the end of the next one.
    fn tick<const CHANNELS: usize>(&mut self, tick_samples: usize) {
        let state = &mut self.state;
        let mut gate_db = f32::NEG_INFINITY;
        let mut compressor_db = 0.0f32;
        for channel in &mut state.channels[..CHANNELS] {
            let peak_db = amplitude_to_db(channel.peak);
            let level_db = channel.level.next(peak_db, self.timing.envelope_fall_db);
            let own_gate_db = channel.gate.next(&self.parameters.gate, &self.timing.gate, level_db);
            let own_compressor_db = channel.compressor.next(
                &self.parameters.compressor,
                &self.timing.compressor,
                level_db + own_gate_db,
            );
            gate_db = gate_db.max(own_gate_db);
            compressor_db = compressor_db.min(own_compressor_db);
            channel.peak = 0.0;
        }
        self.high_pass.flush();
        state.make_up_db += self.timing.make_up * (self.parameters.make_up_db - state.make_up_db);
        let next = db_to_amplitude(gate_db + compressor_db + state.make_up_db);
        state.gain += state.gain_step * tick_samples as f32;
        state.gain_step = (next - state.gain) / tick_samples as f32;
        state.seen = 0;
    }
}

fn high_pass(parameters: &Parameters, sample_rate: SampleRate) -> Coefficients {
    // At intensity 0 nothing runs; 1 Hz stands for "no cutoff" then.
    Coefficients::high_pass(f64::from(parameters.cutoff_hz.max(1.0)), f64::from(sample_rate.hz()))
}

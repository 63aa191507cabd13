//! The engine: all stages in their order, between decoder and encoder.
//!
//! ```text
//!  in -> sanitise -> de-noise -> voice clarity -> gate -> compressor -> equaliser -> spatial -> limiter -> out
//!           |            |                                                                       |
//!           |            `-> voice activity                                                      `-> level, loudness
//!           `-> genre ...> parameters of clarity, gate, compressor, equaliser, spatial
//! ```
//!
//! A stage runs if the session has switched it on and its [`Quality`] has it. Stages are built when a session first
//! wants them and kept from then on, so a sandbox that only serves speech stays small. The limiter comes last, so that
//! nothing behind it can raise a peak again. What is switched in mid-stream is cross-faded (`filter/cross_fade.rs`).
//!
//! What a session can do without (de-noise, and all that only listens) is *optional*: when a packet's time is spent
//! ([`Budget`]), it is left out for the rest of that packet.

mod adaptation;
mod budget;
mod listening;
mod quality;
mod slot;
mod watch;

use adaptation::Adaptation;

use crate::filter::sanitise;
use crate::stage::{Compressor, Denoise, Equaliser, Limiter, NoiseGate, Spatial};
use crate::{Settings, Stage, Stream, VoiceClarity};

pub(crate) use budget::Budget;
use listening::Listening;
pub use listening::{Event, Readings};
pub use quality::Quality;
use slot::Slot;
pub use watch::StageTimes;
pub(crate) use watch::Timed;
use watch::{Unwatched, Watch};

/// How often the budget is looked at and parameters follow the genre: every 10 ms of sound. Slices are counted from the
/// stream's beginning, so that it makes no difference how a stream is cut.
const SLICES_PER_SECOND: u32 = 100;

/// All stages, for one stream.
#[derive(Debug)]
pub(crate) struct Engine {
    stream: Stream,
    settings: Settings,
    /// Sample frames of the current slice that were processed.
    seen: usize,
    /// Whether anything was processed since the stream began.
    has_begun: bool,
    denoise: Slot<Denoise>,
    clarity: VoiceClarity,
    gate: Slot<NoiseGate>,
    compressor: Slot<Compressor>,
    equaliser: Slot<Equaliser>,
    spatial: Slot<Spatial>,
    limiter: Slot<Limiter>,
    listening: Listening,
    /// Built when first wanted, and kept.
    adaptation: Option<Box<Adaptation>>,
    adapts: bool,
}

impl Engine {
    pub(crate) fn new(settings: &Settings) -> Engine {
        let stream = settings.stream();
        let mut engine = Engine {
            stream,
            settings: *settings,
            seen: 0,
            has_begun: false,
            denoise: Slot::new(stream),
            clarity: VoiceClarity::new(settings),
            gate: Slot::new(stream),
            compressor: Slot::new(stream),
            equaliser: Slot::new(stream),
            spatial: Slot::new(stream),
            limiter: Slot::new(stream),
            listening: Listening::new(settings),
            adaptation: None,
            adapts: false,
        };
        engine.start(settings);
        engine
    }

    /// Begins a new stream.
    pub(crate) fn start(&mut self, settings: &Settings) {
        self.stream = settings.stream();
        self.seen = 0;
        self.has_begun = false;
        self.adapts = false;
        self.listening.start(settings);
        let settings = self.begin_adapting(settings);
        self.clarity.start(&settings);
        self.start_slots(&settings);
    }

    /// Puts other parameters in force in mid-stream. What is switched on begins anew.
    pub(crate) fn set(&mut self, settings: &Settings) {
        if !self.has_begun {
            // No stage is to glide there from parameters that nobody has heard.
            return self.start(settings);
        }
        self.listening.set(settings);
        let settings = self.begin_adapting(settings);
        self.clarity.set_intensity(settings.intensity());
        self.set_slots(&settings);
    }

    /// Takes `settings` over, and gives them as the genre wants them. An adaptation that is switched on begins anew.
    fn begin_adapting(&mut self, settings: &Settings) -> Settings {
        self.settings = *settings;
        let goes_on = std::mem::replace(&mut self.adapts, settings.genre && settings.quality.has_analysis());
        match &mut self.adaptation {
            _ if !self.adapts || goes_on => {}
            Some(adaptation) => adaptation.start(self.stream),
            None => self.adaptation = Some(Box::new(Adaptation::new(self.stream))),
        }
        self.adapted()
    }

    fn adapting(&mut self) -> Option<&mut Adaptation> {
        self.adaptation.as_deref_mut().filter(|_| self.adapts)
    }

    fn adapted(&self) -> Settings {
        let adaptation = self.adaptation.as_deref().filter(|_| self.adapts);
        adaptation.map_or(self.settings, |adaptation| adaptation.adapt(&self.settings))
    }

    fn start_slots(&mut self, settings: &Settings) {
        let (stream, runs) = (self.stream, Runs::of(settings));
        self.denoise.start(runs.denoise, stream, &settings.denoise.parameters);
        self.gate.start(runs.gate, stream, &settings.noise_gate.parameters);
        self.compressor.start(runs.compressor, stream, &settings.compressor.parameters);
        self.equaliser.start(runs.equaliser, stream, &settings.equaliser.parameters);
        self.spatial.start(runs.spatial, stream, &settings.spatial.parameters);
        self.limiter.start(runs.limiter, stream, &settings.limiter.parameters);
    }

    fn set_slots(&mut self, settings: &Settings) {
        let runs = Runs::of(settings);
        self.denoise.set(runs.denoise, &settings.denoise.parameters);
        self.gate.set(runs.gate, &settings.noise_gate.parameters);
        self.compressor.set(runs.compressor, &settings.compressor.parameters);
        self.equaliser.set(runs.equaliser, &settings.equaliser.parameters);
        self.spatial.set(runs.spatial, &settings.spatial.parameters);
        self.limiter.set(runs.limiter, &settings.limiter.parameters);
    }

    /// Processes interleaved samples in place, and keeps to `budget`.
    pub(crate) fn process(&mut self, pcm: &mut [f32], budget: &mut Budget<'_>) {
        self.run(pcm, budget, &mut Unwatched);
    }

    /// The same by a clock that looks at each stage.
    pub(crate) fn process_timed(&mut self, pcm: &mut [f32], budget: &mut Budget<'_>, timed: &mut Timed<'_>) {
        self.run(pcm, budget, timed);
    }

    fn run(&mut self, pcm: &mut [f32], budget: &mut Budget<'_>, watch: &mut impl Watch) {
        self.has_begun = true;
        self.listening.begin();
        watch.begin();
        sanitise::within_limit(pcm);
        watch.lap("sanitise", true);
        let channels = self.stream.channels;
        let slice = (self.stream.sample_rate_hz / SLICES_PER_SECOND) as usize;
        let mut rest = pcm;
        while rest.len() >= channels {
            let frames = (slice - self.seen).min(rest.len() / channels);
            let (block, behind) = rest.split_at_mut(frames * channels);
            rest = behind;
            self.process_part(block, budget.has_time(), watch);
            self.seen += frames;
            if self.seen == slice {
                self.seen = 0;
                self.follow_genre(slice);
            }
        }
    }

    /// A slice, or a part of one, with or without what is optional.
    fn process_part(&mut self, block: &mut [f32], all: bool, watch: &mut impl Watch) {
        if let Some(adaptation) = self.adapting().filter(|_| all) {
            adaptation.hear(block);
            watch.lap("genre", true);
        }
        let denoised = match all {
            true => self.denoise.run(block, Stage::process),
            false => self.denoise.run(block, Denoise::pass),
        };
        watch.lap("denoise", denoised);
        let adaptation = self.adaptation.as_deref().filter(|_| self.adapts && !denoised);
        let frames = (block.len() / self.stream.channels) as u64;
        let ran = match all {
            true => self.listening.before(frames, block, adaptation.map(Adaptation::heard)),
            false => self.listening.skip(frames),
        };
        watch.lap("voice_activity", ran);
        self.clarity.process_sanitised(block);
        watch.lap("voice_clarity", self.clarity.changes_anything());
        let ran = self.gate.run(block, Stage::process);
        watch.lap("noise_gate", ran);
        let ran = self.compressor.run(block, Stage::process);
        watch.lap("compressor", ran);
        let ran = self.equaliser.run(block, Stage::process);
        watch.lap("equaliser", ran);
        let ran = self.spatial.run(block, Stage::process);
        watch.lap("spatial", ran);
        let ran = self.limiter.run(block, Stage::process);
        watch.lap("limiter", ran);
        let ran = all && self.listening.after(block);
        watch.lap("metering", ran);
    }

    /// The end of a slice: moves the parameters on towards the genre's.
    fn follow_genre(&mut self, slice: usize) {
        let Some(adaptation) = self.adapting() else { return };
        let moved = adaptation.advance(slice);
        let (genre, confidence) = (adaptation.genre(), adaptation.confidence());
        self.listening.hear_genre(genre, confidence);
        if moved {
            let settings = self.adapted();
            self.clarity.set_intensity(settings.intensity());
            self.set_slots(&settings);
        }
    }

    /// What happened in the last call of [`process`](Self::process).
    pub(crate) fn events(&self) -> &[Event] {
        self.listening.events()
    }

    /// What the meters show.
    pub(crate) fn readings(&self) -> Readings {
        let mut readings = self.listening.readings();
        let adaptation = self.adaptation.as_deref().filter(|_| self.adapts);
        readings.genre = adaptation.map(|adaptation| adaptation.genre().name());
        readings.genre_confidence = adaptation.map(Adaptation::confidence);
        readings.gate_reduction_db = self.gate.get(NoiseGate::reduction_db);
        readings.compressor_reduction_db = self.compressor.get(Compressor::reduction_db);
        readings.limiter_reduction_db = self.limiter.get(Limiter::reduction_db);
        readings
    }

    /// Sample frames by which what comes out lags behind what goes in, with `settings` in force.
    pub(crate) fn delay_samples(settings: &Settings) -> usize {
        let (stream, runs) = (settings.stream(), Runs::of(settings));
        let denoise = Denoise::delay_at(stream, &settings.denoise.parameters);
        let limiter = Limiter::delay_at(stream, &settings.limiter.parameters);
        // The others delay nothing.
        usize::from(runs.denoise) * denoise + usize::from(runs.limiter) * limiter
    }
}

/// Which stages run: those that are switched on and in the session's quality.
#[derive(Debug, Clone, Copy)]
struct Runs {
    denoise: bool,
    gate: bool,
    compressor: bool,
    equaliser: bool,
    spatial: bool,
    limiter: bool,
}

impl Runs {
    fn of(settings: &Settings) -> Runs {
        let quality = settings.quality;
        Runs {
            denoise: settings.denoise.on && quality.has_denoise(),
            gate: settings.noise_gate.on,
            compressor: settings.compressor.on,
            equaliser: settings.equaliser.on,
            spatial: settings.spatial.on && quality.has_spatial(),
            limiter: settings.limiter.on,
        }
    }
}

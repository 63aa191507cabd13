//! All that listens and changes nothing.

use crate::analysis::{LevelMeter, Loudness, SpeechEvent, VoiceActivity};
use crate::{Settings, Stream};

/// Something that was heard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event {
    /// Speech began or ended; counted in sample frames since the stream began.
    Speech(SpeechEvent),
}

/// What the meters show: `None` for what does not run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Readings {
    /// Whether somebody speaks.
    pub speaking: Option<bool>,
    /// RMS of the last 100 ms that came out, in dB relative to full scale.
    pub rms_dbfs: Option<f32>,
    /// Peak of the last 100 ms that came out, in dB relative to full scale.
    pub peak_dbfs: Option<f32>,
    /// Loudness of the last 400 ms that came out.
    pub momentary_lufs: Option<f32>,
    /// Loudness of the last 3 s that came out.
    pub short_term_lufs: Option<f32>,
    /// Loudness of all that came out since the stream began; `None` also before there was any.
    pub integrated_lufs: Option<f32>,
    /// By how much the noise gate turns down at the moment, 0 or more.
    pub gate_reduction_db: Option<f32>,
    /// The same of the compressor.
    pub compressor_reduction_db: Option<f32>,
    /// The same of the limiter.
    pub limiter_reduction_db: Option<f32>,
}

/// At most so many events of one packet are kept: a start and an end for each 16 ms of 120.
const MOST_EVENTS: usize = 16;

#[derive(Debug)]
pub(super) struct Listening {
    voice: Option<Box<VoiceActivity>>,
    meters: Option<Box<(LevelMeter, Loudness)>>,
    hears_voice: bool,
    meters_run: bool,
    events: Vec<Event>,
}

impl Listening {
    pub(super) fn new(settings: &Settings) -> Listening {
        let mut listening = Listening {
            voice: None,
            meters: None,
            hears_voice: false,
            meters_run: false,
            events: Vec::new(),
        };
        listening.start(settings);
        listening
    }

    pub(super) fn start(&mut self, settings: &Settings) {
        (self.hears_voice, self.meters_run) = (false, false);
        self.events.clear();
        self.set(settings);
    }

    /// What is switched on begins anew; what was on goes on.
    pub(super) fn set(&mut self, settings: &Settings) {
        let stream = settings.stream();
        let runs = settings.quality.has_analysis();
        let parameters = &settings.voice_activity.parameters;
        let goes_on = std::mem::replace(&mut self.hears_voice, runs && settings.voice_activity.on);
        match &mut self.voice {
            _ if !self.hears_voice => {}
            Some(voice) if goes_on => voice.set(parameters),
            Some(voice) => voice.start(stream, parameters),
            None => {
                self.events.reserve(MOST_EVENTS);
                self.voice = Some(Box::new(VoiceActivity::new(stream, parameters)));
            }
        }
        let goes_on = std::mem::replace(&mut self.meters_run, runs && settings.metering);
        match &mut self.meters {
            _ if !self.meters_run || goes_on => {}
            Some(meters) => start_meters(meters, stream),
            None => self.meters = Some(Box::new((LevelMeter::new(stream), Loudness::new(stream)))),
        }
    }

    /// A packet begins.
    pub(super) fn begin(&mut self) {
        self.events.clear();
    }

    /// Listens to what came in, and says whether anything does.
    pub(super) fn before(&mut self, block: &[f32]) -> bool {
        if let Some(voice) = self.voice.as_deref_mut().filter(|_| self.hears_voice) {
            voice.process(block, |event| {
                if self.events.len() < MOST_EVENTS {
                    self.events.push(Event::Speech(event));
                }
            });
        }
        self.hears_voice
    }

    /// Listens to what goes out, and says whether anything does.
    pub(super) fn after(&mut self, block: &[f32]) -> bool {
        if let Some((level, loudness)) = self.meters.as_deref_mut().filter(|_| self.meters_run) {
            level.process(block);
            loudness.process(block);
        }
        self.meters_run
    }

    pub(super) fn events(&self) -> &[Event] {
        &self.events
    }

    pub(super) fn readings(&self) -> Readings {
        let voice = self.voice.as_deref().filter(|_| self.hears_voice);
        let meters = self.meters.as_deref().filter(|_| self.meters_run);
        let level = meters.map(|(level, _)| level);
        let loudness = meters.map(|(_, loudness)| loudness);
        Readings {
            speaking: voice.map(VoiceActivity::is_speaking),
            rms_dbfs: level.map(LevelMeter::rms_dbfs),
            peak_dbfs: level.map(LevelMeter::peak_dbfs),
            momentary_lufs: loudness.map(Loudness::momentary_lufs),
            short_term_lufs: loudness.map(Loudness::short_term_lufs),
            integrated_lufs: loudness.and_then(Loudness::integrated_lufs),
            ..Readings::default()
        }
    }
}

fn start_meters((level, loudness): &mut (LevelMeter, Loudness), stream: Stream) {
    level.start(stream);
    loudness.start(stream);
}

//! All that listens and changes nothing.

use serde::Serialize;

use crate::analysis::{LevelMeter, Loudness, SpeechEvent, VoiceActivity};
use crate::genre::Genre;
use crate::{Settings, Stream};

/// Something that was heard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event {
    /// Speech began or ended; counted in sample frames since the stream began.
    Speech(SpeechEvent),
    /// The sound is of another genre than before.
    Genre {
        /// The genre.
        genre: Genre,
        /// How probable it is, 0 to 1.
        confidence: f32,
    },
}

/// What the meters show: `None` for what does not run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Readings {
    /// Whether somebody speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speaking: Option<bool>,
    /// RMS of the last 100 ms that came out, in dB relative to full scale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rms_dbfs: Option<f32>,
    /// Peak of the last 100 ms that came out, in dB relative to full scale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_dbfs: Option<f32>,
    /// Loudness of the last 400 ms that came out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentary_lufs: Option<f32>,
    /// Loudness of the last 3 s that came out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short_term_lufs: Option<f32>,
    /// Loudness of all that came out since the stream began; `None` also before there was any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integrated_lufs: Option<f32>,
    /// What genre the sound is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub genre: Option<&'static str>,
    /// How probable that is, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub genre_confidence: Option<f32>,
    /// By how much the noise gate turns down at the moment, 0 or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate_reduction_db: Option<f32>,
    /// The same of the compressor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compressor_reduction_db: Option<f32>,
    /// The same of the limiter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limiter_reduction_db: Option<f32>,
}

/// At most so many events of one packet are kept: a start and an end for each 16 ms of 120.
const MOST_EVENTS: usize = 16;

#[derive(Debug)]
pub(super) struct Listening {
    voice: Option<Box<VoiceActivity>>,
    meters: Option<Box<(LevelMeter, Loudness)>>,
    hears_voice: bool,
    /// Sample frames since the stream began.
    position: u64,
    meters_run: bool,
    /// The genre that was told last.
    genre: Genre,
    events: Vec<Event>,
}

impl Listening {
    pub(super) fn new(settings: &Settings) -> Listening {
        let mut listening = Listening {
            voice: None,
            meters: None,
            hears_voice: false,
            position: 0,
            meters_run: false,
            genre: Genre::Unknown,
            events: Vec::new(),
        };
        listening.start(settings);
        listening
    }

    pub(super) fn start(&mut self, settings: &Settings) {
        (self.hears_voice, self.meters_run) = (false, false);
        self.position = 0;
        self.genre = Genre::Unknown;
        self.events.clear();
        self.events.reserve(MOST_EVENTS);
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
            built => {
                let voice = built.get_or_insert_with(|| Box::new(VoiceActivity::new(stream, parameters)));
                voice.start(stream, parameters);
                voice.skip(self.position);
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

    /// `frames` of what came in are not listened to, for want of time: nothing does.
    pub(super) fn skip(&mut self, frames: u64) -> bool {
        self.position += frames;
        if let Some(voice) = self.voice.as_deref_mut().filter(|_| self.hears_voice) {
            voice.skip(frames);
        }
        false
    }

    /// Listens to `frames` of what came in, and says whether anything does. `narrow_band` is the same as `block` at 16 kHz and
    /// mono, if there is that already.
    pub(super) fn before(&mut self, frames: u64, block: &[f32], narrow_band: Option<&[f32]>) -> bool {
        self.position += frames;
        if let Some(voice) = self.voice.as_deref_mut().filter(|_| self.hears_voice) {
            let on_event = |event| tell(&mut self.events, Event::Speech(event));
            match narrow_band {
                Some(samples) => voice.process_narrow_band(frames, samples, on_event),
                None => voice.process(block, on_event),
            }
        }
        self.hears_voice
    }

    /// Tells if the sound is of another genre than was told last.
    pub(super) fn hear_genre(&mut self, genre: Genre, confidence: f32) {
        if std::mem::replace(&mut self.genre, genre) != genre {
            tell(&mut self.events, Event::Genre { genre, confidence });
        }
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

fn tell(events: &mut Vec<Event>, event: Event) {
    if events.len() < MOST_EVENTS {
        events.push(event);
    }
}

fn start_meters((level, loudness): &mut (LevelMeter, Loudness), stream: Stream) {
    level.start(stream);
    loudness.start(stream);
}

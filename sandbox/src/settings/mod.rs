//! One session's settings, always valid.
//!
//! Fields are private and typed: a [`Settings`] that exists is one the codec accepts. Raw wishes from outside come
//! in through [`SettingsUpdate`](crate::SettingsUpdate), all or nothing.

mod fields;
mod format;
mod group;
mod update;
mod value;

use std::time::Duration;

use opus::{Application, Channels, Signal};
use serde::ser::{Serialize, SerializeMap, Serializer};

use fields::FIELDS;
pub use format::Format;
use group::Group;
pub use group::Switched;
pub use update::SettingsUpdate;
pub use value::RawValue;

use crate::engine::Engine;
use crate::resample::Resampler;
use crate::{
    CompressorParameters, DenoiseParameters, EqualiserParameters, LimiterParameters, NoiseGateParameters,
    Quality, SpatialParameters, Stream, VoiceActivityParameters,
};

/// The sample rates Opus works at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum SampleRate {
    /// 8 kHz, narrowband.
    Hz8000 = 8_000,
    /// 12 kHz, mediumband.
    Hz12000 = 12_000,
    /// 16 kHz, wideband.
    Hz16000 = 16_000,
    /// 24 kHz, super-wideband.
    Hz24000 = 24_000,
    /// 48 kHz, fullband.
    Hz48000 = 48_000,
}

impl SampleRate {
    /// Every rate, in rising order.
    pub const ALL: [SampleRate; 5] = [
        SampleRate::Hz8000,
        SampleRate::Hz12000,
        SampleRate::Hz16000,
        SampleRate::Hz24000,
        SampleRate::Hz48000,
    ];

    /// The rate in Hz; `None` for one that Opus does not work at.
    pub fn from_hz(hz: u32) -> Option<SampleRate> {
        SampleRate::ALL.into_iter().find(|rate| rate.hz() == hz)
    }

    /// Samples a second.
    pub const fn hz(self) -> u32 {
        self as u32
    }

    /// The place in [`ALL`](Self::ALL).
    pub(crate) fn index(self) -> usize {
        SampleRate::ALL.into_iter().take_while(|rate| *rate < self).count()
    }

    /// Samples of one channel in 2.5 ms, the shortest Opus frame.
    pub const fn samples_per_unit(self) -> usize {
        self as usize / 400
    }

    /// Samples of one channel in 120 ms, the longest packet.
    pub const fn longest_packet(self) -> usize {
        48 * self.samples_per_unit()
    }
}

/// What one session asks of its sandbox.
///
/// The defaults: Opus in and out at 48 kHz mono, balanced quality, voice clarity at intensity 1, 32 kbit/s with variable
/// bitrate, complexity 5, automatic signal type, no DTX, no in-band FEC, no expected loss, VOIP; no time limit a packet,
/// all other stages off, de-noise switched on for when the quality is high.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    pub(crate) sample_rate: SampleRate,
    pub(crate) channels: Channels,
    pub(crate) intensity: f32,
    pub(crate) bitrate: i32,
    pub(crate) vbr: bool,
    pub(crate) complexity: u8,
    pub(crate) dtx: bool,
    pub(crate) signal: Signal,
    pub(crate) fec: bool,
    pub(crate) expected_loss_percent: u8,
    pub(crate) application: Application,
    pub(crate) quality: Quality,
    /// `None` for no limit.
    pub(crate) max_processing_time_ms: Option<f32>,
    pub(crate) input_format: Format,
    pub(crate) output_format: Format,
    /// Hz; `None` for that of the session.
    pub(crate) input_sample_rate: Option<u32>,
    pub(crate) output_sample_rate: Option<u32>,
    pub(crate) framing: bool,
    /// In units of 2.5 ms.
    pub(crate) packet_units: u8,
    pub(crate) metering: bool,
    pub(crate) genre: bool,
    pub(crate) denoise: Switched<DenoiseParameters>,
    pub(crate) noise_gate: Switched<NoiseGateParameters>,
    pub(crate) compressor: Switched<CompressorParameters>,
    pub(crate) equaliser: Switched<EqualiserParameters>,
    pub(crate) limiter: Switched<LimiterParameters>,
    pub(crate) spatial: Switched<SpatialParameters>,
    pub(crate) voice_activity: Switched<VoiceActivityParameters>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            sample_rate: SampleRate::Hz48000,
            channels: Channels::Mono,
            intensity: 1.0,
            bitrate: 32_000,
            vbr: true,
            complexity: 5,
            dtx: false,
            signal: Signal::Auto,
            fec: false,
            expected_loss_percent: 0,
            application: Application::Voip,
            quality: Quality::Balanced,
            max_processing_time_ms: None,
            input_format: Format::Opus,
            output_format: Format::Opus,
            input_sample_rate: None,
            output_sample_rate: None,
            framing: false,
            packet_units: 8,
            metering: false,
            genre: false,
            denoise: Switched { on: true, ..Switched::default() },
            noise_gate: Switched::default(),
            compressor: Switched::default(),
            equaliser: Switched::default(),
            limiter: Switched::default(),
            spatial: Switched::default(),
            voice_activity: Switched::default(),
        }
    }
}

impl Settings {
    /// The rate of decoded and encoded samples.
    pub fn sample_rate(&self) -> SampleRate {
        self.sample_rate
    }

    /// Channels of decoded and encoded samples. A packet with another number of channels is converted.
    pub fn channels(&self) -> Channels {
        self.channels
    }

    /// `channels` as a number: 1 or 2.
    pub fn channel_count(&self) -> usize {
        self.channels as usize
    }

    /// Strength of the voice clarity chain, 0 (off) to 2 (strong).
    pub fn intensity(&self) -> f32 {
        self.intensity
    }

    /// Target bitrate of the encoder in bit/s.
    pub fn bitrate(&self) -> i32 {
        self.bitrate
    }

    /// Whether the bitrate may vary around its target (constrained VBR).
    pub fn vbr(&self) -> bool {
        self.vbr
    }

    /// Computational effort of the encoder, 0 to 10.
    pub fn complexity(&self) -> u8 {
        self.complexity
    }

    /// Whether silence is sent as packets of 1 or 2 bytes (discontinuous transmission).
    pub fn dtx(&self) -> bool {
        self.dtx
    }

    /// What the encoder takes the signal for.
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// Whether packets carry a coarse copy of the one before (in-band forward error correction).
    pub fn fec(&self) -> bool {
        self.fec
    }

    /// The packet loss the encoder prepares for, in percent.
    pub fn expected_loss_percent(&self) -> u8 {
        self.expected_loss_percent
    }

    /// What the encoder is tuned for.
    pub fn application(&self) -> Application {
        self.application
    }

    /// Which stages may run.
    pub fn quality(&self) -> Quality {
        self.quality
    }

    /// After how long a packet goes on without optional stages; `None` for no limit.
    pub fn max_processing_time(&self) -> Option<Duration> {
        self.max_processing_time_ms.map(|ms| Duration::from_secs_f32(ms / 1_000.0))
    }

    /// What packets that come in hold.
    pub fn input_format(&self) -> Format {
        self.input_format
    }

    /// What packets that go out hold.
    pub fn output_format(&self) -> Format {
        self.output_format
    }

    /// The rate of PCM that comes in, in Hz: the session's unless another one is set.
    pub fn input_sample_rate(&self) -> u32 {
        self.input_sample_rate.unwrap_or(self.sample_rate.hz())
    }

    /// The rate of PCM that goes out, in Hz: the session's unless another one is set.
    pub fn output_sample_rate(&self) -> u32 {
        self.output_sample_rate.unwrap_or(self.sample_rate.hz())
    }

    /// Whether messages hold any number of packets ([`framing`](crate::framing)), or are a packet each.
    pub fn framing(&self) -> bool {
        self.framing
    }

    /// Samples of one channel in an Opus packet that is made of PCM.
    pub fn packet_samples(&self) -> usize {
        usize::from(self.packet_units) * self.sample_rate.samples_per_unit()
    }

    /// What the engine's stages are told of the stream.
    pub fn stream(&self) -> Stream {
        Stream { sample_rate_hz: self.sample_rate.hz(), channels: self.channel_count() }
    }

    /// The same at another rate.
    #[must_use]
    pub fn with_sample_rate(mut self, sample_rate: SampleRate) -> Settings {
        self.sample_rate = sample_rate;
        self
    }

    /// The same with another number of channels.
    #[must_use]
    pub fn with_channels(mut self, channels: Channels) -> Settings {
        self.channels = channels;
        self
    }

    /// By how much what comes out lags behind what goes in, in sound: the stages' look-ahead, the encoder's (6.5 ms, or
    /// 2.5 ms when it is tuned for low delay; RFC 6716, section 2), and the resamplers' of PCM. Not in it is the time that
    /// PCM waits for an Opus packet to be full.
    pub fn delay(&self) -> Duration {
        let at = |samples: usize, hz: u32| Duration::from_secs_f64(samples as f64 / f64::from(hz));
        let hz = self.sample_rate.hz();
        let converting = |from, to| at(Resampler::delay_between(from, to), to);
        let input = match self.input_format {
            Format::Opus => Duration::ZERO,
            Format::Pcm(_) => converting(self.input_sample_rate(), hz),
        };
        let output = match self.output_format {
            Format::Opus => at(self.encoder_delay_samples(), hz),
            Format::Pcm(_) => converting(hz, self.output_sample_rate()),
        };
        input + at(self.engine_delay_samples(), hz) + output
    }

    /// Samples of one channel by which stages and encoder together delay the sound.
    pub fn delay_samples(&self) -> usize {
        self.engine_delay_samples() + self.encoder_delay_samples()
    }

    /// Samples of one channel by which the stages delay the sound.
    pub fn engine_delay_samples(&self) -> usize {
        Engine::delay_samples(self)
    }

    /// Samples of one channel by which the encoder delays the sound.
    pub fn encoder_delay_samples(&self) -> usize {
        let unit = self.sample_rate.samples_per_unit();
        match self.application {
            Application::LowDelay => unit,
            Application::Voip | Application::Audio => unit + self.sample_rate as usize / 250,
        }
    }

    /// The names of all that can be switched: the stages, and what only listens.
    pub fn switches() -> impl Iterator<Item = &'static str> {
        let groups = Settings::default().groups().map(|(name, _)| name);
        groups.into_iter().chain(["metering", "genre"])
    }

    /// The stages' parameters, by the stages' names.
    fn groups(&self) -> [(&'static str, &dyn Group); 7] {
        [
            ("denoise", &self.denoise),
            ("noise_gate", &self.noise_gate),
            ("compressor", &self.compressor),
            ("equaliser", &self.equaliser),
            ("spatial", &self.spatial),
            ("limiter", &self.limiter),
            ("voice_activity", &self.voice_activity),
        ]
    }

    fn groups_mut(&mut self) -> [(&'static str, &mut dyn Group); 7] {
        [
            ("denoise", &mut self.denoise),
            ("noise_gate", &mut self.noise_gate),
            ("compressor", &mut self.compressor),
            ("equaliser", &mut self.equaliser),
            ("spatial", &mut self.spatial),
            ("limiter", &mut self.limiter),
            ("voice_activity", &mut self.voice_activity),
        ]
    }

    /// Whether going from `self` to `other` changes what a stream consists of, so that all must begin anew: libopus fixes
    /// rate, channels and application at initialisation, and so do the resamplers.
    pub(crate) fn same_stream(&self, other: &Settings) -> bool {
        let stream = |settings: &Settings| {
            (
                (settings.sample_rate, settings.channels, settings.application),
                (settings.input_format, settings.input_sample_rate()),
                (settings.output_format, settings.output_sample_rate(), settings.packet_units),
            )
        };
        stream(self) == stream(other)
    }
}

/// The wire form: the names and spellings that [`SettingsUpdate`] accepts.
impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let groups = self.groups();
        let mut map = serializer.serialize_map(Some(FIELDS.len() + groups.len()))?;
        for field in FIELDS {
            map.serialize_entry(field.name, &(field.get)(self))?;
        }
        for (name, group) in groups {
            map.serialize_entry(name, group)?;
        }
        map.end()
    }
}

//! One session's settings, always valid.
//!
//! Fields are private and typed: a [`Settings`] that exists is one the codec accepts. Raw wishes from outside come
//! in through [`SettingsUpdate`](crate::SettingsUpdate), all or nothing.

mod fields;
mod group;
mod update;
mod value;

use opus::{Application, Channels, Signal};
use serde::ser::{Serialize, SerializeMap, Serializer};

use fields::FIELDS;
use group::Group;
pub use group::Switched;
pub use update::SettingsUpdate;
pub use value::RawValue;

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

/// What one session asks of its sandbox. Cheap to copy and compare.
///
/// The defaults: 48 kHz mono, intensity 1, 32 kbit/s with variable bitrate, complexity 5, automatic signal type, no
/// DTX, no in-band FEC, no expected loss, VOIP.
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

    /// Samples of one channel by which a packet's answer lags behind the packet: the encoder's look-ahead of 6.5 ms, or
    /// 2.5 ms when it is tuned for low delay (RFC 6716, section 2). The filters look at nothing that is yet to come.
    pub fn delay_samples(&self) -> usize {
        let unit = self.sample_rate.samples_per_unit();
        match self.application {
            Application::LowDelay => unit,
            Application::Voip | Application::Audio => unit + self.sample_rate as usize / 250,
        }
    }

    /// The stages' parameters, by the stages' names.
    fn groups(&self) -> [(&'static str, &dyn Group); 0] {
        []
    }

    fn groups_mut(&mut self) -> [(&'static str, &mut dyn Group); 0] {
        []
    }

    /// Whether going from `self` to `other` needs a codec that starts anew: libopus fixes these at initialisation.
    pub(crate) fn same_stream(&self, other: &Settings) -> bool {
        (self.sample_rate, self.channels, self.application)
            == (other.sample_rate, other.channels, other.application)
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

//! The table of all settings: name, what is accepted, how it is read and written.
//!
//! Checking, the wire form, the errors and the documentation all come from here. A stage's parameters lie in a
//! [`Group`], whose own table is the stage's.

use opus::{Application, Channels, Signal};

use super::value::{short, RawValue};
use super::{Format, SampleRate, Settings};
use crate::resample::RATES_HZ;
use crate::Quality;

/// One setting.
pub(super) struct Field {
    /// As clients write it.
    pub(super) name: &'static str,
    /// What is accepted, for people.
    pub(super) accepted: &'static str,
    pub(super) get: fn(&Settings) -> RawValue,
    /// The setting with this value; `None` if it is not accepted.
    pub(super) set: fn(&mut Settings, &RawValue) -> Option<()>,
}

/// In the order in which they are reported.
pub(super) const FIELDS: &[Field] = &[
    Field {
        name: "sample_rate",
        accepted: "8000, 12000, 16000, 24000 or 48000 (Hz)",
        get: |settings| i64::from(settings.sample_rate.hz()).into(),
        set: |settings, raw| {
            let hz = u32::try_from(raw.whole()?).ok()?;
            SampleRate::from_hz(hz).map(|rate| settings.sample_rate = rate)
        },
    },
    Field {
        name: "channels",
        accepted: "1, 2, \"mono\" or \"stereo\"",
        get: |settings| (settings.channels as i64).into(),
        set: |settings, raw| {
            settings.channels = match (raw.whole(), raw.text()) {
                (Some(1), _) | (_, Some("mono")) => Channels::Mono,
                (Some(2), _) | (_, Some("stereo")) => Channels::Stereo,
                _ => return None,
            };
            Some(())
        },
    },
    Field {
        name: "quality",
        accepted: "\"battery_saver\", \"balanced\" or \"high_quality\"",
        get: |settings| name_of(&Quality::NAMES, settings.quality),
        set: |settings, raw| {
            settings.quality = of_name(&Quality::NAMES, raw)?;
            settings.complexity = settings.quality.complexity();
            Some(())
        },
    },
    Field {
        name: "max_processing_time_ms",
        accepted: "0 for no limit, or a number up to 1000",
        get: |settings| short(settings.max_processing_time_ms.unwrap_or(0.0)).into(),
        set: |settings, raw| {
            let ms = raw.number_within(0.0, 1_000.0)?;
            settings.max_processing_time_ms = Some(ms).filter(|ms| *ms > 0.0);
            Some(())
        },
    },
    Field {
        name: "input_format",
        accepted: FORMAT,
        get: |settings| name_of(&Format::NAMES, settings.input_format),
        set: |settings, raw| of_name(&Format::NAMES, raw).map(|format| settings.input_format = format),
    },
    Field {
        name: "output_format",
        accepted: FORMAT,
        get: |settings| name_of(&Format::NAMES, settings.output_format),
        set: |settings, raw| of_name(&Format::NAMES, raw).map(|format| settings.output_format = format),
    },
    Field {
        name: "input_sample_rate",
        accepted: PCM_RATE,
        get: |settings| pcm_rate(settings.input_sample_rate),
        set: |settings, raw| of_pcm_rate(raw).map(|rate| settings.input_sample_rate = rate),
    },
    Field {
        name: "output_sample_rate",
        accepted: PCM_RATE,
        get: |settings| pcm_rate(settings.output_sample_rate),
        set: |settings, raw| of_pcm_rate(raw).map(|rate| settings.output_sample_rate = rate),
    },
    Field {
        name: "framing",
        accepted: FLAG,
        get: |settings| settings.framing.into(),
        set: |settings, raw| raw.flag().map(|value| settings.framing = value),
    },
    Field {
        name: "packet_ms",
        accepted: "2.5, 5, 10, 20, 40, 60, 80, 100 or 120 (ms)",
        get: |settings| (f64::from(settings.packet_units) * 2.5).into(),
        set: |settings, raw| {
            let ms = raw.number_within(2.5, 120.0)?;
            let units =
                [1, 2, 4, 8, 16, 24, 32, 40, 48].into_iter().find(|units| f32::from(*units) * 2.5 == ms);
            units.map(|units| settings.packet_units = units)
        },
    },
    Field {
        name: "metering",
        accepted: FLAG,
        get: |settings| settings.metering.into(),
        set: |settings, raw| raw.flag().map(|value| settings.metering = value),
    },
    Field {
        name: "genre",
        accepted: FLAG,
        get: |settings| settings.genre.into(),
        set: |settings, raw| raw.flag().map(|value| settings.genre = value),
    },
    Field {
        name: "intensity",
        accepted: "a number from 0 to 2",
        get: |settings| short(settings.intensity).into(),
        set: |settings, raw| raw.number_within(0.0, 2.0).map(|value| settings.intensity = value),
    },
    Field {
        name: "bitrate",
        accepted: "a whole number from 6000 to 510000 (bit/s)",
        get: |settings| i64::from(settings.bitrate).into(),
        set: |settings, raw| raw.whole_within(6_000, 510_000).map(|value| settings.bitrate = value),
    },
    Field {
        name: "vbr",
        accepted: FLAG,
        get: |settings| settings.vbr.into(),
        set: |settings, raw| raw.flag().map(|value| settings.vbr = value),
    },
    Field {
        name: "complexity",
        accepted: "a whole number from 0 to 10",
        get: |settings| i64::from(settings.complexity).into(),
        set: |settings, raw| raw.whole_within(0, 10).map(|value| settings.complexity = value),
    },
    Field {
        name: "dtx",
        accepted: FLAG,
        get: |settings| settings.dtx.into(),
        set: |settings, raw| raw.flag().map(|value| settings.dtx = value),
    },
    Field {
        name: "signal",
        accepted: "\"auto\", \"voice\" or \"music\"",
        get: |settings| name_of(&SIGNALS, settings.signal),
        set: |settings, raw| of_name(&SIGNALS, raw).map(|value| settings.signal = value),
    },
    Field {
        name: "fec",
        accepted: FLAG,
        get: |settings| settings.fec.into(),
        set: |settings, raw| raw.flag().map(|value| settings.fec = value),
    },
    Field {
        name: "expected_loss_percent",
        accepted: "a whole number from 0 to 100",
        get: |settings| i64::from(settings.expected_loss_percent).into(),
        set: |settings, raw| raw.whole_within(0, 100).map(|value| settings.expected_loss_percent = value),
    },
    Field {
        name: "application",
        accepted: "\"voip\", \"audio\" or \"lowdelay\"",
        get: |settings| name_of(&APPLICATIONS, settings.application),
        set: |settings, raw| of_name(&APPLICATIONS, raw).map(|value| settings.application = value),
    },
];

const FLAG: &str = "true or false";
const FORMAT: &str = "\"opus\", \"f32le\", \"s24le\" or \"s16le\"";
const PCM_RATE: &str =
    "\"same\" (as sample_rate), 8000, 12000, 16000, 22050, 24000, 32000, 44100, 48000 or 96000 (Hz)";
const SAME: &str = "same";

fn pcm_rate(rate: Option<u32>) -> RawValue {
    rate.map_or(SAME.into(), |hz| i64::from(hz).into())
}

fn of_pcm_rate(raw: &RawValue) -> Option<Option<u32>> {
    if raw.text() == Some(SAME) {
        return Some(None);
    }
    let hz = u32::try_from(raw.whole()?).ok()?;
    RATES_HZ.contains(&hz).then_some(Some(hz))
}

const SIGNALS: [(&str, Signal); 3] =
    [("auto", Signal::Auto), ("voice", Signal::Voice), ("music", Signal::Music)];

const APPLICATIONS: [(&str, Application); 3] =
    [("voip", Application::Voip), ("audio", Application::Audio), ("lowdelay", Application::LowDelay)];

fn name_of<T: PartialEq>(names: &[(&'static str, T)], value: T) -> RawValue {
    names.iter().find(|(_, known)| *known == value).map_or(RawValue::Null(()), |(name, _)| (*name).into())
}

fn of_name<T: Copy>(names: &[(&'static str, T)], raw: &RawValue) -> Option<T> {
    let name = raw.text()?;
    names.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

//! The table of all settings: name, what is accepted, how it is read and written.
//!
//! Checking, the wire form, the errors and the documentation all come from here. A stage's parameters lie in a
//! [`Group`], whose own table is the stage's.

use opus::{Application, Channels, Signal};

use super::value::RawValue;
use super::{SampleRate, Settings};

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
        name: "intensity",
        accepted: "a number from 0 to 2",
        get: |settings| f64::from(settings.intensity).into(),
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

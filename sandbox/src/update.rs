//! Settings as clients write them, and the one place where they are checked.

use opus::{Application, Channels, Signal};
use serde::de::IgnoredAny;
use serde::Deserialize;

use crate::{SampleRate, SettingError, Settings};

/// Longest part of a refused text that an error repeats, in characters.
const GOT_CHARS: usize = 40;

/// One value as a client wrote it, of whatever type, so that a wrong type is refused by the setting's name as well.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum RawValue {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Number(f64),
    /// A text.
    Text(String),
    /// A list, a map, or a number that fits nowhere.
    Other(Ignored),
}

/// A value that was read and thrown away.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(transparent)]
pub struct Ignored(IgnoredAny);

impl PartialEq for Ignored {
    fn eq(&self, _: &Ignored) -> bool {
        true
    }
}

impl RawValue {
    /// The value that `text` spells: a number, `true` or `false`, or itself. For sources that know only text, such as
    /// a query string.
    pub fn from_text(text: &str) -> RawValue {
        match (text.parse(), text.parse(), text.parse()) {
            (Ok(whole), _, _) => RawValue::Integer(whole),
            (_, Ok(number), _) => RawValue::Number(number),
            (_, _, Ok(flag)) => RawValue::Bool(flag),
            _ => RawValue::Text(text.to_owned()),
        }
    }
}

impl From<i64> for RawValue {
    fn from(value: i64) -> Self {
        RawValue::Integer(value)
    }
}

impl From<f64> for RawValue {
    fn from(value: f64) -> Self {
        RawValue::Number(value)
    }
}

impl From<bool> for RawValue {
    fn from(value: bool) -> Self {
        RawValue::Bool(value)
    }
}

impl From<&str> for RawValue {
    fn from(value: &str) -> Self {
        RawValue::Text(value.to_owned())
    }
}

/// Wishes for settings, unchecked. What is `None` stays as it is. Fields of other names are passed over when this is
/// deserialised, so it can be flattened into a client's message.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SettingsUpdate {
    /// 8000, 12000, 16000, 24000 or 48000 Hz.
    pub sample_rate: Option<RawValue>,
    /// 1, 2, `"mono"` or `"stereo"`.
    pub channels: Option<RawValue>,
    /// 0 to 2.
    pub intensity: Option<RawValue>,
    /// 6000 to 510000 bit/s (RFC 6716, section 2.1.1).
    pub bitrate: Option<RawValue>,
    /// `true` or `false`.
    pub vbr: Option<RawValue>,
    /// 0 to 10.
    pub complexity: Option<RawValue>,
    /// `true` or `false`.
    pub dtx: Option<RawValue>,
    /// `"auto"`, `"voice"` or `"music"`.
    pub signal: Option<RawValue>,
    /// `true` or `false`.
    pub fec: Option<RawValue>,
    /// 0 to 100 percent.
    pub expected_loss_percent: Option<RawValue>,
    /// `"voip"`, `"audio"` or `"lowdelay"`.
    pub application: Option<RawValue>,
}

impl SettingsUpdate {
    /// The names of all settings, as clients write them.
    pub const FIELDS: [&'static str; 11] = [
        "sample_rate",
        "channels",
        "intensity",
        "bitrate",
        "vbr",
        "complexity",
        "dtx",
        "signal",
        "fec",
        "expected_loss_percent",
        "application",
    ];
}

impl Settings {
    /// These settings with the wishes put on top: all of them, or none and the first that was refused.
    pub fn with(&self, update: &SettingsUpdate) -> Result<Settings, SettingError> {
        let mut next = *self;
        if let Some(raw) = &update.sample_rate {
            next.sample_rate = raw
                .whole()
                .and_then(|hz| u32::try_from(hz).ok())
                .and_then(SampleRate::from_hz)
                .ok_or_else(|| refuse("sample_rate", raw, "8000, 12000, 16000, 24000 or 48000 (Hz)"))?;
        }
        if let Some(raw) = &update.channels {
            next.channels = match (raw.whole(), raw.text()) {
                (Some(1), _) | (_, Some("mono")) => Channels::Mono,
                (Some(2), _) | (_, Some("stereo")) => Channels::Stereo,
                _ => return Err(refuse("channels", raw, "1, 2, \"mono\" or \"stereo\"")),
            };
        }
        if let Some(raw) = &update.intensity {
            next.intensity =
                raw.number()
                    .filter(|value| (0.0..=2.0).contains(value))
                    .ok_or_else(|| refuse("intensity", raw, "a number from 0 to 2"))? as f32;
        }
        if let Some(raw) = &update.bitrate {
            next.bitrate = raw
                .whole_within(6_000, 510_000)
                .ok_or_else(|| refuse("bitrate", raw, "a whole number from 6000 to 510000 (bit/s)"))?;
        }
        if let Some(raw) = &update.complexity {
            next.complexity = raw
                .whole_within(0, 10)
                .ok_or_else(|| refuse("complexity", raw, "a whole number from 0 to 10"))?;
        }
        if let Some(raw) = &update.expected_loss_percent {
            next.expected_loss_percent = raw
                .whole_within(0, 100)
                .ok_or_else(|| refuse("expected_loss_percent", raw, "a whole number from 0 to 100"))?;
        }
        for (field, raw, target) in [
            ("vbr", &update.vbr, &mut next.vbr),
            ("dtx", &update.dtx, &mut next.dtx),
            ("fec", &update.fec, &mut next.fec),
        ] {
            match raw {
                None => {}
                Some(RawValue::Bool(value)) => *target = *value,
                Some(raw) => return Err(refuse(field, raw, "true or false")),
            }
        }
        if let Some(raw) = &update.signal {
            next.signal = match raw.text() {
                Some("auto") => Signal::Auto,
                Some("voice") => Signal::Voice,
                Some("music") => Signal::Music,
                _ => return Err(refuse("signal", raw, "\"auto\", \"voice\" or \"music\"")),
            };
        }
        if let Some(raw) = &update.application {
            next.application = match raw.text() {
                Some("voip") => Application::Voip,
                Some("audio") => Application::Audio,
                Some("lowdelay") => Application::LowDelay,
                _ => return Err(refuse("application", raw, "\"voip\", \"audio\" or \"lowdelay\"")),
            };
        }
        Ok(next)
    }
}

impl RawValue {
    fn number(&self) -> Option<f64> {
        match self {
            RawValue::Integer(value) => Some(*value as f64),
            RawValue::Number(value) => Some(*value),
            _ => None,
        }
    }

    /// A whole number; `16000.0` is one too, for there are clients whose numbers are all floats.
    fn whole(&self) -> Option<i64> {
        match self {
            RawValue::Integer(value) => Some(*value),
            RawValue::Number(value) if value.fract() == 0.0 && value.abs() < 1e15 => Some(*value as i64),
            _ => None,
        }
    }

    fn whole_within<T: TryFrom<i64>>(&self, least: i64, most: i64) -> Option<T> {
        self.whole().filter(|value| (least..=most).contains(value)).and_then(|value| T::try_from(value).ok())
    }

    fn text(&self) -> Option<&str> {
        match self {
            RawValue::Text(value) => Some(value),
            _ => None,
        }
    }
}

fn refuse(field: &'static str, raw: &RawValue, accepted: &'static str) -> SettingError {
    let got = match raw {
        RawValue::Bool(value) => value.to_string(),
        RawValue::Integer(value) => value.to_string(),
        RawValue::Number(value) => value.to_string(),
        RawValue::Text(value) if value.chars().count() > GOT_CHARS => {
            format!("{:?}...", value.chars().take(GOT_CHARS).collect::<String>())
        }
        RawValue::Text(value) => format!("{value:?}"),
        RawValue::Other(_) => "a list, a map or a number out of range".to_owned(),
    };
    SettingError { field, got, accepted }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(json: &str) -> Result<Settings, SettingError> {
        Settings::default().with(&serde_json::from_str(json).expect("JSON"))
    }

    #[test]
    fn nothing_asked_for_changes_nothing_and_unknown_names_are_passed_over() {
        assert_eq!(update("{}"), Ok(Settings::default()));
        assert_eq!(
            update(r#"{"command":"config","colour":[1,{"a":2}],"bitrate":null}"#),
            Ok(Settings::default())
        );
    }

    #[test]
    fn every_setting_can_be_set_and_reads_back_as_it_was_written() {
        let json = serde_json::json!({
            "sample_rate": 16000, "channels": 2, "intensity": 1.5, "bitrate": 24000, "vbr": false, "complexity": 9,
            "dtx": true, "signal": "voice", "fec": true, "expected_loss_percent": 12, "application": "lowdelay",
        });
        let settings = update(&json.to_string()).unwrap();
        assert_eq!(serde_json::to_value(settings).unwrap(), json);
    }

    #[test]
    fn numbers_may_be_written_as_floats_and_channels_as_words() {
        let settings = update(r#"{"sample_rate":16000.0,"channels":"stereo","intensity":2}"#).unwrap();
        assert_eq!(settings.sample_rate(), SampleRate::Hz16000);
        assert_eq!(settings.channels(), Channels::Stereo);
        assert_eq!(settings.intensity(), 2.0);
    }

    #[test]
    fn the_ends_of_every_range_are_in_and_what_lies_beyond_is_refused_by_name() {
        for (field, accepted, refused) in [
            (
                "sample_rate",
                vec!["8000", "12000", "48000"],
                vec!["0", "44100", "-16000", "16000.5", "\"16000\"", "1e99"],
            ),
            ("channels", vec!["1", "2", "\"mono\""], vec!["0", "3", "\"five\"", "true", "[1]"]),
            ("intensity", vec!["0", "0.5", "2"], vec!["-0.1", "2.01", "1e400", "\"1\"", "false"]),
            (
                "bitrate",
                vec!["6000", "510000"],
                vec!["5999", "510001", "32000.5", "9223372036854775807", "1e30"],
            ),
            ("vbr", vec!["true", "false"], vec!["1", "\"true\"", "{}"]),
            ("complexity", vec!["0", "10"], vec!["-1", "11", "5.5", "18446744073709551615"]),
            ("dtx", vec!["true", "false"], vec!["0", "[]"]),
            ("signal", vec!["\"auto\"", "\"voice\"", "\"music\""], vec!["\"noise\"", "3001", "\"Voice\""]),
            ("fec", vec!["true", "false"], vec!["2", "\"yes\""]),
            ("expected_loss_percent", vec!["0", "100"], vec!["-1", "101", "0.5"]),
            ("application", vec!["\"voip\"", "\"audio\"", "\"lowdelay\""], vec!["\"\"", "2048"]),
        ] {
            for value in accepted {
                update(&format!("{{\"{field}\":{value}}}")).unwrap_or_else(|error| panic!("{error}"));
            }
            for value in refused {
                // Too large to be read as a number at all: never comes this far.
                let Ok(raw) = serde_json::from_str(&format!("{{\"{field}\":{value}}}")) else {
                    assert_eq!(value, "1e400");
                    continue;
                };
                let error = Settings::default().with(&raw).expect_err(value);
                assert_eq!(error.field, field);
                assert!(error.to_string().starts_with(&format!("{field}: got ")), "{error}");
            }
        }
    }

    #[test]
    fn one_bad_value_changes_nothing_at_all() {
        let settings = Settings::default();
        let raw = serde_json::from_str(r#"{"bitrate":16000,"channels":2,"fec":"perhaps"}"#).unwrap();
        let error = settings.with(&raw).unwrap_err();
        assert_eq!(error.to_string(), "fec: got \"perhaps\", accepted: true or false");
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn an_endless_text_is_repeated_only_in_part() {
        let update =
            SettingsUpdate { signal: Some("x".repeat(1_000_000).as_str().into()), ..Default::default() };
        assert!(Settings::default().with(&update).unwrap_err().got.len() < 60);
    }
}

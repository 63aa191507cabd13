//! Wishes for settings, and the one place where they are checked.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::{Deserializer, Error};
use serde::Deserialize;

use super::fields::FIELDS;
use super::value::{shown_text, RawValue};
use super::Settings;
use crate::SettingError;

/// Wishes for settings by name, unchecked. What is not named, or is null, stays as it is.
///
/// A stage's parameters are named with its own name in front, `compressor.ratio`, or written as a map. Naming a
/// parameter switches the stage on; the stage's own name with `true` or `false` switches it and nothing else:
///
/// ```
/// use sandbox::{Settings, SettingsUpdate};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let wishes = SettingsUpdate::default().with("bitrate", 24_000).with("channels", "stereo");
/// let settings = Settings::default().with(&wishes)?;
/// assert_eq!((settings.bitrate(), settings.channel_count()), (24_000, 2));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SettingsUpdate {
    /// In the order in which they are put in force: a later one overrides an earlier one.
    wishes: Vec<(String, RawValue)>,
}

impl SettingsUpdate {
    /// The same and one wish more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<RawValue>) -> SettingsUpdate {
        self.set(name, value.into());
        self
    }

    /// Adds a wish.
    pub fn set(&mut self, name: &str, value: RawValue) {
        match value {
            RawValue::Map(parts) if !parts.is_empty() => {
                for (part, value) in parts {
                    self.set(&format!("{name}.{part}"), value);
                }
            }
            value => self.wishes.push((name.to_owned(), value)),
        }
    }

    /// The names of all settings, as clients write them: those of a stage's parameters with the stage's in front.
    pub fn names() -> impl Iterator<Item = String> {
        let settings = Settings::default();
        let groups = settings.groups().into_iter().flat_map(|(name, group)| {
            let parameters = (0..group.len()).map(move |index| format!("{name}.{}", group.name(index)));
            std::iter::once(name.to_owned()).chain(parameters.collect::<Vec<_>>())
        });
        FIELDS.iter().map(|field| field.name.to_owned()).chain(groups.collect::<Vec<_>>())
    }
}

/// From a map, such as a JSON object, that names each setting at most once. Its names are checked when the wishes are put
/// in force.
impl<'de> Deserialize<'de> for SettingsUpdate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = BTreeMap::<String, RawValue>::deserialize(deserializer)?;
        let mut update = SettingsUpdate::default();
        map.into_iter().for_each(|(name, value)| update.set(&name, value));
        match update.named_twice() {
            Some(name) => Err(D::Error::custom(format_args!("{} is named twice", shown_text(name)))),
            None => Ok(update),
        }
    }
}

impl SettingsUpdate {
    /// The first setting with a wish that an earlier one contradicts. `compressor.enabled` is another name of `compressor`.
    fn named_twice(&self) -> Option<&str> {
        let one_name = |name: &'_ str| name.strip_suffix(".enabled").unwrap_or(name).to_owned();
        let mut names = BTreeSet::new();
        self.wishes.iter().map(|(name, _)| name.as_str()).find(|name| !names.insert(one_name(name)))
    }
}

impl Settings {
    /// These settings with the wishes put on top: all of them, or none and the first that was refused.
    pub fn with(&self, update: &SettingsUpdate) -> Result<Settings, SettingError> {
        let mut next = *self;
        // What others depend on comes first: the quality, which sets the complexity, and the stages that are switched on
        // by naming a parameter, which a switch of their own overrides.
        for (name, _) in update.wishes.iter().filter(|(_, raw)| *raw != RawValue::Null(())) {
            let stage = name.split_once('.').map(|(stage, _)| stage);
            let group = next.groups_mut().into_iter().find(|(known, _)| Some(*known) == stage);
            group.into_iter().for_each(|(_, group)| group.switch(true));
        }
        for first in [true, false] {
            let mut now = update.wishes.iter().filter(|(name, _)| (name == "quality") == first);
            now.try_for_each(|(name, raw)| next.put(name, raw))?;
        }
        Ok(next)
    }

    fn put(&mut self, name: &str, raw: &RawValue) -> Result<(), SettingError> {
        let is_null = *raw == RawValue::Null(());
        if let Some(field) = FIELDS.iter().find(|field| field.name == name) {
            if is_null {
                return Ok(());
            }
            return (field.set)(self, raw).ok_or_else(|| SettingError::Refused {
                setting: name.to_owned(),
                got: raw.shown(),
                accepted: field.accepted.to_owned(),
            });
        }
        let (group_name, parameter) = match name.split_once('.') {
            Some((group, parameter)) => (group, Some(parameter)),
            None => (name, None),
        };
        let group = self.groups_mut().into_iter().find(|(known, _)| *known == group_name);
        let Some((_, group)) = group else {
            return Err(SettingError::Unknown { name: shown_text(name) });
        };
        match parameter {
            None | Some("enabled") if is_null => {}
            None | Some("enabled") => {
                let on = raw.flag().ok_or_else(|| SettingError::Refused {
                    setting: name.to_owned(),
                    got: raw.shown(),
                    accepted: "true, false or a map of its parameters".to_owned(),
                })?;
                group.switch(on);
            }
            Some(parameter) => {
                let index = (0..group.len())
                    .find(|index| group.name(*index) == parameter)
                    .ok_or_else(|| SettingError::Unknown { name: shown_text(name) })?;
                if is_null {
                    return Ok(());
                }
                group.set(index, raw).ok_or_else(|| SettingError::Refused {
                    setting: name.to_owned(),
                    got: raw.shown(),
                    accepted: group.accepted(index),
                })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use opus::Channels;

    use super::*;
    use crate::SampleRate;

    fn update(json: &str) -> Result<Settings, SettingError> {
        Settings::default().with(&serde_json::from_str(json).expect("JSON"))
    }

    #[test]
    fn nothing_asked_for_changes_nothing() {
        assert_eq!(update("{}"), Ok(Settings::default()));
        let nulls = r#"{"bitrate":null,"compressor":null,"limiter":{"enabled":null,"ceiling_db":null}}"#;
        assert_eq!(update(nulls), Ok(Settings::default()));
    }

    #[test]
    fn a_setting_is_named_once_however_it_is_written() {
        for (json, name) in [
            (r#"{"compressor":{"ratio":4},"compressor.ratio":5}"#, "\"compressor.ratio\""),
            (r#"{"limiter":true,"limiter.enabled":false}"#, "\"limiter.enabled\""),
        ] {
            let error = serde_json::from_str::<SettingsUpdate>(json).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name} is named twice")), "{error}");
        }
        assert!(update(r#"{"limiter":true,"limiter.release_ms":50}"#).is_ok());
    }

    #[test]
    fn a_number_is_repeated_with_its_exponent_where_its_digits_would_be_too_many() {
        for (number, got) in [
            ("1e308", "1e308"),
            ("-1.7976931348623157e308", "-1.7976931348623157e308"),
            ("5e-324", "5e-324"),
            ("18446744073709551616", "18446744073709552000"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("0.5", "0.5"),
        ] {
            for name in ["sample_rate", "compressor.ratio"] {
                let error = update(&format!("{{\"{name}\":{number}}}")).unwrap_err().to_string();
                assert!(error.starts_with(&format!("{name}: got {got}, accepted: ")), "{error}");
            }
        }
        let huge = format!("{{\"intensity\":1{}}}", "0".repeat(300));
        assert!(update(&huge).unwrap_err().to_string().starts_with("intensity: got 1e300, accepted: "));
    }

    #[test]
    fn zero_has_no_sign() {
        let json = r#"{"intensity":-0.0,"spatial.pan":-0.0,"max_processing_time_ms":-0.0}"#;
        let told = serde_json::to_string(&update(json).unwrap()).unwrap();
        assert!(told.contains("\"intensity\":0.0") && told.contains("\"pan\":0.0"), "{told}");
        assert!(!told.contains("-0.0"), "{told}");
    }

    #[test]
    fn a_name_that_there_is_not_is_refused_with_those_that_there_are() {
        let error = update(r#"{"bitrat":1}"#).unwrap_err().to_string();
        assert!(
            error.starts_with("unknown setting \"bitrat\": accepted are sample_rate, channels, "),
            "{error}"
        );
        assert!(matches!(update(r#"{"bitrate":{"deep":[1]}}"#), Err(SettingError::Unknown { .. })));
        assert!(matches!(update(r#"{"bitrat":null}"#), Err(SettingError::Unknown { .. })));
        assert!(matches!(update(r#"{"compressor":{"rate":null}}"#), Err(SettingError::Unknown { .. })));
    }

    #[test]
    fn every_setting_can_be_set_and_reads_back_as_it_was_written() {
        let json = serde_json::json!({
            "sample_rate": 16000, "channels": 2, "quality": "high_quality", "max_processing_time_ms": 2.5,
            "input_format": "s24le", "output_format": "f32le", "input_sample_rate": 44100,
            "output_sample_rate": "same", "framing": true, "packet_ms": 2.5, "metering": true, "genre": true, "intensity": 1.7,
            "bitrate": 24000, "vbr": false, "complexity": 9, "dtx": true, "signal": "voice", "fec": true,
            "expected_loss_percent": 12, "application": "lowdelay",
            "denoise": { "enabled": false, "strength": 0.3 },
            "noise_gate": { "enabled": true, "threshold_db": -41.5, "ratio": 3.0, "knee_db": 1.0, "range_db": 20.0,
                "attack_ms": 1.5, "hold_ms": 11.0, "release_ms": 90.0 },
            "compressor": { "enabled": false, "threshold_db": -21.0, "ratio": 4.0, "knee_db": 3.0, "attack_ms": 7.0,
                "release_ms": 70.0, "make_up_db": 2.0 },
            "spatial": { "enabled": true, "width": 1.4, "depth": 0.2, "pan": -0.1 },
            "limiter": { "enabled": true, "ceiling_db": -3.0, "look_ahead_ms": 2.0, "release_ms": 50.0 },
            "voice_activity": { "enabled": true, "threshold": 0.6, "hang_over_ms": 200.0, "minimum_speech_ms": 40.0 },
        });
        let settings = update(&json.to_string()).unwrap();
        let mut told = serde_json::to_value(settings).unwrap();
        let equaliser = told.as_object_mut().unwrap().remove("equaliser").unwrap();
        assert_eq!(told, json);
        assert_eq!((&equaliser["enabled"], &equaliser["band_5_kind"]), (&false.into(), &"off".into()));
        told["equaliser"] = equaliser;
        told["equaliser"]["band_2_kind"] = "low_shelf".into();
        told["equaliser"]["band_5_gain_db"] = (-3.5).into();
        assert_eq!(serde_json::to_value(update(&told.to_string()).unwrap()).unwrap(), told);
    }

    #[test]
    fn naming_a_parameter_switches_its_stage_on_unless_a_switch_says_otherwise() {
        let on = |json| update(json).unwrap().compressor.on;
        assert!(on(r#"{"compressor":true}"#));
        assert!(on(r#"{"compressor":{"ratio":4}}"#));
        assert!(on(r#"{"compressor.ratio":4}"#));
        assert!(!on(r#"{"compressor":{"ratio":4,"enabled":false}}"#));
        assert!(!on(r#"{"compressor":{"enabled":false,"attack_ms":4}}"#));
        assert!(!on("{}"));
    }

    #[test]
    fn a_quality_brings_its_complexity_unless_one_is_asked_for() {
        let complexity = |json| update(json).unwrap().complexity();
        assert_eq!(complexity("{}"), Settings::default().quality().complexity());
        assert_eq!(complexity(r#"{"quality":"battery_saver"}"#), 2);
        assert_eq!(complexity(r#"{"complexity":7,"quality":"high_quality"}"#), 7);
    }

    #[test]
    fn a_stages_parameter_is_refused_by_its_whole_name_with_its_range_or_words() {
        for (json, said) in [
            (r#"{"compressor":{"ratio":0.5}}"#, "compressor.ratio: got 0.5, accepted: a number from 1 to 50"),
            (r#"{"compressor":{"ratio":"4"}}"#, "compressor.ratio: got \"4\", accepted: a number from 1 to 50"),
            (
                r#"{"compressor":{}}"#,
                "compressor: got an empty map, accepted: true, false or a map of its parameters",
            ),
            (r#"{"limiter":{"ceiling_db":[1]}}"#, "limiter.ceiling_db: got a list, accepted: a number from -20 to 0"),
            (r#"{"limiter.ceiling_db":"NaN"}"#, "limiter.ceiling_db: got \"NaN\", accepted: a number from -20 to 0"),
            (r#"{"compressor":7}"#, "compressor: got 7, accepted: true, false or a map of its parameters"),
            (
                r#"{"equaliser":{"band_1_kind":"notch"}}"#,
                "equaliser.band_1_kind: got \"notch\", accepted: \"off\", \"peak\", \"low_shelf\", \"high_shelf\", \
                 \"low_pass\", \"high_pass\"",
            ),
        ] {
            assert_eq!(update(json).unwrap_err().to_string(), said);
        }
        let unknown = update(r#"{"compressor":{"rate":4}}"#).unwrap_err().to_string();
        assert!(unknown.starts_with("unknown setting \"compressor.rate\": accepted are "), "{unknown}");
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
            ("quality", vec!["\"balanced\""], vec!["\"best\"", "1"]),
            ("max_processing_time_ms", vec!["0", "0.5", "1000"], vec!["-1", "1001", "\"5\""]),
            ("input_format", vec!["\"opus\"", "\"s16le\""], vec!["\"mp3\"", "16"]),
            ("output_format", vec!["\"f32le\""], vec!["\"s16be\""]),
            ("input_sample_rate", vec!["\"same\"", "22050", "96000"], vec!["11025", "0", "\"44100\""]),
            ("output_sample_rate", vec!["44100"], vec!["44099.5", "192000"]),
            ("framing", vec!["true"], vec!["1"]),
            ("packet_ms", vec!["2.5", "20", "120"], vec!["0", "3", "30", "140", "\"20\""]),
            ("metering", vec!["true"], vec!["\"yes\""]),
            ("genre", vec!["true"], vec!["\"rock\""]),
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
        let update = SettingsUpdate::default().with("signal", "x".repeat(1_000_000).as_str());
        assert!(Settings::default().with(&update).unwrap_err().to_string().len() < 150);
    }
}

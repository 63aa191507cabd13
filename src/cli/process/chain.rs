//! The stages and settings that the command line asks for, checked against the settings' own table.
//!
//! ```text
//!   --chain noise_gate,compressor:ratio=4:threshold_db=-24,limiter     these stages and no others
//!   --set compressor.ratio=4                                           one setting
//! ```
//!
//! Names and ranges are the settings' own. Voice clarity, which the settings know by its `intensity` only, is a stage
//! here like all others, and so is what listens: voice activity, and the genre that the chain follows.

use sandbox::{RawValue, SettingError, Settings, SettingsUpdate};
use thiserror::Error;

/// A stage that the settings know by [`INTENSITY`] only.
const VOICE_CLARITY: &str = "voice_clarity";
const INTENSITY: &str = "intensity";
/// What is switched like a stage and is none: a recording is measured by the report.
const METERING: &str = "metering";
/// A chain without any stage.
const NONE: &str = "none";

/// Why a chain or a setting is not accepted.
#[derive(Debug, Clone, PartialEq, Error)]
pub(super) enum ChainError {
    #[error("unknown stage {name:?}: accepted are {}", stages().join(", "))]
    UnknownStage { name: String },
    #[error("{stage} has no parameter {name:?}: accepted are {}", or_none(&parameters(stage)))]
    UnknownParameter { stage: String, name: String },
    #[error("{name} is named twice")]
    Twice { name: String },
    #[error("no value in {got:?}: expected {expected}")]
    NoValue { got: String, expected: &'static str },
    #[error(transparent)]
    Refused(#[from] SettingError),
}

/// Stages that are switched on; all others are switched off.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    /// To be put on top of any settings.
    pub(super) update: SettingsUpdate,
    /// The stages that are switched on.
    pub(super) named: Vec<String>,
}

/// One setting.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    /// As the settings have it: `compressor.ratio`, or `limiter`.
    pub(super) name: String,
    pub(super) value: RawValue,
}

impl Wish {
    /// The stage that it is for.
    pub(super) fn stage(&self) -> &str {
        self.name.split_once('.').map_or(&self.name, |(stage, _)| stage)
    }
}

/// All that a chain may name.
fn stages() -> Vec<&'static str> {
    let switches = Settings::switches().filter(|name| *name != METERING);
    std::iter::once(VOICE_CLARITY).chain(switches).collect()
}

fn or_none(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

fn parameters(stage: &str) -> Vec<String> {
    if stage == VOICE_CLARITY {
        return vec![INTENSITY.to_owned()];
    }
    let inside = format!("{stage}.");
    SettingsUpdate::names().filter_map(|name| name.strip_prefix(&inside).map(str::to_owned)).collect()
}

/// What is behind `--chain`.
pub(super) fn parse_chain(text: &str) -> Result<Chain, ChainError> {
    let known = stages();
    let mut update = SettingsUpdate::default().with(INTENSITY, 0);
    known.iter().filter(|stage| **stage != VOICE_CLARITY).for_each(|stage| update.set(stage, false.into()));
    let mut named: Vec<String> = Vec::new();
    for link in text.split(',').map(str::trim).filter(|_| text.trim() != NONE) {
        let mut parts = link.split(':').map(str::trim);
        let stage = parts.next().unwrap_or_default().to_owned();
        if !known.contains(&stage.as_str()) {
            return Err(ChainError::UnknownStage { name: stage });
        }
        if named.contains(&stage) {
            return Err(ChainError::Twice { name: stage });
        }
        match stage.as_str() {
            VOICE_CLARITY => update.set(INTENSITY, f64::from(Settings::default().intensity()).into()),
            _ => update.set(&stage, true.into()),
        }
        let mut set: Vec<&str> = Vec::new();
        for part in parts {
            let (name, value) = part.split_once('=').ok_or_else(|| ChainError::NoValue {
                got: part.to_owned(),
                expected: "name:parameter=value:parameter=value",
            })?;
            if !parameters(&stage).iter().any(|known| known == name) {
                return Err(ChainError::UnknownParameter { stage, name: name.to_owned() });
            }
            if set.contains(&name) {
                return Err(ChainError::Twice { name: format!("{stage}.{name}") });
            }
            set.push(name);
            match stage.as_str() {
                VOICE_CLARITY => update.set(name, RawValue::from_text(value)),
                _ => update.set(&format!("{stage}.{name}"), RawValue::from_text(value)),
            }
        }
        named.push(stage);
    }
    Settings::default().with(&update)?;
    Ok(Chain { update, named })
}

/// What is behind one `--set`.
pub(super) fn parse_wish(text: &str) -> Result<Wish, ChainError> {
    let (name, value) = text.split_once('=').ok_or_else(|| ChainError::NoValue {
        got: text.to_owned(),
        expected: "stage.parameter=value, stage=true or stage=false",
    })?;
    let (name, value) = (name.trim(), RawValue::from_text(value.trim()));
    let (stage, parameter) = match name.split_once('.') {
        // What sessions call it.
        _ if name == INTENSITY => (VOICE_CLARITY, Some(INTENSITY)),
        Some((stage, parameter)) => (stage, Some(parameter)),
        None => (name, None),
    };
    let stage = stage.to_owned();
    if !stages().contains(&stage.as_str()) {
        return Err(ChainError::UnknownStage { name: stage });
    }
    if let Some(parameter) = parameter.filter(|name| !parameters(&stage).iter().any(|known| known == name)) {
        return Err(ChainError::UnknownParameter { stage, name: parameter.to_owned() });
    }
    let wish = match (stage.as_str(), parameter, &value) {
        (VOICE_CLARITY, Some(_), _) => Wish { name: INTENSITY.to_owned(), value },
        (VOICE_CLARITY, None, RawValue::Bool(on)) => {
            let intensity = if *on { Settings::default().intensity() } else { 0.0 };
            Wish { name: INTENSITY.to_owned(), value: f64::from(intensity).into() }
        }
        (VOICE_CLARITY, None, _) => {
            return Err(ChainError::NoValue {
                got: text.to_owned(),
                expected: "voice_clarity=true, voice_clarity=false or voice_clarity.intensity=1",
            })
        }
        _ => Wish { name: name.to_owned(), value },
    };
    Settings::default().with(&SettingsUpdate::default().with(&wish.name, wish.value.clone()))?;
    Ok(wish)
}

#[cfg(test)]
mod tests {
    use serde_json::{json, Value};

    use super::*;

    fn in_force(chain: &str) -> Value {
        serde_json::to_value(Settings::default().with(&parse_chain(chain).unwrap().update).unwrap()).unwrap()
    }

    fn on(settings: &Value) -> Vec<&'static str> {
        let is_on = |stage: &&str| settings[*stage]["enabled"] == true || settings[*stage] == true;
        stages().into_iter().filter(is_on).collect()
    }

    #[test]
    fn what_is_named_is_on_and_nothing_else_is() {
        let settings = in_force("limiter, noise_gate,compressor:ratio=4:threshold_db=-24");
        assert_eq!(on(&settings), ["noise_gate", "compressor", "limiter"]);
        assert_eq!(settings["intensity"], 0.0);
        assert_eq!(settings["compressor"]["ratio"], 4.0);
        assert_eq!(settings["compressor"]["threshold_db"], -24.0);
        assert_eq!(on(&in_force("genre, limiter")), ["limiter", "genre"]);
        assert_eq!(on(&in_force("none")), [""; 0]);
        assert_eq!(in_force("voice_clarity")["intensity"], 1.0);
        assert_eq!(in_force("voice_clarity:intensity=1.5")["intensity"], 1.5);
        assert_eq!(in_force("equaliser:band_1_kind=peak")["equaliser"]["band_1_kind"], "peak");
    }

    #[test]
    fn a_single_setting_switches_its_stage_on_after_the_chain() {
        let chain = Settings::default().with(&parse_chain("limiter").unwrap().update).unwrap();
        let wish = parse_wish("compressor.ratio=4").unwrap();
        let settings = chain.with(&SettingsUpdate::default().with(&wish.name, wish.value)).unwrap();
        assert_eq!(on(&serde_json::to_value(settings).unwrap()), ["compressor", "limiter"]);
        assert_eq!(parse_wish("genre=true").unwrap().value, RawValue::Bool(true));
        assert_eq!(parse_wish("voice_clarity=false").unwrap().value, RawValue::Number(0.0));
        assert_eq!(json!(parse_wish("voice_clarity.intensity=2").unwrap().value), json!(2));
        let intensity = parse_wish("intensity=0.5").unwrap();
        assert_eq!((intensity.name.as_str(), intensity.value), ("intensity", RawValue::Number(0.5)));
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_accepted() {
        let chain = |text| parse_chain(text).unwrap_err().to_string();
        let wish = |text| parse_wish(text).unwrap_err().to_string();
        for (message, expected) in [
            (chain("gate"), "unknown stage \"gate\": accepted are voice_clarity, denoise, noise_gate, "),
            (chain(""), "unknown stage \"\": accepted are "),
            (chain("limiter,limiter"), "limiter is named twice"),
            (chain("compressor:ratio=4:knee_db=1:ratio=5"), "compressor.ratio is named twice"),
            (
                chain("compressor:rate=4"),
                "compressor has no parameter \"rate\": accepted are threshold_db, ratio, ",
            ),
            (chain("genre:name=rock"), "genre has no parameter \"name\": accepted are none"),
            (chain("compressor:ratio"), "no value in \"ratio\": expected name:parameter=value"),
            (chain("compressor:ratio=0.5"), "compressor.ratio: got 0.5, accepted: a number from 1 to 50"),
            (chain("compressor:ratio=nan"), "compressor.ratio: got NaN, accepted: a number from 1 to 50"),
            (chain("voice_clarity:intensity=3"), "intensity: got 3, accepted: a number from 0 to 2"),
            (wish("limiter"), "no value in \"limiter\": expected stage.parameter=value"),
            (wish("bitrate=6000"), "unknown stage \"bitrate\": accepted are "),
            (wish("limiter.ceiling=1"), "limiter has no parameter \"ceiling\": accepted are ceiling_db, "),
            (wish("genre=rock"), "genre: got \"rock\", accepted: true or false"),
            (wish("genre.name=rock"), "genre has no parameter \"name\": accepted are none"),
            (wish("limiter=perhaps"), "limiter: got \"perhaps\", accepted: true, false"),
            (wish("voice_clarity=3"), "expected voice_clarity=true, "),
            (wish("intensity=3"), "intensity: got 3, accepted: a number from 0 to 2"),
        ] {
            assert!(message.contains(expected), "{message} should contain {expected}");
        }
    }
}

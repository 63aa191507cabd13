//! One value as a client wrote it, before anybody has checked it.

use std::collections::BTreeMap;
use std::io::Write;

use serde::{Deserialize, Serialize};

/// Longest part of a refused text that an error repeats, in characters.
const GOT_CHARS: usize = 40;

/// Longest number that an error repeats in all its digits; a longer one is told with its exponent, in 24 at most.
const GOT_DIGITS: usize = 20;

/// One value as a client wrote it, of whatever type, so that a wrong type is refused by the setting's name as well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Values in their order.
    List(Vec<RawValue>),
    /// Values by name.
    Map(BTreeMap<String, RawValue>),
    /// Nothing: the setting stays as it is.
    Null(()),
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

    pub(super) fn flag(&self) -> Option<bool> {
        match self {
            RawValue::Bool(value) => Some(*value),
            _ => None,
        }
    }

    pub(super) fn number_within(&self, least: f32, most: f32) -> Option<f32> {
        let number = match self {
            RawValue::Integer(value) => *value as f64,
            RawValue::Number(value) => *value,
            _ => return None,
        };
        // Compared in f64: the nearest f32 of what lies just beyond the end of the range could be the end itself. And with
        // the ends as people write them: the f32 nearest to 0.1 is a little more than 0.1.
        // And 0 has no sign.
        (short(least)..=short(most)).contains(&number).then_some(number as f32 + 0.0)
    }

    /// A whole number; `16000.0` is one too, for there are clients whose numbers are all floats.
    pub(super) fn whole(&self) -> Option<i64> {
        match self {
            RawValue::Integer(value) => Some(*value),
            RawValue::Number(value) if value.fract() == 0.0 && value.abs() < 1e15 => Some(*value as i64),
            _ => None,
        }
    }

    pub(super) fn whole_within<T: TryFrom<i64>>(&self, least: i64, most: i64) -> Option<T> {
        self.whole().filter(|value| (least..=most).contains(value)).and_then(|value| T::try_from(value).ok())
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            RawValue::Text(value) => Some(value),
            _ => None,
        }
    }

    /// As an error repeats it: short, whatever it is.
    pub(super) fn shown(&self) -> String {
        match self {
            RawValue::Bool(value) => value.to_string(),
            RawValue::Integer(value) => value.to_string(),
            RawValue::Number(value) => {
                let digits = value.to_string();
                if digits.len() > GOT_DIGITS {
                    format!("{value:e}")
                } else {
                    digits
                }
            }
            RawValue::Text(value) => shown_text(value),
            RawValue::List(_) => "a list".to_owned(),
            RawValue::Map(parts) if parts.is_empty() => "an empty map".to_owned(),
            RawValue::Map(_) => "a map".to_owned(),
            RawValue::Null(()) => "null".to_owned(),
        }
    }
}

/// The f64 with the fewest digits that is this f32, so that 0.1 is reported as 0.1.
pub(super) fn short(value: f32) -> f64 {
    // Written in place, for no change of settings allocates; the longest is -1.17549435e-38.
    let mut digits = [0; 24];
    let room = digits.len();
    let mut rest = &mut digits[..];
    let written = write!(rest, "{value:e}").map(|()| room - rest.len()).unwrap_or(0);
    let digits = std::str::from_utf8(&digits[..written]).unwrap_or("");
    digits.parse().unwrap_or(f64::from(value))
}

/// A client's text in quotes, cut to a printable length.
pub(super) fn shown_text(text: &str) -> String {
    if text.chars().count() > GOT_CHARS {
        format!("{:?}...", text.chars().take(GOT_CHARS).collect::<String>())
    } else {
        format!("{text:?}")
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

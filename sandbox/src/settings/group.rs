//! A stage's parameters among the settings.

use serde::ser::{SerializeMap, Serializer};
use serde::Serialize;

use super::value::{short, RawValue};
use crate::{Described, Parameter};

/// A stage that can be switched, and its parameters, which it keeps while it is off.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Switched<P> {
    /// Whether the stage runs.
    pub on: bool,
    /// What it is told when it does.
    pub parameters: P,
}

/// The parameters of any stage, by number.
pub(super) trait Group {
    fn is_on(&self) -> bool;
    fn switch(&mut self, on: bool);
    fn len(&self) -> usize;
    fn name(&self, index: usize) -> &'static str;
    /// As clients read it.
    fn get(&self, index: usize) -> RawValue;
    /// `None`, and nothing changed, if it is not accepted.
    fn set(&mut self, index: usize, raw: &RawValue) -> Option<()>;
    /// What is accepted, for people.
    fn accepted(&self, index: usize) -> String;
}

impl<P: Described> Group for Switched<P> {
    fn is_on(&self) -> bool {
        self.on
    }

    fn switch(&mut self, on: bool) {
        self.on = on;
    }

    fn len(&self) -> usize {
        P::PARAMETERS.len()
    }

    fn name(&self, index: usize) -> &'static str {
        P::PARAMETERS[index].name
    }

    fn get(&self, index: usize) -> RawValue {
        let number = (P::PARAMETERS[index].get)(&self.parameters);
        match P::words(index).get(number as usize) {
            Some(word) => (*word).into(),
            None => short(number).into(),
        }
    }

    fn set(&mut self, index: usize, raw: &RawValue) -> Option<()> {
        let Parameter { range, set, .. } = &P::PARAMETERS[index];
        let words = P::words(index);
        let number = match raw.text() {
            Some(text) => words.iter().position(|word| *word == text)? as f32,
            None if words.is_empty() => raw.number_within(*range.start(), *range.end())?,
            None => return None,
        };
        set(&mut self.parameters, number);
        Some(())
    }

    fn accepted(&self, index: usize) -> String {
        let words = P::words(index);
        if words.is_empty() {
            let range = &P::PARAMETERS[index].range;
            format!("a number from {} to {}", range.start(), range.end())
        } else {
            words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")
        }
    }
}

impl Serialize for dyn Group + '_ {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len() + 1))?;
        map.serialize_entry("enabled", &self.is_on())?;
        for index in 0..self.len() {
            map.serialize_entry(self.name(index), &self.get(index))?;
        }
        map.end()
    }
}

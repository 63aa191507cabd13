//! A stage's parameters among the settings.

use serde::ser::{SerializeMap, Serializer};
use serde::Serialize;

use crate::Described;

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
    /// The least and the most that is accepted.
    fn range(&self, index: usize) -> (f32, f32);
    fn get(&self, index: usize) -> f32;
    fn set(&mut self, index: usize, value: f32);
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

    fn range(&self, index: usize) -> (f32, f32) {
        let range = &P::PARAMETERS[index].range;
        (*range.start(), *range.end())
    }

    fn get(&self, index: usize) -> f32 {
        (P::PARAMETERS[index].get)(&self.parameters)
    }

    fn set(&mut self, index: usize, value: f32) {
        (P::PARAMETERS[index].set)(&mut self.parameters, value);
    }
}

impl Serialize for dyn Group + '_ {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len() + 1))?;
        map.serialize_entry("enabled", &self.is_on())?;
        for index in 0..self.len() {
            map.serialize_entry(self.name(index), &short(self.get(index)))?;
        }
        map.end()
    }
}

/// The f64 with the fewest digits that is this f32, so that 0.1 is reported as 0.1.
pub(super) fn short(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// A range in words.
pub(super) fn accepted_range(least: f32, most: f32) -> String {
    format!("a number from {least} to {most}")
}

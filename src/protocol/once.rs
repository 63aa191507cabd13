//! JSON, and whether it names anything twice.
//!
//! RFC 8259 (section 4) leaves open what a name that comes twice in an object means, and readers differ: `serde_json` takes
//! the last one and says nothing. Who sends such a message has made a mistake, and should hear of it.

use std::fmt::{self, Formatter};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Any JSON value.
#[derive(Debug)]
pub(super) struct Once {
    pub(super) value: Value,
    /// The first name that came twice in its object, behind those of the objects it lies in: `compressor.ratio`.
    pub(super) twice: Option<String>,
}

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut twice = None;
        let value = Reader { within: "", twice: &mut twice }.deserialize(deserializer)?;
        Ok(Once { value, twice })
    }
}

/// Reads one value.
struct Reader<'a> {
    /// The names of the objects around it.
    within: &'a str,
    twice: &'a mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(Reader { within: self.within, twice: self.twice })? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            let path = if self.within.is_empty() { name.clone() } else { format!("{}.{name}", self.within) };
            let value = object.next_value_seed(Reader { within: &path, twice: self.twice })?;
            if values.insert(name, value).is_some() {
                self.twice.get_or_insert(path);
            }
        }
        Ok(values.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Once {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn any_json_is_read_as_serde_json_reads_it() {
        let json = r#"{"a":[null,true,-1,18446744073709551615,1.5,"x",{}],"b":{"c":[]},"d":"\u00e9"}"#;
        let Once { value, twice } = read(json);
        assert_eq!((value, twice), (serde_json::from_str::<Value>(json).unwrap(), None));
    }

    #[test]
    fn the_first_name_that_comes_twice_is_told_with_its_place() {
        assert_eq!(read(r#"{"a":{"a":1},"b":{"a":2}}"#).twice, None);
        assert_eq!(read(r#"{"a":1,"b":2,"a":3,"b":4}"#).twice.as_deref(), Some("a"));
        assert_eq!(read(r#"{"a":{"b":[{"c":1,"c":2}]}}"#).twice.as_deref(), Some("a.b.c"));
    }
}

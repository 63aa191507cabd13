//! A request's header fields: one block of bytes and an index into it.

use std::fmt;

/// Where one field lies in the block.
#[derive(Clone, Copy)]
struct Field {
    name_start: u32,
    name_len: u16,
    value_start: u32,
    value_len: u32,
}

/// Header fields in the order they came, looked up by name without regard to case.
///
/// All of them share one allocation, so a request with twenty headers costs two allocations and not forty.
#[derive(Clone, Default)]
pub struct Headers {
    block: Vec<u8>,
    fields: Vec<Field>,
}

impl Headers {
    /// No fields.
    pub fn new() -> Headers {
        Headers::default()
    }

    /// No fields yet, with room for `fields` of them that take `bytes` together.
    pub fn with_capacity(fields: usize, bytes: usize) -> Headers {
        Headers { block: Vec::with_capacity(bytes), fields: Vec::with_capacity(fields) }
    }

    /// Appends a field. A name that is there already gets a second value. Names longer than 65,535
    /// bytes are cut; no parser in this crate lets one through.
    pub fn append(&mut self, name: &str, value: &[u8]) {
        let name = &name.as_bytes()[..name.len().min(usize::from(u16::MAX))];
        let name_start = self.block.len() as u32;
        self.block.extend_from_slice(name);
        let value_start = self.block.len() as u32;
        self.block.extend_from_slice(value);
        self.fields.push(Field {
            name_start,
            name_len: name.len() as u16,
            value_start,
            value_len: value.len() as u32,
        });
    }

    /// The first value of `name` (any case), if it is there and is UTF-8.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_bytes(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The first value of `name` (any case) as it came.
    pub fn get_bytes(&self, name: &str) -> Option<&[u8]> {
        let field =
            self.fields.iter().find(|field| self.name(field).eq_ignore_ascii_case(name.as_bytes()))?;
        Some(self.value(field))
    }

    /// Every value of `name` (any case), in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.fields
            .iter()
            .filter(move |field| self.name(field).eq_ignore_ascii_case(name.as_bytes()))
            .map(|field| self.value(field))
    }

    /// Whether a comma-separated header such as `Connection` names `token` (any case) in any of its values.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name).any(|value| {
            value
                .split(|&byte| byte == b',')
                .any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
        })
    }

    /// All fields as (name, value), in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields
            .iter()
            .map(|field| (std::str::from_utf8(self.name(field)).unwrap_or(""), self.value(field)))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    fn name(&self, field: &Field) -> &[u8] {
        let start = field.name_start as usize;
        &self.block[start..start + usize::from(field.name_len)]
    }

    fn value(&self, field: &Field) -> &[u8] {
        let start = field.value_start as usize;
        &self.block[start..start + field.value_len as usize]
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(name, value)| (name, String::from_utf8_lossy(value))))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Headers {
        let mut headers = Headers::new();
        headers.append("Host", b"example.org");
        headers.append("Connection", b"keep-alive , Upgrade");
        headers.append("X-Twice", b"one");
        headers.append("x-twice", b"two");
        headers.append("X-Latin", &[0xE9]);
        headers
    }

    #[test]
    fn names_are_found_in_any_case_and_the_first_value_counts() {
        let headers = sample();
        assert_eq!(headers.get("host"), Some("example.org"));
        assert_eq!(headers.get("X-TWICE"), Some("one"));
        assert_eq!(headers.all("x-Twice").collect::<Vec<_>>(), [b"one", b"two"]);
        assert_eq!(headers.get("absent"), None);
        assert_eq!(headers.len(), 5);
    }

    #[test]
    fn a_value_that_is_not_utf8_is_only_had_as_bytes() {
        let headers = sample();
        assert_eq!(headers.get("x-latin"), None);
        assert_eq!(headers.get_bytes("x-latin"), Some(&[0xE9][..]));
    }

    #[test]
    fn a_token_is_found_in_a_list_but_not_inside_a_word() {
        let headers = sample();
        assert!(headers.has_token("connection", "upgrade"));
        assert!(headers.has_token("connection", "Keep-Alive"));
        assert!(!headers.has_token("connection", "alive"));
    }
}

//! One HTTP request, read completely.

use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;

use super::head::Head;
use super::{AnswerRoom, Headers};

/// A request's method. Methods are case-sensitive; one that is not listed is an [`Method::Extension`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`: answered like GET, without the body
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
    /// `OPTIONS`
    Options,
    /// `PATCH`
    Patch,
    /// Any other token.
    Extension(Box<str>),
}

impl Method {
    /// The method that `name` spells.
    pub fn from_name(name: &str) -> Method {
        match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "DELETE" => Method::Delete,
            "OPTIONS" => Method::Options,
            "PATCH" => Method::Patch,
            other => Method::Extension(other.into()),
        }
    }

    /// How the method is spelt on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Patch => "PATCH",
            Method::Extension(name) => name,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The versions of HTTP that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP/1.0: one request a connection unless it says `keep-alive`, no chunked bodies.
    Http10,
    /// HTTP/1.1
    Http11,
}

/// One HTTP request with its whole body.
#[derive(Clone, Debug)]
pub struct Request {
    method: Method,
    target: Box<str>,
    version: Version,
    headers: Headers,
    body: Bytes,
    peer: Option<SocketAddr>,
    answer_room: AnswerRoom,
}

impl Request {
    /// A request as HTTP/1.1 for `target` (path and query as they stand on the request line), without
    /// headers, body or peer.
    pub fn new(method: Method, target: impl Into<Box<str>>) -> Request {
        Request {
            method,
            target: target.into(),
            version: Version::Http11,
            headers: Headers::new(),
            body: Bytes::new(),
            peer: None,
            answer_room: AnswerRoom::default(),
        }
    }

    pub(crate) fn from_head(head: Head, body: Vec<u8>, peer: Option<SocketAddr>) -> Request {
        Request {
            method: head.method,
            target: head.target,
            version: head.version,
            headers: head.headers,
            body: body.into(),
            peer,
            answer_room: AnswerRoom::default(),
        }
    }

    /// The same request with these headers.
    pub fn with_headers(mut self, headers: Headers) -> Request {
        self.headers = headers;
        self
    }

    /// The same request with this body.
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Request {
        self.body = body.into();
        self
    }

    /// The same request in this version.
    pub fn with_version(mut self, version: Version) -> Request {
        self.version = version;
        self
    }

    /// The same request from this peer.
    pub fn with_peer(mut self, peer: SocketAddr) -> Request {
        self.peer = Some(peer);
        self
    }

    pub(crate) fn set_answer_room(&mut self, room: AnswerRoom) {
        self.answer_room = room;
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The target as it stood on the request line: path, and query if there is one.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The target up to the `?`, as it came (not percent-decoded). For a target in absolute form
    /// (`http://host/path`) this is its path.
    pub fn path(&self) -> &str {
        split_target(&self.target).0
    }

    /// What follows the first `?`, as it came; `None` without one.
    pub fn query(&self) -> Option<&str> {
        split_target(&self.target).1
    }

    /// Names and values in the query, in their order, percent-decoded, `+` as a space. A name without `=` has the
    /// value `""`.
    pub fn query_pairs(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let pairs = self.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decoded(name), percent_decoded(value))
        })
    }

    /// The value of `name` in the query; `None` when it is not there. The first one counts.
    pub fn query_value(&self, name: &str) -> Option<String> {
        self.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The version the client spoke.
    pub fn version(&self) -> Version {
        self.version
    }

    /// All headers.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The first value of header `name` (any case), if it is there and is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// The body; empty when there was none.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body, taken out of the request.
    pub fn into_body(self) -> Bytes {
        self.body
    }

    /// Where the memory of its answer is reserved before that is built. An answer is counted anyhow once it is there,
    /// but a large one may be refused then, when its work is done.
    pub fn answer_room(&self) -> &AnswerRoom {
        &self.answer_room
    }

    /// Who sent it, where that is known.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }
}

/// The path of a request target: see [`Request::path`].
pub(crate) fn path_of(target: &str) -> &str {
    split_target(target).0
}

/// Path and query of a request target in origin, absolute or asterisk form.
fn split_target(target: &str) -> (&str, Option<&str>) {
    let origin = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => {
            rest.find(['/', '?']).map_or("/", |at| &rest[at..])
        }
        _ => target,
    };
    match origin.split_once('?') {
        Some(("", query)) => ("/", Some(query)),
        Some((path, query)) => (path, Some(query)),
        None => (origin, None),
    }
}

/// `text` with `%41` and `+` decoded. A `%` that two hexadecimal digits don't follow stands for itself; bytes that are
/// no UTF-8 become U+FFFD.
fn percent_decoded(text: &str) -> String {
    if !text.contains(['%', '+']) {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |offset: usize| bytes.get(at + offset).and_then(|&b| char::from(b).to_digit(16));
        match (bytes[at], hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
                continue;
            }
            (b'+', ..) => decoded.push(b' '),
            (byte, ..) => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_split_at_the_first_question_mark() {
        let request = Request::new(Method::Get, "/sleep?ms=50&why=a?b");
        assert_eq!(request.path(), "/sleep");
        assert_eq!(request.query(), Some("ms=50&why=a?b"));
        assert_eq!(Request::new(Method::Options, "*").path(), "*");
        assert_eq!(Request::new(Method::Get, "/plain").query(), None);
    }

    #[test]
    fn an_absolute_target_gives_its_path() {
        assert_eq!(split_target("http://host:80/a/b?c"), ("/a/b", Some("c")));
        assert_eq!(split_target("http://host"), ("/", None));
        assert_eq!(split_target("http://host?q"), ("/", Some("q")));
        assert_eq!(split_target("/redirect?to=http://host/x"), ("/redirect", Some("to=http://host/x")));
    }

    #[test]
    fn query_values_are_decoded_and_broken_escapes_stand_for_themselves() {
        let request = Request::new(Method::Get, "/?a=x%20y+z&b&%63=1&broken=%4&wide=%C3%A9");
        assert_eq!(request.query_value("a").as_deref(), Some("x y z"));
        assert_eq!(request.query_value("b").as_deref(), Some(""));
        assert_eq!(request.query_value("c").as_deref(), Some("1"));
        assert_eq!(request.query_value("broken").as_deref(), Some("%4"));
        assert_eq!(request.query_value("wide").as_deref(), Some("\u{e9}"));
        assert_eq!(request.query_value("none"), None);
    }
}

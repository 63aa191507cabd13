//! Reading a request's head: request line and header fields.

use std::mem::MaybeUninit;

use super::headers::Headers;
use super::request::{Method, Version};

/// The most header fields a request may have.
pub(crate) const MAX_FIELDS: usize = 100;

/// What a head may be at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    /// Bytes of the head with the empty line that ends it.
    pub(crate) max_bytes: usize,
    /// Bytes of the request target.
    pub(crate) max_target: usize,
}

/// A request's head.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) target: Box<str>,
    pub(crate) version: Version,
    pub(crate) headers: Headers,
}

/// Why a request is not served, as the status and the reason that the client is told. The connection closes
/// after it: where the next request begins is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) status: u16,
    pub(crate) reason: &'static str,
}

impl Rejection {
    pub(crate) const fn new(status: u16, reason: &'static str) -> Rejection {
        Rejection { status, reason }
    }
}

/// Parses the head at the start of `input`: the head and its length, or `None` when it is not complete yet.
pub(crate) fn parse_head(input: &[u8], limits: HeadLimits) -> Result<Option<(Head, usize)>, Rejection> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    let length = match parsed.parse_with_uninit_headers(input, &mut fields) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => {
            check_partial(input, limits)?;
            return Ok(None);
        }
        Err(error) => {
            check_partial(input, limits)?;
            return Err(rejection_of(error, input));
        }
    };
    let target = parsed.path.unwrap_or_default();
    if target.len() > limits.max_target {
        return Err(TARGET_TOO_LONG);
    }
    if length > limits.max_bytes {
        return Err(HEAD_TOO_LARGE);
    }
    let version = if parsed.version == Some(0) { Version::Http10 } else { Version::Http11 };
    let method = Method::from_name(parsed.method.unwrap_or_default());
    check_target(&method, target)?;
    if matches!(method.as_str(), "CONNECT" | "TRACE") {
        return Err(Rejection::new(501, "CONNECT and TRACE are not implemented"));
    }

    let bytes = parsed.headers.iter().map(|field| field.name.len() + field.value.len()).sum();
    let mut headers = Headers::with_capacity(parsed.headers.len(), bytes);
    for field in parsed.headers.iter() {
        headers.append(field.name, field.value);
    }
    check_host(version, &headers)?;
    Ok(Some((Head { method, target: target.into(), version, headers }, length)))
}

const TARGET_TOO_LONG: Rejection = Rejection::new(414, "the request target is too long");
const HEAD_TOO_LARGE: Rejection = Rejection::new(431, "the request's header fields are too large");

/// Whether a head that is not complete can still become one that is within `limits`.
fn check_partial(input: &[u8], limits: HeadLimits) -> Result<(), Rejection> {
    let first_line = match memchr(b'\n', input) {
        Some(end) => &input[..end],
        None => input,
    };
    // "GET ", the target, " HTTP/1.1\r": what is longer has too long a target (or is nonsense).
    let target = first_line.splitn(3, |&byte| byte == b' ').nth(1).unwrap_or_default();
    if target.len() > limits.max_target {
        return Err(TARGET_TOO_LONG);
    }
    if input.len() >= limits.max_bytes {
        return Err(HEAD_TOO_LARGE);
    }
    Ok(())
}

fn memchr(byte: u8, input: &[u8]) -> Option<usize> {
    input.iter().position(|&b| b == byte)
}

fn rejection_of(error: httparse::Error, input: &[u8]) -> Rejection {
    match error {
        httparse::Error::TooManyHeaders => Rejection::new(431, "a request has at most 100 header fields"),
        httparse::Error::Version if names_a_version(input) => {
            Rejection::new(505, "only HTTP/1.0 and HTTP/1.1 are spoken")
        }
        httparse::Error::Version => Rejection::new(400, "the request line has no HTTP version"),
        httparse::Error::Token => Rejection::new(400, "the request line is malformed"),
        httparse::Error::NewLine => Rejection::new(400, "a line of the head ends wrongly"),
        _ => Rejection::new(400, "a header field is malformed"),
    }
}

/// Whether the request line ends in `HTTP/` digit `.` digit.
fn names_a_version(input: &[u8]) -> bool {
    let line =
        input.split(|&byte| byte == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    let word = line.trim_ascii_end().rsplit(|&byte| byte == b' ').next().unwrap_or_default();
    matches!(word, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit())
        || matches!(word, [b'H', b'T', b'T', b'P', b'/', major] if major.is_ascii_digit())
}

/// RFC 9112, section 3.2: origin form, absolute form, or `*` for OPTIONS.
fn check_target(method: &Method, target: &str) -> Result<(), Rejection> {
    let absolute = target.starts_with("http://") || target.starts_with("https://");
    // The authority form is CONNECT's, which is refused for what it is.
    if target.starts_with('/') || absolute || method.as_str() == "CONNECT" {
        return Ok(());
    }
    if target == "*" && *method == Method::Options {
        return Ok(());
    }
    Err(Rejection::new(400, "the request target must begin with a slash"))
}

/// RFC 9112, section 3.2: HTTP/1.1 needs exactly one Host, and a valid one.
fn check_host(version: Version, headers: &Headers) -> Result<(), Rejection> {
    let mut hosts = headers.all("host");
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_host(host) => Ok(()),
        (Some(_), None) => {
            Err(Rejection::new(400, "the Host header must be a host, and a port if there is one"))
        }
        (None, _) if version == Version::Http10 => Ok(()),
        (None, _) => Err(Rejection::new(400, "an HTTP/1.1 request needs a Host header")),
        (Some(_), Some(_)) => Err(Rejection::new(400, "a request has only one Host header")),
    }
}

/// `uri-host [ ":" port ]` (RFC 9110, section 7.2). The host may be empty: that is what a client sends whose target has
/// none.
fn is_host(value: &[u8]) -> bool {
    let is_port = |port: &[u8]| port.iter().all(u8::is_ascii_digit);
    if let Some(literal) = value.strip_prefix(b"[") {
        // RFC 3986, section 3.2.2: IP-literal.
        let Some(end) = memchr(b']', literal) else { return false };
        let (address, after) = (&literal[..end], &literal[end + 1..]);
        let is_address =
            std::str::from_utf8(address).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok());
        return is_address && (after.is_empty() || after.strip_prefix(b":").is_some_and(is_port));
    }
    let (name, port) = value.split_at(memchr(b':', value).unwrap_or(value.len()));
    is_reg_name(name) && is_port(port.strip_prefix(b":").unwrap_or_default())
}

/// RFC 3986, section 3.2.2: an IPv4 address is one as well.
fn is_reg_name(name: &[u8]) -> bool {
    let mut rest = name;
    while let Some((&byte, after)) = rest.split_first() {
        rest = match (byte, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => after,
            _ if is_unreserved_or_sub_delim(byte) => after,
            _ => return false,
        };
    }
    true
}

fn is_unreserved_or_sub_delim(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~')
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: HeadLimits = HeadLimits { max_bytes: 1024, max_target: 64 };

    fn status(input: &[u8]) -> u16 {
        parse_head(input, LIMITS).expect_err("it should be refused").status
    }

    const GOOD: &[u8] =
        b"POST /echo?a=b HTTP/1.1\r\nHost: example.org\r\nContent-Length: 3\r\nX-Empty:\r\n\r\nabc";

    #[test]
    fn a_host_that_is_none_is_refused() {
        let request = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        for host in [
            "",
            "a",
            "localhost:9501",
            "127.0.0.1:80",
            "[::1]:80",
            "[2001:db8::7]",
            "a-b.example:",
            "x%2Fy",
            "a_b",
        ] {
            assert!(parse_head(request(host).as_bytes(), LIMITS).unwrap().is_some(), "{host:?}");
        }
        for host in [
            "a b", "a/b", "a@b", "http://a", "a:b", "a:80:90", "a:-1", "a?b", "a#b", "a\\b", "[::1", "::1",
            "[a]", "[::1]80", "[::1]:x", "%2", "%zz", "h\u{e9}",
        ] {
            assert_eq!(status(request(host).as_bytes()), 400, "{host:?}");
        }
    }

    #[test]
    fn a_head_is_read_and_its_length_is_told() {
        let (head, length) = parse_head(GOOD, LIMITS).unwrap().unwrap();
        assert_eq!(&GOOD[length..], b"abc");
        assert_eq!((head.method, &*head.target, head.version), (Method::Post, "/echo?a=b", Version::Http11));
        assert_eq!(head.headers.get("content-length"), Some("3"));
        assert_eq!(head.headers.get("x-empty"), Some(""));
    }

    #[test]
    fn a_head_cut_at_any_byte_is_incomplete_and_no_error() {
        let end = GOOD.len() - 3;
        for cut in 0..end {
            assert!(parse_head(&GOOD[..cut], LIMITS).unwrap().is_none(), "cut at {cut}");
        }
        assert!(parse_head(&GOOD[..end], LIMITS).unwrap().is_some());
    }

    #[test]
    fn malformed_heads_get_400() {
        for head in [
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
            b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            b"GET / HTTP/1.1\r\n: empty name\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nBad\x01Name: x\r\n\r\n",
            b"GET / FTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            assert_eq!(status(head), 400, "{}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn http_1_1_needs_one_host_and_http_1_0_none() {
        assert_eq!(status(b"GET / HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(status(b"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n"), 400);
        assert!(parse_head(b"GET / HTTP/1.0\r\n\r\n", LIMITS).unwrap().is_some());
    }

    #[test]
    fn other_versions_get_505() {
        for head in [
            &b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"[..],
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET / HTTP/1.2\r\n\r\n",
            b"GET / HTTP/3\r\n\r\n",
        ] {
            assert_eq!(status(head), 505, "{}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn tunnelling_methods_get_501_and_unknown_ones_are_the_handlers_business() {
        assert_eq!(status(b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"), 501);
        assert_eq!(status(b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"), 501);
        let (head, _) = parse_head(b"BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", LIMITS).unwrap().unwrap();
        assert_eq!(head.method.as_str(), "BREW");
        assert!(parse_head(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", LIMITS).unwrap().is_some());
    }

    #[test]
    fn a_long_target_gets_414_before_its_end_has_come() {
        let mut head = b"GET /".to_vec();
        head.extend([b'a'; 100]);
        assert_eq!(status(&head), 414);
        head.extend(b" HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(status(&head), 414);
    }

    #[test]
    fn large_heads_get_431_complete_or_not() {
        let mut head = b"GET / HTTP/1.1\r\nHost: a\r\nX: ".to_vec();
        head.extend([b'a'; 1024]);
        assert_eq!(status(&head), 431);
        head.extend(b"\r\n\r\n");
        assert_eq!(status(&head), 431);
        let mut many = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
        for _ in 0..MAX_FIELDS {
            many.extend(b"A:b\r\n");
        }
        many.extend(b"\r\n");
        assert_eq!(status(&many), 431);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_read_past_what_it_was_given(
            input in prop::collection::vec(any::<u8>(), 0..400), good in any::<bool>(),
        ) {
            let input = if good { [GOOD, &input].concat() } else { input };
            if let Ok(Some((_, length))) = parse_head(&input, LIMITS) {
                prop_assert!(length <= input.len());
            }
        }
    }
}

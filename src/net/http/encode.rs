//! Writing a response's head.

use super::request::{Method, Version};
use super::response::Response;

/// What the request and the connection say about how a response is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseContext {
    /// The version the client spoke.
    pub(crate) version: Version,
    /// The request was HEAD: the body is told of, and not sent.
    pub(crate) head_only: bool,
    /// The connection goes on after it.
    pub(crate) keep_alive: bool,
}

impl ResponseContext {
    /// For the answer to a request that could not be read.
    pub(crate) const CLOSING: ResponseContext =
        ResponseContext { version: Version::Http11, head_only: false, keep_alive: false };

    pub(crate) fn new(method: &Method, version: Version, keep_alive: bool) -> ResponseContext {
        ResponseContext { version, head_only: *method == Method::Head, keep_alive }
    }
}

/// Appends the head of `response` to `out`, and says whether its body follows.
pub(crate) fn write_response_head(out: &mut Vec<u8>, response: &Response, context: ResponseContext) -> bool {
    let status = response.status();
    out.extend_from_slice(b"HTTP/1.1 ");
    push_number(out, usize::from(status));
    for part in [" ", Response::reason(status), "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    for (name, value) in response.headers() {
        if !is_connections_own(name) {
            push_field(out, name, value);
        }
    }
    // RFC 9110, section 8.6: no Content-Length with 204, and with 304 it would be that of the 200.
    let bodiless = matches!(status, 204 | 304);
    if !bodiless {
        out.extend_from_slice(b"Content-Length: ");
        push_number(out, response.body().len());
        out.extend_from_slice(b"\r\n");
    }
    match (context.keep_alive, context.version) {
        (false, _) => push_field(out, "Connection", "close"),
        (true, Version::Http10) => push_field(out, "Connection", "keep-alive"),
        (true, Version::Http11) => {}
    }
    out.extend_from_slice(b"\r\n");
    !bodiless && !context.head_only && !response.body().is_empty()
}

fn push_field(out: &mut Vec<u8>, name: &str, value: &str) {
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// In decimal. The formatting of `std` takes several times as long.
fn push_number(out: &mut Vec<u8>, number: usize) {
    let (mut digits, mut at, mut left) = ([0; 20], 20, number);
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn is_connections_own(name: &str) -> bool {
    ["content-length", "connection", "transfer-encoding"].iter().any(|own| name.eq_ignore_ascii_case(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(response: &Response, method: Method, version: Version, keep_alive: bool) -> (String, bool) {
        let mut out = Vec::new();
        let body =
            write_response_head(&mut out, response, ResponseContext::new(&method, version, keep_alive));
        (String::from_utf8(out).unwrap(), body)
    }

    #[test]
    fn the_head_tells_length_and_whether_the_connection_goes_on() {
        let response =
            Response::text(200, "hi").header("Connection", "upgrade").header("content-length", "99");
        let (text, body) = head(&response, Method::Get, Version::Http11, true);
        let expected =
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\n\r\n";
        assert_eq!((&*text, body), (expected, true));
        assert!(head(&response, Method::Get, Version::Http11, false).0.contains("Connection: close\r\n"));
        assert!(head(&response, Method::Get, Version::Http10, true).0.contains("Connection: keep-alive\r\n"));
    }

    #[test]
    fn numbers_are_written_as_std_writes_them() {
        for number in [0, 7, 10, 99, 204, 1_000, 65_536, usize::MAX] {
            let mut out = Vec::new();
            push_number(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
    }

    #[test]
    fn head_and_204_send_no_body() {
        let (text, body) = head(&Response::text(200, "four"), Method::Head, Version::Http11, true);
        assert!(text.contains("Content-Length: 4\r\n") && !body);
        let (text, body) = head(&Response::new(204).with_body("x"), Method::Get, Version::Http11, true);
        assert!(!text.contains("Content-Length") && !body);
    }
}

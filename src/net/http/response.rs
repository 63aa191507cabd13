//! One HTTP response.

use std::borrow::Cow;

use bytes::Bytes;

/// Header names and values: mostly constants.
type Text = Cow<'static, str>;

/// One HTTP response: status, headers and the whole body.
///
/// `Content-Length`, `Connection` and `Transfer-Encoding` are the connection's business: it writes them itself and
/// leaves out any that a handler set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: u16,
    headers: Vec<(Text, Text)>,
    body: Bytes,
}

impl Response {
    /// An empty response. A status outside 200 to 599 becomes 500: a handler's answer is final, so it can't be
    /// an interim one.
    pub fn new(status: u16) -> Response {
        let status = if (200..600).contains(&status) { status } else { 500 };
        Response { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// `body` as plain UTF-8 text.
    pub fn text(status: u16, body: impl Into<Bytes>) -> Response {
        Response::bytes(status, "text/plain; charset=utf-8", body)
    }

    /// `body`, which is JSON already, as `application/json`.
    pub fn json(status: u16, body: impl Into<Bytes>) -> Response {
        Response::bytes(status, "application/json", body)
    }

    /// `body` with this content type.
    pub fn bytes(status: u16, content_type: impl Into<Text>, body: impl Into<Bytes>) -> Response {
        let mut response = Response::new(status).header("Content-Type", content_type);
        response.body = body.into();
        response
    }

    /// The same response with one header more. A control character in it (a line end would start
    /// another header) becomes a space.
    pub fn header(mut self, name: impl Into<Text>, value: impl Into<Text>) -> Response {
        self.headers.push((without_controls(name.into()), without_controls(value.into())));
        self
    }

    /// The same response with this body.
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Response {
        self.body = body.into();
        self
    }

    /// The status code, 200 to 599.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The headers in the order they were added.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The first value of header `name` (any case).
    pub fn header_value(&self, name: &str) -> Option<&str> {
        self.headers().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body, taken out of the response.
    pub fn into_body(self) -> Bytes {
        self.body
    }

    /// The standard reason phrase of `status`; `"Unknown"` where there is none.
    pub fn reason(status: u16) -> &'static str {
        match status {
            100 => "Continue",
            101 => "Switching Protocols",
            200 => "OK",
            201 => "Created",
            202 => "Accepted",
            204 => "No Content",
            206 => "Partial Content",
            301 => "Moved Permanently",
            302 => "Found",
            303 => "See Other",
            304 => "Not Modified",
            307 => "Temporary Redirect",
            308 => "Permanent Redirect",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            406 => "Not Acceptable",
            408 => "Request Timeout",
            409 => "Conflict",
            410 => "Gone",
            411 => "Length Required",
            413 => "Content Too Large",
            414 => "URI Too Long",
            415 => "Unsupported Media Type",
            417 => "Expectation Failed",
            422 => "Unprocessable Content",
            426 => "Upgrade Required",
            429 => "Too Many Requests",
            431 => "Request Header Fields Too Large",
            500 => "Internal Server Error",
            501 => "Not Implemented",
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            504 => "Gateway Timeout",
            505 => "HTTP Version Not Supported",
            _ => "Unknown",
        }
    }
}

fn without_controls(text: Text) -> Text {
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        Cow::Owned(text.chars().map(|c| if c.is_ascii_control() { ' ' } else { c }).collect())
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_end_in_a_header_can_not_start_another_one() {
        let response = Response::new(200).header("X-Name", "a\r\nSet-Cookie: stolen");
        assert_eq!(response.header_value("x-name"), Some("a  Set-Cookie: stolen"));
    }

    #[test]
    fn an_interim_status_can_not_be_answered() {
        assert_eq!(Response::new(101).status(), 500);
        assert_eq!(Response::new(999).status(), 500);
        assert_eq!(Response::new(204).status(), 204);
    }
}

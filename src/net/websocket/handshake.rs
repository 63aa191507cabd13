//! The opening handshake (RFC 6455, section 4.2).

use tungstenite::handshake::derive_accept_key;

use crate::net::http::{Method, Request, Response, Version};

/// Whether a request asks to become a WebSocket.
pub(crate) fn wants_upgrade(request: &Request) -> bool {
    request.headers().has_token("upgrade", "websocket")
        && request.headers().has_token("connection", "upgrade")
}

/// The head of the 101 that accepts the handshake, or the answer that says what is wrong with it.
pub(crate) fn accept_upgrade(request: &Request) -> Result<String, Response> {
    if *request.method() != Method::Get || request.version() < Version::Http11 {
        return Err(Response::text(400, "a WebSocket handshake is a GET in HTTP/1.1\n"));
    }
    if request.header("sec-websocket-version").map(str::trim) != Some("13") {
        return Err(Response::text(426, "only WebSocket version 13 is spoken\n")
            .header("Sec-WebSocket-Version", "13")
            .header("Upgrade", "websocket"));
    }
    let key =
        request.header("sec-websocket-key").map(str::trim).filter(|key| is_sixteen_bytes_in_base64(key));
    let Some(key) = key else {
        return Err(Response::text(400, "Sec-WebSocket-Key must be 16 bytes in Base64\n"));
    };
    if !request.body().is_empty() {
        return Err(Response::text(400, "a WebSocket handshake has no body\n"));
    }
    let accept = derive_accept_key(key.as_bytes());
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ))
}

/// Sixteen bytes are 22 digits of Base64, the last of which has four bits to spare, and two signs of padding.
fn is_sixteen_bytes_in_base64(key: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    match key.as_bytes() {
        [digits @ .., last, b'=', b'='] => {
            digits.len() == 21 && digits.iter().copied().all(digit) && b"AQgw".contains(last)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::http::Headers;

    /// The handshake of RFC 6455, section 1.3, with some fields changed.
    fn handshake(changes: &[(&str, &str)]) -> Request {
        let mut headers = Headers::new();
        for (name, value) in [
            ("Upgrade", "WebSocket"),
            ("Connection", "keep-alive, Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            let changed = changes.iter().find(|(key, _)| *key == name).map_or(value, |(_, changed)| changed);
            headers.append(name, changed.as_bytes());
        }
        Request::new(Method::Get, "/chat").with_headers(headers)
    }

    #[test]
    fn the_example_of_the_rfc_is_accepted() {
        let request = handshake(&[]);
        assert!(wants_upgrade(&request));
        assert!(accept_upgrade(&request)
            .unwrap()
            .contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    }

    #[test]
    fn a_handshake_that_is_wrong_is_told_why() {
        let old = accept_upgrade(&handshake(&[("Sec-WebSocket-Version", "8")])).unwrap_err();
        assert_eq!((old.status(), old.header_value("sec-websocket-version")), (426, Some("13")));
        for key in [
            "",
            "dG9vIHNob3J0",
            "dGhlIHNhbXBsZSBub25jZ===",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZR==",
        ] {
            assert_eq!(
                accept_upgrade(&handshake(&[("Sec-WebSocket-Key", key)])).unwrap_err().status(),
                400,
                "{key}"
            );
        }
        assert!(!wants_upgrade(&handshake(&[("Upgrade", "h2c")])));
        assert!(!wants_upgrade(&handshake(&[("Connection", "keep-alive")])));
    }
}

//! Where the load goes: an `http://` or `ws://` address.

use std::net::{SocketAddr, ToSocketAddrs};

/// What is spoken with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    WebSocket,
}

/// A parsed URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) scheme: Scheme,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    /// What stands in the `Host` header.
    pub(crate) authority: String,
    /// Path and query; begins with `/`.
    pub(crate) path: String,
    /// As it was given.
    pub(crate) url: String,
}

impl Target {
    /// Parses `http://host[:port][/path]`, or the same with `ws://`; the scheme in large letters or small ones (RFC 3986, 3.1).
    ///
    /// # Errors
    /// A sentence that says what was got and what is accepted.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let refuse =
            |why: &str| format!("{url:?} {why}: http://host:port/path and ws://host:port/path are accepted");
        let (scheme, rest) = url.split_once("://").ok_or_else(|| refuse("is no address"))?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "ws" => Scheme::WebSocket,
            "https" | "wss" => return Err(refuse("would need TLS, which is not spoken here")),
            _ => return Err(refuse("is no address")),
        };
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let path = path.split('#').next().unwrap_or("/");
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        if url.bytes().any(|byte| byte <= b' ' || byte == 127) || authority.contains('@') {
            return Err(refuse("has what no address has"));
        }
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port),
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| refuse("has a port that is no number up to 65535"))?,
            None if port.is_empty() => 80,
            None => return Err(refuse("has a host that is none")),
        };
        if host.is_empty() {
            return Err(refuse("has no host"));
        }
        Ok(Self {
            scheme,
            host: host.to_owned(),
            port,
            authority: authority.to_owned(),
            path,
            url: url.to_owned(),
        })
    }

    /// The first address that the host resolves to.
    ///
    /// # Errors
    /// A sentence that names the host.
    pub(crate) fn resolve(&self) -> Result<SocketAddr, String> {
        let mut found = (self.host.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|error| format!("{}: {error}", self.host))?;
        found.next().ok_or_else(|| format!("{}: no such host", self.host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let target = Target::parse("ws://127.0.0.1:9501").unwrap();
        assert_eq!((target.scheme, target.path.as_str()), (Scheme::WebSocket, "/"));
        assert_eq!(target.authority, "127.0.0.1:9501");
        assert_eq!(target.resolve(), Ok(SocketAddr::from(([127, 0, 0, 1], 9501))));

        let target = Target::parse("http://[::1]:80/sleep?ms=5#there").unwrap();
        assert_eq!((target.scheme, target.path.as_str()), (Scheme::Http, "/sleep?ms=5"));
        assert_eq!(target.resolve().unwrap().to_string(), "[::1]:80");

        assert_eq!(Target::parse("http://localhost").unwrap().port, 80);
        assert_eq!(Target::parse("http://localhost?a=1").unwrap().path, "/?a=1");
        assert_eq!(Target::parse("HTTP://localhost").unwrap().scheme, Scheme::Http);
        assert_eq!(Target::parse("Ws://localhost").unwrap().scheme, Scheme::WebSocket);
        assert!(Target::parse("WSS://localhost").unwrap_err().contains("TLS"));
    }

    #[test]
    fn what_is_no_address_is_refused_by_name() {
        for bad in [
            "",
            "localhost:80",
            "ftp://a",
            "https://a",
            "http://",
            "http://:80",
            "http://a:b",
            "http://a:70000",
            "ws://a b/",
            "http://u@h/",
            "http://[::1]80/",
        ] {
            assert!(Target::parse(bad).unwrap_err().contains("are accepted"), "{bad}");
        }
    }
}

//! What the network calls: an [`App`] for HTTP requests and upgrades.

use std::time::Duration;

use super::endpoint::Endpoint;
use super::http::{Method, Request, Response};

/// Answers one HTTP request. The only thing that every kind of listener needs of an application.
pub trait Handler: Send + Sync + 'static {
    /// The answer to `request`.
    ///
    /// Runs in a coroutine that does nothing else meanwhile and begins with an empty context, and which it may block with
    /// the runtime's means (a pool's checkout, a sleep). It may be cancelled there when the request runs past its hard
    /// limit. A panic is answered with 500.
    fn respond(&self, request: Request) -> Response;
}

/// The limits of one route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteLimits {
    /// The route's name, for the watchdog's reports and the metrics: bounded in number, so never the path as it came.
    pub name: &'static str,
    /// The largest request body in bytes that is read; a larger one is answered with 413 before it is read.
    pub max_body: usize,
    /// How long a request may run before the watchdog warns of it.
    pub soft: Duration,
    /// How long a request may run before its coroutine is cancelled and the client gets 504.
    pub hard: Duration,
}

impl Default for RouteLimits {
    /// 1 MiB of body, a warning after 5 s, cut off after 30 s.
    fn default() -> RouteLimits {
        RouteLimits {
            name: "other",
            max_body: 1 << 20,
            soft: Duration::from_secs(5),
            hard: Duration::from_secs(30),
        }
    }
}

/// An application behind the public listener: HTTP and WebSocket.
pub trait App: Handler {
    /// What speaks on an upgraded connection. An application with several protocols uses an enum.
    type Socket: Endpoint;

    /// Decides on an upgrade to WebSocket. The handshake itself (version, key) has been checked. An `Err` is sent as
    /// the answer (404, 401, 403, ...) and the connection stays HTTP.
    ///
    /// Runs in the connection's coroutine and must not block it for long.
    fn upgrade(&self, request: &Request) -> Result<Self::Socket, Response>;

    /// The limits of the route that `method` and `path` lead to. Asked before the body is read.
    fn route_limits(&self, method: &Method, path: &str) -> RouteLimits {
        let _ = (method, path);
        RouteLimits::default()
    }
}

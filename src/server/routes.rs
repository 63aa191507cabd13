//! The HTTP routes, of both listeners.

use std::time::Duration;

use super::app::State;
use super::error::Refusal;
use super::{chaos, process, views};
use crate::config::ServerConfig;
use crate::net::http::{Method, Request, Response};
use crate::net::RouteLimits;
use crate::runtime::time;

/// The longest `/sleep`.
const MAX_SLEEP: Duration = Duration::from_secs(60);

/// A `/sleep` without `ms`.
const DEFAULT_SLEEP_MS: u64 = 1_000;

/// What a route's request may take beyond what it says itself: the wait for a sandbox, above all.
const MARGIN: Duration = Duration::from_secs(5);

pub(super) fn respond(state: &State, request: Request) -> Response {
    route(state, request).unwrap_or_else(Response::from)
}

fn route(state: &State, request: Request) -> Result<Response, Refusal> {
    if request.target() == "*" {
        // About the server as a whole (RFC 9110, section 9.3.7); the front lets it pass with OPTIONS only.
        return Ok(Response::new(204).header("Allow", "GET, HEAD, POST, OPTIONS"));
    }
    let path = request.path();
    if let Some(kind) = path.strip_prefix("/chaos/").filter(|_| state.config.chaos) {
        return chaos::respond(state, kind, &request);
    }
    match path {
        "/echo" => return Ok(echo(request)),
        "/process" => {
            return match request.method() {
                Method::Post => process::respond(state, request),
                _ => Err(Refusal::WrongMethod { allowed: "POST" }),
            }
        }
        _ => {}
    }
    let answer = match path {
        "/" | "/status" => views::status,
        "/stats" => views::stats,
        "/health" => views::health,
        "/ready" => views::ready,
        "/metrics" => views::metrics,
        "/sleep" => {
            only_get(&request)?;
            return sleep(state, &request);
        }
        _ => return Err(Refusal::NotFound),
    };
    only_get(&request)?;
    Ok(crate::runtime::deep_stack::run(|| answer(state)))
}

/// The limits of the route that `method` and `path` lead to.
pub(super) fn limits(config: &ServerConfig, _: &Method, path: &str) -> RouteLimits {
    let usual = RouteLimits {
        soft: config.request_soft_limit,
        hard: config.request_hard_limit,
        ..RouteLimits::default()
    };
    let small = RouteLimits { max_body: 64 << 10, ..usual };
    match path {
        "/" | "/status" => RouteLimits { name: "/status", ..small },
        "/stats" => RouteLimits { name: "/stats", ..small },
        "/health" => RouteLimits { name: "/health", ..small },
        "/ready" => RouteLimits { name: "/ready", ..small },
        "/metrics" => RouteLimits { name: "/metrics", ..small },
        "/sleep" => {
            let longest = MAX_SLEEP + config.acquire_timeout + MARGIN;
            RouteLimits {
                name: "/sleep",
                soft: longest.max(usual.soft),
                hard: longest.max(usual.hard),
                ..small
            }
        }
        "/echo" => RouteLimits { name: "/echo", max_body: config.max_body.as_usize(), ..usual },
        "/process" => RouteLimits {
            name: "/process",
            max_body: config.max_body.as_usize(),
            soft: config.process_limit / 2,
            hard: config.process_limit,
        },
        _ if path.starts_with("/chaos/") => RouteLimits { name: "/chaos", ..small },
        _ => RouteLimits { name: "other", ..small },
    }
}

fn only_get(request: &Request) -> Result<(), Refusal> {
    match request.method() {
        Method::Get | Method::Head => Ok(()),
        _ => Err(Refusal::WrongMethod { allowed: "GET, HEAD" }),
    }
}

/// Any method: the body comes back with its type.
fn echo(request: Request) -> Response {
    let content_type = request.header("content-type").unwrap_or("application/octet-stream").to_owned();
    Response::bytes(200, content_type, request.into_body())
}

/// Holds a sandbox while its coroutine sleeps: what a request that waits for something costs.
///
/// To its end, also when the client has sent a FIN meanwhile: that may say no more than that no further request comes,
/// and the answer is still wanted. Only a reset says that nobody is there.
fn sleep(state: &State, request: &Request) -> Result<Response, Refusal> {
    let duration = Duration::from_millis(millis(request, "ms", DEFAULT_SLEEP_MS, MAX_SLEEP)?);
    let lease = state.pool.checkout()?;
    time::sleep(duration);
    drop(lease);
    Ok(Response::text(200, "slept\n"))
}

/// The query's parameter `name` in milliseconds, 0 to `most`.
pub(super) fn millis(request: &Request, name: &str, default: u64, most: Duration) -> Result<u64, Refusal> {
    let Some(got) = request.query_value(name) else { return Ok(default) };
    got.parse().ok().filter(|&ms| ms <= most.as_millis() as u64).ok_or_else(|| {
        Refusal::parameter(
            name,
            &got,
            &format!("a whole number of milliseconds from 0 to {}", most.as_millis()),
        )
    })
}

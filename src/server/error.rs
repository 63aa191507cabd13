//! Errors as HTTP answers. The only place where they become statuses.

use std::time::Duration;

use serde_json::json;

use crate::net::http::{NoRoom, Response};
use crate::runtime::deep_stack;
use crate::runtime::CheckoutError;

/// When a client that got no sandbox should try again.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A request that is answered with an error.
pub(super) enum Refusal {
    /// No such route.
    NotFound,
    /// The route has other methods.
    WrongMethod { allowed: &'static str },
    /// A parameter, header or body is not what it should be.
    Bad { status: u16, code: &'static str, message: String },
    /// No sandbox.
    NoSandbox(CheckoutError),
    /// No memory for its answer.
    NoRoom(NoRoom),
    /// A sandbox failed at it.
    Failed(String),
}

impl Refusal {
    /// A parameter `name` that was `got`.
    pub(super) fn parameter(name: &str, got: &str, accepted: &str) -> Self {
        Self::bad(400, "INVALID_PARAMETER", format!("{name}: got {}, accepted: {accepted}", shown(got)))
    }

    pub(super) fn bad(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self::Bad { status, code, message: message.into() }
    }
}

/// A client's text in quotes, cut to a printable length.
pub(super) fn shown(text: &str) -> String {
    let shown: String = text.chars().take(40).collect();
    format!("{shown:?}")
}

impl From<CheckoutError> for Refusal {
    fn from(error: CheckoutError) -> Self {
        Self::NoSandbox(error)
    }
}

impl From<NoRoom> for Refusal {
    fn from(error: NoRoom) -> Self {
        Self::NoRoom(error)
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        deep_stack::run(|| match refusal {
            Refusal::NotFound => answer(404, "NOT_FOUND", "no such path; GET / lists what there is"),
            Refusal::WrongMethod { allowed } => {
                answer(405, "METHOD_NOT_ALLOWED", &format!("accepted: {allowed}")).header("Allow", allowed)
            }
            Refusal::Bad { status, code, message } => answer(status, code, &message),
            Refusal::NoSandbox(error @ CheckoutError::Build { .. }) => {
                tracing::error!("{error}: {:?}", std::error::Error::source(&error));
                answer(500, "SANDBOX_FAILED", &error.to_string())
            }
            Refusal::NoSandbox(error) => {
                let code = match error {
                    CheckoutError::Closed { .. } => "SHUTTING_DOWN",
                    _ => "POOL_EXHAUSTED",
                };
                try_again(code, &error.to_string())
            }
            Refusal::NoRoom(error) => try_again("OUT_OF_ROOM", &error.to_string()),
            Refusal::Failed(message) => answer(500, "PROCESSING_FAILED", &message),
        })
    }
}

fn try_again(code: &str, message: &str) -> Response {
    let body = json!({ "error": { "code": code, "message": message,
                                  "retry_after_ms": RETRY_AFTER.as_millis() as u64 } });
    Response::json(503, body.to_string()).header("Retry-After", RETRY_AFTER.as_secs().to_string())
}

fn answer(status: u16, code: &str, message: &str) -> Response {
    Response::json(status, json!({ "error": { "code": code, "message": message } }).to_string())
}

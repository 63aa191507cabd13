//! The two protocols, as far as a client needs them; no sockets in here.
//!
//! They are our own, small, so that the tool does not share its mistakes with the servers it checks.

pub(crate) mod http;
pub(crate) mod websocket;

/// What came breaks the rules of the protocol; the text says how.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Violation(pub(crate) String);

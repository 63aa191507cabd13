//! HTTP/1.1 as plain values: requests, responses, and (sans-I/O) how they are read and written.
//!
//! Nothing in here touches a socket or a coroutine: [`crate::net`]'s connection driver feeds bytes in and
//! writes bytes out. So every rule of the protocol is tested on byte strings.

mod headers;
mod request;
mod response;

pub use headers::Headers;
pub use request::{Method, Request, Version};
pub use response::Response;

//! HTTP/1.1 as plain values: requests, responses, and (sans-I/O) how they are read and written.
//!
//! Nothing in here touches a socket or a coroutine: [`crate::net`]'s connection driver feeds bytes in and
//! writes bytes out. So every rule of the protocol is tested on byte strings.

mod body;
mod encode;
mod head;
mod headers;
mod request;
mod response;
mod room;

pub(crate) use body::{expects_continue, framing, too_large, ChunkedDecoder, Framing};
pub(crate) use encode::{write_response_head, ResponseContext};
pub(crate) use head::{parse_head, Head, HeadLimits, Rejection};
pub use headers::Headers;
pub(crate) use request::path_of;
pub use request::{Method, Request, Version};
pub use response::Response;
pub(crate) use room::Account;
pub use room::{AnswerRoom, NoRoom};

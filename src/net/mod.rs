//! Listeners, the HTTP/1.1 front, WebSocket connections that cost no coroutine while they are idle.

mod app;
mod buffers;
mod connection;
mod endpoint;
mod front;
mod handle;
pub mod http;
mod listener;
pub mod mini;
mod options;
mod poller;
mod websocket;

pub use app::{App, Handler, RouteLimits};
pub use endpoint::{CloseCode, Closed, Endpoint, Flow, Message, Outbox, Utf8Bytes};
pub use front::{Front, FrontHandle, FrontStatus};
pub use handle::{ConnectionHandle, SendError};
pub use http::{AnswerRoom, Headers, Method, NoRoom, Request, Response, Version};
pub use listener::listen;
pub use options::NetOptions;

#[cfg(test)]
mod tests;

//! What the kernel alone costs, and what it costs with libopus: a loop on one epoll set and nothing around it. A server on
//! epoll can do with little less, so this is the floor that the others' rows are compared with.
//!
//! It does the least that answers correctly: any GET request gets the same 200, a WebSocket upgrade its 101, and each frame
//! of data comes back as it came, or each packet of sound encoded anew. No routes, no limits but those that keep memory
//! bounded, no time-outs.
//!
//! * `server`: the sockets. One thread, one edge-triggered epoll set, one `recv` and one `send` a message.
//! * `protocol`: what is spoken on a connection; no sockets in there.
//! * `service`: what messages are answered with, and what the thread has for it.

mod protocol;
mod server;
mod service;

pub use server::serve;
pub use service::Service;

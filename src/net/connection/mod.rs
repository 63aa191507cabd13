//! One connection: what outlives the coroutine that drives it (`link`), and how it is driven (`driver`, by `runners`)
//! and its requests are answered (`call`).
//!
//! ```text
//!   Link (shared)                        Body (owned by who drives, or lies in the Link while parked)
//!     socket, drive state, queue,          readiness of the socket
//!     deadline, home poller                HTTP: bytes read so far | WebSocket: endpoint, what is under way
//! ```
//!
//! Only the driver reads and writes the socket. Everybody else leaves a flag and perhaps a message.

mod body;
mod call;
mod charge;
mod driver;
mod goodbye;
mod http;
mod io;
mod link;
mod output;
mod pace;
mod poller;
mod runners;
mod socket;
mod transport;
mod turns;

#[cfg(test)]
pub(crate) use link::{idle_bytes, IdleBytes};
pub(crate) use poller::{FrontShared, Poller};

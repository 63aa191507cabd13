//! One poller a worker: it knows which connections have something to do, so that the others need no coroutine.
//!
//! ```text
//!   worker's selector (may) ◄── epoll set of ours ◄── sockets, edge-triggered, each entered once for its life
//!          │                          ▲   ▲
//!          ▼                    eventfd   timerfd, while the wheel is not empty
//!   the poller, a coroutine: drain the set ── signal ──► wake the driver, or start one
//! ```
//!
//! A connection that has nothing to do is a struct on the heap and an entry in this set. What other threads do to
//! one (a message, a request's end) they announce through a queue and the eventfd, so that a driver
//! always wakes and starts on its home worker.

mod set;
mod state;
mod wheel;

pub(crate) use set::{EpollSet, Ready, Waitable, TICK_MS};
pub(crate) use state::{DriveState, Duty, Flags};
pub(crate) use wheel::Wheel;

//! One client's audio session: its settings, the lease of its current talk spurt, its counters.
//!
//! ```text
//!  first packet of a spurt ── checkout, settings put on ──┐
//!  every packet ──────────── deep stack: process ─────────┤  Spurt (on the driving coroutine's stack)
//!  client silent ─────────── lease dropped: reset, home ──┘
//! ```
//!
//! A session outlives its leases: thousands of clients that speak in turn share far fewer sandboxes. It
//! lies on the heap with its connection; a [`Spurt`] never does, for a lease belongs to one coroutine.

mod answers;
mod audio;
mod commands;
mod hub;
mod packet;
mod spurt;
mod totals;

pub use audio::{warm_up, Session};
pub use hub::{SessionHub, SessionOptions};
pub use packet::PacketPool;
pub use spurt::Spurt;
pub use totals::{Totals, TotalsView};

//! The watchdog: it knows what every coroutine is doing, and since when.
//!
//! Work is entered under its [`CoroutineId`](super::CoroutineId) and left by dropping a [`Watch`]. A
//! thread of its own, outside of all workers, looks at the [`Table`] again and again:
//!
//! ```text
//!              ┌── past the soft limit ──► a warning that names coroutine, work, age, worker
//!   Table ─────┤
//!              └── past the hard limit ──► OnExpiry of its owner: cancel, and answer in its stead
//!
//!   Beats ──► a tiny coroutine to each worker; not run within the limit ──► the worker is stalled
//! ```
//!
//! It never ends a worker and never takes anything away from a coroutine. What happens at the hard
//! limit is the owner's business: an HTTP request's coroutine does nothing else meanwhile, and can be
//! cancelled while its connection answers; a frame does not yield, so it can only be warned of.
//! A coroutine that never yields shows as a stall of its worker, in the log and to [`Watchdog::stalled`],
//! from which readiness is told.
//!
//! [`Table`] and [`Beats`] take `now` and read no clock.

mod beats;
mod table;
mod thread;

pub use beats::{BeatEvent, Beats};
pub use table::{EntryView, Finding, Kind, Label, Limit, OnExpiry, Table, Watch, Work};
pub use thread::{Stall, Watchdog, WatchdogCounts, WatchdogOptions};

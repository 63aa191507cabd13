//! What operators see: logs, metrics, health.
//!
//! * [`logs`]: one line an event, formatted off the coroutine's small stack and written by a thread of its own.
//! * [`Exposition`] writes metrics in Prometheus' text format; [`figures`] turns the runtime's figures into it.
//! * [`Counter`] and [`RequestCounts`] count on the hot path, a cell a worker.
//! * [`Health`] says whether the server should get traffic, and why not.

mod counters;
mod exposition;
pub mod figures;
mod health;
pub mod logs;

pub use counters::{Counter, RequestCounts, StatusClass};
pub use exposition::{Exposition, CONTENT_TYPE};
pub use health::{Health, Unready};

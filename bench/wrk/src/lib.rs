//! `sandpool-wrk`: load for HTTP and WebSocket servers, with wrk's command line and report.
//!
//! ```text
//!  args ─► Plan ─► run ─┬─ worker (one a thread) ── poller ── connections ─┐
//!                       └─ ...      schedule: when each message is due      ├─► Totals ─► report: text, JSON, .hgrm
//!                                   workload: what is sent, what is right  ─┘
//! ```
//!
//! What it promises, beyond what wrk does:
//!
//! * **Every answer is checked.** Messages name their client and their place; Opus packets are parsed, and a share of the
//!   clients decodes them and recognises its own voice. What is wrong is counted, and the exit code says so.
//! * **No coordinated omission.** With a rate, a message is due at a time that does not depend on earlier answers, and
//!   its latency counts from then. What is never answered counts with its age at the end.
//! * **It is not the bottleneck.** One epoll loop a thread, no allocation a message once connections are warm.

mod args;
mod clock;
mod connection;
mod histogram;
mod limits;
mod plan;
mod poller;
mod report;
mod run;
mod schedule;
mod target;
mod totals;
mod units;
mod wire;
mod worker;
mod workload;

pub use args::{Args, STDOUT};
pub use histogram::Latencies;
pub use plan::{Mode, Plan, PlanError, Work};
pub use report::{hgrm, json, text};
pub use run::{run, Interrupt, Outcome, RunError};
pub use totals::{Fault, Problem, Totals};
pub use workload::voice::Voice;

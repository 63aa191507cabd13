//! The generic runtime: coroutines with an identity and a context of their own, pools of warm
//! sandboxes that they lease, and a watchdog over what they run. It knows nothing of audio, HTTP or
//! WebSocket; an embedder uses it with a sandbox type of its own.
//!
//! ```text
//!  start ── workers, each with a WorkerId
//!    └─ spawn ── a coroutine: CoroutineId, Context, tickets of its leases, `on_end` hooks
//!         ├─ Pool::checkout ── Lease ── enter(|sandbox| ...)
//!         ├─ deep_stack::run ── code that needs more stack than a coroutine has, and never yields
//!         └─ time ── sleep, yield_now, Waiter
//! ```
//!
//! Everything that belongs to one coroutine lies in its local storage (`local`), which `may` frees whatever
//! ended the coroutine: a return, a panic, a cancel, or a stack overflow that skipped every `Drop`.

mod context;
pub mod deep_stack;
mod id;
mod local;
mod pool;
mod spawn;
mod start;
pub mod time;
pub mod watchdog;
mod worker;

pub use context::Context;
pub use id::CoroutineId;
pub use local::{coroutine_count, on_end};
pub use pool::{
    AnyError, BuildError, CheckoutError, Lease, LeaseId, LeaseRecord, OptionsError, Pool, PoolError,
    PoolOptions, PoolStatus, Sandbox, WaitTime, MAX_CAPACITY,
};
pub(crate) use spawn::panic_message;
pub use spawn::{spawn, spawn_here, spawn_on, Canceller, Ended, JoinHandle, Spawn, TooManyCoroutines};
pub use start::{start, Runtime, RuntimeOptions, MAX_WORKERS};
pub use worker::{worker_activity, WorkerId};
mod waiter;

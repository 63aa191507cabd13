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
//!
//! # What a coroutine may do
//!
//! * **Use 32 KiB of stack.** An overflow is caught as a rule and ends the coroutine without a single `Drop` of its stack;
//!   but where it has written the lowest word of the stack, it ends the *whole process*. Whatever needs more and does not wait (formatting, logging, JSON, a script engine, a codec)
//!   belongs on the worker's deep stack of 512 KiB: [`Lease::enter_deep`], or [`deep_stack::run`] without a lease.
//! * **Wait through the runtime only**: [`time`], [`Pool::checkout`], [`JoinHandle::join`]; sockets through `may`'s types.
//!   What blocks its thread stops the worker, and everybody on it: blocking I/O, channels and locks of `std` or
//!   `crossbeam`, [`std::thread::sleep`]. A lock that is held over a wait can stop it for ever, for the next one to take
//!   it may be on the same worker. And nobody who does not wait can be interrupted: long work calls
//!   [`time::yield_now`] now and then.
//! * **Be cancelled** in any wait, if anybody has its [`Canceller`]. A cancel unwinds like a panic. One that is caught
//!   comes back at the next wait, so there is no going on after it; a checkout that is to end early and let its coroutine
//!   go on takes an [`Interrupt`]. A `Drop` must not wait: in one that runs while the
//!   coroutine unwinds, a wait does not wait.
//! * **Come back at the same worker** after a wait of the runtime, as a rule; after a cancel, or a wait of `may`'s own, it
//!   may be on any thread. A thread-local's address must not be kept over a wait.

mod context;
pub mod deep_stack;
mod id;
mod interrupt;
mod local;
mod overflow;
mod pool;
mod spawn;
mod stacks;
mod start;
pub mod time;
mod timer;
mod waiter;
pub mod watchdog;
mod worker;

pub use context::Context;
pub use id::CoroutineId;
pub use interrupt::Interrupt;
pub(crate) use local::is_as_started;
pub use local::{coroutine_count, on_end};
pub(crate) use overflow::overflow;
pub use pool::{
    AnyError, BuildError, CheckoutError, Lease, LeaseId, LeaseRecord, OptionsError, Pool, PoolError,
    PoolOptions, PoolStatus, Sandbox, WaitTime, MAX_CAPACITY,
};
pub(crate) use spawn::panic_message;
pub use spawn::{spawn, spawn_here, spawn_on, Canceller, Ended, JoinHandle, Spawn, SpawnError};
pub use start::{start, Runtime, RuntimeOptions, MAX_WORKERS};
pub use worker::{worker_activity, WorkerId};

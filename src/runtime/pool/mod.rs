//! Pools of warm sandboxes, and the leases on them.
//!
//! ```text
//!            reserve                       enter
//!  checkout ────────▶ leased (a ticket) ◀───────── Lease
//!     │  ▲               │ drop
//!     │  │ idle          ▼
//!     │  └── shards ◀─ resetting ──▶ discarded ──▶ replaced by the keeper
//!     ▼                  │               │
//!    line ◀──────────────┴───────────────┘
//!         first come, first served: a sandbox, or the right to build one
//! ```
//!
//! * `census`: how many are idle, leased, resetting, building, and whether anybody waits: one word.
//! * `shards`: where the idle ones lie. `line`: who waits. `registry`: who holds what.
//! * `slot`: a sandbox with what the pool knows of it; dropping it gives its place back.
//! * `tickets`: where a coroutine's sandboxes lie, so that no end of a coroutine can lose one.
//! * `shared`: the moves between them. `wait`: a checkout that finds nothing idle. `keeper`: upkeep.
//!
//! # What always holds
//!
//! * `idle + leased + resetting + building = size <= capacity`, at every look.
//! * Every sandbox is in exactly one place: a shard, a ticket, a grant on its way, or the hands of one function.
//! * While anybody waits nothing is idle and nothing can be built, so nobody is overtaken.
//! * A sandbox in which something did not come to its end is never lent again.
//!
//! # What it costs
//!
//! A checkout without waiting is one compare-and-swap, one pop and one write to a record of its own; a
//! return is two changes of the word, the reset and one push. No lock, no allocation, and no clock but the kernel's
//! coarse one.

mod census;
mod clock;
mod error;
mod handle;
mod keeper;
mod lease;
mod line;
mod options;
mod registry;
mod shards;
mod shared;
mod slot;
mod status;
pub(super) mod tickets;
mod wait;

pub use census::MAX_CAPACITY;
pub use error::{AnyError, BuildError, CheckoutError, OptionsError, PoolError};
pub use handle::Pool;
pub use lease::Lease;
pub use options::PoolOptions;
pub use registry::{LeaseId, LeaseRecord};
pub use status::{PoolStatus, WaitTime};

/// A processing environment that is costly to build and holds state, made to be used again and again.
pub trait Sandbox: Send + 'static {
    /// Brings the sandbox back to what it was when it was built, so that nothing of one lease reaches the next.
    ///
    /// Runs on a deep stack when a lease is dropped, and must not wait. When it fails or panics the sandbox
    /// is dropped, and replaced.
    fn reset(&mut self) -> Result<(), AnyError>;
}

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
//! * `census`: how many are idle, leased, being looked over, building, and whether anybody waits: one word.
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
//! Of a checkout and a return that nobody has to wait for, the atomic read-modify-writes (the rest are plain loads and
//! stores to lines that the worker owns):
//!
//! | step | read-modify-write |
//! | --- | --- |
//! | reserve an idle one | compare-and-swap of the census |
//! | take it from its shard | compare-and-swap of the queue's head |
//! | write down who holds it, and since when | none: the record belongs to the holder |
//! | put it into the ticket, enter it | none: the coroutine's own storage |
//! | reset it | none: the record says that it is being reset, the census goes on counting it as leased |
//! | a reference to the pool that outlives the return | none, but for a coroutine's first lease: it lies in the ticket's cell |
//! | give it to its shard | compare-and-swap of the queue's tail |
//! | count it as idle, unless somebody waits | compare-and-swap of the census |
//!
//! No lock, no allocation, and no clock but the kernel's coarse one, twice. The coroutine's storage is looked up three
//! times, to lease, to enter and to return. The reset's way to the deep stack and back comes on top
//! ([`Sandbox::RESETS_ON_DEEP_STACK`]).

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
    /// Whether [`reset`](Self::reset) runs on the deep stack. Default: it does, which is right for every reset. `false`
    /// saves the way there and back, a quarter of an uncontended checkout and return: for a reset that needs
    /// next to nothing of a coroutine's 32 KiB in any case, so one that neither formats, nor logs, nor calls what it does
    /// not know.
    const RESETS_ON_DEEP_STACK: bool = true;

    /// Brings the sandbox back to what it was when it was built, so that nothing of one lease reaches the next.
    ///
    /// Runs when a lease is dropped, on the deep stack unless
    /// [`RESETS_ON_DEEP_STACK`](Self::RESETS_ON_DEEP_STACK) says otherwise, and must not wait. When it fails or panics the
    /// sandbox is dropped, and replaced.
    fn reset(&mut self) -> Result<(), AnyError>;
}

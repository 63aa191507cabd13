//! The identity of a coroutine.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

use super::local;

/// A coroutine's identity: unique in the process, minted when it is spawned, never used again.
///
/// A coroutine that something else started (`may::go!`, `may_minihttp`) gets its id when it first asks for
/// it, and keeps it. A plain thread counts as one long coroutine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CoroutineId(NonZeroU64);

impl CoroutineId {
    /// The id of the coroutine (or plain thread) that asks.
    pub fn current() -> Self {
        local::with(|local| local.id())
    }

    /// The id as a number, for logs and tables.
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// The id that [`get`](Self::get) gave, or `None` for zero.
    pub fn from_u64(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    pub(super) fn mint() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // 2^64 ids last for 584 years at one a nanosecond.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(NonZeroU64::new(number).expect("coroutine ids do not wrap"))
    }
}

impl fmt::Display for CoroutineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

impl fmt::Debug for CoroutineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

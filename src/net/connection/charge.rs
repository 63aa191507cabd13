//! What a connection holds of the memory that all of a listener's connections share.

use std::sync::atomic::{AtomicU64, Ordering};

use super::poller::FrontShared;

/// What takes up to so many bytes for one purpose counts as small.
const SMALL_BYTES: usize = 64 * 1024;
/// One part in so many of the memory is for what is small.
const SHARE_OF_SMALL: u64 = 16;

/// Bytes that are taken of [`NetOptions::max_buffered_bytes`](crate::net::NetOptions::max_buffered_bytes) for one
/// purpose of one connection.
///
/// It lies in the connection's link, or in a request's call, and not on a coroutine's stack, so that the bytes are given
/// back also when that overflows. Only one at a time shrinks it.
#[derive(Debug, Default)]
pub(crate) struct Charge(AtomicU64);

impl Charge {
    /// Bytes that are taken.
    pub(crate) fn bytes(&self) -> usize {
        usize::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    /// Makes it at least `bytes`. `false`: that much more does not fit beside what the others have taken. What is large
    /// finds less room, so that a few of those leave some for many small ones.
    #[must_use]
    pub(crate) fn grow_to<A>(&self, front: &FrontShared<A>, bytes: usize) -> bool {
        let more = (bytes as u64).saturating_sub(self.0.load(Ordering::Relaxed));
        if more == 0 {
            return true;
        }
        let most = front.options.max_buffered_bytes;
        let limit = if bytes <= SMALL_BYTES { most } else { most - most / SHARE_OF_SMALL };
        let sum = |taken: u64| taken.checked_add(more).filter(|&sum| sum <= limit);
        let fits =
            front.counters.buffered_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).is_ok();
        if fits {
            self.0.fetch_add(more, Ordering::Relaxed);
        }
        fits
    }

    /// What is taken counts as `other`'s from now on.
    pub(crate) fn hand_over(&self, other: &Charge) {
        other.0.fetch_add(self.0.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Makes it at most `bytes`.
    pub(crate) fn shrink_to<A>(&self, front: &FrontShared<A>, bytes: usize) {
        let less = self.0.load(Ordering::Relaxed).saturating_sub(bytes as u64);
        if less > 0 {
            self.0.fetch_sub(less, Ordering::Relaxed);
            front.counters.buffered_bytes.fetch_sub(less, Ordering::Relaxed);
        }
    }
}

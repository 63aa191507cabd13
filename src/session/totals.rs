//! What all sessions together have done.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::utils::CachePadded;
use serde::Serialize;

use crate::runtime::WorkerId;

/// Counters over all sessions, a set a worker so that no two share a cache line.
pub struct Totals {
    shards: Box<[CachePadded<Shard>]>,
}

#[derive(Default)]
struct Shard {
    sessions: AtomicU64,
    frames: AtomicU64,
    errors: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    processing_nanos: AtomicU64,
}

/// The sums at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TotalsView {
    /// Sessions begun.
    pub sessions: u64,
    /// Packets answered.
    pub frames: u64,
    /// Packets answered with an error.
    pub errors: u64,
    /// Bytes of all packets that came.
    pub bytes_in: u64,
    /// Bytes of all packets that went.
    pub bytes_out: u64,
    /// Time spent in sandboxes, in nanoseconds.
    pub processing_nanos: u64,
}

impl Totals {
    /// Counters at 0 for `workers` workers.
    pub fn new(workers: usize) -> Self {
        Self { shards: (0..workers.max(1)).map(|_| CachePadded::default()).collect() }
    }

    pub(super) fn session(&self) {
        self.shard().sessions.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn frame(&self, bytes_in: usize, bytes_out: usize, nanos: u64) {
        let shard = self.shard();
        shard.frames.fetch_add(1, Ordering::Relaxed);
        shard.bytes_in.fetch_add(bytes_in as u64, Ordering::Relaxed);
        shard.bytes_out.fetch_add(bytes_out as u64, Ordering::Relaxed);
        shard.processing_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(super) fn error(&self, bytes_in: usize) {
        let shard = self.shard();
        shard.errors.fetch_add(1, Ordering::Relaxed);
        shard.bytes_in.fetch_add(bytes_in as u64, Ordering::Relaxed);
    }

    /// The sums now.
    pub fn view(&self) -> TotalsView {
        let sum = |field: fn(&Shard) -> &AtomicU64| {
            self.shards.iter().map(|shard| field(shard).load(Ordering::Relaxed)).sum()
        };
        TotalsView {
            sessions: sum(|shard| &shard.sessions),
            frames: sum(|shard| &shard.frames),
            errors: sum(|shard| &shard.errors),
            bytes_in: sum(|shard| &shard.bytes_in),
            bytes_out: sum(|shard| &shard.bytes_out),
            processing_nanos: sum(|shard| &shard.processing_nanos),
        }
    }

    fn shard(&self) -> &Shard {
        let index = WorkerId::current().map_or(0, WorkerId::index);
        &self.shards[index % self.shards.len()]
    }
}

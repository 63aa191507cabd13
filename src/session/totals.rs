//! What all sessions together have done.

use serde::Serialize;

use crate::observe::Counter;

/// Counters over all sessions.
pub struct Totals {
    pub(super) sessions: Counter,
    pub(super) frames: Counter,
    pub(super) errors: Counter,
    pub(super) bytes_in: Counter,
    pub(super) bytes_out: Counter,
    pub(super) processing_nanos: Counter,
}

/// The totals at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
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
    /// Time spent on packets, in seconds.
    pub processing_seconds: f64,
}

impl Totals {
    pub(super) fn new(workers: usize) -> Self {
        let counter = || Counter::new(workers);
        Self {
            sessions: counter(),
            frames: counter(),
            errors: counter(),
            bytes_in: counter(),
            bytes_out: counter(),
            processing_nanos: counter(),
        }
    }

    /// The totals now.
    pub fn view(&self) -> TotalsView {
        TotalsView {
            sessions: self.sessions.total(),
            frames: self.frames.total(),
            errors: self.errors.total(),
            bytes_in: self.bytes_in.total(),
            bytes_out: self.bytes_out.total(),
            processing_seconds: self.processing_nanos.total() as f64 / 1e9,
        }
    }
}

//! What sessions have in common.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use sandbox::{AudioSandbox, Settings};

use super::{PacketPool, Totals};
use crate::runtime::watchdog::Watchdog;
use crate::runtime::Pool;

/// What all sessions of a server share.
pub struct SessionHub {
    pub(super) pool: Pool<AudioSandbox>,
    pub(super) watchdog: Watchdog,
    pub(super) options: SessionOptions,
    pub(super) template: Arc<Settings>,
    pub(super) totals: Totals,
    pub(super) packets: PacketPool,
    next_id: AtomicU64,
}

/// How sessions behave.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// The settings that a session starts with.
    pub template: Settings,
    /// How long a client may be silent before its sandbox goes home.
    pub idle: Duration,
    /// The largest message in bytes.
    pub max_message: usize,
    /// When a client that got no sandbox should try again.
    pub retry_after: Duration,
    /// A packet that takes longer than this in its sandbox is reported.
    pub slow_packet: Duration,
}

impl SessionHub {
    /// What sessions need, for `workers` workers.
    pub fn new(
        pool: Pool<AudioSandbox>,
        watchdog: Watchdog,
        options: SessionOptions,
        workers: usize,
    ) -> Self {
        Self {
            pool,
            watchdog,
            template: Arc::new(options.template),
            options,
            totals: Totals::new(workers),
            packets: PacketPool::default(),
            next_id: AtomicU64::new(1),
        }
    }

    /// The number of the next session.
    pub(super) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// What all sessions together have done.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }
}

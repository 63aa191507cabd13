//! Whether the server is alive, and whether it should get traffic.
//!
//! *Alive* is that it answers at all. *Ready* is that it can serve: not before it has started, not while it
//! drains, not with a closed pool, and not while a worker makes no progress.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::runtime::watchdog::Stall;

/// Why a server is not ready.
#[derive(Clone, Debug)]
pub enum Unready {
    /// It has not opened its listeners yet.
    Starting,
    /// It was told to stop and lets what is in flight end.
    Draining,
    /// Its pool is closed.
    PoolClosed,
    /// A worker makes no progress.
    Stalled(Stall),
}

impl fmt::Display for Unready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unready::Starting => f.write_str("the server is starting"),
            Unready::Draining => f.write_str("the server is draining"),
            Unready::PoolClosed => f.write_str("the pool is closed"),
            Unready::Stalled(stall) => stall.fmt(f),
        }
    }
}

/// Where the server is in its life. It only goes forwards.
#[derive(Debug, Default)]
pub struct Health {
    phase: AtomicU8,
}

const STARTING: u8 = 0;
const SERVING: u8 = 1;
const DRAINING: u8 = 2;

impl Health {
    /// Of a server that is starting.
    pub fn new() -> Health {
        Health::default()
    }

    /// The listeners are open.
    pub fn serving(&self) {
        self.phase.fetch_max(SERVING, Ordering::Relaxed);
    }

    /// The server was told to stop.
    pub fn draining(&self) {
        self.phase.fetch_max(DRAINING, Ordering::Relaxed);
    }

    /// Everything that speaks against sending it traffic now; empty when it is ready.
    pub fn unready(&self, pool_closed: bool, stalls: impl IntoIterator<Item = Stall>) -> Vec<Unready> {
        let phase = match self.phase.load(Ordering::Relaxed) {
            STARTING => Some(Unready::Starting),
            DRAINING => Some(Unready::Draining),
            _ => None,
        };
        let pool = pool_closed.then_some(Unready::PoolClosed);
        phase.into_iter().chain(pool).chain(stalls.into_iter().map(Unready::Stalled)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::runtime::{self, CoroutineId};

    fn reasons(health: &Health, pool_closed: bool, stalls: Vec<Stall>) -> Vec<String> {
        health.unready(pool_closed, stalls).iter().map(Unready::to_string).collect()
    }

    #[test]
    fn a_server_is_ready_only_between_start_and_drain() {
        let health = Health::new();
        assert_eq!(reasons(&health, false, vec![]), ["the server is starting"]);
        health.serving();
        assert!(reasons(&health, false, vec![]).is_empty());
        health.draining();
        assert_eq!(reasons(&health, false, vec![]), ["the server is draining"]);
        health.serving();
        assert_eq!(reasons(&health, false, vec![]), ["the server is draining"], "it never serves again");
    }

    #[test]
    fn every_reason_is_told_and_a_stall_names_worker_and_coroutine() {
        let health = Health::new();
        health.draining();
        let worker = runtime::start(Default::default()).workers().next().unwrap();
        let coroutine = CoroutineId::from_u64(42);
        let stall = Stall { worker, since: Instant::now(), coroutine, work: vec![] };
        assert_eq!(
            reasons(&health, true, vec![stall]),
            ["the server is draining", "the pool is closed", "worker 0 is stalled in coroutine c42"]
        );
    }
}

//! A sandbox that tells on those who use it wrongly, and what the tests have in common.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sandpool::runtime::{AnyError, Pool, PoolOptions, Sandbox};

/// What the test sandboxes of one pool have in common.
#[derive(Default)]
pub(crate) struct Workshop {
    pub(crate) built: AtomicUsize,
    alive: AtomicUsize,
    most_alive: AtomicUsize,
    /// Has the factory fail.
    pub(crate) broken: AtomicBool,
}

impl Workshop {
    /// The sandboxes that exist.
    pub(crate) fn alive(&self) -> usize {
        self.alive.load(SeqCst)
    }

    /// The most that ever existed at the same time.
    pub(crate) fn most_alive(&self) -> usize {
        self.most_alive.load(SeqCst)
    }

    pub(crate) fn build(self: &Arc<Self>) -> Result<Probe, AnyError> {
        if self.broken.load(SeqCst) {
            return Err("the workshop is broken".into());
        }
        let number = self.built.fetch_add(1, SeqCst);
        let alive = self.alive.fetch_add(1, SeqCst) + 1;
        self.most_alive.fetch_max(alive, SeqCst);
        Ok(Probe {
            number,
            used_by: None,
            on_reset: OnReset::Clean,
            busy: AtomicBool::new(false),
            workshop: Arc::clone(self),
        })
    }

    /// A pool of its sandboxes.
    pub(crate) fn pool(self: &Arc<Self>, options: PoolOptions) -> Pool<Probe> {
        let workshop = Arc::clone(self);
        Pool::new(options, move || workshop.build()).unwrap()
    }
}

/// Options for a pool that does nothing by itself.
pub(crate) fn quiet(capacity: usize) -> PoolOptions {
    PoolOptions::default().capacity(capacity).min_idle(0).shards(1).upkeep_interval(None)
}

pub(crate) struct Probe {
    /// Unique among the sandboxes of its workshop.
    pub(crate) number: usize,
    /// State of a request, which no other request may ever see.
    pub(crate) used_by: Option<u64>,
    pub(crate) on_reset: OnReset,
    busy: AtomicBool,
    workshop: Arc<Workshop>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnReset {
    Clean,
    Fail,
    Panic,
}

impl Probe {
    /// Uses the sandbox as `user`: finds it clean and alone, and leaves traces.
    pub(crate) fn work(&mut self, user: u64, during: impl FnOnce()) {
        assert!(!self.busy.swap(true, SeqCst), "two at once in sandbox {}", self.number);
        assert!(self.used_by.is_none_or(|by| by == user), "{user} sees the traces of {:?}", self.used_by);
        self.used_by = Some(user);
        during();
        assert_eq!(self.used_by, Some(user));
        self.busy.store(false, SeqCst);
    }
}

impl Sandbox for Probe {
    fn reset(&mut self) -> Result<(), AnyError> {
        match self.on_reset {
            OnReset::Clean => {
                self.used_by = None;
                Ok(())
            }
            OnReset::Fail => Err("cannot be cleaned".into()),
            OnReset::Panic => quiet_panic(),
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.workshop.alive.fetch_sub(1, SeqCst);
    }
}

/// Panics without a word in the log.
pub(crate) fn quiet_panic() -> ! {
    std::panic::resume_unwind(Box::new("on purpose"))
}

/// Waits until `done`, for what happens on other threads and nobody reports.
#[track_caller]
pub(crate) fn eventually(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(20), "never happened: {what}");
        std::thread::yield_now();
    }
}

/// Asserts that the pool's account is true, when nothing is on its way in it: against the sandboxes that exist, the
/// leases that the test holds, and the registry.
#[track_caller]
pub(crate) fn assert_settled(pool: &Pool<Probe>, workshop: &Workshop, held: usize) {
    let (status, alive) = (pool.status(), workshop.alive());
    assert_eq!((status.leased, status.idle), (held, alive - held), "{alive} are alive: {status:?}");
    assert_eq!((status.resetting, status.building, status.size), (0, 0, alive), "{status:?}");
    assert_eq!(pool.leases().len(), held, "{status:?}");
    assert_eq!(status.created, workshop.built.load(SeqCst) as u64, "{status:?}");
    assert_eq!(status.created - status.discarded - status.retired, alive as u64, "{status:?}");
    assert!(workshop.most_alive() <= status.capacity, "{} at a time: {status:?}", workshop.most_alive());
}

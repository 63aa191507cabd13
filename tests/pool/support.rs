//! A sandbox that tells on those who use it wrongly, and what the tests have in common.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sandpool::runtime::{AnyError, Pool, PoolOptions, PoolStatus, Sandbox};

/// What the test sandboxes of one pool have in common.
#[derive(Default)]
pub(crate) struct Workshop {
    pub(crate) built: AtomicUsize,
    pub(crate) dropped: AtomicUsize,
    /// Has the factory fail.
    pub(crate) broken: AtomicBool,
}

impl Workshop {
    /// The sandboxes that exist.
    pub(crate) fn alive(&self) -> usize {
        self.built.load(SeqCst) - self.dropped.load(SeqCst)
    }

    pub(crate) fn build(self: &Arc<Self>) -> Result<Probe, AnyError> {
        if self.broken.load(SeqCst) {
            return Err("the workshop is broken".into());
        }
        let number = self.built.fetch_add(1, SeqCst);
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
        self.workshop.dropped.fetch_add(1, SeqCst);
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

/// Asserts what holds in every status.
#[track_caller]
pub(crate) fn assert_consistent(status: &PoolStatus) {
    assert_eq!(status.idle + status.leased + status.resetting + status.building, status.size, "{status:?}");
    assert!(status.size <= status.capacity, "{status:?}");
}

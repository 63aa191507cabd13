//! The thread that drives the watchdog, and the handle to it.

use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::beats::{BeatEvent, Beats};
use super::table::{EntryView, Finding, Limit, Table, Watch, Work};
use crate::runtime::{self, spawn, CoroutineId, WorkerId};

/// How the watchdog looks, and when it calls a worker stalled.
#[derive(Clone, Debug)]
pub struct WatchdogOptions {
    period: Duration,
    beat_period: Duration,
    stall_limit: Duration,
}

impl Default for WatchdogOptions {
    fn default() -> WatchdogOptions {
        WatchdogOptions {
            period: Duration::from_millis(50),
            beat_period: Duration::from_millis(500),
            stall_limit: Duration::from_secs(2),
        }
    }
}

impl WatchdogOptions {
    /// How often the table is looked at: limits are kept to within this. Default 50 ms; at least
    /// 1 ms.
    #[must_use]
    pub fn period(mut self, period: Duration) -> WatchdogOptions {
        self.period = period.max(Duration::from_millis(1));
        self
    }

    /// The pause between two beats to a worker. Default 500 ms. Each one wakes a sleeping worker, so
    /// much less costs an idle machine its rest.
    #[must_use]
    pub fn beat_period(mut self, period: Duration) -> WatchdogOptions {
        self.beat_period = period;
        self
    }

    /// A worker that has not run its beat for so long is stalled. Default 2 s: far above what a
    /// loaded but healthy worker takes.
    #[must_use]
    pub fn stall_limit(mut self, limit: Duration) -> WatchdogOptions {
        self.stall_limit = limit;
        self
    }
}

/// A worker that makes no progress.
#[derive(Clone, Debug)]
pub struct Stall {
    /// The worker.
    pub worker: WorkerId,
    /// When it was last known to be waiting for nothing.
    pub since: Instant,
    /// The coroutine it was running when the stall was found, as far as the runtime knows.
    pub coroutine: Option<CoroutineId>,
    /// What that coroutine was doing, as far as it is watched: the last entry is the innermost.
    pub work: Vec<EntryView>,
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is stalled", self.worker)?;
        match self.coroutine {
            Some(coroutine) => write!(f, " in coroutine {coroutine}")?,
            None => f.write_str(" in a coroutine unknown")?,
        }
        for (index, entry) in self.work.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { ": " } else { ", " }, entry.what)?;
        }
        Ok(())
    }
}

/// What the watchdog has found since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchdogCounts {
    /// Entries that passed their soft limit and were still running.
    pub late: u64,
    /// Entries that passed their hard limit.
    pub expired: u64,
    /// Stalls of workers.
    pub stalls: u64,
}

/// A handle to the watchdog; a clone is the same watchdog. When the last one is gone its thread
/// ends.
#[derive(Clone)]
pub struct Watchdog {
    shared: Arc<Shared>,
    _thread: Arc<StopOnDrop>,
}

impl Watchdog {
    /// Starts the watchdog's thread, and the runtime if it does not run yet.
    ///
    /// # Panics
    ///
    /// When the system gives no thread.
    pub fn start(options: WatchdogOptions) -> Watchdog {
        let workers: Vec<WorkerId> = runtime::start(Default::default()).workers().collect();
        let shared = Arc::new(Shared {
            table: Table::new(workers.len()),
            beat_ran: workers.iter().map(|_| Arc::default()).collect(),
            stalls: Mutex::default(),
            late: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            stall_count: AtomicU64::new(0),
            stopping: Mutex::new(false),
            stop: Condvar::new(),
        });
        let driver = Driver {
            beats: Beats::new(workers, options.beat_period, options.stall_limit, Instant::now()),
            period: options.period,
            shared: Arc::clone(&shared),
        };
        thread::Builder::new()
            .name("watchdog".into())
            .spawn(move || driver.run())
            .expect("the watchdog needs a thread of its own");
        Watchdog { _thread: Arc::new(StopOnDrop(Arc::clone(&shared))), shared }
    }

    /// Watches `work` of the current coroutine from now on, until the [`Watch`] is dropped.
    pub fn begin(&self, work: Work) -> Watch {
        self.begin_for(CoroutineId::current(), WorkerId::current(), work)
    }

    /// Watches `work` of another coroutine: of one that was just spawned, say.
    pub fn begin_for(&self, coroutine: CoroutineId, worker: Option<WorkerId>, work: Work) -> Watch {
        self.begin_at(coroutine, worker, work, Instant::now())
    }

    /// The same for who has just looked at the clock.
    pub(crate) fn begin_at(
        &self,
        coroutine: CoroutineId,
        worker: Option<WorkerId>,
        work: Work,
        now: Instant,
    ) -> Watch {
        self.shared.table.begin(coroutine, worker, work, now)
    }

    /// Everything that runs now, for a live view.
    pub fn running(&self) -> Vec<EntryView> {
        self.shared.table.snapshot(Instant::now())
    }

    /// What one coroutine is doing now.
    pub fn find(&self, coroutine: CoroutineId) -> Vec<EntryView> {
        self.shared.table.find(coroutine, Instant::now())
    }

    /// How many requests each worker has in flight, in the workers' order.
    pub fn worker_concurrency(&self) -> Vec<usize> {
        self.shared.table.in_flight()
    }

    /// The workers that make no progress now. Empty is how it should be.
    pub fn stalled(&self) -> Vec<Stall> {
        self.shared.stalls.lock().clone()
    }

    /// What it has found so far.
    pub fn counts(&self) -> WatchdogCounts {
        WatchdogCounts {
            late: self.shared.late.load(Ordering::Relaxed),
            expired: self.shared.expired.load(Ordering::Relaxed),
            stalls: self.shared.stall_count.load(Ordering::Relaxed),
        }
    }
}

impl fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchdog")
            .field("running", &self.shared.table.len())
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

/// What the handles and the thread have in common.
struct Shared {
    table: Table,
    /// Whether the last beat sent to each worker has run.
    beat_ran: Vec<Arc<AtomicBool>>,
    stalls: Mutex<Vec<Stall>>,
    late: AtomicU64,
    expired: AtomicU64,
    stall_count: AtomicU64,
    stopping: Mutex<bool>,
    stop: Condvar,
}

/// The handles' common part: the last one to go stops the thread.
struct StopOnDrop(Arc<Shared>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        *self.0.stopping.lock() = true;
        self.0.stop.notify_all();
    }
}

struct Driver {
    beats: Beats,
    period: Duration,
    shared: Arc<Shared>,
}

impl Driver {
    fn run(mut self) {
        loop {
            let now = Instant::now();
            for finding in self.shared.table.sweep(now) {
                self.report(&finding);
            }
            let ran = &self.shared.beat_ran;
            for event in self.beats.tick(now, |worker| ran[worker.index()].load(Ordering::Acquire)) {
                self.follow(event, now);
            }
            let mut stopping = self.shared.stopping.lock();
            if !*stopping {
                self.shared.stop.wait_for(&mut stopping, self.period);
            }
            if *stopping {
                return;
            }
        }
    }

    fn report(&self, finding: &Finding) {
        let EntryView { coroutine, worker, what, age, .. } = &finding.entry;
        let worker = worker.map_or_else(|| "no worker".into(), |worker| worker.to_string());
        let age_ms = age.as_millis();
        match finding.limit {
            Limit::Soft => {
                self.shared.late.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%coroutine, %what, age_ms, worker, "work takes long");
            }
            Limit::Hard => {
                self.shared.expired.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%coroutine, %what, age_ms, worker, "work passed its hard limit");
            }
        }
        let Some(on_expiry) = &finding.on_expiry else { return };
        // The watchdog outlives what others do at an expiry.
        let done = panic::catch_unwind(AssertUnwindSafe(|| on_expiry.expired(finding)));
        if let Err(payload) = done {
            let message = spawn::panic_message(&*payload);
            tracing::error!(%coroutine, %what, message, "what was to be done at the expiry panicked");
        }
    }

    fn follow(&self, event: BeatEvent, now: Instant) {
        match event {
            BeatEvent::Send(worker) => {
                let ran = &self.shared.beat_ran[worker.index()];
                ran.store(false, Ordering::Release);
                let answer = Arc::clone(ran);
                if spawn::raw_spawn_on(worker.index(), move || answer.store(true, Ordering::Release)).is_err()
                {
                    // Nothing is known of this worker, so nothing is held against it.
                    ran.store(true, Ordering::Release);
                }
            }
            BeatEvent::Stalled { worker, silent_for } => {
                let coroutine = runtime::worker_activity(worker);
                let work = coroutine.map_or_else(Vec::new, |id| self.shared.table.find(id, now));
                // A clock that began less than `silent_for` ago can't have measured it.
                let since = now.checked_sub(silent_for).unwrap_or(now);
                let stall = Stall { worker, since, coroutine, work };
                tracing::error!(silent_ms = silent_for.as_millis(), "{stall}");
                self.shared.stall_count.fetch_add(1, Ordering::Relaxed);
                self.shared.stalls.lock().push(stall);
            }
            BeatEvent::Recovered { worker, silent_for } => {
                self.shared.stalls.lock().retain(|stall| stall.worker != worker);
                tracing::info!(silent_ms = silent_for.as_millis(), "{worker} makes progress again");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::runtime::{on_end, time, Ended};

    /// For conditions that come true at once on a healthy machine.
    const PATIENCE: Duration = Duration::from_secs(20);

    fn eager() -> WatchdogOptions {
        let short = Duration::from_millis(1);
        WatchdogOptions::default().period(short).beat_period(short).stall_limit(Duration::from_millis(50))
    }

    fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < deadline, "{what} did not come true");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn expired_work_is_cancelled_and_its_waiting_side_told() {
        let watchdog = Watchdog::start(eager());
        let handle = runtime::spawn(|| time::sleep(PATIENCE * 100));
        let (answer, answered) = mpsc::channel();
        let canceller = handle.canceller();
        let on_expiry = Arc::new(move |finding: &Finding| {
            canceller.cancel();
            answer.send(finding.entry.coroutine).unwrap();
        });
        let work = Work::request("hangs").hard_limit(Duration::from_millis(5)).on_expiry(on_expiry);
        let watch = watchdog.begin_for(handle.id(), None, work);
        assert_eq!(answered.recv_timeout(PATIENCE), Ok(watch.coroutine()));
        assert!(matches!(handle.join(), Err(Ended::Cancelled)));
        assert_eq!(watchdog.counts().expired, 1);
    }

    #[test]
    fn an_expiry_that_panics_does_not_end_the_watchdog() {
        let watchdog = Watchdog::start(eager());
        let work = |action: Arc<dyn super::super::OnExpiry>| {
            Work::step("work").hard_limit(Duration::ZERO).on_expiry(action)
        };
        let _first = watchdog.begin(work(Arc::new(|_: &Finding| panic!("by an expiry, on purpose"))));
        wait_until("the first expiry", || watchdog.counts().expired == 1);
        let _second = watchdog.begin(work(Arc::new(|_: &Finding| {})));
        wait_until("the second expiry", || watchdog.counts().expired == 2);
    }

    #[test]
    fn a_watch_in_the_local_storage_ends_with_its_coroutine() {
        let watchdog = Watchdog::start(WatchdogOptions::default());
        let inside = watchdog.clone();
        let handle = runtime::spawn(move || {
            let watch = inside.begin(Work::request("doomed"));
            on_end(move || drop(watch));
            assert_eq!(inside.find(CoroutineId::current()).len(), 1);
            panic!("on purpose");
        });
        let id = handle.id();
        assert!(matches!(handle.join(), Err(Ended::Panicked(message)) if message == "on purpose"));
        wait_until("the end of the entry", || watchdog.find(id).is_empty());
    }

    #[test]
    fn a_coroutine_that_never_yields_shows_as_a_stall_of_its_worker_until_it_does() {
        // Long enough that a loaded machine is not taken for a stalled one.
        let watchdog = Watchdog::start(eager().stall_limit(Duration::from_millis(300)));
        let worker = runtime::start(Default::default()).workers().next().unwrap();
        let (release, released) = mpsc::channel::<()>();
        let inside = watchdog.clone();
        let handle = runtime::spawn_on(worker, move || {
            let _watch = inside.begin(Work::step("spins"));
            // A blocked thread is to the watchdog what a busy one is.
            released.recv().unwrap();
        });
        let stall_of_worker = || watchdog.stalled().into_iter().find(|stall| stall.worker == worker);
        wait_until("the stall", || stall_of_worker().is_some());
        let stall = stall_of_worker().unwrap();
        assert_eq!(stall.coroutine, Some(handle.id()));
        let told = stall.to_string();
        assert!(told.contains(&format!("{} is stalled in coroutine {}", worker, handle.id())), "{told}");
        assert!(told.ends_with(": spins"), "{told}");
        release.send(()).unwrap();
        handle.join().unwrap();
        wait_until("the recovery", || stall_of_worker().is_none());
        assert!(watchdog.counts().stalls >= 1);
    }

    #[test]
    fn the_thread_ends_with_the_last_handle() {
        let watchdog = Watchdog::start(WatchdogOptions::default().period(PATIENCE * 100));
        let shared = Arc::downgrade(&watchdog.shared);
        let clone = watchdog.clone();
        drop(watchdog);
        assert!(clone.running().is_empty());
        drop(clone);
        wait_until("the end of the thread", || shared.strong_count() == 0);
    }
}

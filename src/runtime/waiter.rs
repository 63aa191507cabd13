//! A place for one coroutine to wait until another says go on.
//!
//! # Who drops what a coroutine waited on
//!
//! A coroutine goes to sleep in `may`'s `subscribe`, on its worker's own stack. It can be woken before that is over, on
//! another worker or *inside* of it, so what it sleeps on (a `Blocker`) may still be in use when nobody needs it any more.
//! `may`'s drop of it therefore waits, by yielding, until `subscribe` is over. Nobody here can afford that:
//!
//! * The yields of a cancelled coroutine do nothing. One that runs inside `subscribe` would spin for ever and take its
//!   worker with it; one that is not unwinding yet would unwind out of that drop, and free what is in use.
//! * Coroutine-local storage is freed outside of any coroutine, where there is nothing to yield.
//! * The drop of a lease wakes the next one in the line, may be the last to hold its blocker, and must not wait.
//!
//! As a rule there is nothing to wait for. Whoever wakes it does so at the worker where it sleeps (see below), in a
//! coroutine of that worker, and notes which worker that is. If it wakes there, and the note is of after it began to wait,
//! another coroutine has run on that thread since: so the thread has come back from `subscribe`, which runs nobody but the
//! coroutine that goes to sleep. Where it was woken otherwise (by a cancel, from a thread, or where no stack could be
//! mapped) its blocker is left to a thread of its own, the *collector*. It can wait. With it goes a reference to the coroutine, for `subscribe` also
//! uses what belongs to that.
//!
//! # Where a coroutine goes on
//!
//! `may` has a woken coroutine go on at the worker that woke it, or anywhere if a plain thread did. Those who wait for each
//! other would all end at one worker, and each far from its sockets and its sandboxes. So whoever wakes one that waits at
//! another worker leaves that to its own (`worker::wake_at`).

use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use may::coroutine::{self, Coroutine};
use may::sync::Blocker;
use parking_lot::Mutex;

use super::stacks;
use super::time;
use super::timer::Timer;
use super::worker::{self, WorkerId};

/// A place for one coroutine (or plain thread) to wait until another says go on.
///
/// A permit, not a queue: [`unpark`](Self::unpark) before [`park`](Self::park) lets the next park return at once;
/// several count as one. Made by the one that parks; shared by an `Arc` with those that unpark.
#[derive(Debug)]
pub struct Waiter {
    /// Taken in the drop only. Boxed, for a wake-up that is under way goes on to use it where it is.
    blocker: Option<Box<Blocker>>,
    coroutine: Option<Coroutine>,
    /// Whether `may` may use it after a wait that is over.
    in_use: AtomicBool,
    /// The worker that has woken it since it began to wait; [`NO_WORKER`] for none, or another thread.
    woken_at: AtomicU16,
    /// The worker at which one sleeps, or did last; [`NO_WORKER`] for a thread.
    home: AtomicU16,
}

const NO_WORKER: u16 = u16::MAX;

/// The current worker's number.
fn here() -> u16 {
    WorkerId::current().map_or(NO_WORKER, WorkerId::number)
}

/// The wait's time was over. Somebody may have said go on all the same, a moment before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut;

impl Waiter {
    /// A waiter for the current coroutine, or thread.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            blocker: Some(Box::new(Blocker::new(false))),
            coroutine: coroutine::is_coroutine().then(coroutine::current),
            in_use: AtomicBool::new(false),
            woken_at: AtomicU16::new(NO_WORKER),
            home: AtomicU16::new(here()),
        })
    }

    /// Waits for [`unpark`](Self::unpark), at most for `limit`; a coroutine's limit ends up to a quarter of a millisecond
    /// late. May return `Ok` without an `unpark`: look at what you wait for again. Panics and unwinds like
    /// [`time::sleep`].
    pub fn park(self: &Arc<Self>, limit: Option<Duration>) -> Result<(), TimedOut> {
        let home = WorkerId::current();
        let result = self.park_for(limit);
        time::go_home(home);
        time::resumed();
        time::let_sockets_be_seen_between_waits();
        result
    }

    /// The same, but it may end on any thread.
    pub(super) fn park_for(self: &Arc<Self>, limit: Option<Duration>) -> Result<(), TimedOut> {
        time::assert_can_wait("park");
        worker::mark_running(None);
        self.home.store(here(), Ordering::Relaxed);
        if !coroutine::is_coroutine() {
            return self.blocker().park(limit).map_err(|_| TimedOut);
        }
        if time::unwinds() {
            // The count of panics is the thread's: whoever ran here meanwhile would be taken for one that unwinds.
            return Ok(());
        }
        stacks::have_room();
        self.woken_at.store(NO_WORKER, Ordering::Relaxed);
        let was_in_use = self.in_use.swap(true, Ordering::Relaxed);
        let timer = limit.and_then(|limit| Timer::set(limit, self));
        // Without a limit of its own it ends by an `unpark` only; a cancel unwinds.
        let _ = self.blocker().park(None);
        let (here, home) = (here(), self.home.load(Ordering::Relaxed));
        if here != NO_WORKER && here == home && here == self.woken_at.load(Ordering::Relaxed) {
            self.in_use.store(was_in_use, Ordering::Relaxed);
        }
        if timer.is_none_or(Timer::take_back) {
            Ok(())
        } else {
            Err(TimedOut)
        }
    }

    fn blocker(&self) -> &Blocker {
        self.blocker.as_deref().expect("it is taken in the drop only")
    }

    /// Lets the waiting one go on, at the worker where it waits, or its next park return at once.
    pub fn unpark(self: &Arc<Self>) {
        let home = self.home.load(Ordering::Relaxed);
        if home == NO_WORKER || home == here() {
            self.unpark_here();
        } else {
            let _ = worker::wake_at(WorkerId::new(home.into()), Arc::clone(self));
        }
    }

    /// The same, but it goes on here.
    pub(super) fn unpark_here(&self) {
        self.woken_at.store(here(), Ordering::Relaxed);
        self.blocker().unpark();
    }
}

impl Drop for Waiter {
    /// Never waits, yields or panics, wherever it runs: see the module's documentation.
    fn drop(&mut self) {
        if let Some(blocker) = self.blocker.take().filter(|_| *self.in_use.get_mut()) {
            leave_to_the_collector(LeftBehind { _blocker: blocker, _coroutine: self.coroutine.take() });
        }
    }
}

/// What the collector is to drop, in this order: the blocker's drop waits until nothing of either is in use.
struct LeftBehind {
    _blocker: Box<Blocker>,
    _coroutine: Option<Coroutine>,
}

static LEFT_BEHIND: Mutex<Vec<LeftBehind>> = Mutex::new(Vec::new());

static COLLECTOR: OnceLock<Thread> = OnceLock::new();

/// How long the collector lets things lie: many are dropped at once then, and hardly ever one that is in use.
const COLLECT_AFTER: Duration = Duration::from_millis(20);

fn leave_to_the_collector(one: LeftBehind) {
    let is_first = {
        let mut left = LEFT_BEHIND.lock();
        left.push(one);
        left.len() == 1
    };
    // Before the runtime has started they only lie there.
    if let Some(collector) = COLLECTOR.get().filter(|_| is_first) {
        collector.unpark();
    }
}

/// Starts the collector. It sleeps as long as nothing is left to it.
///
/// # Panics
///
/// When the system gives no thread.
pub(super) fn start_collector() {
    COLLECTOR.get_or_init(|| {
        let collector = thread::Builder::new().name("collector".into()).spawn(collect);
        collector.expect("what was waited on needs a thread that drops it").thread().clone()
    });
}

fn collect() {
    // Whoever leaves something behind can say so from then on.
    COLLECTOR.wait();
    loop {
        if LEFT_BEHIND.lock().is_empty() {
            thread::park();
        }
        thread::sleep(COLLECT_AFTER);
        let left = std::mem::take(&mut *LEFT_BEHIND.lock());
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{spawn, spawn_here, spawn_on, start, RuntimeOptions};
    use std::time::Instant;

    /// For what comes true at once on a healthy machine.
    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn what_cancelled_coroutines_waited_on_is_dropped_without_a_pool_or_a_watchdog() {
        let waiting: Vec<_> = (0..100).map(|_| spawn(|| Waiter::new().park(None))).collect();
        waiting.iter().for_each(|coroutine| coroutine.canceller().cancel());
        waiting.into_iter().for_each(|coroutine| assert!(coroutine.join().is_err()));
        let deadline = Instant::now() + PATIENCE;
        // Others may leave some behind meanwhile; not a hundred.
        while LEFT_BEHIND.lock().len() >= 100 {
            assert!(Instant::now() < deadline, "{} lie there for ever", LEFT_BEHIND.lock().len());
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// As the drop of a lease does: it wakes one that is about to wait, and is the last to let go of what that one waits
    /// on, while that one runs on from within may's `subscribe`.
    #[test]
    fn letting_go_of_a_waiter_never_yields() {
        let workers: Vec<_> = start(RuntimeOptions::default().workers(2)).workers().collect();
        let [first, second, ..] = workers[..] else { return };
        for round in 0..4_000_usize {
            let [about_to_wait, let_go, yielded] = [(); 3].map(|()| Arc::new(AtomicBool::new(false)));
            let (handed_over, hand_over) = std::sync::mpsc::sync_channel::<Arc<Waiter>>(1);
            let waiting = {
                let (about_to_wait, let_go) = (Arc::clone(&about_to_wait), Arc::clone(&let_go));
                spawn_on(first, move || {
                    let waiter = Waiter::new();
                    handed_over.try_send(Arc::clone(&waiter)).unwrap();
                    about_to_wait.store(true, Ordering::Release);
                    (0..round % 16).for_each(|_| std::hint::spin_loop());
                    // With a limit, as in the line: the timer is set between may's two looks for a wake-up.
                    let _ = waiter.park(Some(PATIENCE));
                    drop(waiter);
                    let_go.store(true, Ordering::Release);
                    // It stays where it is for a moment: within `subscribe`, if that is where it was woken.
                    spin_until(Duration::from_micros(200), || false);
                })
            };
            let waking = spawn_on(second, move || {
                // It runs when this coroutine yields.
                let other = spawn_here({
                    let yielded = Arc::clone(&yielded);
                    move || yielded.store(true, Ordering::Release)
                });
                spin_until(PATIENCE, || about_to_wait.load(Ordering::Acquire));
                let waiter = hand_over.try_recv().unwrap();
                (0..round / 16 % 16).for_each(|_| std::hint::spin_loop());
                // Not left to the worker where it waits: this is how its own worker does it, and another one in the worst case.
                waiter.unpark_here();
                spin_until(Duration::from_micros(100), || let_go.load(Ordering::Acquire));
                drop(waiter);
                assert!(!yielded.load(Ordering::Acquire), "in round {round}");
                other.join().unwrap();
            });
            waking.join().unwrap();
            waiting.join().unwrap();
        }
    }

    fn spin_until(at_most: Duration, done: impl Fn() -> bool) {
        let began = Instant::now();
        while !done() && began.elapsed() < at_most {
            std::hint::spin_loop();
        }
    }
}

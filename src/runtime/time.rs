//! Waiting: sleep, yield, and (in `waiter`) park with a limit.
//!
//! `may` has a woken coroutine go on wherever it was woken, and runs one that a timer woke *on its one timer thread*. Every
//! wait here ends at the worker where it began (see `waiter`), and its time-outs are the runtime's own (see `timer`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use may::coroutine;

use super::id::CoroutineId;
use super::worker::{self, WorkerId};
use super::{deep_stack, local, spawn, stacks, timer};

pub use super::waiter::{TimedOut, Waiter};

/// Suspends the current coroutine for `duration`, and up to a quarter of a millisecond more; a plain thread sleeps. A
/// duration beyond what the clock can count never ends.
///
/// # Panics
///
/// On the deep stack, where nothing may wait. Unwinds when the coroutine is cancelled.
pub fn sleep(duration: Duration) {
    assert_can_wait("sleep");
    if !coroutine::is_coroutine() {
        return std::thread::sleep(duration);
    }
    if duration.is_zero() {
        return;
    }
    let waiter = Waiter::new();
    // Nobody else could wake it; but a wait of what unwinds does not wait.
    while waiter.park(Some(duration)).is_ok() && !unwinds() {}
}

/// Lets the other coroutines of this worker run first, and every millisecond what its sockets wait for; a plain thread
/// yields to the system. Panics and unwinds like [`sleep`].
///
/// `may`'s own `yield_now` only goes to the end of the worker's queue, and a worker looks at its sockets when
/// that queue is empty. A coroutine that yields in a loop would keep it from ever being so.
pub fn yield_now() {
    assert_can_wait("yield_now");
    if unwinds() {
        return;
    }
    worker::mark_running(None);
    match worker_to_look(worker::poll_is_due) {
        Some(worker) => poll_sockets(worker),
        None => coroutine::yield_now(),
    }
    resumed();
}

/// Whether this worker, at `now`, has not looked at its sockets for a millisecond.
pub(crate) fn sockets_are_due(now: Instant) -> bool {
    WorkerId::current().is_some_and(|worker| worker::poll_is_due_at(worker, now))
}

/// To be called by whoever was woken by a socket: this worker has looked at them just now.
pub(crate) fn sockets_were_seen() {
    if let Some(worker) = WorkerId::current() {
        worker::has_looked(worker);
    }
}

/// Lets this worker look at its sockets if it has not for a millisecond; returns at once if it has. For coroutines that
/// start each other without end, and would keep the worker from it. Panics and unwinds like [`sleep`].
pub(crate) fn let_sockets_be_seen() {
    assert_can_wait("let_sockets_be_seen");
    if let Some(worker) = worker_to_look(worker::poll_is_due) {
        told_to_the_worker(|| poll_sockets(worker));
    }
}

/// The same for whoever has waited, asked at the end of each wait.
pub(super) fn let_sockets_be_seen_between_waits() {
    if unwinds() {
        return;
    }
    if let Some(worker) = worker_to_look(worker::poll_is_due_after_a_wait) {
        told_to_the_worker(|| poll_sockets(worker));
    }
}

/// The worker of the current coroutine, if `is_due` says that it should look at its sockets.
fn worker_to_look(is_due: fn(WorkerId) -> bool) -> Option<WorkerId> {
    WorkerId::current().filter(|&worker| coroutine::is_coroutine() && is_due(worker))
}

/// Whether this is a coroutine that unwinds. A wait of one does not wait.
pub(super) fn unwinds() -> bool {
    std::thread::panicking() && coroutine::is_coroutine()
}

/// Waits until `worker` has looked at its sockets once.
///
/// It looks when its queue is empty, so every coroutine that yields has to leave the queue until then. All of them wait
/// for one coroutine that is sent to the worker from outside, which is queued behind the sockets.
fn poll_sockets(worker: WorkerId) {
    let waiter = local::with(local::Local::poll_waiter);
    stacks::have_room();
    let Some(poll) = worker::await_poll(worker, &waiter) else { return coroutine::yield_now() };
    if poll.is_first
        && spawn::raw_spawn_on(worker.index(), move || worker::poll_has_happened(worker)).is_err()
    {
        // It looks as well when the queue is empty for a moment, for all others that yield wait for this one.
        let _looked = HasLooked(worker);
        let _ = Waiter::new().park_for(Some(timer::TICK));
    }
    while !poll.has_happened() {
        let _ = waiter.park_for(None);
    }
    go_home(Some(worker));
}

/// Its drop says that the worker has looked at its sockets.
struct HasLooked(WorkerId);

impl Drop for HasLooked {
    fn drop(&mut self) {
        worker::poll_has_happened(self.0);
    }
}

/// Waits as `wait` does, one of `may`'s waits that is none of these here, with the worker told which coroutine it runs.
pub(crate) fn told_to_the_worker<R>(wait: impl FnOnce() -> R) -> R {
    worker::mark_running(None);
    let result = wait();
    resumed();
    result
}

/// To be called after any wait: tells the worker which coroutine it runs again.
pub(super) fn resumed() {
    if coroutine::is_coroutine() {
        worker::mark_running(Some(CoroutineId::current()));
    }
}

/// Goes back to the worker where a wait began, if it has not ended there: whoever woke it could not send it home, or took
/// it to be elsewhere.
pub(super) fn go_home(home: Option<WorkerId>) {
    let here = WorkerId::current();
    // A wait of what unwinds does not wait, so it goes nowhere.
    if !coroutine::is_coroutine() || here.is_some() && here == home || unwinds() {
        return;
    }
    let Some(home) = home else {
        // It began outside of the workers; what runs on the thread of `may`'s timer delays all of those.
        if here.is_none() {
            coroutine::yield_now();
        }
        return;
    };
    let waiter = Waiter::new();
    while WorkerId::current() != Some(home) {
        if worker::wake_at(home, Arc::clone(&waiter)).is_err() {
            // There is no way home: it goes on here.
            return;
        }
        // It may be woken before it sleeps, and has not moved then.
        let _ = waiter.park_for(None);
    }
}

#[track_caller]
pub(super) fn assert_can_wait(what: &str) {
    assert!(!deep_stack::is_current(), "{what} on the deep stack: code that runs there must not wait");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{spawn, spawn_on, start, Ended};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    #[test]
    fn a_coroutine_that_only_yields_does_not_keep_its_worker_from_its_sockets() {
        let worker = start::start(start::RuntimeOptions::default()).workers().next().unwrap();
        let heard = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&heard);
        let yielding = spawn_on(worker, move || {
            let deadline = Instant::now() + Duration::from_secs(20);
            while !heard.load(Ordering::Relaxed) {
                assert!(Instant::now() < deadline, "a coroutine sent to this worker never ran");
                yield_now();
            }
        });
        // What comes from outside comes through the selector, as sockets do.
        spawn_on(worker, move || told.store(true, Ordering::Relaxed));
        yielding.join().unwrap();
    }

    #[test]
    fn whoever_yields_while_a_look_at_the_sockets_is_due_waits_for_it() {
        let worker = start::start(start::RuntimeOptions::default()).workers().next().unwrap();
        let waits = Arc::new(AtomicUsize::new(0));
        let yielding: Vec<_> = (0..50)
            .map(|_| {
                let waits = Arc::clone(&waits);
                spawn_on(worker, move || {
                    let deadline = Instant::now() + Duration::from_secs(20);
                    while waits.load(Ordering::Relaxed) < 1_000 {
                        assert!(Instant::now() < deadline, "nobody ever had to wait for a look");
                        let (is_awaited, before) = (worker::poll_is_awaited(worker), worker::polls(worker));
                        yield_now();
                        if is_awaited {
                            assert!(worker::polls(worker) > before, "it ran on before the look");
                            waits.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        yielding.into_iter().for_each(|coroutine| coroutine.join().unwrap());
    }

    #[test]
    fn a_wait_ends_at_the_worker_where_it_began_whoever_ends_it() {
        let workers: Vec<_> = start(start::RuntimeOptions::default().workers(2)).workers().collect();
        let [here, elsewhere, ..] = workers[..] else { return };
        for _ in 0..50 {
            spawn_on(here, move || {
                let is_at_home = || WorkerId::current() == Some(here);
                let waiter = Waiter::new();
                let wait = |limit| {
                    let result = waiter.park(limit);
                    assert!(is_at_home(), "{:?}", WorkerId::current());
                    result
                };
                let other = Arc::clone(&waiter);
                spawn_on(elsewhere, move || other.unpark());
                wait(None).unwrap();
                let other = Arc::clone(&waiter);
                std::thread::spawn(move || other.unpark());
                wait(None).unwrap();
                assert_eq!(wait(Some(Duration::from_millis(1))), Err(TimedOut));
                sleep(Duration::from_millis(1));
                assert!(is_at_home());
                spawn_on(elsewhere, || sleep(Duration::from_millis(1))).join().unwrap();
                assert!(is_at_home());
            })
            .join()
            .unwrap();
        }
    }

    #[test]
    fn the_longest_sleep_waits_until_it_is_cancelled() {
        let sleeping = spawn(|| sleep(Duration::MAX));
        // It sleeps by then or will: a cancel is kept for the next wait.
        sleeping.canceller().cancel();
        assert!(matches!(sleeping.join(), Err(Ended::Cancelled)));
    }
}

//! Waiting: sleep, yield, and (in `waiter`) park with a limit.
//!
//! `may` runs a coroutine that a timer woke *on its one timer thread*, until the coroutine next yields.
//! Work done there would delay every timer of the process, so every wait here that a timer ends goes back to the worker
//! where it began.
//!
//! `may` keeps a list for every distinct duration, so durations are rounded up to few distinct ones first:
//! to two significant digits, in steps of five in the second one ([`round_up`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use may::coroutine;

use super::id::CoroutineId;
use super::worker::{self, WorkerId};
use super::{deep_stack, local, spawn};

pub use super::waiter::{TimedOut, Waiter};

/// The longest single wait handed to `may`. Longer ones are waited for in pieces.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(10_000);

/// Suspends the current coroutine for `duration`, rounded up as [`round_up`] says; a plain thread sleeps. A duration
/// beyond what the clock can count never ends.
///
/// # Panics
///
/// On the deep stack, where nothing may wait. Unwinds when the coroutine is cancelled.
pub fn sleep(duration: Duration) {
    assert_can_wait("sleep");
    let deadline = Instant::now().checked_add(duration);
    let home = WorkerId::current();
    worker::mark_running(None);
    let mut remaining = duration;
    while !remaining.is_zero() {
        coroutine::sleep(round_up(remaining.min(LONGEST_WAIT)));
        // Without a deadline nothing is ever subtracted.
        if let Some(deadline) = deadline {
            remaining = deadline.saturating_duration_since(Instant::now());
        }
    }
    go_home(home);
    resumed();
}

/// Lets the other coroutines of this worker run first, and every millisecond what its sockets wait for; a plain thread
/// yields to the system. Panics and unwinds like [`sleep`].
///
/// `may`'s own `yield_now` only goes to the end of the worker's queue, and a worker looks at its sockets when
/// that queue is empty. A coroutine that yields in a loop would keep it from ever being so.
pub fn yield_now() {
    assert_can_wait("yield_now");
    worker::mark_running(None);
    match WorkerId::current() {
        Some(worker) if coroutine::is_coroutine() && worker::poll_is_due(worker) => poll_sockets(worker),
        _ => coroutine::yield_now(),
    }
    resumed();
}

/// Whether this worker has not looked at its sockets for a millisecond.
pub(crate) fn sockets_are_due() -> bool {
    WorkerId::current().is_some_and(worker::poll_is_due)
}

/// Lets this worker look at its sockets if it has not for a millisecond; returns at once if it has. For coroutines that
/// start each other without end, and would keep the worker from it. Panics and unwinds like [`sleep`].
pub(crate) fn let_sockets_be_seen() {
    assert_can_wait("let_sockets_be_seen");
    match WorkerId::current() {
        Some(worker) if coroutine::is_coroutine() && worker::poll_is_due(worker) => {
            told_to_the_worker(|| poll_sockets(worker));
        }
        _ => {}
    }
}

/// Waits until `worker` has looked at its sockets once.
///
/// It looks when its queue is empty, so every coroutine that yields has to leave the queue until then. All of them wait
/// for one coroutine that is sent to the worker from outside, which is queued behind the sockets.
fn poll_sockets(worker: WorkerId) {
    let waiter = local::with(local::Local::poll_waiter);
    let Some(poll) = worker::await_poll(worker, &waiter) else { return coroutine::yield_now() };
    if poll.is_first {
        drop(spawn::raw_spawn_on(worker.index(), move || worker::poll_has_happened(worker)));
    }
    while !poll.has_happened() {
        let _ = waiter.park(None);
    }
}

/// The duration that is waited for instead of `duration`: the next one up of about a thousand, at most 5 %
/// longer (and at least a millisecond), exact for round durations such as 50 ms, 2 s, 30 s.
pub fn round_up(duration: Duration) -> Duration {
    let micros = duration.as_micros().min(LONGEST_WAIT.as_micros()) as u64;
    let mut step = 1_000;
    while micros > step * 100 * 2 {
        step *= 10;
    }
    // Below 200 steps of a decade every one counts (1 ms up to 200 ms, 10 ms up to 2 s, ...).
    Duration::from_micros(micros.max(1).div_ceil(step) * step)
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

/// Goes back to the worker where a wait began, if it has not ended there: a timer ends it on its own thread, and may's own
/// waits end wherever they were ended.
pub(super) fn go_home(home: Option<WorkerId>) {
    let here = WorkerId::current();
    // A wait of what unwinds does not wait, so it goes nowhere.
    if !coroutine::is_coroutine() || here.is_some() && here == home || std::thread::panicking() {
        return;
    }
    let Some(home) = home else {
        // It began outside of the workers; what runs on the timer's thread delays every timer.
        if here.is_none() {
            coroutine::yield_now();
        }
        return;
    };
    let waiter = Arc::new(Waiter::new());
    while WorkerId::current() != Some(home) {
        // It may be woken before it sleeps, and has not moved then.
        worker::wake_at(home, Arc::clone(&waiter));
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
    use std::collections::HashSet;
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
                let waiter = Arc::new(Waiter::new());
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

    #[test]
    fn round_durations_stay_exact() {
        for millis in [1, 20, 50, 100, 150, 500, 1_000, 2_000, 5_000, 30_000, 60_000, 300_000] {
            let exact = Duration::from_millis(millis);
            assert_eq!(round_up(exact), exact);
        }
    }

    #[test]
    fn rounding_goes_up_by_at_most_five_percent_and_a_millisecond() {
        let mut nanos = 1_u64;
        while nanos < 9_000_000_000_000 {
            let asked = Duration::from_nanos(nanos);
            let rounded = round_up(asked);
            assert!(rounded + Duration::from_micros(1) > asked, "{asked:?} became {rounded:?}");
            assert!(
                rounded <= asked.mul_f64(1.05) + Duration::from_millis(1),
                "{asked:?} became {rounded:?}"
            );
            nanos = nanos * 21 / 20 + 1;
        }
    }

    #[test]
    fn all_durations_become_fewer_than_a_thousand_and_twenty_four() {
        let mut seen = HashSet::new();
        let mut micros = 1_u64;
        while micros < 10_000_000_000 {
            seen.insert(round_up(Duration::from_micros(micros)));
            micros += 1 + micros / 2_000;
        }
        assert!(seen.len() < 1_024, "{} distinct durations", seen.len());
    }
}

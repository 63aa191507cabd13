//! How many stacks of ended coroutines are kept for new ones.
//!
//! `may` keeps up to a fixed number, takes the one that has lain there for longest, and gives none back: soon each of them
//! is resident, however few coroutines there are. Too few of them cost more: a stack that has to be mapped, touched for
//! the first time and unmapped again takes longer than most requests.
//!
//! So as many are kept as there were coroutines at a time not long ago, a few at least, and no more. That makes nothing
//! larger than it has been, and a burst that comes again finds its stacks. The *trimmer*, a thread that sleeps while there is
//! nothing to give up, has the rest unmapped.
//!
//! A stack that was overflowed is kept like any other, but what the coroutine began with still lies on it: the next one has
//! about a hundredth less of it. After some such ends an ordinary coroutine would overflow, and end the process. `may`
//! keeps only what has the size that it was told last, so every few overflows it is told another one: whatever stack was in
//! use or is in use then is not kept again.

use std::hint::black_box;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::OnceLock;
use std::thread::{self, Thread};
use std::time::Duration;

use parking_lot::Mutex;

use super::{local, spawn};

/// So many for each worker, and once more so many, are kept in any case: no fewer than a server has coroutines that never
/// end, such as those that look at sockets. Each is in use again and again, as the queue goes round, and so holds 16 KiB from the
/// first load on.
const LEAST_OF_A_WORKER: usize = 2;

/// How long stacks are kept that nobody needs.
const PERIOD: Duration = Duration::from_secs(10);

/// So many stacks at a time, then the workers have a break.
const TRIMMED_AT_ONCE: usize = 32;

/// The most coroutines at a time in this period; changed under the lock of [`KEPT`] only.
static MOST: AtomicUsize = AtomicUsize::new(0);

static KEPT: Mutex<Kept> = Mutex::new(Kept { stacks: 0, least: 0 });

struct Kept {
    /// How many `may` was told to keep.
    stacks: usize,
    /// How many it keeps in any case.
    least: usize,
}

/// So many overflows a stack bears for certain.
const BORNE: usize = 16;
/// Before a size comes again, stacks that had it the last time have been used, and so unmapped.
const SIZES: usize = 8;
/// By how much each is larger than the one before: a page, in words.
const STEP_WORDS: usize = 4096 / size_of::<usize>();
/// The least size in words: what `may` was told before the start, or its default of 32 KiB.
static LEAST_WORDS: OnceLock<usize> = OnceLock::new();

static OVERFLOWS: AtomicUsize = AtomicUsize::new(0);

static TRIMMER: OnceLock<Thread> = OnceLock::new();

/// Before `may` starts: it makes the stacks that it keeps at once.
pub(super) fn prepare(workers: usize) {
    let least = LEAST_OF_A_WORKER * (workers + 1);
    *KEPT.lock() = Kept { stacks: least, least };
    may::config().set_pool_capacity(least);
    LEAST_WORDS.get_or_init(|| may::config().get_stack_size());
}

/// There are `coroutines` now.
#[inline]
pub(super) fn note(coroutines: usize) {
    if coroutines > MOST.load(Ordering::Relaxed) {
        note_more(coroutines);
    }
}

#[cold]
fn note_more(coroutines: usize) {
    let mut kept = KEPT.lock();
    if coroutines > MOST.load(Ordering::Relaxed) {
        MOST.store(coroutines, Ordering::Relaxed);
    }
    if coroutines > kept.stacks {
        let was_least = std::mem::replace(&mut kept.stacks, coroutines) == kept.least;
        may::config().set_pool_capacity(coroutines);
        drop(kept);
        if let Some(trimmer) = TRIMMER.get().filter(|_| was_least) {
            trimmer.unpark();
        }
    }
}

/// A coroutine has overflowed its stack.
#[cold]
pub(super) fn note_overflow() {
    let overflows = OVERFLOWS.fetch_add(1, Ordering::Relaxed) + 1;
    if let Some(least) = LEAST_WORDS.get().filter(|_| overflows.is_multiple_of(BORNE)) {
        may::config().set_stack_size(least + overflows / BORNE % SIZES * STEP_WORDS);
    }
}

/// How much of its stack a coroutine that is to wait, or wakes another, takes at most with a lock or a promise of the
/// runtime in its hands. Smaller than a guard page.
const ROOM: usize = 3_584;

/// Overflows the stack here and now, at its lowest word first, if it would in what comes next: while nothing is held that
/// would be lost with it.
#[inline(never)]
pub(super) fn have_room() {
    black_box(&mut [0_u8; ROOM]);
}

/// A period has ended: keeps what was needed in it.
fn trim(workers: usize) {
    let surplus = {
        let mut kept = KEPT.lock();
        let needed = MOST.swap(local::coroutine_count(), Ordering::Relaxed).max(kept.least);
        may::config().set_pool_capacity(needed);
        std::mem::replace(&mut kept.stacks, needed).saturating_sub(needed)
    };
    for begin in (0..surplus).step_by(TRIMMED_AT_ONCE) {
        let batch = begin..surplus.min(begin + TRIMMED_AT_ONCE);
        // Each takes one that was kept, and at its end finds no place to put it.
        let taken: Vec<_> =
            batch.filter_map(|number| spawn::raw_spawn_on(number % workers, || {}).ok()).collect();
        taken.into_iter().for_each(|coroutine| coroutine.wait());
    }
}

fn nothing_is_to_be_given_up() -> bool {
    let kept = KEPT.lock();
    kept.stacks == kept.least
}

/// Starts the trimmer.
///
/// # Panics
///
/// When the system gives no thread.
pub(super) fn start_trimmer(workers: usize) {
    TRIMMER.get_or_init(|| {
        let trimmer = thread::Builder::new().name("stacks".into()).spawn(move || loop {
            while nothing_is_to_be_given_up() {
                thread::park();
            }
            thread::sleep(PERIOD);
            // Without mappings left it tries again later.
            let _ = catch_unwind(|| trim(workers));
        });
        trimmer.expect("stacks that nobody needs need a thread that gives them up").thread().clone()
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{spawn, start, time, RuntimeOptions};
    use std::sync::atomic::AtomicBool;
    use std::sync::Arc;
    use std::time::Instant;

    const BURST: usize = 1_500;

    /// Each stack is two, with its guard page.
    fn mappings() -> usize {
        std::fs::read_to_string("/proc/self/maps").unwrap().lines().count()
    }

    #[test]
    fn what_a_burst_needed_is_kept_for_the_next_one_and_given_up_when_none_comes() {
        let workers = start(RuntimeOptions::default()).workers().len();
        let burst = || {
            let is_over = Arc::new(AtomicBool::new(false));
            let coroutines: Vec<_> = (0..BURST)
                .map(|_| {
                    let is_over = Arc::clone(&is_over);
                    spawn(move || {
                        while !is_over.load(Ordering::Relaxed) {
                            time::sleep(Duration::from_millis(5));
                        }
                    })
                })
                .collect();
            let most = mappings();
            is_over.store(true, Ordering::Relaxed);
            coroutines.into_iter().for_each(|coroutine| coroutine.join().unwrap());
            most
        };
        let most = burst();
        let between = mappings();
        assert!(between > 2 * BURST, "{between} of {most} mappings are left for the next burst");
        assert!(burst() < most + BURST, "the next burst takes what was kept");
        let begun = Instant::now();
        while mappings() > most - BURST {
            assert!(begun.elapsed() < Duration::from_secs(20), "{} of {most} mappings are left", mappings());
            trim(workers);
            thread::sleep(Duration::from_millis(20));
        }
    }
}

//! Timers: who is to be woken when, if nobody wakes them before.
//!
//! `may` has timers too. But there whoever is woken in time wakes the timer's thread to tell it, which costs two switches of
//! threads a wait; and whoever is not runs on that thread, where it delays every other timer. Here most waits take back what
//! they have set before anybody looks at it, and a thread of its own, the *timer*, only sends those home whose time is over.
//!
//! ```text
//!  a wait ── set ──► the queue of its worker ── due ──► the timer's thread ── unpark ──► its worker
//!       └─── taken back ──┘
//! ```
//!
//! Each worker has a queue of its own, so that none waits for another's lock. Time is counted in ticks of [`TICK`]: thousands
//! of waits that end in the same one cost the timer one awakening.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::waiter::Waiter;
use super::worker::WorkerId;

/// How exactly a wait ends: up to this much late, and never early.
pub(super) const TICK: Duration = Duration::from_micros(250);

/// A timer of one wait. Dropping it takes it back.
pub(super) struct Timer {
    queue: &'static Mutex<Queue<Arc<Waiter>>>,
    key: Option<Key>,
}

impl Timer {
    /// Has `waiter` woken after `limit`; `None` if that is beyond what the clock can count.
    pub(super) fn set(limit: Duration, waiter: &Arc<Waiter>) -> Option<Self> {
        let timers = start();
        let due = timers.clock.due_after(limit)?;
        let place = WorkerId::current().map_or(0, WorkerId::index).min(timers.queues.len() - 1);
        let queue = &timers.queues[place].0;
        let key = queue.lock().insert(due, Arc::clone(waiter));
        // The queue's lock orders this: either the timer sees what was just put in, or this sees that it is looking.
        if due < timers.looks_at.load(Ordering::Relaxed) {
            timers.thread.unpark();
        }
        Some(Self { queue, key: Some(key) })
    }

    /// Takes it back. Whether it was still to come.
    pub(super) fn take_back(mut self) -> bool {
        self.remove()
    }

    fn remove(&mut self) -> bool {
        let removed = self.key.take().and_then(|key| self.queue.lock().remove(key));
        removed.is_some()
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.remove();
    }
}

/// All timers of the process.
pub(super) struct Timers {
    clock: Clock,
    /// One a worker.
    queues: Box<[QueueOfWorker]>,
    /// The tick at which the thread looks again; `u64::MAX` while it looks, or has nothing to look at.
    looks_at: AtomicU64,
    thread: Thread,
}

/// On cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct QueueOfWorker(Mutex<Queue<Arc<Waiter>>>);

static TIMERS: OnceLock<Timers> = OnceLock::new();

/// Starts the timer, unless it runs.
///
/// # Panics
///
/// When the system gives no thread.
pub(super) fn start() -> &'static Timers {
    TIMERS.get_or_init(|| {
        let timer = thread::Builder::new().name("timer".into()).spawn(|| TIMERS.wait().run());
        Timers {
            clock: Clock(Instant::now()),
            queues: (0..may::config().get_workers()).map(|_| QueueOfWorker::default()).collect(),
            looks_at: AtomicU64::new(u64::MAX),
            thread: timer.expect("waits with a limit need a thread that ends them").thread().clone(),
        }
    })
}

impl Timers {
    fn run(&self) -> ! {
        let mut due = Vec::new();
        loop {
            // Before any queue is looked at: see `Timer::set`.
            self.looks_at.store(u64::MAX, Ordering::Relaxed);
            let now = self.clock.now();
            let mut next = None;
            for QueueOfWorker(queue) in &self.queues {
                let queue_next = {
                    let mut queue = queue.lock();
                    queue.take_due(now, &mut due);
                    queue.next()
                };
                next = next.into_iter().chain(queue_next).min();
                due.drain(..).for_each(|waiter| waiter.unpark());
            }
            // Thousands may have been due at once; their room is not kept.
            due.shrink_to(1_024);
            match next {
                Some(next) => {
                    self.looks_at.store(next, Ordering::Relaxed);
                    thread::park_timeout(self.clock.until(next));
                }
                None => thread::park(),
            }
        }
    }
}

/// Counts ticks since the start.
struct Clock(Instant);

impl Clock {
    /// The last tick that is over.
    fn now(&self) -> u64 {
        ticks(self.0.elapsed()).unwrap_or(u64::MAX)
    }

    /// The first tick that is over when `limit` is.
    fn due_after(&self, limit: Duration) -> Option<u64> {
        ticks(self.0.elapsed().checked_add(limit)?.checked_add(TICK)?)
    }

    fn until(&self, tick: u64) -> Duration {
        let at = Duration::from_nanos(tick.saturating_mul(TICK.as_nanos() as u64));
        at.saturating_sub(self.0.elapsed())
    }
}

/// How many whole ticks there are in `duration`, if it is no more than five hundred years.
fn ticks(duration: Duration) -> Option<u64> {
    Some(u64::try_from(duration.as_nanos()).ok()? / TICK.as_nanos() as u64)
}

/// What is due when. It knows no clock.
struct Queue<T> {
    entries: BTreeMap<Key, T>,
    /// Tells apart what is due in the same tick: first come, first woken.
    set: u64,
}

/// A place in a queue: the tick, and the number of what was set.
type Key = (u64, u64);

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), set: 0 }
    }
}

impl<T> Queue<T> {
    fn insert(&mut self, due: u64, entry: T) -> Key {
        self.set += 1;
        let key = (due, self.set);
        self.entries.insert(key, entry);
        key
    }

    /// Takes one out that is not due yet.
    fn remove(&mut self, key: Key) -> Option<T> {
        self.entries.remove(&key)
    }

    /// Moves all that is due at tick `now` to the end of `due`, the earliest first.
    fn take_due(&mut self, now: u64, due: &mut Vec<T>) {
        while let Some(first) = self.entries.first_entry().filter(|first| first.key().0 <= now) {
            due.push(first.remove());
        }
    }

    /// The tick of the earliest one.
    fn next(&self) -> Option<u64> {
        self.entries.first_key_value().map(|(&(tick, _), _)| tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert { ahead: u64 },
        Remove { which: usize },
        Advance { by: u64 },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (0_u64..50).prop_map(|ahead| Step::Insert { ahead }),
            2 => (0_usize..100).prop_map(|which| Step::Remove { which }),
            1 => (0_u64..30).prop_map(|by| Step::Advance { by }),
        ];
        prop::collection::vec(step, 1..200)
    }

    proptest! {
        #[test]
        fn a_queue_agrees_with_a_sorted_list(steps in steps()) {
            let mut queue = Queue::default();
            let mut now = 0;
            // Of each one ever set: its tick, its key, whether it is still there.
            let mut list: Vec<(u64, Key, bool)> = Vec::new();
            for step in steps {
                match step {
                    Step::Insert { ahead } => {
                        let key = queue.insert(now + ahead, list.len());
                        list.push((now + ahead, key, true));
                    }
                    Step::Remove { which } => {
                        let count = list.len().max(1);
                        if let Some((_, key, is_there)) = list.get_mut(which % count) {
                            prop_assert_eq!(queue.remove(*key), is_there.then_some(which % count));
                            *is_there = false;
                        }
                    }
                    Step::Advance { by } => {
                        now += by;
                        let mut due = Vec::new();
                        queue.take_due(now, &mut due);
                        let mut expected: Vec<_> = (0..list.len()).filter(|&at| list[at].2 && list[at].0 <= now).collect();
                        expected.sort_by_key(|&at| list[at].0);
                        expected.iter().for_each(|&at| list[at].2 = false);
                        prop_assert_eq!(due, expected);
                    }
                }
                prop_assert_eq!(queue.next(), list.iter().filter(|entry| entry.2).map(|entry| entry.0).min());
            }
        }
    }

    #[test]
    fn a_limit_ends_in_the_tick_after_it_and_never_before() {
        let clock = Clock(Instant::now());
        for limit in [
            Duration::ZERO,
            Duration::from_nanos(1),
            TICK,
            Duration::from_millis(20),
            Duration::from_secs(3_600),
        ] {
            let before = clock.0.elapsed();
            let due = clock.due_after(limit).unwrap();
            let after = clock.0.elapsed();
            let at = TICK * u32::try_from(due).unwrap();
            assert!(at > before + limit && at <= after + limit + TICK, "{limit:?}: {at:?} after {before:?}");
        }
        assert_eq!(clock.due_after(Duration::MAX), None);
    }
}

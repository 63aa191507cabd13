//! Turns: who comes after a connection that has done enough for now.
//!
//! A worker has one queue of what is ready. Were a connection with much to do to go to its end after each turn, then with
//! a hundred of those everybody else would wait for a hundred turns, and not once: a request passes the queue for
//! its poller and for a runner, and again after each wait. So those who have used their turn up wait
//! in a line of their own, and only a few of them are in the worker's queue at a time.
//!
//! ```text
//!   turn is over ──► line ──► dispatcher, once round the worker's queue ──► worker's queue ──► next turn
//! ```
//!
//! How many at a time goes by how long the queue takes: those in the line get a share of a worker whose other
//! connections are busy all the time as well.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::runtime::time::{self, Waiter};
use crate::runtime::Spawn;

/// For so much time that a round of the worker's queue takes, one more of the line is let into it.
const SHARE: Duration = Duration::from_millis(4);
/// The most that are let in at a time: turns take a millisecond each, and others are not to hear of them.
const MOST_AT_ONCE: usize = 8;

/// One worker's line.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<Line>);

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Arc<Place>>,
    /// Whether there is a dispatcher. It ends when nobody waits.
    dispatching: bool,
}

/// One connection's place in the line, used again for each of its turns.
#[derive(Debug)]
pub(crate) struct Place {
    waiter: Arc<Waiter>,
    called: AtomicBool,
}

impl Place {
    /// A place for the current coroutine.
    pub(crate) fn new() -> Arc<Place> {
        Arc::new(Place { waiter: Waiter::new(), called: AtomicBool::new(false) })
    }

    fn call(&self) {
        self.called.store(true, Ordering::Release);
        self.waiter.unpark();
    }
}

impl Turns {
    /// The turn of the current coroutine, whose place is `place`, is over: waits for its next one.
    pub(crate) fn wait(self: &Arc<Self>, place: &Arc<Place>) {
        place.called.store(false, Ordering::Relaxed);
        let dispatching = {
            let mut line = self.0.lock();
            line.waiting.push_back(Arc::clone(place));
            std::mem::replace(&mut line.dispatching, true)
        };
        if !dispatching {
            let turns = Arc::clone(self);
            if Spawn::new().here().try_start(move || turns.dispatch()).is_err() {
                // There are too many coroutines: everybody into the queue.
                self.0.lock().dispatching = false;
                self.call(usize::MAX);
                time::yield_now();
            }
        }
        while !place.called.load(Ordering::Acquire) {
            let _ = place.waiter.park(None);
        }
    }

    fn dispatch(&self) {
        let mut number = 1;
        while self.call(number) {
            let begun = Instant::now();
            time::yield_now();
            let shares = (begun.elapsed().as_micros() / SHARE.as_micros()) as usize;
            number = (1 + shares).min(MOST_AT_ONCE);
        }
    }

    /// Calls the first `number` of those who wait. `false`: nobody did, and the dispatcher is to end.
    fn call(&self, number: usize) -> bool {
        for called in 0..number {
            let place = {
                let mut line = self.0.lock();
                let place = line.waiting.pop_front();
                line.dispatching &= place.is_some() || called > 0;
                place
            };
            match place {
                Some(place) => place.call(),
                None => return called > 0,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{spawn_on, start, RuntimeOptions};
    use std::sync::atomic::AtomicU64;

    /// How many turns others have had each time a coroutine of the same worker had gone round its queue.
    fn turns_between(busy: usize, rounds: usize) -> Vec<u64> {
        let worker = start(RuntimeOptions::default()).workers().next().unwrap();
        spawn_on(worker, move || {
            let (turns, taken) = (Arc::new(Turns::default()), Arc::new(AtomicU64::new(0)));
            let stopping = Arc::new(AtomicBool::new(false));
            let drivers: Vec<_> = (0..busy)
                .map(|_| {
                    let (turns, taken, stopping) = (turns.clone(), taken.clone(), stopping.clone());
                    crate::runtime::spawn_here(move || {
                        let (place, mut own) = (Place::new(), 0_u64);
                        while !stopping.load(Ordering::Relaxed) {
                            taken.fetch_add(1, Ordering::Relaxed);
                            own += 1;
                            turns.wait(&place);
                        }
                        own
                    })
                })
                .collect();
            // Each has its first turn as soon as there is something to do.
            while taken.load(Ordering::Relaxed) < busy as u64 {
                time::yield_now();
            }
            let between = (0..rounds)
                .map(|_| {
                    let before = taken.load(Ordering::Relaxed);
                    time::yield_now();
                    taken.load(Ordering::Relaxed) - before
                })
                .collect();
            // All of them get their turns meanwhile, in order.
            while taken.load(Ordering::Relaxed) < 5 * busy as u64 {
                time::yield_now();
            }
            stopping.store(true, Ordering::Relaxed);
            let own: Vec<u64> = drivers.into_iter().map(|driver| driver.join().unwrap()).collect();
            let (least, most) = (own.iter().min().unwrap(), own.iter().max().unwrap());
            assert!(most - least <= 1, "{own:?}");
            between
        })
        .join()
        .unwrap()
    }

    #[test]
    fn who_has_little_to_do_waits_for_few_turns_of_those_who_have_much() {
        let between = turns_between(200, 20);
        assert!(between.iter().all(|&turns| turns <= MOST_AT_ONCE as u64), "{between:?}");
        assert!(between.iter().sum::<u64>() > 0, "they go on meanwhile");
    }

    #[test]
    fn one_alone_goes_on_with_its_turns() {
        assert!(turns_between(1, 20).iter().sum::<u64>() > 0);
    }
}

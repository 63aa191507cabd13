//! One HTTP request in a coroutine of its own, and what becomes of it.
//!
//! ```text
//!   driver ── spawn ──► respond() ──► answered ─┐
//!     │                 panic, overflow ─► failed ├─► the first one counts; the driver is signalled
//!     └── waits ◄────── watchdog ──────► expired ─┘
//! ```
//!
//! Memory that the request reserves for its answer becomes the connection's with the answer. Without one it is given back
//! when the request's coroutine has ended, for until then it holds what it has built.
//!
//! What comes later than the first outcome is dropped: a request that was answered with 504 may run on until it next
//! yields, and disturbs nobody.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::body::charge_of_answer;
use super::charge::Charge;
use super::driver::Driver;
use super::link::{Link, NEVER};
use super::poller::FrontShared;
use crate::net::app::{App, RouteLimits};
use crate::net::http::{Account, AnswerRoom, Request, Response};
use crate::net::poller::Flags;
use crate::runtime::watchdog::{Finding, OnExpiry, Watch, Work};
use crate::runtime::{Canceller, Ended, Spawn, WorkerId};

/// How a request ended, as its connection sees it.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The handler answered.
    Answered(Response),
    /// Its coroutine ended without an answer.
    Failed(Ended),
    /// It ran past its hard limit.
    Expired,
    /// The server shuts down and waits no longer.
    CutOff,
    /// The client left meanwhile.
    Abandoned,
    /// It was not begun: too many are in flight.
    Refused,
}

struct Call<A: App> {
    link: Arc<Link<A>>,
    state: Mutex<State>,
    canceller: OnceLock<Canceller>,
    /// Lies here and not on the request's stack, so that it ends also when that overflows.
    watch: Mutex<Option<Watch>>,
    /// For the answer that is being built.
    reserved: Charge,
}

enum State {
    Running,
    Answered(Response),
    /// Without an answer; how, its join handle tells.
    Ended,
    Expired,
    /// The driver has its outcome.
    Settled,
}

impl<A: App> Call<A> {
    fn settle(&self, state: State) -> bool {
        let mut current = self.state.lock();
        let first = matches!(*current, State::Running);
        if first {
            *current = state;
        }
        drop(current);
        if first {
            self.link.signal(Flags::OUTCOME);
        }
        first
    }

    fn cancel(&self) {
        if let Some(canceller) = self.canceller.get() {
            canceller.cancel();
        }
    }
}

impl<A: App> Account for Call<A> {
    fn reserve(&self, bytes: usize) -> bool {
        self.reserved.grow_to(&self.link.poller.front, charge_of_answer(bytes))
    }
}

/// Neither the driver nor the request's coroutine has it any more.
impl<A: App> Drop for Call<A> {
    fn drop(&mut self) {
        self.reserved.shrink_to(&self.link.poller.front, 0);
    }
}

impl<A: App> OnExpiry for Call<A> {
    fn expired(&self, _finding: &Finding) {
        if self.settle(State::Expired) {
            self.cancel();
        }
    }
}

/// Runs `request` and waits for its outcome.
pub(crate) fn call<A: App>(driver: &mut Driver<'_, A>, request: Request, limits: RouteLimits) -> Outcome {
    if driver.readiness.is_broken() {
        return Outcome::Abandoned;
    }
    let front = Arc::clone(&driver.link.poller.front);
    let in_flight = InFlight::one_more(&front);
    if in_flight.others >= front.options.max_requests as u64 {
        return Outcome::Refused;
    }
    let call = Arc::new(Call {
        link: Arc::clone(driver.link),
        state: Mutex::new(State::Running),
        canceller: OnceLock::new(),
        watch: Mutex::new(None),
        reserved: Charge::default(),
    });
    let ending = Arc::clone(&call);
    let on_end = move || {
        drop(in_flight);
        // In this order: see where the watch is put in.
        ending.settle(State::Ended);
        drop(ending.watch.lock().take());
    };
    // Weak: what lies on the request's stack is never dropped should that overflow, and with the connection a
    // descriptor would be lost.
    let asking = Arc::downgrade(&call);
    let request = request.with_answer_room(AnswerRoom::of(asking.clone()));
    let shared = Arc::clone(&front);
    let spawned = Spawn::new().here().on_end(on_end).try_start(move || {
        let response = shared.app.respond(request);
        if let Some(call) = asking.upgrade() {
            call.settle(State::Answered(response));
        }
    });
    let Ok(handle) = spawned else { return Outcome::Refused };
    let _ = call.canceller.set(handle.canceller());
    let work = Work::request(limits.name)
        .soft_limit(limits.soft)
        .hard_limit(limits.hard)
        .on_expiry(Arc::clone(&call) as Arc<dyn OnExpiry>);
    let watch = front.watchdog.begin_for(handle.id(), WorkerId::current(), work);
    // A request that is still running under the state's lock takes its watch along when it ends.
    {
        let state = call.state.lock();
        if matches!(*state, State::Running) {
            *call.watch.lock() = Some(watch);
        }
    }

    loop {
        let settled = {
            let mut state = call.state.lock();
            match *state {
                State::Running
                    if driver.readiness.is_broken() || front.cutting_off.load(Ordering::Acquire) =>
                {
                    *state = State::Settled;
                    Some(State::Running)
                }
                State::Running => None,
                _ => Some(std::mem::replace(&mut *state, State::Settled)),
            }
        };
        match settled {
            None => {
                driver.wait(Flags::OUTCOME | Flags::BROKEN | Flags::SHUTDOWN, NEVER);
                // Of a shutdown the front tells, to this request and to what the connection does next.
                driver.take_flags();
            }
            Some(State::Answered(response)) => {
                call.reserved.hand_over(&call.link.received);
                return Outcome::Answered(response);
            }
            Some(State::Expired) => return Outcome::Expired,
            Some(State::Ended) => {
                return Outcome::Failed(handle.join().err().unwrap_or(Ended::Cancelled));
            }
            Some(State::Running | State::Settled) => {
                call.cancel();
                return if driver.readiness.is_broken() { Outcome::Abandoned } else { Outcome::CutOff };
            }
        }
    }
}

/// A request that is counted as in flight as long as this exists.
struct InFlight<A> {
    front: Arc<FrontShared<A>>,
    /// How many others there were when it came.
    others: u64,
}

impl<A> InFlight<A> {
    fn one_more(front: &Arc<FrontShared<A>>) -> InFlight<A> {
        let others = front.counters.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight { front: Arc::clone(front), others }
    }
}

impl<A> Drop for InFlight<A> {
    fn drop(&mut self) {
        self.front.counters.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

//! One HTTP request in a coroutine of its own, and what becomes of it.
//!
//! ```text
//!   driver ── spawn ──► respond() ──► answered ─┐
//!     │                 panic, overflow ─► failed ├─► the first one counts; the driver is signalled
//!     └── waits ◄────── watchdog ──────► expired ─┘
//! ```
//!
//! What comes later than the first outcome is dropped: a request that was answered with 504 may run on until it next
//! yields, and disturbs nobody.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::driver::Driver;
use super::link::{Link, NEVER};
use crate::net::app::{App, RouteLimits};
use crate::net::http::{Request, Response};
use crate::net::poller::Flags;
use crate::runtime::watchdog::{Finding, OnExpiry, Watch, Work};
use crate::runtime::{on_end, spawn_here, Canceller, Ended, WorkerId};

/// How a request ended, as its connection sees it.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The handler answered.
    Answered(Response),
    /// Its coroutine ended without an answer.
    Failed(Ended),
    /// It ran past its hard limit.
    Expired,
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

impl<A: App> OnExpiry for Call<A> {
    fn expired(&self, _finding: &Finding) {
        if self.settle(State::Expired) {
            self.cancel();
        }
    }
}

/// Runs `request` and waits for its outcome.
pub(crate) fn call<A: App>(driver: &mut Driver<'_, A>, request: Request, limits: RouteLimits) -> Outcome {
    let front = &driver.link.poller.front;
    let in_flight = front.counters.in_flight.fetch_add(1, Ordering::Relaxed);
    if in_flight >= front.options.max_requests as u64 {
        front.counters.in_flight.fetch_sub(1, Ordering::Relaxed);
        return Outcome::Refused;
    }
    let call = Arc::new(Call {
        link: Arc::clone(driver.link),
        state: Mutex::new(State::Running),
        canceller: OnceLock::new(),
        watch: Mutex::new(None),
    });
    let running = Arc::clone(&call);
    let handle = spawn_here(move || {
        let ending = Arc::clone(&running);
        on_end(move || {
            ending.link.poller.front.counters.in_flight.fetch_sub(1, Ordering::Relaxed);
            drop(ending.watch.lock().take());
            ending.settle(State::Ended);
        });
        let response = running.link.poller.front.app.respond(request);
        running.settle(State::Answered(response));
    });
    let _ = call.canceller.set(handle.canceller());
    let work = Work::request(limits.name)
        .soft_limit(limits.soft)
        .hard_limit(limits.hard)
        .on_expiry(Arc::clone(&call) as Arc<dyn OnExpiry>);
    // The request has not begun: it runs when this coroutine waits.
    let watch = driver.link.poller.front.watchdog.begin_for(handle.id(), WorkerId::current(), work);
    *call.watch.lock() = Some(watch);

    loop {
        driver.wait(Flags::OUTCOME | Flags::BROKEN, NEVER);
        driver.take_socket_flags();
        let settled = {
            let mut state = call.state.lock();
            match *state {
                State::Running if driver.readiness.is_broken() => {
                    *state = State::Settled;
                    State::Running
                }
                State::Running => continue,
                _ => std::mem::replace(&mut *state, State::Settled),
            }
        };
        return match settled {
            State::Answered(response) => Outcome::Answered(response),
            State::Expired => Outcome::Expired,
            State::Ended => match handle.join() {
                Err(ended) => Outcome::Failed(ended),
                Ok(()) => Outcome::Failed(Ended::Cancelled),
            },
            State::Running | State::Settled => {
                call.cancel();
                Outcome::Abandoned
            }
        };
    }
}

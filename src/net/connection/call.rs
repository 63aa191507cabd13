//! One HTTP request while its handler answers it, and what becomes of it.
//!
//! The handler runs in a runner's own coroutine, and nobody drives the connection meanwhile: it is parked, and whatever
//! gives it an outcome has it driven again. So a request costs no coroutine unless its handler waits.
//!
//! ```text
//!   driver ── parks the connection ──► runner: respond() ──► answered ─────────┐
//!                                        │    panic, overflow ──► failed ──────┤ the first one counts,
//!   watchdog ── expired ─────────────────┼─────────────────────────────────────┤ and has the connection
//!   driver, woken ── client gone, cut off ┘ (these cancel the runner) ──────────┘ driven
//! ```
//!
//! A cancel must not come to a runner that has gone on to something else. So it is sent only by who has settled the call
//! first; a runner whose own outcome comes second ends its coroutine, for a cancel has come or will come.
//!
//! Memory that the request reserves for its answer becomes the connection's with the answer. Without one it is given back
//! when the handler has ended, for until then it holds what it has built.
//!
//! What comes later than the first outcome is dropped: a request that was answered with 504 may run on until it next
//! yields, and disturbs nobody.

use std::any::Any;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;

use super::body::charge_of_answer;
use super::charge::Charge;
use super::driver::Driver;
use super::http::Asked;
use super::link::Link;
use crate::net::app::{App, RouteLimits};
use crate::net::http::{Account, AnswerRoom, Request, Response};
use crate::net::poller::Flags;
use crate::runtime::watchdog::{Finding, OnExpiry, Watch, Work};
use crate::runtime::{Canceller, CoroutineId, Ended, WorkerId};

/// How a request ended, as its connection sees it.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The handler answered.
    Answered(Response),
    /// It ended without an answer.
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

/// What starts the driver of a connection whose request is being answered. Of a shutdown the front tells, to this request
/// and to what the connection does next.
pub(crate) const CALLING_INTEREST: Flags = Flags::OUTCOME.union(Flags::BROKEN).union(Flags::SHUTDOWN);

/// One request, known to its connection, to the runner that answers it, and to the watchdog.
pub(crate) struct Call<A: App> {
    pub(crate) link: Arc<Link<A>>,
    asked: Asked,
    limits: RouteLimits,
    progress: Mutex<Progress>,
    /// For the answer that is being built.
    reserved: Charge,
}

struct Progress {
    /// Until the runner begins with the handler.
    request: Option<Request>,
    state: State,
    /// Of the runner, once it has begun with the handler.
    canceller: Option<Canceller>,
    /// Lies here and not on the runner's stack, so that it ends also when that overflows.
    watch: Option<Watch>,
    /// Whether it counts as in flight: until the handler has ended.
    counts: bool,
}

impl Progress {
    /// Whether `state` came first.
    fn settle(&mut self, state: State) -> bool {
        let first = matches!(self.state, State::Running);
        if first {
            self.state = state;
        }
        first
    }

    fn take_held(&mut self) -> (Option<Watch>, bool) {
        (self.watch.take(), std::mem::take(&mut self.counts))
    }
}

enum State {
    Running,
    Answered(Response),
    Failed(Ended),
    Expired,
    /// The driver has its outcome.
    Settled,
}

/// The driver's side of a call. Without a driver that waits for it there is no use in going on: it is cancelled then.
pub(crate) struct Pending<A: App> {
    call: Arc<Call<A>>,
    has_outcome: bool,
}

/// Has `request` answered as soon as the connection has been parked, unless its outcome is known at once.
pub(crate) fn call<A: App>(
    driver: &mut Driver<'_, A>,
    request: Request,
    asked: Asked,
    limits: RouteLimits,
) -> Result<Pending<A>, Outcome> {
    if driver.readiness.is_broken() {
        return Err(Outcome::Abandoned);
    }
    let front = &driver.link.poller.front;
    // That it is set later is signalled later, and wakes the driver.
    if front.cutting_off.load(Ordering::Acquire) {
        return Err(Outcome::CutOff);
    }
    let others = front.counters.in_flight.fetch_add(1, Ordering::Relaxed);
    if others >= front.options.max_requests as u64 {
        front.counters.in_flight.fetch_sub(1, Ordering::Relaxed);
        return Err(Outcome::Refused);
    }
    let progress = Progress {
        request: Some(request),
        state: State::Running,
        canceller: None,
        watch: None,
        counts: true,
    };
    let call = Arc::new(Call {
        link: Arc::clone(driver.link),
        asked,
        limits,
        progress: Mutex::new(progress),
        reserved: Charge::default(),
    });
    driver.to_answer = Some(Arc::clone(&call));
    Ok(Pending { call, has_outcome: false })
}

impl<A: App> Pending<A> {
    /// What the connection keeps to write the answer.
    pub(crate) fn asked(&self) -> Asked {
        self.call.asked
    }

    /// What has become of the request; `None` while it is being answered.
    pub(crate) fn outcome(&mut self, driver: &mut Driver<'_, A>) -> Option<Outcome> {
        driver.take_flags();
        let gone = driver.readiness.is_broken();
        let unwanted = gone || driver.link.poller.front.cutting_off.load(Ordering::Acquire);
        let state = {
            let mut progress = self.call.progress.lock();
            if matches!(progress.state, State::Running) && !unwanted {
                return None;
            }
            std::mem::replace(&mut progress.state, State::Settled)
        };
        self.has_outcome = true;
        Some(match state {
            State::Answered(response) => {
                self.call.reserved.hand_over(&driver.link.received);
                Outcome::Answered(response)
            }
            State::Failed(ended) => Outcome::Failed(ended),
            State::Expired => Outcome::Expired,
            State::Running | State::Settled => {
                self.call.cancel();
                if gone {
                    Outcome::Abandoned
                } else {
                    Outcome::CutOff
                }
            }
        })
    }
}

impl<A: App> Drop for Pending<A> {
    fn drop(&mut self) {
        if !self.has_outcome && self.call.settle(State::Settled) {
            self.call.cancel();
        }
    }
}

impl<A: App> Call<A> {
    /// The current coroutine, which `canceller` cancels, is about to run the handler at `now`: the request for it. `None`: it
    /// is not wanted any more.
    pub(crate) fn begin(self: &Arc<Self>, canceller: &Canceller, now: Instant) -> Option<Request> {
        let work = Work::request(self.limits.name)
            .soft_limit(self.limits.soft)
            .hard_limit(self.limits.hard)
            .on_expiry(Arc::clone(self) as Arc<dyn OnExpiry>);
        let watchdog = &self.link.poller.front.watchdog;
        let mut progress = self.progress.lock();
        let mut request = progress.request.take();
        if !matches!(progress.state, State::Running) {
            let held = progress.take_held();
            drop(progress);
            self.give_back(held);
            return None;
        }
        progress.canceller = Some(canceller.clone());
        progress.watch = Some(watchdog.begin_at(CoroutineId::current(), WorkerId::current(), work, now));
        if let Some(request) = &mut request {
            // Weak: what lies on a runner's stack is never dropped should that overflow, and the connection is not to be lost.
            request.set_answer_room(AnswerRoom::of(Arc::downgrade(self) as Weak<dyn Account>));
        }
        request
    }

    /// The handler has ended with `result`. `false`: too late, and a cancel has come to this coroutine or will come.
    /// If it was in time, the connection is still to be told.
    #[must_use]
    pub(crate) fn end(&self, result: Result<Response, Ended>) -> bool {
        let state = match result {
            Ok(response) => State::Answered(response),
            Err(ended) => State::Failed(ended),
        };
        let (first, held) = {
            let mut progress = self.progress.lock();
            (progress.settle(state), progress.take_held())
        };
        self.give_back(held);
        first
    }

    /// Whether `state` came first.
    fn settle(&self, state: State) -> bool {
        self.progress.lock().settle(state)
    }

    /// Cancels the handler. By who has settled the call.
    fn cancel(&self) {
        let canceller = self.progress.lock().canceller.take();
        if let Some(canceller) = canceller {
            canceller.cancel();
        }
    }

    /// The handler has ended, or never begins: it is neither watched nor counted any more. Outside of the lock: with the watch
    /// goes a reference to this call.
    fn give_back(&self, (watch, counts): (Option<Watch>, bool)) {
        drop(watch);
        if counts {
            self.link.poller.front.counters.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// How a handler ended that unwound with `payload`.
pub(crate) fn ended_by(payload: Box<dyn Any + Send>) -> Ended {
    catch_unwind(AssertUnwindSafe(|| Ended::from_payload(payload))).unwrap_or_else(|second| {
        // The drop of the first one panicked, so that of this one may as well.
        std::mem::forget(second);
        Ended::Panicked("no message".to_owned())
    })
}

impl<A: App> Account for Call<A> {
    fn reserve(&self, bytes: usize) -> bool {
        self.reserved.grow_to(&self.link.poller.front, charge_of_answer(bytes))
    }
}

/// Neither the connection nor a runner has it any more.
impl<A: App> Drop for Call<A> {
    fn drop(&mut self) {
        let held = self.progress.get_mut().take_held();
        self.give_back(held);
        self.reserved.shrink_to(&self.link.poller.front, 0);
    }
}

impl<A: App> OnExpiry for Call<A> {
    fn expired(&self, _finding: &Finding) {
        if self.settle(State::Expired) {
            self.link.signal(Flags::OUTCOME);
            self.cancel();
        }
    }
}

//! The coroutines that drive connections and answer their requests.
//!
//! Most of what connections do takes microseconds and never waits: read a message, answer it, park again. A coroutine for each
//! would have a stack for each, and the processor's caches would hold none of them. So one coroutine, a *runner*, does one
//! job after another: it drives a connection, or runs a request's handler, while the connection is parked. It becomes a
//! job's own only where it has to wait: while it waits, in a handler or with a lease in hand, the others find another
//! runner.
//!
//! ```text
//!   signal ──► ready ──► runner: drive, respond, drive ──► nothing is ready: ends
//!                          `─ waits: the next runner, which is in the worker's queue already, goes on
//! ```
//!
//! A runner can't know beforehand whether it will have to wait. So whenever it begins with a job while others are ready,
//! another runner is in the worker's queue. If it was not needed, it finds nothing to do and ends.
//!
//! A runner in which anything was left behind (values in its context, hooks, leases) ends; no job sees what another
//! left. So does one that may have been cancelled for a request (see [`call`](super::call)).

use std::collections::VecDeque;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use crossbeam::atomic::AtomicCell;
use parking_lot::Mutex;

use super::call::{ended_by, Call};
use super::driver::drive;
use super::link::{Link, NEVER};
use super::poller::{FrontShared, Poller};
use crate::net::app::App;
use crate::net::http::Response;
use crate::net::poller::{Duty, Flags};
use crate::runtime::{is_as_started, time, Canceller, Ended, Spawn, SpawnError};

/// So many jobs a runner does, then others of its worker have their turn.
const IN_A_ROW: usize = 32;
/// End hooks of a runner. One that has more, or values in its context, has them from an application: they are not the next
/// job's, so it ends.
const HOOKS: usize = 1;

/// Room for so many jobs, or connections, is not given up.
pub(super) const ROOM_KEPT: usize = 64;

/// What of one worker has something to do, and nobody who does it.
pub(crate) struct Ready<A: App>(Mutex<Line<A>>);

struct Line<A: App> {
    jobs: VecDeque<Job<A>>,
    /// Whether a runner is in the worker's queue and has not begun.
    runner_comes: bool,
    /// Whether a runner has ended with others ready, and no other has begun since.
    row_has_ended: bool,
}

enum Job<A: App> {
    Drive(Arc<Link<A>>),
    Respond(Arc<Call<A>>),
}

impl<A: App> Line<A> {
    /// Whether the caller has to send a runner, which nobody else does then.
    fn wants_a_runner(&mut self) -> bool {
        let wants = !self.jobs.is_empty() && !self.runner_comes;
        self.runner_comes |= wants;
        wants
    }
}

impl<A: App> Default for Ready<A> {
    fn default() -> Self {
        Ready(Mutex::new(Line { jobs: VecDeque::new(), runner_comes: false, row_has_ended: false }))
    }
}

impl<A: App> Ready<A> {
    /// Gives up the room that a burst took.
    pub(super) fn shrink(&self) {
        self.0.lock().jobs.shrink_to(ROOM_KEPT);
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.0.lock().jobs.capacity()
    }
}

impl<A: App> Poller<A> {
    /// Has `links`, which have something to do, driven. On the poller's own worker.
    pub(crate) fn have_driven(self: &Arc<Self>, links: impl Iterator<Item = Arc<Link<A>>>) {
        let (others, wants_a_runner) = {
            let mut line = self.ready.0.lock();
            let others = line.jobs.len();
            line.jobs.extend(links.map(Job::Drive));
            (others, line.wants_a_runner())
        };
        if !wants_a_runner {
            return;
        }
        if let Err(error) = self.send_runner() {
            // They are still the last: nothing of this worker has run meanwhile.
            let given_up = self.ready.0.lock().jobs.split_off(others);
            for job in given_up {
                let Job::Drive(link) = job else { continue };
                tracing::warn!("a connection is cut off: {error}");
                link.shut_down();
                self.abandon(&link);
            }
        }
    }

    /// Gives a connection up that is to be driven, and that nobody will drive.
    fn abandon(&self, link: &Arc<Link<A>>) {
        // With it goes the request that it waits for, if any, and which keeps the connection alive.
        if link.body.take().is_some_and(|body| body.is_calling()) {
            link.end_driving();
        }
        self.release(link);
    }

    /// Sees that a runner comes if anything is ready. On the poller's own worker.
    pub(crate) fn send_runner_to_the_ready(self: &Arc<Self>) -> Result<(), SpawnError> {
        let wants_a_runner = self.ready.0.lock().wants_a_runner();
        if wants_a_runner {
            self.send_runner()
        } else {
            Ok(())
        }
    }

    /// Sends one that [`Line::wants_a_runner`] has told the caller to send.
    fn send_runner(self: &Arc<Self>) -> Result<(), SpawnError> {
        let runner = Arc::new(Runner {
            poller: Arc::clone(self),
            driven: AtomicU64::new(NEVER),
            call: AtomicCell::new(None),
            canceller: OnceLock::new(),
        });
        let (front, known) = (Arc::clone(&self.front), Arc::downgrade(&runner));
        let sent = Spawn::new()
            .here()
            .on_end(move || runner.after_its_end())
            .try_start(move || run_ready(&known, &front));
        sent.map(drop).inspect_err(|_| self.ready.0.lock().runner_comes = false)
    }
}

/// What must be known of a runner when its stack is lost. It belongs to the hook at the runner's end: a handler may
/// overflow the stack, and what lies there is lost then, so that there is nothing that keeps a connection or a poller.
struct Runner<A: App> {
    poller: Arc<Poller<A>>,
    /// The token of the connection that it drives; [`NEVER`] for none.
    driven: AtomicU64,
    /// Whose handler it runs.
    call: AtomicCell<Option<Arc<Call<A>>>>,
    /// Its own, once it has run a handler.
    canceller: OnceLock<Canceller>,
}

/// A runner's life.
fn run_ready<A: App>(runner: &Weak<Runner<A>>, front: &FrontShared<A>) {
    // Clients that send one request behind the other have one runner follow the other, and the worker looks at its sockets
    // when its queue is empty. Not after one that waits: the others would begin one at a time, each after all that have begun.
    let follows_one_that_has_ended =
        runner.upgrade().is_some_and(|this| std::mem::take(&mut this.poller.ready.0.lock().row_has_ended));
    if follows_one_that_has_ended {
        time::let_sockets_be_seen();
    }
    if let Some(this) = runner.upgrade() {
        this.poller.ready.0.lock().runner_comes = false;
    }
    do_jobs(runner, front);
    if let Some(this) = runner.upgrade() {
        let mut line = this.poller.ready.0.lock();
        line.row_has_ended = !line.jobs.is_empty();
    }
}

/// Does what is ready, until nothing is, or the runner is to end.
fn do_jobs<A: App>(runner: &Weak<Runner<A>>, front: &FrontShared<A>) {
    let Some(mut this) = runner.upgrade() else { return };
    for in_a_row in 1.. {
        let Some(job) = this.next() else { return };
        let mut others_are_due = in_a_row >= IN_A_ROW;
        let to_answer = match job {
            Job::Drive(link) => this.drive(link, Instant::now()),
            Job::Respond(call) => Some((call, Instant::now())),
        };
        if let Some((call, now)) = to_answer {
            if !is_as_started(HOOKS) {
                this.leave_to_the_next(call);
                return;
            }
            if let Some(request) = call.begin(this.canceller.get_or_init(Canceller::of_current), now) {
                this.call.store(Some(call));
                drop(this);
                let result = catch_unwind(AssertUnwindSafe(|| front.app.respond(request)));
                match runner.upgrade() {
                    Some(again) => this = again,
                    None => return,
                }
                let now = Instant::now();
                others_are_due |= time::sockets_are_due(now);
                if !this.conclude(result.map_err(ended_by), now) {
                    return;
                }
            }
        }
        if !is_as_started(HOOKS) {
            return;
        }
        if others_are_due && this.poller.send_runner_to_the_ready().is_ok() {
            return;
        }
    }
}

impl<A: App> Runner<A> {
    fn next(&self) -> Option<Job<A>> {
        let (job, wants_a_runner) = {
            let mut line = self.poller.ready.0.lock();
            (line.jobs.pop_front()?, line.wants_a_runner())
        };
        if wants_a_runner {
            // Should there be too many coroutines for it, this one goes on as far as it does not have to wait.
            let _ = self.poller.send_runner();
        }
        Some(job)
    }

    fn drive(&self, link: Arc<Link<A>>, now: Instant) -> Option<(Arc<Call<A>>, Instant)> {
        self.driven.store(link.token, Ordering::Relaxed);
        let to_answer = drive(link, now);
        self.driven.store(NEVER, Ordering::Relaxed);
        to_answer
    }

    /// The application has left something in this coroutine: a handler that begins here would see it.
    fn leave_to_the_next(&self, call: Arc<Call<A>>) {
        self.poller.ready.0.lock().jobs.push_front(Job::Respond(call));
        // Without one it waits until the poller sends one.
        let _ = self.poller.send_runner_to_the_ready();
    }

    /// The handler has ended at `now` with `result`: has its connection go on. `false`: this coroutine must not.
    fn conclude(&self, result: Result<Response, Ended>, now: Instant) -> bool {
        let Some(call) = self.call.take() else { return false };
        let is_cancelled = matches!(result, Err(Ended::Cancelled));
        if !call.end(result) {
            return false;
        }
        let link = &call.link;
        let duty = link.state.signal(Flags::OUTCOME);
        if is_cancelled || !self.poller.is_at_home() {
            self.poller.perform_later(duty, link);
            return false;
        }
        if duty != Duty::Start || !is_as_started(HOOKS) {
            self.poller.perform(duty, link);
            return true;
        }
        let link = Arc::clone(link);
        drop(call);
        if let Some((next, _)) = self.drive(link, now) {
            // Of the others each has its turn before the second request of this one.
            self.poller.ready.0.lock().jobs.push_back(Job::Respond(next));
            let _ = self.poller.send_runner_to_the_ready();
        }
        true
    }

    /// A stack overflow ends a coroutine without running any `Drop`. The connection it drove would hang for ever, so this,
    /// which runs all the same, cuts it off and gives back what it took; only its memory is lost. One whose handler it ran
    /// goes on.
    fn after_its_end(&self) {
        if let Some(call) = self.call.take() {
            if call.end(Err(Ended::Overflowed)) {
                self.poller.perform_later(call.link.state.signal(Flags::OUTCOME), &call.link);
            }
        }
        let token = self.driven.load(Ordering::Relaxed);
        if token == NEVER {
            return;
        }
        if let Some(link) = self.poller.link(token) {
            link.end_driving();
            link.shut_down();
            self.poller.release(&link);
        }
    }
}

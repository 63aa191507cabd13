//! The coroutines that drive connections.
//!
//! Most of what connections do takes microseconds and never waits: read a message, answer it, park again. A coroutine for each
//! would have a stack for each, and the processor's caches would hold none of them. So one coroutine, a *runner*, drives one
//! connection after another. It becomes a connection's own only where it has to wait: while it waits, for a request or with
//! a lease in hand, the others find another runner.
//!
//! ```text
//!   signal ──► ready ──► runner: drive, drive, drive ──► nothing is ready: ends
//!                          `─ waits: the next runner, which is in the worker's queue already, goes on
//! ```
//!
//! A runner can't know beforehand whether it will have to wait. So whenever it begins with a connection while others are ready,
//! another runner is in the worker's queue. If it was not needed, it finds nothing to do and ends.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::driver::drive;
use super::link::{Link, NEVER};
use super::poller::Poller;
use crate::net::app::App;
use crate::runtime::{is_as_started, Spawn, TooManyCoroutines};

/// So many connections a runner drives, then others of its worker have their turn.
const IN_A_ROW: usize = 32;
/// End hooks of a runner. One that has more, or values in its context, has them from an endpoint: they are not the next
/// connection's, so it ends.
const HOOKS: usize = 1;

/// One worker's connections that have something to do and nobody who drives them.
pub(crate) struct Ready<A: App>(Mutex<Line<A>>);

struct Line<A: App> {
    links: VecDeque<Arc<Link<A>>>,
    /// Whether a runner is in the worker's queue and has not begun.
    runner_comes: bool,
}

impl<A: App> Default for Ready<A> {
    fn default() -> Self {
        Ready(Mutex::new(Line { links: VecDeque::new(), runner_comes: false }))
    }
}

impl<A: App> Poller<A> {
    /// Has `link`, which has something to do, driven. On the poller's own worker.
    pub(crate) fn have_driven(self: &Arc<Self>, link: &Arc<Link<A>>) {
        self.ready.0.lock().links.push_back(Arc::clone(link));
        if let Err(error) = self.send_runner_to_the_ready() {
            // It is still the last: nothing of this worker has run meanwhile.
            self.ready.0.lock().links.pop_back();
            tracing::warn!("a connection is cut off: {error}");
            link.shut_down();
            self.release(link);
        }
    }

    /// Sees that a runner comes if any connection is ready. On the poller's own worker.
    pub(crate) fn send_runner_to_the_ready(self: &Arc<Self>) -> Result<(), TooManyCoroutines> {
        {
            let mut line = self.ready.0.lock();
            if line.links.is_empty() || line.runner_comes {
                return Ok(());
            }
            line.runner_comes = true;
        }
        let driven = Arc::new(AtomicU64::new(NEVER));
        let (poller, left) = (Arc::downgrade(self), Arc::clone(&driven));
        let runner = Arc::clone(self);
        let sent = Spawn::new()
            .here()
            .on_end(move || after_overflow(&poller, &left))
            .try_start(move || runner.run_ready(&driven));
        sent.map(drop).inspect_err(|_| self.ready.0.lock().runner_comes = false)
    }

    /// A runner's life.
    fn run_ready(self: &Arc<Self>, driven: &AtomicU64) {
        self.ready.0.lock().runner_comes = false;
        let mut in_a_row = 0;
        loop {
            let Some(link) = self.ready.0.lock().links.pop_front() else { return };
            // Should there be too many coroutines for it, this one goes on as far as it does not have to wait.
            let _ = self.send_runner_to_the_ready();
            driven.store(link.token, Ordering::Relaxed);
            drive(link);
            driven.store(NEVER, Ordering::Relaxed);
            in_a_row += 1;
            if !is_as_started(HOOKS) || in_a_row >= IN_A_ROW && self.send_runner_to_the_ready().is_ok() {
                return;
            }
        }
    }
}

/// A stack overflow ends a coroutine without running any `Drop`. The connection it drove would hang for ever, so this, which
/// runs all the same, cuts it off and gives back what it took; only its memory is lost.
fn after_overflow<A: App>(poller: &Weak<Poller<A>>, driven: &AtomicU64) {
    let token = driven.load(Ordering::Relaxed);
    let Some(poller) = poller.upgrade().filter(|_| token != NEVER) else { return };
    if let Some(link) = poller.link(token) {
        link.end_driving();
        link.shut_down();
        poller.release(&link);
    }
}

//! A checkout that finds nothing idle: it waits in the line, or builds.
//!
//! What it holds meanwhile (its node in the line, a grant that nobody has taken yet, a place to build in) lies in a
//! ticket of its coroutine, as a lease's sandbox does. So whatever ends the coroutine, a cancel or an overflow in the
//! middle of the wait included, the place in the line is given up and a grant goes to the next one.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::census::{Reservation, Stage};
use super::error::CheckoutError;
use super::line::Waiter;
use super::shared::{Grant, Joined, Shared};
use super::slot::Slot;
use super::{tickets, Sandbox};
use crate::runtime::{deep_stack, local, time, Interrupt, WorkerId};

/// What a checkout came to.
pub(super) enum Outcome<S: Sandbox> {
    /// An idle sandbox is reserved.
    Idle,
    /// A sandbox that counts as leased.
    Slot(Box<Slot<S>>),
}

/// How long a checkout waits.
#[derive(Clone, Copy)]
pub(super) struct Patience<'a> {
    pub(super) timeout: Duration,
    /// What ends the wait before that.
    pub(super) interrupt: Option<&'a dyn Interrupt>,
}

impl Patience<'_> {
    /// Not at all.
    pub(super) const NONE: Patience<'static> = Patience { timeout: Duration::ZERO, interrupt: None };
}

/// Goes on from a reservation that may be any, and waits as long as `patience` says.
#[cold]
#[inline(never)]
pub(super) fn check_out_slowly<S: Sandbox>(
    shared: &Arc<Shared<S>>,
    reservation: Reservation,
    patience: Patience<'_>,
) -> Result<Outcome<S>, CheckoutError> {
    match reservation {
        Reservation::Idle => Ok(Outcome::Idle),
        Reservation::Build => build(shared, Duration::ZERO).map(Outcome::Slot),
        Reservation::Closed => Err(closed(shared, Duration::ZERO)),
        Reservation::Wait if deep_stack_is_current() => Err(CheckoutError::NotAllowed),
        Reservation::Wait if patience.timeout.is_zero() || time::unwinds() => {
            Err(timed_out(shared, Duration::ZERO))
        }
        Reservation::Wait => wait(shared, patience),
    }
}

/// Joins the line and waits for a grant.
fn wait<S: Sandbox>(shared: &Arc<Shared<S>>, patience: Patience<'_>) -> Result<Outcome<S>, CheckoutError> {
    let began = Instant::now();
    let parker = patience.interrupt.map_or_else(time::Waiter::new, Interrupt::waiter);
    let node = Waiter::new(parker);
    // The ticket first: from the moment the node is in the line, it must not be lost.
    let claim = ClaimTicket::put(shared, Held::Node(Arc::clone(&node)));
    match shared.join_line(&node) {
        Joined::Waits => {}
        Joined::Reserved(reservation) => {
            claim.release();
            return check_out_slowly(shared, reservation, patience);
        }
        Joined::Full(waiting) => {
            claim.release();
            return Err(line_full(shared, waiting));
        }
    }
    let grant = loop {
        if let Some(grant) = node.take_grant() {
            break grant;
        }
        let left = patience.timeout.saturating_sub(began.elapsed());
        let is_interrupted = patience.interrupt.is_some_and(Interrupt::is_raised);
        if !left.is_zero() && !is_interrupted {
            // However it ends: what counts is the grant, the interrupt and the clock.
            let _ = node.parker().park(Some(left));
        } else if shared.leave_line(&node) {
            claim.release();
            let waited = began.elapsed();
            return Err(if is_interrupted { interrupted(shared, waited) } else { timed_out(shared, waited) });
        }
        // One that could not leave the line any more has been served.
    };
    // What follows takes less stack than the wait that has just ended.
    claim.release();
    match grant {
        Grant::Sandbox(slot) => {
            shared.statistics.record_wait(began.elapsed());
            Ok(Outcome::Slot(slot))
        }
        Grant::Place => {
            let waited = began.elapsed();
            shared.statistics.record_wait(waited);
            build(shared, waited).map(Outcome::Slot)
        }
        Grant::Closed => Err(closed(shared, began.elapsed())),
    }
}

/// Builds a sandbox in a place that is reserved, for a checkout that has `waited` for it. Should it fail, the place goes
/// to the next one.
#[inline(never)]
fn build<S: Sandbox>(shared: &Arc<Shared<S>>, waited: Duration) -> Result<Box<Slot<S>>, CheckoutError> {
    let claim = ClaimTicket::put(shared, Held::Place);
    let home = WorkerId::current().map_or(0, |worker| shared.shards.of_worker(worker.index()));
    match shared.build(home) {
        Ok(mut slot) => {
            claim.release();
            shared.census.shift(Stage::Building, Stage::Leased);
            slot.stage = Stage::Leased;
            Ok(slot)
        }
        Err(source) => {
            drop(claim);
            let now = shared.census.look();
            let (leased, capacity, waiting) = (now.leased(), shared.census.capacity(), shared.line.len());
            Err(CheckoutError::Build { waited, leased, capacity, waiting, source })
        }
    }
}

/// What a checkout that is under way holds. Dropping it gives all of it back.
struct Claim<S: Sandbox> {
    shared: Arc<Shared<S>>,
    held: Held<S>,
}

enum Held<S: Sandbox> {
    Nothing,
    /// A node that is in the line, or was served.
    Node(Arc<Waiter<Grant<S>>>),
    /// A place to build in.
    Place,
}

impl<S: Sandbox> Drop for Claim<S> {
    /// May run anywhere, and looks at nothing that is "current": see the drop of [`Slot`].
    fn drop(&mut self) {
        match std::mem::replace(&mut self.held, Held::Nothing) {
            Held::Nothing => {}
            Held::Node(node) => {
                if !self.shared.leave_line(&node) {
                    if let Some(grant) = node.take_grant() {
                        self.shared.decline(grant);
                    }
                }
            }
            Held::Place => {
                self.shared.vacate(Stage::Building);
            }
        }
    }
}

/// A claim that lies in a ticket of the current coroutine. Dropping this takes it out and drops it.
struct ClaimTicket<S: Sandbox> {
    ticket: usize,
    _claim: PhantomData<fn(S)>,
    _of_one_coroutine: PhantomData<*const ()>,
}

impl<S: Sandbox> ClaimTicket<S> {
    fn put(shared: &Arc<Shared<S>>, held: Held<S>) -> Self {
        let claim = Box::new(Claim { shared: Arc::clone(shared), held });
        Self {
            ticket: local::with(|local| local.tickets.put(claim)),
            _claim: PhantomData,
            _of_one_coroutine: PhantomData,
        }
    }

    /// The claim has been settled: there is nothing to give back.
    fn release(self) {
        local::with(|local| {
            let mut cell = local.tickets.cell(self.ticket);
            if let Some(claim) = cell.as_mut().and_then(|cell| tickets::as_mut::<Claim<S>>(cell)) {
                claim.held = Held::Nothing;
            }
        });
    }
}

impl<S: Sandbox> Drop for ClaimTicket<S> {
    fn drop(&mut self) {
        // Dropped outside of the borrow.
        let claim = local::with(|local| local.tickets.cell(self.ticket)?.take());
        drop(claim);
    }
}

/// Waits until the closed pool is empty. Whether it is.
pub(super) fn wait_drained<S: Sandbox>(shared: &Shared<S>, timeout: Duration) -> bool {
    let began = Instant::now();
    let waiter = time::Waiter::new();
    loop {
        shared.on_drained(Arc::clone(&waiter));
        let left = timeout.saturating_sub(began.elapsed());
        if shared.is_drained() || left.is_zero() || time::unwinds() {
            shared.forget_drained(&waiter);
            return shared.is_drained();
        }
        let _ = waiter.park(Some(left));
        shared.forget_drained(&waiter);
    }
}

/// Never inlined: the caller goes on to wait, and may come back on another thread, where this thread's
/// address of a thread-local must not be used again.
#[inline(never)]
fn deep_stack_is_current() -> bool {
    deep_stack::is_current()
}

pub(super) fn exhausted<S: Sandbox>(shared: &Shared<S>) -> CheckoutError {
    let now = shared.census.look();
    CheckoutError::Exhausted {
        leased: now.leased(),
        capacity: shared.census.capacity(),
        waiting: shared.line.len(),
    }
}

fn timed_out<S: Sandbox>(shared: &Shared<S>, waited: Duration) -> CheckoutError {
    shared.statistics.timed_out.add_one();
    let now = shared.census.look();
    CheckoutError::TimedOut {
        waited,
        leased: now.leased(),
        capacity: shared.census.capacity(),
        waiting: shared.line.len(),
    }
}

fn interrupted<S: Sandbox>(shared: &Shared<S>, waited: Duration) -> CheckoutError {
    CheckoutError::Interrupted {
        waited,
        leased: shared.census.look().leased(),
        capacity: shared.census.capacity(),
        waiting: shared.line.len(),
    }
}

fn line_full<S: Sandbox>(shared: &Shared<S>, waiting: usize) -> CheckoutError {
    shared.statistics.rejected.add_one();
    CheckoutError::LineFull {
        waited: Duration::ZERO,
        max_waiters: shared.options.max_waiters,
        waiting,
        leased: shared.census.look().leased(),
        capacity: shared.census.capacity(),
    }
}

fn closed<S: Sandbox>(shared: &Shared<S>, waited: Duration) -> CheckoutError {
    CheckoutError::Closed {
        waited,
        leased: shared.census.look().leased(),
        capacity: shared.census.capacity(),
        waiting: shared.line.len(),
    }
}

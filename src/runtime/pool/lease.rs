//! A sandbox on loan.

use std::fmt;
use std::marker::PhantomData;
use std::time::Instant;

use super::clock::{Clock, Stamp};
use super::registry::LeaseId;
use super::slot::{Fate, Slot};
use super::tickets::{self, Ticket};
use super::Sandbox;
use crate::runtime::{deep_stack, local};

/// A sandbox that belongs to the current coroutine until this is dropped.
///
/// The sandbox itself lies in the coroutine's local storage; the lease is the key to it. Dropping the lease resets the
/// sandbox and gives it back to its home shard, or to the head of the line. That never waits,
/// yields or panics. A sandbox in which something did not come to its end, or whose reset fails, is dropped instead,
/// and replaced.
///
/// A lease that is forgotten, or skipped by a stack overflow, ends with its coroutine: the sandbox is dropped and
/// replaced then.
///
/// It cannot leave its coroutine:
///
/// ```compile_fail,E0277
/// # use sandpool::runtime::{spawn, AnyError, Lease, Sandbox};
/// # struct Counter;
/// # impl Sandbox for Counter { fn reset(&mut self) -> Result<(), AnyError> { Ok(()) } }
/// fn carry_away(lease: Lease<Counter>) {
///     spawn(move || drop(lease));
/// }
/// ```
#[must_use = "a lease that is dropped at once only resets a sandbox"]
pub struct Lease<S: Sandbox> {
    id: LeaseId,
    /// The number of the ticket in the coroutine's local storage.
    ticket: usize,
    home: usize,
    since: Stamp,
    clock: Clock,
    _sandbox: PhantomData<fn(S)>,
    /// Neither `Send` nor `Sync`.
    _of_one_coroutine: PhantomData<*const ()>,
}

impl<S: Sandbox> Lease<S> {
    pub(super) fn new(id: LeaseId, ticket: usize, home: usize, since: Stamp, clock: Clock) -> Self {
        Self { id, ticket, home, since, clock, _sandbox: PhantomData, _of_one_coroutine: PhantomData }
    }

    /// Runs `f` in the sandbox. `f` may yield; nobody else gets at the sandbox meanwhile.
    ///
    /// `f` runs on the coroutine's own stack of 32 KiB, and may end the process when it needs more. Unless it has to wait,
    /// use [`enter_deep`](Self::enter_deep).
    ///
    /// Until `f` returns the sandbox counts as poisoned: should `f` panic, be cancelled or overflow its
    /// stack, it is never lent again.
    ///
    /// # Panics
    ///
    /// As `f` panics; and when the lease was carried into another coroutine of the same thread (through a
    /// thread-local, say), where its sandbox is not.
    pub fn enter<R>(&mut self, f: impl FnOnce(&mut S) -> R) -> R {
        local::with(|local| {
            let mut cell = local.tickets.cell(self.ticket);
            match cell.as_mut().and_then(|cell| self.slot_in(cell)) {
                Some(slot) => slot.enter(f),
                None => panic!("lease {} is not a lease of this coroutine", self.id),
            }
        })
    }

    /// Runs `f` in the sandbox, on the worker's deep stack, where it has [512 KiB](deep_stack::SIZE) but must not
    /// wait. Panics like [`enter`](Self::enter), and when `f` waits.
    pub fn enter_deep<R>(&mut self, f: impl FnOnce(&mut S) -> R) -> R {
        self.enter(|sandbox| deep_stack::run(|| f(sandbox)))
    }

    /// Gives the sandbox up for good: it is dropped, and replaced by a new one.
    pub fn discard(self) {
        local::with(|local| {
            let mut cell = local.tickets.cell(self.ticket);
            if let Some(slot) = cell.as_mut().and_then(|cell| self.slot_in(cell)) {
                slot.fate = Fate::Discarded;
            }
        });
    }

    /// The lease's identity.
    pub fn id(&self) -> LeaseId {
        self.id
    }

    /// The shard the sandbox goes home to: that of the worker on which it was checked out.
    pub fn home(&self) -> usize {
        self.home
    }

    /// When it was checked out, to the tick of the system's coarse clock (a few milliseconds early at most).
    pub fn since(&self) -> Instant {
        self.clock.instant(self.since)
    }

    /// What lies in `cell`, if it is this lease's.
    #[inline]
    fn slot_in<'a>(&self, cell: &'a mut Option<Ticket>) -> Option<&'a mut Slot<S>> {
        tickets::as_mut::<Slot<S>>(cell).filter(|slot| slot.is_lent_as(self.id))
    }
}

impl<S: Sandbox> Drop for Lease<S> {
    fn drop(&mut self) {
        let recycled = local::with(|local| {
            let mut cell = local.tickets.cell(self.ticket)?;
            let slot = self.slot_in(&mut cell)?;
            // Cleaned while it still lies in the ticket: should this stack overflow here, it is not lost.
            let clean = !matches!(slot.fate, Fate::Discarded) && slot.clean();
            let ticket = cell.take()?;
            drop(cell);
            // One that is not clean is dropped here, and gives up its place.
            if clean {
                ticket.downcast::<Slot<S>>().ok()
            } else {
                None
            }
        });
        if let Some(slot) = recycled {
            // Once it is idle its own reference is somebody else's.
            let shared = slot.shared().clone();
            shared.settle(slot);
        }
    }
}

impl<S: Sandbox> fmt::Debug for Lease<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("id", &self.id).field("home", &self.home).finish_non_exhaustive()
    }
}

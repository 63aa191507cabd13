//! A sandbox on loan.

use std::fmt;
use std::marker::PhantomData;
use std::time::Instant;

use super::registry::{LeaseId, LeaseKey};
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
    /// Which of the coroutine's tickets it opens.
    key: LeaseKey,
    _sandbox: PhantomData<fn(S)>,
    /// Neither `Send` nor `Sync`.
    _of_one_coroutine: PhantomData<*const ()>,
}

impl<S: Sandbox> Lease<S> {
    #[inline]
    pub(super) fn new(key: LeaseKey) -> Self {
        Self { key, _sandbox: PhantomData, _of_one_coroutine: PhantomData }
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
        self.with_slot(|slot| slot.enter(f))
    }

    /// Runs `f` in the sandbox, on the worker's deep stack, where it has [512 KiB](deep_stack::SIZE) but must not
    /// wait. Panics like [`enter`](Self::enter), and when `f` waits.
    pub fn enter_deep<R>(&mut self, f: impl FnOnce(&mut S) -> R) -> R {
        self.enter(|sandbox| deep_stack::run(|| f(sandbox)))
    }

    /// Gives the sandbox up for good: it is dropped, and replaced by a new one.
    pub fn discard(self) {
        self.look_up(|slot| slot.fate = Fate::Discarded);
    }

    /// The lease's identity. Panics like [`home`](Self::home).
    pub fn id(&self) -> LeaseId {
        self.with_slot(|slot| slot.lease_id())
    }

    /// The shard the sandbox goes home to: that of the worker on which it was checked out.
    ///
    /// # Panics
    ///
    /// When the lease was carried into another coroutine, as [`enter`](Self::enter) does.
    pub fn home(&self) -> usize {
        self.with_slot(|slot| slot.home)
    }

    /// When it was checked out, to the tick of the system's coarse clock (a few milliseconds early at most). Panics like
    /// [`home`](Self::home).
    pub fn since(&self) -> Instant {
        self.with_slot(|slot| slot.lent_since())
    }

    #[inline]
    fn with_slot<R>(&self, f: impl FnOnce(&mut Slot<S>) -> R) -> R {
        match self.look_up(f) {
            Some(result) => result,
            None => panic!("a lease of a {} is not a lease of this coroutine", std::any::type_name::<S>()),
        }
    }

    /// Calls `f` with what lies in its ticket; `None` when that is none of this coroutine's, or in use.
    #[inline]
    fn look_up<R>(&self, f: impl FnOnce(&mut Slot<S>) -> R) -> Option<R> {
        local::with(|local| {
            // The first one, as a rule.
            for cell in local.tickets.cells() {
                let Some(mut content) = cell.borrow() else { continue };
                if let Some(slot) = self.slot_in(&mut content) {
                    return Some(f(slot));
                }
            }
            None
        })
    }

    /// What lies in `cell`, if it is this lease's.
    #[inline]
    fn slot_in<'a>(&self, cell: &'a mut Option<Ticket>) -> Option<&'a mut Slot<S>> {
        tickets::as_mut::<Slot<S>>(cell).filter(|slot| slot.opens_for(self.key))
    }
}

impl<S: Sandbox> Drop for Lease<S> {
    fn drop(&mut self) {
        local::with(|local| {
            for cell in local.tickets.cells() {
                let Some(end) = self.end_in(cell) else { continue };
                if let Some(slot) = end {
                    // Once it is idle its own reference is somebody else's.
                    let shared = cell.take_pool(slot.shared());
                    shared.settle(slot);
                    // Nothing more is leased from a closed one.
                    if !shared.census.look().closed() {
                        cell.keep_pool(shared);
                    }
                }
                return;
            }
        });
    }
}

impl<S: Sandbox> Lease<S> {
    /// Takes the sandbox out of `cell`, if it is this lease's: `Some` of it, cleaned, or of nothing when it can't be cleaned
    /// and was dropped, which gives up its place.
    #[inline]
    fn end_in(&self, cell: &tickets::Cell) -> Option<Option<Box<Slot<S>>>> {
        let mut content = cell.borrow()?;
        let slot = self.slot_in(&mut content)?;
        // Cleaned while it still lies in the ticket: should this stack overflow here, it is not lost.
        let clean = !matches!(slot.fate, Fate::Discarded) && slot.clean();
        let ticket = content.take()?;
        drop(content);
        Some(if clean { ticket.downcast::<Slot<S>>().ok() } else { None })
    }
}

impl<S: Sandbox> fmt::Debug for Lease<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.look_up(|slot| slot.lease_id());
        f.debug_struct("Lease").field("id", &id).finish_non_exhaustive()
    }
}

//! The tickets of one coroutine: where its sandboxes lie while it leases them.
//!
//! A stack overflow ends a coroutine without running a single `Drop` of its stack, and a forgotten lease runs
//! none either. The coroutine's local storage is freed all the same, so that is where everything lies
//! that must not be lost: a leased sandbox, a place in the line, a right to build. Each of them goes back
//! to its pool when it is dropped.
//!
//! A list that only grows, by one cell for each lease held at once: a cell stays where it is, and
//! is borrowed on its own, so code inside one sandbox can use another.
//!
//! A cell also remembers the pool whose sandbox lay in it last. A return needs a reference to the pool that does not lie
//! in the sandbox, for that may be lent and dropped by others before the return is over; with the one in the cell a
//! coroutine that leases again and again counts it once, and not with two changes of a number that all workers share for
//! each lease.

use std::any::Any;
use std::cell::{OnceCell, RefCell, RefMut};
use std::sync::Arc;

/// What lies in a cell. It goes home when it is dropped, on whatever thread, outside of any coroutine.
pub(super) type Ticket = Box<dyn Any + Send>;

/// The cells of one coroutine. See the module's documentation.
#[derive(Default)]
pub(crate) struct Tickets {
    first: Cell,
}

/// One of them.
#[derive(Default)]
pub(super) struct Cell {
    ticket: RefCell<Option<Ticket>>,
    /// What the pool shares whose sandbox lay here last, until the coroutine ends or another pool's comes.
    pool: std::cell::Cell<Option<Arc<dyn Any + Send + Sync>>>,
    next: OnceCell<Box<Cell>>,
}

impl Tickets {
    /// Whether nothing lies in any cell.
    pub(crate) fn are_empty(&self) -> bool {
        let cells = std::iter::successors(Some(&self.first), |cell| cell.next.get().map(|next| &**next));
        cells.into_iter().all(|cell| cell.borrow().is_some_and(|ticket| ticket.is_none()))
    }
}

impl Cell {
    /// Borrows what lies in it; `None` when it is borrowed already.
    #[inline]
    pub(super) fn borrow(&self) -> Option<RefMut<'_, Option<Ticket>>> {
        self.ticket.try_borrow_mut().ok()
    }

    /// A reference to `pool` besides the given one: that which lies here, if it is of this pool.
    #[inline]
    pub(super) fn take_pool<P: Any + Send + Sync>(&self, pool: &Arc<P>) -> Arc<P> {
        match self.pool.take().map(Arc::downcast) {
            Some(Ok(known)) if Arc::ptr_eq(&known, pool) => known,
            _ => Arc::clone(pool),
        }
    }

    /// Keeps a reference for the next one.
    #[inline]
    pub(super) fn keep_pool<P: Any + Send + Sync>(&self, pool: Arc<P>) {
        self.pool.set(Some(pool));
    }
}

impl Tickets {
    /// Puts a ticket into the first free cell, and says which.
    pub(super) fn put(&self, ticket: Ticket) -> usize {
        let mut number = 0;
        let mut cell = &self.first;
        loop {
            // A cell that is borrowed is in use.
            if let Ok(mut free) = cell.ticket.try_borrow_mut() {
                if free.is_none() {
                    *free = Some(ticket);
                    return number;
                }
            }
            cell = cell.next.get_or_init(Box::default);
            number += 1;
        }
    }

    /// All of them.
    #[inline]
    pub(super) fn cells(&self) -> impl Iterator<Item = &Cell> {
        std::iter::successors(Some(&self.first), |cell| cell.next.get().map(|next| &**next))
    }

    /// Borrows cell `number`; `None` when it is borrowed already, or there is no such cell.
    pub(super) fn cell(&self, number: usize) -> Option<RefMut<'_, Option<Ticket>>> {
        self.cells().nth(number)?.borrow()
    }
}

/// What lies in a cell, if it is a `T`.
#[inline]
pub(super) fn as_mut<T: Any>(cell: &mut Option<Ticket>) -> Option<&mut T> {
    cell.as_mut()?.downcast_mut()
}

impl Drop for Tickets {
    fn drop(&mut self) {
        // Cell by cell: the chain's own drop would recurse.
        let mut next = self.first.next.take();
        while let Some(mut cell) = next {
            next = cell.next.take();
        }
    }
}

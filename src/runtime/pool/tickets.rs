//! The tickets of one coroutine: where its sandboxes lie while it leases them.
//!
//! A stack overflow ends a coroutine without running a single `Drop` of its stack, and a forgotten lease runs
//! none either. The coroutine's local storage is freed all the same, so that is where everything lies
//! that must not be lost: a leased sandbox, a place in the line, a right to build. Each of them goes back
//! to its pool when it is dropped.
//!
//! A list that only grows, by one cell for each lease held at once: a cell stays where it is, and
//! is borrowed on its own, so code inside one sandbox can use another.

use std::any::Any;
use std::cell::{OnceCell, RefCell, RefMut};

/// What lies in a cell. It goes home when it is dropped, on whatever thread, outside of any coroutine.
pub(super) type Ticket = Box<dyn Any + Send>;

/// The cells of one coroutine. See the module's documentation.
#[derive(Default)]
pub(crate) struct Tickets {
    first: Cell,
}

#[derive(Default)]
struct Cell {
    ticket: RefCell<Option<Ticket>>,
    next: OnceCell<Box<Cell>>,
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

    /// Borrows cell `number`; `None` when it is borrowed already, or there is no such cell.
    #[inline]
    pub(super) fn cell(&self, number: usize) -> Option<RefMut<'_, Option<Ticket>>> {
        let mut cell = &self.first;
        for _ in 0..number {
            cell = cell.next.get()?;
        }
        cell.ticket.try_borrow_mut().ok()
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

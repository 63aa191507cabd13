//! The line: who waits for a sandbox, first come, first served.
//!
//! A waiter's node lies on the heap, shared by the one that waits (through a ticket in its coroutine's local
//! storage) and the line. Nothing points to a stack, so a waiter may vanish at any time.
//!
//! Under the line's lock, and only there:
//!
//! * a node is put in, taken out by its owner, or taken from the front and granted something, so a node that has
//!   left the line holds its grant already, and exactly one of "served" and "gave up" happens;
//! * the census' `line` flag is set before the first node goes in and cleared when the last one goes out.
//!
//! Whoever holds the lock does nothing that could wait: a grant's `unpark` comes after it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::runtime::time;

/// The waiters of one pool; `G` is what is granted.
pub(super) struct Line<G> {
    nodes: Mutex<VecDeque<Arc<Waiter<G>>>>,
    /// The length, for those who only look.
    length: AtomicUsize,
}

/// One that waits.
pub(super) struct Waiter<G> {
    grant: Mutex<Option<G>>,
    parker: Arc<time::Waiter>,
}

impl<G> Waiter<G> {
    /// A node of the current coroutine or thread, which waits at `parker`.
    pub(super) fn new(parker: Arc<time::Waiter>) -> Arc<Self> {
        Arc::new(Self { grant: Mutex::new(None), parker })
    }

    /// Takes what was granted.
    pub(super) fn take_grant(&self) -> Option<G> {
        self.grant.lock().take()
    }

    pub(super) fn parker(&self) -> &Arc<time::Waiter> {
        &self.parker
    }
}

impl<G> Line<G> {
    pub(super) fn new() -> Self {
        Self { nodes: Mutex::default(), length: AtomicUsize::new(0) }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    /// Locks the line.
    pub(super) fn lock(&self) -> Locked<'_, G> {
        Locked { nodes: self.nodes.lock(), length: &self.length }
    }
}

/// The line, locked.
pub(super) struct Locked<'a, G> {
    nodes: MutexGuard<'a, VecDeque<Arc<Waiter<G>>>>,
    length: &'a AtomicUsize,
}

impl<'a, G> Locked<'a, G> {
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Joins at the end.
    pub(super) fn push(&mut self, node: Arc<Waiter<G>>) {
        self.nodes.push_back(node);
        self.note_length();
    }

    /// Takes `node` out, if it still waits.
    pub(super) fn remove(&mut self, node: &Arc<Waiter<G>>) -> bool {
        let place = self.nodes.iter().position(|other| Arc::ptr_eq(other, node));
        let removed = place.and_then(|place| self.nodes.remove(place)).is_some();
        self.note_length();
        removed
    }

    /// Takes the head out, to be granted something.
    pub(super) fn pop(&mut self) -> Option<Head<G>> {
        let head = self.nodes.pop_front().map(Head);
        self.note_length();
        head
    }

    fn note_length(&self) {
        self.length.store(self.nodes.len(), Ordering::Relaxed);
    }
}

/// One that was taken from the front of the line.
pub(super) struct Head<G>(Arc<Waiter<G>>);

impl<G> Head<G> {
    /// Gives it its grant, lets go of the line and wakes it.
    pub(super) fn grant(self, grant: G, line: Locked<'_, G>) {
        *self.0.grant.lock() = Some(grant);
        drop(line);
        self.0.parker.unpark();
    }
}

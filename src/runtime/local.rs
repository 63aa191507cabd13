//! What belongs to one coroutine: its id, its context, the tickets of its leases, and what is to be done
//! when it is gone.
//!
//! It lies in `may`'s coroutine-local storage, which is freed when the coroutine ends, whatever ended it. A
//! stack overflow leaves a coroutine without running a single `Drop` of its stack, so this is the only
//! place from which something can reliably be given back.

use std::cell::{Cell, OnceCell, RefCell};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use super::context::ContextValues;
use super::id::CoroutineId;
use super::pool::tickets::Tickets;
use super::spawn::{Ending, SpawnError};
use super::waiter::Waiter;
use super::{stacks, worker};

pub(crate) struct Local {
    id: Cell<CoroutineId>,
    pub(super) context: RefCell<ContextValues>,
    pub(super) tickets: Tickets,
    on_end: RefCell<Vec<Hook>>,
    /// For a coroutine that the runtime started.
    place: Cell<Option<Place>>,
    /// What it waits on while its worker looks at its sockets: the same one each time.
    poll_waiter: OnceCell<Arc<Waiter>>,
    /// Whether it has returned or unwound; a stack overflow ends it without.
    has_left: Cell<bool>,
    /// For a coroutine that the runtime started; the last field, for it says that all of this is gone.
    ending: Cell<Option<Ending>>,
}

/// One of the places for coroutines, taken as long as this exists.
pub(super) struct Place(());

static SPAWNED: AtomicUsize = AtomicUsize::new(0);
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Takes a place for a coroutine, if there is one.
pub(super) fn take_place() -> Result<Place, SpawnError> {
    let limit = LIMIT.load(Ordering::Relaxed);
    let place = SPAWNED.fetch_add(1, Ordering::Relaxed);
    let taken = Place(());
    if place < limit {
        stacks::note(place + 1);
        Ok(taken)
    } else {
        Err(SpawnError::TooMany { limit })
    }
}

pub(super) fn set_limit(limit: usize) {
    LIMIT.store(limit, Ordering::Relaxed);
}

impl Drop for Place {
    fn drop(&mut self) {
        SPAWNED.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many coroutines the runtime has started that are not gone yet. Each takes two memory mappings, of which
/// the system allows a process `vm.max_map_count`.
pub fn coroutine_count() -> usize {
    SPAWNED.load(Ordering::Relaxed)
}

pub(super) type Hook = Box<dyn FnOnce() + Send>;

may::coroutine_local!(static LOCAL: Local = Local::minted());

/// Runs `f` on the local storage of the current coroutine, or of the thread when there is no coroutine.
pub(crate) fn with<R>(f: impl FnOnce(&Local) -> R) -> R {
    LOCAL.with(f)
}

/// Has `hook` run when the current coroutine is gone: after its normal end, a panic, a cancel, or a stack
/// overflow. Hooks run in reverse order of registration.
///
/// A hook runs outside the coroutine, on whatever thread frees it: it must not block or yield, and
/// nothing in it may look at "the current coroutine". A panic in it is caught and dropped. On a plain
/// thread hooks run when the thread ends.
pub fn on_end(hook: impl FnOnce() + Send + 'static) {
    with(|local| local.on_end.borrow_mut().push(Box::new(hook)));
}

/// Whether the current coroutine has no values in its context, no leases, and no more than the given number of end hooks: so
/// that another's work can be done in it, and sees nothing of what was done before.
pub(crate) fn is_as_started(hooks: usize) -> bool {
    with(|local| local.is_as_started(hooks))
}

impl Local {
    fn minted() -> Self {
        Self {
            id: Cell::new(CoroutineId::mint()),
            context: RefCell::default(),
            tickets: Tickets::default(),
            on_end: RefCell::default(),
            place: Cell::new(None),
            poll_waiter: OnceCell::new(),
            has_left: Cell::new(false),
            ending: Cell::new(None),
        }
    }

    pub(super) fn id(&self) -> CoroutineId {
        self.id.get()
    }

    pub(super) fn poll_waiter(&self) -> Arc<Waiter> {
        Arc::clone(self.poll_waiter.get_or_init(Waiter::new))
    }

    fn is_as_started(&self, hooks: usize) -> bool {
        self.context.borrow().is_empty() && self.tickets.are_empty() && self.on_end.borrow().len() == hooks
    }

    /// Takes what the spawner gave this coroutine.
    pub(super) fn adopt(
        &self,
        id: CoroutineId,
        place: Place,
        context: ContextValues,
        on_end: Vec<Hook>,
        ending: Ending,
    ) {
        self.id.set(id);
        self.place.set(Some(place));
        self.ending.set(Some(ending));
        *self.context.borrow_mut() = context;
        *self.on_end.borrow_mut() = on_end;
    }
}

/// Lies on a coroutine's stack, and notes that it is left in an orderly way.
pub(super) struct Leaving;

impl Drop for Leaving {
    fn drop(&mut self) {
        with(|local| local.has_left.set(true));
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        if self.place.get_mut().is_some() && !self.has_left.get() {
            stacks::note_overflow();
        }
        worker::mark_ended(self.id.get());
        while let Some(hook) = self.on_end.get_mut().pop() {
            contain(hook);
        }
        while let Some(value) = self.context.get_mut().pop() {
            contain(|| drop(value));
        }
    }
}

/// Runs what is not the runtime's own. A panic that left the drop of [`Local`] would end a worker thread.
fn contain(foreign: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(foreign)) {
        // Its own drop may panic as well, and so on for ever.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(second);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{spawn_on, start, Context, RuntimeOptions};

    /// Panics when it is dropped, and again when what it panicked with is dropped.
    #[derive(Clone)]
    struct Bomb(u8);

    impl Drop for Bomb {
        fn drop(&mut self) {
            if self.0 > 0 {
                std::panic::resume_unwind(Box::new(Bomb(self.0 - 1)));
            }
        }
    }

    #[test]
    fn values_and_hooks_that_panic_at_the_end_cost_no_worker() {
        for worker in start(RuntimeOptions::default()).workers() {
            let coroutine = spawn_on(worker, || {
                Context::set(Bomb(2));
                Context::set("a second value");
                on_end(|| drop(Bomb(3)));
            });
            coroutine.join().unwrap();
            assert_eq!(spawn_on(worker, || 7).join().unwrap(), 7, "{worker} runs on");
        }
    }
}

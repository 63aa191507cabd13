//! What belongs to one coroutine: its id, its context, the tickets of its leases, and what is to be done
//! when it is gone.
//!
//! It lies in `may`'s coroutine-local storage, which is freed when the coroutine ends, whatever ended it. A
//! stack overflow leaves a coroutine without running a single `Drop` of its stack, so this is the only
//! place from which something can reliably be given back.

use std::cell::{Cell, RefCell};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::context::ContextValues;
use super::id::CoroutineId;
use super::pool::tickets::Tickets;

pub(crate) struct Local {
    id: Cell<CoroutineId>,
    pub(super) context: RefCell<ContextValues>,
    pub(super) tickets: Tickets,
    on_end: RefCell<Vec<Hook>>,
    /// Whether this is a coroutine that [`coroutine_count`] counts.
    counted: Cell<bool>,
}

static SPAWNED: AtomicUsize = AtomicUsize::new(0);

/// How many coroutines the runtime has started that are not gone yet. Each takes two memory mappings, of which
/// the system allows a process `vm.max_map_count`.
pub fn coroutine_count() -> usize {
    SPAWNED.load(Ordering::Relaxed)
}

type Hook = Box<dyn FnOnce()>;

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

impl Local {
    fn minted() -> Self {
        Self {
            id: Cell::new(CoroutineId::mint()),
            context: RefCell::default(),
            tickets: Tickets::default(),
            on_end: RefCell::default(),
            counted: Cell::new(false),
        }
    }

    pub(super) fn id(&self) -> CoroutineId {
        self.id.get()
    }

    /// Takes the identity that the spawner minted for this coroutine.
    pub(super) fn adopt(&self, id: CoroutineId, context: ContextValues) {
        self.id.set(id);
        self.counted.set(true);
        SPAWNED.fetch_add(1, Ordering::Relaxed);
        *self.context.borrow_mut() = context;
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        if self.counted.get() {
            SPAWNED.fetch_sub(1, Ordering::Relaxed);
        }
        while let Some(hook) = self.on_end.get_mut().pop() {
            // A panic that left this drop would end a worker thread.
            let _ = catch_unwind(AssertUnwindSafe(hook));
        }
    }
}

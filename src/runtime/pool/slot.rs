//! A sandbox with what the pool knows about it.
//!
//! One box for its whole life, made when it is built: it moves from a queue into the ticket of a coroutine and back,
//! and is never copied. Dropping it, wherever it lies, is right: the sandbox is destroyed and its place goes back
//! to the pool, or to the head of the line.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Instant;

use may::coroutine::is_coroutine;

use super::census::Stage;
use super::clock::Stamp;
use super::registry::{Holder, LeaseId, LeaseKey};
use super::shared::Shared;
use super::{AnyError, Sandbox};
use crate::runtime::{deep_stack, panic_message};

pub(super) struct Slot<S: Sandbox> {
    /// There until the drop.
    sandbox: Option<S>,
    shared: Arc<Shared<S>>,
    /// Its record in the registry, nobody else's as long as this exists.
    place: u32,
    /// The shard it goes home to.
    pub(super) home: usize,
    /// As what the census counts it. In a queue it says nothing: whoever pops it has reserved it, and says.
    pub(super) stage: Stage,
    /// What a drop means.
    pub(super) fate: Fate,
    poisoned: bool,
    uses: u64,
    built: Stamp,
    /// The turn of its record: odd while it is lent.
    turn: u64,
}

/// Why a sandbox ends.
#[derive(Debug)]
pub(super) enum Fate {
    /// Nobody said: its coroutine ended without giving it back.
    Lost,
    /// Code inside it did not come to its end: a panic, a cancel or an overflow.
    Poisoned,
    /// Its reset failed.
    ResetFailed(AnyError),
    /// Its holder said so.
    Discarded,
    /// It was lent often or long enough.
    Worn,
    /// It was not needed.
    Spare,
}

impl<S: Sandbox> Slot<S> {
    pub(super) fn new(shared: Arc<Shared<S>>, sandbox: S, place: u32, home: usize) -> Box<Self> {
        let built = shared.clock.now();
        shared.registry.built(place, built);
        Box::new(Self {
            sandbox: Some(sandbox),
            shared,
            place,
            home,
            stage: Stage::Building,
            fate: Fate::Lost,
            poisoned: false,
            uses: 0,
            built,
            turn: 0,
        })
    }

    pub(super) fn shared(&self) -> &Arc<Shared<S>> {
        &self.shared
    }

    /// Writes down that `holder` has it from now on.
    #[inline]
    pub(super) fn lend(&mut self, holder: Holder) -> LeaseKey {
        self.turn = self.shared.registry.lent(self.place, holder);
        LeaseKey::of(self.lease_id())
    }

    /// Since when it is lent.
    pub(super) fn lent_since(&self) -> Instant {
        self.shared.clock.instant(self.shared.registry.lent_since(self.place))
    }

    /// The lease that it is lent as, or was last.
    #[inline]
    pub(super) fn lease_id(&self) -> LeaseId {
        LeaseId { pool: self.shared.serial, place: self.place, turn: self.turn }
    }

    /// Whether it is lent as the lease with this key.
    #[inline]
    pub(super) fn opens_for(&self, key: LeaseKey) -> bool {
        LeaseKey::of(self.lease_id()) == key
    }

    /// Runs `f` on the sandbox, marked as poisoned until `f` comes back.
    #[inline]
    pub(super) fn enter<R>(&mut self, f: impl FnOnce(&mut S) -> R) -> R {
        let sandbox = self.sandbox.as_mut().expect("a slot has its sandbox until its drop");
        self.shared.registry.used(self.place, self.shared.clock.now());
        let poisoned_before = std::mem::replace(&mut self.poisoned, true);
        let result = f(sandbox);
        self.poisoned = poisoned_before;
        result
    }

    /// Ends the lease: cleans the sandbox. Whether it can be lent again; if not, its fate says why.
    #[inline]
    pub(super) fn clean(&mut self) -> bool {
        let Some(sandbox) = self.sandbox.as_mut().filter(|_| !self.poisoned) else {
            self.fate = Fate::Poisoned;
            return false;
        };
        self.shared.registry.resetting(self.place);
        // Marked meanwhile, in case it is lost on the way.
        self.poisoned = true;
        let reset = catch_unwind(AssertUnwindSafe(|| {
            if S::RESETS_ON_DEEP_STACK {
                deep_stack::run(|| sandbox.reset())
            } else {
                sandbox.reset()
            }
        }));
        self.poisoned = false;
        if let Err(error) = reset.unwrap_or_else(|panic| Err(panicked(&*panic))) {
            self.fate = Fate::ResetFailed(error);
            return false;
        }
        self.uses += 1;
        self.end_turn();
        if self.is_worn() {
            self.fate = Fate::Worn;
            return false;
        }
        true
    }

    /// Whether it was lent often or long enough.
    #[inline]
    fn is_worn(&self) -> bool {
        let options = &self.shared.options;
        options.max_uses.is_some_and(|most| self.uses >= most)
            || (options.max_lifetime.is_some() && self.is_old(self.shared.clock.now()))
    }

    pub(super) fn is_old(&self, now: Stamp) -> bool {
        self.shared.options.max_lifetime.is_some_and(|most| now.since(self.built) >= most)
    }

    #[inline]
    fn end_turn(&mut self) {
        if self.turn % 2 == 1 {
            self.turn += 1;
            self.shared.registry.returned(self.place);
        }
    }
}

impl<S: Sandbox> Drop for Slot<S> {
    /// May run anywhere: on the stack of a lease, on a worker that frees a coroutine, on a timer's thread. It looks
    /// at nothing that is "current", and nothing leaves it: no panic, no wait.
    fn drop(&mut self) {
        let mut end = || {
            self.shared.report_end(&self.fate, self.place);
            // Where it lies: a coroutine's stack has no room for a large one.
            self.sandbox = None;
        };
        // Off a coroutine's stack, if this is one: dropping a sandbox, or logging, may take a lot of it. A thread has
        // enough, and one that is ending has no deep stack any more.
        let dropped =
            catch_unwind(AssertUnwindSafe(|| if is_coroutine() { deep_stack::run(end) } else { end() }));
        if let Err(panic) = dropped {
            let _ = catch_unwind(AssertUnwindSafe(|| {
                tracing::warn!(
                    pool = self.shared.options.name,
                    panic = panic_message(&*panic),
                    "a sandbox's drop panicked"
                );
            }));
        }
        // If something before it panicked. Here, where nothing leaves it, and before the place is another's.
        let _ = catch_unwind(AssertUnwindSafe(|| self.sandbox = None));
        self.end_turn();
        self.shared.place_is_free(self.place, self.stage, &self.fate);
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> AnyError {
    format!("the reset panicked: {}", panic_message(panic)).into()
}

//! The pool's moves: how a sandbox, or the place of one, goes from hand to hand.
//!
//! Every move ends in one of three ways, chosen by the census in the same step that makes it: the sandbox is idle (or
//! the place free) for whoever comes, or it goes to the head of the line, or the pool is closed and lets
//! it go. None of them waits, yields or panics, and none looks at the current coroutine: they run in `Drop`s, while a
//! coroutine unwinds, and when its storage is freed on some thread or other.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;

use parking_lot::Mutex;

use super::census::{Census, Change, Reservation, Stage};
use super::clock::Clock;
use super::error::{AnyError, BuildError};
use super::line::{Line, Waiter};
use super::options::PoolOptions;
use super::registry::Registry;
use super::shards::Shards;
use super::slot::{Fate, Slot};
use super::status::{PoolStatus, Statistics};
use super::Sandbox;
use crate::runtime::{deep_stack, panic_message, time};

/// What a waiter is granted.
pub(super) enum Grant<S: Sandbox> {
    /// A clean sandbox, counted as leased.
    Sandbox(Box<Slot<S>>),
    /// A place to build one in, counted as building.
    Place,
    /// Nothing: the pool closed.
    Closed,
}

/// What joining the line led to.
pub(super) enum Joined {
    /// It waits.
    Waits,
    /// It need not wait: something came free meanwhile, and is reserved.
    Reserved(Reservation),
    /// There is no room in the line for more than these.
    Full(usize),
}

pub(super) type Factory<S> = Box<dyn Fn() -> Result<S, AnyError> + Send + Sync>;

/// What all handles, leases and sandboxes of one pool share. The idle sandboxes point back here; closing the pool,
/// which the last handle's drop does, breaks that circle.
pub(super) struct Shared<S: Sandbox> {
    /// The pool's number in the process.
    pub(super) serial: u32,
    pub(super) options: PoolOptions,
    pub(super) census: Census,
    pub(super) shards: Shards<Box<Slot<S>>>,
    pub(super) line: Line<Grant<S>>,
    pub(super) registry: Registry,
    pub(super) statistics: Statistics,
    pub(super) clock: Clock,
    factory: Factory<S>,
    /// The places without a sandbox: always as many as the census has room for, or more.
    free_places: Mutex<Vec<u32>>,
    /// How many sandboxes ended that the keeper is to replace.
    owed: AtomicUsize,
    keeper: OnceLock<Thread>,
    /// Those that wait for the closed pool to be empty.
    drained: Mutex<Vec<Arc<time::Waiter>>>,
}

impl<S: Sandbox> Shared<S> {
    pub(super) fn new(options: PoolOptions, shards: usize, factory: Factory<S>) -> Self {
        static NEXT_SERIAL: AtomicU32 = AtomicU32::new(1);
        let capacity = options.capacity;
        Self {
            serial: NEXT_SERIAL.fetch_add(1, Ordering::Relaxed),
            census: Census::new(capacity),
            shards: Shards::new(shards, capacity),
            line: Line::new(),
            registry: Registry::new(capacity),
            statistics: Statistics::new(),
            clock: Clock::start(),
            factory,
            // The lowest first.
            free_places: Mutex::new((0..capacity as u32).rev().collect()),
            owed: AtomicUsize::new(0),
            keeper: OnceLock::new(),
            drained: Mutex::default(),
            options,
        }
    }

    /// Makes a sandbox that the caller holds idle, or gives it to the head of the line.
    ///
    /// It is pushed before it is counted, so that one who reserves an idle sandbox finds it at once. When the count is
    /// refused, because somebody has joined the line in between or the pool was closed, one sandbox too many lies
    /// in the queues; it need not be the same one that comes out again.
    #[inline]
    pub(super) fn settle(&self, slot: Box<Slot<S>>) {
        let (from, home) = (slot.stage, slot.home);
        let now = self.census.look();
        if now.line() || now.closed() {
            return self.settle_elsewhere(slot);
        }
        self.shards.push(home, slot);
        if !matches!(self.census.settle_idle(from), Change::Made(_)) {
            let mut slot = self.shards.pop(home);
            slot.stage = from;
            self.settle_elsewhere(slot);
        }
    }

    #[cold]
    fn settle_elsewhere(&self, mut slot: Box<Slot<S>>) {
        if self.census.look().closed() {
            slot.fate = Fate::Spare;
            return drop(slot);
        }
        let mut line = self.line.lock();
        let Some(head) = line.pop() else {
            drop(line);
            return self.settle(slot);
        };
        self.census.hand_over(slot.stage, Stage::Leased, line.is_empty());
        slot.stage = Stage::Leased;
        head.grant(Grant::Sandbox(slot), line);
    }

    /// Gives up a place that is counted as `from` and has no sandbox: it is free for a new one, or the head of
    /// the line may build one in it. Whether it is free.
    pub(super) fn vacate(&self, from: Stage) -> bool {
        loop {
            match self.census.vacate(from) {
                Change::Made(after) => {
                    if after.closed() && after.size() == 0 {
                        self.wake_drained();
                    }
                    return true;
                }
                Change::LineWaits | Change::Closed => {
                    let mut line = self.line.lock();
                    if let Some(head) = line.pop() {
                        self.census.hand_over(from, Stage::Building, line.is_empty());
                        head.grant(Grant::Place, line);
                        return false;
                    }
                }
            }
        }
    }

    /// Passes on what was granted to one that no longer wants it.
    pub(super) fn decline(&self, grant: Grant<S>) {
        match grant {
            Grant::Sandbox(slot) => self.settle(slot),
            Grant::Place => {
                self.vacate(Stage::Building);
            }
            Grant::Closed => {}
        }
    }

    /// Joins the line, unless something is free by now.
    pub(super) fn join_line(&self, node: &Arc<Waiter<Grant<S>>>) -> Joined {
        let mut line = self.line.lock();
        if line.len() >= self.options.max_waiters {
            return match self.census.reserve() {
                Reservation::Wait => Joined::Full(line.len()),
                reservation => Joined::Reserved(reservation),
            };
        }
        match self.census.reserve_or_wait() {
            Reservation::Wait => {
                line.push(Arc::clone(node));
                Joined::Waits
            }
            reservation => Joined::Reserved(reservation),
        }
    }

    /// Leaves the line. Whether `node` was in it; if not, and it had joined, it has its grant.
    pub(super) fn leave_line(&self, node: &Arc<Waiter<Grant<S>>>) -> bool {
        let mut line = self.line.lock();
        let left = line.remove(node);
        if left && line.is_empty() {
            self.census.line_is_empty();
        }
        left
    }

    /// Takes an idle sandbox that the caller has reserved, and counts as `stage`, from `home` if there is one.
    #[inline]
    pub(super) fn take_idle(&self, home: usize, stage: Stage) -> Box<Slot<S>> {
        let mut slot = self.shards.pop(home);
        slot.stage = stage;
        slot
    }

    /// Builds a sandbox in a place that the caller holds, and that is counted as building. On failure the caller
    /// still holds the place.
    #[inline(never)]
    pub(super) fn build(self: &Arc<Self>, home: usize) -> Result<Box<Slot<S>>, BuildError> {
        // Also its way into its box is gone there: a coroutine's stack has no room for a large one.
        let build = || (self.factory)().map(|sandbox| self.place(sandbox, home));
        match catch_unwind(AssertUnwindSafe(|| deep_stack::run(build))) {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(error)) => {
                self.statistics.build_failures.add_one();
                Err(BuildError::Failed(error))
            }
            Err(panic) => {
                self.statistics.build_failures.add_one();
                Err(BuildError::Panicked(panic_message(&*panic).to_owned()))
            }
        }
    }

    /// Gives a new sandbox the place that its builder holds.
    fn place(self: &Arc<Self>, sandbox: S, home: usize) -> Box<Slot<S>> {
        let place =
            self.free_places.lock().pop().expect("one that holds a place in the census finds its number");
        self.statistics.created.add_one();
        Slot::new(Arc::clone(self), sandbox, place, home)
    }

    /// Says that a sandbox ends, before it is dropped.
    pub(super) fn report_end(&self, fate: &Fate, place: u32) {
        let pool = &self.options.name;
        match fate {
            Fate::Lost => tracing::warn!(pool, place, "a sandbox was not given back; it is replaced"),
            Fate::Poisoned => {
                tracing::warn!(pool, place, "what ran in a sandbox did not come to its end; it is replaced");
            }
            Fate::ResetFailed(error) => {
                tracing::warn!(
                    pool,
                    place,
                    error = &**error as &dyn std::error::Error,
                    "a sandbox cannot be reset; it is replaced"
                );
            }
            Fate::Discarded => tracing::debug!(pool, place, "a sandbox was discarded"),
            Fate::Worn => tracing::debug!(pool, place, "a sandbox is worn; it is replaced"),
            Fate::Spare => tracing::debug!(pool, place, "a sandbox is not needed any more"),
        }
    }

    /// A sandbox counted as `stage` has ended, and its place is free.
    pub(super) fn place_is_free(&self, place: u32, stage: Stage, fate: &Fate) {
        let replace = match fate {
            Fate::Lost | Fate::Poisoned | Fate::ResetFailed(_) | Fate::Discarded => {
                self.statistics.discarded.add_one();
                true
            }
            Fate::Worn => {
                self.statistics.retired.add_one();
                true
            }
            Fate::Spare => {
                self.statistics.retired.add_one();
                false
            }
        };
        self.registry.gone(place);
        // The number first: who takes the place needs one.
        self.free_places.lock().push(place);
        if self.vacate(stage) && replace {
            self.owed.fetch_add(1, Ordering::Relaxed);
            self.wake_keeper();
        }
    }

    /// How many sandboxes are to be replaced; who asks has to do it.
    pub(super) fn take_owed(&self) -> usize {
        self.owed.swap(0, Ordering::Relaxed)
    }

    pub(super) fn set_keeper(&self, keeper: Thread) {
        let _ = self.keeper.set(keeper);
    }

    pub(super) fn wake_keeper(&self) {
        if let Some(keeper) = self.keeper.get() {
            keeper.unpark();
        }
    }

    /// Closes the pool: nothing is lent any more, whoever waits is told so, and what is idle is dropped.
    pub(super) fn close(&self) {
        if !self.census.close() {
            return;
        }
        // Nobody joins the line from here on, so this ends.
        loop {
            let mut line = self.line.lock();
            match line.pop() {
                Some(head) => head.grant(Grant::Closed, line),
                None => {
                    self.census.line_is_empty();
                    break;
                }
            }
        }
        while self.census.withdraw_idle() {
            let mut slot = self.take_idle(0, Stage::Resetting);
            slot.fate = Fate::Spare;
        }
        self.wake_keeper();
        if self.is_drained() {
            self.wake_drained();
        }
    }

    pub(super) fn is_drained(&self) -> bool {
        let now = self.census.look();
        now.closed() && now.size() == 0
    }

    /// Has `waiter` woken when the closed pool is empty, or at once if it is.
    pub(super) fn on_drained(&self, waiter: Arc<time::Waiter>) {
        self.drained.lock().push(waiter);
        if self.is_drained() {
            self.wake_drained();
        }
    }

    pub(super) fn forget_drained(&self, waiter: &Arc<time::Waiter>) {
        self.drained.lock().retain(|other| !Arc::ptr_eq(other, waiter));
    }

    fn wake_drained(&self) {
        let waiters = std::mem::take(&mut *self.drained.lock());
        waiters.iter().for_each(|waiter| waiter.unpark());
    }

    pub(super) fn status(&self) -> PoolStatus {
        let (now, statistics) = (self.census.look(), &self.statistics);
        // A reset at the end of a lease is no change of the census: that would cost each return another atomic one.
        let being_reset = self.registry.count_resetting().min(now.leased());
        PoolStatus {
            capacity: self.census.capacity(),
            size: now.size(),
            idle: now.idle(),
            leased: now.leased() - being_reset,
            resetting: now.resetting() + being_reset,
            building: now.building(),
            waiting: self.line.len(),
            closed: now.closed(),
            checkouts: self.registry.leases_ever(),
            created: statistics.created.get(),
            discarded: statistics.discarded.get(),
            retired: statistics.retired.get(),
            build_failures: statistics.build_failures.get(),
            timed_out: statistics.timed_out.get(),
            rejected: statistics.rejected.get(),
            leaked: statistics.leaked.get(),
            wait_time: statistics.wait_time(),
        }
    }
}

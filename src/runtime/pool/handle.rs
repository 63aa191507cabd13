//! The pool as its users see it: making it, checking out, closing it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::census::{Reservation, Stage};
use super::error::{AnyError, CheckoutError, PoolError};
use super::keeper;
use super::lease::Lease;
use super::options::PoolOptions;
use super::registry::{Holder, LeaseRecord};
use super::shared::Shared;
use super::slot::Slot;
use super::status::PoolStatus;
use super::wait::{self, Patience};
use super::Sandbox;
use crate::runtime::{local, start, CoroutineId, Interrupt, RuntimeOptions, WorkerId};

/// A bounded pool of warm sandboxes. Cheap to clone: all clones are one pool.
///
/// The pool closes when its last clone is dropped; leases that are out come home all the same. Its sandboxes are dropped
/// then; the factory is dropped once every coroutine (or thread) has ended that gave a lease back before.
pub struct Pool<S: Sandbox> {
    handle: Arc<Handle<S>>,
}

/// What the clones of a pool share, and nobody else: its drop closes the pool.
pub(super) struct Handle<S: Sandbox> {
    pub(super) shared: Arc<Shared<S>>,
    pub(super) upkeep: keeper::Upkeep,
}

impl<S: Sandbox> Drop for Handle<S> {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl<S: Sandbox> Clone for Pool<S> {
    fn clone(&self) -> Self {
        Self { handle: Arc::clone(&self.handle) }
    }
}

impl<S: Sandbox> Pool<S> {
    /// Makes a pool whose sandboxes `factory` builds, and builds the first ones
    /// ([`min_idle`](PoolOptions::min_idle)) right away.
    ///
    /// The factory runs on a deep stack and must not wait. It runs in the checkout that needs a sandbox when none lies
    /// ready, and on the pool's keeper thread for those that are built ahead.
    ///
    /// # Errors
    ///
    /// An option out of bounds, a first sandbox that cannot be built, or no keeper thread.
    pub fn new<E: Into<AnyError>>(
        options: PoolOptions,
        factory: impl Fn() -> Result<S, E> + Send + Sync + 'static,
    ) -> Result<Self, PoolError> {
        options.check()?;
        let shards = options.shards.unwrap_or_else(|| start(RuntimeOptions::default()).workers().len());
        let upkeep_interval = options.upkeep_interval;
        let shared = Arc::new(Shared::new(options, shards, Box::new(move || factory().map_err(Into::into))));
        let pool = Self { handle: Arc::new(Handle { shared, upkeep: keeper::Upkeep::default() }) };
        pool.build_first()?;
        if let Some(interval) = upkeep_interval {
            keeper::start(&pool.handle, interval)
                .map_err(|source| PoolError::Keeper { pool: pool.name().to_owned(), source })?;
        }
        Ok(pool)
    }

    fn build_first(&self) -> Result<(), PoolError> {
        let shared = self.shared();
        let min_idle = shared.options.min_idle;
        for built in 0..min_idle {
            if let Err(source) = keeper::build_one(shared, built % shared.shards.count()) {
                return Err(PoolError::Build { pool: self.name().to_owned(), built, min_idle, source });
            }
        }
        Ok(())
    }

    /// Checks a sandbox out, and waits for one as long as [`PoolOptions::acquire_timeout`] says.
    ///
    /// Those that wait are served in the order in which they came. A checkout that finds nothing idle, but room,
    /// builds a sandbox itself.
    ///
    /// # Errors
    ///
    /// See [`CheckoutError`]: no sandbox in time, a full line, a closed pool, a failed build.
    ///
    /// # Panics
    ///
    /// Only in that it unwinds, as any wait does, when the coroutine is cancelled; what was granted to it
    /// goes to the next one.
    #[inline]
    pub fn checkout(&self) -> Result<Lease<S>, CheckoutError> {
        self.checkout_within(self.shared().options.acquire_timeout)
    }

    /// Like [`checkout`](Self::checkout), but waits for `timeout` at most.
    #[inline]
    pub fn checkout_within(&self, timeout: Duration) -> Result<Lease<S>, CheckoutError> {
        match self.shared().census.reserve() {
            Reservation::Idle => Ok(self.lease_idle()),
            other => self.checkout_slowly(other, Patience { timeout, interrupt: None }),
        }
    }

    /// Like [`checkout`](Self::checkout), but gives up its place in the line as soon as `interrupt` is raised. A sandbox
    /// that need not be waited for is lent all the same, and so is one that was granted at that very moment.
    ///
    /// # Errors
    ///
    /// [`CheckoutError::Interrupted`] then; otherwise as [`checkout`](Self::checkout).
    #[inline]
    pub fn checkout_unless(&self, interrupt: &dyn Interrupt) -> Result<Lease<S>, CheckoutError> {
        match self.shared().census.reserve() {
            Reservation::Idle => Ok(self.lease_idle()),
            other => {
                let timeout = self.shared().options.acquire_timeout;
                self.checkout_slowly(other, Patience { timeout, interrupt: Some(interrupt) })
            }
        }
    }

    /// Checks a sandbox out if one is idle, or can be built, and nobody waits. It never waits itself, so it may be
    /// used on the deep stack.
    ///
    /// # Errors
    ///
    /// [`CheckoutError::Exhausted`] when nothing is free; otherwise as [`checkout`](Self::checkout).
    pub fn try_checkout(&self) -> Result<Lease<S>, CheckoutError> {
        match self.shared().census.reserve() {
            Reservation::Idle => Ok(self.lease_idle()),
            Reservation::Wait => Err(wait::exhausted(self.shared())),
            other => self.checkout_slowly(other, Patience::NONE),
        }
    }

    #[cold]
    #[inline(never)]
    fn checkout_slowly(
        &self,
        reservation: Reservation,
        patience: Patience<'_>,
    ) -> Result<Lease<S>, CheckoutError> {
        let slot = match wait::check_out_slowly(self.shared(), reservation, patience)? {
            wait::Outcome::Idle => return Ok(self.lease_idle()),
            wait::Outcome::Slot(slot) => slot,
        };
        Ok(self.lease(slot))
    }

    /// Leases an idle sandbox that the caller has reserved.
    #[inline(always)]
    fn lease_idle(&self) -> Lease<S> {
        let (worker, home) = self.here();
        let slot = self.shared().take_idle(home.unwrap_or(0), Stage::Leased);
        self.hand_out(slot, worker, home)
    }

    #[inline(never)]
    fn lease(&self, slot: Box<Slot<S>>) -> Lease<S> {
        let (worker, home) = self.here();
        self.hand_out(slot, worker, home)
    }

    /// Gives `slot`, which counts as leased, to the current coroutine.
    // So that a lease stays in registers on its way to whoever checks out.
    #[inline(always)]
    fn hand_out(&self, mut slot: Box<Slot<S>>, worker: Option<WorkerId>, home: Option<usize>) -> Lease<S> {
        let since = self.shared().clock.now();
        // It goes home to where it was last used; a plain thread leaves it where it was.
        slot.home = home.unwrap_or(slot.home);
        Lease::new(local::with(|local| {
            let key = slot.lend(Holder { coroutine: local.id(), worker, since });
            local.tickets.put(slot);
            key
        }))
    }

    /// The worker that runs the caller, and its shard.
    #[inline]
    fn here(&self) -> (Option<WorkerId>, Option<usize>) {
        let worker = WorkerId::current();
        (worker, worker.map(|worker| self.shared().shards.of_worker(worker.index())))
    }

    /// The pool at this moment.
    pub fn status(&self) -> PoolStatus {
        self.shared().status()
    }

    /// Who holds what, since when, at which worker. A lease that changes hands while it is looked at may
    /// be missing; a sandbox on its way to a waiter is not listed yet.
    pub fn leases(&self) -> Vec<LeaseRecord> {
        self.shared().registry.leases(self.shared().serial, &self.shared().clock)
    }

    /// What `coroutine` holds.
    pub fn leases_of(&self, coroutine: CoroutineId) -> Vec<LeaseRecord> {
        let mut leases = self.leases();
        leases.retain(|lease| lease.coroutine == coroutine);
        leases
    }

    /// The name, from [`PoolOptions::name`].
    pub fn name(&self) -> &str {
        &self.shared().options.name
    }

    /// Looks after the pool as of `now`: replaces what was discarded, builds up to the minimum that is to lie ready, gives
    /// up what is not needed or too old, and reports leases held for too long.
    ///
    /// The pool's keeper thread calls this; call it yourself only where there is none
    /// ([`PoolOptions::upkeep_interval`]). Does nothing while another call is at work.
    pub fn maintain(&self, now: Instant) {
        self.handle.upkeep.maintain(self.shared(), now);
    }

    /// Closes the pool: refuses new checkouts, tells those who wait, drops what is idle. Leases that are out come
    /// home as ever, and their sandboxes are dropped then. Can be called again.
    pub fn close(&self) {
        self.shared().close();
    }

    /// Whether the pool is closed and every sandbox of it is gone.
    pub fn is_drained(&self) -> bool {
        self.shared().is_drained()
    }

    /// Waits until the pool is closed and every sandbox of it is gone, for `timeout` at most. Whether it is.
    ///
    /// # Panics
    ///
    /// On the deep stack; unwinds when the coroutine is cancelled.
    pub fn wait_drained(&self, timeout: Duration) -> bool {
        wait::wait_drained(self.shared(), timeout)
    }

    pub(super) fn shared(&self) -> &Arc<Shared<S>> {
        &self.handle.shared
    }
}

impl<S: Sandbox> fmt::Debug for Pool<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("name", &self.name())
            .field("census", &self.shared().census.look())
            .finish_non_exhaustive()
    }
}

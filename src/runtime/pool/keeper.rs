//! Looking after a pool, off the hot path: replacing, building ahead, giving up, reporting.
//!
//! All of it is one function of `now`, [`Upkeep::maintain`]. The keeper is a thread that calls it; it holds the pool
//! only while it is at work, and ends with it.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::census::Stage;
use super::clock::Stamp;
use super::error::BuildError;
use super::handle::Handle;
use super::registry::{Holder, LeaseId};
use super::shared::Shared;
use super::slot::Fate;
use super::Sandbox;

/// What upkeep remembers from one round to the next.
#[derive(Default)]
pub(super) struct Upkeep {
    /// The leases that were reported as held for too long, and are still held. The lock is also what lets only
    /// one round happen at a time.
    reported: Mutex<HashSet<LeaseId>>,
}

impl Upkeep {
    /// One round, as of `now`. Does nothing while another round is at work.
    pub(super) fn maintain<S: Sandbox>(&self, shared: &Arc<Shared<S>>, now: Instant) {
        let Some(mut reported) = self.reported.try_lock() else { return };
        let now = shared.clock.stamp(now);
        shared.note_upkeep(now);
        give_up_idle(shared, now);
        build_ahead(shared);
        report_leaks(shared, now, &mut reported);
    }
}

/// Drops the idle sandboxes that are worn or were not needed for too long.
fn give_up_idle<S: Sandbox>(shared: &Shared<S>, now: Stamp) {
    let options = &shared.options;
    let is_over =
        |limit: Option<Duration>, start: Stamp| limit.is_some_and(|limit| now.since(start) >= limit);
    // The registry knows whether it is worth to take sandboxes out of circulation and look at them.
    let worth_it = shared.registry.look().any(|seen| {
        seen.holder.is_none()
            && seen.built.is_some_and(|built| {
                is_over(options.max_lifetime, built) || is_over(options.idle_timeout, seen.since)
            })
    });
    if !worth_it {
        return;
    }
    let idle = shared.census.look().idle();
    let mut spare = idle.saturating_sub(options.min_idle);
    for turn in 0..idle {
        if !shared.census.withdraw_idle() {
            return;
        }
        let mut slot = shared.take_idle(turn % shared.shards.count(), Stage::Resetting);
        if slot.is_old(now) {
            slot.fate = Fate::Worn;
        } else if spare > 0 && slot.is_spare(now) {
            spare -= 1;
            slot.fate = Fate::Spare;
        } else {
            shared.settle(slot);
        }
    }
}

/// Replaces what was discarded, and builds up to the minimum that is to lie ready. Stops at the first failure; the
/// minimum is tried again in the next round.
fn build_ahead<S: Sandbox>(shared: &Arc<Shared<S>>) {
    let owed = shared.take_owed();
    // Bounded, for others take away what is built here.
    for built in 0..shared.census.capacity() {
        let wanted = built < owed || shared.census.look().idle() < shared.options.min_idle;
        if !wanted {
            return;
        }
        match build_one(shared, built % shared.shards.count()) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                let pool = &shared.options.name;
                tracing::warn!(
                    pool,
                    error = &error as &dyn std::error::Error,
                    "a sandbox could not be built ahead"
                );
                return;
            }
        }
    }
}

/// Builds one idle sandbox if there is room. Whether there was.
pub(super) fn build_one<S: Sandbox>(shared: &Arc<Shared<S>>, home: usize) -> Result<bool, BuildError> {
    if !shared.census.reserve_build() {
        return Ok(false);
    }
    match shared.build(home) {
        Ok(slot) => {
            shared.settle(slot);
            Ok(true)
        }
        Err(error) => {
            shared.vacate(Stage::Building);
            Err(error)
        }
    }
}

/// Reports each lease once that is held and not used for too long.
fn report_leaks<S: Sandbox>(shared: &Shared<S>, now: Stamp, reported: &mut HashSet<LeaseId>) {
    let Some(threshold) = shared.options.leak_threshold else { return };
    let mut held = HashSet::new();
    for seen in shared.registry.look() {
        let unused_for = |holder: &Holder| now.since(holder.since.max(seen.used));
        let Some(holder) = seen.holder.filter(|holder| unused_for(holder) >= threshold) else {
            continue;
        };
        let id = LeaseId { pool: shared.serial, place: seen.place, turn: seen.turn };
        held.insert(id);
        if !reported.contains(&id) {
            shared.statistics.leaked.add_one();
            tracing::warn!(
                pool = shared.options.name,
                lease = %id,
                coroutine = %holder.coroutine,
                worker = ?holder.worker,
                held_for = ?now.since(holder.since),
                unused_for = ?unused_for(&holder),
                "a lease is held, and nothing was done in its sandbox for longer than the leak threshold"
            );
        }
    }
    *reported = held;
}

/// Starts the keeper of a pool.
pub(super) fn start<S: Sandbox>(handle: &Arc<Handle<S>>, interval: Duration) -> std::io::Result<()> {
    let pool = Arc::downgrade(handle);
    let keeper = thread::Builder::new()
        .name(format!("keeper of {}", handle.shared.options.name))
        .spawn(move || keep(&pool, interval))?;
    handle.shared.set_keeper(keeper.thread().clone());
    Ok(())
}

fn keep<S: Sandbox>(pool: &Weak<Handle<S>>, interval: Duration) {
    loop {
        match pool.upgrade() {
            Some(handle) if !handle.shared.census.look().closed() => {
                handle.upkeep.maintain(&handle.shared, Instant::now());
            }
            _ => return,
        }
        // Discards and the pool's close wake it early.
        thread::park_timeout(interval);
    }
}

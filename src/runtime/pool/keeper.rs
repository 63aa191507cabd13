//! Looking after a pool, off the hot path: replacing, building ahead, giving up, reporting.
//!
//! All of it is one function of `now`, [`Upkeep::maintain`]. The keeper is a thread that calls it; it holds the pool
//! only while it is at work, and ends with it.
//!
//! # When a sandbox is spare
//!
//! Idle sandboxes go round first in, first out, so that a little traffic uses each of them now and then: how long one
//! of them has been idle says nothing about how many are needed. What tells is how many were idle *at every moment*
//! of the idle timeout: so many were not needed. The census notes the fewest between two rounds, and
//! [`FewestIdle`] joins these to a window.

use std::collections::{HashSet, VecDeque};
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
    /// The lock is also what lets only one round happen at a time.
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    /// The leases that were reported as held for too long, and are still held.
    reported: HashSet<LeaseId>,
    fewest_idle: FewestIdle,
}

impl Upkeep {
    /// One round, as of `now`. Does nothing while another round is at work.
    pub(super) fn maintain<S: Sandbox>(&self, shared: &Arc<Shared<S>>, now: Instant) {
        let Some(mut memory) = self.memory.try_lock() else { return };
        let now = shared.clock.stamp(now);
        give_up_spare(shared, now, &mut memory.fewest_idle);
        give_up_old(shared, now);
        build_ahead(shared);
        report_leaks(shared, now, &mut memory.reported);
    }
}

/// The fewest sandboxes that were idle at any moment of a window that ends now and moves on in steps.
#[derive(Default)]
struct FewestIdle {
    /// Since when, and the fewest since then and until the next span, oldest first. Together they reach back over the
    /// window, or to the pool's beginning.
    spans: VecDeque<(Stamp, usize)>,
}

impl FewestIdle {
    /// Into how many steps a window is divided.
    const STEPS: u32 = 8;

    /// Takes in the fewest since the call before. Gives those of the whole `window` before `now`, and of at most one
    /// step or the time between two calls more; `None` for a pool younger than that.
    fn note(&mut self, fewest: usize, window: Duration, now: Stamp) -> Option<usize> {
        if self.spans.is_empty() {
            self.spans.push_back((Stamp::default(), usize::MAX));
        }
        if let Some((_, current)) = self.spans.back_mut() {
            *current = fewest.min(*current);
        }
        while self.spans.get(1).is_some_and(|&(start, _)| now.since(start) >= window) {
            self.spans.pop_front();
        }
        let is_over =
            |from: Option<&(Stamp, usize)>, time| from.is_some_and(|&(from, _)| now.since(from) >= time);
        let is_whole = is_over(self.spans.front(), window);
        let fewest = self.spans.iter().map(|&(_, fewest)| fewest).min();
        if is_over(self.spans.back(), window / Self::STEPS) {
            self.spans.push_back((now, usize::MAX));
        }
        fewest.filter(|_| is_whole)
    }

    /// Says that `count` idle sandboxes were given up: they do not count as idle in the past either, or they would be
    /// given up again and again until the window has left that past behind.
    fn give_up(&mut self, count: usize) {
        for (_, fewest) in self.spans.iter_mut().filter(|(_, fewest)| *fewest != usize::MAX) {
            *fewest = fewest.saturating_sub(count);
        }
    }
}

/// Drops as many idle sandboxes as were not needed during the idle timeout, down to the minimum.
fn give_up_spare<S: Sandbox>(shared: &Shared<S>, now: Stamp, fewest_idle: &mut FewestIdle) {
    let Some(timeout) = shared.options.idle_timeout else { return };
    let unneeded = fewest_idle.note(shared.census.take_fewest_idle(), timeout, now).unwrap_or(0);
    let mut given_up = 0;
    while given_up < unneeded.saturating_sub(shared.options.min_idle) && shared.census.withdraw_idle() {
        let mut slot = shared.take_idle(given_up % shared.shards.count(), Stage::Resetting);
        slot.fate = Fate::Spare;
        given_up += 1;
    }
    fewest_idle.give_up(given_up);
}

/// Drops the idle sandboxes that are too old.
fn give_up_old<S: Sandbox>(shared: &Shared<S>, now: Stamp) {
    let Some(lifetime) = shared.options.max_lifetime else { return };
    // The registry knows whether it is worth to take sandboxes out of circulation and look at them.
    let is_old = |built: Option<Stamp>| built.is_some_and(|built| now.since(built) >= lifetime);
    if !shared.registry.look().any(|seen| seen.holder.is_none() && is_old(seen.built)) {
        return;
    }
    for turn in 0..shared.census.look().idle() {
        if !shared.census.withdraw_idle() {
            return;
        }
        let mut slot = shared.take_idle(turn % shared.shards.count(), Stage::Resetting);
        if slot.is_old(now) {
            slot.fate = Fate::Worn;
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

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(80);

    fn at(seconds: u64) -> Stamp {
        Stamp(seconds * 1_000_000_000)
    }

    #[test]
    fn only_what_was_idle_during_the_whole_window_counts() {
        let mut fewest = FewestIdle::default();
        // Until 40 s all but one are in use now and then, from then on never more than four of ten.
        for second in 1..=40 {
            assert_eq!(fewest.note(1, WINDOW, at(second)), None, "at {second} s");
        }
        for second in 41..80 {
            assert_eq!(fewest.note(6, WINDOW, at(second)), None, "at {second} s");
        }
        for second in 80..120 {
            assert_eq!(fewest.note(6, WINDOW, at(second)), Some(1), "at {second} s");
        }
        // A step later at the latest the window has left that time behind.
        assert_eq!(fewest.note(6, WINDOW, at(130)), Some(6));
        assert_eq!(fewest.note(3, WINDOW, at(131)), Some(3));
    }

    #[test]
    fn what_was_given_up_is_not_counted_again() {
        let mut fewest = FewestIdle::default();
        for second in 1..80 {
            assert_eq!(fewest.note(7, WINDOW, at(second)), None);
        }
        assert_eq!(fewest.note(7, WINDOW, at(80)), Some(7));
        fewest.give_up(6);
        for second in 81..300 {
            assert_eq!(fewest.note(if second % 10 == 0 { 1 } else { 15 }, WINDOW, at(second)), Some(1));
        }
    }

    #[test]
    fn seldom_rounds_are_enough() {
        let mut fewest = FewestIdle::default();
        assert_eq!(fewest.note(0, WINDOW, at(40)), None);
        assert_eq!(fewest.note(5, WINDOW, at(160)), Some(5));
        assert_eq!(fewest.note(2, WINDOW, at(10_000)), Some(2));
    }

    #[test]
    fn what_it_remembers_is_bounded() {
        let mut fewest = FewestIdle::default();
        for tenth in 0..100_000 {
            fewest.note(3, WINDOW, Stamp(tenth * 100_000_000));
            assert!(fewest.spans.len() <= FewestIdle::STEPS as usize + 2);
        }
    }
}

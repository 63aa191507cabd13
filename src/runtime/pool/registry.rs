//! Who holds what, since when, at which worker.
//!
//! A table with one record for each place of the pool, on a cache line of its own. Only the one that holds a
//! sandbox writes its record, with plain stores: no lock and no shared counter on the way of a lease.
//! Whoever wants to know reads the whole table.
//!
//! `turn` tells a reader that it saw one whole record (a sequence lock): it is odd while the sandbox is lent, even
//! otherwise, and grows by one at every change. The other fields are written only while it is even.

use std::fmt;
use std::sync::atomic::{fence, AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use super::clock::{Clock, Stamp};
use crate::runtime::{CoroutineId, WorkerId};

/// A lease's identity: unique in the process.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseId {
    /// The pool's number in the process.
    pub(super) pool: u32,
    /// The sandbox's place in the pool.
    pub(super) place: u32,
    /// Odd, and another one for every lease of this place.
    pub(super) turn: u64,
}

/// A lease's identity within its coroutine, in one word, for it is handed on by value in every checkout: parts that were
/// just written can't be read as a whole without waiting for them.
///
/// Two leases have the same only if there were 2^36 leases of the same place, or 4,096 pools, between them. All that it has
/// to tell apart are the few leases that one coroutine holds at a time, from each other and from one that was carried in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct LeaseKey(u64);

impl LeaseKey {
    #[inline]
    pub(super) fn of(id: LeaseId) -> Self {
        Self(u64::from(id.pool) << 52 ^ u64::from(id.place) << 37 ^ (id.turn & ((1 << 37) - 1)))
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}.{}.{}", self.pool, self.place, self.turn.div_ceil(2))
    }
}

impl fmt::Debug for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One lease, as the registry knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseRecord {
    /// The lease.
    pub id: LeaseId,
    /// The coroutine that holds it.
    pub coroutine: CoroutineId,
    /// The worker on which it was checked out; `None` for a plain thread.
    pub worker: Option<WorkerId>,
    /// When it was checked out, to the tick of the system's coarse clock.
    pub since: Instant,
    /// When something last began in its sandbox, or it was checked out; to the same tick.
    pub used: Instant,
}

/// What the holder writes down.
#[derive(Clone, Copy)]
pub(super) struct Holder {
    pub(super) coroutine: CoroutineId,
    pub(super) worker: Option<WorkerId>,
    pub(super) since: Stamp,
}

/// A record of a place, as a reader found it.
pub(super) struct Seen {
    pub(super) place: u32,
    pub(super) turn: u64,
    /// `None` for a place that is not lent.
    pub(super) holder: Option<Holder>,
    /// When the sandbox was built; `None` for a place without one.
    pub(super) built: Option<Stamp>,
    /// When something last began in it; of an earlier lease where that is before the holder's `since`.
    pub(super) used: Stamp,
}

pub(super) struct Registry {
    records: Box<[Record]>,
}

#[repr(align(64))]
struct Record {
    turn: AtomicU64,
    since: AtomicU64,
    /// When something last began in the sandbox while it was lent; not part of what `turn` keeps whole.
    used: AtomicU64,
    coroutine: AtomicU64,
    /// The stamp after which the sandbox was built, [`NEVER`] for none.
    built: AtomicU64,
    /// The worker's index plus 1, or 0.
    worker: AtomicU32,
    /// Whether the sandbox is being reset at the end of its lease; not part of what `turn` keeps whole.
    resetting: AtomicBool,
}

const NEVER: u64 = u64::MAX;

impl Registry {
    pub(super) fn new(capacity: usize) -> Self {
        let record = || Record {
            turn: AtomicU64::new(0),
            since: AtomicU64::new(0),
            used: AtomicU64::new(0),
            coroutine: AtomicU64::new(0),
            built: AtomicU64::new(NEVER),
            worker: AtomicU32::new(0),
            resetting: AtomicBool::new(false),
        };
        Self { records: (0..capacity).map(|_| record()).collect() }
    }

    /// A sandbox has been built for `place`.
    pub(super) fn built(&self, place: u32, now: Stamp) {
        self.record(place).built.store(now.0, Ordering::Release);
    }

    /// The sandbox of `place` is no more.
    pub(super) fn gone(&self, place: u32) {
        self.record(place).built.store(NEVER, Ordering::Release);
    }

    /// The sandbox of `place` is lent; gives the turn. Called by the one that holds the sandbox.
    #[inline]
    pub(super) fn lent(&self, place: u32, holder: Holder) -> u64 {
        let record = self.record(place);
        let turn = record.turn.load(Ordering::Relaxed);
        // A reader that sees one of the stores below sees, after its own fence, that the turn before is over.
        fence(Ordering::Release);
        record.coroutine.store(holder.coroutine.get(), Ordering::Relaxed);
        record.worker.store(holder.worker.map_or(0, |worker| worker.index() as u32 + 1), Ordering::Relaxed);
        record.since.store(holder.since.0, Ordering::Relaxed);
        record.turn.store(turn + 1, Ordering::Release);
        debug_assert!(turn.is_multiple_of(2), "place {place} was lent twice");
        turn + 1
    }

    /// Since when the sandbox of `place` is lent. Called by the one that holds it.
    pub(super) fn lent_since(&self, place: u32) -> Stamp {
        Stamp(self.record(place).since.load(Ordering::Relaxed))
    }

    /// Something begins in the sandbox of `place`, which is lent.
    #[inline]
    pub(super) fn used(&self, place: u32, now: Stamp) {
        self.record(place).used.store(now.0, Ordering::Relaxed);
    }

    /// The sandbox of `place` is being reset; its lease goes on until that is done.
    #[inline]
    pub(super) fn resetting(&self, place: u32) {
        self.record(place).resetting.store(true, Ordering::Relaxed);
    }

    /// How many sandboxes are being reset at the end of their lease.
    pub(super) fn count_resetting(&self) -> usize {
        self.records.iter().filter(|record| record.resetting.load(Ordering::Relaxed)).count()
    }

    /// The lease of `place` is over. Called by the one that held it.
    #[inline]
    pub(super) fn returned(&self, place: u32) {
        let record = self.record(place);
        let turn = record.turn.load(Ordering::Relaxed);
        debug_assert!(turn % 2 == 1, "place {place} was not lent");
        record.resetting.store(false, Ordering::Relaxed);
        record.turn.store(turn + 1, Ordering::Release);
    }

    /// How many leases there ever were.
    pub(super) fn leases_ever(&self) -> u64 {
        self.records.iter().map(|record| record.turn.load(Ordering::Relaxed).div_ceil(2)).sum()
    }

    /// Every place as it is now, those left out that change while they are looked at again and again.
    pub(super) fn look(&self) -> impl Iterator<Item = Seen> + '_ {
        (0_u32..).zip(&self.records[..]).filter_map(|(place, record)| record.look(place))
    }

    /// The leases of now.
    pub(super) fn leases(&self, pool: u32, clock: &Clock) -> Vec<LeaseRecord> {
        self.look()
            .filter_map(|seen| {
                let Holder { coroutine, worker, since } = seen.holder?;
                let id = LeaseId { pool, place: seen.place, turn: seen.turn };
                let used = clock.instant(seen.used.max(since));
                Some(LeaseRecord { id, coroutine, worker, since: clock.instant(since), used })
            })
            .collect()
    }

    fn record(&self, place: u32) -> &Record {
        &self.records[place as usize]
    }
}

impl Record {
    fn look(&self, place: u32) -> Option<Seen> {
        /// A lease takes longer than this many looks at its record.
        const TRIES: u32 = 64;
        (0..TRIES).find_map(|_| {
            let turn = self.turn.load(Ordering::Acquire);
            let since = Stamp(self.since.load(Ordering::Relaxed));
            let used = Stamp(self.used.load(Ordering::Relaxed));
            let coroutine = CoroutineId::from_u64(self.coroutine.load(Ordering::Relaxed));
            let worker = self.worker.load(Ordering::Relaxed).checked_sub(1);
            let built = Some(self.built.load(Ordering::Relaxed)).filter(|&built| built != NEVER).map(Stamp);
            fence(Ordering::Acquire);
            let worker = worker.map(|index| WorkerId::new(index as usize));
            let holder =
                coroutine.filter(|_| turn % 2 == 1).map(|coroutine| Holder { coroutine, worker, since });
            let whole = self.turn.load(Ordering::Relaxed) == turn;
            whole.then_some(Seen { place, turn, holder, built, used })
        })
    }
}

//! The pool's census: how many sandboxes are in which stage, in one 64-bit word.
//!
//! ```text
//!  63  62   61     60     45..60     30..45      15..30    0..15
//!  -   -  closed  line   building   resetting    leased    idle
//! ```
//!
//! A sandbox that is reset at the end of its lease goes on being counted as leased, and only its record in the registry
//! tells the difference; as resetting count those that the keeper has taken out of circulation to look at. One change
//! less for each lease.
//!
//! Every change is one atomic operation on the word, so `idle + leased + resetting + building <= capacity` holds at
//! every look, and whoever changes a count *owns* what it stands for until the next change: one that
//! moved a sandbox from idle to leased has reserved one of those that lie in the shards.
//!
//! The `line` flag says that somebody waits. It is set and cleared only under the line's lock, and it carries the
//! pool's fairness: while it is set
//!
//! * nothing is idle and there is no room to build (a flag is set only in that state, and no change below leaves
//!   it while the flag is set), so an arrival has to join the line, and nobody overtakes;
//! * what comes home ([`settle_idle`](Census::settle_idle)) or makes room ([`vacate`](Census::vacate)) is turned away,
//!   and goes to the head of the line instead ([`hand_over`](Census::hand_over)).
//!
//! Where a change does not depend on the flags it is a plain addition; where it does, it is a compare-and-swap,
//! so that the flag and the counts are read and changed in one step.
//!
//! Beside the word, on the same cache line, lies the fewest that were idle since the keeper last asked: what was
//! never needed in that time. It is read after each change that leaves fewer idle, and hardly ever written.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam::utils::CachePadded;

/// The most sandboxes one pool can hold: what 15 bits count.
pub const MAX_CAPACITY: usize = (1 << COUNT_BITS) - 1;

const COUNT_BITS: u32 = 15;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const LINE: u64 = 1 << 60;
const CLOSED: u64 = 1 << 61;

/// Where a sandbox is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Idle,
    Leased,
    Resetting,
    Building,
}

impl Stage {
    /// One sandbox of this stage, in the word.
    const fn one(self) -> u64 {
        1 << self.shift()
    }

    const fn shift(self) -> u32 {
        COUNT_BITS
            * match self {
                Self::Idle => 0,
                Self::Leased => 1,
                Self::Resetting => 2,
                Self::Building => 3,
            }
    }
}

/// One look at the census.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts(u64);

impl Counts {
    pub(super) fn of(self, stage: Stage) -> usize {
        (self.0 >> stage.shift() & COUNT_MASK) as usize
    }

    pub(super) fn idle(self) -> usize {
        self.of(Stage::Idle)
    }

    pub(super) fn leased(self) -> usize {
        self.of(Stage::Leased)
    }

    pub(super) fn resetting(self) -> usize {
        self.of(Stage::Resetting)
    }

    pub(super) fn building(self) -> usize {
        self.of(Stage::Building)
    }

    /// Every place of the pool that is taken.
    pub(super) fn size(self) -> usize {
        self.idle() + self.leased() + self.resetting() + self.building()
    }

    /// Whether somebody waits.
    pub(super) fn line(self) -> bool {
        self.0 & LINE != 0
    }

    pub(super) fn closed(self) -> bool {
        self.0 & CLOSED != 0
    }
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counts")
            .field("idle", &self.idle())
            .field("leased", &self.leased())
            .field("resetting", &self.resetting())
            .field("building", &self.building())
            .field("line", &self.line())
            .field("closed", &self.closed())
            .finish()
    }
}

/// What an arrival got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reservation {
    /// A sandbox that lies in some shard; it counts as leased from now on.
    Idle,
    /// The right to build one; it counts as building.
    Build,
    /// Nothing: all is lent, or others wait already.
    Wait,
    /// Nothing, for ever.
    Closed,
}

/// Whether a change was made, or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Made; the census after it.
    Made(Counts),
    /// Not made: somebody waits, and what was to be changed belongs to the head of the line.
    LineWaits,
    /// Not made: the pool is closed, and keeps nothing.
    Closed,
}

/// The counts of one pool. See the module's documentation.
pub(super) struct Census {
    cell: CachePadded<Cell>,
    capacity: usize,
}

#[derive(Default)]
struct Cell {
    word: AtomicU64,
    /// At most what was ever idle since the last [`Census::take_fewest_idle`].
    fewest_idle: AtomicUsize,
}

impl Census {
    /// An empty pool with room for `capacity`, at most [`MAX_CAPACITY`].
    pub(super) fn new(capacity: usize) -> Self {
        debug_assert!((1..=MAX_CAPACITY).contains(&capacity));
        Self { cell: CachePadded::default(), capacity }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn look(&self) -> Counts {
        self.checked(self.cell.word.load(Ordering::Acquire))
    }

    /// Takes what there is for an arrival.
    #[inline]
    pub(super) fn reserve(&self) -> Reservation {
        self.reserve_or(|_| None)
    }

    /// Takes what there is, or else says in the same step that somebody waits. Under the line's lock, by one that
    /// joins the line on [`Reservation::Wait`].
    pub(super) fn reserve_or_wait(&self) -> Reservation {
        self.reserve_or(|now| Some(now | LINE))
    }

    #[inline]
    fn reserve_or(&self, wait: impl Fn(u64) -> Option<u64>) -> Reservation {
        let mut now = self.cell.word.load(Ordering::Relaxed);
        loop {
            let counts = Counts(now);
            let (next, reservation) = if counts.closed() {
                return Reservation::Closed;
            } else if counts.line() {
                return Reservation::Wait;
            } else if counts.idle() > 0 {
                (now - Stage::Idle.one() + Stage::Leased.one(), Reservation::Idle)
            } else if counts.size() < self.capacity {
                (now + Stage::Building.one(), Reservation::Build)
            } else {
                match wait(now) {
                    Some(next) => (next, Reservation::Wait),
                    None => return Reservation::Wait,
                }
            };
            match self.swap(now, next) {
                Ok(after) => {
                    if reservation == Reservation::Idle {
                        self.note_idle(after);
                    }
                    return reservation;
                }
                Err(newer) => now = newer,
            }
        }
    }

    /// Takes an idle sandbox out of circulation, whoever waits: it counts as resetting.
    pub(super) fn withdraw_idle(&self) -> bool {
        let mut now = self.cell.word.load(Ordering::Relaxed);
        while Counts(now).idle() > 0 {
            match self.swap(now, now - Stage::Idle.one() + Stage::Resetting.one()) {
                Ok(after) => {
                    self.note_idle(after);
                    return true;
                }
                Err(newer) => now = newer,
            }
        }
        false
    }

    /// The fewest that were idle at any time since the last call, or since the pool was made.
    pub(super) fn take_fewest_idle(&self) -> usize {
        let fewest = self.cell.fewest_idle.swap(usize::MAX, Ordering::AcqRel);
        // Whoever changed the word before this look may have noted it before the swap: the look sees the change.
        let now = self.look();
        self.note_idle(now);
        fewest.min(now.idle())
    }

    #[inline]
    fn note_idle(&self, after: Counts) {
        let idle = after.idle();
        if idle < self.cell.fewest_idle.load(Ordering::Relaxed) {
            self.cell.fewest_idle.fetch_min(idle, Ordering::AcqRel);
        }
    }

    /// Takes the right to build one more, if there is room and the pool is open.
    pub(super) fn reserve_build(&self) -> bool {
        let mut now = self.cell.word.load(Ordering::Relaxed);
        while !Counts(now).closed() && Counts(now).size() < self.capacity {
            match self.swap(now, now + Stage::Building.one()) {
                Ok(_) => return true,
                Err(newer) => now = newer,
            }
        }
        false
    }

    /// Moves one of the caller's own sandboxes from one stage to another, neither of them idle.
    #[inline]
    pub(super) fn shift(&self, from: Stage, to: Stage) -> Counts {
        debug_assert!(from != Stage::Idle && to != Stage::Idle);
        self.add(from, to.one().wrapping_sub(from.one()))
    }

    /// Makes a sandbox that the caller holds idle, unless somebody waits for it or the pool is closed.
    #[inline]
    pub(super) fn settle_idle(&self, from: Stage) -> Change {
        self.unless_wanted(from, Stage::Idle.one())
    }

    /// Gives up the place of a sandbox that is no more, unless somebody waits for the place. A closed pool
    /// always lets go.
    pub(super) fn vacate(&self, from: Stage) -> Change {
        match self.unless_wanted(from, 0) {
            Change::Closed => Change::Made(self.add(from, 0_u64.wrapping_sub(from.one()))),
            change => change,
        }
    }

    #[inline]
    fn unless_wanted(&self, from: Stage, to_one: u64) -> Change {
        let mut now = self.cell.word.load(Ordering::Relaxed);
        loop {
            if Counts(now).closed() {
                return Change::Closed;
            }
            if Counts(now).line() {
                return Change::LineWaits;
            }
            match self.swap(now, now - from.one() + to_one) {
                Ok(after) => return Change::Made(after),
                Err(newer) => now = newer,
            }
        }
    }

    /// Moves what the caller holds to the head of the line, as `to`; `last` when nobody waits after it. Under the
    /// line's lock, where the flag is known to be set and to stay.
    pub(super) fn hand_over(&self, from: Stage, to: Stage, last: bool) {
        let flag = if last { LINE } else { 0 };
        let after = self.add(from, to.one().wrapping_sub(from.one()).wrapping_sub(flag));
        debug_assert!(after.line() != last, "the flag says whether anybody waits: {after:?}");
    }

    /// Says that nobody waits any more. Under the line's lock.
    pub(super) fn line_is_empty(&self) {
        self.cell.word.fetch_and(!LINE, Ordering::AcqRel);
    }

    /// Closes the pool. Whether this call did.
    pub(super) fn close(&self) -> bool {
        !Counts(self.cell.word.fetch_or(CLOSED, Ordering::AcqRel)).closed()
    }

    /// Adds `delta` to the word, of which the caller knows that it holds one of `from`.
    #[inline]
    fn add(&self, from: Stage, delta: u64) -> Counts {
        let before = self.cell.word.fetch_add(delta, Ordering::AcqRel);
        debug_assert!(Counts(before).of(from) > 0, "no sandbox is {from:?} in {:?}", Counts(before));
        self.checked(before.wrapping_add(delta))
    }

    #[inline]
    fn swap(&self, now: u64, next: u64) -> Result<Counts, u64> {
        self.cell
            .word
            .compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Relaxed)
            .map(|_| self.checked(next))
    }

    #[inline]
    fn checked(&self, word: u64) -> Counts {
        let counts = Counts(word);
        debug_assert!(counts.size() <= self.capacity, "{counts:?} is more than {}", self.capacity);
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The slow, obvious one.
    #[derive(Default, Clone, Debug)]
    struct Model {
        idle: usize,
        leased: usize,
        resetting: usize,
        building: usize,
        line: bool,
        closed: bool,
        fewest_idle: usize,
    }

    impl Model {
        fn size(&self) -> usize {
            self.idle + self.leased + self.resetting + self.building
        }

        fn count(&mut self, stage: Stage) -> &mut usize {
            match stage {
                Stage::Idle => &mut self.idle,
                Stage::Leased => &mut self.leased,
                Stage::Resetting => &mut self.resetting,
                Stage::Building => &mut self.building,
            }
        }

        fn reserve(&mut self, capacity: usize) -> Reservation {
            if self.closed {
                Reservation::Closed
            } else if self.line {
                Reservation::Wait
            } else if self.idle > 0 {
                self.idle -= 1;
                self.leased += 1;
                Reservation::Idle
            } else if self.size() < capacity {
                self.building += 1;
                Reservation::Build
            } else {
                Reservation::Wait
            }
        }

        fn assert_is(&self, counts: Counts) {
            assert_eq!(counts.idle(), self.idle);
            assert_eq!(counts.leased(), self.leased);
            assert_eq!(counts.resetting(), self.resetting);
            assert_eq!(counts.building(), self.building);
            assert_eq!(counts.size(), self.size());
            assert_eq!(counts.line(), self.line);
            assert_eq!(counts.closed(), self.closed);
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Reserve,
        ReserveOrWait,
        WithdrawIdle,
        ReserveBuild,
        Shift(Stage, Stage),
        SettleIdle(Stage),
        Vacate(Stage),
        HandOver(Stage, Stage, bool),
        LineIsEmpty,
        TakeFewestIdle,
        Close,
    }

    fn held() -> impl Strategy<Value = Stage> {
        prop_oneof![Just(Stage::Leased), Just(Stage::Resetting), Just(Stage::Building)]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => Just(Step::Reserve),
            4 => Just(Step::ReserveOrWait),
            1 => Just(Step::WithdrawIdle),
            1 => Just(Step::ReserveBuild),
            4 => (held(), held()).prop_map(|(from, to)| Step::Shift(from, to)),
            4 => held().prop_map(Step::SettleIdle),
            2 => held().prop_map(Step::Vacate),
            3 => (held(), held(), any::<bool>()).prop_map(|(from, to, last)| Step::HandOver(from, to, last)),
            1 => Just(Step::LineIsEmpty),
            1 => Just(Step::TakeFewestIdle),
            1 => Just(Step::Close),
        ]
    }

    proptest! {
        #[test]
        fn the_word_counts_like_plain_numbers(
            capacity in prop_oneof![1_usize..5, Just(MAX_CAPACITY)],
            steps in proptest::collection::vec(step(), 0..200),
        ) {
            let census = Census::new(capacity);
            let mut model = Model::default();
            for step in steps {
                match step {
                    Step::Reserve => assert_eq!(census.reserve(), model.reserve(capacity)),
                    Step::ReserveOrWait => {
                        let expected = model.reserve(capacity);
                        assert_eq!(census.reserve_or_wait(), expected);
                        model.line |= expected == Reservation::Wait;
                    }
                    Step::WithdrawIdle => {
                        assert_eq!(census.withdraw_idle(), model.idle > 0);
                        if model.idle > 0 {
                            model.idle -= 1;
                            model.resetting += 1;
                        }
                    }
                    Step::ReserveBuild => {
                        let room = !model.closed && model.size() < capacity;
                        assert_eq!(census.reserve_build(), room);
                        model.building += usize::from(room);
                    }
                    Step::Shift(from, to) if *model.count(from) > 0 => {
                        *model.count(from) -= 1;
                        *model.count(to) += 1;
                        model.assert_is(census.shift(from, to));
                    }
                    Step::SettleIdle(from) if *model.count(from) > 0 => {
                        let change = census.settle_idle(from);
                        if model.closed {
                            assert_eq!(change, Change::Closed);
                        } else if model.line {
                            assert_eq!(change, Change::LineWaits);
                        } else {
                            *model.count(from) -= 1;
                            model.idle += 1;
                            assert_eq!(change, Change::Made(census.look()));
                        }
                    }
                    Step::Vacate(from) if *model.count(from) > 0 => {
                        let change = census.vacate(from);
                        if model.line && !model.closed {
                            assert_eq!(change, Change::LineWaits);
                        } else {
                            *model.count(from) -= 1;
                            assert_eq!(change, Change::Made(census.look()));
                        }
                    }
                    Step::HandOver(from, to, last) if *model.count(from) > 0 && model.line => {
                        *model.count(from) -= 1;
                        *model.count(to) += 1;
                        model.line = !last;
                        census.hand_over(from, to, last);
                    }
                    Step::LineIsEmpty => {
                        model.line = false;
                        census.line_is_empty();
                    }
                    Step::TakeFewestIdle => {
                        assert_eq!(census.take_fewest_idle(), model.fewest_idle);
                        model.fewest_idle = model.idle;
                    }
                    Step::Close => {
                        assert_eq!(census.close(), !model.closed);
                        model.closed = true;
                    }
                    Step::Shift(..) | Step::SettleIdle(_) | Step::Vacate(_) | Step::HandOver(..) => {}
                }
                model.fewest_idle = model.fewest_idle.min(model.idle);
                model.assert_is(census.look());
            }
        }
    }

    #[test]
    fn a_full_pool_of_the_greatest_size_does_not_spill_into_its_neighbours() {
        let census = Census::new(MAX_CAPACITY);
        for _ in 0..MAX_CAPACITY {
            assert_eq!(census.reserve(), Reservation::Build);
        }
        assert_eq!(census.reserve(), Reservation::Wait);
        for (from, to) in [(Stage::Building, Stage::Leased), (Stage::Leased, Stage::Resetting)] {
            for _ in 0..MAX_CAPACITY {
                census.shift(from, to);
            }
            assert_eq!(census.look().of(to), MAX_CAPACITY);
            assert_eq!(census.look().size(), MAX_CAPACITY);
        }
        for _ in 0..MAX_CAPACITY {
            assert!(matches!(census.settle_idle(Stage::Resetting), Change::Made(_)));
        }
        assert_eq!(census.look().idle(), MAX_CAPACITY);
        assert!(!census.look().line() && !census.look().closed());
    }

    #[test]
    fn threads_that_change_the_census_at_once_lose_nothing() {
        let census = Census::new(3);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let from = match census.reserve() {
                            Reservation::Idle => Stage::Leased,
                            Reservation::Build => {
                                census.shift(Stage::Building, Stage::Leased);
                                Stage::Leased
                            }
                            _ => continue,
                        };
                        census.shift(from, Stage::Resetting);
                        assert!(matches!(census.settle_idle(Stage::Resetting), Change::Made(_)));
                    }
                });
            }
        });
        let counts = census.look();
        assert_eq!((counts.idle(), counts.size()), (counts.size(), counts.idle()));
        assert!((1..=3).contains(&counts.size()));
    }
}

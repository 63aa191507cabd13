//! Who acts for a connection: the parking state machine.
//!
//! A connection is in one of three phases. *Driven*: a coroutine runs it. *Waiting*: that coroutine is suspended
//! until something happens. *Parked*: no coroutine acts for it, there is only the struct on the heap (and the request that
//! it was parked with, if a handler is at work on one).
//!
//! ```text
//!                 wait(interest)                      signal(flag in interest)
//!   Driven ───────────────────────► Waiting ───────────────────────────► Driven   (wake the coroutine)
//!   Driven ───────────────────────► Parked  ───────────────────────────► Driven   (start a coroutine)
//!                 park(interest)                      signal(flag in interest)
//! ```
//!
//! Phase, interest and the flags of what has happened share one atomic word, and every step is one
//! compare-and-swap on it. So between "nothing has happened" and "I am parked" there is no gap in which
//! something could happen unseen, and of all those who signal at once exactly one gets the duty to wake.

use std::sync::atomic::{AtomicU32, Ordering};

/// A set of things that can happen to a connection.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flags(u32);

impl Flags {
    /// The socket may have bytes to read.
    pub(crate) const READ: Flags = Flags(1);
    /// The socket may take bytes.
    pub(crate) const WRITE: Flags = Flags(1 << 1);
    /// The client has finished sending: read on until the end.
    pub(crate) const READ_CLOSED: Flags = Flags(1 << 2);
    /// The connection is broken or closed in both directions.
    pub(crate) const BROKEN: Flags = Flags(1 << 3);
    /// A message was queued for the client.
    pub(crate) const QUEUE: Flags = Flags(1 << 4);
    /// The connection's deadline has come.
    pub(crate) const TIMER: Flags = Flags(1 << 5);
    /// The request that runs has an outcome.
    pub(crate) const OUTCOME: Flags = Flags(1 << 6);
    /// The server shuts down.
    pub(crate) const SHUTDOWN: Flags = Flags(1 << 7);

    /// The client has left: of a WebSocket's, to have finished sending is that as well.
    pub(crate) const LEAVING: Flags = Flags::READ_CLOSED.union(Flags::BROKEN);

    /// Nothing.
    pub(crate) const NONE: Flags = Flags(0);
    /// Everything.
    pub(crate) const ALL: Flags = Flags(0xFF);

    pub(crate) const fn union(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    pub(crate) const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    pub(crate) const fn intersects(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }
}

impl std::ops::BitOr for Flags {
    type Output = Flags;

    fn bitor(self, other: Flags) -> Flags {
        self.union(other)
    }
}

impl std::fmt::Debug for Flags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Flags({:#04x})", self.0)
    }
}

/// What the one who signalled must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a connection that is not woken when it should be sleeps for ever"]
pub(crate) enum Duty {
    /// Nothing: the coroutine runs and will see it, or does not care for it now.
    None,
    /// Wake the coroutine that waits.
    Wake,
    /// Start a coroutine.
    Start,
}

const FLAGS: u32 = 0xFF;
const INTEREST_SHIFT: u32 = 8;
const PHASE_MASK: u32 = 0b11 << 16;
const DRIVEN: u32 = 0 << 16;
const WAITING: u32 = 1 << 16;
const PARKED: u32 = 2 << 16;
const LEFT: u32 = 1 << 18;

/// The state of one connection. See the module's page.
#[derive(Debug)]
pub(crate) struct DriveState {
    /// Bits 0 to 7: what has happened and was not taken. 8 to 15: the interest, while waiting or
    /// parked. 16 and 17: the phase. 18: whether the client has left, which is never taken.
    /// A word in phase Waiting or Parked has no flag that its interest names.
    word: AtomicU32,
}

impl DriveState {
    /// Parked, to be started by any of `interest`.
    pub(crate) fn parked(interest: Flags) -> DriveState {
        DriveState { word: AtomicU32::new(PARKED | interest.0 << INTEREST_SHIFT) }
    }

    /// Notes that `flags` have happened, and says what must be done about it: exactly one of several that signal
    /// the same wait gets the duty.
    pub(crate) fn signal(&self, flags: Flags) -> Duty {
        let mut word = self.word.load(Ordering::Relaxed);
        let news = flags.0 | if flags.intersects(Flags::LEAVING) { LEFT } else { 0 };
        loop {
            let interested = word >> INTEREST_SHIFT & flags.0 & FLAGS != 0;
            let (next, duty) = match word & PHASE_MASK {
                WAITING if interested => (word & (FLAGS | LEFT) | news | DRIVEN, Duty::Wake),
                PARKED if interested => (word & (FLAGS | LEFT) | news | DRIVEN, Duty::Start),
                _ => (word | news, Duty::None),
            };
            match self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return duty,
                Err(now) => word = now,
            }
        }
    }

    /// Takes those of `wanted` that have happened. Called by the driver only.
    pub(crate) fn take(&self, wanted: Flags) -> Flags {
        if self.word.load(Ordering::Relaxed) & wanted.0 == 0 {
            return Flags::NONE;
        }
        Flags(self.word.fetch_and(!wanted.0, Ordering::AcqRel) & wanted.0)
    }

    /// The driver is about to suspend until any of `interest` happens. `false`: one has happened already, don't.
    /// Whatever the waker needs must be in place before.
    #[must_use]
    pub(crate) fn wait(&self, interest: Flags) -> bool {
        self.leave(WAITING, interest)
    }

    /// The driver is about to end and leave the connection parked until any of `interest` happens. `false`: one has
    /// happened already, don't. Whatever the next driver needs must be in place before.
    #[must_use]
    pub(crate) fn park(&self, interest: Flags) -> bool {
        self.leave(PARKED, interest)
    }

    fn leave(&self, phase: u32, interest: Flags) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            debug_assert_eq!(word & PHASE_MASK, DRIVEN, "only the driver leaves");
            if word & interest.0 != 0 {
                return false;
            }
            let next = word & (FLAGS | LEFT) | interest.0 << INTEREST_SHIFT | phase;
            match self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
    }

    /// Whether the driver has been told to go on, or never left.
    pub(crate) fn is_driven(&self) -> bool {
        self.word.load(Ordering::Acquire) & PHASE_MASK == DRIVEN
    }

    /// Whether any of [`Flags::LEAVING`] was ever signalled, taken or not.
    pub(crate) fn has_left(&self) -> bool {
        self.word.load(Ordering::Acquire) & LEFT != 0
    }

    /// Whether the connection is parked just now.
    #[cfg(test)]
    pub(crate) fn is_parked(&self) -> bool {
        self.word.load(Ordering::Acquire) & PHASE_MASK == PARKED
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicU64, AtomicUsize};
    use std::sync::mpsc;
    use std::sync::Arc;

    /// One step of someone, each atomic in the real thing.
    #[derive(Clone, Debug)]
    enum Step {
        Signal(Flags),
        Take(Flags),
        Wait(Flags),
        Park(Flags),
    }

    fn flags() -> impl Strategy<Value = Flags> {
        (0_u32..256).prop_map(Flags)
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => flags().prop_map(Step::Signal),
            2 => flags().prop_map(Step::Take),
            1 => flags().prop_map(Step::Wait),
            1 => flags().prop_map(Step::Park),
        ];
        prop::collection::vec(step, 1..200)
    }

    fn bits(flags: Flags) -> BTreeSet<u32> {
        (0..8).filter(|bit| flags.0 >> bit & 1 == 1).collect()
    }

    /// The slow, obvious machine.
    #[derive(Debug, PartialEq)]
    enum Model {
        Driven,
        Waiting(BTreeSet<u32>),
        Parked(BTreeSet<u32>),
    }

    proptest! {
        #[test]
        fn agrees_with_the_model_and_loses_nothing(steps in steps()) {
            let state = DriveState::parked(Flags::ALL);
            let mut phase = Model::Parked(bits(Flags::ALL));
            let mut pending = BTreeSet::new();
            for step in steps {
                match step {
                    Step::Signal(flags) => {
                        let happened = bits(flags);
                        let expected = match &phase {
                            Model::Waiting(interest) if !interest.is_disjoint(&happened) => Duty::Wake,
                            Model::Parked(interest) if !interest.is_disjoint(&happened) => Duty::Start,
                            _ => Duty::None,
                        };
                        pending.extend(happened);
                        prop_assert_eq!(state.signal(flags), expected);
                        if expected != Duty::None {
                            phase = Model::Driven;
                        }
                    }
                    // The rest are the driver's steps: it takes none of them while it is away.
                    _ if phase != Model::Driven => {}
                    Step::Take(flags) => {
                        let wanted = bits(flags);
                        let expected: BTreeSet<u32> = pending.intersection(&wanted).copied().collect();
                        prop_assert_eq!(bits(state.take(flags)), expected);
                        pending.retain(|bit| !wanted.contains(bit));
                    }
                    Step::Wait(flags) => {
                        let interest = bits(flags);
                        let leaves = interest.is_disjoint(&pending);
                        prop_assert_eq!(state.wait(flags), leaves);
                        if leaves { phase = Model::Waiting(interest) }
                    }
                    Step::Park(flags) => {
                        let interest = bits(flags);
                        let leaves = interest.is_disjoint(&pending);
                        prop_assert_eq!(state.park(flags), leaves);
                        if leaves { phase = Model::Parked(interest) }
                    }
                }
            }
            // In the end everything that happened and was not taken is still there for the driver.
            if phase != Model::Driven {
                // (A signal wakes it only through its interest; ALL is used where a connection parks.)
                let duty = state.signal(Flags::ALL);
                let interested = match &phase { Model::Waiting(i) | Model::Parked(i) => !i.is_empty(), _ => unreachable!() };
                prop_assert_eq!(duty != Duty::None, interested);
                pending.extend(bits(Flags::ALL));
            }
            prop_assert_eq!(bits(state.take(Flags::ALL)), pending);
        }
    }

    #[test]
    fn many_threads_that_signal_never_lose_one_and_never_start_two_drivers() {
        const SENDERS: usize = 3;
        const EACH: u64 = 50_000;
        let state = Arc::new(DriveState::parked(Flags::QUEUE));
        let queued = Arc::new(AtomicU64::new(0));
        let drivers = Arc::new(AtomicUsize::new(0));
        let (start, starts) = mpsc::channel();
        let senders: Vec<_> = (0..SENDERS)
            .map(|_| {
                let (state, queued, start) = (state.clone(), queued.clone(), start.clone());
                std::thread::spawn(move || {
                    for _ in 0..EACH {
                        queued.fetch_add(1, Ordering::Relaxed);
                        match state.signal(Flags::QUEUE) {
                            Duty::Start => start.send(()).unwrap(),
                            Duty::None => {}
                            Duty::Wake => unreachable!("it never waits"),
                        }
                    }
                })
            })
            .collect();
        drop(start);
        let mut seen = 0;
        // The "poller": starts a driver whenever it is told to. `recv` fails when all senders are done.
        while starts.recv().is_ok() {
            assert_eq!(drivers.fetch_add(1, Ordering::SeqCst), 0, "two drivers at once");
            loop {
                state.take(Flags::QUEUE);
                seen += queued.swap(0, Ordering::Relaxed);
                drivers.store(0, Ordering::SeqCst);
                if state.park(Flags::QUEUE) {
                    break;
                }
                drivers.store(1, Ordering::SeqCst);
            }
        }
        for sender in senders {
            sender.join().unwrap();
        }
        assert_eq!(seen, SENDERS as u64 * EACH);
        assert!(state.is_parked());
    }

    #[test]
    fn that_the_client_has_left_stays_known_whatever_is_taken_or_waited_for() {
        for leaving in [Flags::READ_CLOSED, Flags::BROKEN] {
            let state = DriveState::parked(Flags::READ);
            assert_eq!(state.signal(Flags::ALL.without(Flags::LEAVING)), Duty::Start);
            assert!(!state.has_left());
            assert_eq!(state.signal(leaving), Duty::None);
            assert_eq!(state.take(Flags::LEAVING), leaving);
            state.take(Flags::ALL);
            for leave in [DriveState::wait, DriveState::park] {
                assert!(state.has_left() && leave(&state, Flags::READ));
                assert_ne!(state.signal(Flags::READ), Duty::None);
                assert_eq!(state.take(Flags::ALL), Flags::READ);
            }
            assert!(state.has_left());
        }
    }
}

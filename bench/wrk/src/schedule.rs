//! When each message of an open loop is due, whatever became of the earlier ones.

use crate::clock::Nanos;

/// The schedule of one thread: message `n` goes to connection `n % connections`, at `start + n / rate`.
///
/// So every connection is paced by itself, and the connections of a thread are spread evenly over an interval.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    start: Nanos,
    interval_ns: f64,
    connections: u64,
    /// The first message that has not been taken yet.
    next: u64,
}

/// One message of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) connection: usize,
    /// How many messages its connection had before.
    pub(crate) round: u64,
    pub(crate) due: Nanos,
}

impl Schedule {
    /// `per_second` is above 0, and so is `connections`.
    pub(crate) fn new(start: Nanos, per_second: f64, connections: usize) -> Self {
        Self { start, interval_ns: 1e9 / per_second, connections: connections.max(1) as u64, next: 0 }
    }

    /// The next message if it is due at `now`.
    pub(crate) fn take_due(&mut self, now: Nanos) -> Option<Slot> {
        let due = self.next_due();
        (due <= now).then(|| {
            let slot = Slot {
                connection: (self.next % self.connections) as usize,
                round: self.next / self.connections,
                due,
            };
            self.next += 1;
            slot
        })
    }

    /// When the next one is due.
    pub(crate) fn next_due(&self) -> Nanos {
        self.due_at(self.next)
    }

    /// When `connection` is due for the message before which it had `round` others.
    pub(crate) fn due_of(&self, connection: usize, round: u64) -> Nanos {
        self.due_at(round * self.connections + connection as u64)
    }

    /// How many messages `connection` has been due for, of those that were taken.
    pub(crate) fn rounds_of(&self, connection: usize) -> u64 {
        (self.next + self.connections - 1 - connection as u64) / self.connections
    }

    fn due_at(&self, message: u64) -> Nanos {
        // exact to the nanosecond for a hundred days
        self.start + (message as f64 * self.interval_ns) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;

    #[test]
    fn every_connection_is_paced_by_itself_and_all_are_spread_over_an_interval() {
        // four connections of 50 messages a second each
        let mut schedule = Schedule::new(7 * MS, 200.0, 4);
        let slots: Vec<Slot> = std::iter::from_fn(|| schedule.take_due(47 * MS)).collect();
        let due: Vec<Nanos> = slots.iter().map(|slot| slot.due / MS).collect();
        assert_eq!(due, [7, 12, 17, 22, 27, 32, 37, 42, 47]);
        let of_first: Vec<_> = slots
            .iter()
            .filter(|slot| slot.connection == 0)
            .map(|slot| (slot.round, slot.due / MS))
            .collect();
        assert_eq!(of_first, [(0, 7), (1, 27), (2, 47)]);
        assert_eq!(schedule.next_due(), 52 * MS);
        assert_eq!((schedule.due_of(1, 3), schedule.rounds_of(0), schedule.rounds_of(1)), (72 * MS, 3, 2));
    }

    #[test]
    fn nothing_is_due_early_and_what_was_missed_keeps_its_time() {
        let mut schedule = Schedule::new(0, 1_000.0, 1);
        assert_eq!(schedule.take_due(0).map(|slot| slot.due), Some(0));
        assert_eq!(schedule.take_due(MS - 1), None);
        // a stall of ten milliseconds: all ten are still due when they were
        let late: Vec<Nanos> =
            std::iter::from_fn(|| schedule.take_due(10 * MS)).map(|slot| slot.due / MS).collect();
        assert_eq!(late, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn an_hour_later_it_is_still_exact() {
        let schedule = Schedule::new(0, 3.0, 1);
        assert_eq!(schedule.due_of(0, 3 * 3600), 3_600_000 * MS);
    }
}

//! A coarse timer wheel: thousands of deadlines that are rarely reached and often moved.
//!
//! ```text
//!            now                         one slot a tick
//!             ▼
//!   ┌───┬───┬───┬───┬─ ─ ─┬───┐
//!   │   │ x │   │xx │     │ x │   a deadline beyond the horizon lies in the farthest slot
//!   └───┴───┴───┴───┴─ ─ ─┴───┘
//! ```
//!
//! An entry is a reminder to look, not the deadline itself: the owner looks whether its deadline has really come and
//! enters it again if not. So a deadline that moves away (every message moves a connection's) costs nothing, none
//! has to be removed, and one farther away than the horizon is looked at on the way.

/// How many slots there are: the horizon is one less, in ticks.
const SLOTS: u64 = 64;

/// The wheel. It counts in ticks and reads no clock.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    slots: Vec<Vec<T>>,
    /// Everything up to and including this tick has been handed out.
    now: u64,
    len: usize,
}

impl<T> Wheel<T> {
    /// An empty wheel at tick `now`.
    pub(crate) fn new(now: u64) -> Wheel<T> {
        Wheel { slots: (0..SLOTS).map(|_| Vec::new()).collect(), now, len: 0 }
    }

    /// The tick at which a reminder for tick `due` would come: `due`, or the next one if that is over, or the
    /// horizon if it is farther away.
    pub(crate) fn due_tick(&self, due: u64) -> u64 {
        due.clamp(self.now + 1, self.now + SLOTS - 1)
    }

    /// Enters a reminder for tick `due`; it comes at [`Wheel::due_tick`].
    pub(crate) fn insert(&mut self, due: u64, value: T) {
        let tick = self.due_tick(due);
        self.slots[(tick % SLOTS) as usize].push(value);
        self.len += 1;
    }

    /// Moves to tick `now` and appends all that is due by then to `due`. Going back does nothing.
    pub(crate) fn advance(&mut self, now: u64, due: &mut Vec<T>) {
        let before = due.len();
        let last = now.min(self.now + SLOTS);
        for tick in self.now + 1..=last {
            let slot = &mut self.slots[(tick % SLOTS) as usize];
            due.append(slot);
            // A slot that once held thousands does not keep their room.
            slot.shrink_to(16);
        }
        self.now = self.now.max(now);
        self.len -= due.len() - before;
    }

    /// Whether there is nothing to remind of.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert { ahead: i64 },
        Advance { by: u64 },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (-5_i64..200).prop_map(|ahead| Step::Insert { ahead }),
            1 => (0_u64..100).prop_map(|by| Step::Advance { by }),
        ];
        prop::collection::vec(step, 1..100)
    }

    proptest! {
        #[test]
        fn agrees_with_a_sorted_list(start in 0_u64..1_000, steps in steps()) {
            let mut wheel = Wheel::new(start);
            let mut list: Vec<(u64, usize)> = Vec::new();
            let mut now = start;
            for (id, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Insert { ahead } => {
                        let due = now.saturating_add_signed(ahead);
                        let tick = wheel.due_tick(due);
                        prop_assert_eq!(tick, due.max(now + 1).min(now + SLOTS - 1));
                        wheel.insert(due, id);
                        list.push((tick, id));
                    }
                    Step::Advance { by } => {
                        now += by;
                        let mut due = Vec::new();
                        wheel.advance(now, &mut due);
                        let mut expected: Vec<usize> =
                            list.iter().filter(|(tick, _)| *tick <= now).map(|(_, id)| *id).collect();
                        list.retain(|(tick, _)| *tick > now);
                        expected.sort_unstable();
                        due.sort_unstable();
                        prop_assert_eq!(due, expected);
                    }
                }
                prop_assert_eq!(wheel.is_empty(), list.is_empty());
            }
        }
    }

    #[test]
    fn reminders_come_in_the_order_of_their_ticks() {
        let mut wheel = Wheel::new(0);
        for due in [5, 3, 9, 1] {
            wheel.insert(due, due);
        }
        let mut due = Vec::new();
        wheel.advance(20, &mut due);
        assert_eq!(due, [1, 3, 5, 9]);
    }
}

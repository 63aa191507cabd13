//! Where idle sandboxes lie: one bounded queue for each home worker.
//!
//! First in, first out, as the queues are crossbeam's: all idle sandboxes of a worker take their turns, and none grows
//! old at the bottom. How many are needed is seen from the census' counts, not from who lies how long (see `keeper`).
//!
//! Each queue has room for every sandbox of the pool, so a push always succeeds. A pop is for those only who
//! know from the census that a sandbox is theirs: it looks at its own queue first, then at its neighbours',
//! and looks again if it must, for while it walks from one queue to the next others may take what it has not
//! reached yet and put theirs where it has been. It ends, because a sandbox is pushed before it is counted: as many
//! lie in the queues as there are pops to come.

use crossbeam::queue::ArrayQueue;
use crossbeam::utils::{Backoff, CachePadded};

pub(super) struct Shards<T> {
    queues: Box<[CachePadded<ArrayQueue<T>>]>,
}

impl<T> Shards<T> {
    /// `count` queues with room for `capacity` each, both at least 1.
    pub(super) fn new(count: usize, capacity: usize) -> Self {
        Self { queues: (0..count).map(|_| CachePadded::new(ArrayQueue::new(capacity))).collect() }
    }

    pub(super) fn count(&self) -> usize {
        self.queues.len()
    }

    /// The queue of the `worker`th worker.
    #[inline]
    pub(super) fn of_worker(&self, worker: usize) -> usize {
        // As a rule there is one for each, and no division to wait for.
        if worker < self.queues.len() {
            worker
        } else {
            worker % self.queues.len()
        }
    }

    /// Puts `item` into queue `home`.
    #[inline]
    pub(super) fn push(&self, home: usize, item: T) {
        let mut item = item;
        let backoff = Backoff::new();
        // Full for a moment at most: while a pop has taken its item and not yet said so.
        while let Err(back) = self.queues[home].push(item) {
            item = back;
            backoff.snooze();
        }
    }

    /// Takes an item that is the caller's, from queue `home` if there is one.
    #[inline]
    pub(super) fn pop(&self, home: usize) -> T {
        match self.queues[home].pop() {
            Some(item) => item,
            None => self.pop_elsewhere(home),
        }
    }

    #[cold]
    fn pop_elsewhere(&self, home: usize) -> T {
        let (before, from_home) = self.queues.split_at(home);
        let backoff = Backoff::new();
        loop {
            if let Some(item) = from_home.iter().chain(before).find_map(|queue| queue.pop()) {
                return item;
            }
            backoff.snooze();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_shard_comes_first_and_then_the_next_ones() {
        let shards = Shards::new(3, 4);
        for (home, item) in [(0, "a"), (1, "b"), (2, "c"), (1, "d")] {
            shards.push(home, item);
        }
        assert_eq!([0, 0, 0, 0].map(|_| shards.pop(1)), ["b", "d", "c", "a"]);
    }

    #[test]
    fn one_shard_has_room_for_everything() {
        let shards = Shards::new(2, 100);
        (0..100).for_each(|item| shards.push(1, item));
        let mut all: Vec<_> = (0..100).map(|_| shards.pop(0)).collect();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_pop_that_is_due_finds_its_item_however_the_others_move_theirs() {
        let shards = Shards::new(4, 8);
        (0..8).for_each(|item| shards.push(item % 4, item));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let shards = &shards;
                // Two of the eight items belong to each thread.
                scope.spawn(move || {
                    for round in 0..20_000 {
                        let pair = [shards.pop(thread), shards.pop((thread + round) % 4)];
                        for item in pair {
                            shards.push((thread + item + round) % 4, item);
                        }
                    }
                });
            }
        });
        let mut all: Vec<_> = (0..8).map(|_| shards.pop(0)).collect();
        all.sort_unstable();
        assert_eq!(all, (0..8).collect::<Vec<_>>());
    }
}

//! Counters for the hot path: a cell a worker, so that no two workers write to one cache line.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::utils::CachePadded;

use crate::runtime::WorkerId;

/// Counts up. Adding costs a few nanoseconds on any number of workers; reading adds up all cells.
#[derive(Debug)]
pub struct Counter {
    /// One a worker, and the last one for all other threads.
    cells: Box<[CachePadded<AtomicU64>]>,
}

impl Counter {
    /// A counter at 0 for `workers` workers. Others may count as well, all in one cell.
    pub fn new(workers: usize) -> Counter {
        Counter { cells: (0..=workers).map(|_| CachePadded::default()).collect() }
    }

    /// Counts one.
    pub fn count(&self) {
        self.add(1);
    }

    /// Counts `amount`.
    pub fn add(&self, amount: u64) {
        let elsewhere = self.cells.len() - 1;
        let cell = WorkerId::current().map_or(elsewhere, |worker| worker.index().min(elsewhere));
        self.cells[cell].fetch_add(amount, Ordering::Relaxed);
    }

    /// The sum so far. Never less than what was counted before the call, seen from the counting thread.
    pub fn total(&self) -> u64 {
        self.cells.iter().map(|cell| cell.load(Ordering::Relaxed)).sum()
    }
}

/// The first digit of an HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusClass {
    /// 1xx
    Informational,
    /// 2xx
    Success,
    /// 3xx
    Redirection,
    /// 4xx
    ClientError,
    /// 5xx, and anything that is no status.
    ServerError,
}

impl StatusClass {
    /// All of them, in order.
    pub const ALL: [StatusClass; 5] = [
        StatusClass::Informational,
        StatusClass::Success,
        StatusClass::Redirection,
        StatusClass::ClientError,
        StatusClass::ServerError,
    ];

    /// The class of `status`.
    pub fn of(status: u16) -> StatusClass {
        match status {
            100..=199 => StatusClass::Informational,
            200..=299 => StatusClass::Success,
            300..=399 => StatusClass::Redirection,
            400..=499 => StatusClass::ClientError,
            _ => StatusClass::ServerError,
        }
    }

    /// As in the metrics: `2xx`.
    pub fn as_str(self) -> &'static str {
        match self {
            StatusClass::Informational => "1xx",
            StatusClass::Success => "2xx",
            StatusClass::Redirection => "3xx",
            StatusClass::ClientError => "4xx",
            StatusClass::ServerError => "5xx",
        }
    }
}

/// HTTP requests by the class of their answer.
#[derive(Debug)]
pub struct RequestCounts {
    by_class: [Counter; StatusClass::ALL.len()],
}

impl RequestCounts {
    /// All at 0, for `workers` workers.
    pub fn new(workers: usize) -> RequestCounts {
        RequestCounts { by_class: StatusClass::ALL.map(|_| Counter::new(workers)) }
    }

    /// Counts a request that was answered with `status`.
    pub fn answered(&self, status: u16) {
        self.by_class[StatusClass::of(status) as usize].count();
    }

    /// The totals, a pair a class.
    pub fn totals(&self) -> [(StatusClass, u64); StatusClass::ALL.len()] {
        StatusClass::ALL.map(|class| (class, self.by_class[class as usize].total()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::runtime;

    #[test]
    fn nothing_that_workers_and_threads_count_is_lost() {
        const EACH: u64 = 1_000;
        // Fewer cells than there may be workers: the rest share one.
        let counter = Arc::new(Counter::new(1));
        let work = |counter: &Arc<Counter>| {
            let counter = Arc::clone(counter);
            move || (0..EACH).for_each(|_| counter.count())
        };
        let coroutines: Vec<_> = (0..8).map(|_| runtime::spawn(work(&counter))).collect();
        let thread = std::thread::spawn(work(&counter));
        coroutines.into_iter().for_each(|coroutine| coroutine.join().unwrap());
        thread.join().unwrap();
        assert_eq!(counter.total(), 9 * EACH);
    }

    #[test]
    fn requests_are_counted_by_the_class_of_their_status() {
        let counts = RequestCounts::new(1);
        for status in [101, 200, 204, 304, 404, 503, 504, 999] {
            counts.answered(status);
        }
        assert_eq!(
            counts.totals().map(|(class, total)| (class.as_str(), total)),
            [("1xx", 1), ("2xx", 2), ("3xx", 1), ("4xx", 1), ("5xx", 3)]
        );
    }
}

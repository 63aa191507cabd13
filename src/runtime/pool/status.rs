//! What a pool says about itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde::Serialize;

/// A pool at one moment.
///
/// `capacity` to `building` are one look at the census, so `size = idle + leased + resetting + building <= capacity`
/// holds in every status; only which of the lent sandboxes are being reset just then is looked up after it. The counters count since the pool was made; each is exact, but they are read one
/// after the other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PoolStatus {
    /// The most sandboxes there can be.
    pub capacity: usize,
    /// The places that are taken.
    pub size: usize,
    /// Sandboxes that lie ready.
    pub idle: usize,
    /// Sandboxes that are lent, those on their way to a waiter included.
    pub leased: usize,
    /// Sandboxes that are being reset, or looked over by the keeper.
    pub resetting: usize,
    /// Sandboxes that are being built, and places that were given to a waiter to build in.
    pub building: usize,
    /// Those that wait for a sandbox.
    pub waiting: usize,
    /// Whether the pool is closed.
    pub closed: bool,
    /// Leases ever given.
    pub checkouts: u64,
    /// Sandboxes built.
    pub created: u64,
    /// Sandboxes that could not be lent again: poisoned, lost, discarded by their holder, or not to be reset.
    pub discarded: u64,
    /// Sound sandboxes that were given up: worn, too old, not needed, or left when the pool closed.
    pub retired: u64,
    /// Builds that failed.
    pub build_failures: u64,
    /// Checkouts that waited in vain.
    pub timed_out: u64,
    /// Checkouts turned away because the line was full.
    pub rejected: u64,
    /// Leases reported for being held and not used for longer than the leak threshold.
    pub leaked: u64,
    /// How long checkouts waited.
    pub wait_time: WaitTime,
}

/// How long those checkouts waited that had to wait and got a lease, in microseconds, exact to 1 %.
///
/// The others waited for nothing: they are `checkouts - waited`, and none of them touches a histogram on
/// its way. Those that waited in vain are in `timed_out`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WaitTime {
    /// How many had to wait.
    pub waited: u64,
    /// The mean.
    pub mean_us: f64,
    /// The median.
    pub p50_us: u64,
    /// The 90th percentile.
    pub p90_us: u64,
    /// The 99th percentile.
    pub p99_us: u64,
    /// The 99.9th percentile.
    pub p999_us: u64,
    /// The longest.
    pub max_us: u64,
}

/// What a pool counts beside its census.
pub(super) struct Statistics {
    pub(super) created: Counter,
    pub(super) discarded: Counter,
    pub(super) retired: Counter,
    pub(super) build_failures: Counter,
    pub(super) timed_out: Counter,
    pub(super) rejected: Counter,
    pub(super) leaked: Counter,
    waits_us: Mutex<Histogram<u64>>,
}

#[derive(Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Statistics {
    pub(super) fn new() -> Self {
        const AN_HOUR_US: u64 = 3_600_000_000;
        let waits_us = Histogram::new_with_bounds(1, AN_HOUR_US, 2).expect("these bounds are valid");
        Self {
            created: Counter::default(),
            discarded: Counter::default(),
            retired: Counter::default(),
            build_failures: Counter::default(),
            timed_out: Counter::default(),
            rejected: Counter::default(),
            leaked: Counter::default(),
            waits_us: Mutex::new(waits_us),
        }
    }

    pub(super) fn record_wait(&self, waited: Duration) {
        let micros = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        self.waits_us.lock().saturating_record(micros.max(1));
    }

    pub(super) fn wait_time(&self) -> WaitTime {
        let waits = self.waits_us.lock();
        if waits.is_empty() {
            return WaitTime::default();
        }
        WaitTime {
            waited: waits.len(),
            mean_us: waits.mean(),
            p50_us: waits.value_at_quantile(0.5),
            p90_us: waits.value_at_quantile(0.9),
            p99_us: waits.value_at_quantile(0.99),
            p999_us: waits.value_at_quantile(0.999),
            max_us: waits.max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_times_are_given_in_microseconds() {
        let statistics = Statistics::new();
        assert_eq!(statistics.wait_time(), WaitTime::default());
        for millis in 1..=100 {
            statistics.record_wait(Duration::from_millis(millis));
        }
        let waits = statistics.wait_time();
        assert_eq!(waits.waited, 100);
        for (got, truth) in [
            (waits.p50_us, 50_000.0),
            (waits.p90_us, 90_000.0),
            (waits.max_us, 100_000.0),
            (waits.mean_us as u64, 50_500.0),
        ] {
            assert!((got as f64 - truth).abs() <= truth * 0.01, "{got} for {truth}");
        }
    }

    #[test]
    fn a_wait_beyond_the_histogram_counts_as_its_longest() {
        let statistics = Statistics::new();
        statistics.record_wait(Duration::from_secs(1_000_000));
        assert_eq!(statistics.wait_time().waited, 1);
    }
}

//! Latencies of a whole run in one histogram.

use hdrhistogram::Histogram;

use crate::clock::Nanos;

/// Shorter ones are not told apart.
const SHORTEST: Nanos = 1_000;
/// Longer ones count as this long.
const LONGEST: Nanos = 3_600_000_000_000;

/// Latencies from a microsecond to an hour, to three digits.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        #[allow(clippy::expect_used, reason = "the bounds are constants that a test builds")]
        Self(Histogram::new_with_bounds(SHORTEST, LONGEST, 3).expect("the bounds make sense"))
    }
}

impl Latencies {
    /// Counts one of `nanos`.
    pub(crate) fn record(&mut self, nanos: Nanos) {
        self.0.saturating_record(nanos);
    }

    /// Adds what another one counted.
    pub(crate) fn add(&mut self, other: &Latencies) {
        // all have the same bounds, so it can't fail
        let _ = self.0.add(&other.0);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Nanoseconds below which the share `quantile` (0 to 1) lies; 0 when nothing was counted.
    pub fn at(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile).min(self.0.max())
    }

    /// The longest, in nanoseconds.
    pub fn max(&self) -> u64 {
        self.0.max()
    }

    /// Mean, in nanoseconds.
    pub fn mean(&self) -> f64 {
        self.0.mean()
    }

    /// Standard deviation, in nanoseconds.
    pub fn stdev(&self) -> f64 {
        self.0.stdev()
    }

    /// The share, in percent, that lies within one standard deviation of the mean.
    pub fn within_stdev(&self) -> f64 {
        if self.0.is_empty() {
            return 0.0;
        }
        let (mean, stdev) = (self.0.mean(), self.0.stdev());
        let low = (mean - stdev).max(0.0) as u64;
        100.0 * self.0.count_between(low, (mean + stdev) as u64) as f64 / self.0.len() as f64
    }

    /// The histogram itself, in nanoseconds.
    pub(crate) fn raw(&self) -> &Histogram<u64> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_three_digits() {
        let mut latencies = Latencies::default();
        (1..=1000).for_each(|at| latencies.record(at * 10_000));
        assert_eq!(latencies.count(), 1000);
        for (quantile, expected) in [(0.5, 5e6), (0.99, 9.9e6), (1.0, 1e7)] {
            let found = latencies.at(quantile) as f64;
            assert!((found / expected - 1.0).abs() < 0.002, "{quantile}: {found}");
        }
        // of an even spread, 1/sqrt(3) lies within a standard deviation
        assert!((latencies.within_stdev() - 57.7).abs() < 0.5, "{}", latencies.within_stdev());
    }

    #[test]
    fn none_at_all_are_no_reason_to_fail() {
        let latencies = Latencies::default();
        assert_eq!((latencies.at(0.99), latencies.max(), latencies.within_stdev()), (0, 0, 0.0));
    }

    #[test]
    fn longer_than_the_longest_is_counted_as_the_longest() {
        let mut latencies = Latencies::default();
        latencies.record(u64::MAX);
        assert_eq!(latencies.count(), 1);
        assert!(latencies.max() >= LONGEST);
    }
}

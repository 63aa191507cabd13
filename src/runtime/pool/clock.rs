//! The pool's clock: cheap enough for the hot path, and as coarse as the system's tick (1 to 10 ms).

use std::time::{Duration, Instant};

use rustix::time::{clock_gettime, ClockId};

/// A moment, in nanoseconds since the pool was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp(pub(super) u64);

impl Stamp {
    /// The time from `earlier` to this; zero when `earlier` is later.
    pub(super) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Stamps, and what they mean.
///
/// The kernel's coarse clock is a copy of the monotonic clock ([`Instant`]'s) from its last tick, so a stamp
/// lies at most one tick behind the true time, never ahead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
    coarse_start_nanos: u64,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { coarse_start_nanos: coarse_nanos(), start: Instant::now() }
    }

    pub(super) fn now(&self) -> Stamp {
        Stamp(coarse_nanos().saturating_sub(self.coarse_start_nanos))
    }

    pub(super) fn stamp(&self, moment: Instant) -> Stamp {
        Stamp(u64::try_from(moment.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX))
    }

    pub(super) fn instant(&self, stamp: Stamp) -> Instant {
        self.start + Duration::from_nanos(stamp.0)
    }
}

fn coarse_nanos() -> u64 {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    // Neither part of the monotonic clock is ever negative.
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_at_most_a_tick_from_the_true_time() {
        let clock = Clock::start();
        for _ in 0..1_000 {
            let before = clock.now();
            let truth = Instant::now();
            let off = truth.saturating_duration_since(clock.instant(before)).as_millis()
                + clock.instant(before).saturating_duration_since(truth).as_millis();
            assert!(off < 50, "{off} ms off");
            assert!(clock.now() >= before);
        }
    }

    #[test]
    fn moments_and_stamps_convert_both_ways() {
        let clock = Clock::start();
        let later = clock.start + Duration::from_secs(3_600);
        assert_eq!(clock.instant(clock.stamp(later)), later);
        assert_eq!(clock.stamp(clock.start - Duration::from_secs(1)), Stamp(0));
        assert_eq!(clock.stamp(later).since(Stamp(0)), Duration::from_secs(3_600));
        assert_eq!(Stamp(0).since(clock.stamp(later)), Duration::ZERO);
    }
}

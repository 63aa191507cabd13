//! The one clock of a run.

use std::time::{Duration, Instant};

/// Nanoseconds since the run began.
pub(crate) type Nanos = u64;

/// Where all times of a run are counted from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(&self) -> Nanos {
        nanos(self.0.elapsed())
    }
}

/// A duration in nanoseconds; five centuries at most.
pub(crate) fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

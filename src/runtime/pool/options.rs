//! What a pool is told when it is made.

use std::time::Duration;

use super::census::MAX_CAPACITY;
use super::error::OptionsError;

/// How a [`Pool`](super::Pool) behaves. [`Default`] gives a working pool; each setter says its default, its bounds
/// and the reason for both. [`Pool::new`](super::Pool::new) checks the whole.
///
/// ```
/// use std::time::Duration;
/// use sandpool::runtime::PoolOptions;
///
/// let options = PoolOptions::default().capacity(200).min_idle(8).acquire_timeout(Duration::from_secs(2));
/// ```
#[derive(Clone, Debug)]
pub struct PoolOptions {
    pub(super) name: String,
    pub(super) capacity: usize,
    pub(super) min_idle: usize,
    pub(super) shards: Option<usize>,
    pub(super) acquire_timeout: Duration,
    pub(super) max_waiters: usize,
    pub(super) max_uses: Option<u64>,
    pub(super) max_lifetime: Option<Duration>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) leak_threshold: Option<Duration>,
    pub(super) upkeep_interval: Option<Duration>,
}

/// The shortest time between two rounds of upkeep that is accepted.
const MIN_UPKEEP_INTERVAL: Duration = Duration::from_millis(1);
/// The most shards that are accepted: more than that only costs memory.
const MAX_SHARDS: usize = 1_024;

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            name: String::from("pool"),
            capacity: 64,
            min_idle: 1,
            shards: None,
            acquire_timeout: Duration::from_secs(5),
            max_waiters: 4_096,
            max_uses: None,
            max_lifetime: None,
            idle_timeout: Some(Duration::from_secs(300)),
            leak_threshold: Some(Duration::from_secs(600)),
            upkeep_interval: Some(Duration::from_millis(250)),
        }
    }
}

impl PoolOptions {
    /// The name in logs and errors. Default: "pool".
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The most sandboxes that exist at once, 1 to 32,767 (what the census can count). Default: 64. Nothing is built
    /// for it in advance; see [`min_idle`](Self::min_idle).
    #[must_use]
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// How many sandboxes lie ready whenever possible, 0 to the capacity. Default: 1. They are built when the pool is
    /// made, so that a factory that cannot work fails there, and kept up off the hot path.
    #[must_use]
    pub fn min_idle(mut self, min_idle: usize) -> Self {
        self.min_idle = min_idle;
        self
    }

    /// How many queues the idle sandboxes are spread over, 1 to 1,024. Default: one for each worker of the runtime, so
    /// that a sandbox stays with the worker that warmed its caches.
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// How long a checkout waits for a sandbox. Default: 5 s. Zero never waits.
    #[must_use]
    pub fn acquire_timeout(mut self, timeout: Duration) -> Self {
        self.acquire_timeout = timeout;
        self
    }

    /// How many may wait at once; one more is refused. Default: 4,096. A line that cannot be served in
    /// time is better cut at its end at once than served with answers nobody waits for any more.
    #[must_use]
    pub fn max_waiters(mut self, max_waiters: usize) -> Self {
        self.max_waiters = max_waiters;
        self
    }

    /// After how many leases a sandbox is retired and built anew, from 1. Default: `None`, never.
    /// For sandboxes that wear out (a script engine whose caches grow).
    #[must_use]
    pub fn max_uses(mut self, max_uses: impl Into<Option<u64>>) -> Self {
        self.max_uses = max_uses.into();
        self
    }

    /// At which age a sandbox is retired and built anew; it is looked at when it comes home and while it is idle,
    /// never in the middle of a lease. Default: `None`, never.
    #[must_use]
    pub fn max_lifetime(mut self, max_lifetime: impl Into<Option<Duration>>) -> Self {
        self.max_lifetime = max_lifetime.into();
        self
    }

    /// After which time unneeded sandboxes are given up: as many as were idle at every moment of it, beyond
    /// [`min_idle`](Self::min_idle). Default: 5 minutes. `None` keeps them all.
    #[must_use]
    pub fn idle_timeout(mut self, idle_timeout: impl Into<Option<Duration>>) -> Self {
        self.idle_timeout = idle_timeout.into();
        self
    }

    /// A lease in whose sandbox nothing was begun for longer than this is reported once, as a possible leak. Default:
    /// 10 minutes. `None` reports nothing. It is never taken away: somebody may be at work in it.
    #[must_use]
    pub fn leak_threshold(mut self, leak_threshold: impl Into<Option<Duration>>) -> Self {
        self.leak_threshold = leak_threshold.into();
        self
    }

    /// How often the pool's keeper thread looks after the pool, from 1 ms; it also comes when a sandbox is to be
    /// replaced. Default: 250 ms. `None` starts no thread: call [`Pool::maintain`](super::Pool::maintain)
    /// yourself.
    #[must_use]
    pub fn upkeep_interval(mut self, upkeep_interval: impl Into<Option<Duration>>) -> Self {
        self.upkeep_interval = upkeep_interval.into();
        self
    }

    pub(super) fn check(&self) -> Result<(), OptionsError> {
        let outside = |option, got: usize, least: usize, most: usize| {
            Err(OptionsError { option, got: got.to_string(), accepted: format!("{least} to {most}") })
        };
        if !(1..=MAX_CAPACITY).contains(&self.capacity) {
            return outside("capacity", self.capacity, 1, MAX_CAPACITY);
        }
        if self.min_idle > self.capacity {
            return outside("min_idle", self.min_idle, 0, self.capacity);
        }
        if let Some(shards) = self.shards {
            if !(1..=MAX_SHARDS).contains(&shards) {
                return outside("shards", shards, 1, MAX_SHARDS);
            }
        }
        if self.max_uses == Some(0) {
            return Err(OptionsError { option: "max_uses", got: "0".into(), accepted: "1 and up".into() });
        }
        let least = |option, got: Option<Duration>, least: Duration| match got {
            Some(got) if got < least => {
                Err(OptionsError { option, got: format!("{got:?}"), accepted: format!("{least:?} and up") })
            }
            _ => Ok(()),
        };
        least("max_lifetime", self.max_lifetime, MIN_UPKEEP_INTERVAL)?;
        least("idle_timeout", self.idle_timeout, MIN_UPKEEP_INTERVAL)?;
        least("leak_threshold", self.leak_threshold, MIN_UPKEEP_INTERVAL)?;
        least("upkeep_interval", self.upkeep_interval, MIN_UPKEEP_INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(options: PoolOptions) -> String {
        options.check().unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_are_accepted() {
        PoolOptions::default().check().unwrap();
    }

    #[test]
    fn a_bad_option_is_named_with_what_was_got_and_what_is_accepted() {
        let options = PoolOptions::default;
        assert_eq!(refused(options().capacity(0)), "capacity is 0: accepted is 1 to 32767");
        assert_eq!(refused(options().capacity(32_768)), "capacity is 32768: accepted is 1 to 32767");
        assert_eq!(refused(options().capacity(4).min_idle(5)), "min_idle is 5: accepted is 0 to 4");
        assert_eq!(refused(options().shards(0)), "shards is 0: accepted is 1 to 1024");
        assert_eq!(refused(options().max_uses(0)), "max_uses is 0: accepted is 1 and up");
        for (name, bad) in [
            ("max_lifetime", options().max_lifetime(Duration::ZERO)),
            ("idle_timeout", options().idle_timeout(Duration::ZERO)),
            ("leak_threshold", options().leak_threshold(Duration::ZERO)),
            ("upkeep_interval", options().upkeep_interval(Duration::ZERO)),
        ] {
            assert_eq!(refused(bad), format!("{name} is 0ns: accepted is 1ms and up"));
        }
    }
}

//! How fast a client takes what is written to it.

use super::link::NEVER;
use super::poller::millis;
use crate::net::options::NetOptions;

/// The time that a client is given, while more waits for it than the kernel takes.
///
/// What the kernel took before it was first full tells of its buffers, and only what it takes afterwards of the client.
#[derive(Debug, Default)]
pub(crate) struct WritePace {
    full: Option<Full>,
}

/// Times are in the poller's milliseconds.
#[derive(Debug)]
struct Full {
    since: u64,
    progressed: u64,
    taken: u64,
}

impl WritePace {
    /// `written` bytes have gone at `now`; `is_full`: the kernel takes no more just now.
    pub(crate) fn note(&mut self, written: usize, is_full: bool, now: u64) {
        match &mut self.full {
            Some(full) if written > 0 => {
                full.progressed = now;
                full.taken += written as u64;
            }
            None if is_full => self.full = Some(Full { since: now, progressed: now, taken: 0 }),
            _ => {}
        }
    }

    /// Nothing waits any more.
    pub(crate) fn reset(&mut self) {
        self.full = None;
    }

    /// When the client is too slow, if it takes nothing more until then; [`NEVER`] while the kernel was not full.
    pub(crate) fn due(&self, options: &NetOptions) -> u64 {
        let Some(full) = &self.full else { return NEVER };
        let stall = millis(options.write_stall);
        let earned = full.taken.saturating_mul(1_000) / u64::from(options.min_write_rate);
        (full.progressed + stall).min(full.since.saturating_add(stall).saturating_add(earned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn options() -> NetOptions {
        NetOptions::default().write_stall(Duration::from_secs(10)).min_write_rate(1_000)
    }

    #[test]
    fn a_client_has_the_stall_time_from_when_the_kernel_is_full_and_what_went_before_does_not_count() {
        let mut pace = WritePace::default();
        pace.note(1 << 20, false, 5);
        assert_eq!(pace.due(&options()), NEVER);
        pace.note(1 << 20, true, 100);
        assert_eq!(pace.due(&options()), 10_100);
        pace.note(0, true, 9_000);
        assert_eq!(pace.due(&options()), 10_100);
        pace.reset();
        assert_eq!(pace.due(&options()), NEVER);
    }

    #[test]
    fn a_steady_trickle_is_too_slow_after_the_first_allowance() {
        let mut pace = WritePace::default();
        pace.note(0, true, 0);
        // A byte every nine seconds is progress, but no rate.
        pace.note(1, true, 9_000);
        assert_eq!(pace.due(&options()), 10_001);
    }

    #[test]
    fn a_client_that_keeps_the_rate_has_the_stall_time_after_every_progress() {
        let mut pace = WritePace::default();
        pace.note(0, true, 0);
        for second in (9..900).step_by(9) {
            pace.note(9_000, true, second * 1_000);
            assert_eq!(pace.due(&options()), second * 1_000 + 10_000);
        }
    }
}

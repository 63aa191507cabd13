//! How fast a client has to be with what is under way: a request's body or a message that it sends, what it reads.
//!
//! ```text
//!   due ─┐          ┌─ never more than the allowance away
//!        ▼          ▼
//!   ─────┼──────────┤        every byte moves `due` on by what it may take at the least rate
//!   now ─┘
//! ```
//!
//! So bytes that came fast earn no more than the allowance, and silence later can't be longer than that. What is held
//! for a client counts as well: the least rate is such that all of it could go within
//! [`transfer_timeout`](NetOptions::transfer_timeout), so that a large holding is never held for long by a slow client.

use super::link::NEVER;
use super::poller::millis;
use crate::net::options::NetOptions;

/// What is demanded of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Bytes a second.
    rate: u64,
    /// Milliseconds.
    allowance: u64,
}

impl Demand {
    /// Of one that sends, while `held` bytes are held of what it has sent.
    pub(crate) fn to_send(options: &NetOptions, held: usize) -> Demand {
        Demand::new(options, options.min_body_rate, held, millis(options.head_timeout))
    }

    /// Of one that reads, while `held` bytes are held for it.
    pub(crate) fn to_read(options: &NetOptions, held: usize) -> Demand {
        Demand::new(options, options.min_write_rate, held, millis(options.write_stall))
    }

    fn new(options: &NetOptions, least: u32, held: usize, allowance: u64) -> Demand {
        let within = millis(options.transfer_timeout).max(1);
        let turnover = (held as u64).saturating_mul(1_000) / within;
        Demand { rate: turnover.max(u64::from(least)), allowance }
    }
}

/// The time that a client has for something that is under way. Times are in the poller's milliseconds.
#[derive(Debug)]
pub(crate) struct Pace {
    due: u64,
    /// What came and has not made up a whole millisecond: bytes times a thousand, less than the rate.
    carried: u64,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { due: NEVER, carried: 0 }
    }
}

impl Pace {
    /// Something is under way from `now` on, if it is not already.
    pub(crate) fn begin(&mut self, now: u64, demand: Demand) {
        if self.due == NEVER {
            *self = Pace { due: now.saturating_add(demand.allowance), carried: 0 };
        }
    }

    /// `bytes` of it have come, or gone.
    pub(crate) fn progress(&mut self, bytes: usize, now: u64, demand: Demand) {
        if self.due == NEVER {
            return;
        }
        let earned = (bytes as u64).saturating_mul(1_000).saturating_add(self.carried);
        let (due, most) =
            (self.due.saturating_add(earned / demand.rate), now.saturating_add(demand.allowance));
        *self = Pace { due: due.min(most), carried: if due < most { earned % demand.rate } else { 0 } };
    }

    /// Nothing is under way any more.
    pub(crate) fn end(&mut self) {
        *self = Pace::default();
    }

    /// When the client is too slow, if nothing more comes until then; [`NEVER`] while nothing is under way.
    pub(crate) fn due(&self) -> u64 {
        self.due
    }
}

/// The time that a client is given while more waits for it than the kernel takes.
///
/// What the kernel took before it was first full tells of its buffers, and only what it takes afterwards of the client.
#[derive(Debug, Default)]
pub(crate) struct WritePace(Pace);

impl WritePace {
    /// `written` bytes have gone at `now`; `is_full`: the kernel takes no more just now.
    pub(crate) fn note(&mut self, written: usize, is_full: bool, now: u64, demand: Demand) {
        self.0.progress(written, now, demand);
        if is_full {
            self.0.begin(now, demand);
        }
    }

    /// Nothing waits any more.
    pub(crate) fn end(&mut self) {
        self.0.end();
    }

    /// When the client is too slow, if it takes nothing more until then; [`NEVER`] while the kernel was not full.
    pub(crate) fn due(&self) -> u64 {
        self.0.due()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn options() -> NetOptions {
        NetOptions::default()
            .write_stall(Duration::from_secs(10))
            .min_write_rate(1_000)
            .transfer_timeout(Duration::from_secs(300))
    }

    fn demand() -> Demand {
        Demand::to_read(&options(), 0)
    }

    #[test]
    fn a_client_has_the_stall_time_from_when_the_kernel_is_full_and_what_went_before_does_not_count() {
        let mut pace = WritePace::default();
        pace.note(1 << 20, false, 5, demand());
        assert_eq!(pace.due(), NEVER);
        pace.note(1 << 20, true, 100, demand());
        assert_eq!(pace.due(), 10_100);
        pace.note(0, true, 9_000, demand());
        assert_eq!(pace.due(), 10_100);
        pace.end();
        assert_eq!(pace.due(), NEVER);
    }

    #[test]
    fn a_steady_trickle_is_too_slow_after_the_first_allowance() {
        let mut pace = WritePace::default();
        pace.note(0, true, 0, demand());
        // A byte every nine seconds is progress, but no rate.
        pace.note(1, true, 9_000, demand());
        assert_eq!(pace.due(), 10_001);
    }

    #[test]
    fn a_client_that_keeps_the_rate_has_the_stall_time_after_every_progress() {
        let mut pace = WritePace::default();
        pace.note(0, true, 0, demand());
        for second in (9..900).step_by(9) {
            pace.note(9_000, true, second * 1_000, demand());
            assert_eq!(pace.due(), second * 1_000 + 10_000);
        }
    }

    #[test]
    fn bytes_that_came_fast_earn_no_more_than_the_allowance() {
        let mut pace = Pace::default();
        pace.begin(0, demand());
        pace.progress(1 << 30, 50, demand());
        assert_eq!(pace.due(), 10_050);
        // One byte now and then is no rate, however much came at first.
        for at in (9_000..90_000).step_by(9_000) {
            pace.progress(1, at, demand());
        }
        assert_eq!(pace.due(), 10_059);
    }

    #[test]
    fn the_more_is_held_the_faster_the_client_must_be() {
        let rates = [0, 300_000, 3_000_000, 300_000_000].map(|held| Demand::to_read(&options(), held).rate);
        assert_eq!(rates, [1_000, 1_000, 10_000, 1_000_000]);
        let mut pace = Pace::default();
        let large = Demand::to_read(&options(), 300_000_000);
        pace.begin(0, large);
        pace.progress(20_000, 5_000, large);
        assert_eq!(pace.due(), 10_020);
    }

    #[test]
    fn bytes_that_come_one_by_one_earn_what_they_earn_together() {
        let demand = Demand { rate: 3_000, allowance: 10_000 };
        let mut pace = Pace::default();
        pace.begin(0, demand);
        for _ in 0..3_000 {
            pace.progress(1, 9_000, demand);
        }
        assert_eq!(pace.due(), 11_000);
    }
}

//! Which workers make progress: pure, and without a clock of its own.
//!
//! Each worker is sent a *beat*, a coroutine that does nothing but say that it ran. At most one is
//! under way at a time, so a stuck worker does not pile them up. A beat that has not run within
//! the limit means that the worker is stalled: some coroutine does not yield.
//!
//! ```text
//!   Resting ──(period is over: Send)──► Sent ──(it ran)──► Resting
//!                                        │
//!                     (limit is over: Stalled)──► Late ──(it ran: Recovered)──► Resting
//! ```

use std::time::{Duration, Instant};

use crate::runtime::WorkerId;

/// What is to be done, or to be told, after a look at the beats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeatEvent {
    /// Send this worker a beat.
    Send(WorkerId),
    /// This worker has made no progress for `silent_for`. Told once a stall.
    Stalled {
        /// The worker.
        worker: WorkerId,
        /// For how long.
        silent_for: Duration,
    },
    /// This worker is back, after a stall of about `silent_for`.
    Recovered {
        /// The worker.
        worker: WorkerId,
        /// For how long it was stalled.
        silent_for: Duration,
    },
}

/// The beats of all workers.
#[derive(Debug)]
pub struct Beats {
    period: Duration,
    stall_limit: Duration,
    workers: Vec<(WorkerId, Beat)>,
}

#[derive(Clone, Copy, Debug)]
enum Beat {
    /// None is under way; the next one is due then.
    Resting {
        next: Instant,
    },
    Sent {
        since: Instant,
    },
    Late {
        since: Instant,
    },
}

impl Beats {
    /// Beats for `workers`, the first ones due at once: one every `period`, and a worker is
    /// stalled when one has not run within `stall_limit`.
    pub fn new(
        workers: impl IntoIterator<Item = WorkerId>,
        period: Duration,
        stall_limit: Duration,
        now: Instant,
    ) -> Beats {
        let workers = workers.into_iter().map(|worker| (worker, Beat::Resting { next: now })).collect();
        Beats { period, stall_limit, workers }
    }

    /// What has come of it by `now`. `ran` says of a worker whose beat is under way whether that
    /// beat has run.
    pub fn tick(&mut self, now: Instant, ran: impl Fn(WorkerId) -> bool) -> Vec<BeatEvent> {
        let mut events = Vec::new();
        let rest = Beat::Resting { next: now + self.period };
        for (worker, beat) in &mut self.workers {
            let worker = *worker;
            match *beat {
                Beat::Resting { next } if next <= now => {
                    *beat = Beat::Sent { since: now };
                    events.push(BeatEvent::Send(worker));
                }
                Beat::Resting { .. } => {}
                Beat::Sent { .. } if ran(worker) => *beat = rest,
                Beat::Sent { since } => {
                    let silent_for = now.saturating_duration_since(since);
                    if silent_for >= self.stall_limit {
                        *beat = Beat::Late { since };
                        events.push(BeatEvent::Stalled { worker, silent_for });
                    }
                }
                Beat::Late { since } if ran(worker) => {
                    *beat = rest;
                    let silent_for = now.saturating_duration_since(since);
                    events.push(BeatEvent::Recovered { worker, silent_for });
                }
                Beat::Late { .. } => {}
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(500);
    const LIMIT: Duration = Duration::from_secs(2);

    fn two_workers(now: Instant) -> (Beats, WorkerId, WorkerId) {
        let (first, second) = (WorkerId::new(0), WorkerId::new(1));
        (Beats::new([first, second], PERIOD, LIMIT, now), first, second)
    }

    #[test]
    fn one_beat_at_most_is_under_way() {
        let start = Instant::now();
        let (mut beats, first, second) = two_workers(start);
        assert_eq!(beats.tick(start, |_| false), [BeatEvent::Send(first), BeatEvent::Send(second)]);
        for step in 1..100 {
            let events = beats.tick(start + PERIOD * step, |_| false);
            assert!(!events.iter().any(|event| matches!(event, BeatEvent::Send(_))), "{events:?}");
        }
    }

    #[test]
    fn a_beat_that_ran_is_followed_by_the_next_one_after_the_period() {
        let start = Instant::now();
        let (mut beats, first, second) = two_workers(start);
        beats.tick(start, |_| false);
        assert_eq!(beats.tick(start + PERIOD / 10, |_| true), []);
        assert_eq!(beats.tick(start + PERIOD, |_| true), []);
        assert_eq!(
            beats.tick(start + PERIOD / 10 + PERIOD, |_| true),
            [BeatEvent::Send(first), BeatEvent::Send(second)]
        );
    }

    #[test]
    fn a_stall_and_its_end_are_each_told_once_and_only_of_that_worker() {
        let start = Instant::now();
        let (mut beats, first, second) = two_workers(start);
        beats.tick(start, |_| false);
        beats.tick(start + PERIOD, |worker| worker == second);
        assert_eq!(
            beats.tick(start + LIMIT - Duration::from_millis(1), |worker| worker == second),
            [BeatEvent::Send(second)]
        );
        assert_eq!(
            beats.tick(start + LIMIT, |worker| worker == second),
            [BeatEvent::Stalled { worker: first, silent_for: LIMIT }]
        );
        let later = start + LIMIT * 3;
        let told: Vec<_> = beats.tick(later, |worker| worker == second);
        assert!(!told.iter().any(|event| matches!(event, BeatEvent::Stalled { .. })), "{told:?}");
        let told = beats.tick(later + PERIOD / 2, |_| true);
        assert!(told.contains(&BeatEvent::Recovered { worker: first, silent_for: LIMIT * 3 + PERIOD / 2 }));
        let again = beats.tick(later + PERIOD * 2, |_| true);
        assert!(again.contains(&BeatEvent::Send(first)), "{again:?}");
    }
}

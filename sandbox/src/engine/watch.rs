//! The time that each stage takes, for those who want to know.

use std::time::Duration;

/// What the engine tells as it goes from stage to stage.
pub(super) trait Watch {
    /// The work begins.
    fn begin(&mut self);
    /// What came since the last word was the work of this stage, if it `ran`.
    fn lap(&mut self, stage: &'static str, ran: bool);
}

/// Nobody wants to know; costs nothing.
pub(super) struct Unwatched;

impl Watch for Unwatched {
    #[inline]
    fn begin(&mut self) {}

    #[inline]
    fn lap(&mut self, _stage: &'static str, _ran: bool) {}
}

/// The time that was spent in each stage that ran, added up over any number of calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// In the order in which the stages first ran.
    spent: Vec<(&'static str, Duration)>,
}

impl StageTimes {
    /// Name and time of each stage that ran, in their order. Names are those of the settings; beside them there are
    /// `sanitise`, `voice_clarity` and `metering`.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Duration)> + '_ {
        self.spent.iter().copied()
    }

    fn add(&mut self, stage: &'static str, time: Duration) {
        match self.spent.iter_mut().find(|(known, _)| *known == stage) {
            Some((_, spent)) => *spent += time,
            None => self.spent.push((stage, time)),
        }
    }
}

/// Adds to [`StageTimes`] by a clock.
pub(crate) struct Timed<'a> {
    now: &'a dyn Fn() -> Duration,
    since: Duration,
    times: &'a mut StageTimes,
}

impl<'a> Timed<'a> {
    /// By a clock that tells the time since any moment.
    pub(crate) fn new(now: &'a dyn Fn() -> Duration, times: &'a mut StageTimes) -> Timed<'a> {
        Timed { now, since: Duration::ZERO, times }
    }
}

impl Watch for Timed<'_> {
    fn begin(&mut self) {
        self.since = (self.now)();
    }

    fn lap(&mut self, stage: &'static str, ran: bool) {
        if ran {
            let now = (self.now)();
            self.times.add(stage, now.saturating_sub(self.since));
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use crate::engine::{Budget, Engine};
    use crate::{Settings, SettingsUpdate};

    use super::*;

    #[test]
    fn every_stage_that_runs_is_timed_and_no_other_and_the_sound_is_the_same() {
        let wishes = SettingsUpdate::default()
            .with("noise_gate", true)
            .with("equaliser.band_1_gain_db", 3.0)
            .with("limiter", true)
            .with("metering", true);
        let settings = Settings::default().with(&wishes).unwrap();
        let (mut plain, mut timed) = (Engine::new(&settings), Engine::new(&settings));
        let mut one: Vec<f32> = (0..960).map(|n| (n as f32 * 0.05).sin()).collect();
        let mut other = one.clone();
        let no_time = || Duration::ZERO;
        plain.process(&mut one, &mut Budget::new(None, &no_time));

        let ticks = Cell::new(0);
        let clock = || {
            ticks.set(ticks.get() + 1);
            Duration::from_micros(ticks.get())
        };
        let mut times = StageTimes::default();
        timed.process_timed(
            &mut other,
            &mut Budget::new(None, &no_time),
            &mut Timed::new(&clock, &mut times),
        );
        assert_eq!(one, other);
        // Each look at the clock is 1 us later than the one before, and there are two slices of 10 ms.
        let spent: Vec<(&str, u128)> = times.iter().map(|(name, time)| (name, time.as_micros())).collect();
        let stages = ["voice_clarity", "noise_gate", "equaliser", "limiter", "metering"];
        let expected = stages.map(|stage| (stage, 2));
        assert_eq!(spent, [&[("sanitise", 1)][..], &expected].concat());
    }
}

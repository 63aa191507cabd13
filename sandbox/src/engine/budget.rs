//! The time that one packet may take.

use std::time::Duration;

/// Tells whether there is time left for what a packet can do without. Once spent it stays spent.
pub(crate) struct Budget<'a> {
    limit: Option<Duration>,
    elapsed: &'a dyn Fn() -> Duration,
    spent: bool,
}

impl<'a> Budget<'a> {
    /// A budget of `limit`, by a clock that tells the time since the packet came. No limit is never spent.
    pub(crate) fn new(limit: Option<Duration>, elapsed: &'a dyn Fn() -> Duration) -> Budget<'a> {
        Budget { limit, elapsed, spent: false }
    }

    /// Whether there is time left.
    pub(crate) fn has_time(&mut self) -> bool {
        self.spent = self.spent || self.limit.is_some_and(|limit| (self.elapsed)() >= limit);
        !self.spent
    }

    /// Whether it was spent at some time.
    pub(crate) fn is_spent(&self) -> bool {
        self.spent
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn it_is_spent_when_the_clock_reaches_the_limit_and_stays_so() {
        let time = Cell::new(Duration::ZERO);
        let clock = || time.get();
        let mut budget = Budget::new(Some(Duration::from_millis(5)), &clock);
        assert!(budget.has_time());
        time.set(Duration::from_millis(5));
        assert!(!budget.is_spent());
        assert!(!budget.has_time());
        time.set(Duration::ZERO);
        assert!(!budget.has_time() && budget.is_spent());
        let mut endless = Budget::new(None, &clock);
        time.set(Duration::MAX);
        assert!(endless.has_time() && !endless.is_spent());
    }
}

//! A stage that may not be there.

use crate::{Stage, Stream};

/// A stage that is built when it is first switched on, and kept.
pub(super) struct Slot<S> {
    stage: Option<Box<S>>,
    on: bool,
}

impl<S> Default for Slot<S> {
    fn default() -> Self {
        Slot { stage: None, on: false }
    }
}

impl<S> std::fmt::Debug for Slot<S> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Slot").field("on", &self.on).field("built", &self.stage.is_some()).finish()
    }
}

impl<S: Stage> Slot<S> {
    /// Switches the stage on or off. One that was on goes on with other parameters, unless all is to begin `anew`.
    pub(super) fn configure(&mut self, anew: bool, on: bool, stream: Stream, parameters: &S::Parameters) {
        let goes_on = self.on && !anew;
        self.on = on;
        match &mut self.stage {
            _ if !on => {}
            // A stage can't change its delay in mid-stream.
            Some(built) if goes_on && built.delay_samples() == S::delay_at(stream, parameters) => {
                built.set(parameters);
            }
            Some(built) => built.start(stream, parameters),
            None => self.stage = Some(Box::new(S::new(stream, parameters))),
        }
    }

    /// Runs `work` with the stage if it is on, and says whether it is.
    pub(super) fn with(&mut self, work: impl FnOnce(&mut S)) -> bool {
        self.stage.as_deref_mut().filter(|_| self.on).map(work).is_some()
    }

    /// What `read` finds in the stage if it is on.
    pub(super) fn get<R>(&self, read: impl FnOnce(&S) -> R) -> Option<R> {
        self.stage.as_deref().filter(|_| self.on).map(read)
    }
}

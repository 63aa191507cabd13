//! A stage that may not be there.

use crate::filter::CrossFade;
use crate::{Stage, Stream};

/// A stage that is built when it is first switched on, and kept. A switch in mid-stream is a cross-fade: off, the stage
/// is heard until it has faded out; on, it begins anew and is faded in once it is filled with sound.
pub(super) struct Slot<S: Stage> {
    stage: Option<Box<S>>,
    on: bool,
    stream: Stream,
    fade: CrossFade,
    /// What the stage begins anew with when it has faded out.
    next: Option<S::Parameters>,
}

impl<S: Stage> std::fmt::Debug for Slot<S> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Slot")
            .field("on", &self.on)
            .field("built", &self.stage.is_some())
            .field("fade", &self.fade)
            .finish_non_exhaustive()
    }
}

impl<S: Stage> Slot<S> {
    /// One that is off.
    pub(super) fn new(stream: Stream) -> Slot<S> {
        let fade = CrossFade::at_rest(stream.sample_rate_hz, false);
        Slot { stage: None, on: false, stream, fade, next: None }
    }

    /// Begins `stream`, with or without the stage from its first sample on.
    pub(super) fn start(&mut self, on: bool, stream: Stream, parameters: &S::Parameters) {
        *self = Slot { stage: self.stage.take(), on, ..Slot::new(stream) };
        if on {
            self.begin(parameters);
            self.fade = CrossFade::at_rest(stream.sample_rate_hz, true);
        }
    }

    /// Switches the stage on or off in mid-stream, or goes on with other parameters.
    pub(super) fn set(&mut self, on: bool, parameters: &S::Parameters) {
        self.on = on;
        self.next = None;
        match &mut self.stage {
            _ if !on => self.fade.fall(),
            // A stage can't change its delay in mid-stream.
            Some(built)
                if !self.fade.is_dry() && built.delay_samples() == S::delay_at(self.stream, parameters) =>
            {
                built.set(parameters);
                self.fade.rise(0);
            }
            _ => {
                self.fade.fall();
                self.next = Some(*parameters);
                self.begin_next();
            }
        }
    }

    /// Begins anew with what is to come next, if the stage is not heard any more.
    fn begin_next(&mut self) {
        if !self.fade.is_dry() {
            return;
        }
        if let Some(parameters) = self.next.take() {
            let fill = self.begin(&parameters);
            self.fade.rise(fill);
        }
    }

    /// Gives the sample frames after which the stage is filled.
    fn begin(&mut self, parameters: &S::Parameters) -> usize {
        match &mut self.stage {
            Some(built) => {
                built.start(self.stream, parameters);
                built.fill_samples()
            }
            None => self.stage.insert(Box::new(S::new(self.stream, parameters))).fill_samples(),
        }
    }

    /// Lets the stage do its `work` on whole sample frames if it is on or fades out, and says whether it is.
    pub(super) fn run(&mut self, block: &mut [f32], mut work: impl FnMut(&mut S, &mut [f32])) -> bool {
        if self.fade.is_dry() {
            return false;
        }
        let mut rest = block;
        while !self.fade.is_wet() && !rest.is_empty() {
            let Some(stage) = self.stage.as_deref_mut() else { return false };
            rest = self.fade.run(rest, self.stream.channels, |piece| work(stage, piece));
            self.begin_next();
            if self.fade.is_dry() {
                return true;
            }
        }
        if let Some(stage) = self.stage.as_deref_mut() {
            work(stage, rest);
        }
        true
    }

    /// What `read` finds in the stage if it is on.
    pub(super) fn get<R>(&self, read: impl FnOnce(&S) -> R) -> Option<R> {
        self.stage.as_deref().filter(|_| self.on).map(read)
    }
}

//! The WebSocket at `/echo`: every message comes back as it is.

use std::time::Instant;

use crate::net::{Closed, Endpoint, Flow, Message, Outbox};

/// The largest message that is echoed, in bytes.
const MAX_MESSAGE: usize = 16 << 20;

pub(super) struct Echo;

impl Endpoint for Echo {
    type Held = ();

    fn max_message(&self) -> usize {
        MAX_MESSAGE
    }

    fn open(&mut self, _: &mut Outbox) {}

    fn message(&mut self, message: Message, (): &mut (), out: &mut Outbox) -> Flow {
        out.send(message);
        Flow::Continue
    }

    fn must_stay(&self, (): &()) -> bool {
        false
    }

    fn next_deadline(&self, (): &()) -> Option<Instant> {
        None
    }

    fn on_deadline(&mut self, _: Instant, (): &mut (), _: &mut Outbox) -> Flow {
        Flow::Continue
    }

    fn closed(&mut self, _: Closed) {}
}

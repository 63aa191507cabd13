//! The WebSocket at `/echo`: every message comes back as it is.

use crate::net::{Endpoint, Flow, Message, Outbox};

/// The largest message that is echoed, in bytes.
const MAX_MESSAGE: usize = 16 << 20;

pub(super) struct Echo;

impl Endpoint for Echo {
    type Held = ();

    fn max_message(&self) -> usize {
        MAX_MESSAGE
    }

    fn message(&mut self, message: Message, (): &mut (), out: &mut Outbox) -> Flow {
        out.send(message);
        Flow::Continue
    }
}

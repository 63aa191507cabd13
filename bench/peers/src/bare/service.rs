//! What messages are answered with, and where the thread works on them.

use crate::transcoder::{Buffers, Chain};

/// What a message is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Itself.
    Echo,
    /// A binary one, which is an Opus packet, with its sound encoded anew. Text has no answer, for it is a command.
    Transcode(Chain),
}

/// What a thread needs while it answers; connections share it.
pub(super) struct Workspace {
    pub(super) service: Service,
    /// The answers that go out next.
    pub(super) out: Vec<u8>,
    /// A packet as it was before its client masked it.
    pub(super) packet: Vec<u8>,
    pub(super) buffers: Buffers,
}

impl Workspace {
    pub(super) fn new(service: Service) -> Self {
        Self { service, out: Vec::new(), packet: Vec::new(), buffers: Buffers::default() }
    }
}

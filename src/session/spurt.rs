//! A talk spurt: the lease that a session holds while its client speaks.

use sandbox::{AudioSandbox, SandboxError};

use crate::runtime::{AnyError, Lease, Sandbox};

impl Sandbox for AudioSandbox {
    fn reset(&mut self) -> Result<(), AnyError> {
        AudioSandbox::reset(self).map_err(|error: SandboxError| error.into())
    }
}

/// The lease of the current talk spurt, if there is one. It stays on the stack of the coroutine that drives
/// the connection, and the coroutine stays as long as it is there.
#[derive(Default)]
pub struct Spurt {
    pub(super) lease: Option<Lease<AudioSandbox>>,
}

impl Spurt {
    /// Whether a sandbox is held.
    pub fn is_active(&self) -> bool {
        self.lease.is_some()
    }
}

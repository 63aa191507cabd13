//! Sending to a connection from anywhere.

use std::fmt;
use std::sync::{Arc, Weak};

use super::endpoint::Message;
use crate::runtime::Interrupt;

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The client reads too slowly: its bounded outbound queue is full.
    #[error("the connection's outbound queue is full: {queued} messages wait, {limit} may")]
    QueueFull {
        /// Messages that wait.
        queued: usize,
        /// Messages that may wait.
        limit: usize,
    },
    /// The connection has ended.
    #[error("the connection has ended")]
    Gone,
}

/// What a connection offers to those that send to it.
pub(crate) trait Recipient: Interrupt + Send + Sync {
    /// Queues `message` and wakes the connection.
    fn enqueue(self: Arc<Self>, message: Message) -> Result<(), SendError>;
}

/// Sends messages to one connection from any coroutine or thread, whether it is parked or not.
///
/// Holding one doesn't keep the connection open.
#[derive(Clone)]
pub struct ConnectionHandle {
    recipient: Weak<dyn Recipient>,
}

impl ConnectionHandle {
    pub(crate) fn new(recipient: Weak<dyn Recipient>) -> ConnectionHandle {
        ConnectionHandle { recipient }
    }

    /// Queues `message` for the client. Never blocks. The order among senders is the order of the calls.
    ///
    /// # Errors
    /// [`SendError::QueueFull`] when the client does not read fast enough, [`SendError::Gone`] when it has left.
    pub fn send(&self, message: Message) -> Result<(), SendError> {
        self.recipient.upgrade().ok_or(SendError::Gone)?.enqueue(message)
    }

    /// The connection, unless it is gone.
    pub(super) fn recipient(&self) -> Option<Arc<dyn Recipient>> {
        self.recipient.upgrade()
    }
}

impl fmt::Debug for ConnectionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionHandle")
    }
}

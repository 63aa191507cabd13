//! Read buffers, held only while there is something in them.

use object_pool::{Pool, Reusable};

/// The size of a read buffer: many small messages, or a good piece of a large one, with one system call.
pub(crate) const BUFFER_BYTES: usize = 16 * 1024;
/// Buffers beyond this number do not stay: a burst does not hold its memory for ever.
const MAX_IDLE: usize = 128;

/// A worker's read buffers.
pub(crate) struct Buffers {
    pool: Pool<Vec<u8>>,
}

impl Buffers {
    pub(crate) fn new() -> Buffers {
        Buffers { pool: Pool::from_vec(Vec::new()) }
    }

    /// An empty buffer with room for [`BUFFER_BYTES`].
    pub(crate) fn take(&self) -> Vec<u8> {
        let (_, mut buffer) = self.pool.pull(|| Vec::with_capacity(BUFFER_BYTES)).detach();
        buffer.clear();
        buffer
    }

    /// Gives a buffer back. One that is not of the usual size is freed.
    pub(crate) fn give(&self, buffer: Vec<u8>) {
        if buffer.capacity() == BUFFER_BYTES {
            self.pool.attach(buffer);
        }
    }

    /// Frees those that a burst has left. To be called now and then: to ask each time one is given would take as long as the
    /// giving.
    pub(crate) fn trim(&self) {
        while self.pool.len() > MAX_IDLE {
            drop(self.pool.try_pull().map(Reusable::detach));
        }
    }
}

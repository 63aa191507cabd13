//! Buffers for packets on their way out, used again and again.

use std::sync::Arc;

use bytes::Bytes;
use object_pool::{Pool, ReusableOwned};

/// A pool of packet buffers.
///
/// A packet lives from its encoding until the socket has taken it, which for a slow client is long after
/// its sandbox has gone on; so it can lie neither in the sandbox nor in the worker's scratch.
#[derive(Clone)]
pub struct PacketPool {
    buffers: Arc<Pool<Vec<u8>>>,
}

/// As many buffers are kept while nobody needs them; more are freed. A talking client uses one for a moment.
const KEPT: usize = 1024;

/// What a buffer holds from the start: a packet of 20 ms at 100 kbit/s. Buffers that had to grow are not kept.
const BYTES: usize = 256;

impl Default for PacketPool {
    fn default() -> Self {
        Self { buffers: Arc::new(Pool::from_vec(Vec::new())) }
    }
}

impl PacketPool {
    /// A copy of `packet` in a buffer that comes back to the pool when the last clone of it is gone.
    pub fn copy(&self, packet: &[u8]) -> Bytes {
        let mut buffer = self.buffers.pull_owned(|| Vec::with_capacity(BYTES));
        buffer.clear();
        buffer.extend_from_slice(packet);
        Bytes::from_owner(Packet { buffer: Some(buffer), home: Arc::clone(&self.buffers) })
    }

    /// How many buffers lie ready.
    pub fn idle(&self) -> usize {
        self.buffers.len()
    }
}

struct Packet {
    /// Taken in `drop` only.
    buffer: Option<ReusableOwned<Vec<u8>>>,
    home: Arc<Pool<Vec<u8>>>,
}

impl AsRef<[u8]> for Packet {
    fn as_ref(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], |buffer| buffer.as_slice())
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        // After a burst, or a very large packet, the memory goes back to the system.
        if let Some(buffer) = self.buffer.take() {
            if self.home.len() >= KEPT || buffer.capacity() > 4 * BYTES {
                drop(buffer.detach());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_the_last_clone_is_gone() {
        let pool = PacketPool::default();
        let first = pool.copy(b"one");
        let clone = first.clone();
        drop(first);
        assert_eq!((pool.idle(), &clone[..]), (0, &b"one"[..]));
        drop(clone);
        assert_eq!(pool.idle(), 1);
        assert_eq!(&pool.copy(b"2")[..], b"2");
        assert_eq!(pool.idle(), 1);
    }

    #[test]
    fn after_a_burst_only_some_are_kept_and_no_large_ones() {
        let pool = PacketPool::default();
        drop((0..KEPT + 100).map(|_| pool.copy(b"x")).collect::<Vec<_>>());
        assert_eq!(pool.idle(), KEPT);
        let pool = PacketPool::default();
        drop(pool.copy(&[0; 10_000]));
        assert_eq!(pool.idle(), 0);
    }
}

//! A large answer while it is built: its memory is reserved of what all connections share before it is taken.

use std::io::{Cursor, Error, Result, Seek, SeekFrom, Write};

use crate::net::{AnswerRoom, NoRoom};

/// One that turned out larger than was thought grows by so many bytes at least, and by an eighth: reserving is cheap,
/// but copying it is not.
const LEAST_STEP: usize = 64 << 10;

/// The bytes of an answer, to be written like a file. They never take more than is reserved for them.
pub(super) struct AnswerBytes {
    room: AnswerRoom,
    bytes: Cursor<Vec<u8>>,
    refused: Option<NoRoom>,
}

impl AnswerBytes {
    /// For an answer of probably `bytes` bytes, which are reserved and taken at once.
    pub(super) fn reserve(room: AnswerRoom, bytes: u64) -> std::result::Result<AnswerBytes, NoRoom> {
        let mut answer = AnswerBytes { room, bytes: Cursor::default(), refused: None };
        answer.grow_to(usize::try_from(bytes).unwrap_or(usize::MAX))?;
        Ok(answer)
    }

    /// Whether there was no room for what was to be written, and how much that was.
    pub(super) fn refused(&self) -> Option<NoRoom> {
        self.refused
    }

    /// All that was written, without the memory that it did not need.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        let mut bytes = self.bytes.into_inner();
        bytes.shrink_to_fit();
        bytes
    }

    fn grow_to(&mut self, capacity: usize) -> std::result::Result<(), NoRoom> {
        self.room.reserve(capacity)?;
        let bytes = self.bytes.get_mut();
        bytes.try_reserve_exact(capacity.saturating_sub(bytes.len())).map_err(|_| NoRoom { bytes: capacity })
    }
}

impl Write for AnswerBytes {
    fn write(&mut self, piece: &[u8]) -> Result<usize> {
        let capacity = self.bytes.get_ref().capacity();
        let needed = usize::try_from(self.bytes.position()).unwrap_or(usize::MAX).saturating_add(piece.len());
        if needed > capacity {
            let step = LEAST_STEP.max(capacity / 8);
            self.grow_to(needed.max(capacity.saturating_add(step))).map_err(|refused| {
                self.refused = Some(refused);
                Error::other(refused)
            })?;
        }
        self.bytes.write(piece)
    }

    fn flush(&mut self) -> Result<()> {
        self.bytes.flush()
    }
}

impl Seek for AnswerBytes {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.bytes.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::Arc;

    use super::*;
    use crate::net::http::Account;

    /// Grants up to a limit.
    struct Limited {
        limit: usize,
        granted: AtomicUsize,
    }

    impl Account for Limited {
        fn reserve(&self, bytes: usize) -> bool {
            self.granted.fetch_max(bytes.min(self.limit), Ordering::Relaxed);
            bytes <= self.limit
        }
    }

    fn limited(limit: usize) -> (Arc<Limited>, AnswerRoom) {
        let account = Arc::new(Limited { limit, granted: AtomicUsize::new(0) });
        let weak = Arc::downgrade(&account);
        (account, AnswerRoom::of(weak))
    }

    #[test]
    fn the_bytes_take_no_more_than_is_reserved_however_they_grow() {
        let (account, room) = limited(1 << 20);
        let mut answer = AnswerBytes::reserve(room, 1_000).unwrap();
        let written = loop {
            let written = answer.bytes.position();
            if answer.write_all(&[7; 999]).is_err() {
                break written;
            }
            assert!(answer.bytes.get_ref().capacity() <= account.granted.load(Ordering::Relaxed));
        };
        assert!(answer.refused().is_some_and(|refused| refused.bytes > 1 << 20));
        assert!(written > (1 << 20) - (200 << 10), "{written} bytes fit");
        let bytes = answer.into_bytes();
        assert_eq!(bytes.capacity(), bytes.len());
        assert!(bytes.len() >= written as usize && bytes.iter().all(|&byte| byte == 7));
    }

    #[test]
    fn what_is_known_not_to_fit_is_refused_before_anything_is_taken() {
        let (account, room) = limited(1_000);
        assert_eq!(AnswerBytes::reserve(room.clone(), 1_001).err(), Some(NoRoom { bytes: 1_001 }));
        assert!(AnswerBytes::reserve(room.clone(), u64::MAX).is_err());
        drop(account);
        assert!(AnswerBytes::reserve(room, 1).is_err(), "its request has ended");
    }

    #[test]
    fn a_header_can_be_written_again_without_more_room() {
        let (account, room) = limited(8);
        let mut answer = AnswerBytes::reserve(room, 8).unwrap();
        answer.write_all(b"abcdefgh").unwrap();
        answer.seek(SeekFrom::Start(2)).unwrap();
        answer.write_all(b"CD").unwrap();
        assert_eq!(answer.into_bytes(), b"abCDefgh");
        assert_eq!(account.granted.load(Ordering::Relaxed), 8);
    }
}

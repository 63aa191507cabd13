//! A list of packets in one buffer.

use std::ops::{Index, Range};

/// Any number of packets, one behind the other in one buffer, which is kept when the list is cleared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packets {
    bytes: Vec<u8>,
    /// Where each packet ends in `bytes`; the first begins at 0.
    ends: Vec<usize>,
}

impl Packets {
    /// Forgets all packets.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all packets together.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The packets, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> + '_ {
        self.ranges().map(|range| &self.bytes[range])
    }

    /// Adds the packet that `write` appends to the buffer; none if it fails.
    pub(crate) fn push_with<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.bytes.len();
        let written = write(&mut self.bytes);
        match written {
            Ok(()) => self.ends.push(self.bytes.len()),
            Err(_) => self.bytes.truncate(start),
        }
        written
    }

    fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(self.ends.iter().copied()).map(|(start, end)| start..end)
    }
}

/// One packet, counted from 0. Panics if there are not that many.
impl Index<usize> for Packets {
    type Output = [u8];

    fn index(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[index]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_stay_apart_and_one_that_could_not_be_written_leaves_nothing() {
        let mut packets = Packets::default();
        let mut push = |bytes: &[u8], outcome: Result<(), ()>| {
            packets.push_with(|out| {
                out.extend_from_slice(bytes);
                outcome
            })
        };
        assert_eq!(push(b"one", Ok(())), Ok(()));
        assert_eq!(push(b"half", Err(())), Err(()));
        assert_eq!(push(b"", Ok(())), Ok(()));
        assert_eq!(push(b"three", Ok(())), Ok(()));
        assert_eq!(packets.iter().collect::<Vec<_>>(), [&b"one"[..], b"", b"three"]);
        assert_eq!((&packets[0], &packets[1], &packets[2]), (&b"one"[..], &b""[..], &b"three"[..]));
        assert_eq!((packets.len(), packets.bytes()), (3, 8));
        packets.clear();
        assert!(packets.is_empty() && packets.bytes() == 0);
    }
}

//! Many packets in one message, and packets that are known to be lost.
//!
//! ```text
//!  message   := entry entry ... entry              0 to 50 entries, nothing before, between or after them
//!  entry     := length packet
//!  length    := 2 bytes, unsigned, big-endian      how many bytes of packet follow, 1 to 65,535;
//!                                                  0: this packet is missing, and no bytes follow
//!
//!  00 03 | F8 FF FE | 00 00 | 00 05 | 78 01 02 03 04
//!  `---- packet ---'  lost   `------- packet ------'
//! ```
//!
//! * Packets are in the order of the sound. Each is what a message without framing would hold: one Opus packet, or whole
//!   sample frames of PCM.
//! * **A length of 0 announces a packet that was lost on its way.** The receiver fills its place: from the next entry, if
//!   that carries in-band FEC, else by concealment. Several in a row are several lost packets.
//! * Whether messages are framed is agreed on beforehand; nothing in the bytes tells.
//! * A message is taken as a whole or refused as a whole: [`Entries::parse`] looks at all lengths before the first packet
//!   is touched. A message of no entries is whole, and holds nothing.
//!
//! Sixteen bits hold every Opus packet but those padded out beyond all use: 48 frames of at most 1,275 bytes (RFC 6716,
//! sections 3.2 and 3.4) are 61,200, and less than 100 bytes say how long they are. PCM can be cut anywhere between sample
//! frames. Big-endian is the order of the network (RFC 1700), and that of WebSocket's own lengths. At most 50 entries,
//! since an announced loss costs its sender two bytes and its receiver the making up of a whole packet.

use std::iter::FusedIterator;

use thiserror::Error;

/// The most entries in a message: a second in packets of 20 ms.
pub const MAX_PACKETS: usize = 50;

/// The most bytes in a packet.
pub const MAX_PACKET_BYTES: usize = u16::MAX as usize;

/// Bytes of an entry's length.
const LENGTH_BYTES: usize = 2;

/// One entry of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A packet, of at least 1 byte.
    Packet(&'a [u8]),
    /// The packet that belongs here was lost.
    Missing,
}

/// Why a message was refused, or a packet not written. Offsets are in bytes from the message's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FramingError {
    /// The message ends within a length.
    #[error("at offset {offset}: the message ends after 1 of the 2 bytes of a length")]
    LengthCut {
        /// Where the length begins.
        offset: usize,
    },
    /// The message ends within a packet.
    #[error("at offset {offset}: a packet of {length} bytes is announced, but the message ends {left} bytes later")]
    PacketCut {
        /// Where the length begins.
        offset: usize,
        /// What it says.
        length: usize,
        /// How many bytes follow it.
        left: usize,
    },
    /// More entries than a message may have.
    #[error(
        "at offset {offset}: more than {MAX_PACKETS} packets in a message; accepted are 0 to {MAX_PACKETS}"
    )]
    TooMany {
        /// Where the first entry too many begins.
        offset: usize,
    },
    /// A message of no entries, to which there is no answer. [`Entries::parse`] takes it; a server that owes an answer to
    /// each message refuses it by this.
    #[error("an empty message: with framing 1 to {MAX_PACKETS} packets are accepted, each behind 2 bytes of length")]
    Empty,
    /// A packet that no length can announce.
    #[error("a packet of {length} bytes can't be framed: accepted are 1 to {MAX_PACKET_BYTES}")]
    Unframable {
        /// The packet's length.
        length: usize,
    },
}

/// The packets of a message that was found whole.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Entries<'a> {
    /// Checks all of a message's lengths.
    ///
    /// # Errors
    /// If it ends too early or has more than [`MAX_PACKETS`] entries.
    pub fn parse(message: &'a [u8]) -> Result<Entries<'a>, FramingError> {
        let (mut rest, mut left) = (message, 0);
        while !rest.is_empty() {
            let offset = message.len() - rest.len();
            if left == MAX_PACKETS {
                return Err(FramingError::TooMany { offset });
            }
            let (length, after) = length(rest).ok_or(FramingError::LengthCut { offset })?;
            rest =
                after.get(length..).ok_or(FramingError::PacketCut { offset, length, left: after.len() })?;
            left += 1;
        }
        Ok(Entries { rest: message, left })
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let (length, after) = length(self.rest)?;
        let (packet, rest) = after.split_at_checked(length)?;
        self.rest = rest;
        self.left -= 1;
        Some(if packet.is_empty() { Entry::Missing } else { Entry::Packet(packet) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Entries<'_> {}
impl FusedIterator for Entries<'_> {}

/// Writes a message. What it holds is always a message that [`Entries::parse`] takes.
///
/// ```
/// use sandbox::framing::{Entry, MessageWriter};
///
/// let mut writer = MessageWriter::default();
/// writer.push(Entry::Packet(&[0xF8, 0xFF, 0xFE]))?;
/// writer.push(Entry::Missing)?;
/// assert_eq!(writer.message(), [0, 3, 0xF8, 0xFF, 0xFE, 0, 0]);
/// # Ok::<(), sandbox::framing::FramingError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageWriter {
    message: Vec<u8>,
    packets: usize,
}

impl MessageWriter {
    /// Begins another message in the same memory.
    pub fn clear(&mut self) {
        self.message.clear();
        self.packets = 0;
    }

    /// Appends an entry. With room for it in the message's memory it allocates nothing.
    ///
    /// # Errors
    /// If the packet is empty, which would announce it as missing, or longer than [`MAX_PACKET_BYTES`]; or if
    /// [`MAX_PACKETS`] are written. Then the message is as it was.
    pub fn push(&mut self, entry: Entry<'_>) -> Result<(), FramingError> {
        if self.packets == MAX_PACKETS {
            return Err(FramingError::TooMany { offset: self.message.len() });
        }
        let (length, bytes) = match entry {
            Entry::Missing => (0, &[][..]),
            Entry::Packet(bytes) => match u16::try_from(bytes.len()) {
                Ok(length @ 1..) => (length, bytes),
                _ => return Err(FramingError::Unframable { length: bytes.len() }),
            },
        };
        self.message.extend_from_slice(&length.to_be_bytes());
        self.message.extend_from_slice(bytes);
        self.packets += 1;
        Ok(())
    }

    /// Entries written so far.
    pub fn packets(&self) -> usize {
        self.packets
    }

    /// The message so far.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// The message.
    pub fn into_message(self) -> Vec<u8> {
        self.message
    }
}

/// The length at the beginning of `bytes`, and what follows it.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, after) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
    Some((usize::from(u16::from_be_bytes(*length)), after))
}

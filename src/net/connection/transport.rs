//! What a WebSocket connection has under way: a message that comes in piece by piece, what is not decoded and not written yet.
//!
//! Most connections are idle at most times, and then there is nothing of it. So it lies apart from what a connection always
//! keeps: it is made when a driver begins, and freed when one leaves with nothing under way.

use super::output::Output;
use super::pace::{Pace, WritePace};
use crate::net::buffers::BUFFER_BYTES;
use crate::net::options::NetOptions;
use crate::net::websocket::{Decoder, MAX_CONTROL_FRAME};

/// An empty output buffer that a parked connection keeps, beside something else that is under way, is at most so large.
const SMALL_OUTPUT: usize = 256;

/// Both directions of one connection.
pub(crate) struct Transport {
    pub(crate) decoder: Decoder,
    /// Read and not decoded: only while something is in the way, so never between drivers.
    pub(crate) input: Vec<u8>,
    /// How much of `input` has been decoded.
    pub(crate) decoded: usize,
    pub(crate) output: Output,
    /// How fast the message comes in that is under way.
    pub(crate) receiving: Pace,
    /// How fast the client takes what is unwritten.
    pub(crate) pace: WritePace,
}

impl Transport {
    /// One with nothing under way but `input`, for messages of at most `max_message` bytes.
    pub(crate) fn new(max_message: usize, input: Vec<u8>, options: &NetOptions) -> Transport {
        // Small messages make it no larger than one of them beyond `max_unsent_bytes`.
        let usual = 2 * options.max_unsent_bytes.max(BUFFER_BYTES);
        Transport {
            decoder: Decoder::new(max_message),
            input,
            decoded: 0,
            output: Output::new(usual),
            receiving: Pace::default(),
            pace: WritePace::default(),
        }
    }

    /// Appends a control frame, for which there always is room.
    pub(crate) fn append_control(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let _ = self.output.append(MAX_CONTROL_FRAME, |_| true, encode);
    }

    /// Keeps no more than it must of what is under way. `None` when nothing is.
    pub(crate) fn laid_aside(mut self: Box<Self>) -> Option<Box<Transport>> {
        self.output.free_above(SMALL_OUTPUT);
        let is_quiet = self.input.is_empty() && self.output.len() == 0 && !self.decoder.is_amid();
        (!is_quiet).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transport() -> Box<Transport> {
        Box::new(Transport::new(100, Vec::new(), &NetOptions::default()))
    }

    #[test]
    fn with_nothing_under_way_nothing_is_kept() {
        assert!(transport().laid_aside().is_none());
        let mut written = transport();
        written.append_control(|output| output.extend([1; 10]));
        written.output.advance(10);
        assert!(written.laid_aside().is_none(), "although it has a buffer");
    }

    #[test]
    fn a_message_that_has_begun_and_what_is_unwritten_or_not_decoded_are_kept() {
        let mut begun = transport();
        // The first half of a header.
        assert_eq!(begun.decoder.decode(&mut &[0x82][..], |_| true), Ok(None));
        assert!(begun.laid_aside().is_some_and(|kept| kept.decoder.is_amid()));
        let mut unwritten = transport();
        unwritten.append_control(|output| output.extend([1; 10]));
        assert!(unwritten.laid_aside().is_some_and(|kept| kept.output.unwritten() == [1; 10]));
        let unread = Box::new(Transport::new(100, vec![7], &NetOptions::default()));
        assert!(unread.laid_aside().is_some_and(|kept| kept.input == [7]));
    }
}

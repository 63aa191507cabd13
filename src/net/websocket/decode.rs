//! From a client's bytes to messages.

use std::io::Cursor;

use bytes::Bytes;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};
use tungstenite::protocol::frame::FrameHeader;

use crate::net::buffers::BUFFER_BYTES;
use crate::net::endpoint::{Message, Utf8Bytes};

/// The longest frame header: two bytes, eight of length, four of mask.
const MAX_HEADER: usize = 14;
/// The longest payload of a control frame.
const MAX_CONTROL: usize = 125;
/// A message's buffer of at most this size is not asked for: whoever sends small messages is never refused.
const SMALL_BYTES: usize = BUFFER_BYTES;

/// Something whole that the client sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// A frame of a data message that goes on.
    Fragment,
    /// A data message.
    Message(Message),
    /// A ping, to be answered with a pong of the same payload.
    Ping(Bytes),
    /// A pong.
    Pong,
    /// The client closes, with this code if it gave one. Nothing follows.
    Close(Option<CloseCode>),
}

/// Why a client's message is not taken, as the code to close with and the reason that it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) code: CloseCode,
    pub(crate) reason: &'static str,
}

const fn protocol(reason: &'static str) -> Violation {
    Violation { code: CloseCode::Protocol, reason }
}

const NOT_UTF8: Violation = Violation { code: CloseCode::Invalid, reason: "a text is not UTF-8" };
const TOO_BIG: Violation = Violation { code: CloseCode::Size, reason: "the message is too big" };
/// It is not the client's fault.
pub(crate) const NO_ROOM: Violation = Violation {
    code: CloseCode::Again,
    reason: "the server has no room for the message now, try again later",
};

/// Assembles messages from frames, in pieces of any size.
///
/// A violation ends it: after one it must not be fed again.
#[derive(Debug)]
pub(crate) struct Decoder {
    max_message: usize,
    /// The start of a frame header whose end has not come.
    partial_header: [u8; MAX_HEADER],
    partial_len: u8,
    frame: Option<Frame>,
    /// The data message under way: from its first frame's header to its last frame's end.
    message: Option<Assembly>,
    /// The payload of the control frame under way; control frames come in between the frames of a message.
    control: Vec<u8>,
}

/// The frame whose payload is coming in.
#[derive(Debug)]
struct Frame {
    opcode: OpCode,
    is_final: bool,
    mask: [u8; 4],
    remaining: u64,
}

#[derive(Debug)]
struct Assembly {
    is_text: bool,
    payload: Vec<u8>,
    /// Of a text: so many bytes from the start have been found to be UTF-8.
    valid: usize,
}

impl Decoder {
    /// For messages of at most `max_message` bytes.
    pub(crate) fn new(max_message: usize) -> Decoder {
        Decoder {
            max_message,
            partial_header: [0; MAX_HEADER],
            partial_len: 0,
            frame: None,
            message: None,
            control: Vec::new(),
        }
    }

    /// Decodes at most one frame from the start of `input`, moving it past what was used: the frame's end, or `None`
    /// when all of `input` was used and more is needed. `grant` is told what [`Decoder::charge`] would become before a
    /// message's buffer grows, and may forbid it.
    pub(crate) fn decode(
        &mut self,
        input: &mut &[u8],
        grant: impl FnOnce(usize) -> bool,
    ) -> Result<Option<Incoming>, Violation> {
        if self.frame.is_none() {
            let Some((header, length)) = self.take_header(input)? else { return Ok(None) };
            self.begin_frame(header, length)?;
        }
        self.take_payload(input, grant)
    }

    /// Whether a frame or a message has begun and its end has not come.
    pub(crate) fn is_amid(&self) -> bool {
        self.message.is_some() || self.frame.is_some() || self.partial_len > 0
    }

    /// Bytes that the message under way takes, if it is not a small one.
    pub(crate) fn charge(&self) -> usize {
        self.message.as_ref().map_or(0, |message| charge_of(message.payload.capacity()))
    }

    /// Frees the message under way. It must not be fed again.
    pub(crate) fn abandon(&mut self) {
        self.message = None;
    }

    fn take_header(&mut self, input: &mut &[u8]) -> Result<Option<(FrameHeader, u64)>, Violation> {
        let before = usize::from(self.partial_len);
        if before == 0 {
            // Nearly always: the whole header is there.
            let mut cursor = Cursor::new(*input);
            if let Some(found) = parse_header(&mut cursor)? {
                *input = &input[cursor.position() as usize..];
                return Ok(Some(found));
            }
        }
        let added = input.len().min(MAX_HEADER - before);
        self.partial_header[before..before + added].copy_from_slice(&input[..added]);
        let have = before + added;
        let mut cursor = Cursor::new(&self.partial_header[..have]);
        match parse_header(&mut cursor)? {
            Some(found) => {
                // What was there before was no whole header, so its end lies in `input`.
                *input = &input[cursor.position() as usize - before..];
                self.partial_len = 0;
                Ok(Some(found))
            }
            None => {
                *input = &input[added..];
                self.partial_len = have as u8;
                Ok(None)
            }
        }
    }

    fn begin_frame(&mut self, header: FrameHeader, length: u64) -> Result<(), Violation> {
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(protocol("a reserved bit is set"));
        }
        let mask = header.mask.ok_or(protocol("a client's frames must be masked"))?;
        match header.opcode {
            OpCode::Control(_) => {
                if !header.is_final {
                    return Err(protocol("a control frame is fragmented"));
                }
                if length > MAX_CONTROL as u64 {
                    return Err(protocol("a control frame is longer than 125 bytes"));
                }
            }
            OpCode::Data(data) => {
                match (data, &self.message) {
                    (Data::Continue, None) => return Err(protocol("there is no message to continue")),
                    (Data::Text | Data::Binary, Some(_)) => {
                        return Err(protocol("the message before is not finished"));
                    }
                    _ => {}
                }
                let so_far = self.message.as_ref().map_or(0, |message| message.payload.len());
                if length > self.max_message.saturating_sub(so_far) as u64 {
                    return Err(TOO_BIG);
                }
                self.message.get_or_insert_with(|| Assembly {
                    is_text: data == Data::Text,
                    payload: Vec::new(),
                    valid: 0,
                });
            }
        }
        self.frame =
            Some(Frame { opcode: header.opcode, is_final: header.is_final, mask, remaining: length });
        Ok(())
    }

    fn take_payload(
        &mut self,
        input: &mut &[u8],
        grant: impl FnOnce(usize) -> bool,
    ) -> Result<Option<Incoming>, Violation> {
        let Some(frame) = &mut self.frame else { return Ok(None) };
        let remaining = usize::try_from(frame.remaining).unwrap_or(usize::MAX);
        let length = remaining.min(input.len());
        let (piece, rest) = input.split_at(length);
        *input = rest;
        let is_control = matches!(frame.opcode, OpCode::Control(_));
        if let Some(message) = self.message.as_mut().filter(|_| !is_control) {
            let most = if frame.is_final { message.payload.len() + remaining } else { self.max_message };
            message.make_room(length, most, grant)?;
        }
        frame.remaining -= length as u64;
        let target = match &mut self.message {
            Some(message) if !is_control => &mut message.payload,
            _ => &mut self.control,
        };
        let start = target.len();
        target.extend_from_slice(piece);
        unmask(&mut target[start..], frame.mask);
        frame.mask.rotate_left(length % 4);

        let frame_is_done = frame.remaining == 0;
        let (opcode, is_final) = (frame.opcode, frame.is_final);
        if frame_is_done {
            self.frame = None;
        }
        match opcode {
            OpCode::Control(control) if frame_is_done => self.finish_control(control).map(Some),
            OpCode::Control(_) => Ok(None),
            OpCode::Data(_) if frame_is_done && is_final => {
                self.finish_message().map(|m| Some(Incoming::Message(m)))
            }
            OpCode::Data(_) => {
                // Tell a client of a bad text at once, not when the rest of it has come.
                self.message.as_mut().map_or(Ok(()), Assembly::check_prefix)?;
                Ok(frame_is_done.then_some(Incoming::Fragment))
            }
        }
    }

    fn finish_message(&mut self) -> Result<Message, Violation> {
        let Some(mut message) = self.message.take() else {
            return Err(protocol("there is no message to finish"));
        };
        message.payload.shrink_to(message.payload.len() + message.payload.len() / 4);
        if !message.is_text {
            return Ok(Message::Binary(message.payload.into()));
        }
        match String::from_utf8(message.payload) {
            Ok(text) => Ok(Message::Text(Utf8Bytes::from(text))),
            Err(_) => Err(NOT_UTF8),
        }
    }

    fn finish_control(&mut self, control: Control) -> Result<Incoming, Violation> {
        let payload = std::mem::take(&mut self.control);
        match control {
            Control::Ping => Ok(Incoming::Ping(payload.into())),
            Control::Pong => Ok(Incoming::Pong),
            Control::Close => close_code(&payload).map(Incoming::Close),
            Control::Reserved(_) => Err(protocol("the opcode is reserved")),
        }
    }
}

fn charge_of(capacity: usize) -> usize {
    if capacity > SMALL_BYTES {
        capacity
    } else {
        0
    }
}

impl Assembly {
    /// Sees that `more` bytes of a message that will have `most` can be appended. In steps that double: memory follows
    /// what has come, not what was announced.
    fn make_room(
        &mut self,
        more: usize,
        most: usize,
        grant: impl FnOnce(usize) -> bool,
    ) -> Result<(), Violation> {
        let (needed, capacity) = (self.payload.len() + more, self.payload.capacity());
        if needed <= capacity {
            return Ok(());
        }
        let roomy = if needed <= SMALL_BYTES { (2 * capacity).min(SMALL_BYTES) } else { 2 * capacity };
        let capacity = needed.max(roomy.min(most));
        if !grant(charge_of(capacity)) {
            return Err(NO_ROOM);
        }
        self.payload.reserve_exact(capacity - self.payload.len());
        Ok(())
    }

    fn check_prefix(&mut self) -> Result<(), Violation> {
        if !self.is_text {
            return Ok(());
        }
        match std::str::from_utf8(&self.payload[self.valid..]) {
            Ok(text) => self.valid += text.len(),
            // The end of it may be half a character.
            Err(error) if error.error_len().is_none() => self.valid += error.valid_up_to(),
            Err(_) => return Err(NOT_UTF8),
        }
        Ok(())
    }
}

fn parse_header(cursor: &mut Cursor<&[u8]>) -> Result<Option<(FrameHeader, u64)>, Violation> {
    let found = FrameHeader::parse(cursor).map_err(|_| protocol("the opcode is reserved"))?;
    match found {
        // RFC 6455, section 5.2: the highest bit of a 64-bit length is 0.
        Some((_, length)) if length > i64::MAX as u64 => Err(protocol("the length of a frame is impossible")),
        found => Ok(found),
    }
}

fn close_code(payload: &[u8]) -> Result<Option<CloseCode>, Violation> {
    match payload {
        [] => Ok(None),
        [_] => Err(protocol("a close frame has no byte or at least two")),
        [high, low, reason @ ..] => {
            let code = CloseCode::from(u16::from_be_bytes([*high, *low]));
            if !code.is_allowed() {
                return Err(protocol("that close code must not be sent"));
            }
            std::str::from_utf8(reason).map_err(|_| NOT_UTF8)?;
            Ok(Some(code))
        }
    }
}

/// XORs `payload` with `mask` (RFC 6455, section 5.3), eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = payload.chunks_exact_mut(8);
    for word in &mut words {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(word);
        word.copy_from_slice(&(u64::from_ne_bytes(bytes) ^ wide).to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

    fn frame(opcode: u8, is_final: bool, payload: &[u8]) -> Vec<u8> {
        let header = FrameHeader {
            is_final,
            opcode: OpCode::from(opcode),
            mask: Some(MASK),
            ..FrameHeader::default()
        };
        let mut wire = Vec::new();
        header.format(payload.len() as u64, &mut wire).unwrap();
        // The slow, obvious masking.
        wire.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ MASK[at % 4]));
        wire
    }

    /// All that comes out, fragments aside.
    fn decode_all(pieces: &[&[u8]], max: usize) -> Result<Vec<Incoming>, Violation> {
        let mut decoder = Decoder::new(max);
        let mut found = Vec::new();
        for piece in pieces {
            let mut input = *piece;
            while let Some(incoming) = decoder.decode(&mut input, |_| true)? {
                if incoming != Incoming::Fragment {
                    found.push(incoming);
                }
            }
            assert!(input.is_empty(), "None means that all was used");
        }
        Ok(found)
    }

    fn text(text: &str) -> Incoming {
        Incoming::Message(Message::text(text.to_owned()))
    }

    #[test]
    fn messages_split_at_any_byte_come_out_the_same() {
        let long = "\u{e9}".repeat(200);
        let wire = [
            frame(1, true, "h\u{e9}llo".as_bytes()),
            frame(1, false, &long.as_bytes()[..101]),
            frame(9, true, b"ping"),
            frame(0, false, b""),
            frame(0, true, &long.as_bytes()[101..]),
            frame(2, true, &[]),
            frame(10, true, b"pong"),
            frame(8, true, &[0x03, 0xE8, b'b', b'y', b'e']),
        ]
        .concat();
        for cut in 0..=wire.len() {
            let found = decode_all(&[&wire[..cut], &wire[cut..]], 1_000).unwrap();
            let expected = [
                text("h\u{e9}llo"),
                Incoming::Ping(Bytes::from_static(b"ping")),
                text(&long),
                Incoming::Message(Message::binary(Bytes::new())),
                Incoming::Pong,
                Incoming::Close(Some(CloseCode::Normal)),
            ];
            assert_eq!(found, expected, "cut at {cut}");
        }
    }

    #[test]
    fn one_call_decodes_one_frame_however_many_empty_ones_there_are() {
        let wire = [frame(1, false, b""), frame(0, false, b"").repeat(1_000)].concat();
        let (mut decoder, mut input) = (Decoder::new(100), &wire[..]);
        for _ in 0..=1_000 {
            let before = input.len();
            assert_eq!(decoder.decode(&mut input, |_| true), Ok(Some(Incoming::Fragment)));
            assert_eq!(before - input.len(), 6);
        }
        assert_eq!(decoder.decode(&mut input, |_| true), Ok(None));
    }

    fn violation(wire: &[u8]) -> CloseCode {
        decode_all(&[wire], 100).expect_err("it should be refused").code
    }

    #[test]
    fn violations_are_told_with_their_code() {
        let mut unmasked = Vec::new();
        FrameHeader { opcode: OpCode::from(1), ..FrameHeader::default() }.format(0, &mut unmasked).unwrap();
        let mut reserved_bit = frame(1, true, b"x");
        reserved_bit[0] |= 0x40;
        for (wire, code) in [
            (unmasked, CloseCode::Protocol),
            (reserved_bit, CloseCode::Protocol),
            (frame(9, false, b""), CloseCode::Protocol),
            (frame(9, true, &[0; 126]), CloseCode::Protocol),
            (frame(0, true, b"x"), CloseCode::Protocol),
            ([frame(1, false, b"x"), frame(1, true, b"y")].concat(), CloseCode::Protocol),
            (frame(8, true, &[3]), CloseCode::Protocol),
            (frame(8, true, &[0x03, 0xED]), CloseCode::Protocol),
            (frame(8, true, &[0x03, 0xE8, 0xFF]), CloseCode::Invalid),
            (frame(1, true, &[0xC3]), CloseCode::Invalid),
            (frame(2, true, &[0; 101]), CloseCode::Size),
            ([frame(2, false, &[0; 60]), frame(0, true, &[0; 41])].concat(), CloseCode::Size),
        ] {
            assert_eq!(violation(&wire), code, "{wire:02x?}");
        }
        assert_eq!(violation(&[0x83, 0x80, 0, 0, 0, 0]), CloseCode::Protocol);
        assert_eq!(violation(&[0x8B, 0x80, 0, 0, 0, 0]), CloseCode::Protocol);
    }

    #[test]
    fn a_bad_text_is_refused_before_its_end() {
        let wire = frame(1, true, &[b'a', 0xFF, b'b', b'c']);
        assert_eq!(decode_all(&[&wire[..wire.len() - 2]], 100).unwrap_err().code, CloseCode::Invalid);
    }

    #[test]
    fn a_huge_length_is_refused_by_its_header_alone_and_reserves_nothing() {
        let header = frame(2, true, &vec![0; 70_000]);
        assert_eq!(violation(&header[..14]), CloseCode::Size);
        let mut decoder = Decoder::new(usize::MAX);
        let mut claimed: &[u8] = &[0x82, 0xFF, 0x0F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4];
        assert_eq!(decoder.decode(&mut claimed, |_| true), Ok(None));
        assert!(decoder.message.unwrap().payload.capacity() <= SMALL_BYTES);
    }

    #[test]
    fn room_is_asked_for_as_a_message_grows_and_not_for_a_small_one() {
        let wire = frame(2, true, &vec![7; 1 << 20]);
        let (mut decoder, mut came, mut granted, mut steps) = (Decoder::new(1 << 20), 0, 0, 0);
        for mut piece in wire.chunks(BUFFER_BYTES) {
            came += piece.len();
            let grant = |charge| {
                assert!((charge > granted || charge == 0) && charge <= 2 * came);
                granted = charge;
                steps += 1;
                true
            };
            if decoder.decode(&mut piece, grant).unwrap().is_none() {
                assert!(decoder.charge() == granted);
            }
        }
        assert_eq!(granted, 1 << 20);
        assert!(steps < 10, "{steps}");
        assert_eq!(decoder.charge(), 0, "the message is not the decoder's any more");

        // In many fragments or one: what fits a read buffer is free.
        let part = vec![7; BUFFER_BYTES / 4];
        let parts =
            [frame(2, false, &part), frame(0, false, &part), frame(0, false, &part), frame(0, true, &part)];
        for wire in [parts.concat(), frame(2, true, &part.repeat(4))] {
            let (mut decoder, mut input) = (Decoder::new(1 << 20), &wire[..]);
            loop {
                let found = decoder.decode(&mut input, |charge| charge == 0).unwrap();
                if let Some(Incoming::Message(message)) = found {
                    break assert_eq!(message.len(), BUFFER_BYTES);
                }
            }
        }
    }

    #[test]
    fn a_message_that_gets_no_room_is_refused_for_now() {
        let wire = frame(2, true, &vec![7; 40_000]);
        let mut decoder = Decoder::new(1 << 20);
        assert_eq!(decoder.decode(&mut &wire[..16_000], |charge| charge == 0), Ok(None));
        let refused = decoder.decode(&mut &wire[16_000..], |charge| charge == 0);
        assert_eq!(refused.unwrap_err().code, CloseCode::Again);
        decoder.abandon();
        assert_eq!(decoder.charge(), 0);
    }

    proptest! {
        #[test]
        fn what_is_framed_comes_back(
            payload in prop::collection::vec(any::<u8>(), 0..300),
            cuts in prop::collection::vec(0_usize..300, 0..4),
            piece in 1_usize..50,
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(payload.len())).collect();
            cuts.sort_unstable();
            let mut wire = Vec::new();
            let mut from = 0;
            for (index, to) in cuts.iter().copied().chain([payload.len()]).enumerate() {
                wire.extend(frame(if index == 0 { 2 } else { 0 }, index == cuts.len(), &payload[from..to]));
                from = to;
            }
            let pieces: Vec<&[u8]> = wire.chunks(piece).collect();
            let found = decode_all(&pieces, 300).unwrap();
            prop_assert_eq!(found, [Incoming::Message(Message::binary(payload))]);
        }

        #[test]
        fn no_bytes_make_it_panic_or_grow(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..10)) {
            let mut decoder = Decoder::new(64);
            for piece in &pieces {
                let mut input = &piece[..];
                loop {
                    match decoder.decode(&mut input, |_| true) {
                        Ok(Some(Incoming::Message(message))) => prop_assert!(message.len() <= 64),
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => return Ok(()),
                    }
                }
            }
        }
    }
}

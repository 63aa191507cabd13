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
mod tests;

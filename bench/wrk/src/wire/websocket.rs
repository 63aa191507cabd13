//! WebSocket (RFC 6455), the client's side.

use std::ops::Range;

use super::Violation;

/// The key of every handshake, that of the RFC's example: what a server answers is the same for all connections then.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// What the RFC says is the answer.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A control frame carries no more.
const MOST_CONTROL_BYTES: usize = 125;
/// No answer that this tool waits for is longer.
const MOST_PAYLOAD_BYTES: u64 = 64 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpCode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl OpCode {
    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    fn is_control(self) -> bool {
        self.bits() >= 8
    }
}

/// A frame at the beginning of what was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) opcode: OpCode,
    /// Whether it ends its message.
    pub(crate) last: bool,
    /// Where its payload lies.
    pub(crate) payload: Range<usize>,
}

/// What the beginning of some bytes is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    Frame(Frame),
    /// Not yet a whole frame; it will be with so many bytes, or with more.
    Needs(usize),
}

/// Looks at the beginning of `bytes`, which came from a server.
pub(crate) fn parse(bytes: &[u8]) -> Result<Parsed, Violation> {
    let &[first, second, ..] = bytes else { return Ok(Parsed::Needs(2)) };
    let violation = |why: String| Err(Violation(format!("WebSocket frame: {why}")));
    if first & 0x70 != 0 {
        return violation(format!("reserved bits {:#04x}, which were not negotiated", first & 0x70));
    }
    if second & 0x80 != 0 {
        return violation("masked, which a server's never is".into());
    }
    let Some(opcode) = OpCode::from_bits(first & 0x0F) else {
        return violation(format!("opcode {}, which there is none of", first & 0x0F));
    };
    let last = first & 0x80 != 0;
    let (header, length) = match second {
        126 => match bytes.get(2..4) {
            Some(&[a, b]) => (4, u64::from(u16::from_be_bytes([a, b]))),
            _ => return Ok(Parsed::Needs(4)),
        },
        127 => match bytes.get(2..10).and_then(|long| <[u8; 8]>::try_from(long).ok()) {
            Some(long) => (10, u64::from_be_bytes(long)),
            None => return Ok(Parsed::Needs(10)),
        },
        short => (2, u64::from(short)),
    };
    if opcode.is_control() && (!last || length > MOST_CONTROL_BYTES as u64) {
        return violation(format!("a control frame of {length} bytes, or in parts"));
    }
    if length > MOST_PAYLOAD_BYTES {
        return violation(format!("{length} bytes, where at most {MOST_PAYLOAD_BYTES} are expected"));
    }
    let end = header + length as usize;
    if bytes.len() < end {
        return Ok(Parsed::Needs(end));
    }
    Ok(Parsed::Frame(Frame { opcode, last, payload: header..end }))
}

/// Appends a frame to `out`, whose payload `write` appends; masked with `mask`, as a client's has to be.
pub(crate) fn write(
    opcode: OpCode,
    length: usize,
    mask: [u8; 4],
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>),
) {
    out.push(0x80 | opcode.bits());
    match length {
        0..=125 => out.push(0x80 | length as u8),
        126..=0xFFFF => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    let start = out.len();
    write(out);
    debug_assert_eq!(out.len() - start, length, "the payload is as long as its header says");
    let wide = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let mut chunks = out[start..].chunks_exact_mut(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        chunk.copy_from_slice(&(u64::from_ne_bytes(word) ^ wide).to_ne_bytes());
    }
    chunks.into_remainder().iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
}

/// The request that asks for an upgrade; `headers` are lines with their ends.
pub(crate) fn upgrade_request(path: &str, authority: &str, headers: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
    )
    .into_bytes()
}

/// Looks for the answer to [`upgrade_request`] at the beginning of `bytes`: how long it is, or `None` while it is not whole.
pub(crate) fn upgraded(bytes: &[u8]) -> Result<Option<usize>, Violation> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(Violation(format!("answer to the upgrade: {error}"))),
    };
    if response.code != Some(101) {
        let code = response.code.unwrap_or(0);
        return Err(Violation(format!("answer to the upgrade: status {code}, not 101")));
    }
    let accept =
        response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("sec-websocket-accept"));
    if accept.is_none_or(|accept| accept.value != ACCEPT.as_bytes()) {
        return Err(Violation("answer to the upgrade: Sec-WebSocket-Accept is not that of the key".into()));
    }
    Ok(Some(length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tungstenite::protocol::frame::FrameSocket;

    use super::*;

    #[test]
    fn the_accept_is_that_of_the_key() {
        assert_eq!(tungstenite::handshake::derive_accept_key(KEY.as_bytes()), ACCEPT);
        let answer =
            format!("HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: {ACCEPT}\r\n\r\nrest");
        assert_eq!(upgraded(answer.as_bytes()), Ok(Some(answer.len() - 4)));
        assert_eq!(upgraded(&answer.as_bytes()[..60]), Ok(None));
        for bad in ["HTTP/1.1 503 Busy\r\n\r\n", "HTTP/1.1 101 Yes\r\n\r\n", "SSH-2.0-other\r\n"] {
            assert!(upgraded(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_server_must_not_send_is_refused() {
        let bad: [&[u8]; 6] = [
            &[0xC2, 0],
            &[0x82, 0x80, 0, 0, 0, 0],
            &[0x83, 0],
            &[0x09, 0],
            &[0x89, 126, 1, 0],
            &[0x82, 127, 1, 0, 0, 0, 0, 0, 0, 0],
        ];
        for bytes in bad {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_another_implementation_reads(
            payload in proptest::collection::vec(any::<u8>(), 0..300), mask in any::<[u8; 4]>(), long in any::<bool>()
        ) {
            let payload = if long { payload.repeat(300) } else { payload };
            let mut bytes = Vec::new();
            write(OpCode::Binary, payload.len(), mask, &mut bytes, |out| out.extend_from_slice(&payload));
            let mut socket = FrameSocket::new(std::io::Cursor::new(bytes));
            let mut frame = socket.read(None).unwrap().unwrap();
            if let Some(mask) = frame.header_mut().mask.take() {
                let mut data = frame.into_payload().to_vec();
                data.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
                prop_assert_eq!(data, payload);
            } else {
                prop_assert_eq!(frame.into_payload().to_vec(), payload);
            }
        }

        #[test]
        fn a_frame_is_found_however_it_is_cut(length in prop_oneof![0_usize..300, 65_000_usize..70_000], cut in 0.0..1.0) {
            let mut bytes = vec![0x82];
            match length {
                0..=125 => bytes.push(length as u8),
                126..=0xFFFF => { bytes.push(126); bytes.extend((length as u16).to_be_bytes()); }
                _ => { bytes.push(127); bytes.extend((length as u64).to_be_bytes()); }
            }
            let header = bytes.len();
            bytes.resize(header + length, 7);
            let part = (bytes.len() as f64 * cut) as usize;
            match parse(&bytes[..part]).unwrap() {
                Parsed::Needs(needed) => prop_assert!(needed > part && needed <= bytes.len()),
                Parsed::Frame(frame) => prop_assert!(false, "{frame:?} of a part"),
            }
            let frame = Frame { opcode: OpCode::Binary, last: true, payload: header..header + length };
            prop_assert_eq!(parse(&bytes), Ok(Parsed::Frame(frame)));
        }
    }
}

//! From messages to a server's bytes.

use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};
use tungstenite::protocol::frame::FrameHeader;

use crate::net::endpoint::Message;

/// The longest reason in a close frame: 125 bytes less the code's two.
const MAX_REASON: usize = 123;

/// Appends `message` as one frame.
pub(crate) fn encode_message(out: &mut Vec<u8>, message: &Message) {
    let data = match message {
        Message::Text(_) => Data::Text,
        Message::Binary(_) => Data::Binary,
    };
    encode_frame(out, OpCode::Data(data), message.as_bytes());
}

/// The length of the frame that [`encode_message`] appends.
pub(crate) fn frame_len(message: &Message) -> usize {
    let length = message.len();
    FrameHeader::default().len(length as u64) + length
}

/// The longest frame of a ping, a pong or a close.
pub(crate) const MAX_CONTROL_FRAME: usize = 2 + 125;

/// Appends a ping without payload.
pub(crate) fn encode_ping(out: &mut Vec<u8>) {
    encode_frame(out, OpCode::Control(Control::Ping), &[]);
}

/// Appends the pong to a ping with this payload.
pub(crate) fn encode_pong(out: &mut Vec<u8>, payload: &[u8]) {
    encode_frame(out, OpCode::Control(Control::Pong), payload);
}

/// Appends a close frame; the reason is cut at a character's end if it is longer than a close frame takes. A code that must
/// not be sent becomes an empty close frame.
pub(crate) fn encode_close(out: &mut Vec<u8>, code: Option<CloseCode>, reason: &str) {
    let mut payload = Vec::new();
    if let Some(code) = code.filter(|code| code.is_allowed()) {
        let end =
            (0..=reason.len().min(MAX_REASON)).rev().find(|&at| reason.is_char_boundary(at)).unwrap_or(0);
        payload.extend_from_slice(&u16::from(code).to_be_bytes());
        payload.extend_from_slice(&reason.as_bytes()[..end]);
    }
    encode_frame(out, OpCode::Control(Control::Close), &payload);
}

fn encode_frame(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8]) {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    out.reserve(header.len(payload.len() as u64) + payload.len());
    header.format(payload.len() as u64, out).expect("writing to a Vec can't fail");
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};

    /// Reads what was encoded as another implementation does.
    fn read_back(wire: Vec<u8>, count: usize) -> Vec<tungstenite::Message> {
        let stream = std::io::Cursor::new(wire);
        let mut client = WebSocket::from_raw_socket(stream, Role::Client, Some(WebSocketConfig::default()));
        (0..count).map(|_| client.read().unwrap()).collect()
    }

    #[test]
    fn another_implementation_reads_what_is_written() {
        let mut wire = Vec::new();
        for size in [0, 125, 126, 65_535, 65_536] {
            encode_message(&mut wire, &Message::binary(vec![7; size]));
        }
        encode_message(&mut wire, &Message::text("h\u{e9}"));
        encode_ping(&mut wire);
        encode_pong(&mut wire, b"p");
        let found = read_back(wire, 8);
        let frame = Message::binary(vec![7; 126]);
        let mut alone = Vec::new();
        encode_message(&mut alone, &frame);
        assert_eq!(alone.len(), frame_len(&frame));
        let sizes: Vec<usize> = found.iter().map(tungstenite::Message::len).collect();
        assert_eq!(sizes, [0, 125, 126, 65_535, 65_536, 3, 0, 1]);
        assert!(found[5].is_text() && found[6].is_ping() && found[7].is_pong());
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let mut wire = Vec::new();
        encode_close(&mut wire, Some(CloseCode::Policy), &"\u{e9}".repeat(100));
        let [tungstenite::Message::Close(Some(close))] = &read_back(wire, 1)[..] else {
            panic!("a close frame")
        };
        assert_eq!((close.code, close.reason.len()), (CloseCode::Policy, 122));
    }
}

//! What is spoken on a connection: HTTP, then perhaps WebSocket, as far as clients need it that keep the rules.

use std::ops::Range;

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::service::{Service, Workspace};
use crate::transcoder::Transcoder;

const MOST_HEAD_BYTES: usize = 64 * 1024;
const MOST_PAYLOAD_BYTES: u64 = 16 << 20;
/// RFC 6455, 5.5.
const MOST_CONTROL_BYTES: usize = 125;

/// First bytes of frames that are whole messages (RFC 6455, 5.2).
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8A;

/// As long as may_minihttp's; the date stands still.
const PLAIN: &[u8] = b"HTTP/1.1 200 Ok\r\nServer: B\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
    Content-Length: 13\r\n\r\nHello, world!";

/// One connection's.
#[derive(Default)]
pub(super) struct Protocol {
    stage: Stage,
    /// Whether the client has closed it in order.
    pub(super) ended: bool,
}

/// Who answers.
#[derive(Default)]
enum Stage {
    #[default]
    Http,
    Echo,
    Transcode(Transcoder),
}

impl Protocol {
    /// Appends the answers to what is whole of `input` to `workspace.out`, as far as they go out together: how many bytes that
    /// was; `None` for what breaks the rules, or can't be answered.
    pub(super) fn answer(&mut self, input: &[u8], workspace: &mut Workspace) -> Option<usize> {
        let mut used = 0;
        while used < input.len() && !self.ended {
            let rest = &input[used..];
            let taken = match self.stage {
                Stage::Http => self.request(rest, workspace)?,
                Stage::Echo | Stage::Transcode(_) => self.frame(rest, workspace)?,
            };
            used += taken;
            // sound does not wait until the next packet is encoded as well
            let is_due = matches!(self.stage, Stage::Transcode(_)) && !workspace.out.is_empty();
            if taken == 0 || is_due {
                break;
            }
        }
        Some(used)
    }

    fn request(&mut self, input: &[u8], workspace: &mut Workspace) -> Option<usize> {
        let Some(end) = input.windows(4).position(|four| four == b"\r\n\r\n") else {
            return (input.len() <= MOST_HEAD_BYTES).then_some(0);
        };
        let out = &mut workspace.out;
        match websocket_key(&input[..end]) {
            None => out.extend_from_slice(PLAIN),
            Some(key) => {
                self.stage = match workspace.service {
                    Service::Echo => Stage::Echo,
                    Service::Transcode(chain) => {
                        let refused = |error: &_| eprintln!("a new stream is closed: {error}");
                        Stage::Transcode(Transcoder::new(chain).inspect_err(refused).ok()?)
                    }
                };
                let accept = derive_accept_key(key);
                out.extend_from_slice(
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: ",
                );
                out.extend_from_slice(accept.as_bytes());
                out.extend_from_slice(b"\r\n\r\n");
            }
        }
        Some(end + 4)
    }

    fn frame(&mut self, input: &[u8], workspace: &mut Workspace) -> Option<usize> {
        let Some((mask, place)) = masked_payload(input)? else { return Some(0) };
        let (payload, end) = (&input[place.clone()], place.end);
        let Workspace { out, packet, buffers, .. } = workspace;
        let first = match (input[0], &mut self.stage) {
            (BINARY, Stage::Transcode(transcoder)) => {
                packet.clear();
                append_unmasked(packet, payload, mask);
                let answer = transcoder.transcode(packet, buffers).ok()?;
                append_head(out, BINARY, answer.len());
                out.extend_from_slice(answer);
                return Some(end);
            }
            (TEXT, Stage::Transcode(_)) => return Some(end),
            // also in parts: the answer comes in the same ones; an Opus packet is too short to come in parts
            (data @ (0x00..=0x02 | 0x80..=0x82), Stage::Echo) => data,
            (PING, _) if payload.len() <= MOST_CONTROL_BYTES => PONG,
            (PONG, _) if payload.len() <= MOST_CONTROL_BYTES => return Some(end),
            (CLOSE, _) if payload.len() <= MOST_CONTROL_BYTES => {
                self.ended = true;
                CLOSE
            }
            _ => return None,
        };
        append_head(out, first, payload.len());
        append_unmasked(out, payload, mask);
        Some(end)
    }
}

/// Appends what is before the payload of a server's frame.
fn append_head(out: &mut Vec<u8>, first: u8, payload_bytes: usize) {
    out.push(first);
    match payload_bytes {
        length @ 0..=125 => out.push(length as u8),
        length @ 126..=0xFFFF => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

fn append_unmasked(out: &mut Vec<u8>, payload: &[u8], mask: [u8; 4]) {
    let begin = out.len();
    out.extend_from_slice(payload);
    for four in out[begin..].chunks_mut(4) {
        four.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    }
}

/// The key of a request that asks for an upgrade.
fn websocket_key(head: &[u8]) -> Option<&[u8]> {
    head.split(|&byte| byte == b'\n').find_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        line[..colon].eq_ignore_ascii_case(b"sec-websocket-key").then(|| line[colon + 1..].trim_ascii())
    })
}

/// Mask and place of the payload of the frame that `input` begins with (RFC 6455, 5.2): `Some(None)` if it is not whole
/// yet, `None` if it is not masked or too long.
fn masked_payload(input: &[u8]) -> Option<Option<([u8; 4], Range<usize>)>> {
    let Some(&second) = input.get(1) else { return Some(None) };
    if second & 0x80 == 0 {
        return None;
    }
    let extended = match second & 0x7F {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let begin = 2 + extended + 4;
    if input.len() < begin {
        return Some(None);
    }
    let length = if extended == 0 {
        u64::from(second & 0x7F)
    } else {
        input[2..2 + extended].iter().fold(0, |length, &byte| length << 8 | u64::from(byte))
    };
    if length > MOST_PAYLOAD_BYTES {
        return None;
    }
    let end = begin + length as usize;
    let mask = [input[begin - 4], input[begin - 3], input[begin - 2], input[begin - 1]];
    Some((input.len() >= end).then_some((mask, begin..end)))
}

#[cfg(test)]
mod tests {
    use opus::{Channels, Decoder};
    use sandpool_wrk::Voice;

    use super::*;
    use crate::transcoder::{Buffers, Chain};

    /// A client's frame.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
        let mut bytes = vec![first];
        match payload.len() {
            length @ 0..=125 => bytes.push(0x80 | length as u8),
            length => {
                bytes.push(0x80 | 126);
                bytes.extend_from_slice(&(length as u16).to_be_bytes());
            }
        }
        bytes.extend_from_slice(&MASK);
        bytes.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ MASK[at % 4]));
        bytes
    }

    /// Feeds `bytes` in pieces of `step`, as a connection would: what goes out, each time that something does.
    fn sent(service: Service, bytes: &[u8], step: usize) -> Option<(Vec<Vec<u8>>, Protocol)> {
        let (mut protocol, mut workspace) = (Protocol::default(), Workspace::new(service));
        let (mut kept, mut sent) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(step) {
            kept.extend_from_slice(piece);
            loop {
                let used = protocol.answer(&kept, &mut workspace)?;
                kept.drain(..used);
                if used == 0 {
                    break;
                }
                sent.push(std::mem::take(&mut workspace.out));
            }
        }
        sent.retain(|out| !out.is_empty());
        Some((sent, protocol))
    }

    /// The same in one.
    fn answers(service: Service, bytes: &[u8], step: usize) -> Option<(Vec<u8>, Protocol)> {
        sent(service, bytes, step).map(|(sent, protocol)| (sent.concat(), protocol))
    }

    const UPGRADE: &[u8] =
        b"GET / HTTP/1.1\r\nhost: a\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    #[test]
    fn requests_and_frames_are_answered_however_they_are_cut() {
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut bytes = [request, request, UPGRADE].concat();
        let long = vec![7; 300];
        let frames =
            [(0x81, &b"text"[..]), (0x02, &long), (0x80, b"end"), (0x89, b"ping"), (0x8A, b""), (0x88, b"")];
        frames.iter().for_each(|(first, payload)| bytes.extend(frame(*first, payload)));
        for step in [1, 3, 7, 100, 10_000] {
            let (out, protocol) = answers(Service::Echo, &bytes, step).unwrap();
            let out = out.strip_prefix(PLAIN).and_then(|out| out.strip_prefix(PLAIN)).unwrap();
            let end = out.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
            let head = String::from_utf8_lossy(&out[..end]);
            assert!(
                head.starts_with("HTTP/1.1 101") && head.ends_with("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
                "{head}"
            );
            let expected =
                [b"\x81\x04text\x02\x7e\x01\x2c", &long[..], b"\x80\x03end\x8a\x04ping\x88\x00"].concat();
            assert_eq!(&out[end + 4..], expected, "in pieces of {step}");
            assert!(protocol.ended);
        }
    }

    /// The payload of a server's frame of less than 64 KiB.
    fn binary_payload(frame: &[u8]) -> &[u8] {
        assert_eq!(frame[0], BINARY);
        let (length, payload) = match frame[1] {
            126 => (usize::from(u16::from_be_bytes([frame[2], frame[3]])), &frame[4..]),
            length => (usize::from(length), &frame[2..]),
        };
        assert_eq!(payload.len(), length);
        payload
    }

    #[test]
    fn each_packet_is_answered_with_as_much_sound_by_itself_and_text_is_not() {
        const PACKETS: u64 = 25;
        let voice = Voice::recorded().unwrap();
        for chain in [Chain::None, Chain::Clarity] {
            let mut bytes = [UPGRADE, &frame(TEXT, b"{\"command\":\"config\"}")].concat();
            (0..PACKETS).for_each(|at| bytes.extend(frame(BINARY, voice.packet(3, at))));
            bytes.extend([frame(PING, b"there?"), frame(CLOSE, b"")].concat());
            let mut decoder = Decoder::new(48_000, Channels::Mono).unwrap();
            let mut transcoder = Transcoder::new(chain).unwrap();
            let mut buffers = Buffers::default();
            let (whole, protocol) = sent(Service::Transcode(chain), &bytes, bytes.len()).unwrap();
            assert!(protocol.ended && whole[0].starts_with(b"HTTP/1.1 101"));
            let (packets, control) = whole[1..].split_at(PACKETS as usize);
            for (at, packet) in packets.iter().enumerate() {
                let (packet, mut samples) = (binary_payload(packet), [0.0; 5760]);
                assert_eq!(decoder.decode_float(packet, &mut samples, false).unwrap(), 960, "packet {at}");
                let expected = transcoder.transcode(voice.packet(3, at as u64), &mut buffers).unwrap();
                assert!(packet == expected, "packet {at} is not that of one state in its order");
            }
            assert_eq!(control.concat(), b"\x8a\x06there?\x88\x00");
            for step in [1, 7, 100] {
                let (out, _) = answers(Service::Transcode(chain), &bytes, step).unwrap();
                assert!(out == whole.concat(), "in pieces of {step}");
            }
        }
    }

    #[test]
    fn what_is_no_packet_or_comes_in_parts_ends_a_stream() {
        for bad in [frame(BINARY, &[0xFF]), frame(0x02, b"part"), frame(0x80, b"part")] {
            let bytes = [UPGRADE, &bad].concat();
            assert!(answers(Service::Transcode(Chain::None), &bytes, 10_000).is_none(), "{bad:x?}");
        }
    }

    #[test]
    fn what_breaks_the_rules_ends_the_connection() {
        let endless = vec![b'a'; MOST_HEAD_BYTES + 1];
        let long_ping = frame(0x89, &[0; 126]);
        let too_long = [&[0x82, 0xFF][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat();
        for bad in [
            &b"\x82\x01a"[..],
            &frame(0x83, b""),
            &frame(0xC1, b""),
            &frame(0x08, b""),
            &long_ping,
            &too_long,
        ] {
            assert!(answers(Service::Echo, &[UPGRADE, bad].concat(), 10_000).is_none(), "{bad:x?}");
        }
        assert!(answers(Service::Echo, &endless, 1000).is_none());
    }
}

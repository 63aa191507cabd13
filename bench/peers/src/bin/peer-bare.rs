//! What the kernel alone costs: one thread, one edge-triggered epoll set, one `recv` and one `send` a message. A
//! server on epoll can do with little less, so this is the floor that the others' rows are compared with.
//!
//! It does the least that answers correctly: any GET request gets the same 200, a WebSocket upgrade its 101, and each frame
//! of data comes back unmasked, as it came. No routes, no limits but those that keep memory bounded, no time-outs.

use std::io;
use std::net::TcpListener;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::thread;

use clap::Parser;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{self, sockopt, RecvFlags, SendFlags, SocketFlags};
use sandpool_peers::{announce, listen, Listen, AFTER_FAILED_ACCEPT};
use tikv_jemallocator::Jemalloc;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// The listener's own token; sockets have their descriptor's number.
const LISTENER: u64 = u64::MAX;
const MOST_EVENTS: usize = 1024;
/// Bytes received at a time.
const RECEIVED_BYTES: usize = 64 * 1024;
/// After so many receives it is the turn of the others.
const MOST_RECEIVES: usize = 16;
const MOST_HEAD_BYTES: usize = 64 * 1024;
const MOST_PAYLOAD_BYTES: u64 = 16 << 20;
/// A buffer that is larger than this is given back when it is empty.
const KEPT_BYTES: usize = 4096;

/// As long as may_minihttp's; the date stands still.
const PLAIN: &[u8] = b"HTTP/1.1 200 Ok\r\nServer: B\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
    Content-Length: 13\r\n\r\nHello, world!";

fn main() -> io::Result<()> {
    let options = Listen::parse();
    if options.threads != 1 {
        return Err(io::Error::other(format!("--threads {}: only 1 is accepted", options.threads)));
    }
    let listener = listen(options.listen)?;
    announce("bare epoll loop", listener.local_addr()?, 1);
    serve(&listener)
}

/// Serves for ever.
fn serve(listener: &TcpListener) -> io::Result<()> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    // each in the place of its descriptor's number
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut events: Vec<epoll::Event> = Vec::with_capacity(MOST_EVENTS);
    let (mut received, mut out) = (vec![0; RECEIVED_BYTES], Vec::new());
    loop {
        events.clear();
        match epoll::wait(&epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for (token, flags) in events.iter().map(|event| (event.data.u64(), event.flags)) {
            if token == LISTENER {
                accept_all(listener, &epoll, &mut connections);
            } else if let Some(place) = connections.get_mut(token as usize) {
                // an event of a socket that was closed meanwhile may meet its successor, which then has nothing to read
                let stays =
                    place.as_mut().is_none_or(|one| one.ready(flags, &epoll, &mut received, &mut out));
                if !stays {
                    *place = None;
                }
            }
        }
    }
}

/// Accepts all who wait.
fn accept_all(listener: &TcpListener, epoll: &OwnedFd, connections: &mut Vec<Option<Connection>>) {
    loop {
        match net::accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(socket) => {
                let connection = Connection::new(socket);
                let socket = &connection.socket;
                let place = socket.as_raw_fd() as usize;
                let watched = sockopt::set_tcp_nodelay(socket, true)
                    .and_then(|()| epoll::add(epoll, socket, connection.token(), EDGES));
                if let Err(error) = watched {
                    eprintln!("a new connection is closed: {error}");
                    continue;
                }
                if connections.len() <= place {
                    connections.resize_with(place + 1, || None);
                }
                connections[place] = Some(connection);
            }
            Err(Errno::AGAIN) => return,
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            Err(error) => {
                eprintln!("accept: {error}");
                return thread::sleep(AFTER_FAILED_ACCEPT);
            }
        }
    }
}

/// What is watched of a connection.
const EDGES: EventFlags =
    EventFlags::IN.union(EventFlags::OUT).union(EventFlags::RDHUP).union(EventFlags::ET);

struct Connection {
    socket: OwnedFd,
    protocol: Protocol,
    /// The beginning of what is not whole yet.
    partial: Vec<u8>,
    /// What the socket did not take yet; nothing is received meanwhile.
    unsent: Vec<u8>,
}

impl Connection {
    fn new(socket: OwnedFd) -> Self {
        Self { socket, protocol: Protocol::default(), partial: Vec::new(), unsent: Vec::new() }
    }

    /// Takes an event; whether the connection stays.
    fn ready(&mut self, flags: EventFlags, epoll: &OwnedFd, received: &mut [u8], out: &mut Vec<u8>) -> bool {
        let waited = !self.unsent.is_empty();
        if waited {
            let unsent = std::mem::take(&mut self.unsent);
            if !self.send(&unsent) {
                return false;
            }
        }
        // no other edge will tell of what came while it waited, or of an end that came with data
        let up_to_the_end = waited || flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        for _ in 0..MOST_RECEIVES {
            if !self.unsent.is_empty() {
                return true;
            }
            if self.protocol.ended {
                return false;
            }
            let got = match net::recv(&self.socket, &mut *received, RecvFlags::empty()) {
                Ok((_, 0)) => return false,
                Ok((_, got)) => got,
                Err(Errno::AGAIN) => return true,
                Err(Errno::INTR) => continue,
                Err(_) => return false,
            };
            if !self.take(&received[..got], out) {
                return false;
            }
            let ended = self.protocol.ended && self.unsent.is_empty();
            if got < received.len() && !up_to_the_end {
                return !ended;
            }
        }
        // tells the edge again that there may be more
        epoll::modify(epoll, &self.socket, self.token(), EDGES).is_ok()
    }

    fn token(&self) -> EventData {
        EventData::new_u64(self.socket.as_raw_fd() as u64)
    }

    /// Answers what is whole by now.
    fn take(&mut self, received: &[u8], out: &mut Vec<u8>) -> bool {
        out.clear();
        if self.partial.is_empty() {
            let Some(used) = self.protocol.answer(received, out) else { return false };
            self.partial.extend_from_slice(&received[used..]);
        } else {
            self.partial.extend_from_slice(received);
            let Some(used) = self.protocol.answer(&self.partial, out) else { return false };
            self.partial.drain(..used);
            if self.partial.is_empty() && self.partial.capacity() > KEPT_BYTES {
                self.partial = Vec::new();
            }
        }
        let sent = out.is_empty() || self.send(out);
        if out.capacity() > RECEIVED_BYTES {
            *out = Vec::new();
        }
        sent
    }

    /// Sends `bytes`; what the socket does not take is kept until it does.
    fn send(&mut self, bytes: &[u8]) -> bool {
        let mut sent = 0;
        while sent < bytes.len() {
            match net::send(&self.socket, &bytes[sent..], SendFlags::NOSIGNAL) {
                Ok(more) => sent += more,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        self.unsent.extend_from_slice(&bytes[sent..]);
        true
    }
}

/// What is spoken on a connection.
#[derive(Debug, Default)]
struct Protocol {
    /// Whether it is a WebSocket by now.
    upgraded: bool,
    /// Whether the client has closed it in order.
    ended: bool,
}

impl Protocol {
    /// Appends the answers to what is whole of `input` to `out`: how many bytes that was; `None` for what breaks the rules.
    fn answer(&mut self, input: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        let mut used = 0;
        while used < input.len() && !self.ended {
            let rest = &input[used..];
            let taken = if self.upgraded { self.frame(rest, out)? } else { self.request(rest, out)? };
            if taken == 0 {
                break;
            }
            used += taken;
        }
        Some(used)
    }

    fn request(&mut self, input: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        let Some(end) = input.windows(4).position(|four| four == b"\r\n\r\n") else {
            return (input.len() <= MOST_HEAD_BYTES).then_some(0);
        };
        match websocket_key(&input[..end]) {
            None => out.extend_from_slice(PLAIN),
            Some(key) => {
                let accept = derive_accept_key(key);
                out.extend_from_slice(
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: ",
                );
                out.extend_from_slice(accept.as_bytes());
                out.extend_from_slice(b"\r\n\r\n");
                self.upgraded = true;
            }
        }
        Some(end + 4)
    }

    fn frame(&mut self, input: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        let Some((mask, payload)) = masked_payload(input)? else { return Some(0) };
        let first = match input[0] {
            // data, also in parts: the answer comes in the same ones
            data @ (0x00..=0x02 | 0x80..=0x82) => data,
            ping @ 0x89 if payload.len() <= 125 => ping + 1,
            0x8A if payload.len() <= 125 => return Some(payload.end),
            close @ 0x88 if payload.len() <= 125 => {
                self.ended = true;
                close
            }
            _ => return None,
        };
        out.push(first);
        match payload.len() {
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
        let begin = out.len();
        out.extend_from_slice(&input[payload.clone()]);
        for four in out[begin..].chunks_mut(4) {
            four.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        }
        Some(payload.end)
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
    use super::*;

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

    /// Feeds `bytes` in pieces of `step`, as a connection would.
    fn answers(bytes: &[u8], step: usize) -> Option<(Vec<u8>, Protocol)> {
        let (mut protocol, mut kept, mut out) = (Protocol::default(), Vec::new(), Vec::new());
        for piece in bytes.chunks(step) {
            kept.extend_from_slice(piece);
            let used = protocol.answer(&kept, &mut out)?;
            kept.drain(..used);
        }
        Some((out, protocol))
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
            let (out, protocol) = answers(&bytes, step).unwrap();
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
            assert!(answers(&[UPGRADE, bad].concat(), 10_000).is_none(), "{bad:x?}");
        }
        assert!(answers(&endless, 1000).is_none());
    }
}

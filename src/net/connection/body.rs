//! Reading a request's body from its connection.

use super::driver::Driver;
use super::io::ReadOutcome;
use super::link::Link;
use super::poller::millis;
use crate::net::app::App;
use crate::net::buffers::BUFFER_BYTES;
use crate::net::http::{expects_continue, framing, too_large, ChunkedDecoder, Framing, Head, Rejection};
use crate::net::options::NetOptions;
use crate::net::poller::Flags;

/// A body's buffer starts with at most so much room, whatever length was announced.
const FIRST_RESERVE: u64 = 64 * 1024;

/// Why a request could not be read to its end.
pub(crate) enum Unread {
    Rejected(Rejection),
    /// The client is gone.
    Gone,
}

impl From<Rejection> for Unread {
    fn from(rejection: Rejection) -> Unread {
        Unread::Rejected(rejection)
    }
}

/// What one request's body may take: of its route's limit, and of the listener's bound on all bodies together. What it
/// took of the latter is given back when this is dropped, which is once the request has been answered.
pub(crate) struct BodyRoom<'a, A: App> {
    link: &'a Link<A>,
    max_body: usize,
    taken: usize,
}

impl<'a, A: App> BodyRoom<'a, A> {
    /// Room for nothing yet, on a route that takes bodies of at most `max_body` bytes.
    pub(crate) fn new(link: &'a Link<A>, max_body: usize) -> BodyRoom<'a, A> {
        BodyRoom { link, max_body, taken: 0 }
    }

    /// Takes room for `bytes` in all.
    fn grow_to(&mut self, bytes: usize) -> Result<(), Rejection> {
        let more = bytes.saturating_sub(self.taken);
        if !self.link.reserve_body(more as u64) {
            return Err(Rejection::new(503, "there are too many bytes of requests in flight"));
        }
        self.taken += more;
        Ok(())
    }
}

impl<A: App> Drop for BodyRoom<'_, A> {
    fn drop(&mut self) {
        self.link.release_body();
    }
}

/// Reads the body that `head` announces; `input` is what has been read behind the head. What follows the body is in
/// `input` afterwards. It lives no longer than `room`. No body is read for a `refused` connection.
pub(crate) fn read_body<A: App>(
    driver: &mut Driver<'_, A>,
    input: &mut Vec<u8>,
    head: &Head,
    room: &mut BodyRoom<'_, A>,
    refused: bool,
) -> Result<Vec<u8>, Unread> {
    let framing = framing(head)?;
    let waits_for_continue = expects_continue(head)?;
    match framing {
        Framing::Length(0) => return Ok(Vec::new()),
        Framing::Length(length) if length > room.max_body as u64 => return Err(too_large().into()),
        _ => {}
    }
    if refused {
        return Err(Rejection::new(503, "there are too many connections").into());
    }
    if let Framing::Length(length) = framing {
        // It is no more than `max_body`.
        room.grow_to(length as usize)?;
    }
    if waits_for_continue && input.is_empty() && !driver.write_all(b"HTTP/1.1 100 Continue\r\n\r\n", &[]) {
        return Err(Unread::Gone);
    }
    let began = driver.now();
    let pace = Pace { began, progressed: began, received: 0 };
    match framing {
        Framing::Length(length) => read_length(driver, input, length, pace),
        Framing::Chunked => read_chunked(driver, input, room, pace),
    }
}

fn read_length<A: App>(
    driver: &mut Driver<'_, A>,
    input: &mut Vec<u8>,
    length: u64,
    mut pace: Pace,
) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::with_capacity(length.min(FIRST_RESERVE) as usize);
    let there = input.len().min(length as usize);
    body.extend(input.drain(..there));
    while (body.len() as u64) < length {
        let missing = (length - body.len() as u64) as usize;
        if body.len() == body.capacity() {
            // In steps that double: memory follows what has come, not what was announced.
            body.reserve_exact(missing.min(body.len().max(BUFFER_BYTES)));
        }
        let before = body.len();
        read_some(driver, &mut body, &mut pace)?;
        if body.len() as u64 > length {
            // The room was a little more than was asked for, and the next request has begun.
            input.extend(body.drain(length as usize..));
        }
        debug_assert!(body.len() > before);
    }
    Ok(body)
}

fn read_chunked<A: App>(
    driver: &mut Driver<'_, A>,
    input: &mut Vec<u8>,
    room: &mut BodyRoom<'_, A>,
    mut pace: Pace,
) -> Result<Vec<u8>, Unread> {
    let mut decoder = ChunkedDecoder::new();
    let mut body = Vec::new();
    loop {
        // More than `input` no body grows by, nor beyond the route's limit.
        let needed = (body.len() + input.len()).min(room.max_body);
        if needed > body.capacity() {
            let capacity = needed.max(2 * body.capacity()).min(room.max_body);
            room.grow_to(capacity)?;
            body.reserve_exact(capacity - body.len());
        }
        let used = decoder.decode(input, &mut body, room.max_body)?;
        input.drain(..used);
        if decoder.is_done() {
            return Ok(body);
        }
        if input.capacity() < BUFFER_BYTES {
            *input = driver.link.poller.buffers.take();
        }
        read_some(driver, input, &mut pace)?;
    }
}

/// How fast a body comes in.
struct Pace {
    began: u64,
    /// When something last came.
    progressed: u64,
    received: u64,
}

impl Pace {
    /// When the client is too slow, if nothing more comes until then: what it sent fast at first is no credit for
    /// silence later.
    fn due(&self, options: &NetOptions) -> u64 {
        let allowance = millis(options.head_timeout);
        let earned = self.received.saturating_mul(1_000) / u64::from(options.min_body_rate);
        (self.progressed + allowance).min(self.began.saturating_add(allowance).saturating_add(earned))
    }
}

/// Reads at least one byte into `buffer`, which has room; waits for it as long as the pace allows.
fn read_some<A: App>(
    driver: &mut Driver<'_, A>,
    buffer: &mut Vec<u8>,
    pace: &mut Pace,
) -> Result<(), Unread> {
    loop {
        driver.share_worker();
        driver.take_socket_flags();
        match driver.read(buffer) {
            Ok(ReadOutcome::Bytes(length)) => {
                pace.received += length as u64;
                pace.progressed = driver.now();
                return Ok(());
            }
            Ok(ReadOutcome::End) | Err(_) => return Err(Unread::Gone),
            Ok(ReadOutcome::Nothing) => {}
        }
        let due = pace.due(&driver.link.poller.front.options);
        if driver.now() >= due {
            return Err(Rejection::new(408, "the request's body came too slowly").into());
        }
        driver.wait(Flags::READ | Flags::READ_CLOSED | Flags::BROKEN, due);
    }
}

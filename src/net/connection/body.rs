//! Reading a request's body from its connection.

use super::driver::Driver;
use super::io::ReadOutcome;
use super::link::Link;
use super::pace::{Demand, Pace};
use crate::net::app::App;
use crate::net::buffers::BUFFER_BYTES;
use crate::net::http::{expects_continue, framing, too_large, ChunkedDecoder, Framing, Head, Rejection};
use crate::net::poller::Flags;

/// An answer of at most this size does not count: whoever asks for little is never refused.
const SMALL_ANSWER: usize = BUFFER_BYTES;

/// What an answer of `bytes` counts as.
pub(crate) fn charge_of_answer(bytes: usize) -> usize {
    if bytes > SMALL_ANSWER {
        bytes
    } else {
        0
    }
}

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

/// What one request's body, and then its answer, may take: of the route's limit, and of what all connections share. What
/// was taken of the latter is given back when this is dropped, which is once the answer has been written.
pub(crate) struct BodyRoom<'a, A: App> {
    link: &'a Link<A>,
    max_body: usize,
}

impl<'a, A: App> BodyRoom<'a, A> {
    /// Room for nothing yet, on a route that takes bodies of at most `max_body` bytes.
    pub(crate) fn new(link: &'a Link<A>, max_body: usize) -> BodyRoom<'a, A> {
        BodyRoom { link, max_body }
    }

    /// Leaves what was taken with the connection while the request is being answered: [`BodyRoom::of_answered`] goes on
    /// with it.
    pub(crate) fn leave_taken(self) {
        std::mem::forget(self);
    }

    /// What a request has left that has been answered.
    pub(crate) fn of_answered(link: &'a Link<A>) -> BodyRoom<'a, A> {
        BodyRoom { link, max_body: 0 }
    }

    /// The request has gone, and its answer of `bytes` is held in its stead; what was reserved for it counts. `false`:
    /// there is no room for that.
    #[must_use]
    pub(crate) fn hold_answer(&self, bytes: usize) -> bool {
        let (charge, front) = (&self.link.received, &self.link.poller.front);
        let bytes = charge_of_answer(bytes);
        charge.shrink_to(front, bytes);
        charge.grow_to(front, bytes)
    }

    /// Sees that `body` has room for `needed` bytes in all, of `most` that it will be at the most. In steps that double:
    /// memory follows what has come, not what was announced.
    fn grow(&self, body: &mut Vec<u8>, needed: usize, most: usize) -> Result<(), Rejection> {
        if needed > body.capacity() {
            let capacity = needed.max(2 * body.capacity()).min(most);
            if !self.link.received.grow_to(&self.link.poller.front, capacity) {
                return Err(Rejection::new(503, "there are too many bytes of requests in flight"));
            }
            body.reserve_exact(capacity - body.len());
        }
        Ok(())
    }
}

impl<A: App> Drop for BodyRoom<'_, A> {
    fn drop(&mut self) {
        self.link.received.shrink_to(&self.link.poller.front, 0);
    }
}

/// Reads the body that `head` announces; `input` is what has been read behind the head. What follows the body is in
/// `input` afterwards. It lives no longer than `room`. No body is read for a `refused` connection.
pub(crate) fn read_body<A: App>(
    driver: &mut Driver<'_, A>,
    input: &mut Vec<u8>,
    head: &Head,
    room: &BodyRoom<'_, A>,
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
    let mut body = Vec::new();
    if let Framing::Length(length) = framing {
        // Before the client is told to go on. It is no more than `max_body`.
        let length = length as usize;
        room.grow(&mut body, length.min(BUFFER_BYTES.max(input.len())), length)?;
    }
    if waits_for_continue && input.is_empty() && !driver.write_all(b"HTTP/1.1 100 Continue\r\n\r\n", &[]) {
        return Err(Unread::Gone);
    }
    let mut pace = Pace::default();
    pace.begin(driver.now(), demand(driver, 0));
    match framing {
        Framing::Length(length) => read_length(driver, input, &mut body, length as usize, room, pace)?,
        Framing::Chunked => read_chunked(driver, input, &mut body, room, pace)?,
    }
    Ok(body)
}

fn read_length<A: App>(
    driver: &mut Driver<'_, A>,
    input: &mut Vec<u8>,
    body: &mut Vec<u8>,
    length: usize,
    room: &BodyRoom<'_, A>,
    mut pace: Pace,
) -> Result<(), Unread> {
    let there = input.len().min(length);
    body.extend(input.drain(..there));
    while body.len() < length {
        room.grow(body, body.len() + 1, length)?;
        read_some(driver, body, &mut pace)?;
        if body.len() > length {
            // The room was a little more than was asked for, and the next request has begun.
            input.extend(body.drain(length..));
        }
    }
    Ok(())
}

fn read_chunked<A: App>(
    driver: &mut Driver<'_, A>,
    input: &mut Vec<u8>,
    body: &mut Vec<u8>,
    room: &BodyRoom<'_, A>,
    mut pace: Pace,
) -> Result<(), Unread> {
    let mut decoder = ChunkedDecoder::new();
    loop {
        // More than `input` no body grows by, nor beyond the route's limit.
        let needed = (body.len() + input.len()).min(room.max_body);
        room.grow(body, needed, room.max_body)?;
        let used = decoder.decode(input, body, room.max_body)?;
        input.drain(..used);
        if decoder.is_done() {
            return Ok(());
        }
        if input.capacity() < BUFFER_BYTES {
            *input = driver.link.poller.buffers.take();
        }
        read_some(driver, input, &mut pace)?;
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
                pace.progress(length, driver.now(), demand(driver, driver.link.received.bytes()));
                return Ok(());
            }
            Ok(ReadOutcome::End) | Err(_) => return Err(Unread::Gone),
            Ok(ReadOutcome::Nothing) => {}
        }
        let due = pace.due();
        if driver.now() >= due {
            return Err(Rejection::new(408, "the request's body came too slowly").into());
        }
        driver.wait(Flags::READ | Flags::READ_CLOSED | Flags::BROKEN, due);
    }
}

fn demand<A: App>(driver: &Driver<'_, A>, held: usize) -> Demand {
    Demand::to_send(&driver.link.poller.front.options, held)
}

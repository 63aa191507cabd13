//! Driving a connection: from its first byte, or from when it was resumed, until it parks or ends.

use std::io;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call::{Call, CALLING_INTEREST};
use super::goodbye::Goodbye;
use super::io::{ReadOutcome, Readiness};
use super::link::{Link, Protocol, NEVER, PARKED_INTEREST};
use super::pace::{Demand, WritePace};
use super::turns::Place;
use super::{http, socket};
use crate::net::app::App;
use crate::net::poller::Flags;
use crate::runtime::time::Waiter;

/// How a driver leaves its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// There is nothing to do; the deadline is set.
    Park,
    /// A request is to be answered, or is being answered; there is nothing to do before it has been.
    Call,
    /// The connection has become a WebSocket: go on with that.
    Upgraded,
    /// The connection is at its end and everything has been written: say goodbye and close.
    Close,
    /// The client is gone or is cut off, or there is nothing left to say goodbye for.
    Drop,
}

/// What a connection may do in one turn, before the others of its worker have theirs: so many bytes read or written, or
/// what is as much work. A client that always has more to send would keep the worker for itself otherwise.
const TURN_BYTES: usize = 64 * 1024;

/// The time in an endpoint that is as much work as [`TURN_BYTES`]. Packets that take long to process must not add up to
/// what others hear.
const TURN_TIME: Duration = Duration::from_millis(1);

/// The driver's view of its connection.
pub(crate) struct Driver<'a, A: App> {
    pub(crate) link: &'a Arc<Link<A>>,
    pub(crate) readiness: Readiness,
    waiter: Option<Arc<Waiter>>,
    /// What the clock said when it was last looked at: right before the driver began, after each wait and after what may take
    /// long.
    looked: Instant,
    now: u64,
    /// What has been done in this turn, in bytes. A wait begins a new one.
    worked: usize,
    /// Where it waits for its next turn; `None` until it first does.
    place: Option<Arc<Place>>,
    /// The request that is to be answered once the connection is parked.
    pub(crate) to_answer: Option<Arc<Call<A>>>,
}

/// Drives `link`, whose body lies in it, from `now` until it parks or ends. If it parks for a request, that request's handler
/// is to be run; beside it is when the clock was last looked at.
pub(crate) fn drive<A: App>(link: Arc<Link<A>>, now: Instant) -> Option<(Arc<Call<A>>, Instant)> {
    let mut body = link.body.take()?;
    // With a request that is being answered it has counted as driven all the time.
    if !body.is_calling() {
        link.begin_driving();
    }
    let mut driver = Driver::new(&link, body.readiness, now);
    loop {
        let leave = catch_unwind(AssertUnwindSafe(|| match &mut body.protocol {
            Protocol::Http(state) => http::run(&mut driver, state),
            Protocol::Socket(state) => socket::run(&mut driver, state),
            Protocol::Goodbye(goodbye) => goodbye.run(&mut driver),
        }));
        match leave {
            Ok(Leave::Upgraded) => {
                if let Protocol::Http(state) = &mut body.protocol {
                    match state.take_upgraded() {
                        Some(upgraded) => body.protocol = Protocol::Socket(*upgraded),
                        None => break,
                    }
                }
            }
            Ok(leave @ (Leave::Park | Leave::Call)) => {
                body.readiness = driver.readiness;
                let parks = leave == Leave::Park;
                driver.waiter = None;
                // An endpoint may have had it made as well.
                link.drop_driver_waiter();
                if parks {
                    link.end_driving();
                }
                // The body is in its place before anybody can be told to take it.
                link.body.store(Some(body));
                if link.state.park(if parks { PARKED_INTEREST } else { CALLING_INTEREST }) {
                    return driver.to_answer.take().map(|call| (call, driver.looked));
                }
                body = link.body.take()?;
                if parks {
                    link.begin_driving();
                }
            }
            Ok(Leave::Close) => match Goodbye::begin(&driver) {
                Some(goodbye) => body.protocol = Protocol::Goodbye(goodbye),
                None => break,
            },
            Ok(Leave::Drop) => break,
            Err(_) => {
                // An endpoint, or the application's routing, panicked in this very coroutine.
                match &mut body.protocol {
                    Protocol::Socket(state) => state.fail(&mut driver),
                    Protocol::Http(_) => http::fail(&mut driver),
                    Protocol::Goodbye(_) => break,
                }
                match Goodbye::begin(&driver) {
                    Some(goodbye) => body.protocol = Protocol::Goodbye(goodbye),
                    None => break,
                }
            }
        }
    }
    link.end_driving();
    link.poller.release(&link);
    None
}

impl<'a, A: App> Driver<'a, A> {
    fn new(link: &'a Arc<Link<A>>, readiness: Readiness, looked: Instant) -> Driver<'a, A> {
        let now = link.poller.millis_at(looked);
        Driver { link, readiness, waiter: None, looked, now, worked: 0, place: None, to_answer: None }
    }

    /// Looks at the clock; how long the last look is ago.
    pub(crate) fn look_at_clock(&mut self) -> Duration {
        let before = std::mem::replace(&mut self.looked, Instant::now());
        self.now = self.link.poller.millis_at(self.looked);
        self.looked - before
    }

    /// Takes in what has happened to the socket and returns the flags that are left.
    pub(crate) fn take_flags(&mut self) -> Flags {
        let flags = self.link.state.take(Flags::ALL);
        self.readiness.note(flags);
        flags
    }

    /// The poller's clock in milliseconds, as of the last look.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// The instant of the last look.
    pub(crate) fn instant(&self) -> Instant {
        self.looked
    }

    /// Suspends until any of `interest` has happened, or `deadline` (of the poller's clock) has passed.
    pub(crate) fn wait(&mut self, interest: Flags, deadline: u64) {
        self.link.set_deadline(deadline);
        let waiter = self.waiter.get_or_insert_with(|| self.link.driver_waiter());
        let interest = if deadline == NEVER { interest } else { interest | Flags::TIMER };
        if self.link.state.wait(interest) {
            // A waiter may return early; the state tells whether somebody woke this driver.
            while !self.link.state.is_driven() {
                let _ = waiter.park(None);
            }
            self.worked = 0;
            self.look_at_clock();
        }
    }

    /// Reads into `buffer`, which has room.
    pub(crate) fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<ReadOutcome> {
        let outcome = self.link.socket.with(|socket| self.readiness.read(socket, buffer));
        if let Ok(ReadOutcome::Bytes(length)) = outcome {
            self.count_work(length);
        }
        outcome
    }

    /// Writes what it can of `head` and, after it, `tail`: how many bytes of both.
    pub(crate) fn write(&mut self, head: &[u8], tail: &[u8]) -> io::Result<usize> {
        self.link.socket.with(|socket| self.readiness.write(socket, head, tail))
    }

    /// Counts what is as much work as reading `bytes`, which is done in this turn.
    pub(crate) fn count_work(&mut self, bytes: usize) {
        self.worked = self.worked.saturating_add(bytes);
    }

    /// Counts the time since the last look at the clock as spent in this turn.
    pub(crate) fn count_time(&mut self) {
        let spent = self.look_at_clock();
        let share = spent.as_nanos() * TURN_BYTES as u128 / TURN_TIME.as_nanos();
        self.count_work(usize::try_from(share).unwrap_or(usize::MAX));
    }

    /// Whether the connection has done enough for one turn.
    pub(crate) fn turn_is_over(&self) -> bool {
        self.worked >= TURN_BYTES
    }

    /// Lets the others of this worker have their turn, and begins a new one.
    pub(crate) fn end_turn(&mut self) {
        self.worked = 0;
        self.link.poller.turns.wait(self.place.get_or_insert_with(Place::new));
        self.look_at_clock();
    }

    /// Lets the others of this worker have their turn if this connection's is over.
    pub(crate) fn share_worker(&mut self) {
        if self.turn_is_over() {
            self.end_turn();
        }
    }

    /// Writes all of `head` and `tail`, waiting as it must. `false`: the client is gone, or reads too slowly.
    pub(crate) fn write_all(&mut self, head: &[u8], tail: &[u8]) -> bool {
        let (mut done, total) = (0, head.len() + tail.len());
        let mut pace = WritePace::default();
        let mut tried_late = false;
        loop {
            let head_left = &head[done.min(head.len())..];
            let tail_left = &tail[done.saturating_sub(head.len())..];
            let head_piece = &head_left[..head_left.len().min(TURN_BYTES)];
            let tail_piece = &tail_left[..tail_left.len().min(TURN_BYTES - head_piece.len())];
            let piece = head_piece.len() + tail_piece.len();
            let Ok(written) = self.write(head_piece, tail_piece) else { return false };
            done += written;
            self.count_work(written);
            if done == total {
                return true;
            }
            // All of it is held until the last byte has gone.
            let demand = Demand::to_read(&self.link.poller.front.options, total);
            pace.note(written, written < piece, self.now(), demand);
            if written == piece {
                self.share_worker();
                continue;
            }
            let due = pace.due();
            if self.readiness.is_broken() || tried_late && self.now() >= due {
                return false;
            }
            tried_late = self.now() >= due;
            if tried_late {
                // The kernel says that there is room only once much of its buffer is free; less is progress as well.
                self.readiness.note(Flags::WRITE);
                continue;
            }
            self.wait(Flags::WRITE | Flags::BROKEN, due);
            self.take_socket_flags();
        }
    }

    /// Takes in what has happened to the socket, and leaves the rest for later.
    pub(crate) fn take_socket_flags(&mut self) -> Flags {
        let kept = Flags::SHUTDOWN | Flags::QUEUE;
        let flags = self.link.state.take(Flags::ALL.without(kept));
        self.readiness.note(flags);
        flags
    }
}

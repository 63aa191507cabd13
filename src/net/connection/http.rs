//! An HTTP connection: requests in, one after the other, and their answers out.

use std::sync::atomic::Ordering;

use super::body::{read_body, BodyRoom, Unread};
use super::call::{call, Outcome, Pending};
use super::driver::{Driver, Leave};
use super::io::ReadOutcome;
use super::link::NEVER;
use super::poller::millis;
use super::socket::SocketState;
use crate::net::app::App;
use crate::net::buffers::BUFFER_BYTES;
use crate::net::http::{
    parse_head, write_response_head, Head, HeadLimits, Rejection, Request, Response, ResponseContext, Version,
};
use crate::net::options::NetOptions;
use crate::net::poller::Flags;
use crate::net::websocket::{accept_upgrade, wants_upgrade};
use crate::runtime::Ended;

/// A response's body up to this size is sent from one buffer with its head.
const SMALL_BODY: usize = 4 * 1024;
/// A request counts as so many bytes of its connection's turn.
const REQUEST_WORK: usize = 1024;

/// What an HTTP connection keeps between its drivers.
pub(crate) struct HttpState<A: App> {
    /// What has been read and not been used: nothing between two requests.
    input: Vec<u8>,
    /// When the head that is under way must be complete, in the poller's milliseconds; [`NEVER`] between two requests.
    head_due: u64,
    /// When the next request must have begun; [`NEVER`] while one is under way.
    idle_due: u64,
    /// There are too many connections: the first request gets 503.
    refused: bool,
    /// Boxed, or every connection would have room for both protocols twice.
    upgraded: Option<Box<SocketState<A::Socket>>>,
    /// The request that is being answered.
    pending: Option<Pending<A>>,
}

/// What was asked, as far as the answer is written by it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    route: &'static str,
    closing: ResponseContext,
    staying: ResponseContext,
    /// The client wants the connection to go on, and may have that.
    to_stay: bool,
}

impl<A: App> HttpState<A> {
    /// A connection whose first request must have begun by `idle_due`, in the poller's milliseconds.
    pub(crate) fn new(idle_due: u64, refused: bool) -> HttpState<A> {
        HttpState { input: Vec::new(), head_due: NEVER, idle_due, refused, upgraded: None, pending: None }
    }

    /// Whether a request is being answered.
    pub(crate) fn is_calling(&self) -> bool {
        self.pending.is_some()
    }

    /// The first byte of a head is there.
    fn begin_head(&mut self, now: u64, options: &NetOptions) {
        self.idle_due = NEVER;
        self.head_due = now + millis(options.head_timeout);
    }

    /// The WebSocket that the connection has become.
    pub(crate) fn take_upgraded(&mut self) -> Option<Box<SocketState<A::Socket>>> {
        self.upgraded.take()
    }
}

/// What becomes of the connection after one request.
enum Next {
    Request,
    Leave(Leave),
}

/// Serves requests until there is none to be read, or one is to be answered.
pub(crate) fn run<A: App>(driver: &mut Driver<'_, A>, state: &mut HttpState<A>) -> Leave {
    let options = &driver.link.poller.front.options;
    let limits = HeadLimits { max_bytes: options.max_head_bytes, max_target: options.max_target_bytes };
    let mut unparsed = !state.input.is_empty();
    if let Some(mut pending) = state.pending.take() {
        let Some(outcome) = pending.outcome(driver) else {
            state.pending = Some(pending);
            return Leave::Call;
        };
        let room = BodyRoom::of_answered(driver.link);
        let next = conclude(driver, outcome, pending.asked(), &room);
        drop(room);
        match next {
            Next::Request => unparsed = go_on(driver, state),
            Next::Leave(leave) => return leave_with(driver, state, leave),
        }
    }
    loop {
        if unparsed {
            match parse_head(&state.input, limits) {
                Ok(Some((head, length))) => {
                    state.input.drain(..length);
                    state.head_due = NEVER;
                    match serve(driver, state, head) {
                        Next::Request => {
                            unparsed = go_on(driver, state);
                            continue;
                        }
                        Next::Leave(leave) => return leave_with(driver, state, leave),
                    }
                }
                Ok(None) => {}
                Err(rejection) => return reject(driver, rejection),
            }
        }
        match read_more(driver, state) {
            Ok(true) => unparsed = true,
            Ok(false) => return rest(driver, state),
            Err(leave) => return leave,
        }
    }
}

/// A request has been answered. Whether the next one has begun.
fn go_on<A: App>(driver: &mut Driver<'_, A>, state: &mut HttpState<A>) -> bool {
    driver.count_work(REQUEST_WORK);
    driver.share_worker();
    let has_begun = !state.input.is_empty();
    if has_begun {
        state.begin_head(driver.now(), &driver.link.poller.front.options);
    }
    has_begun
}

fn leave_with<A: App>(driver: &Driver<'_, A>, state: &mut HttpState<A>, leave: Leave) -> Leave {
    // Behind a request that is being answered there may be the next one.
    if leave != Leave::Call || state.input.is_empty() {
        driver.link.poller.buffers.give(std::mem::take(&mut state.input));
    }
    leave
}

/// Reads what there is. `Ok(false)`: nothing just now.
fn read_more<A: App>(driver: &mut Driver<'_, A>, state: &mut HttpState<A>) -> Result<bool, Leave> {
    driver.take_socket_flags();
    if !driver.readiness.may_read() {
        return Ok(false);
    }
    if state.input.capacity() == 0 {
        state.input = driver.link.poller.buffers.take();
    } else if state.input.len() == state.input.capacity() {
        // A head of more than a buffer's size, or one that a parked connection kept in just the room it needed.
        state.input.reserve(BUFFER_BYTES);
    }
    match driver.read(&mut state.input) {
        Ok(ReadOutcome::Bytes(_)) => {
            if state.head_due == NEVER {
                state.begin_head(driver.now(), &driver.link.poller.front.options);
            }
            Ok(true)
        }
        Ok(ReadOutcome::Nothing) => Ok(false),
        // Also in the middle of a head: there is nobody to tell.
        Ok(ReadOutcome::End) | Err(_) => Err(Leave::Drop),
    }
}

/// There is nothing to read.
fn rest<A: App>(driver: &mut Driver<'_, A>, state: &mut HttpState<A>) -> Leave {
    let front = &driver.link.poller.front;
    let now = driver.now();
    if driver.readiness.is_broken() {
        return Leave::Drop;
    }
    let input = std::mem::take(&mut state.input);
    if !input.is_empty() {
        // In the middle of a head. A slow client holds no coroutine, and no more memory than it has sent.
        state.input = input.as_slice().into();
        driver.link.poller.buffers.give(input);
        // In this order: the flag is set before the signal.
        driver.link.state.take(Flags::TIMER | Flags::QUEUE | Flags::SHUTDOWN);
        if front.closing.load(Ordering::Acquire) {
            // What trickles in later makes it no later.
            state.head_due = state.head_due.min(now + millis(front.options.close_timeout));
        }
        if now >= state.head_due {
            return reject(driver, Rejection::new(408, "the request's head took too long"));
        }
        driver.link.set_deadline(state.head_due);
        return Leave::Park;
    }
    driver.link.poller.buffers.give(input);
    // In this order: the flag is set before the signal.
    driver.link.state.take(Flags::TIMER | Flags::QUEUE | Flags::SHUTDOWN);
    if front.closing.load(Ordering::Acquire) {
        return Leave::Close;
    }
    if state.idle_due == NEVER {
        state.idle_due = now + millis(front.options.keep_alive);
    }
    if now >= state.idle_due {
        // There is no answer that it could lose: the last one is as old as it has been silent.
        return Leave::Drop;
    }
    driver.link.set_deadline(state.idle_due);
    Leave::Park
}

/// Reads the rest of one request and has it answered, or answers it.
fn serve<A: App>(driver: &mut Driver<'_, A>, state: &mut HttpState<A>, head: Head) -> Next {
    let link = driver.link;
    let front = &link.poller.front;
    front.counters.requests.fetch_add(1, Ordering::Relaxed);
    let path = crate::net::http::path_of(&head.target);
    let limits = front.app.route_limits(&head.method, path);
    let room = BodyRoom::new(driver.link, limits.max_body);
    let body = match read_body(driver, &mut state.input, &head, &room, state.refused) {
        Ok(body) => body,
        Err(Unread::Rejected(rejection)) => return Next::Leave(reject(driver, rejection)),
        Err(Unread::Gone) => return Next::Leave(Leave::Drop),
    };
    let request = Request::from_head(head, body, driver.link.peer);
    let context = |keep_alive: bool| ResponseContext::new(request.method(), request.version(), keep_alive);
    let asked = Asked {
        route: limits.name,
        closing: context(false),
        staying: context(true),
        to_stay: stays(&request) && !state.refused,
    };

    let response = if state.refused {
        overloaded("there are too many connections")
    } else if wants_upgrade(&request) && front.closing.load(Ordering::Acquire) {
        // A WebSocket that began now would not hear of the shutdown, which may have been said to this connection already.
        overloaded("the server shuts down")
    } else if wants_upgrade(&request) {
        match accept_upgrade(&request).and_then(|accept| Ok((accept, front.app.upgrade(&request)?))) {
            Ok((accept, endpoint)) => {
                let rest = std::mem::take(&mut state.input);
                front.counters.upgrades.fetch_add(1, Ordering::Relaxed);
                let upgraded = SocketState::new(endpoint, rest, driver.now(), &front.options);
                state.upgraded = Some(Box::new(upgraded));
                if !driver.write_all(accept.as_bytes(), &[]) {
                    return Next::Leave(Leave::Drop);
                }
                return Next::Leave(Leave::Upgraded);
            }
            Err(response) => response,
        }
    } else {
        return match call(driver, request, asked, limits) {
            Ok(pending) => {
                room.leave_taken();
                state.pending = Some(pending);
                Next::Leave(Leave::Call)
            }
            Err(outcome) => conclude(driver, outcome, asked, &room),
        };
    };
    answer(driver, &response, asked)
}

/// Sends the answer to one request.
fn answer<A: App>(driver: &mut Driver<'_, A>, response: &Response, asked: Asked) -> Next {
    let keep_alive = asked.to_stay && !driver.link.poller.front.closing.load(Ordering::Acquire);
    if !send(driver, response, if keep_alive { asked.staying } else { asked.closing }) {
        return Next::Leave(Leave::Drop);
    }
    if keep_alive {
        Next::Request
    } else {
        Next::Leave(Leave::Close)
    }
}

/// Sends what the request's handler answered, or what is answered in its stead.
fn conclude<A: App>(
    driver: &mut Driver<'_, A>,
    outcome: Outcome,
    asked: Asked,
    room: &BodyRoom<'_, A>,
) -> Next {
    let counters = &driver.link.poller.front.counters;
    let response = match outcome {
        Outcome::Answered(response) if room.hold_answer(response.body().len()) => response,
        Outcome::Answered(_) => overloaded("there are too many bytes of requests and answers in flight"),
        Outcome::Failed(ended) => {
            counters.failed_requests.fetch_add(1, Ordering::Relaxed);
            tracing::error!(route = asked.route, "a request failed: {ended}");
            let why = match ended {
                Ended::Cancelled => "the request was cancelled\n",
                Ended::Overflowed | Ended::Panicked(_) => "the request failed\n",
            };
            Response::text(500, why)
        }
        Outcome::Expired => {
            counters.expired_requests.fetch_add(1, Ordering::Relaxed);
            Response::text(504, "the request took too long\n")
        }
        Outcome::Refused => overloaded("there are too many requests in flight"),
        Outcome::CutOff => overloaded("the server shuts down"),
        Outcome::Abandoned => return Next::Leave(Leave::Drop),
    };
    answer(driver, &response, asked)
}

fn overloaded(why: &'static str) -> Response {
    Response::text(503, format!("{why}\n")).header("Retry-After", "1")
}

/// RFC 9112, section 9.3.
fn stays(request: &Request) -> bool {
    let connection = |token| request.headers().has_token("connection", token);
    match request.version() {
        Version::Http11 => !connection("close"),
        Version::Http10 => connection("keep-alive") && !connection("close"),
    }
}

fn send<A: App>(driver: &mut Driver<'_, A>, response: &Response, context: ResponseContext) -> bool {
    let mut head = driver.link.poller.buffers.take();
    let has_body = write_response_head(&mut head, response, context);
    let body: &[u8] = if has_body { response.body() } else { &[] };
    let sent = if body.len() <= SMALL_BODY {
        head.extend_from_slice(body);
        driver.write_all(&head, &[])
    } else {
        driver.write_all(&head, body)
    };
    driver.link.poller.buffers.give(head);
    sent
}

/// Answers what is no request that can be served, and closes: where the next one would begin is not known.
fn reject<A: App>(driver: &mut Driver<'_, A>, rejection: Rejection) -> Leave {
    driver.link.poller.front.counters.rejected_requests.fetch_add(1, Ordering::Relaxed);
    let response = match rejection.status {
        503 => overloaded(rejection.reason),
        status => Response::text(status, format!("{}\n", rejection.reason)),
    };
    if send(driver, &response, ResponseContext::CLOSING) {
        Leave::Close
    } else {
        Leave::Drop
    }
}

/// The application panicked outside of a request's handler: in its routing, or in an upgrade.
pub(crate) fn fail<A: App>(driver: &mut Driver<'_, A>) {
    driver.link.poller.front.counters.failed_requests.fetch_add(1, Ordering::Relaxed);
    send(driver, &Response::text(500, "the request failed\n"), ResponseContext::CLOSING);
}

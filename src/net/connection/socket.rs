//! A WebSocket connection: messages in, what the endpoint and others send out.

use std::sync::Arc;

use super::driver::{Driver, Leave};
use super::io::ReadOutcome;
use super::link::{Link, NEVER};
use super::pace::Demand;
use super::poller::millis;
use super::transport::Transport;
use crate::net::app::App;
use crate::net::endpoint::{CloseCode, Closed, Endpoint, Flow, Message, Outbox};
use crate::net::handle::{ConnectionHandle, Recipient};
use crate::net::options::NetOptions;
use crate::net::poller::{Flags, TICK_MS};
use crate::net::websocket::{
    encode_close, encode_message, encode_ping, encode_pong, frame_len, Incoming, Violation, NO_ROOM,
};

/// So many frames in a row, then others have their turn.
const FRAMES_IN_A_ROW: usize = 64;
/// So often in a row the output is filled from the queue, then the client is read from.
const QUEUE_ROUNDS: usize = 4;
/// Answers to messages that came together are sent together, up to about so many bytes.
const BATCH_BYTES: usize = 16 * 1024;

/// So much in all the kernel has surely sent, and does not keep for a client that reads nothing: it fits the least window
/// that one has.
const SURELY_SENT: u16 = 1_024;

/// What a WebSocket connection keeps between its drivers. It is small: an idle connection has nothing but this.
pub(crate) struct SocketState<S> {
    core: Core<S>,
    /// `None` while nothing is under way and nobody drives.
    transport: Option<Box<Transport>>,
}

/// What it always keeps.
struct Core<S> {
    endpoint: S,
    is_open: bool,
    pinged: bool,
    /// How many bytes have been written, or the most that can be told.
    written: u16,
    /// Set once the connection is to end: why, and until when the client may take its part in it.
    closing: Option<Closing>,
    /// When the client was last heard of, in the poller's milliseconds.
    heard: u64,
}

/// The message that has begun comes in too slowly.
const TOO_SLOW: Violation = Violation { code: CloseCode::Policy, reason: "the message came too slowly" };

struct Closing {
    why: Closed,
    due: u64,
    client: ClientsPart,
}

/// The client's part in the closing of the connection: a close frame of its own, after which it sends nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ClientsPart {
    Awaited,
    Done,
    /// What it sends can't be told apart any more.
    Waived,
}

impl<S: Endpoint> SocketState<S> {
    /// A connection that has just been upgraded; `input` came with the handshake.
    pub(crate) fn new(endpoint: S, input: Vec<u8>, now: u64, options: &NetOptions) -> SocketState<S> {
        let transport = Transport::new(endpoint.max_message(), input, options);
        SocketState {
            core: Core { endpoint, is_open: false, pinged: false, written: 0, closing: None, heard: now },
            transport: Some(Box::new(transport)),
        }
    }

    /// The endpoint panicked: tells the client as well as it can. The endpoint is not called again.
    pub(crate) fn fail<A: App<Socket = S>>(&mut self, driver: &mut Driver<'_, A>) {
        let Some(transport) = &mut self.transport else { return };
        transport.append_control(|output| encode_close(output, Some(CloseCode::Error), "the server failed"));
        driver.write_all(transport.output.unwritten(), &[]);
    }
}

/// What to do next.
enum Step {
    Leave(Leave),
    Again,
    Idle,
}

/// The driver's part that does not outlive it.
struct Session<'d, 'l, A: App> {
    driver: &'d mut Driver<'l, A>,
    state: &'d mut Core<A::Socket>,
    transport: &'d mut Transport,
    held: <A::Socket as Endpoint>::Held,
    outbox: Outbox,
    close_timeout: u64,
}

/// Drives the connection until it parks or ends.
pub(crate) fn run<A: App>(driver: &mut Driver<'_, A>, state: &mut SocketState<A::Socket>) -> Leave {
    let weak: std::sync::Weak<Link<A>> = Arc::downgrade(driver.link);
    let close_timeout = millis(driver.link.poller.front.options.close_timeout);
    let outbox = Outbox::of(ConnectionHandle::new(weak as std::sync::Weak<dyn Recipient>));
    let held = Default::default();
    let SocketState { core: state, transport } = state;
    let options = &driver.link.poller.front.options;
    let leave = {
        let transport = transport.get_or_insert_with(|| {
            Box::new(Transport::new(state.endpoint.max_message(), Vec::new(), options))
        });
        Session { driver, state, transport, held, outbox, close_timeout }.run()
    };
    if leave == Leave::Park {
        *transport = transport.take().and_then(Transport::laid_aside);
    }
    leave
}

impl<A: App> Session<'_, '_, A> {
    fn run(mut self) -> Leave {
        if !self.state.is_open {
            self.state.is_open = true;
            self.state.endpoint.open(&mut self.outbox);
            self.encode_outbox();
        }
        loop {
            match self.turn() {
                Step::Leave(leave) => return self.end(leave),
                Step::Again => self.driver.end_turn(),
                Step::Idle => {
                    if let Some(leave) = self.rest() {
                        return leave;
                    }
                }
            }
        }
    }

    /// Does all there is to do just now.
    fn turn(&mut self) -> Step {
        let flags = self.driver.take_flags();
        let now = self.driver.now();
        if flags.intersects(Flags::SHUTDOWN) {
            self.close(now, Some(CloseCode::Away), "the server shuts down", Closed::Shutdown);
        }
        if self.write_is_due(now) {
            // The kernel says that there is room only once much of its buffer is free; less is progress as well.
            self.driver.readiness.note(Flags::WRITE);
        }
        let mut rounds = 0;
        while rounds < QUEUE_ROUNDS {
            let moved = self.encode_queue();
            if !self.flush() {
                return Step::Leave(Leave::Drop);
            }
            if !moved {
                break;
            }
            rounds += 1;
        }
        let was_late = self.client_is_late(now);
        if was_late {
            // Not before it has been looked at what came meanwhile: perhaps it was this worker that was late.
            self.driver.readiness.note(Flags::READ);
        }
        let step = match self.read_messages() {
            Ok(Step::Leave(leave)) => return Step::Leave(leave),
            // There may be more in the queue, and the flag that says so has been taken.
            Ok(Step::Idle) if rounds == QUEUE_ROUNDS => Step::Again,
            Ok(step) => step,
            Err(violation) => {
                self.transport.decoder.abandon();
                self.driver.link.received.shrink_to(&self.driver.link.poller.front, 0);
                let why = match violation {
                    NO_ROOM => Closed::NoRoom,
                    Violation { code, .. } => Closed::ProtocolError(code),
                };
                self.close(self.driver.now(), Some(violation.code), violation.reason, why);
                self.settle_clients_part(ClientsPart::Waived);
                Step::Again
            }
        };
        // What is still to be read may be the sign of life that was missed: the next turn begins with it.
        let may_be_silent = was_late || matches!(step, Step::Idle);
        self.keep_time(self.driver.now(), may_be_silent).unwrap_or(step)
    }

    fn close(&mut self, now: u64, code: Option<CloseCode>, reason: &str, why: Closed) {
        if self.state.closing.is_none() {
            self.transport.append_control(|output| encode_close(output, code, reason));
            self.state.closing =
                Some(Closing { why, due: now + self.close_timeout, client: ClientsPart::Awaited });
        }
    }

    fn settle_clients_part(&mut self, part: ClientsPart) {
        if let Some(closing) = &mut self.state.closing {
            closing.client = part;
        }
    }

    /// Moves what others sent into the output, as far as there is room. Whether there was anything.
    fn encode_queue(&mut self) -> bool {
        let limit = self.driver.link.poller.front.options.max_unsent_bytes;
        let mut moved = false;
        while self.state.closing.is_none() && self.transport.output.len() < limit {
            let Some(message) = self.driver.link.pop_message() else { break };
            self.encode(&message);
            moved = true;
        }
        moved
    }

    fn encode_outbox(&mut self) {
        while let Some(message) = self.outbox.pop() {
            if self.state.closing.is_none() {
                self.encode(&message);
            }
        }
    }

    /// Puts `message` into the output, or closes the connection if there is no room for it.
    fn encode(&mut self, message: &Message) {
        let link = self.driver.link;
        let grant = |excess| link.unsent.grow_to(&link.poller.front, excess);
        let encode = |output: &mut Vec<u8>| encode_message(output, message);
        if !self.transport.output.append(frame_len(message), grant, encode) {
            self.close(self.driver.now(), Some(NO_ROOM.code), NO_ROOM.reason, Closed::NoRoom);
        }
    }

    /// Writes what it can. `false`: the client is gone.
    fn flush(&mut self) -> bool {
        let transport = &mut *self.transport;
        if transport.output.len() == 0 {
            return true;
        }
        let Ok(written) = self.driver.write(transport.output.unwritten(), &[]) else { return false };
        transport.output.advance(written);
        self.state.written = self.state.written.saturating_add(written.try_into().unwrap_or(u16::MAX));
        if transport.output.len() == 0 {
            transport.pace.end();
        } else {
            let demand = Demand::to_read(&self.driver.link.poller.front.options, transport.output.excess());
            transport.pace.note(written, true, self.driver.now(), demand);
        }
        let link = self.driver.link;
        link.unsent.shrink_to(&link.poller.front, transport.output.excess());
        true
    }

    /// Whether the client has read too little of what waits for it.
    fn write_is_due(&self, now: u64) -> bool {
        self.transport.pace.due() <= now
    }

    /// Whether something depends on that nothing has come from the client until `now`.
    fn client_is_late(&self, now: u64) -> bool {
        let options = &self.driver.link.poller.front.options;
        let silent = now.saturating_sub(self.state.heard);
        silent >= millis(options.ping_after.min(options.socket_idle))
            || self.transport.receiving.due() <= now
            || self.endpoint_deadline().is_some_and(|deadline| deadline <= now)
    }

    /// Sees to everything that depends on the time; only if `may_be_silent` to what depends on that nothing has come.
    fn keep_time(&mut self, now: u64, may_be_silent: bool) -> Option<Step> {
        let options = &self.driver.link.poller.front.options;
        let (ping_after, idle) = (millis(options.ping_after), millis(options.socket_idle));
        if self.write_is_due(now) {
            // The kernel says that there is room only once much of its buffer is free; less is progress as well.
            self.driver.readiness.note(Flags::WRITE);
            if !self.flush() {
                return Some(Step::Leave(Leave::Drop));
            }
        }
        if self.write_is_due(now) {
            self.state
                .closing
                .get_or_insert(Closing { why: Closed::WriteStall, due: now, client: ClientsPart::Awaited })
                .why = Closed::WriteStall;
            return Some(Step::Leave(Leave::Drop));
        }
        if let Some(closing) = &self.state.closing {
            let all_written = self.transport.output.len() == 0;
            let is_awaited = closing.client == ClientsPart::Awaited || !all_written;
            if is_awaited && now < closing.due {
                return None;
            }
            // Where nothing is unread or unsent, there is nothing for which the socket would have to linger. What is unsent
            // would leave all limits with it, and be thrown away by the kernel at the next pong of the client.
            let is_over = closing.client == ClientsPart::Done
                && !self.has_more_to_read()
                && self.state.written <= SURELY_SENT;
            return Some(Step::Leave(if all_written && !is_over { Leave::Close } else { Leave::Drop }));
        }
        if !may_be_silent {
            return None;
        }
        let silent = now.saturating_sub(self.state.heard);
        if silent >= idle {
            self.close(now, Some(CloseCode::Away), "silent for too long", Closed::IdleTimeout);
            return Some(Step::Again);
        }
        if silent >= ping_after && !self.state.pinged {
            self.state.pinged = true;
            self.transport.append_control(encode_ping);
            return Some(Step::Again);
        }
        if self.endpoint_deadline().is_some_and(|deadline| deadline <= now) {
            let now = self.driver.instant();
            let flow = self.state.endpoint.on_deadline(now, &mut self.held, &mut self.outbox);
            self.driver.count_time();
            self.after_call(flow);
            return Some(Step::Again);
        }
        None
    }

    fn endpoint_deadline(&self) -> Option<u64> {
        let deadline = self.state.endpoint.next_deadline(&self.held)?;
        Some(self.driver.link.poller.millis_of(deadline))
    }

    fn after_call(&mut self, flow: Flow) {
        self.encode_outbox();
        if let Flow::Close(code, reason) = flow {
            let now = self.driver.now();
            self.close(now, Some(code), &reason, Closed::ByEndpoint(code));
        }
    }

    /// Reads and handles messages until there are no more, or it is others' turn.
    fn read_messages(&mut self) -> Result<Step, Violation> {
        let limit = self.driver.link.poller.front.options.max_unsent_bytes;
        // Frames, not messages: a client may send fragments, even empty ones, without end.
        let mut handled = 0;
        loop {
            if self.state.closing.as_ref().is_some_and(|closing| closing.client != ClientsPart::Awaited) {
                if !self.flush() {
                    return Ok(Step::Leave(Leave::Drop));
                }
                return Ok(if self.transport.output.len() == 0 { Step::Again } else { Step::Idle });
            }
            if self.transport.output.len() >= limit {
                // The client has to read first. When it does there is an edge.
                return Ok(Step::Idle);
            }
            // Who has nothing more to do does not wait in line for doing nothing, behind those who have.
            if (handled >= FRAMES_IN_A_ROW || self.driver.turn_is_over()) && self.has_more_to_read() {
                return Ok(if self.flush() { Step::Again } else { Step::Leave(Leave::Drop) });
            }
            let mut rest = &self.transport.input[self.transport.decoded..];
            let before = rest.len();
            let link = self.driver.link;
            let grant = |charge| link.received.grow_to(&link.poller.front, charge);
            let found = self.transport.decoder.decode(&mut rest, grant)?;
            self.transport.decoded += before - rest.len();
            match found {
                Some(incoming) => {
                    handled += 1;
                    if !self.transport.decoder.is_amid() {
                        self.transport.receiving.end();
                    }
                    self.handle(incoming);
                    // The message has gone, or lies in the output.
                    self.driver
                        .link
                        .received
                        .shrink_to(&self.driver.link.poller.front, self.transport.decoder.charge());
                    // What works for its answer is worth sending at once; mere echoes go together.
                    let at_once = self.state.endpoint.must_stay(&self.held);
                    if (at_once || self.transport.output.len() >= BATCH_BYTES) && !self.flush() {
                        return Ok(Step::Leave(Leave::Drop));
                    }
                }
                None => {
                    if !self.flush() {
                        return Ok(Step::Leave(Leave::Drop));
                    }
                    if self.transport.decoder.is_amid() {
                        let demand = self.demand_on_sender();
                        self.transport.receiving.begin(self.driver.now(), demand);
                    }
                    if let Some(step) = self.read_more() {
                        let due = self.transport.receiving.due();
                        let is_late = due != NEVER && matches!(step, Step::Idle) && due <= self.driver.now();
                        return if is_late { Err(TOO_SLOW) } else { Ok(step) };
                    }
                }
            }
        }
    }

    fn has_more_to_read(&self) -> bool {
        self.transport.decoded < self.transport.input.len() || self.driver.readiness.may_read()
    }

    fn demand_on_sender(&self) -> Demand {
        Demand::to_send(&self.driver.link.poller.front.options, self.transport.decoder.charge())
    }

    /// Reads once into an empty buffer; `None`: there is something.
    fn read_more(&mut self) -> Option<Step> {
        self.transport.decoded = 0;
        self.transport.input.clear();
        self.driver.take_socket_flags();
        if !self.driver.readiness.may_read() {
            self.give_input_back();
            return Some(if self.driver.readiness.is_broken() {
                Step::Leave(Leave::Drop)
            } else {
                Step::Idle
            });
        }
        if self.transport.input.capacity() == 0 {
            self.transport.input = self.driver.link.poller.buffers.take();
        }
        match self.driver.read(&mut self.transport.input) {
            Ok(ReadOutcome::Bytes(length)) => {
                self.state.heard = self.driver.now();
                self.state.pinged = false;
                let demand = self.demand_on_sender();
                self.transport.receiving.progress(length, self.state.heard, demand);
                None
            }
            Ok(ReadOutcome::Nothing) => {
                self.give_input_back();
                Some(Step::Idle)
            }
            Ok(ReadOutcome::End) | Err(_) => Some(Step::Leave(Leave::Drop)),
        }
    }

    fn give_input_back(&mut self) {
        self.driver.link.poller.buffers.give(std::mem::take(&mut self.transport.input));
    }

    fn handle(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Message(message) if self.state.closing.is_none() => {
                let flow = self.state.endpoint.message(message, &mut self.held, &mut self.outbox);
                self.driver.count_time();
                self.after_call(flow);
            }
            Incoming::Ping(payload) if self.state.closing.is_none() => {
                self.transport.append_control(|output| encode_pong(output, &payload));
            }
            Incoming::Close(code) => {
                let now = self.driver.now();
                self.close(now, code, "", Closed::ByPeer(code));
                self.settle_clients_part(ClientsPart::Done);
            }
            Incoming::Fragment | Incoming::Message(_) | Incoming::Ping(_) | Incoming::Pong => {}
        }
    }

    /// There is nothing to do: waits, or says that the connection can park.
    fn rest(&mut self) -> Option<Leave> {
        let options = &self.driver.link.poller.front.options;
        let (ping_after, idle) = (millis(options.ping_after), millis(options.socket_idle));
        let limit = options.max_unsent_bytes;
        let now = self.driver.now();
        let mut deadline = self.transport.pace.due();
        match &self.state.closing {
            Some(closing) => deadline = deadline.min(closing.due),
            None => {
                let quiet = if self.state.pinged { idle } else { ping_after.min(idle) };
                deadline = deadline.min(self.state.heard + quiet);
                if self.transport.output.len() < limit {
                    deadline = deadline.min(self.transport.receiving.due());
                }
                if let Some(wanted) = self.endpoint_deadline() {
                    // One that an endpoint leaves in the past must not keep the coroutine spinning.
                    deadline = deadline.min(wanted.max(now + TICK_MS));
                }
            }
        }
        let mut interest =
            Flags::READ | Flags::READ_CLOSED | Flags::BROKEN | Flags::QUEUE | Flags::SHUTDOWN | Flags::TIMER;
        if self.transport.output.len() > 0 {
            interest = interest | Flags::WRITE;
        }
        if self.transport.output.len() >= limit {
            interest = interest.without(Flags::READ | Flags::READ_CLOSED | Flags::QUEUE);
        }
        let must_stay = self.transport.output.len() > 0
            || self.state.closing.is_some()
            || !self.transport.input.is_empty()
            || self.state.endpoint.must_stay(&self.held);
        if must_stay {
            self.driver.wait(interest, deadline);
            return None;
        }
        self.driver.link.set_deadline(deadline);
        Some(Leave::Park)
    }

    /// Tells the endpoint how it ended.
    fn end(self, leave: Leave) -> Leave {
        let Session { driver, state, transport, held, .. } = self;
        drop(held);
        driver.link.close_queue();
        let why = state.closing.take().map_or(Closed::Gone, |closing| closing.why);
        state.endpoint.closed(why);
        driver.link.poller.buffers.give(std::mem::take(&mut transport.input));
        leave
    }
}

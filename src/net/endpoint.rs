//! One WebSocket's protocol, as the connection that carries it sees it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
pub use tungstenite::protocol::frame::coding::CloseCode;
pub use tungstenite::Utf8Bytes;

use super::handle::ConnectionHandle;
use crate::runtime::time::Waiter;
use crate::runtime::Interrupt;

/// One whole WebSocket message. Cloning it copies no payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// UTF-8 text.
    Text(Utf8Bytes),
    /// Bytes.
    Binary(Bytes),
}

impl Message {
    /// A text message.
    pub fn text(text: impl Into<Utf8Bytes>) -> Message {
        Message::Text(text.into())
    }

    /// A binary message.
    pub fn binary(bytes: impl Into<Bytes>) -> Message {
        Message::Binary(bytes.into())
    }

    /// The payload.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Message::Text(text) => text.as_str().as_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }

    /// The payload's length in bytes.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Whether the connection goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    Continue,
    /// It is closed with this code and this reason (cut at 123 bytes) once what the outbox holds has been sent.
    Close(CloseCode, Utf8Bytes),
}

impl Flow {
    /// Close with `code` and `reason`.
    pub fn close(code: CloseCode, reason: impl Into<Utf8Bytes>) -> Flow {
        Flow::Close(code, reason.into())
    }
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The client closed it, with this code if it gave one.
    ByPeer(Option<CloseCode>),
    /// The endpoint did, through [`Flow::Close`].
    ByEndpoint(CloseCode),
    /// The client broke the protocol or a limit and was told so with this code.
    ProtocolError(CloseCode),
    /// The client vanished without a closing handshake.
    Gone,
    /// There was no room for a message beside those of the others: see
    /// [`NetOptions::max_buffered_bytes`](super::NetOptions::max_buffered_bytes). The client was told 1013.
    NoRoom,
    /// The client was silent, and did not answer a ping either.
    IdleTimeout,
    /// The client did not read what was sent to it.
    WriteStall,
    /// The server shuts down.
    Shutdown,
}

/// One WebSocket's protocol: what a connection calls on its behalf.
///
/// The endpoint lives on the heap with its connection and survives parking. All calls for one connection
/// come one at a time, from whatever coroutine drives it just then.
pub trait Endpoint: Send + 'static {
    /// What only a driven connection may hold: for audio a lease. It lives on the driver's stack, starts as its
    /// default with every driver and is dropped before the connection parks. It need not be `Send`.
    type Held: Default;

    /// The largest message in bytes that is read; a larger one closes the connection with 1009.
    fn max_message(&self) -> usize;

    /// The connection is open. Without an implementation, nothing is said first.
    fn open(&mut self, _out: &mut Outbox) {}

    /// A whole message came. May block the coroutine by the runtime's means (a pool's checkout, best under
    /// [`Outbox::unless_client_leaves`]).
    fn message(&mut self, message: Message, held: &mut Self::Held, out: &mut Outbox) -> Flow;

    /// Whether the coroutine must stay although there is nothing to do: something is held. Without an implementation, never.
    fn must_stay(&self, _held: &Self::Held) -> bool {
        false
    }

    /// When [`Endpoint::on_deadline`] is to be called, at the latest; it is called up to a few hundred
    /// milliseconds later, for the timer wheel is coarse. Asked anew after every call. Without an implementation, never.
    fn next_deadline(&self, _held: &Self::Held) -> Option<Instant> {
        None
    }

    /// The deadline has passed.
    fn on_deadline(&mut self, _now: Instant, _held: &mut Self::Held, _out: &mut Outbox) -> Flow {
        Flow::Continue
    }

    /// The connection has ended. Not called when the endpoint itself panicked. One that overflowed its stack is never even
    /// dropped, so what must be given back then belongs into the coroutine's storage
    /// ([`on_end`](crate::runtime::on_end), a lease).
    fn closed(&mut self, _why: Closed) {}
}

/// The client of a detached outbox, which never leaves.
struct Detached;

impl Interrupt for Detached {
    fn is_raised(&self) -> bool {
        false
    }

    fn waiter(&self) -> Arc<Waiter> {
        Waiter::new()
    }
}

/// What an endpoint sends during one call. It is written when the call returns, in order.
///
/// It has no bound of its own: how much one call sends is for the endpoint's own code to bound, for nobody else can put
/// anything in. Between two calls [`NetOptions::max_unsent_bytes`](super::NetOptions::max_unsent_bytes) holds: an
/// endpoint whose client does not read gets no further message.
#[derive(Debug, Default)]
pub struct Outbox {
    messages: VecDeque<Message>,
    handle: Option<ConnectionHandle>,
}

impl Outbox {
    /// An outbox without a connection, for the test of an endpoint.
    pub fn detached() -> Outbox {
        Outbox::default()
    }

    /// The outbox of the connection that `handle` leads to.
    pub(crate) fn of(handle: ConnectionHandle) -> Outbox {
        Outbox { messages: VecDeque::new(), handle: Some(handle) }
    }

    /// Sends `message` after all that was sent before.
    pub fn send(&mut self, message: Message) {
        self.messages.push_back(message);
    }

    /// Sends a text message.
    pub fn text(&mut self, text: impl Into<Utf8Bytes>) {
        self.send(Message::text(text));
    }

    /// Sends a binary message.
    pub fn binary(&mut self, bytes: impl Into<Bytes>) {
        self.send(Message::binary(bytes));
    }

    /// A handle through which anybody, on any thread, can send to this connection; `None` in a detached outbox.
    pub fn handle(&self) -> Option<&ConnectionHandle> {
        self.handle.as_ref()
    }

    /// Calls `wait` with what interrupts it once the client has left: it has finished sending, which of a WebSocket's client
    /// is its end, or the connection is broken. Nobody else notices as long as an endpoint waits in
    /// [`Endpoint::message`], and each that does keeps its socket and its place among the connections. A shutdown that waits
    /// no longer interrupts it as well, so that the client can still be told.
    ///
    /// For a detached outbox there is nothing that interrupts.
    pub fn unless_client_leaves<R>(&self, wait: impl FnOnce(&dyn Interrupt) -> R) -> R {
        match self.handle.as_ref().and_then(ConnectionHandle::recipient) {
            Some(connection) => wait(&*connection as &dyn Interrupt),
            None => wait(&Detached),
        }
    }

    /// The oldest message that has not been written yet.
    pub fn pop(&mut self) -> Option<Message> {
        self.messages.pop_front()
    }

    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}

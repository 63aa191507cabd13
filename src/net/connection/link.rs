//! What of a connection outlives its drivers.

use std::collections::VecDeque;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::Arc;

use crossbeam::atomic::AtomicCell;
use parking_lot::Mutex;

use super::charge::Charge;
use super::goodbye::Goodbye;
use super::http::HttpState;
use super::io::{Readiness, Socket};
use super::poller::Poller;
use super::socket::SocketState;
use crate::net::app::App;
use crate::net::endpoint::Message;
use crate::net::handle::{Recipient, SendError};
use crate::net::poller::{DriveState, Duty, Flags};
use crate::runtime::time::Waiter;
use crate::runtime::Interrupt;

/// No deadline; no reminder in the wheel.
pub(crate) const NEVER: u64 = u64::MAX;

/// A tick of the wheel in 32 bits, which it outgrows after 17 years; later ticks are all the same, and come too early.
pub(crate) struct ShortTick;

impl ShortTick {
    /// None.
    pub(crate) const NEVER: u32 = u32::MAX;

    pub(crate) fn of(tick: u64) -> u32 {
        u32::try_from(tick).unwrap_or(u32::MAX).min(u32::MAX - 1)
    }
}

/// What starts the driver of a parked connection.
pub(crate) const PARKED_INTEREST: Flags = Flags::READ
    .union(Flags::READ_CLOSED)
    .union(Flags::BROKEN)
    .union(Flags::QUEUE)
    .union(Flags::TIMER)
    .union(Flags::SHUTDOWN);

/// The shared part of one connection.
pub(crate) struct Link<A: App> {
    pub(crate) socket: Socket,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) state: DriveState,
    pub(crate) poller: Arc<Poller<A>>,
    /// Its place in the poller's slab, and the generation of that place.
    pub(crate) token: u64,
    /// `Some` while the connection is parked, and until the driver that was started has taken it.
    pub(crate) body: AtomicCell<Option<Box<Body<A>>>>,
    /// Where the driver waits; `None` until it first does.
    waiter: Mutex<Option<Arc<Waiter>>>,
    /// Whether there is one: for the driver, which alone makes it and takes it away.
    has_waiter: AtomicBool,
    /// Messages from elsewhere.
    queue: Mutex<Queue>,
    /// When the driver wants to be reminded, in the poller's milliseconds; [`NEVER`] if not.
    pub(crate) deadline: AtomicU64,
    /// The request's body and then its answer, or the WebSocket message that comes in.
    pub(crate) received: Charge,
    /// What waits to be written to a WebSocket.
    pub(crate) unsent: Charge,
    /// The tick at which the wheel will look at `deadline`, as [`ShortTick`] has it.
    pub(crate) reminder: AtomicU32,
}

/// What others have for the client.
enum Queue {
    /// Nothing: a parked connection holds no room for messages.
    Empty,
    #[expect(
        clippy::box_collection,
        reason = "a connection for which nothing waits, so nearly every one, is to be small"
    )]
    Waiting(Box<VecDeque<Message>>),
    /// Nothing any more: the connection has ended.
    Closed,
}

/// The part of a connection that belongs to its driver.
pub(crate) struct Body<A: App> {
    pub(crate) readiness: Readiness,
    pub(crate) protocol: Protocol<A>,
}

impl<A: App> Body<A> {
    /// Whether a request is being answered.
    pub(crate) fn is_calling(&self) -> bool {
        matches!(&self.protocol, Protocol::Http(state) if state.is_calling())
    }
}

/// What the connection speaks.
pub(crate) enum Protocol<A: App> {
    Http(HttpState<A>),
    Socket(SocketState<A::Socket>),
    /// Nothing any more.
    Goodbye(Goodbye),
}

/// The allocations of an idle connection, its endpoint's own aside.
#[cfg(test)]
pub(crate) struct IdleBytes {
    pub(crate) shared: usize,
    pub(crate) own: usize,
}

#[cfg(test)]
pub(crate) fn idle_bytes<A: App>() -> IdleBytes {
    let counts_of_arc = 2 * size_of::<usize>();
    let endpoint_beyond_a_pointer = size_of::<A::Socket>().saturating_sub(2 * size_of::<usize>());
    IdleBytes {
        shared: counts_of_arc + size_of::<Link<A>>(),
        own: size_of::<Body<A>>() - endpoint_beyond_a_pointer,
    }
}

impl<A: App> Link<A> {
    /// A connection that has just been accepted: parked until its first byte comes.
    pub(crate) fn new(
        socket: TcpStream,
        peer: Option<SocketAddr>,
        token: u64,
        poller: Arc<Poller<A>>,
        body: Body<A>,
    ) -> Link<A> {
        Link {
            socket: Socket::new(socket),
            peer,
            state: DriveState::parked(PARKED_INTEREST),
            poller,
            token,
            body: AtomicCell::new(Some(Box::new(body))),
            waiter: Mutex::new(None),
            has_waiter: AtomicBool::new(false),
            queue: Mutex::new(Queue::Empty),
            deadline: AtomicU64::new(NEVER),
            reminder: AtomicU32::new(ShortTick::NEVER),
            received: Charge::default(),
            unsent: Charge::default(),
        }
    }

    /// Notes that `flags` have happened to it and sees that it is driven if it cares. From any thread.
    pub(crate) fn signal(self: &Arc<Self>, flags: Flags) {
        match self.state.signal(flags) {
            // Its driver may wait for something that is not the socket, and that it wants no more.
            Duty::None if flags.intersects(Flags::LEAVING | Flags::SHUTDOWN) => self.wake_driver(),
            Duty::None => {}
            duty => self.poller.perform(duty, self),
        }
    }

    /// Where its driver waits, which alone asks: made when it first does.
    pub(crate) fn driver_waiter(&self) -> Arc<Waiter> {
        self.has_waiter.store(true, Ordering::Relaxed);
        Arc::clone(self.waiter.lock().get_or_insert_with(Waiter::new))
    }

    /// Takes it away, if there is one: the driver goes.
    pub(crate) fn drop_driver_waiter(&self) {
        if self.has_waiter.load(Ordering::Relaxed) {
            self.has_waiter.store(false, Ordering::Relaxed);
            *self.waiter.lock() = None;
        }
    }

    /// Has its driver look again, should it wait.
    pub(crate) fn wake_driver(&self) {
        let waiter = self.waiter.lock().clone();
        if let Some(waiter) = waiter {
            waiter.unpark();
        }
    }

    /// Has [`Flags::TIMER`] signalled once `deadline` (in the poller's milliseconds) has passed.
    pub(crate) fn set_deadline(&self, deadline: u64) {
        // The poller clears `reminder` before it reads `deadline`; here it is the other way round, so one of the two
        // sees what the other did.
        self.deadline.store(deadline, Ordering::SeqCst);
        let reminder = self.reminder.load(Ordering::SeqCst);
        if deadline != NEVER && ShortTick::of(Poller::<A>::tick_of(deadline)) < reminder {
            self.poller.remind(self, deadline);
        }
    }

    /// The oldest message that somebody else queued.
    pub(crate) fn pop_message(&self) -> Option<Message> {
        let mut queue = self.queue.lock();
        let Queue::Waiting(messages) = &mut *queue else { return None };
        let message = messages.pop_front();
        if messages.is_empty() {
            *queue = Queue::Empty;
        }
        message
    }

    /// A coroutine drives it from now on, or answers its requests.
    pub(crate) fn begin_driving(&self) {
        self.poller.front.counters.driven.fetch_add(1, Ordering::Relaxed);
    }

    /// None does any more.
    pub(crate) fn end_driving(&self) {
        self.poller.front.counters.driven.fetch_sub(1, Ordering::Relaxed);
    }

    /// The connection has ended: closes the socket, gives back what it took, and takes no more messages.
    pub(crate) fn end(&self) {
        self.socket.close();
        self.close_queue();
        self.received.shrink_to(&self.poller.front, 0);
        self.unsent.shrink_to(&self.poller.front, 0);
    }

    /// Takes no more messages.
    pub(crate) fn close_queue(&self) {
        let messages = std::mem::replace(&mut *self.queue.lock(), Queue::Closed);
        drop(messages);
    }

    /// Ends the connection for the client. What is left in the kernel's buffer is still sent.
    pub(crate) fn shut_down(&self) {
        let _ = self.socket.with(|socket| socket.shutdown(Shutdown::Both));
    }
}

/// A handle holds it weakly: it keeps neither the socket open nor the endpoint alive.
impl<A: App> Recipient for Link<A> {
    fn enqueue(self: Arc<Self>, message: Message) -> Result<(), SendError> {
        {
            let limit = self.poller.front.options.max_queued_messages;
            let mut queue = self.queue.lock();
            match &mut *queue {
                Queue::Closed => return Err(SendError::Gone),
                Queue::Waiting(messages) if messages.len() >= limit => {
                    return Err(SendError::QueueFull { queued: messages.len(), limit });
                }
                Queue::Waiting(messages) => messages.push_back(message),
                Queue::Empty => *queue = Queue::Waiting(Box::new(VecDeque::from([message]))),
            }
        }
        self.signal(Flags::QUEUE);
        Ok(())
    }
}

/// Raised once the client has left, or the listener cuts off whom it has waited for. A wait with it takes the place of the
/// driver's own: a driver waits for one thing at a time, and looks again whenever it is woken.
impl<A: App> Interrupt for Link<A> {
    fn is_raised(&self) -> bool {
        self.state.has_left() || self.poller.front.cutting_off.load(Ordering::Acquire)
    }

    fn waiter(&self) -> Arc<Waiter> {
        self.driver_waiter()
    }
}

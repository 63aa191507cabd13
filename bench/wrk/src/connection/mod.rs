//! One client: its socket, its handshake, its messages under way.
//!
//! ```text
//!  Closed ─► Connecting ─► Upgrading ─► Introducing ─► Open ─► (Closing) ─► Closed
//!                          (WebSocket)  (--first-message)       (--handshakes)
//! ```
//!
//! * `open`: up to `Open`, and back to `Closed`.
//! * `sending`: what goes out, and when.
//! * `receiving`: what comes in, and whether it is right.
//!
//! Nothing in here waits. A connection is a few hundred bytes; buffers of its own it has only while a message has
//! come, or gone, in part.

mod open;
mod receiving;
mod sending;

use std::collections::VecDeque;

use rustix::fd::OwnedFd;

use crate::clock::{nanos, Clock, Nanos};
use crate::plan::{Mode, Plan, Work};
use crate::poller::{Poller, Ready};
use crate::schedule::Schedule;
use crate::totals::{Problem, Totals};
use crate::wire::http;
use crate::workload::listener::Listener;
use crate::workload::Messages;

/// What all connections of a thread share.
pub(crate) struct Shared<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) messages: &'a Messages,
    pub(crate) clock: Clock,
    pub(crate) poller: Poller,
    pub(crate) totals: Totals,
    /// The request, or the one that asks for an upgrade.
    pub(crate) request: Vec<u8>,
    /// Where outgoing bytes are put together.
    pub(crate) outgoing: Vec<u8>,
    /// The measured time: from, until.
    pub(crate) window: Option<(Nanos, Nanos)>,
    /// Whether messages may be sent.
    pub(crate) sending: bool,
    pub(crate) schedule: Option<Schedule>,
    /// Connections on their way from `Closed` to `Open`.
    pub(crate) under_way: usize,
    /// Connections that have got where the run begins.
    pub(crate) settled: usize,
    /// Connections that are closed and want to be opened, and when.
    pub(crate) closed: VecDeque<(usize, Nanos)>,
    /// Messages that were sent and not answered, of all connections.
    pub(crate) in_flight: usize,
    /// State of the generator of masks; not 0.
    pub(crate) mask: u64,
}

impl Shared<'_> {
    /// Whether `at` is in the measured time.
    pub(crate) fn measures(&self, at: Nanos) -> bool {
        self.window.is_some_and(|(begin, end)| (begin..end).contains(&at))
    }

    /// Whether a message is among those that are measured that was due at `due` and answered, or given up, at `now`.
    pub(crate) fn counts(&self, due: Nanos, now: Nanos) -> bool {
        match (self.plan.mode, &self.schedule) {
            // what is held is answered before the time begins
            (Mode::Hold, _) => true,
            // in an open loop also what comes after the end counts, if it was due before
            (_, Some(_)) => self.measures(due),
            (_, None) => self.measures(now),
        }
    }

    /// Counts such a message as a time-out if it took longer than it may. Each comes here once, when what becomes of it is
    /// known: at its answer, or when it is given up.
    pub(crate) fn count_if_late(&mut self, due: Nanos, now: Nanos) {
        if now.saturating_sub(due) > nanos(self.plan.timeout) {
            self.totals.problem(Problem::Timeout, String::new);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Closed,
    Connecting,
    Upgrading,
    Introducing,
    Open,
    /// Waits for the server's close frame.
    Closing,
    /// It has done what there was to do, and is not opened again.
    Done,
}

/// A message under way.
#[derive(Clone, Copy, Debug)]
struct Sent {
    due: Nanos,
    at: Nanos,
}

pub(crate) struct Connection {
    /// Its number among all clients.
    client: usize,
    /// Its place among those of this thread.
    place: usize,
    stage: Stage,
    socket: Option<OwnedFd>,
    /// How often it was opened: tells events of an earlier socket from those of this one.
    generation: u32,
    /// When it was last begun to be opened.
    began: Nanos,
    /// Whether it has been counted as settled.
    settled: bool,
    /// Messages that were sent and are not answered, the oldest first; the oldest is number `answered`.
    under_way: VecDeque<Sent>,
    /// Messages of this socket that are answered.
    answered: u64,
    /// Of the schedule's messages, how many are sent or given up.
    round: u64,
    /// Answers in the measured time.
    measured: u64,
    /// What the socket did not take yet.
    unsent: Vec<u8>,
    /// The beginning of what is not whole yet.
    partial: Vec<u8>,
    /// Bytes that are needed until it is, as far as is known.
    needs: usize,
    http: http::Reader,
    /// A message that comes in several frames, and whether it is text.
    fragments: Option<Box<(bool, Vec<u8>)>>,
    listener: Option<Box<Listener>>,
}

impl Connection {
    pub(crate) fn new(client: usize, place: usize, shared: &Shared<'_>) -> Result<Self, String> {
        let decodes = shared.plan.decode_every > 0 && client.is_multiple_of(shared.plan.decode_every);
        let listener = match shared.messages {
            Messages::Opus(voice) if decodes => {
                let listener = Listener::new(voice).map_err(|error| format!("a decoder: {error}"))?;
                Some(Box::new(listener))
            }
            _ => None,
        };
        Ok(Self {
            client,
            place,
            stage: Stage::Closed,
            socket: None,
            generation: 0,
            began: 0,
            settled: false,
            under_way: VecDeque::new(),
            answered: 0,
            round: 0,
            measured: 0,
            unsent: Vec::new(),
            partial: Vec::new(),
            needs: 0,
            http: http::Reader::default(),
            fragments: None,
            listener,
        })
    }

    /// The place of the connection that `token` belongs to, and of which of its sockets.
    pub(crate) fn of_token(token: u64) -> (usize, u32) {
        ((token & 0xFFFF_FFFF) as usize, (token >> 32) as u32)
    }

    fn token(&self) -> u64 {
        (u64::from(self.generation) << 32) | self.place as u64
    }

    /// Takes what happened to the socket of `generation`.
    pub(crate) fn ready(
        &mut self,
        generation: u32,
        ready: Ready,
        buffer: &mut Vec<u8>,
        shared: &mut Shared<'_>,
    ) {
        if generation != self.generation {
            return;
        }
        if ready.writable && self.stage == Stage::Connecting {
            self.connected(shared);
        } else if ready.writable && !self.unsent.is_empty() {
            self.flush(shared);
        }
        if ready.readable && self.socket.is_some() {
            self.read(ready.hung_up, buffer, shared);
        }
    }

    /// Gives up its opening, or its closing, if that was begun longer ago than the time-out.
    pub(crate) fn look_at_the_clock(&mut self, now: Nanos, timeout: Nanos, shared: &mut Shared<'_>) {
        let late = |since: Nanos| now.saturating_sub(since) > timeout;
        match self.stage {
            Stage::Connecting | Stage::Upgrading | Stage::Introducing if late(self.began) => {
                self.not_opened(shared, || {
                    format!("not open after {:?}", std::time::Duration::from_nanos(timeout))
                });
            }
            Stage::Closing if late(self.began) => self.close(false, shared),
            _ => {}
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    pub(crate) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Answers in the measured time.
    pub(crate) fn measured(&self) -> u64 {
        self.measured
    }

    fn settle(&mut self, shared: &mut Shared<'_>) {
        if !self.settled {
            self.settled = true;
            shared.settled += 1;
        }
    }

    fn is_websocket(shared: &Shared<'_>) -> bool {
        shared.plan.work != Work::Http
    }

    fn mode(shared: &Shared<'_>) -> Mode {
        shared.plan.mode
    }
}

//! From nothing to an open connection, and back.

use std::io;

use rustix::io::Errno;
use rustix::net::{self, sockopt, AddressFamily, SocketFlags, SocketType};

use super::{Connection, Shared, Stage};
use crate::clock::Nanos;
use crate::plan::Mode;
use crate::totals::Problem;
use crate::wire::websocket::OpCode;

/// How long after a failure it is tried again.
const RETRY_AFTER: Nanos = 100_000_000;

/// The close frame of an ordinary end (RFC 6455, 7.4.1).
const NORMAL_CLOSURE: [u8; 2] = 1000_u16.to_be_bytes();

impl Connection {
    /// Begins to open it.
    pub(crate) fn open(&mut self, shared: &mut Shared<'_>) {
        shared.under_way += 1;
        self.generation = self.generation.wrapping_add(1);
        self.began = shared.clock.now();
        self.stage = Stage::Connecting;
        if let Err(error) = self.connect(shared) {
            self.not_opened(shared, || explain(error));
        }
    }

    fn connect(&mut self, shared: &mut Shared<'_>) -> io::Result<()> {
        let address = shared.plan.address;
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        match net::connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        shared.poller.watch(&socket, self.token())?;
        self.socket = Some(socket);
        Ok(())
    }

    /// The connect has come to its end.
    pub(super) fn connected(&mut self, shared: &mut Shared<'_>) {
        let outcome = match &self.socket {
            Some(socket) => sockopt::socket_error(socket).and_then(|outcome| outcome),
            None => return,
        };
        if let Err(error) = outcome {
            return self.not_opened(shared, || explain(error.into()));
        }
        if Self::is_websocket(shared) {
            self.stage = Stage::Upgrading;
            shared.outgoing.clear();
            shared.outgoing.extend_from_slice(&shared.request);
            self.write(shared);
        } else {
            self.opened(shared);
        }
    }

    /// The server has agreed to the upgrade.
    pub(super) fn upgraded(&mut self, shared: &mut Shared<'_>) {
        match &shared.plan.first_message {
            Some(first) if matches!(shared.plan.mode, Mode::Stream | Mode::Hold) => {
                self.stage = Stage::Introducing;
                self.write_frame(OpCode::Text, first.as_bytes(), shared);
            }
            _ => self.opened(shared),
        }
    }

    /// Everything is ready for messages.
    pub(super) fn opened(&mut self, shared: &mut Shared<'_>) {
        self.stage = Stage::Open;
        shared.under_way -= 1;
        let websocket = Self::is_websocket(shared);
        if websocket {
            self.record_handshake(shared);
        }
        match Self::mode(shared) {
            Mode::Stream => {
                self.settle(shared);
                self.skip_missed(shared);
                self.send_what_may_go(shared.clock.now(), shared);
            }
            Mode::Hold => self.send_one(shared),
            Mode::Handshakes if websocket => {
                self.stage = Stage::Closing;
                self.write_frame(OpCode::Close, &NORMAL_CLOSURE, shared);
            }
            Mode::AtOnce if websocket => self.settle(shared),
            // over HTTP the handshake is a request and its answer
            Mode::Handshakes | Mode::AtOnce => self.send_one(shared),
        }
    }

    pub(super) fn record_handshake(&mut self, shared: &mut Shared<'_>) {
        let now = shared.clock.now();
        // those of the ramp are told as well, unless handshakes are what is measured
        if Self::mode(shared) != Mode::Handshakes || shared.measures(now) {
            shared.totals.handshakes.record(now - self.began);
        }
    }

    /// It could not be opened.
    pub(super) fn not_opened(&mut self, shared: &mut Shared<'_>, why: impl FnOnce() -> String) {
        shared.totals.problem(Problem::Connect, why);
        self.close(false, shared);
    }

    /// An open connection broke, or was closed by the server.
    pub(super) fn broke(&mut self, problem: Problem, shared: &mut Shared<'_>, why: impl FnOnce() -> String) {
        if matches!(self.stage, Stage::Connecting | Stage::Upgrading | Stage::Introducing) {
            return self.not_opened(shared, why);
        }
        if self.stage == Stage::Closing {
            return self.close(true, shared);
        }
        shared.totals.problem(problem, why);
        if Self::mode(shared) == Mode::Hold {
            shared.totals.lost += 1;
        }
        self.close(false, shared);
    }

    /// Closes the socket and forgets what was under way. `in_order`: it may be opened again at once.
    ///
    /// Nothing is left in TIME_WAIT when the server did not close first: tens of thousands of handshakes a second would
    /// take all local ports within seconds.
    pub(super) fn close(&mut self, in_order: bool, shared: &mut Shared<'_>) {
        if matches!(self.stage, Stage::Connecting | Stage::Upgrading | Stage::Introducing) {
            shared.under_way -= 1;
        }
        if let Some(socket) = self.socket.take() {
            if Self::mode(shared) == Mode::Handshakes {
                // without effect on a socket that broke
                let _ = sockopt::set_socket_linger(&socket, Some(std::time::Duration::ZERO));
            }
        }
        self.give_up_under_way(shared);
        self.answered = 0;
        self.unsent = Vec::new();
        self.partial = Vec::new();
        self.needs = 0;
        self.http = Default::default();
        self.fragments = None;
        if let Some(listener) = &mut self.listener {
            listener.reset();
        }
        self.stage = match Self::mode(shared) {
            // each has one try
            Mode::AtOnce => Stage::Done,
            Mode::Hold if self.settled => Stage::Done,
            _ => Stage::Closed,
        };
        if self.stage == Stage::Closed {
            let wait = if in_order { 0 } else { RETRY_AFTER };
            shared.closed.push_back((self.place, shared.clock.now() + wait));
        }
    }
}

/// The system's error, and what to do about the one that is the machine's and not the server's.
fn explain(error: io::Error) -> String {
    if error.kind() == io::ErrorKind::AddrNotAvailable {
        return format!("{error}: no local port is left (net.ipv4.ip_local_port_range bounds the connections to one address)");
    }
    error.to_string()
}

//! The sockets: who has something to read is read, answered and written, in the order in which epoll tells of them.

use std::io;
use std::mem;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::thread;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{self, sockopt, RecvFlags, SendFlags, SocketFlags};

use super::protocol::Protocol;
use super::service::{Service, Workspace};
use crate::AFTER_FAILED_ACCEPT;

/// The listener's own token; sockets have their descriptor's number.
const LISTENER: u64 = u64::MAX;
const MOST_EVENTS: usize = 1024;
/// Bytes received at a time.
const RECEIVED_BYTES: usize = 64 * 1024;
/// After so many receives it is the turn of the others.
const MOST_RECEIVES: usize = 16;
/// A buffer that is larger than this is given back when it is empty.
const KEPT_BYTES: usize = 4096;

/// Serves for ever who comes to `listener`, which has to be non-blocking.
///
/// # Errors
/// The system's, of the epoll set. Those of a connection end that connection only.
pub fn serve(listener: &TcpListener, service: Service) -> io::Result<()> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    // each in the place of its descriptor's number
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut events: Vec<epoll::Event> = Vec::with_capacity(MOST_EVENTS);
    let (mut received, mut workspace) = (vec![0; RECEIVED_BYTES], Workspace::new(service));
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
                    place.as_mut().is_none_or(|one| one.ready(flags, &epoll, &mut received, &mut workspace));
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
    fn ready(
        &mut self,
        flags: EventFlags,
        epoll: &OwnedFd,
        received: &mut [u8],
        workspace: &mut Workspace,
    ) -> bool {
        let waited = !self.unsent.is_empty();
        if waited {
            let unsent = mem::take(&mut self.unsent);
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
            if !self.take(&received[..got], workspace) {
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
    fn take(&mut self, received: &[u8], workspace: &mut Workspace) -> bool {
        let mut partial = mem::take(&mut self.partial);
        let input = if partial.is_empty() {
            received
        } else {
            partial.extend_from_slice(received);
            &partial
        };
        let mut used = 0;
        while used < input.len() {
            workspace.out.clear();
            match self.protocol.answer(&input[used..], workspace) {
                Some(0) => break,
                Some(more) => used += more,
                None => return false,
            }
            if !self.send(&workspace.out) {
                return false;
            }
        }
        if workspace.out.capacity() > RECEIVED_BYTES {
            workspace.out = Vec::new();
        }
        if partial.is_empty() {
            partial.extend_from_slice(&received[used..]);
        } else {
            partial.drain(..used);
            if partial.is_empty() && partial.capacity() > KEPT_BYTES {
                partial = Vec::new();
            }
        }
        self.partial = partial;
        true
    }

    /// Sends `bytes`; what the socket does not take is kept until it does.
    fn send(&mut self, bytes: &[u8]) -> bool {
        let mut sent = 0;
        // never past what waits already
        while self.unsent.is_empty() && sent < bytes.len() {
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

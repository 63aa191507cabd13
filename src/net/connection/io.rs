//! The socket, and what its driver knows of it: what the edges said, and reads and writes that never block the worker.

use std::io::{self, ErrorKind, IoSlice};
use std::net::TcpStream;

use parking_lot::Mutex;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{recv, send, sendmsg, RecvFlags, SendAncillaryBuffer, SendFlags};

use crate::net::poller::Flags;

/// A socket that can be closed by anybody who can reach it.
///
/// Its descriptor must not depend on what lies on a coroutine's stack. A driver that overflows its stack never drops
/// its reference to the connection, so the connection's memory is lost; the socket is closed all the same.
#[derive(Debug)]
pub(crate) struct Socket(Mutex<Option<TcpStream>>);

impl Socket {
    pub(crate) fn new(socket: TcpStream) -> Socket {
        Socket(Mutex::new(Some(socket)))
    }

    /// Calls `f` with the socket, whose operations do not block; fails when it is closed.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&TcpStream) -> io::Result<R>) -> io::Result<R> {
        match &*self.0.lock() {
            Some(socket) => f(socket),
            None => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// Closes it. In the middle of somebody's operation it stays open until the last reference has gone: nothing may
    /// wait for a driver that perhaps has overflowed just there.
    pub(crate) fn close(&self) {
        if let Some(mut socket) = self.0.try_lock() {
            drop(socket.take());
        }
    }
}

/// What is known of a socket that is registered edge-triggered: an operation that can't succeed is not tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Readiness {
    readable: bool,
    writable: bool,
    /// The client has finished sending. The end may be in the same edge as the last bytes, so from
    /// here on a short read doesn't mean that there is nothing more.
    read_closed: bool,
    broken: bool,
}

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    /// So many bytes, at least one.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// The client has finished sending.
    End,
}

impl Readiness {
    pub(crate) fn new() -> Readiness {
        Readiness { readable: false, writable: true, read_closed: false, broken: false }
    }

    /// Takes in what has happened.
    pub(crate) fn note(&mut self, flags: Flags) {
        self.readable |= flags.intersects(Flags::READ);
        self.writable |= flags.intersects(Flags::WRITE);
        self.read_closed |= flags.intersects(Flags::READ_CLOSED);
        self.broken |= flags.intersects(Flags::BROKEN);
    }

    /// Whether a read may give something.
    pub(crate) fn may_read(&self) -> bool {
        self.readable
    }

    /// Whether the connection is broken, or closed in both directions.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Appends what there is to `buffer`, at most `limit` bytes and no more than it has room for.
    pub(crate) fn read(&mut self, socket: &TcpStream, buffer: &mut Vec<u8>) -> io::Result<ReadOutcome> {
        let room = buffer.capacity() - buffer.len();
        debug_assert!(room > 0);
        if !self.readable {
            return Ok(ReadOutcome::Nothing);
        }
        loop {
            match recv(socket, spare_capacity(buffer), RecvFlags::empty()) {
                Ok((_, 0)) => return Ok(ReadOutcome::End),
                Ok((_, length)) => {
                    self.readable = length == room || self.read_closed;
                    return Ok(ReadOutcome::Bytes(length));
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.readable = false;
                    return Ok(ReadOutcome::Nothing);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes what it can of `head` and, after it, `tail`: how many bytes of both.
    pub(crate) fn write(&mut self, socket: &TcpStream, head: &[u8], tail: &[u8]) -> io::Result<usize> {
        if !self.writable {
            return Ok(0);
        }
        let mut written = 0;
        while written < head.len() + tail.len() {
            let head_left = &head[written.min(head.len())..];
            let tail_left = &tail[written.saturating_sub(head.len())..];
            // Not the ones of `std`, which go through the C library: its calls are points where a thread may be cancelled.
            let result = if tail_left.is_empty() {
                send(socket, head_left, SendFlags::NOSIGNAL)
            } else if head_left.is_empty() {
                send(socket, tail_left, SendFlags::NOSIGNAL)
            } else {
                let pieces = [IoSlice::new(head_left), IoSlice::new(tail_left)];
                sendmsg(socket, &pieces, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)
            };
            match result {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(length) => written += length,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.writable = false;
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{Shutdown, TcpListener};

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        (client, server)
    }

    /// Waits until `wanted` bytes, or the end, can be read from `socket`.
    fn settle(socket: &TcpStream, wanted: usize) {
        let mut probe = vec![0; wanted];
        socket.set_nonblocking(false).unwrap();
        while socket.peek(&mut probe).unwrap() < wanted {
            std::thread::yield_now();
        }
        socket.set_nonblocking(true).unwrap();
    }

    #[test]
    fn a_short_read_ends_the_reading_until_the_next_edge() {
        let (mut client, server) = pair();
        let mut readiness = Readiness::new();
        let mut buffer = Vec::with_capacity(100);
        assert_eq!(readiness.read(&server, &mut buffer).unwrap(), ReadOutcome::Nothing);
        client.write_all(b"hello").unwrap();
        settle(&server, 5);
        readiness.note(Flags::READ);
        assert_eq!(readiness.read(&server, &mut buffer).unwrap(), ReadOutcome::Bytes(5));
        assert!(!readiness.may_read());
        client.write_all(b"more").unwrap();
        settle(&server, 4);
        assert_eq!(readiness.read(&server, &mut buffer).unwrap(), ReadOutcome::Nothing, "no edge was noted");
        readiness.note(Flags::READ);
        assert_eq!(readiness.read(&server, &mut buffer).unwrap(), ReadOutcome::Bytes(4));
        assert_eq!(buffer, b"hellomore");
    }

    #[test]
    fn data_and_the_end_in_one_edge_are_both_read() {
        let (mut client, server) = pair();
        client.write_all(b"bye").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        settle(&server, 3);
        let mut readiness = Readiness::new();
        let mut buffer = Vec::with_capacity(100);
        readiness.note(Flags::READ | Flags::READ_CLOSED);
        assert_eq!(readiness.read(&server, &mut buffer).unwrap(), ReadOutcome::Bytes(3));
        assert!(readiness.may_read());
        // The FIN may still be on its way, but no edge is needed to see it.
        server.set_nonblocking(false).unwrap();
        assert_eq!(readiness.read(&server, &mut buffer).unwrap(), ReadOutcome::End);
    }

    #[test]
    fn a_full_socket_takes_no_more_until_it_says_so() {
        let (client, server) = pair();
        let mut readiness = Readiness::new();
        let data = vec![1; 16 << 20];
        let written = readiness.write(&server, &data[..10], &data[10..]).unwrap();
        assert!(written > 10 && written < data.len());
        assert_eq!(readiness.write(&server, b"x", b"").unwrap(), 0);
        drop(client);
    }
}

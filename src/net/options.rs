//! What a listener allows: sizes, times, numbers.

use std::time::Duration;

/// The limits of a public listener.
///
/// Times are kept by a timer wheel and are up to a quarter of a second late.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetOptions {
    /// Connections at once.
    pub max_connections: usize,
    /// Requests in flight at once.
    pub max_requests: usize,
    /// Bytes of a request's head, with its request line.
    pub max_head_bytes: usize,
    /// Bytes of a request's target.
    pub max_target_bytes: usize,
    /// From a request's first byte to the end of its head.
    pub head_timeout: Duration,
    /// Bytes a second below which a request's body is cut off.
    pub min_body_rate: u32,
    /// Bytes of all requests' bodies and large WebSocket messages together.
    pub max_buffered_bytes: u64,
    /// How long a kept-alive HTTP connection may wait for its next request.
    pub keep_alive: Duration,
    /// How long a client may go without reading what is sent to it.
    pub write_stall: Duration,
    /// Bytes a second below which a client that is written to is cut off.
    pub min_write_rate: u32,
    /// Within this all that is held for a client could come in, or go out, at the least rate.
    pub transfer_timeout: Duration,
    /// Silence after which a WebSocket is pinged.
    pub ping_after: Duration,
    /// Silence after which a WebSocket is cut off.
    pub socket_idle: Duration,
    /// How long a closing connection is given to say goodbye.
    pub close_timeout: Duration,
    /// Messages from elsewhere that may wait for one connection.
    pub max_queued_messages: usize,
    /// Bytes that may wait to be written to one WebSocket before it is read from again.
    pub max_unsent_bytes: usize,
    /// The listen backlog.
    pub backlog: i32,
}

impl Default for NetOptions {
    fn default() -> NetOptions {
        NetOptions {
            max_connections: 10_000,
            max_requests: 10_000,
            max_head_bytes: 16 * 1024,
            max_target_bytes: 8 * 1024,
            head_timeout: Duration::from_secs(10),
            min_body_rate: 500,
            max_buffered_bytes: 1 << 30,
            keep_alive: Duration::from_secs(60),
            write_stall: Duration::from_secs(10),
            min_write_rate: 500,
            transfer_timeout: Duration::from_secs(300),
            ping_after: Duration::from_secs(120),
            socket_idle: Duration::from_secs(300),
            close_timeout: Duration::from_secs(3),
            max_queued_messages: 256,
            max_unsent_bytes: 64 * 1024,
            backlog: 4096,
        }
    }
}

impl NetOptions {
    /// Connections at once; one more is answered with 503 and closed. Default 10,000. Each takes a file
    /// descriptor, so `RLIMIT_NOFILE` bounds it.
    pub fn max_connections(mut self, connections: usize) -> NetOptions {
        self.max_connections = connections.max(1);
        self
    }

    /// HTTP requests in flight at once; one more is answered with 503. Default 10,000. Each that waits has a coroutine; each
    /// coroutine takes two memory mappings, so `vm.max_map_count` bounds it.
    pub fn max_requests(mut self, requests: usize) -> NetOptions {
        self.max_requests = requests.max(1);
        self
    }

    /// Bytes of a request's head; a longer one gets 431. Default 16 KiB, at least 256. Each connection that is in
    /// the middle of a head holds up to that much. A head has 100 fields at most.
    pub fn max_head_bytes(mut self, bytes: usize) -> NetOptions {
        self.max_head_bytes = bytes.max(256);
        self
    }

    /// Bytes of a request's target; a longer one gets 414. Default 8 KiB.
    pub fn max_target_bytes(mut self, bytes: usize) -> NetOptions {
        self.max_target_bytes = bytes.max(1);
        self
    }

    /// From a request's first byte (or the connection's start) to the end of its head, however many bytes
    /// trickle in; a slower one gets 408. Default 10 s.
    pub fn head_timeout(mut self, timeout: Duration) -> NetOptions {
        self.head_timeout = timeout;
        self
    }

    /// Bytes a second that a body must come in with, and a WebSocket message that has begun; a client that is behind by
    /// more than `head_timeout` gets 408, a WebSocket 1008. What came faster earns no more than that time. Default 500: a
    /// slow telephone line passes, a slow-loris does not. Large ones must be faster, see `transfer_timeout`.
    pub fn min_body_rate(mut self, bytes_per_second: u32) -> NetOptions {
        self.min_body_rate = bytes_per_second.max(1);
        self
    }

    /// Bytes of all clients' requests, answers and messages that are held together. What counts is what the buffers take,
    /// as they grow, not what was announced: a request's body until it has been answered; an answer of more than 16 KiB
    /// until it has been written, and what a handler reserves for one ([`AnswerRoom`](crate::net::AnswerRoom)) until then; a WebSocket message of more than 16 KiB until the endpoint has handled it; what waits
    /// to be written to a WebSocket, once that is more than about `max_unsent_bytes`. A request that does not fit, or
    /// whose answer does not, gets 503, a WebSocket 1013, and the connection is closed; smaller messages are never
    /// refused.
    ///
    /// A sixteenth of it is for what takes up to 64 KiB each: a few who hold much leave room for many who hold little.
    /// Default 1 GiB; a sixteenth more than a route's largest body is the least with which that can be reached, and to
    /// echo a message takes twice its length.
    pub fn max_buffered_bytes(mut self, bytes: u64) -> NetOptions {
        self.max_buffered_bytes = bytes;
        self
    }

    /// How long an HTTP connection may wait for its next request before it is closed. Default 60 s.
    pub fn keep_alive(mut self, timeout: Duration) -> NetOptions {
        self.keep_alive = timeout;
        self
    }

    /// How long a client may read nothing while something waits for it; then it is cut off. Default 10 s.
    pub fn write_stall(mut self, timeout: Duration) -> NetOptions {
        self.write_stall = timeout;
        self
    }

    /// Bytes a second that a client must read while more waits for it than the kernel's buffers take; one that is behind
    /// by more than `write_stall` is cut off. What it read faster earns no more than that time. Holds for an HTTP answer,
    /// and for a WebSocket as long as something is unsent. Default 500: the counterpart of `min_body_rate`, so that a
    /// client which reads a byte now and then does not hold its answer for ever. Large ones must be read faster, see
    /// `transfer_timeout`.
    pub fn min_write_rate(mut self, bytes_per_second: u32) -> NetOptions {
        self.min_write_rate = bytes_per_second.max(1);
        self
    }

    /// The more is held for a client, the faster it must be: at the least rate all of it could come in, or go out,
    /// within this time. Default 300 s: 64 MiB must be sent, and read, with 224 KB a second, and 150 KB with no more than
    /// `min_body_rate`. So those who hold much of `max_buffered_bytes` and are slow do not keep it from others for long.
    pub fn transfer_timeout(mut self, timeout: Duration) -> NetOptions {
        self.transfer_timeout = timeout;
        self
    }

    /// Silence after which a WebSocket is pinged. Default 120 s. Keep it well below `socket_idle`, half of it say: the
    /// answer has to come before that is over.
    pub fn ping_after(mut self, silence: Duration) -> NetOptions {
        self.ping_after = silence;
        self
    }

    /// Silence (not even a pong) after which a WebSocket is cut off. Default 300 s.
    pub fn socket_idle(mut self, silence: Duration) -> NetOptions {
        self.socket_idle = silence;
        self
    }

    /// How long a closing connection may take to answer the closing handshake, or to read the last answer.
    /// Default 3 s.
    pub fn close_timeout(mut self, timeout: Duration) -> NetOptions {
        self.close_timeout = timeout;
        self
    }

    /// Messages from elsewhere ([`super::ConnectionHandle`]) that may wait for one connection. Default 256.
    pub fn max_queued_messages(mut self, messages: usize) -> NetOptions {
        self.max_queued_messages = messages.max(1);
        self
    }

    /// Bytes that may wait to be written to one WebSocket: while more wait, nothing more is read from it. Default
    /// 64 KiB; the last message may go over it by its own length, which then counts in `max_buffered_bytes`.
    pub fn max_unsent_bytes(mut self, bytes: usize) -> NetOptions {
        self.max_unsent_bytes = bytes.max(1);
        self
    }

    /// The listen backlog: connections that the kernel holds until they are accepted. Default 4,096; the kernel
    /// cuts it to `net.core.somaxconn`.
    pub fn backlog(mut self, backlog: i32) -> NetOptions {
        self.backlog = backlog.max(1);
        self
    }
}

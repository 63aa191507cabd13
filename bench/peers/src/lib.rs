//! What the peers share: their command line, the listening socket, the runtime, and a transcoder; and the bare epoll loop,
//! which is large enough to have parts.
//!
//! The peers are small on purpose: each does the one thing as the documentation of its foundation shows it. They are
//! not held back either: the same allocator, compiler settings and libopus as sandpool, and, where the foundation leaves
//! it to its user, TCP_NODELAY and a listen backlog that takes 15,000 at once as far as the system lets it. may_minihttp
//! does not: its backlog is 1,024, and it leaves TCP_NODELAY off. `--threads 1` gives each one worker.

pub mod bare;
pub mod tokio_server;
pub mod transcoder;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use clap::Parser;
use rustix::net::{self, sockopt, AddressFamily, SocketFlags, SocketType};

/// Bytes of the read buffer that tungstenite keeps for every connection: by default 128 KiB, which costs a server with
/// many connections its memory and its caches. 4 KiB take a few dozen of the messages that are measured at a time.
pub const READ_BUFFER_BYTES: usize = 4096;

/// As many as the system allows: it cuts it down to `net.core.somaxconn`.
const BACKLOG: i32 = 65_535;

/// How long nobody is accepted after the system refused to, as it does when no descriptor is left.
pub const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(10);

/// What every peer that listens is told.
#[derive(Clone, Debug, Parser)]
pub struct Listen {
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1:9601")]
    pub listen: SocketAddr,
    /// Threads that serve
    #[arg(long, default_value = "1")]
    pub threads: usize,
}

/// A non-blocking listener with the longest backlog.
///
/// # Errors
/// The system's.
pub fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    net::bind(&socket, &addr)?;
    net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// The line by which a program that started a peer knows that it listens.
pub fn announce(name: &str, addr: SocketAddr, threads: usize) {
    println!("{name} listens on {addr}, {threads} threads");
}

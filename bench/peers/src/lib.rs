//! What the peers share: their command line, the listening socket, the runtime, and a transcoder.
//!
//! The peers are small on purpose: each does the one thing as the documentation of its foundation shows it. They are
//! not held back either: TCP_NODELAY, a listen backlog that takes 15,000 at once as far as the system lets it, and the
//! same allocator, compiler settings and libopus as sandpool. `--threads 1` gives each one worker.

pub mod tokio_server;
pub mod transcoder;

use std::net::SocketAddr;

use clap::Parser;

/// Bytes of the read buffer that tungstenite keeps for every connection: by default 128 KiB, which costs a server with
/// many connections its memory and its caches. 4 KiB take a few dozen of the messages that are measured at a time.
pub const READ_BUFFER_BYTES: usize = 4096;

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

/// The line by which a program that started a peer knows that it listens.
pub fn announce(name: &str, addr: SocketAddr, threads: usize) {
    println!("{name} listens on {addr}, {threads} threads");
}

//! A tokio runtime of so many threads, and a listener on it.

use std::future::Future;
use std::io;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};

use crate::{announce, Listen};

/// As many as the system allows: it cuts it down to `net.core.somaxconn`.
const BACKLOG: u32 = 65_535;

/// Runs `serve` for ever. With one thread it is tokio's single-threaded runtime, which is the faster one then.
pub fn run<F: Future<Output = io::Result<()>>>(
    name: &str,
    options: &Listen,
    serve: impl FnOnce(TcpListener) -> F,
) -> io::Result<()> {
    runtime(options.threads)?.block_on(async {
        let socket = if options.listen.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(options.listen)?;
        let listener = socket.listen(BACKLOG)?;
        announce(name, listener.local_addr()?, options.threads);
        serve(listener).await
    })
}

fn runtime(threads: usize) -> io::Result<Runtime> {
    if threads == 1 {
        Builder::new_current_thread().enable_io().build()
    } else {
        Builder::new_multi_thread().worker_threads(threads).enable_io().build()
    }
}

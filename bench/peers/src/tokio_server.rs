//! A tokio runtime of so many threads, a listener on it, and WebSockets.

use std::future::Future;
use std::io;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::WebSocketStream;

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

/// The server's half of the handshake.
///
/// # Errors
/// tungstenite's.
pub async fn accept(stream: TcpStream, read_buffer: usize) -> Result<WebSocketStream<TcpStream>, Error> {
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default().read_buffer_size(read_buffer);
    tokio_tungstenite::accept_async_with_config(stream, Some(config)).await
}

fn runtime(threads: usize) -> io::Result<Runtime> {
    if threads == 1 {
        Builder::new_current_thread().enable_io().build()
    } else {
        Builder::new_multi_thread().worker_threads(threads).enable_io().build()
    }
}

//! A tokio runtime of so many threads, a listener on it, and WebSockets.

use std::future::Future;
use std::io;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::WebSocketStream;

use crate::{announce, listen, Listen, AFTER_FAILED_ACCEPT};

/// Runs `serve` for ever. With one thread it is tokio's single-threaded runtime, which is the faster one then.
pub fn run<F: Future<Output = io::Result<()>>>(
    name: &str,
    options: &Listen,
    serve: impl FnOnce(TcpListener) -> F,
) -> io::Result<()> {
    runtime(options.threads)?.block_on(async {
        let listener = TcpListener::from_std(listen(options.listen)?)?;
        announce(name, listener.local_addr()?, options.threads);
        serve(listener).await
    })
}

/// The next connection, however long it takes. One that failed on its way, or for which no descriptor was left, is no
/// reason for a server to end: it is noted, and the others are served.
pub async fn next(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                eprintln!("accept: {error}");
                if error.kind() != io::ErrorKind::ConnectionAborted {
                    tokio::time::sleep(AFTER_FAILED_ACCEPT).await;
                }
            }
        }
    }
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
        Builder::new_current_thread().enable_all().build()
    } else {
        Builder::new_multi_thread().worker_threads(threads).enable_all().build()
    }
}

//! tokio-tungstenite: a WebSocket, at any path, that sends every message back.

use clap::Parser;
use futures_util::{SinkExt, StreamExt};
use sandpool_peers::{tokio_server, Listen};
use tikv_jemallocator::Jemalloc;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> std::io::Result<()> {
    tokio_server::run("tokio-tungstenite", &Listen::parse(), |listener| async move {
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(echo(stream));
        }
    })
}

async fn echo(stream: TcpStream) -> Result<(), Error> {
    let mut socket = tokio_server::accept(stream).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

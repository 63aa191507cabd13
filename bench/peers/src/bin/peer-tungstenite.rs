//! tokio-tungstenite: a WebSocket, at any path, that sends every message back.

use clap::Parser;
use futures_util::{SinkExt, StreamExt};
use sandpool_peers::{tokio_server, Listen, READ_BUFFER_BYTES};
use tikv_jemallocator::Jemalloc;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    listen: Listen,
    /// Bytes of each connection's read buffer; tungstenite's own default is 131072
    #[arg(long, default_value_t = READ_BUFFER_BYTES)]
    read_buffer: usize,
}

fn main() -> std::io::Result<()> {
    let Options { listen, read_buffer } = Options::parse();
    tokio_server::run("tokio-tungstenite", &listen, |listener| async move {
        loop {
            tokio::spawn(echo(tokio_server::next(&listener).await, read_buffer));
        }
    })
}

async fn echo(stream: TcpStream, read_buffer: usize) -> Result<(), Error> {
    let mut socket = tokio_server::accept(stream, read_buffer).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

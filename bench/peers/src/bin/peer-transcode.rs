//! tokio-tungstenite that answers every Opus packet with the same sound, encoded anew by libopus: as one writes it first
//! (`--blocking`, in the task itself), and as one is told to (`--spawn-blocking`, on tokio's threads for that).

use clap::Parser;
use futures_util::{SinkExt, StreamExt};
use sandpool_peers::transcoder::{AnyError, Buffers, Chain, Transcoder};
use sandpool_peers::{tokio_server, Listen, READ_BUFFER_BYTES};
use tikv_jemallocator::Jemalloc;
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio_tungstenite::tungstenite::Message;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[derive(Clone, Debug, Parser)]
struct Options {
    #[command(flatten)]
    listen: Listen,
    /// What is between decoder and encoder
    #[arg(long, value_enum, default_value = "none")]
    chain: Chain,
    /// Transcode in the connection's task, which holds its thread up meanwhile (the default)
    #[arg(long)]
    blocking: bool,
    /// Transcode on threads of their own
    #[arg(long, conflicts_with = "blocking")]
    spawn_blocking: bool,
}

fn main() -> std::io::Result<()> {
    let options = Options::parse();
    let Options { chain, spawn_blocking, .. } = options;
    tokio_server::run("tokio-tungstenite with libopus", &options.listen, |listener| async move {
        loop {
            tokio::spawn(serve(tokio_server::next(&listener).await, chain, spawn_blocking));
        }
    })
}

async fn serve(stream: TcpStream, chain: Chain, apart: bool) -> Result<(), AnyError> {
    let mut socket = tokio_server::accept(stream, READ_BUFFER_BYTES).await?;
    let mut state = (Transcoder::new(chain)?, Buffers::default());
    while let Some(message) = socket.next().await {
        let Message::Binary(packet) = message? else { continue };
        let answer: Vec<u8>;
        if apart {
            (state, answer) = spawn_blocking(move || {
                let answer = state.0.transcode(&packet, &mut state.1)?.to_vec();
                Ok::<_, AnyError>((state, answer))
            })
            .await??;
        } else {
            answer = state.0.transcode(&packet, &mut state.1)?.to_vec();
        }
        socket.send(Message::binary(answer)).await?;
    }
    Ok(())
}

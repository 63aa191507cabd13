//! axum: plain text at `/`, a WebSocket at `/echo` that sends every message back.

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::{any, get};
use axum::serve::ListenerExt;
use axum::Router;
use clap::Parser;
use sandpool_peers::{tokio_server, Listen, READ_BUFFER_BYTES};
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> std::io::Result<()> {
    let app = Router::new().route("/", get(|| async { "Hello, world!" })).route("/echo", any(upgrade));
    tokio_server::run("axum", &Listen::parse(), |listener| async {
        let listener = listener.tap_io(|stream| {
            // a connection that is gone already will be noticed when it is read
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, app).await
    })
}

async fn upgrade(upgrade: WebSocketUpgrade) -> Response {
    upgrade.read_buffer_size(READ_BUFFER_BYTES).on_upgrade(echo)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).await.is_err() {
            return;
        }
    }
}

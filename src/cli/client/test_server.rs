//! A small server for the client's tests: real sockets, real transcoding, one thread a connection, and faults
//! on demand that the real server shows only when it is in trouble.

use super::connection::ServerUrl;
use crate::protocol::{Command, ErrorCode, Reply, SessionStats};
use sandbox::{AudioSandbox, Packets, Scratch, Settings};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Message, WebSocket};

/// Faults. Packets are counted from 0, and again when they are sent again.
#[derive(Default, Clone)]
pub(super) struct Behaviour {
    /// The first so many packets find no sandbox.
    pub(super) exhausted_for: usize,
    /// These packets find no sandbox.
    pub(super) exhausted_at: Vec<usize>,
    /// This packet is called bad.
    pub(super) refuse_packet: Option<usize>,
    /// The connection is closed instead of an answer to this packet.
    pub(super) close_at: Option<usize>,
    /// Answers are held back until the client sends no more.
    pub(super) answer_when_quiet: bool,
}

#[derive(Default)]
struct Counts {
    packets: AtomicUsize,
    most_under_way: AtomicUsize,
}

pub(super) struct TestServer {
    pub(super) url: ServerUrl,
    counts: Arc<Counts>,
}

impl TestServer {
    /// Serves one client after the other until the test process ends.
    pub(super) fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let counts = Arc::new(Counts::default());
        let shared = counts.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // a client that goes away ends its connection, not the server
                let _ = serve(stream.unwrap(), &behaviour, &shared);
            }
        });
        Self { url, counts }
    }

    pub(super) fn packets_seen(&self) -> usize {
        self.counts.packets.load(Ordering::SeqCst)
    }

    /// The most packets that ever waited for their answer at once.
    pub(super) fn most_under_way(&self) -> usize {
        self.counts.most_under_way.load(Ordering::SeqCst)
    }
}

fn serve(stream: TcpStream, behaviour: &Behaviour, counts: &Counts) -> Result<(), tungstenite::Error> {
    stream.set_nodelay(true)?;
    let quiet = behaviour.answer_when_quiet.then_some(Duration::from_millis(20));
    let mut socket = tungstenite::accept(stream).map_err(|error| match error {
        tungstenite::HandshakeError::Failure(error) => error,
        tungstenite::HandshakeError::Interrupted(_) => tungstenite::Error::AttackAttempt,
    })?;
    let mut sandbox = AudioSandbox::new(Settings::default()).unwrap();
    let mut scratch = Scratch::default();
    let mut waiting: Vec<Message> = Vec::new();
    let mut frames = 0;
    let settings = *sandbox.settings();
    send_reply(
        &mut socket,
        &Reply::Welcome {
            message: "a server for tests",
            client_id: 1,
            delay_ms: delay_ms(&sandbox),
            sample_rate: settings.sample_rate().hz(),
            channels: settings.channel_count(),
        },
    )?;
    loop {
        socket.get_ref().set_read_timeout(quiet.filter(|_| !waiting.is_empty()))?;
        let packet = match socket.read() {
            Ok(Message::Binary(packet)) => packet,
            Ok(Message::Text(text)) => {
                let answer = answer_command(&text, &mut sandbox, frames);
                socket.send(Message::text(answer))?;
                continue;
            }
            Ok(_) => continue,
            Err(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                waiting.drain(..).try_for_each(|answer| socket.send(answer))?;
                continue;
            }
            Err(error) => return Err(error),
        };
        let number = counts.packets.fetch_add(1, Ordering::SeqCst);
        if behaviour.close_at == Some(number) {
            let frame = CloseFrame { code: CloseCode::Away, reason: "shutting down".into() };
            socket.close(Some(frame))?;
            // read on until the client has closed as well, or its last packets would reset the connection
            while socket.read().is_ok() {}
            return Ok(());
        }
        let answer = if number < behaviour.exhausted_for || behaviour.exhausted_at.contains(&number) {
            let message = "no sandbox came free in time";
            let code = ErrorCode::PoolExhausted;
            Message::text(Reply::Error { code, message, retry_after_ms: Some(1) }.to_json())
        } else if behaviour.refuse_packet == Some(number) {
            Message::text(Reply::error(ErrorCode::InvalidPacket, "this is no Opus packet"))
        } else {
            let mut answer = Packets::default();
            match sandbox.process(&packet[..], &mut scratch, &mut answer) {
                Ok(_) => {
                    frames += 1;
                    Message::binary(answer[0].to_vec())
                }
                Err(error) => Message::text(Reply::error(ErrorCode::InvalidPacket, &error.to_string())),
            }
        };
        waiting.push(answer);
        counts.most_under_way.fetch_max(waiting.len(), Ordering::SeqCst);
        if quiet.is_none() {
            waiting.drain(..).try_for_each(|answer| socket.send(answer))?;
        }
    }
}

fn answer_command(text: &str, sandbox: &mut AudioSandbox, frames: u64) -> String {
    match Command::parse(text) {
        Ok(Command::Ping) => Reply::Pong { timestamp: 1.0 }.to_json(),
        Ok(Command::Stats) => {
            let settings = sandbox.settings();
            Reply::Stats(&SessionStats {
                frames,
                sample_rate: settings.sample_rate().hz(),
                channels: settings.channel_count(),
                ..SessionStats::default()
            })
            .to_json()
        }
        Ok(Command::Reset) => {
            sandbox.restart().unwrap();
            Reply::ResetDone.to_json()
        }
        Ok(Command::Config(update)) => match sandbox.settings().with(&update) {
            Ok(settings) => {
                sandbox.configure(&settings).unwrap();
                Reply::ConfigUpdated { delay_ms: delay_ms(sandbox), settings: &settings }.to_json()
            }
            Err(error) => Reply::error(ErrorCode::InvalidConfig, &error.to_string()),
        },
        Ok(Command::Lost { .. }) => panic!("the client tells nothing as lost"),
        Err(error) => Reply::error(error.code(), &error.to_string()),
    }
}

fn delay_ms(sandbox: &AudioSandbox) -> f64 {
    sandbox.settings().delay().as_secs_f64() * 1_000.0
}

fn send_reply(socket: &mut WebSocket<TcpStream>, reply: &Reply<'_>) -> Result<(), tungstenite::Error> {
    socket.send(Message::text(reply.to_json()))
}

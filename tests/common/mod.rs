//! What the whole-program tests share: a server on port 0, a blocking WebSocket client, a plain HTTP one.
#![allow(unreachable_pub, reason = "a module of every test binary")]
#![allow(dead_code, reason = "each test binary uses its own part of it")]

mod audio;
mod directory;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::{Message, WebSocket};

#[allow(unused_imports, reason = "each test binary uses its own part of it")]
pub use audio::{best_lag, packets, processed_alone, read_wav, tone_wav, voice, wav_bytes};
#[allow(unused_imports, reason = "each test binary uses its own part of it")]
pub use directory::Directory;

/// A real server, in a process of its own, as a person would start it.
pub struct ServerProcess {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub addr: SocketAddr,
    pub ops: SocketAddr,
}

impl ServerProcess {
    /// Starts `sandpool serve` on free ports with `flags`, and waits until it says where it listens.
    pub fn start(flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sandpool"))
            .args(["serve", "--listen", "127.0.0.1:0", "--ops", "127.0.0.1:0"])
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut seen = String::new();
        let mut address_after = |label: &str| loop {
            let mut line = String::new();
            assert!(
                stdout.read_line(&mut line).unwrap() > 0,
                "the server ended before it said {label:?}:\n{seen}"
            );
            seen.push_str(&line);
            if let Some(address) = line.trim().strip_prefix(label) {
                return address.split_whitespace().next().unwrap().parse().expect("an address");
            }
        };
        let addr = address_after("public listener");
        let ops = address_after("operations listener");
        Self { child, stdout, addr, ops }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop, as `kill` does.
    pub fn terminate(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// Waits for its end: the exit code.
    pub fn wait(mut self) -> Option<i32> {
        let _ = self.stdout.read_to_string(&mut String::new());
        self.child.wait().unwrap().code()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn get(&self, path: &str) -> Answer {
        request(self.addr, &format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"))
    }

    pub fn pool(&self) -> Value {
        self.get("/status").json()["pool"].clone()
    }

    /// Looks at the pool until it is as `wanted`; what others give back takes a moment.
    pub fn pool_becomes(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let pool = self.pool();
            if wanted(&pool) {
                return pool;
            }
            assert!(Instant::now() < deadline, "the pool stays as it is: {pool}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    /// The value of header `name`.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// Reads one answer, by its Content-Length.
    pub fn read(stream: &mut impl Read) -> Self {
        let mut bytes = Vec::new();
        let mut one = [0];
        while !bytes.ends_with(b"\r\n\r\n") {
            assert_eq!(
                stream.read(&mut one).expect("an answer"),
                1,
                "cut off after {:?}",
                String::from_utf8_lossy(&bytes)
            );
            bytes.push(one[0]);
        }
        let head = String::from_utf8(bytes).expect("a head is text");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let mut answer = Self { status, head, body: Vec::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        answer.body = vec![0; length];
        stream.read_exact(&mut answer.body).expect("the whole body");
        answer
    }
}

pub fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).expect("the server accepts");
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends `head` and gives back the answer.
pub fn request(addr: SocketAddr, head: &str) -> Answer {
    request_with_body(addr, head, &[])
}

pub fn request_with_body(addr: SocketAddr, head: &str, body: &[u8]) -> Answer {
    let mut stream = connect(addr);
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    Answer::read(&mut stream)
}

pub fn post(addr: SocketAddr, path: &str, headers: &str, body: &[u8]) -> Answer {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n");
    request_with_body(addr, &head, body)
}

/// A client of the audio endpoint (or of `/echo`).
pub struct Client {
    pub socket: WebSocket<TcpStream>,
}

impl Client {
    /// Connects to `/` and takes the welcome.
    pub fn welcome(addr: SocketAddr) -> (Self, Value) {
        let mut client = Self::connect(addr, "/");
        let welcome = client.read_json();
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        (client, welcome)
    }

    pub fn connect(addr: SocketAddr, path: &str) -> Self {
        let (socket, _) =
            tungstenite::client(format!("ws://{addr}{path}"), connect(addr)).expect("an upgrade");
        Self { socket }
    }

    pub fn read_json(&mut self) -> Value {
        match self.socket.read().expect("a message") {
            Message::Text(text) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("text expected, got {other:?}"),
        }
    }

    pub fn command(&mut self, text: &str) -> Value {
        self.socket.send(Message::text(text)).unwrap();
        self.read_json()
    }

    pub fn send_audio(&mut self, packet: &[u8]) {
        self.socket.send(Message::binary(packet.to_vec())).unwrap();
    }

    /// The answer to a packet: a packet, or an error.
    pub fn read_audio(&mut self) -> Result<Vec<u8>, Value> {
        match self.socket.read().expect("an answer") {
            Message::Binary(packet) => Ok(packet.to_vec()),
            Message::Text(text) => Err(serde_json::from_str(&text).expect("JSON")),
            other => panic!("an answer expected, got {other:?}"),
        }
    }

    pub fn audio(&mut self, packet: &[u8]) -> Result<Vec<u8>, Value> {
        self.send_audio(packet);
        self.read_audio()
    }
}

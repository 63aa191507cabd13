//! One WebSocket to a server: commands and their answers, packets, and what the server complains about.

use serde_json::Value;
use std::fmt;
use std::io::ErrorKind;
use std::net::{TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::time::{Duration, Instant};
use tungstenite::http::Uri;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{HandshakeError, Message, WebSocket};

/// A server sends packets and short JSON; whatever is larger is not one of ours.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// The address of a server: `ws://host[:port][/path]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerUrl {
    uri: Uri,
    /// Without the brackets an IPv6 address has in a URL.
    host: String,
    port: u16,
}

impl FromStr for ServerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|error| format!("{error}; expected ws://host:port/"))?;
        match uri.scheme_str() {
            Some("ws") => {}
            Some("wss") => return Err("TLS (wss://) is not supported; expected ws://host:port/".to_string()),
            _ => return Err("expected ws://host:port/".to_string()),
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_string();
        if host.is_empty() {
            return Err("the host is missing; expected ws://host:port/".to_string());
        }
        let port = uri.port_u16().unwrap_or(80);
        Ok(Self { host, port, uri })
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)
    }
}

/// An error message of the server's.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the server says {code}: {message}")]
pub(super) struct ServerError {
    /// Which kind of error, for programs.
    pub(super) code: String,
    /// What was wrong, for people.
    pub(super) message: String,
    /// When it makes sense to send the same again.
    pub(super) retry_after: Option<Duration>,
}

/// Why talking to the server failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    #[error(
        "nothing listens at {0} (connection refused). Start the server with `sandpool serve` \
         (or `make run`) and try again, or name another one with --url"
    )]
    Refused(String),
    #[error("can't connect to {url}")]
    Connect {
        url: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{url} refused the WebSocket with HTTP status {status}{}{body}", if body.is_empty() { "" } else { ": " })]
    HandshakeStatus { url: String, status: tungstenite::http::StatusCode, body: String },
    #[error("{url} does not answer as a WebSocket server does")]
    Handshake {
        url: String,
        #[source]
        source: Box<tungstenite::Error>,
    },
    #[error("no answer from the server within {0:?}")]
    Timeout(Duration),
    #[error("the server closed the connection{0}")]
    Closed(String),
    #[error("the connection broke")]
    Broken(#[source] Box<tungstenite::Error>),
    #[error("expected {expected} from the server, got {got}")]
    Unexpected { expected: String, got: String },
    #[error("the server had no sandbox free for {patience:?}")]
    NoSandbox {
        patience: Duration,
        #[source]
        source: ServerError,
    },
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// What the server sent.
#[derive(Debug)]
pub(super) enum Received {
    /// An Opus packet.
    Packet(Vec<u8>),
    /// A complaint.
    Error(ServerError),
    /// Any other JSON message.
    Json(Value),
}

/// An open connection, past its welcome.
pub(super) struct Connection {
    socket: WebSocket<TcpStream>,
    /// How long each wait for the server may take.
    pub(super) timeout: Duration,
    /// The server's first message.
    pub(super) welcome: Value,
}

impl Connection {
    /// Connects and waits for the welcome. `timeout` bounds that, and later each wait for an answer.
    pub(super) fn open(url: &ServerUrl, timeout: Duration) -> Result<Self, ConnectionError> {
        let stream = connect(url, timeout)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(16 * 1024)
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let (socket, _) = tungstenite::client::client_with_config(url.uri.clone(), stream, Some(config))
            .map_err(|error| handshake_error(url, timeout, error))?;
        let mut connection = Self { socket, timeout, welcome: Value::Null };
        connection.welcome = connection.wait_for("welcome")?;
        Ok(connection)
    }

    /// Sends a command and waits for the answer of type `answer`.
    pub(super) fn command(&mut self, command: &Value, answer: &str) -> Result<Value, ConnectionError> {
        self.write(Message::text(command.to_string()))?;
        self.wait_for(answer)
    }

    /// Queues a packet; the next [`receive`](Self::receive) or [`flush`](Self::flush) sends it.
    pub(super) fn write_packet(&mut self, packet: &[u8]) -> Result<(), ConnectionError> {
        self.write(Message::binary(packet.to_vec()))
    }

    /// Sends what is queued.
    pub(super) fn flush(&mut self) -> Result<(), ConnectionError> {
        self.socket.flush().map_err(|error| self.broken(error))
    }

    /// The next message; `None` when `until` comes first. Without an `until` it waits as long as the
    /// connection's time-out, which is an error then.
    pub(super) fn receive(&mut self, until: Option<Instant>) -> Result<Option<Received>, ConnectionError> {
        self.flush()?;
        let give_up = until.unwrap_or_else(|| Instant::now() + self.timeout);
        loop {
            let left = give_up.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return if until.is_some() { Ok(None) } else { Err(ConnectionError::Timeout(self.timeout)) };
            }
            let set = self.socket.get_ref().set_read_timeout(Some(left));
            set.map_err(|error| self.broken(error.into()))?;
            match self.socket.read() {
                Ok(Message::Binary(packet)) => return Ok(Some(Received::Packet(packet.to_vec()))),
                Ok(Message::Text(text)) => return Ok(Some(parse_text(&text))),
                Ok(Message::Close(frame)) => {
                    let why = frame.map_or(String::new(), |frame| {
                        format!(" with code {} {}", frame.code, printable(&frame.reason))
                    });
                    return Err(ConnectionError::Closed(why.trim_end().to_string()));
                }
                // answered by tungstenite itself
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Err(tungstenite::Error::Io(error))
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(self.broken(error)),
            }
        }
    }

    /// Says goodbye, as far as the other side still listens.
    pub(super) fn close(mut self) {
        // the work is done: a server that is gone by now is no failure any more
        let _ = self.socket.close(None);
        let _ = self.socket.flush();
    }

    fn wait_for(&mut self, wanted: &str) -> Result<Value, ConnectionError> {
        let unexpected = |got: String| ConnectionError::Unexpected {
            expected: format!("a message of type `{wanted}`"),
            got,
        };
        match self.receive(None)? {
            Some(Received::Json(message)) if message["type"] == wanted => Ok(message),
            Some(Received::Json(message)) => Err(unexpected(shortened(&message.to_string()))),
            Some(Received::Packet(packet)) => Err(unexpected(format!("{} bytes of binary", packet.len()))),
            Some(Received::Error(error)) => Err(error.into()),
            None => Err(ConnectionError::Timeout(self.timeout)),
        }
    }

    fn write(&mut self, message: Message) -> Result<(), ConnectionError> {
        self.socket.write(message).map_err(|error| self.broken(error))
    }

    fn broken(&self, error: tungstenite::Error) -> ConnectionError {
        match error {
            tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
                ConnectionError::Closed(String::new())
            }
            // a write that does not get through in time
            tungstenite::Error::Io(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
            {
                ConnectionError::Timeout(self.timeout)
            }
            error => ConnectionError::Broken(Box::new(error)),
        }
    }
}

/// A TCP connection to the first of the host's addresses that takes one.
fn connect(url: &ServerUrl, timeout: Duration) -> Result<TcpStream, ConnectionError> {
    let failed = |source| ConnectionError::Connect { url: url.to_string(), source };
    let mut last = std::io::Error::new(ErrorKind::NotFound, "the host has no address");
    for address in (url.host.as_str(), url.port).to_socket_addrs().map_err(failed)? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(failed)?;
                stream.set_read_timeout(Some(timeout)).map_err(failed)?;
                stream.set_write_timeout(Some(timeout)).map_err(failed)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    match last.kind() {
        ErrorKind::ConnectionRefused => Err(ConnectionError::Refused(url.to_string())),
        _ => Err(failed(last)),
    }
}

fn handshake_error<R: tungstenite::handshake::HandshakeRole>(
    url: &ServerUrl,
    timeout: Duration,
    error: HandshakeError<R>,
) -> ConnectionError {
    match error {
        HandshakeError::Interrupted(_) => ConnectionError::Timeout(timeout),
        HandshakeError::Failure(tungstenite::Error::Http(response)) => {
            let body = response.body().as_deref().unwrap_or_default();
            ConnectionError::HandshakeStatus {
                url: url.to_string(),
                status: response.status(),
                body: shortened(String::from_utf8_lossy(body).trim()),
            }
        }
        HandshakeError::Failure(source) => {
            ConnectionError::Handshake { url: url.to_string(), source: Box::new(source) }
        }
    }
}

fn parse_text(text: &str) -> Received {
    let Ok(message) = serde_json::from_str::<Value>(text) else {
        return Received::Json(Value::String(text.to_string()));
    };
    if message["type"] != "error" {
        return Received::Json(message);
    }
    let field = |name: &str| printable(message[name].as_str().unwrap_or("?"));
    Received::Error(ServerError {
        code: field("code"),
        message: field("message"),
        retry_after: message["retry_after_ms"].as_u64().map(Duration::from_millis),
    })
}

/// Text of the server's, made fit for a terminal: control characters stay out of it.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// The beginning of a text of the server's, fit for a terminal.
fn shortened(text: &str) -> String {
    const MOST: usize = 200;
    let text = printable(text);
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_server::{Behaviour, TestServer};
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn open_error(url: &str, timeout: Duration) -> ConnectionError {
        Connection::open(&url.parse().unwrap(), timeout).err().expect("no connection")
    }

    /// A listener whose first client gets `answer`, whatever it asked.
    fn answering(answer: &'static [u8]) -> (String, std::thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4_096];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(answer).unwrap();
        });
        (url, thread)
    }

    #[test]
    fn addresses_are_read_and_refused_with_what_is_accepted() {
        let url: ServerUrl = "ws://[::1]:9501/".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port), ("::1", 9_501));
        let url: ServerUrl = "ws://example.org/echo?x=1".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port), ("example.org", 80));
        for bad in ["", "localhost", "http://localhost/", "wss://localhost/", "ws:///", "ws://a b/"] {
            let message = bad.parse::<ServerUrl>().unwrap_err();
            assert!(message.contains("expected ws://host:port/"), "{bad}: {message}");
        }
    }

    #[test]
    fn a_refused_connection_says_how_to_start_the_server() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        drop(listener);
        let message = open_error(&url, TIMEOUT).to_string();
        assert!(message.contains("sandpool serve") && message.contains(&url), "{message}");
    }

    #[test]
    fn a_refused_handshake_shows_status_and_body() {
        let (url, thread) =
            answering(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 8\r\n\r\ntoo many");
        let message = open_error(&url, TIMEOUT).to_string();
        assert!(message.contains("503") && message.contains("too many"), "{message}");
        thread.join().unwrap();
    }

    #[test]
    fn what_is_no_websocket_server_is_told_apart() {
        let (url, thread) = answering(b"220 mail.example.org ESMTP\r\n");
        assert!(matches!(open_error(&url, TIMEOUT), ConnectionError::Handshake { .. }));
        thread.join().unwrap();
    }

    #[test]
    fn a_server_that_says_nothing_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let error = open_error(&url, Duration::from_millis(30));
        assert!(matches!(error, ConnectionError::Timeout(_)), "{error:?}");
    }

    #[test]
    fn commands_get_their_answers_and_errors_are_the_servers_words() {
        let server = TestServer::start(Behaviour::default());
        let mut connection = Connection::open(&server.url, TIMEOUT).unwrap();
        assert_eq!(connection.welcome["sample_rate"], 48_000);
        let pong = connection.command(&serde_json::json!({"command": "ping"}), "pong").unwrap();
        assert!(pong["timestamp"].is_number());
        let error = connection.command(&serde_json::json!({"command": "dance"}), "pong").unwrap_err();
        assert!(error.to_string().starts_with("the server says UNKNOWN_COMMAND: unknown command"), "{error}");
        let error = connection.command(&serde_json::json!({"command": "ping"}), "reset_done").unwrap_err();
        assert!(error.to_string().contains("`reset_done`"), "{error}");
        connection.close();
    }

    #[test]
    fn what_the_server_says_can_not_steer_the_terminal() {
        let text = r#"{"type":"error","code":"\u001b[2J","message":"a\u0007b","retry_after_ms":3}"#;
        let Received::Error(error) = parse_text(text) else { panic!("an error") };
        assert_eq!((error.code.as_str(), error.message.as_str()), ("[2J", "ab"));
        assert_eq!(error.retry_after, Some(Duration::from_millis(3)));
    }

    #[test]
    fn a_wait_with_an_end_comes_back_empty_handed() {
        let server = TestServer::start(Behaviour::default());
        let mut connection = Connection::open(&server.url, TIMEOUT).unwrap();
        let received = connection.receive(Some(Instant::now() + Duration::from_millis(5))).unwrap();
        assert!(received.is_none());
        assert!(connection.command(&serde_json::json!({"command": "ping"}), "pong").is_ok());
    }
}

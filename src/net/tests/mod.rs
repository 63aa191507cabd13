//! The front over real sockets.

mod accepting;
mod calls;
mod fairness;
mod http;
mod lifecycle;
mod memory;
mod socket;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{mpsc, Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{ClientRequestBuilder, WebSocket};

use super::{
    App, CloseCode, Closed, ConnectionHandle, Endpoint, Flow, Front, FrontHandle, Handler, Message, Method,
    NetOptions, Outbox, Request, Response, RouteLimits,
};
use crate::runtime::watchdog::{Watchdog, WatchdogOptions};
use crate::runtime::{overflow, time, Context};

/// A test that waits longer than this for something has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the application tells the test.
#[derive(Clone)]
struct Told {
    handles: Arc<Mutex<Vec<ConnectionHandle>>>,
    events: mpsc::Sender<Event>,
    finished: Arc<AtomicU64>,
    /// What has reserved room for its answer goes on.
    may_answer: Arc<AtomicBool>,
}

impl Told {
    fn by(events: mpsc::Sender<Event>) -> Told {
        Told { events, handles: Arc::default(), finished: Arc::default(), may_answer: Arc::default() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    RequestDropped,
    Deadline,
    HeldDropped,
    Closed(Closed),
}

struct TestApp {
    told: Told,
}

/// Tells when the request it belongs to is gone.
struct Guard(mpsc::Sender<Event>);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.send(Event::RequestDropped);
    }
}

impl Handler for TestApp {
    fn respond(&self, request: Request) -> Response {
        match request.path() {
            "/" => Response::text(200, "hello\n"),
            "/echo" | "/small" => Response::bytes(200, "application/octet-stream", request.into_body()),
            "/target" => Response::text(200, request.target().to_owned()),
            "/peer" => Response::text(200, request.peer().map_or(String::new(), |peer| peer.to_string())),
            "/panic" => panic!("a test's own panic"),
            "/overflow" => Response::text(200, overflow().to_string()),
            "/big" => Response::bytes(200, "application/octet-stream", vec![b'x'; 64 << 20]),
            "/sleep" => {
                let millis = request.query_value("ms").and_then(|ms| ms.parse().ok()).unwrap_or(0);
                time::sleep(Duration::from_millis(millis));
                self.told.finished.fetch_add(1, Ordering::SeqCst);
                Response::text(200, "slept\n")
            }
            "/hang" => {
                let _guard = Guard(self.told.events.clone());
                time::sleep(Duration::from_secs(3_600));
                Response::text(200, "never")
            }
            // Past its hard limit, and without a wait.
            "/spin/hang" => {
                let until = Instant::now() + Duration::from_millis(300);
                while Instant::now() < until {
                    std::hint::spin_loop();
                }
                Response::text(200, "spun\n")
            }
            // What the coroutine's context held.
            "/context" => {
                let before = Context::set(Word(Message::text(request.query().unwrap_or_default())));
                Response::text(200, format!("{:?}", before.map(|word| word.0)))
            }
            path => match path.strip_prefix("/reserve/") {
                Some(then) => reserve(&self.told, &request, then),
                None => Response::text(404, "not here\n"),
            },
        }
    }
}

/// Reserves room for an answer and then does as `then` says.
fn reserve(told: &Told, request: &Request, then: &str) -> Response {
    let bytes = request.query_value("bytes").and_then(|bytes| bytes.parse().ok()).unwrap_or(0);
    if let Err(error) = request.answer_room().reserve(bytes) {
        return Response::text(503, error.to_string());
    }
    while then != "hang" && !told.may_answer.load(Ordering::SeqCst) {
        time::sleep(Duration::from_millis(1));
    }
    match then {
        "fail" => panic!("a test's own panic"),
        "overflow" => Response::text(200, overflow().to_string()),
        "hang" => {
            time::sleep(Duration::from_secs(3_600));
            Response::text(200, "never")
        }
        "less" => Response::text(200, "less"),
        _ => Response::bytes(200, "application/octet-stream", vec![b'x'; bytes]),
    }
}

impl App for TestApp {
    type Socket = TestSocket;

    fn upgrade(&self, request: &Request) -> Result<TestSocket, Response> {
        let kind = match request.path() {
            "/echo" => Kind::Echo,
            "/hold" => Kind::Hold,
            "/labour" => Kind::Labour,
            "/deadline" => Kind::Deadline(Some(Instant::now() + Duration::from_millis(300))),
            "/flood" => Kind::Flood,
            "/patient" => Kind::Patient(None),
            "/context" => Kind::Context,
            "/toil" => Kind::Toil(Arc::default()),
            "/panic" => panic!("a test's own panic"),
            "/leave" => {
                Context::set(Word(Message::text("left by an upgrade")));
                return Err(Response::text(404, "no WebSocket here\n"));
            }
            _ => return Err(Response::text(404, "no WebSocket here\n")),
        };
        Ok(TestSocket { kind, told: self.told.clone() })
    }

    fn route_limits(&self, _method: &Method, path: &str) -> RouteLimits {
        let hard = if path.ends_with("hang") { Duration::from_millis(200) } else { PATIENCE };
        let max_body = if path == "/small" { 10 } else { 16 << 20 };
        RouteLimits { name: "test", max_body, soft: hard, hard }
    }
}

struct TestSocket {
    kind: Kind,
    told: Told,
}

enum Kind {
    Echo,
    /// Holds something from the message "hold" to the message "let go".
    Hold,
    /// Holds something from its first message on, and takes two milliseconds for each.
    Labour,
    Deadline(Option<Instant>),
    /// Answers with what the coroutine's context held, and puts the message there.
    Context,
    /// A deadline so long after the last message came; "stall" keeps the worker for longer than that.
    Patient(Option<Instant>),
    /// Answers every message with a megabyte.
    Flood,
    /// Takes two milliseconds for every message. At the first of them it starts a coroutine, which sends how many there
    /// had been when its turn came.
    Toil(Arc<AtomicU64>),
}

/// What an endpoint leaves in its coroutine's context.
#[derive(Clone)]
struct Word(Message);

/// Not `Send`, like a lease.
#[derive(Default)]
struct Held(Option<std::rc::Rc<Guarded>>);

struct Guarded(mpsc::Sender<Event>);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.send(Event::HeldDropped);
    }
}

impl Endpoint for TestSocket {
    type Held = Held;

    fn max_message(&self) -> usize {
        16 << 20
    }

    fn open(&mut self, out: &mut Outbox) {
        self.told.handles.lock().extend(out.handle().cloned());
    }

    fn message(&mut self, message: Message, held: &mut Held, out: &mut Outbox) -> Flow {
        if let Kind::Patient(deadline) = &mut self.kind {
            *deadline = Some(Instant::now() + Duration::from_millis(200));
            let stalls = message == Message::text("stall");
            while stalls && deadline.is_some_and(|deadline| Instant::now() < deadline) {
                std::hint::spin_loop();
            }
        }
        match (&self.kind, &message) {
            (_, Message::Text(text)) if &**text == "panic" => panic!("a test's own panic"),
            (_, Message::Text(text)) if &**text == "close" => {
                return Flow::close(CloseCode::Policy, "as asked")
            }
            (Kind::Hold, Message::Text(text)) if &**text == "hold" => {
                held.0 = Some(std::rc::Rc::new(Guarded(self.told.events.clone())));
            }
            (Kind::Hold, Message::Text(text)) if &**text == "let go" => held.0 = None,
            (Kind::Labour, _) => {
                held.0 = Some(std::rc::Rc::new(Guarded(self.told.events.clone())));
                let until = Instant::now() + Duration::from_millis(2);
                while Instant::now() < until {
                    std::hint::spin_loop();
                }
            }
            (_, Message::Text(text)) if text.starts_with("overflow") => out.text(overflow().to_string()),
            (Kind::Flood, _) => return self.flood(out),
            (Kind::Context, _) => {
                let before = Context::set(Word(message));
                out.send(before.map_or(Message::text(""), |word| word.0));
                return Flow::Continue;
            }
            (Kind::Toil(done), _) => return toil(done, out),
            (_, Message::Text(text)) if &**text == "wait" => {
                self.told.finished.fetch_add(1, Ordering::SeqCst);
                out.unless_client_leaves(|left| {
                    let waiter = left.waiter();
                    while !left.is_raised() {
                        let _ = waiter.park(None);
                    }
                });
            }
            _ => {}
        }
        out.send(message);
        self.told.finished.fetch_add(1, Ordering::SeqCst);
        Flow::Continue
    }

    fn must_stay(&self, held: &Held) -> bool {
        held.0.is_some()
    }

    fn next_deadline(&self, _held: &Held) -> Option<Instant> {
        match self.kind {
            Kind::Deadline(deadline) | Kind::Patient(deadline) => deadline,
            _ => None,
        }
    }

    fn on_deadline(&mut self, now: Instant, _held: &mut Held, out: &mut Outbox) -> Flow {
        if let Kind::Deadline(deadline) | Kind::Patient(deadline) = &mut self.kind {
            assert!(deadline.take().is_some_and(|deadline| deadline <= now));
        }
        let _ = self.told.events.send(Event::Deadline);
        out.text("time is up");
        Flow::Continue
    }

    fn closed(&mut self, why: Closed) {
        let _ = self.told.events.send(Event::Closed(why));
    }
}

impl TestSocket {
    fn flood(&self, out: &mut Outbox) -> Flow {
        out.binary(vec![0; 1 << 20]);
        Flow::Continue
    }
}

fn toil(done: &Arc<AtomicU64>, out: &Outbox) -> Flow {
    let until = Instant::now() + Duration::from_millis(2);
    if done.fetch_add(1, Ordering::SeqCst) == 0 {
        let (done, handle) = (Arc::clone(done), out.handle().unwrap().clone());
        crate::runtime::spawn_here(move || {
            handle.send(Message::text(done.load(Ordering::SeqCst).to_string())).unwrap()
        });
    }
    while Instant::now() < until {
        std::hint::spin_loop();
    }
    Flow::Continue
}

/// Runs an ignored test in a process of its own, for it may end it; it is to print "survived" at its end.
fn survives_alone(test: &str) {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("survived"), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// A front on a port of its own, shut down when it goes.
struct Server {
    front: FrontHandle,
    events: mpsc::Receiver<Event>,
    told: Told,
}

impl Server {
    fn start(options: NetOptions) -> Server {
        let (sender, events) = mpsc::channel();
        let told = Told::by(sender);
        let listener = Front::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        let front = Front::start(listener, TestApp { told: told.clone() }, options, watchdog()).unwrap();
        Server { front, events, told }
    }

    fn address(&self) -> SocketAddr {
        self.front.local_addr()
    }

    fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { stream, unread: Vec::new() }
    }

    fn socket(&self, path: &str) -> WebSocket<TcpStream> {
        let client = self.connect();
        let uri = format!("ws://{}{path}", self.address()).parse().unwrap();
        let config = WebSocketConfig::default().max_frame_size(None);
        let request = ClientRequestBuilder::new(uri);
        tungstenite::client::client_with_config(request, client.stream, Some(config)).unwrap().0
    }

    /// The handle of the first WebSocket there was, once its endpoint has opened.
    fn first_handle(&self) -> ConnectionHandle {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(handle) = self.told.handles.lock().first() {
                break handle.clone();
            }
            assert!(Instant::now() < deadline, "no endpoint has opened");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn next_event(&self) -> Event {
        self.events.recv_timeout(PATIENCE).expect("an event")
    }

    /// Waits until `condition` holds of the front's figures.
    fn wait_until(&self, what: &str, condition: impl Fn(&super::FrontStatus) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(&self.front.status()) {
            assert!(Instant::now() < deadline, "{what} never came: {:?}", self.front.status());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.front.shutdown(Instant::now());
    }
}

fn one_answer(server: &Server, request: impl AsRef<[u8]>) -> (Answer, Client) {
    let mut client = server.connect();
    client.send(request);
    (client.answer(), client)
}

/// One watchdog for all tests: it is a thread.
fn watchdog() -> Watchdog {
    static WATCHDOG: OnceLock<Watchdog> = OnceLock::new();
    let options = WatchdogOptions::default().period(Duration::from_millis(10));
    WATCHDOG.get_or_init(|| Watchdog::start(options)).clone()
}

/// A plain HTTP client that sends what it is told, byte by byte if need be.
struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

/// Reads until the server's close frame, and tells its code.
fn close_code(socket: &mut WebSocket<TcpStream>) -> Option<CloseCode> {
    loop {
        match socket.read() {
            Ok(tungstenite::Message::Close(close)) => return close.map(|close| close.code),
            Ok(_) => {}
            Err(error) => panic!("no close frame: {error}"),
        }
    }
}

impl Client {
    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        self.answer()
    }

    fn answer(&mut self) -> Answer {
        self.answer_to(true)
    }

    /// Reads one answer; `has_body` is false for one to HEAD.
    fn answer_to(&mut self, has_body: bool) -> Answer {
        let head_end = loop {
            if let Some(at) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(
                self.read_some() > 0,
                "the connection ended: {:?}",
                String::from_utf8_lossy(&self.unread)
            );
        };
        let head = String::from_utf8(self.unread.drain(..head_end).collect()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: HashMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = Vec::new();
        if has_body {
            while self.unread.len() < length {
                assert!(self.read_some() > 0, "the connection ended in a body");
            }
            body = self.unread.drain(..length).collect();
        }
        Answer { status, headers, body }
    }

    fn read_some(&mut self) -> usize {
        let mut buffer = [0; 64 * 1024];
        let length = self.stream.read(&mut buffer).expect("an answer in time");
        self.unread.extend_from_slice(&buffer[..length]);
        length
    }

    /// Whether the server has ended the connection, in order or not, after what was read.
    fn is_closed(&mut self) -> bool {
        assert!(self.unread.is_empty(), "{:?}", String::from_utf8_lossy(&self.unread));
        match self.stream.read(&mut [0; 100]) {
            Ok(length) => length == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use super::*;
use crate::runtime::watchdog::WatchdogOptions;

const PATIENCE: Duration = Duration::from_secs(20);

/// Answers by the path, so that one server does for most tests.
fn routes(request: Request) -> Response {
    match request.path() {
        "/echo" => {
            let content_type = request.header("content-type").unwrap_or("none").to_owned();
            Response::bytes(200, content_type, request.into_body())
        }
        "/panic" => panic!("on purpose"),
        "/overflow" => Response::text(200, format!("{}\n", dig(u64::MAX))),
        "/sleep" => {
            time::sleep(PATIENCE * 100);
            Response::text(200, "woke up")
        }
        "/large" => Response::text(200, vec![b'x'; 8 << 20]),
        "/headers" => (0..40).fold(Response::text(200, "many"), |response, index| {
            response.header(format!("x-number-{index}"), "yes")
        }),
        _ => Response::json(404, "{}").header("content-length", "77"),
    }
}

/// Uses up any stack: each call keeps a piece of it.
#[inline(never)]
fn dig(depth: u64) -> u64 {
    let piece = std::hint::black_box([depth; 64]);
    if depth == 0 {
        return 0;
    }
    dig(depth - 1).wrapping_add(piece[63])
}

struct Routes;

impl Handler for Routes {
    fn respond(&self, request: Request) -> Response {
        routes(request)
    }
}

fn start(options: MiniOptions) -> MiniServer {
    MiniServer::start("127.0.0.1:0".parse().unwrap(), Routes, options).unwrap()
}

fn connect(server: &MiniServer) -> TcpStream {
    let stream = TcpStream::connect(server.local_addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends `request` and reads one answer: its head and its body.
fn ask(stream: &mut TcpStream, request: &[u8]) -> (String, Vec<u8>) {
    stream.write_all(request).unwrap();
    read_answer(stream)
}

fn read_answer(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = field(&head, "content-length").unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn get(stream: &mut TcpStream, path: &str) -> (String, Vec<u8>) {
    ask(stream, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
}

#[test]
fn a_request_reaches_the_handler_whole_and_its_response_comes_back_whole() {
    let server = start(MiniOptions::default());
    let mut stream = connect(&server);
    let body = vec![7; 200_000];
    let head = format!(
        "POST /echo?a=b HTTP/1.1\r\nHost: x\r\nContent-Type: audio/ogg\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    for _ in 0..3 {
        let (head, echoed) = ask(&mut stream, &[head.as_bytes(), &body].concat());
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(field(&head, "content-type"), Some("audio/ogg"));
        assert_eq!(echoed, body);
    }
    let (head, large) = get(&mut stream, "/large");
    assert!(head.starts_with("HTTP/1.1 200 "));
    assert_eq!(large.len(), 8 << 20);
    server.stop();
}

#[test]
fn requests_sent_at_once_are_answered_in_order() {
    let server = start(MiniOptions::default());
    let mut stream = connect(&server);
    let request = |text: &str| format!("POST /echo HTTP/1.1\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    stream.write_all([request("first"), request("second"), request("third")].concat().as_bytes()).unwrap();
    let answers: Vec<_> = (0..3).map(|_| read_answer(&mut stream).1).collect();
    assert_eq!(answers, [&b"first"[..], b"second", b"third"]);
    server.stop();
}

#[test]
fn statuses_have_their_reason_and_the_length_is_that_of_the_body() {
    let server = start(MiniOptions::default());
    let (head, body) = get(&mut connect(&server), "/nowhere");
    assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{head}");
    assert_eq!(body, b"{}");
    assert_eq!(head.to_ascii_lowercase().matches("content-length").count(), 1);
    server.stop();
}

#[test]
fn the_answer_to_head_has_no_body() {
    let server = start(MiniOptions::default());
    let mut stream = connect(&server);
    let (head, body) = ask(&mut stream, b"HEAD /nowhere HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 404 ") && body.is_empty(), "{head}");
    assert_eq!(get(&mut stream, "/nowhere").1, b"{}");
    server.stop();
}

#[test]
fn more_headers_than_fit_are_left_out() {
    let server = start(MiniOptions::default());
    let (head, body) = get(&mut connect(&server), "/headers");
    assert_eq!(body, b"many");
    assert_eq!(field(&head, "content-type"), Some("text/plain; charset=utf-8"));
    assert!((1..MAX_RESPONSE_HEADERS).contains(&head.matches("x-number-").count()), "{head}");
    server.stop();
}

#[test]
fn a_handler_that_panics_or_overflows_is_answered_with_500_and_the_connection_lives() {
    let server = start(MiniOptions::default());
    let mut stream = connect(&server);
    for path in ["/panic", "/overflow"] {
        let (head, _) = get(&mut stream, path);
        assert!(head.starts_with("HTTP/1.1 500 "), "{path}: {head}");
    }
    assert!(get(&mut stream, "/nowhere").0.starts_with("HTTP/1.1 404 "));
    server.stop();
}

#[test]
fn a_handler_past_its_hard_limit_is_answered_with_504_and_the_connection_lives() {
    let watchdog = Watchdog::start(WatchdogOptions::default().period(Duration::from_millis(1)));
    let limit = Duration::from_millis(20);
    let server = start(MiniOptions::default().watchdog(watchdog.clone(), limit, limit));
    let mut stream = connect(&server);
    assert!(get(&mut stream, "/sleep").0.starts_with("HTTP/1.1 504 "));
    assert_eq!(watchdog.counts().expired, 1);
    assert!(watchdog.running().is_empty());
    assert!(get(&mut stream, "/nowhere").0.starts_with("HTTP/1.1 404 "));
    server.stop();
}

#[test]
fn a_bad_framing_is_answered_and_nothing_after_it_is_taken_for_a_request() {
    let server = start(MiniOptions::default().max_body(100));
    let cases = [
        ("Content-Length: many", 400),
        ("Content-Length: -1", 400),
        ("Content-Length: +1", 400),
        ("Content-Length: 1\r\nContent-Length: 2", 400),
        ("Content-Length: 99999999999999999999999", 400),
        ("Content-Length: 101", 413),
        ("Transfer-Encoding: chunked", 501),
    ];
    for (field, status) in cases {
        let mut stream = connect(&server);
        let request = format!("POST /echo HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n");
        let (head, _) = ask(&mut stream, request.as_bytes());
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{field}: {head}");
        assert_eq!(self::field(&head, "connection"), Some("close"));
        stream.write_all(b"GET /nowhere HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(stream.read(&mut [0; 100]).unwrap_or(0), 0, "{field}: the connection is closed");
    }
    server.stop();
}

#[test]
fn a_client_that_leaves_in_the_middle_harms_nobody() {
    let server = start(MiniOptions::default());
    let mut leaving = connect(&server);
    leaving.write_all(b"POST /echo HTTP/1.1\r\nContent-Length: 50\r\n\r\nhalf").unwrap();
    leaving.shutdown(Shutdown::Write).unwrap();
    assert_eq!(leaving.read(&mut [0; 100]).unwrap_or(0), 0);
    assert!(get(&mut connect(&server), "/nowhere").0.starts_with("HTTP/1.1 404 "));
    server.stop();
}

#[test]
fn a_taken_address_is_refused_and_not_shared() {
    let first = start(MiniOptions::default());
    let error = MiniServer::start(first.local_addr(), Routes, MiniOptions::default()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    first.stop();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap();
    let error = MiniServer::start(taken, Routes, MiniOptions::default()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn a_stopped_server_takes_no_connection_and_tells_old_ones_to_go() {
    let server = start(MiniOptions::default());
    let addr = server.local_addr();
    let mut stream = connect(&server);
    assert!(get(&mut stream, "/nowhere").0.starts_with("HTTP/1.1 404 "));
    server.stop();
    assert!(TcpStream::connect(addr).is_err());
    let (head, _) = get(&mut stream, "/nowhere");
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    // The address is free again at once, with connections of before still open.
    let again = MiniServer::start(addr, Routes, MiniOptions::default());
    again.unwrap().stop();
}

#[test]
fn a_header_line_is_kept_once_and_a_flood_of_them_is_bounded() {
    let first = kept_line("x-kept", "1").unwrap();
    assert!(std::ptr::eq(first, kept_line("x-kept", "1").unwrap()));
    assert_eq!(kept_line("x-long", &"v".repeat(MAX_HEADER_LINE)), None);
}

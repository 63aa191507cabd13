//! The server as its clients see it: routes, limits, what it says of itself.

use std::io::Write;

use sandbox::Settings;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::Frame;

use crate::common::{connect, packets, post, request, Answer, Client, ServerProcess};

#[test]
fn status_has_the_documented_fields_and_a_census_that_adds_up() {
    let server = ServerProcess::start(&["--pool-min", "3", "--pool-max", "7"]);
    for path in ["/", "/status"] {
        let status = server.get(path).json();
        assert!(status["uptime_seconds"].as_f64().unwrap() >= 0.0);
        assert!(status["connections"].as_u64().unwrap() >= 1);
        assert!(status["totals"].is_object());
        assert_eq!(census(&status["pool"]), [7, 3, 3, 0, 0, 0]);
        let pool = |name: &str| status["pool"][name].as_u64().unwrap_or_else(|| panic!("{name} in {status}"));
        assert_eq!((pool("waiting"), pool("created"), pool("discarded"), pool("timed_out")), (0, 3, 0, 0));
    }
    // Two clients that speak hold one each, and the keeper fills the minimum up again.
    let packet = &packets(&Settings::default(), 1, 1)[0];
    let mut speaking = [Client::welcome(server.addr).0, Client::welcome(server.addr).0];
    speaking.iter_mut().for_each(|client| assert!(client.audio(packet).is_ok()));
    let pool = server.pool_becomes(|pool| pool["idle"] == 3);
    assert_eq!((census(&pool), pool["created"].as_u64()), ([7, 5, 3, 2, 0, 0], Some(5)));
    drop(speaking);
    let pool = server.pool_becomes(|pool| pool["idle"] == 5);
    assert_eq!((census(&pool), pool["created"].as_u64()), ([7, 5, 5, 0, 0, 0], Some(5)));
}

/// Capacity, size, idle, leased, resetting, building.
fn census(pool: &serde_json::Value) -> [u64; 6] {
    ["capacity", "size", "idle", "leased", "resetting", "building"]
        .map(|name| pool[name].as_u64().unwrap_or_else(|| panic!("{name} in {pool}")))
}

#[test]
fn health_is_ok_on_both_listeners_and_metrics_are_on_the_operations_one() {
    let server = ServerProcess::start(&[]);
    for addr in [server.addr, server.ops] {
        let health = request(addr, "GET /health HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!((health.status, health.text()), (200, "OK"));
        assert_eq!(request(addr, "GET /ready HTTP/1.1\r\nHost: test\r\n\r\n").status, 200);
    }
    let metrics = request(server.ops, "GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!(metrics.text().contains("sandpool_pool_sandboxes{state=\"idle\"}"), "{}", metrics.text());
}

#[test]
fn options_of_the_whole_server_are_answered() {
    let server = ServerProcess::start(&[]);
    let answer = request(server.addr, "OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!((answer.status, answer.header("allow")), (204, Some("GET, HEAD, POST, OPTIONS")));
}

#[test]
fn errors_say_what_is_accepted() {
    let server = ServerProcess::start(&[]);
    let missing = server.get("/nothing");
    assert_eq!((missing.status, missing.json()["error"]["code"].as_str()), (404, Some("NOT_FOUND")));
    let method = post(server.addr, "/status", "", b"");
    assert_eq!((method.status, method.header("allow")), (405, Some("GET, HEAD")));
    for ms in ["x", "-1", "60001", "99999999999999999999"] {
        let bad = server.get(&format!("/sleep?ms={ms}"));
        assert_eq!(bad.status, 400, "{ms}");
        assert!(bad.json()["error"]["message"].as_str().unwrap().contains("0 to 60000"));
    }
    assert_eq!(server.get("/chaos/panic").status, 404, "chaos is off unless asked for");
    assert_eq!(post(server.addr, "/process", "", b"no recording").status, 415);
}

#[test]
fn echo_answers_any_method_with_the_body() {
    let server = ServerProcess::start(&[]);
    for method in ["POST", "PUT", "DELETE", "PATCH", "BREW"] {
        let head = format!("{method} /echo HTTP/1.1\r\nHost: test\r\nContent-Type: text/x-test\r\nContent-Length: 5\r\n\r\nhello");
        let answer = request(server.addr, &head);
        assert_eq!(
            (answer.status, answer.text(), answer.header("content-type")),
            (200, "hello", Some("text/x-test"))
        );
    }
    let mut echo = Client::connect(server.addr, "/echo");
    let large = tungstenite::Message::binary(vec![7; 3 << 20]);
    echo.socket.send(large.clone()).unwrap();
    assert_eq!(echo.socket.read().unwrap(), large);
}

#[test]
fn an_echo_is_as_long_as_16_mib_and_no_longer() {
    const MOST: usize = 16 << 20;
    let server = ServerProcess::start(&[]);
    let mut echo = Client::connect(server.addr, "/echo");
    let largest = tungstenite::Message::binary(vec![7; MOST]);
    echo.socket.send(largest.clone()).unwrap();
    assert!(echo.socket.read().unwrap() == largest);

    let closed_as_too_big = |echo: &mut Client| match echo.socket.read().unwrap() {
        tungstenite::Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1009),
        other => panic!("a close expected, got {} bytes", other.len()),
    };
    // One byte more, in a second frame.
    let frame = |bytes: Vec<u8>, kind, last| {
        tungstenite::Message::Frame(Frame::message(bytes, OpCode::Data(kind), last))
    };
    echo.socket.send(frame(vec![7; MOST], Data::Binary, false)).unwrap();
    echo.socket.send(frame(vec![7; 1], Data::Continue, true)).unwrap();
    closed_as_too_big(&mut echo);
    // One byte more in one frame: refused at its head, before any of it is sent.
    let mut echo = Client::connect(server.addr, "/echo");
    let mut head = vec![0x82, 0x80 | 127];
    head.extend((MOST as u64 + 1).to_be_bytes());
    head.extend([1, 2, 3, 4]);
    echo.socket.get_mut().write_all(&head).unwrap();
    closed_as_too_big(&mut echo);
}

#[test]
fn sleeping_requests_share_a_worker() {
    let server = ServerProcess::start(&["--workers", "1", "--pool-max", "64"]);
    let streams: Vec<_> = (0..64)
        .map(|_| {
            let mut stream = connect(server.addr);
            stream.write_all(b"GET /sleep?ms=400 HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
            stream
        })
        .collect();
    server.pool_becomes(|pool| pool["leased"] == 64);
    let concurrency = server.get("/stats").json()["worker_concurrency"].clone();
    assert!(concurrency[0].as_u64().unwrap() >= 64, "{concurrency}");
    for mut stream in streams {
        assert_eq!(Answer::read(&mut stream).status, 200);
    }
}

#[test]
fn too_many_connections_are_refused_and_the_others_live_on() {
    let server = ServerProcess::start(&["--max-connections", "4"]);
    let mut clients: Vec<_> = (0..4).map(|_| Client::welcome(server.addr).0).collect();
    let mut refused = connect(server.addr);
    refused.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    assert_eq!(Answer::read(&mut refused).status, 503);
    for client in &mut clients {
        assert_eq!(client.command(r#"{"command":"ping"}"#)["type"], "pong");
    }
    drop(clients);
    // The places of those that are gone are free again.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while server.get("/health").status != 200 {
        assert!(std::time::Instant::now() < deadline, "nobody gets in any more");
    }
}

#[test]
fn one_request_more_than_there_are_coroutines_for_is_refused_and_the_others_live_on() {
    // Of 80 coroutines 12 are for connections, 64 for the operations listener, and what is left for requests.
    let server = ServerProcess::start(&["--max-connections", "12", "--max-coroutines", "80"]);
    let mut sleeping: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = connect(server.addr);
            stream.write_all(b"GET /sleep?ms=3000 HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
            stream
        })
        .collect();
    // Asked at the other listener, for it would be a request too many at this one.
    let status = || request(server.ops, "GET /status HTTP/1.1\r\nHost: test\r\n\r\n").json();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while status()["pool"]["leased"] != 4 {
        assert!(std::time::Instant::now() < deadline, "the requests do not sleep: {}", status());
    }
    let refused = server.get("/health");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    for stream in &mut sleeping {
        assert_eq!(Answer::read(stream).status, 200);
    }
    // The same connections are served again.
    for stream in &mut sleeping {
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        assert_eq!(Answer::read(stream).status, 200);
    }
}

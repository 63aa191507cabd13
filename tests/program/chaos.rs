//! What becomes of the server, its pool and everybody else when requests fail inside their sandboxes.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::common::{connect, packets, processed_alone, Answer, Client, ServerProcess};
use sandbox::Settings;
use serde_json::Value;

const FAST_LIMITS: [&str; 7] =
    ["--chaos", "--request-soft-limit", "100ms", "--request-hard-limit", "300ms", "--stall-limit", "300ms"];

fn server(flags: &[&str]) -> ServerProcess {
    ServerProcess::start(&[&FAST_LIMITS[..], flags].concat())
}

/// Sends `path` over a connection, twice, and between them something harmless: the connection must live on.
fn status_over_one_connection(server: &ServerProcess, path: &str) -> u16 {
    let mut stream = connect(server.addr);
    let mut ask = |path: &str| {
        write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        Answer::read(&mut stream).status
    };
    let first = ask(path);
    assert_eq!(ask("/health"), 200, "the connection lives on after {path}");
    assert_eq!(ask(path), first);
    first
}

fn count(pool: &Value, name: &str) -> u64 {
    pool[name].as_u64().unwrap()
}

fn all_home(pool: &Value) -> bool {
    count(pool, "leased") + count(pool, "resetting") + count(pool, "building") + count(pool, "waiting") == 0
}

#[test]
fn a_panic_is_answered_with_500_and_its_sandbox_is_replaced() {
    let server = server(&["--pool-max", "2"]);
    assert_eq!(status_over_one_connection(&server, "/chaos/panic"), 500);
    let pool = server.pool_becomes(all_home);
    assert_eq!(count(&pool, "discarded"), 2);
}

#[test]
fn an_error_is_answered_with_500_and_its_sandbox_comes_home() {
    let server = server(&["--pool-max", "2"]);
    assert_eq!(status_over_one_connection(&server, "/chaos/error"), 500);
    let pool = server.pool_becomes(all_home);
    assert_eq!(count(&pool, "discarded"), 0);
}

#[test]
fn a_hanging_request_is_cancelled_with_504_and_its_sandbox_is_replaced() {
    let server = server(&["--pool-max", "2"]);
    assert_eq!(status_over_one_connection(&server, "/chaos/hang"), 504);
    let pool = server.pool_becomes(all_home);
    assert_eq!(count(&pool, "discarded"), 2);
}

#[test]
fn a_server_outlives_more_overflows_than_its_stacks_bear() {
    const AT_ONCE: usize = 100;
    let server = ServerProcess::start(&["--chaos", "--log-level", "off"]);
    let mut client = connect(server.addr);
    let requests = "GET /chaos/overflow HTTP/1.1\r\nHost: test\r\n\r\n".repeat(AT_ONCE);
    for _ in 0..80 {
        client.write_all(requests.as_bytes()).unwrap();
        for _ in 0..AT_ONCE {
            assert_eq!(Answer::read(&mut client).status, 500);
        }
    }
}

#[test]
fn a_stack_overflow_costs_one_request_and_one_sandbox() {
    let mut server = server(&["--pool-max", "2"]);
    assert_eq!(status_over_one_connection(&server, "/chaos/overflow"), 500);
    let pool = server.pool_becomes(all_home);
    assert_eq!(count(&pool, "discarded"), 2);
    assert!(server.is_running());
}

#[test]
fn a_spinning_request_is_named_and_readiness_turns_false_until_it_ends() {
    let server = server(&["--workers", "2"]);
    let mut spinning = connect(server.addr);
    write!(spinning, "GET /chaos/spin?ms=3000 HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    // The operations listener may be on the stalled worker; it answers there when the spinning is over.
    let deadline = Instant::now() + Duration::from_secs(20);
    let ask = || {
        let mut stream = std::net::TcpStream::connect(server.ops).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        write!(stream, "GET /ready HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        let mut one = [0; 1024];
        let read = std::io::Read::read(&mut stream, &mut one).ok()?;
        let text = String::from_utf8_lossy(&one[..read]).into_owned();
        text.contains("503").then_some(text)
    };
    let unready = loop {
        assert!(Instant::now() < deadline, "readiness did not turn false");
        if let Some(text) = ask() {
            break text;
        }
    };
    let (_, coroutine) = unready.split_once("is stalled in coroutine ").expect(&unready);
    let (id, work) = coroutine.split_once(": ").expect(&unready);
    assert!(id.strip_prefix('c').is_some_and(|number| number.parse::<u64>().is_ok()), "{unready}");
    assert!(work.starts_with("/chaos"), "{unready}");
    // It could not be interrupted, and was past its limit when it ended.
    assert!([200, 504].contains(&Answer::read(&mut spinning).status));
    let deadline = Instant::now() + Duration::from_secs(20);
    while server.get("/ready").status != 200 {
        assert!(Instant::now() < deadline, "never ready again");
    }
}

/// Open files of the server's process.
fn descriptors(server: &ServerProcess) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count()
}

#[test]
fn no_kind_of_failure_leaves_a_descriptor_or_a_count_behind() {
    let server = server(&["--pool-max", "40"]);
    let figure = |name: &str| -> f64 {
        let metrics = crate::common::request(server.ops, "GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n");
        let line =
            metrics.text().lines().find(|line| line.starts_with(&format!("{name} "))).unwrap().to_owned();
        line.split(' ').nth(1).unwrap().parse().unwrap()
    };
    // Everything that is opened once is open now.
    for path in ["/chaos/panic", "/chaos/overflow", "/chaos/hang", "/chaos/error"] {
        server.get(path);
    }
    let before = descriptors(&server);
    for path in ["/chaos/panic", "/chaos/overflow", "/chaos/error"] {
        for _ in 0..40 {
            assert_eq!(server.get(path).status, 500);
        }
    }
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| assert_eq!(server.get("/chaos/hang").status, 504));
        }
    });
    let deadline = Instant::now() + Duration::from_secs(20);
    // Far fewer than one for each of the forty of any kind.
    while descriptors(&server) > before + 5 {
        assert!(Instant::now() < deadline, "{before} descriptors became {}", descriptors(&server));
    }
    while figure("sandpool_http_requests_in_flight") > 0.0 {
        assert!(Instant::now() < deadline, "requests are counted that have ended");
    }
}

#[test]
fn requests_that_expire_before_they_run_are_not_counted_for_ever() {
    let server = server(&["--workers", "1", "--pool-max", "4"]);
    let mut spinning = connect(server.addr);
    write!(spinning, "GET /chaos/spin?ms=1200 HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    let mut behind: Vec<_> = (0..30)
        .map(|_| {
            let mut stream = connect(server.addr);
            write!(stream, "GET /sleep?ms=1 HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
            stream
        })
        .collect();
    for stream in &mut behind {
        assert!([200, 503, 504].contains(&Answer::read(stream).status));
    }
    Answer::read(&mut spinning);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let metrics = crate::common::request(server.ops, "GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n");
        // The operations listener's own request is none of the front's.
        if metrics.text().contains("\nsandpool_http_requests_in_flight 0\n") {
            break;
        }
        assert!(Instant::now() < deadline, "requests are counted that have ended");
    }
    server.pool_becomes(all_home);
}

#[test]
fn speaking_clients_hear_nothing_of_all_this() {
    let server = server(&["--pool-max", "8", "--acquire-timeout", "20"]);
    let settings = Settings::default();
    let stream = packets(&settings, 7, 150);
    let expected = processed_alone(&settings, &stream);
    let addr = server.addr;
    let speakers: Vec<_> = (0..3)
        .map(|_| {
            let (stream, expected) = (stream.clone(), expected.clone());
            std::thread::spawn(move || {
                let (mut client, _) = Client::welcome(addr);
                for (packet, expected) in stream.iter().zip(&expected) {
                    assert!(client.audio(packet).unwrap() == *expected);
                }
            })
        })
        .collect();
    for round in 0..10 {
        for path in ["/chaos/panic", "/chaos/overflow", "/chaos/hang", "/chaos/error"] {
            let status = server.get(path).status;
            assert!([500, 504].contains(&status), "{path} in round {round}: {status}");
        }
    }
    speakers.into_iter().for_each(|speaker| speaker.join().unwrap());
    let pool = server.pool_becomes(all_home);
    assert_eq!(count(&pool, "discarded"), 30);
    assert_eq!(count(&pool, "size"), count(&pool, "idle"));
}

//! Starting and stopping the server, and what it says when it can't start.

use std::io::Write;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::common::{connect, packets, Answer, Client, ServerProcess};
use sandbox::Settings;

fn serve(flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sandpool")).arg("serve").args(flags).output().unwrap()
}

fn complaint(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn a_bad_setting_ends_with_2_and_is_named_with_what_is_accepted() {
    for (flags, parts) in [
        (&["--pool-max", "0"][..], ["pool-max", "1 to 32767"]),
        (&["--workers", "many"], ["workers", "many"]),
        (&["--listen", "nowhere"], ["listen", "nowhere"]),
        (&["--acquire-timeout", "5 parsecs"], ["acquire-timeout", "5 parsecs"]),
        (&["--config", "/does/not/exist.toml"], ["config", "/does/not/exist.toml"]),
    ] {
        let output = serve(flags);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {}", complaint(&output));
        for part in parts {
            assert!(complaint(&output).contains(part), "{flags:?}: {}", complaint(&output));
        }
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    for flag in ["--listen", "--ops"] {
        let other = if flag == "--listen" { "--ops" } else { "--listen" };
        let output = serve(&[flag, &addr, other, "127.0.0.1:0"]);
        assert_eq!(output.status.code(), Some(1), "{flag}: {}", complaint(&output));
        assert!(complaint(&output).contains(&addr), "{flag}: {}", complaint(&output));
    }
}

#[test]
fn told_to_stop_it_closes_websockets_with_1001_lets_requests_end_and_exits_with_0() {
    let server = ServerProcess::start(&["--drain-timeout", "20"]);
    let (mut speaking, _) = Client::welcome(server.addr);
    speaking.audio(&packets(&Settings::default(), 1, 1)[0]).unwrap();
    let (mut parked, _) = Client::welcome(server.addr);
    // Long enough for it to be parked.
    std::thread::sleep(Duration::from_millis(600));
    let mut sleeping = connect(server.addr);
    sleeping.write_all(b"GET /sleep?ms=1000 HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    server.pool_becomes(|pool| pool["leased"] == 2);

    server.terminate();
    for client in [&mut speaking, &mut parked] {
        match client.socket.read().unwrap() {
            tungstenite::Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1001),
            other => panic!("a close expected, got {other:?}"),
        }
        // Answers the close, so that nothing has to be waited for.
        let _ = client.socket.read();
    }
    assert_eq!(Answer::read(&mut sleeping).status, 200, "a request in flight ends as it should");
    assert!(std::net::TcpStream::connect(server.addr).is_err(), "new connections are refused");
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn a_request_that_does_not_end_is_not_waited_for_longer_than_the_drain_timeout() {
    let server = ServerProcess::start(&["--chaos", "--drain-timeout", "300ms"]);
    let mut hanging = connect(server.addr);
    hanging.write_all(b"GET /chaos/hang HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    server.pool_becomes(|pool| pool["leased"] == 1);
    let told = Instant::now();
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    assert!(told.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_worker_that_is_busy_does_not_hold_up_the_stop() {
    let server = ServerProcess::start(&["--chaos", "--workers", "2", "--drain-timeout", "300ms"]);
    let mut spinning = connect(server.addr);
    spinning.write_all(b"GET /chaos/spin?ms=30000 HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    // Its worker can't be asked; the pool can't either when that worker has the connection.
    std::thread::sleep(Duration::from_millis(300));
    let told = Instant::now();
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    assert!(told.elapsed() < Duration::from_secs(15), "it took {:?}", told.elapsed());
}

#[test]
fn the_configuration_in_force_can_be_printed_with_its_sources() {
    let output = Command::new(env!("CARGO_BIN_EXE_sandpool"))
        .args(["serve", "--pool-max", "77", "--print-config"])
        .env("SANDPOOL_SESSION_IDLE", "7s")
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    for part in ["pool_max = 77", "session_idle = \"7s\"", "SANDPOOL_SESSION_IDLE", "--pool-max"] {
        assert!(printed.contains(part), "{part} in:\n{printed}");
    }
}

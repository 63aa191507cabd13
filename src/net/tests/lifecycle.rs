//! Slow, silent and too many clients; starting and stopping.

use super::*;

fn quick() -> NetOptions {
    NetOptions::default().close_timeout(Duration::from_millis(300))
}

#[test]
fn a_head_that_trickles_in_is_cut_off_with_408() {
    let server = Server::start(quick().head_timeout(Duration::from_millis(300)));
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: ");
    let mut sender = client.stream.try_clone().unwrap();
    let trickling = std::thread::spawn(move || {
        // However lively it is: the whole head has its time, not each byte.
        while sender.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    assert_eq!(client.answer().status, 408);
    server.wait_until("the end", |status| status.connections == 0);
    drop(client);
    trickling.join().unwrap();
}

#[test]
fn a_trickling_head_holds_no_coroutine() {
    let server = Server::start(quick());
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHo");
    server.wait_until("the parking", |status| status.connections == 1 && status.driven == 0);
    client.send("st: a\r\n\r\n");
    assert_eq!(client.answer().status, 200);
}

#[test]
fn a_body_that_trickles_in_is_cut_off_with_408() {
    let options = quick().head_timeout(Duration::from_millis(300)).min_body_rate(100_000);
    let server = Server::start(options);
    for framing in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        let mut client = server.connect();
        client.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"));
        client.send("1");
        assert_eq!(client.answer().status, 408, "{framing}");
        assert!(client.is_closed());
    }
}

#[test]
fn a_silent_connection_is_closed() {
    let server = Server::start(
        quick().head_timeout(Duration::from_millis(300)).keep_alive(Duration::from_millis(300)),
    );
    let mut never_spoke = server.connect();
    let mut spoke_once = server.connect();
    assert_eq!(spoke_once.get("/").status, 200);
    assert!(never_spoke.is_closed());
    assert!(spoke_once.is_closed());
    server.wait_until("the end", |status| status.connections == 0);
}

#[test]
fn a_client_that_does_not_read_its_answer_is_cut_off() {
    let server = Server::start(quick().write_stall(Duration::from_millis(300)));
    let mut client = server.connect();
    client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    server.wait_until("the request", |status| status.requests == 1);
    server.wait_until("the end", |status| status.connections == 0);
}

/// Reads `stream` steadily, at two megabytes a second at most, to its end: how much there was.
fn read_slowly(stream: &mut TcpStream) -> usize {
    let (mut total, mut buffer) = (0, vec![0; 16 << 10]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return total,
            Ok(length) => total += length,
        }
        std::thread::sleep(Duration::from_millis(8));
    }
}

#[test]
fn a_client_that_reads_steadily_but_too_slowly_is_cut_off() {
    let server = Server::start(quick().write_stall(Duration::from_secs(1)).min_write_rate(100_000_000));
    let mut client = server.connect();
    rustix::net::sockopt::set_socket_recv_buffer_size(&client.stream, 64 << 10).unwrap();
    client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    let total = read_slowly(&mut client.stream);
    assert!(total < 60 << 20, "{total}");

    let mut socket = server.socket("/echo");
    rustix::net::sockopt::set_socket_recv_buffer_size(socket.get_ref(), 64 << 10).unwrap();
    socket.send(tungstenite::Message::binary(vec![0; 16 << 20])).unwrap();
    let total = read_slowly(socket.get_mut());
    assert!(total < 15 << 20, "{total}");
    assert_eq!(server.next_event(), Event::Closed(Closed::WriteStall));
}

#[test]
fn one_connection_too_many_gets_503_and_the_others_live_on() {
    let server = Server::start(quick().max_connections(2));
    let (mut first, mut second) = (server.connect(), server.connect());
    assert_eq!(first.get("/").status, 200);
    assert_eq!(second.get("/").status, 200);
    let mut third = server.connect();
    let refused = third.get("/");
    assert_eq!((refused.status, &*refused.headers["retry-after"]), (503, "1"));
    assert!(third.is_closed());
    assert_eq!(first.get("/").status, 200);
    drop(second);
    server.wait_until("a free place", |status| status.connections == 1);
    assert_eq!(server.connect().get("/").status, 200);
}

#[test]
fn idle_connections_have_no_coroutine_and_wake_when_they_speak() {
    let server = Server::start(quick());
    let mut clients: Vec<Client> = (0..300).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200);
    }
    server.wait_until("the parking", |status| status.connections == 300 && status.driven == 0);
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200);
    }
}

#[test]
fn a_shutdown_answers_what_is_in_flight_closes_the_idle_and_refuses_the_new() {
    let server = Server::start(quick());
    let mut idle = server.connect();
    assert_eq!(idle.get("/").status, 200);
    let mut busy = server.connect();
    busy.send("GET /sleep?ms=300 HTTP/1.1\r\nHost: a\r\n\r\n");
    server.wait_until("the request", |status| status.requests == 2);
    let front = server.front.clone();
    let stopping = std::thread::spawn(move || front.shutdown(Instant::now() + PATIENCE));
    assert!(idle.is_closed());
    let answer = busy.answer();
    assert_eq!((&answer.body[..], &*answer.headers["connection"]), (&b"slept\n"[..], "close"));
    assert!(busy.is_closed());
    drop((idle, busy));
    assert!(stopping.join().unwrap(), "all ended in order");
    assert!(TcpStream::connect(server.address()).is_err());
}

#[test]
fn a_shutdown_ends_at_its_deadline_whatever_is_in_flight() {
    let server = Server::start(quick());
    let mut busy = server.connect();
    busy.send("GET /sleep?ms=3600000 HTTP/1.1\r\nHost: a\r\n\r\n");
    server.wait_until("the request", |status| status.requests == 1);
    assert!(!server.front.shutdown(Instant::now() + Duration::from_millis(100)));
    assert_eq!(busy.answer().status, 503, "it is told why");
    assert!(busy.is_closed());
    assert_eq!(server.front.connections(), 0);
}

#[test]
fn a_client_that_does_not_close_holds_no_coroutine_after_the_last_answer() {
    let server = Server::start(NetOptions::default().close_timeout(PATIENCE));
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    server.wait_until("the parking", |status| status.driven == 0);
    assert_eq!(server.front.status().connections, 1, "it is waited for all the same");
    // Nor is it reset by what it still sends.
    client.send(vec![b'x'; 100_000]);
    assert!(client.is_closed());
    drop(client);
    server.wait_until("the end", |status| status.connections == 0);
}

#[test]
fn a_half_sent_head_holds_a_shutdown_no_longer_than_the_goodbye() {
    let server = Server::start(quick().head_timeout(Duration::from_secs(3_600)));
    let mut half = server.connect();
    half.send("GET / HTTP/1.1\r\nHo");
    server.wait_until("the parking", |status| status.connections == 1 && status.driven == 0);
    assert!(server.front.shutdown(Instant::now() + PATIENCE), "it was not cut off");
    assert_eq!(half.answer().status, 408);
    assert!(half.is_closed());
}

#[test]
fn a_head_that_is_completed_during_a_shutdown_is_answered() {
    let server = Server::start(quick().close_timeout(PATIENCE));
    let mut late = server.connect();
    late.send("GET / HTTP/1.1\r\nHo");
    server.wait_until("the parking", |status| status.connections == 1 && status.driven == 0);
    let front = server.front.clone();
    let stopping = std::thread::spawn(move || front.shutdown(Instant::now() + PATIENCE));
    while TcpStream::connect(server.address()).is_ok() {
        std::thread::yield_now();
    }
    late.send("st: a\r\n\r\n");
    assert_eq!(late.answer().status, 200);
    drop(late);
    assert!(stopping.join().unwrap());
}

#[test]
fn an_upgrade_that_is_completed_during_a_shutdown_is_refused() {
    let server = Server::start(quick().close_timeout(PATIENCE));
    let (mut idle, mut late) = (server.connect(), server.connect());
    late.send("GET /echo HTTP/1.1\r\nHo");
    server.wait_until("the parking", |status| status.connections == 2 && status.driven == 0);
    let front = server.front.clone();
    let stopping = std::thread::spawn(move || front.shutdown(Instant::now() + PATIENCE));
    assert!(idle.is_closed());
    drop(idle);
    late.send(
        "st: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let answer = late.answer();
    assert_eq!((answer.status, &*answer.headers["connection"]), (503, "close"));
    assert!(late.is_closed());
    drop(late);
    assert!(stopping.join().unwrap(), "it was not cut off");
}

#[test]
fn a_half_sent_body_does_not_outlive_a_shutdowns_deadline() {
    let server = Server::start(quick().head_timeout(Duration::from_secs(3_600)));
    for framing in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        let mut half = server.connect();
        half.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n5"));
        std::mem::forget(half);
    }
    server.wait_until("the requests", |status| status.requests == 2);
    assert!(!server.front.shutdown(Instant::now() + Duration::from_millis(100)));
    assert_eq!(server.front.connections(), 0);
}

/// That what their pollers waited on goes with them, `Waitable`'s own test shows: an event for one that has gone would
/// reach freed memory, which need not be noticed here.
#[test]
fn fronts_come_and_go_while_others_serve() {
    let staying = Server::start(NetOptions::default());
    let mut client = staying.connect();
    for _ in 0..50 {
        let server = Server::start(NetOptions::default());
        // Left open, so that the set has something to tell when its poller has ended.
        let mut left = server.connect();
        assert_eq!(left.get("/").status, 200);
        drop(server);
        drop(left);
        assert_eq!(client.get("/").status, 200);
    }
}

//! The memory that all connections' requests and messages share.

use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::Frame;
use tungstenite::Message as Client;

use super::*;

/// What 15,000 idle connections keep is these, 15,000 times: a field more must not take another size class.
#[test]
fn an_idle_connection_keeps_little() {
    use crate::net::connection::{idle_bytes, IdleBytes};
    let IdleBytes { shared, own } = idle_bytes::<TestApp>();
    assert!(shared <= 160, "{shared} bytes in its link");
    assert!(own <= 80, "{own} bytes that its driver leaves behind");
}

/// So many requests lie unread when the workers come to look, for each of them.
const BURST: usize = 300;

#[test]
fn a_burst_of_requests_and_connections_gives_its_room_back() {
    let server = Server::start(NetOptions::default());
    let workers = crate::runtime::start(Default::default()).workers();
    let (held, is_held) = mpsc::channel();
    let connections = (BURST * workers.len()) as u64;
    let mut clients: Vec<_> = (0..connections).map(|_| server.connect()).collect();
    server.wait_until("the connections", |status| status.connections == connections && status.driven == 0);
    let releases: Vec<_> = workers
        .map(|worker| {
            let (held, (release, released)) = (held.clone(), mpsc::channel::<()>());
            // It blocks the worker on purpose, so that it finds all of them at once.
            crate::runtime::spawn_on(worker, move || {
                held.send(()).unwrap();
                // Until the other end is dropped.
                let _ = released.recv();
            });
            is_held.recv().unwrap();
            release
        })
        .collect();
    clients.iter_mut().for_each(|client| client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    drop(releases);
    assert!(clients.iter_mut().all(|client| client.answer().status == 200));
    let wait_until = |what: &str, holds: &dyn Fn(&(usize, usize)) -> bool| {
        let deadline = Instant::now() + PATIENCE;
        while !server.front.room().iter().all(holds) {
            assert!(Instant::now() < deadline, "{what}: {:?}", server.front.room());
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    wait_until("room for connections is kept while there are any", &|&(_, links)| links >= BURST);
    wait_until("the room for jobs is given up", &|&(jobs, _)| jobs < BURST);
    drop(clients);
    wait_until("the room for connections is given up, too", &|&(_, links)| links < BURST);
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

#[test]
fn a_body_that_does_not_fit_beside_the_others_gets_503_until_there_is_room() {
    let server = Server::start(NetOptions::default().max_buffered_bytes(1_000));
    let mut first = server.connect();
    first.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n");
    server.wait_until("the reservation", |status| status.buffered_bytes == 900);
    let too_much = format!("65\r\n{}\r\n0\r\n\r\n", "x".repeat(101));
    let chunked = format!("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{too_much}");
    for request in [
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\nExpect: 100-continue\r\n\r\n",
        &*chunked,
    ] {
        let (answer, mut client) = one_answer(&server, request);
        assert_eq!((answer.status, answer.headers["retry-after"].as_str()), (503, "1"), "{request}");
        assert!(client.is_closed());
    }
    assert_eq!(server.front.status().buffered_bytes, 900);
    let (answer, _) = one_answer(&server, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(answer.body, b"abc", "it fits");
    first.send([b'y'; 900]);
    assert_eq!(first.answer().body, [b'y'; 900]);
    server.wait_until("the release", |status| status.buffered_bytes == 0);
    assert_eq!(one_answer(&server, chunked).0.body, [b'x'; 101]);
}

#[test]
fn the_room_of_a_body_is_given_back_however_its_request_ends() {
    let options = NetOptions::default()
        .head_timeout(Duration::from_secs(1))
        .min_body_rate(1_000_000)
        .close_timeout(Duration::from_secs(3_600))
        .max_buffered_bytes(1 << 20);
    let server = Server::start(options);
    let post = |path: &str, framing: &str, body: &str| {
        let mut client = server.connect();
        client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{body}"));
        client
    };
    let (known, chunked) = ("Content-Length: 5", "Transfer-Encoding: chunked");
    let whole = "5\r\nhello\r\n0\r\n\r\n";
    for (path, framing, body, status) in [
        ("/echo", known, "hello", 200),
        ("/echo", chunked, whole, 200),
        ("/panic", known, "hello", 500),
        ("/hang", known, "hello", 504),
        ("/hang", chunked, whole, 504),
        ("/echo", known, "he", 408),
        ("/echo", chunked, "5\r\nhe", 408),
        ("/echo", chunked, "5\r\nhello\r\nnonsense", 400),
        ("/small", chunked, "5\r\nhello\r\n6\r\n", 413),
    ] {
        let mut client = post(path, framing, body);
        assert_eq!(client.answer().status, status, "{path} {framing} {body:?}");
        server.wait_until("the release", |status| status.buffered_bytes == 0);
    }
    // The client goes: in the middle of the body, and while it is to be answered.
    for (path, framing, body) in
        [("/echo", known, "he"), ("/echo", chunked, "5\r\nhe"), ("/sleep?ms=60000", known, "hello")]
    {
        let client = post(path, framing, body);
        server.wait_until("the reservation", |status| status.buffered_bytes > 0);
        rustix::net::sockopt::set_socket_linger(&client.stream, Some(Duration::ZERO)).unwrap();
        drop(client);
        server.wait_until("the release", |status| status.buffered_bytes == 0);
    }
}

#[test]
fn clients_that_announce_much_and_send_little_leave_the_room_to_others() {
    const ANNOUNCED: usize = 256 * KIB;
    let server = Server::start(NetOptions::default().max_buffered_bytes(16 * ANNOUNCED as u64));
    let post = |sent: usize| {
        let mut client = server.connect();
        client.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {ANNOUNCED}\r\n\r\n"));
        client.send(vec![b'x'; sent]);
        client
    };
    // Together they announce as much as there is room for.
    let mut slow: Vec<_> = (0..16).map(|_| post(1)).collect();
    server.wait_until("the requests", |status| status.requests == 16);
    assert_eq!(post(ANNOUNCED).answer().status, 200);
    for client in &mut slow {
        client.send(vec![b'x'; ANNOUNCED - 1]);
        assert_eq!(client.answer().status, 200);
    }
    server.wait_until("the release", |status| status.buffered_bytes == 0);
}

/// Sends the first `length` bytes of a binary message, without an end.
fn begin_message(server: &Server, length: usize) -> WebSocket<TcpStream> {
    let mut socket = server.socket("/echo");
    socket.send(Client::Frame(Frame::message(vec![7; length], OpCode::Data(Data::Binary), false))).unwrap();
    socket
}

#[test]
fn a_message_that_does_not_fit_beside_the_others_closes_with_1013_and_small_ones_always_fit() {
    let options = NetOptions::default().max_buffered_bytes(2 * MIB as u64);
    let server = Server::start(options);
    let first = begin_message(&server, 600 * KIB);
    // Also while it is parked: a slow client holds no coroutine, but memory.
    server
        .wait_until("the message", |status| status.buffered_bytes >= 600 * KIB as u64 && status.driven == 0);
    let mut second = server.socket("/echo");
    second.send(Client::binary(vec![7; 1_500 * KIB])).unwrap();
    assert_eq!(close_code(&mut second), Some(CloseCode::Again));
    assert_eq!(server.next_event(), Event::Closed(Closed::NoRoom));
    drop(second);

    let mut small = server.socket("/echo");
    for size in [0, 100, 16 * KIB] {
        let message = Client::binary(vec![7; size]);
        small.send(message.clone()).unwrap();
        assert!(small.read().unwrap() == message, "{size} bytes");
    }
    drop(first);
    server.wait_until("the release", |status| status.buffered_bytes == 0);
    let large = Client::binary(vec![7; 400 * KIB]);
    small.send(large.clone()).unwrap();
    assert!(small.read().unwrap() == large);
    server.wait_until("the release", |status| status.buffered_bytes == 0);
}

#[test]
fn small_messages_pass_without_any_room_whether_their_client_reads_or_not() {
    let server = Server::start(NetOptions::default().max_buffered_bytes(0));
    let mut socket = server.socket("/echo");
    rustix::net::sockopt::set_socket_recv_buffer_size(socket.get_ref(), 64 * KIB).unwrap();
    let mut sender = WebSocket::from_raw_socket(
        socket.get_ref().try_clone().unwrap(),
        tungstenite::protocol::Role::Client,
        None,
    );
    const MESSAGES: u64 = 1_000;
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let sending = std::thread::spawn(move || {
        for _ in 0..MESSAGES {
            sender.send(Client::binary(vec![7; 16 * KIB])).unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    // More than the kernel's buffers take: until the server has stopped reading, and the client can't send any more.
    let mut before = u64::MAX;
    while sent.load(Ordering::Relaxed) != before {
        before = sent.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(before < MESSAGES, "all of it was taken");
    for _ in 0..MESSAGES {
        assert_eq!(socket.read().unwrap().len(), 16 * KIB);
    }
    sending.join().unwrap();
    assert_eq!(server.front.status().buffered_bytes, 0);
}

#[test]
fn what_a_client_does_not_read_takes_room_until_it_does() {
    const LARGE: usize = 16 * MIB;
    let server = Server::start(NetOptions::default().max_buffered_bytes(36 * MIB as u64));
    let mut unread = server.socket("/echo");
    rustix::net::sockopt::set_socket_recv_buffer_size(unread.get_ref(), 64 * KIB).unwrap();
    unread.send(Client::binary(vec![7; LARGE])).unwrap();
    // Its own copy has gone, the answer's has not.
    server.wait_until("the answer", |status| {
        server.told.finished.load(Ordering::SeqCst) == 1 && status.buffered_bytes as usize <= LARGE + KIB
    });
    let mut other = server.socket("/echo");
    let mut sender = other.get_ref().try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        let header = [&[0x82, 0xFF][..], &(LARGE as u64).to_be_bytes(), &[0; 4]].concat();
        let _ = sender.write_all(&header).and_then(|()| sender.write_all(&vec![7; LARGE]));
    });
    assert_eq!(close_code(&mut other), Some(CloseCode::Again));
    sending.join().unwrap();
    drop(other);
    assert_eq!(unread.read().unwrap().len(), LARGE);
    server.wait_until("the release", |status| status.buffered_bytes == 0);
    let mut later = server.socket("/echo");
    later.send(Client::binary(vec![7; LARGE])).unwrap();
    assert_eq!(later.read().unwrap().len(), LARGE);
}

#[test]
fn an_answer_takes_room_until_it_is_written_and_one_that_finds_none_is_503() {
    // As /big answers it.
    const BIG: usize = 64 * MIB;
    let server = Server::start(NetOptions::default().max_buffered_bytes((BIG + BIG / 2) as u64));
    let mut unread = server.connect();
    rustix::net::sockopt::set_socket_recv_buffer_size(&unread.stream, 64 * KIB).unwrap();
    unread.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    server.wait_until("the answer", |status| status.buffered_bytes as usize == BIG);
    let mut other = server.connect();
    let refused = other.get("/big");
    assert_eq!((refused.status, refused.headers["retry-after"].as_str()), (503, "1"));
    assert_eq!(other.get("/").status, 200, "the connection lives on");
    assert_eq!(unread.answer().body.len(), BIG);
    server.wait_until("the release", |status| status.buffered_bytes == 0);
    assert_eq!(other.get("/big").status, 200);
}

#[test]
fn what_a_request_reserves_is_held_beside_its_body_and_then_by_its_answer() {
    const ANSWER: usize = 40 * MIB;
    let server = Server::start(NetOptions::default().max_buffered_bytes(50 * MIB as u64));
    let mut first = server.connect();
    rustix::net::sockopt::set_socket_recv_buffer_size(&first.stream, 64 * KIB).unwrap();
    let body = vec![b'x'; MIB];
    first.send(format!(
        "POST /reserve/answer?bytes={ANSWER} HTTP/1.1\r\nHost: a\r\nContent-Length: {MIB}\r\n\r\n"
    ));
    first.send(&body);
    server.wait_until("the reservation", |status| status.buffered_bytes as usize == ANSWER + MIB);
    let mut other = server.connect();
    assert_eq!(other.get(&format!("/reserve/answer?bytes={}", 8 * MIB)).status, 503);
    server.told.may_answer.store(true, Ordering::SeqCst);
    server.wait_until("the answer", |status| status.buffered_bytes as usize == ANSWER);
    assert_eq!(other.get(&format!("/reserve/answer?bytes={}", 8 * MIB)).status, 503);
    assert_eq!(other.get(&format!("/reserve/answer?bytes={}", 6 * MIB)).status, 200);
    assert_eq!(first.answer().body.len(), ANSWER);
    server.wait_until("the release", |status| status.buffered_bytes == 0);
}

#[test]
fn what_a_request_reserves_is_given_back_however_it_ends() {
    let options = NetOptions::default().max_buffered_bytes(4 * MIB as u64);
    let server = Server::start(options);
    for (then, status) in [("answer", 200), ("less", 200), ("fail", 500), ("overflow", 500), ("hang", 504)] {
        let mut client = server.connect();
        client.send(format!("GET /reserve/{then}?bytes={MIB} HTTP/1.1\r\nHost: a\r\n\r\n"));
        if then != "hang" {
            server.wait_until("the reservation", |status| status.buffered_bytes as usize == MIB);
        }
        server.told.may_answer.store(true, Ordering::SeqCst);
        assert_eq!(client.answer().status, status, "{then}");
        server.told.may_answer.store(false, Ordering::SeqCst);
        server.wait_until("the release", |status| status.buffered_bytes == 0);
    }
    // The client goes.
    let client = server.connect();
    (&client.stream)
        .write_all(format!("GET /reserve/answer?bytes={MIB} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
        .unwrap();
    server.wait_until("the reservation", |status| status.buffered_bytes as usize == MIB);
    rustix::net::sockopt::set_socket_linger(&client.stream, Some(Duration::ZERO)).unwrap();
    drop(client);
    server.wait_until("the release", |status| status.buffered_bytes == 0);
}

#[test]
fn those_who_hold_much_leave_room_for_those_who_hold_little() {
    let server = Server::start(NetOptions::default().max_buffered_bytes(16 * MIB as u64));
    let held: Vec<_> = (0..15)
        .map(|at| {
            let mut client = server.connect();
            client.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", MIB));
            client.send(vec![b'x'; MIB - 1]);
            server.wait_until("the body", |status| status.buffered_bytes as usize == (at + 1) * MIB);
            client
        })
        .collect();
    let post = |length: usize| format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    let (refused, _) = one_answer(&server, [post(65 * KIB).into_bytes(), vec![b'x'; 65 * KIB]].concat());
    assert_eq!(refused.status, 503);
    let (answer, _) = one_answer(&server, [post(64 * KIB).into_bytes(), vec![b'x'; 64 * KIB]].concat());
    assert_eq!((answer.status, answer.body.len()), (200, 64 * KIB));
    drop(held);
}

/// Reads a kilobyte now and then, which is enough by the least rate alone, until the server has cut it off.
fn sip(server: &Server, stream: &mut TcpStream) {
    let deadline = Instant::now() + PATIENCE;
    while server.front.status().connections > 0 {
        assert!(Instant::now() < deadline, "it was not cut off");
        let _ = stream.read(&mut [0; KIB]);
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn who_has_much_to_read_must_read_it_faster_than_the_least_rate() {
    let options = NetOptions::default()
        .write_stall(Duration::from_secs(1))
        .min_write_rate(1)
        .transfer_timeout(Duration::from_secs(2));
    let server = Server::start(options);
    let mut client = server.connect();
    rustix::net::sockopt::set_socket_recv_buffer_size(&client.stream, 64 * KIB).unwrap();
    client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    server.wait_until("the request", |status| status.requests == 1);
    sip(&server, &mut client.stream);
    drop(client);

    let mut socket = server.socket("/echo");
    rustix::net::sockopt::set_socket_recv_buffer_size(socket.get_ref(), 64 * KIB).unwrap();
    socket.send(Client::binary(vec![0; 16 * MIB])).unwrap();
    sip(&server, socket.get_mut());
    assert_eq!(server.next_event(), Event::Closed(Closed::WriteStall));
}

#[test]
fn who_has_sent_much_must_go_on_faster_than_the_least_rate() {
    let options = NetOptions::default()
        .head_timeout(Duration::from_secs(1))
        .min_body_rate(1)
        .transfer_timeout(Duration::from_secs(2));
    let server = Server::start(options);
    let mut client = server.connect();
    client.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 16 * MIB));
    client.send(vec![b'x'; 8 * MIB]);
    let mut trickle = client.stream.try_clone().unwrap();
    let trickling = std::thread::spawn(move || {
        while trickle.write_all(b"xxxxxxxxxx").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    assert_eq!(client.answer().status, 408);
    drop(client);
    trickling.join().unwrap();
}

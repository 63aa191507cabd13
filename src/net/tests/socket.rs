//! WebSockets as a client sees them.

use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::Frame;
use tungstenite::{Error, Message as Client};

use super::*;

type Socket = WebSocket<TcpStream>;

fn echo(socket: &mut Socket, text: &str) {
    socket.send(Client::text(text)).unwrap();
    loop {
        match socket.read().unwrap() {
            Client::Text(answer) => break assert_eq!(&*answer, text),
            Client::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn messages_of_any_size_and_kind_come_back() {
    let server = Server::start(NetOptions::default());
    let mut socket = server.socket("/echo");
    for size in [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 16 << 20] {
        let message = Client::binary((0..size).map(|at| (at % 253) as u8).collect::<Vec<u8>>());
        socket.send(message.clone()).unwrap();
        assert!(socket.read().unwrap() == message, "{size} bytes");
    }
    echo(&mut socket, "h\u{e9}llo");
    socket.close(None).unwrap();
    assert_eq!(close_code(&mut socket), None);
    assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
    assert_eq!(server.next_event(), Event::Closed(Closed::ByPeer(None)));
    server.wait_until("the end", |status| status.connections == 0);
}

#[test]
fn a_message_of_the_largest_size_comes_back_and_one_byte_more_closes_with_1009() {
    const LARGEST: usize = 16 << 20;
    let server = Server::start(NetOptions::default());
    let fragment =
        |payload: Vec<u8>, data, last| Client::Frame(Frame::message(payload, OpCode::Data(data), last));
    let mut socket = server.socket("/echo");
    socket.send(fragment(vec![7; LARGEST - 1], Data::Binary, false)).unwrap();
    socket.send(fragment(vec![8], Data::Continue, true)).unwrap();
    let answer = socket.read().unwrap().into_data();
    assert!(answer.len() == LARGEST && answer[LARGEST - 1] == 8);
    socket.send(fragment(vec![7; LARGEST], Data::Binary, false)).unwrap();
    socket.send(fragment(vec![8], Data::Continue, true)).unwrap();
    assert_eq!(close_code(&mut socket), Some(CloseCode::Size));
    // In one frame its header is enough.
    let mut socket = server.socket("/echo");
    let length = (LARGEST as u64 + 1).to_be_bytes();
    socket.get_mut().write_all(&[&[0x82, 0xFF][..], &length, &[0; 4]].concat()).unwrap();
    assert_eq!(close_code(&mut socket), Some(CloseCode::Size));
    for _ in 0..2 {
        assert_eq!(server.next_event(), Event::Closed(Closed::ProtocolError(CloseCode::Size)));
    }
}

#[test]
fn many_messages_in_one_go_come_back_in_order() {
    let server = Server::start(NetOptions::default());
    let mut socket = server.socket("/echo");
    for number in 0..5_000 {
        socket.write(Client::text(number.to_string())).unwrap();
    }
    socket.flush().unwrap();
    for number in 0..5_000 {
        assert_eq!(socket.read().unwrap(), Client::text(number.to_string()));
    }
}

#[test]
fn fragments_come_back_as_one_message_and_pings_in_between_are_answered() {
    let server = Server::start(NetOptions::default());
    let mut socket = server.socket("/echo");
    socket.send(Client::Frame(Frame::message("frag", OpCode::Data(Data::Text), false))).unwrap();
    socket.send(Client::Ping("are you there".into())).unwrap();
    socket.send(Client::Frame(Frame::message("ments", OpCode::Data(Data::Continue), true))).unwrap();
    assert_eq!(socket.read().unwrap(), Client::Pong("are you there".into()));
    assert_eq!(socket.read().unwrap(), Client::text("fragments"));
}

#[test]
fn a_message_that_comes_with_the_handshake_is_not_lost() {
    let server = Server::start(NetOptions::default());
    let mut client = server.connect();
    let mut wire = b"GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        .to_vec();
    wire.extend([0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
    client.send(wire);
    assert_eq!(client.answer().status, 101);
    while client.unread.len() < 4 {
        assert!(client.read_some() > 0);
    }
    assert_eq!(client.unread, [0x81, 2, b'h', b'i']);
}

#[test]
fn the_server_ends_the_connection_as_soon_as_both_have_closed() {
    let server = Server::start(NetOptions::default().close_timeout(Duration::from_secs(3_600)));
    let mut socket = server.socket("/echo");
    // A close frame without waiting for anything else: the server answers it and closes first (RFC 6455, section 7.1.1).
    socket.get_mut().write_all(&[0x88, 0x80, 0, 0, 0, 0]).unwrap();
    let mut left = Vec::new();
    socket.get_mut().read_to_end(&mut left).unwrap();
    assert_eq!(left, [0x88, 0]);
}

#[test]
fn a_client_that_sends_on_behind_its_close_frame_gets_the_answer_all_the_same() {
    let server = Server::start(NetOptions::default());
    let mut socket = server.socket("/echo");
    // Unread in a socket that is closed, this would reset the connection, and the answer might be lost with it.
    let behind = vec![0x80; 4 << 20];
    let mut sending = socket.get_mut().try_clone().unwrap();
    let sender =
        std::thread::spawn(move || sending.write_all(&[&[0x88, 0x80, 0, 0, 0, 0][..], &behind].concat()));
    let mut left = Vec::new();
    socket.get_mut().read_to_end(&mut left).unwrap();
    assert_eq!(left, [0x88, 0]);
    sender.join().unwrap().unwrap();
}

#[test]
fn what_a_client_has_not_read_when_both_have_closed_is_kept_for_it_and_counts_as_a_connection() {
    let server = Server::start(NetOptions::default().close_timeout(Duration::from_secs(3_600)));
    let mut socket = server.socket("/echo");
    // More than a client that reads nothing has room for, less than the kernel takes from the server.
    let messages: Vec<_> = (0..20_u8).map(|number| vec![number; 16 * 1024]).collect();
    for message in &messages {
        socket.send(Client::binary(message.clone())).unwrap();
    }
    socket.close(None).unwrap();
    assert_eq!(server.next_event(), Event::Closed(Closed::ByPeer(None)));
    // A ping may lie between what is unread: it is answered whoever has closed (RFC 6455, section 5.5.2).
    socket.get_mut().write_all(&[0x8A, 0x80, 0, 0, 0, 0]).unwrap();
    server.wait_until("all but the end", |status| status.connections == 1 && status.driven == 0);
    for message in &messages {
        assert!(socket.read().unwrap() == Client::binary(message.clone()), "{}", message[0]);
    }
    assert_eq!(close_code(&mut socket), None);
    drop(socket);
    server.wait_until("the end", |status| status.connections == 0);
}

#[test]
fn an_upgrade_that_is_refused_is_answered_and_the_connection_stays_http() {
    let server = Server::start(NetOptions::default());
    let mut client = server.connect();
    let upgrade = |path: &str, version: u8| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: {version}\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    };
    client.send(upgrade("/nowhere", 13));
    assert_eq!(client.answer().status, 404);
    let mut unlucky = server.connect();
    unlucky.send(upgrade("/panic", 13));
    assert_eq!(unlucky.answer().status, 500);
    assert!(unlucky.is_closed());
    client.send(upgrade("/echo", 8));
    let old = client.answer();
    assert_eq!((old.status, &*old.headers["sec-websocket-version"]), (426, "13"));
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn a_client_that_breaks_the_protocol_is_told_how() {
    let server = Server::start(NetOptions::default());
    for (bytes, code) in [
        (&[0x81, 0x02, b'h', b'i'][..], CloseCode::Protocol),
        (&[0x81, 0x81, 0, 0, 0, 0, 0xFF], CloseCode::Invalid),
        (&[0x82, 0xFF, 0, 0, 0, 0, 0x10, 0, 0, 0, 1, 2, 3, 4], CloseCode::Size),
    ] {
        let mut socket = server.socket("/echo");
        echo(&mut socket, "before");
        socket.get_mut().write_all(bytes).unwrap();
        assert_eq!(close_code(&mut socket), Some(code));
        assert_eq!(server.next_event(), Event::Closed(Closed::ProtocolError(code)));
    }
}

#[test]
fn an_endpoint_closes_with_its_code_and_one_that_panics_with_1011() {
    let server = Server::start(NetOptions::default());
    let mut bystander = server.socket("/echo");
    let mut socket = server.socket("/echo");
    socket.send(Client::text("close")).unwrap();
    assert_eq!(close_code(&mut socket), Some(CloseCode::Policy));
    assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
    assert_eq!(server.next_event(), Event::Closed(Closed::ByEndpoint(CloseCode::Policy)));
    let mut socket = server.socket("/echo");
    socket.send(Client::text("panic")).unwrap();
    assert_eq!(close_code(&mut socket), Some(CloseCode::Error));
    drop(socket);
    echo(&mut bystander, "still here");
    server.wait_until("the end", |status| status.connections == 1);
}

#[test]
fn a_parked_connection_gets_what_others_send_it() {
    let server = Server::start(NetOptions::default());
    let mut socket = server.socket("/echo");
    server.wait_until("the parking", |status| status.upgrades == 1 && status.driven == 0);
    let handle = server.first_handle();
    for number in 0..100 {
        handle.send(Message::text(number.to_string())).unwrap();
        assert_eq!(socket.read().unwrap(), Client::text(number.to_string()));
    }
    drop(socket);
    server.wait_until("the end", |status| status.connections == 0);
    assert_eq!(handle.send(Message::text("late")), Err(super::super::SendError::Gone));
}

#[test]
fn senders_of_all_kinds_lose_nothing_however_often_the_connection_parks() {
    const EACH: usize = 3_000;
    let server = Server::start(NetOptions::default().max_queued_messages(64));
    let mut socket = server.socket("/echo");
    server.wait_until("the upgrade", |status| status.upgrades == 1 && status.driven == 0);
    let handle = server.first_handle();
    let send = |name: &'static str| {
        let handle = handle.clone();
        move || {
            for number in 0..EACH {
                let message = Message::text(format!("{name} {number}"));
                while let Err(error) = handle.send(message.clone()) {
                    assert!(matches!(error, super::super::SendError::QueueFull { .. }), "{error}");
                    time::yield_now();
                }
            }
        }
    };
    let thread = std::thread::spawn(send("thread"));
    let coroutines = [crate::runtime::spawn(send("one")), crate::runtime::spawn(send("two"))];
    let mut clients_own = socket.get_ref().try_clone().unwrap();
    let echoing = std::thread::spawn(move || {
        for _ in 0..EACH {
            clients_own.write_all(&[0x81, 0x81, 0, 0, 0, 0, b'e']).unwrap();
        }
    });
    let mut seen: HashMap<String, usize> = HashMap::new();
    for _ in 0..4 * EACH {
        let Client::Text(text) = socket.read().unwrap() else { panic!("a text") };
        match text.split_once(' ') {
            Some((name, number)) => {
                let next = seen.entry(name.to_owned()).or_default();
                assert_eq!(number.parse(), Ok(*next), "from {name}");
                *next += 1;
            }
            None => *seen.entry("echo".to_owned()).or_default() += 1,
        }
    }
    assert_eq!(seen.values().copied().collect::<Vec<_>>(), [EACH; 4]);
    thread.join().unwrap();
    echoing.join().unwrap();
    for coroutine in coroutines {
        coroutine.join().unwrap();
    }
}

#[test]
fn a_thousand_idle_sockets_have_no_coroutine_and_all_wake() {
    let server = Server::start(NetOptions::default());
    let mut sockets: Vec<Socket> = (0..1_000).map(|_| server.socket("/echo")).collect();
    server.wait_until("the parking", |status| status.upgrades == 1_000 && status.driven == 0);
    for round in 0..3 {
        for socket in &mut sockets {
            socket.send(Client::text(round.to_string())).unwrap();
        }
        for socket in &mut sockets {
            assert_eq!(socket.read().unwrap(), Client::text(round.to_string()));
        }
    }
    server.wait_until("the parking", |status| status.connections == 1_000 && status.driven == 0);
}

#[test]
fn a_connection_that_holds_something_keeps_its_coroutine_until_it_lets_go() {
    let server = Server::start(NetOptions::default());
    let mut socket = server.socket("/hold");
    echo(&mut socket, "hold");
    // Others come and go meanwhile.
    for _ in 0..3 {
        let mut other = server.socket("/echo");
        echo(&mut other, "x");
        drop(other);
        server.wait_until("the other's end", |status| status.connections == 1);
    }
    assert_eq!(server.front.status().driven, 1);
    echo(&mut socket, "let go");
    let held_dropped =
        (0..4).map(|_| server.next_event()).filter(|event| *event == Event::HeldDropped).count();
    assert_eq!(held_dropped, 1);
    server.wait_until("the parking", |status| status.driven == 0);
}

#[test]
fn what_is_held_is_dropped_when_the_client_vanishes() {
    let server = Server::start(NetOptions::default());
    let mut socket = server.socket("/hold");
    echo(&mut socket, "hold");
    drop(socket);
    assert_eq!(server.next_event(), Event::HeldDropped);
    assert_eq!(server.next_event(), Event::Closed(Closed::Gone));
}

#[test]
fn an_endpoints_deadline_comes_also_while_it_is_parked() {
    let server = Server::start(NetOptions::default());
    let mut socket = server.socket("/deadline");
    server.wait_until("the parking", |status| status.upgrades == 1 && status.driven == 0);
    assert_eq!(server.next_event(), Event::Deadline);
    assert_eq!(socket.read().unwrap(), Client::text("time is up"));
}

#[test]
fn a_client_that_does_not_read_is_cut_off_and_its_queue_stays_bounded() {
    let options = NetOptions::default().write_stall(Duration::from_millis(300)).max_queued_messages(10);
    let server = Server::start(options);
    let mut socket = server.socket("/flood");
    // Asks for far more than the kernel's buffers take, and reads nothing of it.
    for _ in 0..100 {
        socket.send(Client::text("more")).unwrap();
    }
    let handle = server.first_handle();
    let refused = loop {
        match handle.send(Message::text("one more")) {
            Ok(()) => time::yield_now(),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(
            refused,
            super::super::SendError::QueueFull { queued: 10, limit: 10 } | super::super::SendError::Gone
        ),
        "{refused}"
    );
    assert_eq!(server.next_event(), Event::Closed(Closed::WriteStall));
    server.wait_until("the end", |status| status.connections == 0);
}

#[test]
fn a_slow_reader_is_waited_for_and_gets_everything() {
    let server = Server::start(NetOptions::default());
    let mut socket = server.socket("/flood");
    for _ in 0..20 {
        socket.send(Client::text("more")).unwrap();
    }
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(socket.read().unwrap().len(), 1 << 20);
    }
    // Not at the wrong moment put to sleep:
    socket.send(Client::text("more")).unwrap();
    assert_eq!(socket.read().unwrap().len(), 1 << 20);
}

#[test]
fn a_message_that_trickles_in_closes_with_1008_and_one_that_keeps_the_rate_does_not() {
    let options = NetOptions::default()
        .head_timeout(Duration::from_millis(500))
        .min_body_rate(1_000)
        .close_timeout(Duration::from_millis(300));
    let server = Server::start(options);
    // The header of a message, or half of it, or a message whose last frame does not come, or a control frame's half.
    for begun in
        [&[0x82, 0xFE, 0xFF, 0xFF, 0, 0, 0, 0][..], &[0x82], &[0x02, 0x81, 0, 0, 0, 0, 1], &[0x89, 0x82]]
    {
        let mut socket = server.socket("/echo");
        echo(&mut socket, "before");
        socket.get_mut().write_all(begun).unwrap();
        assert_eq!(close_code(&mut socket), Some(CloseCode::Policy), "{begun:?}");
        assert_eq!(server.next_event(), Event::Closed(Closed::ProtocolError(CloseCode::Policy)));
    }
    // What came fast earns nothing beyond the allowance.
    let mut socket = server.socket("/echo");
    let header = [&[0x82, 0xFF][..], &(2_u64 << 20).to_be_bytes(), &[0; 4]].concat();
    socket.get_mut().write_all(&header).unwrap();
    socket.get_mut().write_all(&vec![7; 1 << 20]).unwrap();
    assert_eq!(close_code(&mut socket), Some(CloseCode::Policy));
    assert_eq!(server.next_event(), Event::Closed(Closed::ProtocolError(CloseCode::Policy)));
    // Silence between two messages is no message that comes slowly.
    let mut socket = server.socket("/echo");
    for _ in 0..2 {
        echo(&mut socket, "hello");
        std::thread::sleep(Duration::from_millis(1_200));
    }
    echo(&mut socket, "still here");
}

#[test]
fn what_came_while_the_worker_was_busy_is_handled_before_a_deadline_that_it_moves() {
    let server = Server::start(NetOptions::default());
    let mut socket = server.socket("/patient");
    // The second one comes in time, but the first one keeps the worker beyond the deadline.
    socket.write(Client::text("stall")).unwrap();
    socket.write(Client::text("in time")).unwrap();
    socket.flush().unwrap();
    assert_eq!(socket.read().unwrap(), Client::text("stall"));
    assert_eq!(socket.read().unwrap(), Client::text("in time"));
    assert_eq!(socket.read().unwrap(), Client::text("time is up"));
}

#[test]
fn a_silent_client_is_pinged_and_one_that_does_not_answer_is_cut_off() {
    let options = NetOptions::default()
        .ping_after(Duration::from_millis(200))
        .socket_idle(Duration::from_millis(1_000))
        .close_timeout(Duration::from_millis(300));
    let server = Server::start(options);
    let mut silent = server.socket("/echo");
    let mut answers = server.socket("/echo");
    let until = Instant::now() + Duration::from_millis(2_500);
    let mut pings = 0;
    while Instant::now() < until {
        // Reading answers pings.
        assert_eq!(answers.read().unwrap(), Client::Ping(Default::default()));
        pings += 1;
    }
    assert!(pings >= 3, "{pings}");
    echo(&mut answers, "still here");
    assert_eq!(server.next_event(), Event::Closed(Closed::IdleTimeout));
    assert_eq!(silent.read().unwrap(), Client::Ping(Default::default()));
    // It finds what happened long ago.
    assert_eq!(silent.read().map(|message| message.is_close()).ok(), Some(true));
}

#[test]
fn a_shutdown_closes_sockets_with_1001_parked_or_not() {
    let server = Server::start(NetOptions::default());
    let mut parked = server.socket("/echo");
    let mut holding = server.socket("/hold");
    echo(&mut holding, "hold");
    server.wait_until("the parking", |status| status.upgrades == 2 && status.driven == 1);
    let front = server.front.clone();
    let stopping = std::thread::spawn(move || front.shutdown(Instant::now() + PATIENCE));
    for socket in [&mut parked, &mut holding] {
        assert_eq!(close_code(socket), Some(CloseCode::Away));
        // Sends the answer to the close frame.
        assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
    }
    assert!(stopping.join().unwrap());
    let events: Vec<Event> = (0..3).map(|_| server.next_event()).collect();
    assert_eq!(
        events.iter().filter(|event| **event == Event::Closed(Closed::Shutdown)).count(),
        2,
        "{events:?}"
    );
}

#[test]
fn a_shutdown_that_waits_no_longer_ends_what_an_endpoint_waits_for_and_tells_its_client() {
    let server = Server::start(NetOptions::default());
    let mut waiting = server.socket("/echo");
    waiting.send(tungstenite::Message::text("wait")).unwrap();
    server.wait_until("the wait", |_| server.told.finished.load(Ordering::SeqCst) == 1);
    let front = server.front.clone();
    let stopping = std::thread::spawn(move || front.shutdown(Instant::now() + Duration::from_millis(50)));
    assert_eq!(waiting.read().unwrap(), tungstenite::Message::text("wait"));
    assert_eq!(close_code(&mut waiting), Some(CloseCode::Away));
    stopping.join().unwrap();
}

#[test]
fn a_client_that_resets_the_connection_is_noticed_while_it_is_parked() {
    let server = Server::start(NetOptions::default());
    let socket = server.socket("/echo");
    server.wait_until("the parking", |status| status.upgrades == 1 && status.driven == 0);
    rustix::net::sockopt::set_socket_linger(socket.get_ref(), Some(Duration::ZERO)).unwrap();
    drop(socket);
    assert_eq!(server.next_event(), Event::Closed(Closed::Gone));
    server.wait_until("the end", |status| status.connections == 0);
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Run by the next test, in a process of its own: some overflows end the process, and other tests' descriptors would be
/// counted as well.
#[test]
#[ignore = "run by an_overflowing_endpoint_costs_its_own_connection_and_nothing_else"]
fn overflow_in_this_process() {
    let server = Server::start(NetOptions::default());
    let mut bystander = server.socket("/echo");
    echo(&mut bystander, "before");
    // Large enough that it takes room of what all share.
    let request = format!("overflow{}", "x".repeat(20_000));
    let before = open_descriptors();
    for _ in 0..100 {
        let mut socket = server.socket("/echo");
        socket.send(Client::text(request.as_str())).unwrap();
        while socket.read().is_ok() {}
        drop(socket);
        server.wait_until("the end", |status| {
            (status.connections, status.driven <= 1, status.buffered_bytes) == (1, true, 0)
        });
        assert_eq!(open_descriptors(), before);
        echo(&mut bystander, "still here");
    }
    println!("survived");
}

#[test]
fn an_overflowing_endpoint_costs_its_own_connection_and_nothing_else() {
    survives_alone("net::tests::socket::overflow_in_this_process");
}

#[test]
fn what_an_endpoint_leaves_in_its_coroutines_context_no_other_connection_sees() {
    let server = Server::start(NetOptions::default());
    let mut sockets: Vec<_> = (0..64).map(|_| server.socket("/context")).collect();
    for _ in 0..8 {
        for (number, socket) in sockets.iter_mut().enumerate() {
            socket.send(Client::text(number.to_string())).unwrap();
        }
        for (number, socket) in sockets.iter_mut().enumerate() {
            let Client::Text(seen) = socket.read().unwrap() else { panic!("a text was sent") };
            assert!(seen.is_empty() || *seen == *number.to_string(), "{number} saw what {seen} had left");
        }
    }
}

#[test]
fn an_endpoint_that_overflows_its_stack_takes_no_ready_connection_along() {
    let server = Server::start(NetOptions::default());
    let mut sockets: Vec<_> = (0..64).map(|_| server.socket("/echo")).collect();
    for round in 0..8 {
        let mut fatal = server.socket("/echo");
        for (number, socket) in sockets.iter_mut().enumerate() {
            if number == 8 * round {
                fatal.send(Client::text("overflow")).unwrap();
            }
            socket.send(Client::text(number.to_string())).unwrap();
        }
        for (number, socket) in sockets.iter_mut().enumerate() {
            assert_eq!(socket.read().unwrap(), Client::text(number.to_string()));
        }
        assert!(fatal.read().is_err());
    }
    server.wait_until("the end of those that overflowed", |status| {
        status.connections == 64 && status.driven == 0
    });
}

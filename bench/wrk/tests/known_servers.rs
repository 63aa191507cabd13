//! Against servers whose mistakes are known: each one is found, and what is right is counted right.

mod common;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use common::{answering_server, faults, tcp_server, try_wrk, websocket_server, wrk};
use sandpool_wrk::{Problem, RunError, Voice};
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::Frame;
use tungstenite::Message;

#[test]
fn every_answer_is_counted_once() {
    let received = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&received);
    let addr = answering_server(move |_, _, message| {
        counted.fetch_add(1, Ordering::Relaxed);
        message.to_vec()
    });
    let outcome = wrk("-t2 -c10 -d1s --in-flight 3 ws://{}/echo", addr);
    let totals = &outcome.totals;
    assert!(outcome.is_right() && totals.answers > 0, "{totals:?}");
    let sent = received.load(Ordering::Relaxed);
    assert!(totals.answers <= sent && sent <= totals.answers + 10 * 3, "{} of {sent}", totals.answers);
    assert_eq!(totals.per_connection.iter().sum::<u64>(), totals.answers);
    assert_eq!((totals.per_connection.len(), totals.open), (10, 10));
    assert_eq!(totals.latencies.count(), totals.answers);
    assert_eq!(totals.problems, [0; 4]);
}

#[test]
fn an_answer_to_the_wrong_client_is_noticed() {
    let last = Arc::new(Mutex::new((usize::MAX, Vec::new())));
    let addr = answering_server(move |number, _, message| {
        let mut last = last.lock().unwrap();
        if last.0 == number || last.0 == usize::MAX {
            *last = (number, message.to_vec());
            return message.to_vec();
        }
        std::mem::replace(&mut *last, (number, message.to_vec())).1
    });
    let outcome = wrk("-t1 -c4 -d500ms ws://{}/echo", addr);
    assert!(faults(&outcome, "other client") > 0, "{:?}", outcome.totals.faults);
    assert!(!outcome.is_right());
    assert!(outcome.totals.first_fault.unwrap().contains("client"));
}

#[test]
fn an_answer_out_of_order_is_noticed() {
    let addr = websocket_server(|_, socket| loop {
        let (first, second) = (socket.read()?, socket.read()?);
        socket.send(second)?;
        socket.send(first)?;
    });
    let outcome = wrk("-t1 -c2 -d500ms --in-flight 2 ws://{}/echo", addr);
    assert!(faults(&outcome, "out of order") > 0, "{:?}", outcome.totals.faults);
    assert!(!outcome.is_right());
}

#[test]
fn a_changed_answer_is_noticed() {
    let addr = answering_server(|_, count, message| {
        let mut message = message.to_vec();
        if count == 5 {
            *message.last_mut().unwrap() ^= 1;
        }
        message
    });
    let outcome = wrk("-t1 -c3 -d500ms --payload 1000 ws://{}/", addr);
    assert_eq!((faults(&outcome, "changed"), outcome.totals.wrong()), (3, 3));
}

#[test]
fn what_is_no_opus_and_what_is_somebody_elses_voice_are_noticed() {
    let addr = answering_server(|_, count, message| if count == 3 { vec![0xFF] } else { message.to_vec() });
    let outcome = wrk("-t1 -c3 -d500ms --decode-every 0 ws://{}/", addr);
    assert_eq!((faults(&outcome, "not Opus"), outcome.totals.decoded), (3, 0));

    let voice = Arc::new(Voice::recorded().unwrap());
    let addr = answering_server(move |_, count, _| voice.packet(7, count as u64).to_vec());
    let outcome = wrk("-t1 -c1 -d2s --decode-every 1 ws://{}/", addr);
    assert!(
        faults(&outcome, "other voice") > 0 && outcome.totals.recognised == 0,
        "{:?}",
        outcome.totals.faults
    );
    assert!(!outcome.is_right());
}

#[test]
fn a_stall_counts_with_all_that_was_due_in_it() {
    const STALL: Duration = Duration::from_millis(400);
    let addr = answering_server(|_, count, message| {
        if count == 40 {
            thread::sleep(STALL);
        }
        message.to_vec()
    });
    // one under way: what is due in the stall can't even be sent, and a closed loop would never know of it
    let outcome = wrk("-t1 -c1 -d1s -R 200 --in-flight 1 ws://{}/echo", addr);
    let totals = &outcome.totals;
    assert_eq!(totals.latencies.count(), 200, "each that was due counts once");
    // 40 were due in the first 200 ms of it, and waited for the other 200 or longer
    let of_the_stall = Duration::from_nanos(totals.latencies.at(0.82));
    assert!(of_the_stall >= STALL / 2 - STALL / 100, "{of_the_stall:?}");
    assert!(Duration::from_nanos(totals.latencies.max()) >= STALL * 99 / 100);
    assert!(outcome.is_right() && totals.missed == 0);
}

#[test]
fn what_is_never_answered_counts_with_its_age() {
    let addr = websocket_server(|_, socket| {
        for _ in 0..20 {
            let message = socket.read()?;
            socket.send(message)?;
        }
        loop {
            socket.read()?;
        }
    });
    let outcome = wrk("-t1 -c1 -d1s -R 100 --timeout 300ms ws://{}/echo", addr);
    let totals = &outcome.totals;
    assert_eq!(totals.latencies.count(), 100);
    assert_eq!(totals.unanswered, 80);
    // 64 are under way and 16 could not even be sent; all have waited for longer than the time-out in the end
    assert_eq!(totals.count(Problem::Timeout), 80);
    // half of all were due in the first half second, and wait until the end of the second at least
    assert!(
        Duration::from_nanos(totals.latencies.at(0.5)) >= Duration::from_millis(290),
        "{}",
        totals.latencies.at(0.5)
    );
}

#[test]
fn an_open_loop_without_any_answer_is_a_failed_run() {
    let addr = websocket_server(|_, socket| loop {
        socket.read()?;
    });
    let outcome = wrk("-t1 -c2 -d400ms -R 50 --timeout 200ms ws://{}/echo", addr);
    assert_eq!((outcome.totals.answers, outcome.totals.unanswered), (0, 20));
    assert!(!outcome.is_right());
}

#[test]
fn what_waited_to_be_sent_is_late_as_well() {
    const DELAY: Duration = Duration::from_millis(50);
    let addr = answering_server(|_, _, message| {
        thread::sleep(DELAY);
        message.to_vec()
    });
    // one under way: each is answered soon after it was sent, and ever longer after it was due
    let outcome = wrk("-t1 -c1 -d2s -R 100 --in-flight 1 --timeout 300ms ws://{}/echo", addr);
    let totals = &outcome.totals;
    assert!(Duration::from_nanos(totals.since_sent.at(0.5)) < DELAY * 2, "{}", totals.since_sent.at(0.5));
    // message n, from 0 on, is answered 50 ms later than the one before and due 10: from the eighth on it is 330 ms or more
    let late = totals.count(Problem::Timeout);
    assert!((193..=200).contains(&late), "{late}");
}

#[test]
fn a_closed_loop_counts_each_late_message_once_answered_or_not() {
    // number 0 only tries whether somebody is there, 1 is answered late, 2 never
    let addr = websocket_server(|number, socket| loop {
        let message = socket.read()?;
        if number == 1 {
            thread::sleep(Duration::from_millis(150));
            socket.send(message)?;
        }
    });
    let outcome = wrk("-t1 -c2 -d1s --timeout 100ms ws://{}/echo", addr);
    let totals = &outcome.totals;
    // the one that is under way at the end may be late by then
    let late = totals.answers + 1..=totals.answers + 2;
    assert!(totals.answers >= 2 && late.contains(&totals.count(Problem::Timeout)), "{totals:?}");
}

/// Answers five messages of each connection, and closes it.
fn server_that_closes_after_five() -> SocketAddr {
    websocket_server(|_, socket| {
        for _ in 0..5 {
            let message = socket.read()?;
            socket.send(message)?;
        }
        socket.close(None)?;
        socket.read().map(drop)
    })
}

#[test]
fn what_was_due_while_the_connection_was_closed_is_missed_and_all_else_is_in_the_latency() {
    let addr = server_that_closes_after_five();
    let outcome = wrk("-t1 -c1 -d1s -R 100 ws://{}/echo", addr);
    let totals = &outcome.totals;
    // it is tried again after 100 ms: ten messages each time
    assert!(totals.missed >= 9, "{totals:?}");
    assert_eq!(totals.latencies.count() + totals.missed, 100);
}

#[test]
fn a_closed_loop_tells_who_waited_in_vain() {
    // number 0 only tries whether somebody is there, and number 1 is the only one that is answered
    let addr = websocket_server(|number, socket| loop {
        let message = socket.read()?;
        if number == 1 {
            socket.send(message)?;
        }
    });
    let outcome = wrk("-t1 -c4 -d500ms ws://{}/echo", addr);
    let totals = &outcome.totals;
    assert!(totals.answers > 10, "{totals:?}");
    assert_eq!(totals.without_answer(), 3);
    // whether the one that is answered has one under way as well is chance
    assert!((3..=4).contains(&totals.under_way), "{totals:?}");
    assert!(Duration::from_nanos(totals.oldest_under_way) >= Duration::from_millis(490));
    assert!(totals.oldest_under_way > totals.latencies.max());
}

#[test]
fn of_held_connections_only_those_count_in_the_end_that_are_open_still() {
    let addr = websocket_server(|number, socket| {
        let message = socket.read()?;
        socket.send(message)?;
        if number % 2 == 1 {
            thread::sleep(Duration::from_millis(300));
            return socket.close(None);
        }
        socket.read().map(drop)
    });
    let outcome = wrk("-t1 -c6 -d1s --hold ws://{}/echo", addr);
    let totals = &outcome.totals;
    assert_eq!((totals.open, totals.lost, totals.open_at_end), (6, 3, 3));
}

#[test]
fn a_handshake_that_hangs_is_a_problem_once_it_is_late_and_never_a_handshake() {
    // number 0 only tries whether somebody is there; of the others every second one is read and not answered
    let addr = tcp_server(|number, mut stream| {
        if number % 2 == 1 {
            while stream.read(&mut [0; 1000]).is_ok_and(|got| got > 0) {}
        } else if let Ok(mut socket) = tungstenite::accept(stream) {
            while socket.read().is_ok() {}
        }
    });
    let outcome = wrk("-t1 -c6 -d4s --timeout 1s --handshakes --at-once ws://{}/echo", addr);
    let totals = &outcome.totals;
    assert_eq!((totals.handshakes.count(), totals.count(Problem::Connect)), (3, 3));
    assert!(totals.first_problem.as_ref().unwrap().contains("1s"), "{totals:?}");
    // where the run ends before, only their number tells of them
    let outcome = wrk("-t1 -c6 -d1s --timeout 1s --handshakes --at-once ws://{}/echo", addr);
    assert_eq!((outcome.totals.handshakes.count(), outcome.totals.problems), (3, [0; 4]));
}

#[test]
fn answers_in_parts_and_pings_between_them_are_right() {
    let part =
        |bytes: &[u8], code, last| Message::Frame(Frame::message(bytes.to_vec(), OpCode::Data(code), last));
    let addr = websocket_server(move |_, socket| loop {
        if let Message::Binary(message) = socket.read()? {
            let (one, other) = message.split_at(message.len() / 3);
            socket.send(part(one, Data::Binary, false))?;
            socket.send(Message::Ping(vec![1, 2, 3].into()))?;
            socket.send(part(other, Data::Continue, true))?;
        }
    });
    let outcome = wrk("-t1 -c3 -d300ms ws://{}/echo", addr);
    assert!(outcome.is_right() && outcome.totals.answers > 0, "{:?}", outcome.totals);
}

#[test]
fn messages_larger_than_any_buffer_come_back_whole() {
    let addr = answering_server(|_, _, message| message.to_vec());
    let outcome = wrk("-t1 -c2 -d1s --timeout 30s --payload 3000000 ws://{}/", addr);
    assert!(outcome.is_right() && outcome.totals.answers > 0, "{:?}", outcome.totals);
}

#[test]
fn a_closed_connection_is_counted_and_opened_again() {
    let addr = server_that_closes_after_five();
    let outcome = wrk("-t1 -c2 -d1s ws://{}/echo", addr);
    let totals = &outcome.totals;
    assert!(totals.count(Problem::Read) >= 2 && totals.answers > 10, "{totals:?}");
    assert!(outcome.is_right(), "an end is no wrong answer: {:?}", totals.first_fault);
}

#[test]
fn http_servers_may_close_after_each_answer() {
    let addr = tcp_server(|_, mut stream| {
        let mut request = [0; 1000];
        if stream.read(&mut request).is_ok_and(|got| got > 0) {
            let _ = stream.write_all(b"HTTP/1.1 404 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno");
        }
    });
    let outcome = wrk("-t1 -c4 -d500ms http://{}/", addr);
    let totals = &outcome.totals;
    assert!(totals.answers > 8 && totals.problems == [0; 4], "{totals:?}");
    assert_eq!(totals.bad_statuses, totals.answers);
    assert!(!outcome.is_right(), "an answer that is no success is no right one");
}

#[test]
fn nobody_there_and_nobody_who_agrees_are_told_apart() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = try_wrk("-c2 -d1s ws://{}/", nobody).unwrap_err();
    assert!(matches!(error, RunError::Unreachable { .. }), "{error}");

    let refuses = tcp_server(|_, mut stream| {
        let mut request = [0; 1000];
        if stream.read(&mut request).is_ok_and(|got| got > 0) {
            let _ = stream.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let error = try_wrk("-c2 -d1s ws://{}/", refuses).unwrap_err();
    assert!(matches!(&error, RunError::NoneOpened(why) if why.contains("503")), "{error}");
}

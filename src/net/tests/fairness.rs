//! A client that always has more to send does not keep its worker from the others.

use std::sync::atomic::AtomicBool;

use tungstenite::Message as Client;

use super::*;

const UPGRADE: &str = "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// One client at every worker sends `first` and then `again` without end, and reads what it is answered. Whoever comes
/// next shares a worker with one of them, and must be answered all the same.
fn others_are_answered_beside(first: &[u8], again: &[u8]) {
    let server = Server::start(NetOptions::default());
    let workers = crate::runtime::start(Default::default()).workers().count();
    let stopping = Arc::new(AtomicBool::new(false));
    let piece = again.repeat(64 * 1024 / again.len() + 1);
    let floods: Vec<_> = (0..workers)
        .map(|at| {
            let mut client = server.connect();
            client.send(first);
            server.wait_until("the flood", |status| status.requests > at as u64);
            let mut reader = client.stream.try_clone().unwrap();
            // In large pieces, so that it is never this client that the worker waits for.
            let reading = std::thread::spawn(move || {
                let mut answers = vec![0; 1 << 20];
                while reader.read(&mut answers).is_ok_and(|length| length > 0) {}
            });
            let (stopping, piece) = (Arc::clone(&stopping), piece.clone());
            let sending = std::thread::spawn(move || {
                let mut went_on = true;
                while went_on && !stopping.load(Ordering::Relaxed) {
                    went_on = client.stream.write_all(&piece).is_ok();
                }
                let _ = client.stream.shutdown(std::net::Shutdown::Both);
                went_on
            });
            (sending, reading)
        })
        .collect();
    let mut other = server.connect();
    for _ in 0..50 {
        assert_eq!(other.get("/").status, 200);
    }
    stopping.store(true, Ordering::Relaxed);
    for (sending, reading) in floods {
        assert!(sending.join().unwrap(), "the flood went on until the others had been answered");
        reading.join().unwrap();
    }
}

#[test]
fn empty_fragments_without_end_leave_the_worker_to_others() {
    let first = [format!("GET /echo HTTP/1.1\r\n{UPGRADE}").as_bytes(), &[0x01, 0x80, 0, 0, 0, 0]].concat();
    others_are_answered_beside(&first, &[0x00, 0x80, 0, 0, 0, 0]);
}

#[test]
fn a_body_in_tiny_chunks_leaves_the_worker_to_others() {
    let chunk = format!("1;{}\r\nx\r\n", "e".repeat(4_000));
    others_are_answered_beside(
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        chunk.as_bytes(),
    );
}

#[test]
fn requests_behind_each_other_without_end_leave_the_worker_to_others() {
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    others_are_answered_beside(request, request);
}

#[test]
fn messages_that_take_long_leave_the_worker_to_others_after_their_time_not_after_their_number() {
    let server = Server::start(NetOptions::default());
    let mut socket = server.socket("/toil");
    // All of them come with one read, and are far from a turn's bytes and from its number of frames.
    for _ in 0..40 {
        socket.write(Client::text("x")).unwrap();
    }
    socket.flush().unwrap();
    assert_eq!(socket.read().unwrap(), Client::text("1"));
}

/// Each of those that keep their coroutine, as one with a lease does, has its first answer before any has its tenth.
#[test]
fn connections_that_keep_their_coroutines_begin_together() {
    const OTHERS: usize = 32;
    let server = Server::start(NetOptions::default());
    let mut first = server.socket("/labour");
    let mut others: Vec<_> = (0..OTHERS).map(|_| server.socket("/labour")).collect();
    let all_begun = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&all_begun);
    let busy = std::thread::spawn(move || {
        let mut answers = 0;
        while !seen.load(Ordering::SeqCst) {
            first.send(Client::text("on")).unwrap();
            first.read().unwrap();
            answers += 1;
        }
        answers
    });
    for socket in &mut others {
        socket.send(Client::text("begin")).unwrap();
    }
    // The others of the same worker go on as well: what has begun is always ready again.
    for socket in &mut others {
        assert_eq!(socket.read().unwrap(), Client::text("begin"));
        socket.send(Client::text("on")).unwrap();
    }
    all_begun.store(true, Ordering::SeqCst);
    let answers = busy.join().unwrap();
    assert!(answers < 10, "one had {answers} answers before all had their first");
}

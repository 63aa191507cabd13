//! One coroutine answers requests of many connections: what becomes of one request is no other's business.

use super::*;

const OTHERS: usize = 32;

/// Requests that are in every worker's line together, half of them before that to `path` and half of them behind it; all of
/// them wait, which a coroutine that was cancelled can not. `fate` is what that one's client does. Nothing is left in the end.
fn others_are_answered_around(server: &Server, path: &str, fate: impl Fn(Client) -> Option<Client>) {
    let mut others: Vec<_> = (0..OTHERS).map(|_| server.connect()).collect();
    for _ in 0..2 {
        let mut fatal = server.connect();
        for (number, other) in others.iter_mut().enumerate() {
            if number == OTHERS / 2 {
                fatal.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
            }
            other.send("GET /sleep?ms=1 HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        let fatal = fate(fatal);
        for other in &mut others {
            assert_eq!(other.answer().body, b"slept\n");
        }
        if let Some(mut fatal) = fatal {
            assert_eq!(fatal.get("/sleep?ms=1").status, 200, "its connection lives on");
        }
        server.wait_until("the end", |status| {
            (status.connections, status.in_flight, status.driven, status.buffered_bytes)
                == (OTHERS as u64, 0, 0, 0)
        });
    }
}

fn answered(status: u16) -> impl Fn(Client) -> Option<Client> {
    move |mut client| {
        assert_eq!(client.answer().status, status);
        Some(client)
    }
}

#[test]
fn a_request_that_panics_takes_no_other_along() {
    others_are_answered_around(&Server::start(NetOptions::default()), "/panic", answered(500));
}

#[test]
fn a_request_that_expires_while_it_waits_takes_no_other_along() {
    others_are_answered_around(&Server::start(NetOptions::default()), "/hang", answered(504));
}

#[test]
fn a_request_that_expires_while_it_spins_takes_no_other_along() {
    let server = Server::start(NetOptions::default());
    others_are_answered_around(&server, "/spin/hang", answered(504));
    assert_eq!(server.front.status().expired_requests, 2);
}

#[test]
fn a_request_whose_client_leaves_takes_no_other_along() {
    let server = Server::start(NetOptions::default());
    others_are_answered_around(&server, "/sleep?ms=3600000", |client| {
        server.wait_until("the request", |status| status.in_flight > 0);
        rustix::net::sockopt::set_socket_linger(&client.stream, Some(Duration::ZERO)).unwrap();
        None
    });
}

/// Run by the next test, in a process of its own: some overflows end the process.
#[test]
#[ignore = "run by a_request_that_overflows_takes_no_other_along"]
fn overflow_in_this_process() {
    let server = Server::start(NetOptions::default());
    others_are_answered_around(&server, "/overflow", answered(500));
    println!("survived");
}

#[test]
fn a_request_that_overflows_takes_no_other_along() {
    survives_alone("net::tests::calls::overflow_in_this_process");
}

#[test]
fn a_shutdown_answers_those_that_end_in_time_and_cuts_the_others_off() {
    let server = Server::start(NetOptions::default());
    let asking = |path: &str| {
        let mut client = server.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client
    };
    let mut clients: Vec<_> =
        (0..8).flat_map(|_| [asking("/sleep?ms=300"), asking("/sleep?ms=3600000")]).collect();
    server.wait_until("the requests", |status| status.in_flight == 16);
    assert!(!server.front.shutdown(Instant::now() + Duration::from_secs(2)));
    for pair in clients.chunks_mut(2) {
        assert_eq!((pair[0].answer().status, pair[1].answer().status), (200, 503));
    }
    server.wait_until("the end", |status| {
        (status.connections, status.in_flight, status.driven, status.buffered_bytes) == (0, 0, 0, 0)
    });
}

#[test]
fn what_a_request_leaves_in_its_coroutines_context_no_other_sees() {
    let server = Server::start(NetOptions::default());
    let mut clients: Vec<_> = (0..OTHERS).map(|_| server.connect()).collect();
    for _ in 0..4 {
        for client in &mut clients {
            client.send("GET /context?a HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3));
        }
        for client in &mut clients {
            for _ in 0..3 {
                assert_eq!(String::from_utf8(client.answer().body).unwrap(), "None");
            }
        }
    }
}

#[test]
fn what_an_upgrade_leaves_in_its_coroutines_context_the_next_request_does_not_see() {
    let server = Server::start(NetOptions::default());
    let mut client = server.connect();
    client.send(
        "GET /leave HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\
        GET /context HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(client.answer().status, 404);
    assert_eq!(String::from_utf8(client.answer().body).unwrap(), "None");
}

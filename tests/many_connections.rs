//! Far more clients than sandboxes.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};

use common::{packets, processed_alone, Client, ServerProcess};
use sandbox::Settings;

const CONNECTIONS: usize = 10_000;
const SANDBOXES: usize = 200;

/// How many speak at the same moment.
const SPEAKERS: usize = 16;

#[test]
fn ten_thousand_connections_that_speak_in_turn_are_served_by_two_hundred_sandboxes() {
    // The test's own end of the connections needs descriptors too.
    let _ = sandpool::config::Machine::prepare();
    let max = SANDBOXES.to_string();
    let server = ServerProcess::start(&[
        "--pool-max",
        &max,
        "--session-idle",
        "100ms",
        "--acquire-timeout",
        "30",
        "--max-connections",
        "10100",
    ]);
    let settings = Settings::default();
    let spoken = packets(&settings, 1, 3);
    let expected = processed_alone(&settings, &spoken);

    let mut clients = Vec::with_capacity(CONNECTIONS);
    while clients.len() < CONNECTIONS {
        clients.push(Client::welcome(server.addr).0);
    }
    assert!(server.get("/status").json()["connections"].as_u64().unwrap() >= CONNECTIONS as u64);

    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for share in clients.chunks_mut(CONNECTIONS.div_ceil(SPEAKERS)) {
            let (spoken, expected, answered) = (&spoken, &expected, &answered);
            scope.spawn(move || {
                for client in share {
                    for (packet, expected) in spoken.iter().zip(expected) {
                        assert!(client.audio(packet).expect("no error") == *expected);
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(answered.into_inner(), CONNECTIONS);
    let pool = server.pool_becomes(|pool| pool["leased"] == 0);
    assert!(pool["created"].as_u64().unwrap() <= SANDBOXES as u64, "{pool}");
    assert_eq!((&pool["discarded"], &pool["timed_out"]), (&0.into(), &0.into()));
}

//! Against sandpool's own server, on port 0, in this process.

mod common;

use std::net::SocketAddr;
use std::sync::OnceLock;

use common::{try_wrk, wrk};
use sandpool::config::{Machine, ServerConfig};
use sandpool::server::Server;
use sandpool_wrk::RunError;

/// The one server of this process; its runtime can be started only once.
fn server() -> SocketAddr {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let start = || {
        let mut config = ServerConfig::default_for(&Machine::prepare());
        config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.ops = config.listen;
        config.workers = 2;
        Server::start(config).expect("the server starts")
    };
    SERVER.get_or_init(start).addr()
}

#[test]
fn streams_of_opus_are_answered_and_every_client_recognises_its_voice() {
    let outcome = wrk("-t2 -c4 -d5s --decode-every 1 ws://{}/", server());
    let totals = &outcome.totals;
    assert!(outcome.is_right(), "{totals:?}");
    assert!(totals.decoded >= totals.answers && totals.recognised > 0, "{totals:?}");
    assert_eq!((totals.problems, totals.refused), ([0; 4], 0));
}

#[test]
fn paced_streams_are_answered_each_in_its_time() {
    let outcome = wrk("-t1 -c5 -d1s --timeout 10s -R 100 ws://{}/", server());
    let totals = &outcome.totals;
    assert!(outcome.is_right(), "{totals:?}");
    assert_eq!((totals.latencies.count(), totals.unanswered, totals.missed), (100, 0, 0));
    assert_eq!(totals.tool_late.count(), 100, "its own lateness is told of each");
}

#[test]
fn echoes_come_back_to_whom_they_belong() {
    let outcome = wrk("-t2 -c50 -d1s ws://{}/echo", server());
    assert!(outcome.is_right() && outcome.totals.answers > 50, "{:?}", outcome.totals);
    assert!(outcome.totals.per_connection.iter().all(|&answers| answers > 0));
}

#[test]
fn http_is_answered_and_what_is_not_found_is_told() {
    let outcome = wrk("-t1 -c10 -d500ms http://{}/health", server());
    assert!(outcome.is_right() && outcome.totals.bad_statuses == 0, "{:?}", outcome.totals);
    let outcome = wrk("-t1 -c2 -d300ms http://{}/nowhere", server());
    assert!(outcome.totals.answers > 0 && outcome.totals.bad_statuses == outcome.totals.answers);
    assert!(!outcome.is_right(), "a 404 is no success");
}

#[test]
fn held_connections_are_all_there_at_the_end() {
    let line = format!("-t2 -c200 -d500ms --hold --watch {} ws://{{}}/echo", std::process::id());
    let outcome = wrk(&line, server());
    assert!(outcome.is_right(), "{:?}", outcome.totals);
    assert_eq!((outcome.totals.open, outcome.totals.lost, outcome.totals.open_at_end), (200, 0, 200));
    assert!(outcome.resident.unwrap().iter().all(|&bytes| bytes > 0));
    assert!(outcome.cpu_seconds.is_some());
}

#[test]
fn handshakes_are_counted_one_after_the_other_and_all_at_once() {
    let outcome = wrk("-t1 -c4 -d500ms --handshakes ws://{}/echo", server());
    assert!(outcome.is_right() && outcome.totals.handshakes.count() > 4, "{:?}", outcome.totals);
    assert_eq!(outcome.totals.problems, [0; 4]);
    let outcome = wrk("-t2 -c200 -d20s --timeout 20s --handshakes --at-once ws://{}/echo", server());
    assert_eq!((outcome.totals.handshakes.count(), outcome.totals.problems), (200, [0; 4]));
    let outcome = wrk("-t1 -c4 -d300ms --handshakes http://{}/health", server());
    assert!(outcome.is_right() && outcome.totals.handshakes.count() > 4, "{:?}", outcome.totals);
}

#[test]
fn a_first_message_sets_every_session_up_or_ends_the_run() {
    let config = |setting: &str| {
        let line = format!("-t1 -c2 -d300ms --first-message {{\"command\":\"config\",{setting}}} ws://{{}}/");
        try_wrk(&line, server())
    };
    let outcome = config("\"intensity\":0").unwrap();
    assert!(outcome.is_right() && outcome.totals.answers > 0, "{:?}", outcome.totals);
    let error = config("\"intensity\":99").unwrap_err();
    assert!(matches!(&error, RunError::NoneOpened(why) if why.contains("intensity")), "{error}");
}

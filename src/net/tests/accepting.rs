//! What taking connections leaves to the others of its worker.

use std::os::fd::AsRawFd;

use super::*;
use crate::runtime::{self, spawn_on};

/// So many connections wait when the acceptor comes to them.
const FLOOD: u64 = 300;

#[test]
fn a_flood_of_connections_leaves_their_acceptors_worker_to_others() {
    let options = NetOptions::default().max_connections(10);
    let (sender, events) = mpsc::channel();
    let told = Told::by(sender);
    let listener = Front::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
    // may wakes the one that waits for a socket on this worker.
    let workers: Vec<_> = runtime::start(Default::default()).workers().collect();
    let worker = workers[listener.as_raw_fd() as usize % workers.len()];
    let front = Front::start(listener, TestApp { told: told.clone() }, options, watchdog()).unwrap();
    let server = Server { front, events, told };
    // The acceptor begins on any worker, and is on this one after its first wait.
    for alone in 1..=3 {
        server.connect();
        server.wait_until("a connection", |status| status.accepted == alone);
    }
    for _ in 0..5 {
        let (held, is_held) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let front = server.front.clone();
        let begin = front.status().accepted;
        let seen = spawn_on(worker, move || {
            held.send(()).unwrap();
            // It blocks the worker on purpose.
            released.recv().unwrap();
            let deadline = Instant::now() + PATIENCE;
            loop {
                let accepted = front.status().accepted - begin;
                if accepted > 0 {
                    break accepted;
                }
                assert!(Instant::now() < deadline, "nothing was ever accepted");
                time::yield_now();
            }
        });
        is_held.recv().unwrap();
        let flood: Vec<_> = (0..FLOOD).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
        release.send(()).unwrap();
        let accepted = seen.join().unwrap();
        server.wait_until("the whole flood", |status| status.accepted == begin + FLOOD);
        drop(flood);
        if accepted < FLOOD {
            return;
        }
    }
    panic!("its worker ran nobody else until all {FLOOD} were taken");
}

//! A lease knows its home shard, whatever thread its coroutine ends on.

use std::sync::{mpsc, Arc};
use std::time::{Duration, Instant};

use may::sync::Blocker;
use sandpool::runtime::{spawn_on, start, Lease, Pool, RuntimeOptions, WorkerId};

use crate::support::{quiet, Probe, Workshop};

fn two_workers() -> Option<[WorkerId; 2]> {
    let workers: Vec<_> = start(RuntimeOptions::default().workers(2)).workers().collect();
    workers.first_chunk().copied()
}

/// A pool with one sandbox at home in each of two shards; their numbers.
fn two_homes(workers: [WorkerId; 2]) -> (Pool<Probe>, [usize; 2]) {
    let pool = Arc::new(Workshop::default()).pool(quiet(2).shards(2));
    let first = pool.clone();
    let second = pool.clone();
    let (checked_out, is_checked_out) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    // Both at once, or the second would get the first one's.
    let holding = spawn_on(workers[0], move || {
        let mut lease = first.checkout().unwrap();
        checked_out.send(()).unwrap();
        released.recv().unwrap();
        (lease.home(), number(&mut lease))
    });
    is_checked_out.recv().unwrap();
    let brief = spawn_on(workers[1], move || {
        let mut lease = second.checkout().unwrap();
        (lease.home(), number(&mut lease))
    });
    let brief = brief.join().unwrap();
    release.send(()).unwrap();
    let holding = holding.join().unwrap();
    assert_eq!((holding.0, brief.0), (workers[0].index(), workers[1].index()));
    (pool, [holding.1, brief.1])
}

fn number(lease: &mut Lease<Probe>) -> usize {
    lease.enter(|probe| probe.number)
}

fn number_got_on(worker: WorkerId, pool: &Pool<Probe>) -> usize {
    let pool = pool.clone();
    spawn_on(worker, move || number(&mut pool.checkout().unwrap())).join().unwrap()
}

#[test]
fn each_worker_gets_the_sandbox_back_that_it_gave() {
    let Some(workers) = two_workers() else { return };
    let (pool, numbers) = two_homes(workers);
    for _ in 0..20 {
        for place in [0, 1, 1, 0] {
            assert_eq!(number_got_on(workers[place], &pool), numbers[place]);
        }
    }
}

#[test]
fn a_lease_goes_home_from_another_worker_than_it_was_taken_on() {
    let Some(workers) = two_workers() else { return };
    let (pool, numbers) = two_homes(workers);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let theirs = pool.clone();
        let (give, take) = mpsc::channel();
        let moving = spawn_on(workers[0], move || {
            let lease = theirs.checkout().unwrap();
            let blocker = Blocker::current();
            give.send(Arc::clone(&blocker)).unwrap();
            let _ = blocker.park(None);
            let home = lease.home();
            drop(lease);
            (home, WorkerId::current())
        });
        let blocker = take.recv().unwrap();
        // A wait of may's own: whoever wakes a coroutine has it on its own worker from then on, if it slept already.
        spawn_on(workers[1], move || blocker.unpark()).join().unwrap();
        let (home, ended_on) = moving.join().unwrap();
        assert_eq!(home, workers[0].index());
        assert_eq!(workers.map(|worker| number_got_on(worker, &pool)), numbers);
        if ended_on == Some(workers[1]) {
            return;
        }
        assert!(Instant::now() < deadline, "it never ended on another worker");
    }
}

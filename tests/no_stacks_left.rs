//! The runtime where the system maps no memory for another stack. A process of its own, for the limit is the process's.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
use sandpool::runtime::{spawn_on, start, time, RuntimeOptions, Spawn, SpawnError};

/// For what comes true at once on a healthy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// How much may be mapped beyond what is: some stacks.
const ROOM: u64 = 1 << 20;

fn mapped_bytes() -> u64 {
    let pages: u64 =
        fs::read_to_string("/proc/self/statm").unwrap().split(' ').next().unwrap().parse().unwrap();
    pages * rustix::param::page_size() as u64
}

fn wait_until(is_so: impl Fn() -> bool, what: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not so after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn those_who_run_yield_wait_and_wake_each_other_while_no_stack_can_be_mapped() {
    let runtime = start(RuntimeOptions::default().workers(2));
    let workers: Vec<_> = runtime.workers().collect();
    let over = Arc::new(AtomicBool::new(false));
    let yields = Arc::new(AtomicUsize::new(0));
    let yielding = {
        let (over, yields) = (Arc::clone(&over), Arc::clone(&yields));
        spawn_on(workers[0], move || {
            while !over.load(Ordering::Relaxed) {
                time::yield_now();
                yields.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let waiters: Arc<[OnceLock<Arc<time::Waiter>>; 2]> = Arc::default();
    let woken: Arc<[AtomicUsize; 2]> = Arc::default();
    let playing: Vec<_> = (0..2)
        .map(|number| {
            let (over, waiters, woken) = (Arc::clone(&over), Arc::clone(&waiters), Arc::clone(&woken));
            spawn_on(workers[number], move || {
                let own = Arc::clone(waiters[number].get_or_init(time::Waiter::new));
                let wake_the_other =
                    || waiters[1 - number].get().into_iter().for_each(|other| other.unpark());
                while !over.load(Ordering::Relaxed) {
                    wake_the_other();
                    own.park(Some(PATIENCE)).expect("the other one wakes this one");
                    woken[number].fetch_add(1, Ordering::Relaxed);
                }
                wake_the_other();
            })
        })
        .collect();

    // Whatever the system's library allocates once a thread is there by now.
    let each_has_played = |times| woken.iter().all(|woken| woken.load(Ordering::Relaxed) > times);
    wait_until(|| each_has_played(100), "two wake each other");

    let limit = getrlimit(Resource::As);
    setrlimit(Resource::As, Rlimit { current: Some(mapped_bytes() + ROOM), ..limit }).unwrap();
    let mut waiting = Vec::with_capacity(1_000);
    let error = loop {
        match Spawn::new().on(workers[waiting.len() % 2]).try_start(|| time::sleep(PATIENCE)) {
            Ok(coroutine) => waiting.push(coroutine),
            Err(error) => break error,
        }
        assert!(waiting.len() < waiting.capacity(), "stacks can still be mapped");
    };
    let before = woken.iter().map(|woken| woken.load(Ordering::Relaxed)).max().unwrap();
    let yields_before = yields.load(Ordering::Relaxed);
    wait_until(|| each_has_played(before + 20), "two wake each other without stacks");
    wait_until(
        || yields.load(Ordering::Relaxed) > yields_before + 20,
        "whoever yields goes on without stacks",
    );
    over.store(true, Ordering::Relaxed);
    setrlimit(Resource::As, limit).unwrap();

    assert_eq!(error, SpawnError::NoStack);
    yielding.join().unwrap();
    playing.into_iter().for_each(|playing| playing.join().unwrap());
    waiting.iter().for_each(|coroutine| coroutine.canceller().cancel());
    assert!(waiting.into_iter().all(|coroutine| coroutine.join().is_err()));
    spawn_on(workers[0], || ()).join().unwrap();
}

//! What waits of one coroutine must not do to others. Some of these starve a worker where they fail, so each has one of its own.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{mpsc, Arc, OnceLock};
use std::time::{Duration, Instant};

use sandpool::runtime::{
    spawn, spawn_on, start, time, AnyError, JoinHandle, Pool, PoolOptions, Runtime, RuntimeOptions, Sandbox,
    WorkerId,
};

/// For what comes true at once on a healthy machine.
const PATIENCE: Duration = Duration::from_secs(20);

struct Nothing;

impl Sandbox for Nothing {
    fn reset(&mut self) -> Result<(), AnyError> {
        Ok(())
    }
}

fn start_workers() -> &'static Runtime {
    start(RuntimeOptions::default().workers(3))
}

fn worker(number: usize) -> WorkerId {
    start_workers().workers().nth(number).unwrap()
}

/// One that sleeps for a moment at `worker`, which it has begun to do.
fn sleeper(worker: WorkerId) -> JoinHandle<()> {
    let (begins, has_begun) = mpsc::channel();
    let sleeping = spawn_on(worker, move || {
        begins.send(()).unwrap();
        time::sleep(Duration::from_millis(10));
    });
    has_begun.recv().unwrap();
    sleeping
}

fn ends(coroutine: JoinHandle<()>, what: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !coroutine.is_done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
    coroutine.join().unwrap();
}

#[test]
fn two_that_hand_a_sandbox_to_each_other_do_not_keep_their_worker_from_sleepers() {
    let worker = worker(0);
    let pool = Pool::new(PoolOptions::default().capacity(1), || Ok::<_, AnyError>(Nothing)).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let sleeping = sleeper(worker);
    let contending: Vec<_> = (0..2)
        .map(|_| {
            let (pool, over) = (pool.clone(), Arc::clone(&over));
            spawn_on(worker, move || {
                // So that the other one comes to wait.
                drop(pool.checkout().inspect(|_| time::sleep(Duration::from_millis(1))).unwrap());
                while !over.load(Ordering::Relaxed) {
                    pool.checkout().unwrap().enter(|_| ());
                }
            })
        })
        .collect();
    ends(sleeping, "a sleep of 10 ms never ends");
    over.store(true, Ordering::Relaxed);
    contending.into_iter().for_each(|coroutine| ends(coroutine, "it does not end"));
}

#[test]
fn two_that_wake_each_other_do_not_keep_their_worker_from_sleepers() {
    let worker = worker(1);
    let waiters: Arc<[OnceLock<Arc<time::Waiter>>; 2]> = Arc::default();
    let over = Arc::new(AtomicBool::new(false));
    let sleeping = sleeper(worker);
    let playing: Vec<_> = (0..2)
        .map(|number| {
            let (waiters, over) = (Arc::clone(&waiters), Arc::clone(&over));
            spawn_on(worker, move || {
                let own = Arc::clone(waiters[number].get_or_init(time::Waiter::new));
                let wake_the_other =
                    || waiters[1 - number].get().into_iter().for_each(|other| other.unpark());
                while !over.load(Ordering::Relaxed) {
                    wake_the_other();
                    let _ = own.park(Some(PATIENCE));
                }
                wake_the_other();
            })
        })
        .collect();
    ends(sleeping, "a sleep of 10 ms never ends");
    over.store(true, Ordering::Relaxed);
    playing.into_iter().for_each(|coroutine| ends(coroutine, "it does not end"));
}

/// Recursion without end that waits in each call, so that it overflows anywhere in the runtime's own code.
#[inline(never)]
#[expect(unconditional_recursion, reason = "that it ends by an overflow is what is tested")]
fn dive(level: usize) -> usize {
    let mut ballast = [0_u8; 48];
    std::hint::black_box(&mut ballast);
    time::sleep(Duration::from_micros(1));
    1 + dive(level + 1) + usize::from(ballast[level % 48])
}

#[inline(never)]
fn dive_from(depth: usize) -> usize {
    if depth == 0 {
        return dive(0);
    }
    let mut ballast = [0_u8; 16];
    std::hint::black_box(&mut ballast);
    dive_from(depth - 1) + usize::from(ballast[0])
}

#[test]
fn an_overflow_within_a_wait_stops_no_other_wait() {
    let worker = worker(2);
    for depth in 0..40 {
        assert!(spawn_on(worker, move || dive_from(depth)).join().is_err());
        ends(sleeper(worker), "a sleep of 10 ms never ends");
    }
}

/// Waits when it is dropped.
struct WaitsAtItsEnd(Pool<Nothing>);

impl Drop for WaitsAtItsEnd {
    fn drop(&mut self) {
        time::sleep(PATIENCE);
        time::yield_now();
        let _ = time::Waiter::new().park(None);
        assert!(self.0.checkout().is_err());
        assert!(!self.0.wait_drained(PATIENCE));
    }
}

#[test]
fn a_wait_of_what_unwinds_does_not_wait_whether_it_was_cancelled_or_panicked() {
    start_workers();
    let pool = Pool::new(PoolOptions::default().capacity(1), || Ok::<_, AnyError>(Nothing)).unwrap();
    let lease = pool.checkout().unwrap();
    for is_cancelled in [true, false] {
        let pool = pool.clone();
        let began = Instant::now();
        let (ended, has_ended) = mpsc::channel();
        let unwinding = spawn(move || {
            let unwound = catch_unwind(AssertUnwindSafe(|| {
                let _at_its_end = WaitsAtItsEnd(pool);
                if is_cancelled {
                    time::sleep(Duration::MAX);
                }
                panic!("a test's own panic");
            }));
            ended.send(unwound.is_err()).unwrap();
        });
        if is_cancelled {
            unwinding.canceller().cancel();
        }
        assert_eq!(has_ended.recv_timeout(PATIENCE / 2), Ok(true), "after {:?}", began.elapsed());
    }
    drop(lease);
}

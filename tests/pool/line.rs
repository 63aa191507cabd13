//! Waiting: first come, first served, within its limits.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{mpsc, Arc, OnceLock};
use std::time::{Duration, Instant};

use sandpool::runtime::time::Waiter;
use sandpool::runtime::{deep_stack, spawn, CheckoutError, Interrupt, JoinHandle, Pool};

use crate::support::{eventually, quiet, Probe, Workshop};

const PATIENCE: Duration = Duration::from_secs(60);

/// A coroutine that waits as the `number`th, reports when it is served, and holds its lease until told.
fn join_line(
    pool: &Pool<Probe>,
    number: usize,
    served: &mpsc::Sender<usize>,
) -> (JoinHandle<()>, may::sync::mpsc::Sender<()>) {
    let (go_on, wait) = may::sync::mpsc::channel::<()>();
    let (theirs, served) = (pool.clone(), served.clone());
    let coroutine = spawn(move || {
        let lease = theirs.checkout_within(PATIENCE);
        served.send(number).unwrap();
        let _ = wait.recv();
        drop(lease);
    });
    eventually("it waits", || pool.status().waiting == number + 1);
    (coroutine, go_on)
}

#[test]
fn those_who_wait_are_served_in_the_order_in_which_they_came() {
    let pool = Arc::new(Workshop::default()).pool(quiet(2));
    let held = [pool.checkout().unwrap(), pool.checkout().unwrap()];
    let (served, order) = mpsc::channel();
    let waiters: Vec<_> = (0..20).map(|number| join_line(&pool, number, &served)).collect();
    drop(held);
    for number in 0..20 {
        // Two are at work; each one that goes lets exactly the next one in.
        if number >= 2 {
            waiters[number - 2].1.send(()).unwrap();
        }
        if number == 0 {
            let mut first = [order.recv_timeout(PATIENCE).unwrap(), order.recv_timeout(PATIENCE).unwrap()];
            first.sort_unstable();
            assert_eq!(first, [0, 1]);
        } else if number >= 2 {
            assert_eq!(order.recv_timeout(PATIENCE).unwrap(), number);
        }
    }
    for (_, go_on) in &waiters[18..] {
        go_on.send(()).unwrap();
    }
    waiters.into_iter().for_each(|(coroutine, _)| coroutine.join().unwrap());
    assert_eq!(pool.status().wait_time.waited, 20);
    assert_eq!(pool.status().checkouts, 22);
}

#[test]
fn an_arrival_never_overtakes_one_that_waits() {
    let pool = Arc::new(Workshop::default()).pool(quiet(1));
    let held = pool.checkout().unwrap();
    let (served, order) = mpsc::channel();
    let (waiter, go_on) = join_line(&pool, 0, &served);
    // The waiter is granted the sandbox in the return itself; it may not have run yet.
    drop(held);
    assert!(matches!(pool.try_checkout(), Err(CheckoutError::Exhausted { leased: 1, capacity: 1, .. })));
    assert_eq!(order.recv_timeout(PATIENCE).unwrap(), 0);
    go_on.send(()).unwrap();
    waiter.join().unwrap();
    assert!(pool.try_checkout().is_ok());
}

#[test]
fn a_wait_that_is_too_long_ends_with_the_figures() {
    let pool = Arc::new(Workshop::default()).pool(quiet(1));
    let held = pool.checkout().unwrap();
    let theirs = pool.clone();
    let (error, took) = spawn(move || {
        let began = Instant::now();
        (theirs.checkout_within(Duration::from_millis(30)).unwrap_err(), began.elapsed())
    })
    .join()
    .unwrap();
    match error {
        CheckoutError::TimedOut { waited, leased: 1, capacity: 1, waiting: 0 } => {
            assert!(waited >= Duration::from_millis(30) && waited <= took, "{waited:?} of {took:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((pool.status().timed_out, pool.status().waiting), (1, 0));
    drop(held);
    assert!(pool.try_checkout().is_ok(), "nobody waits any more");
}

#[test]
fn a_plain_thread_waits_like_a_coroutine() {
    let pool = Arc::new(Workshop::default()).pool(quiet(1));
    let held = pool.checkout().unwrap();
    let theirs = pool.clone();
    let thread = std::thread::spawn(move || {
        let timed_out = theirs.checkout_within(Duration::from_millis(5)).is_err();
        (timed_out, theirs.checkout_within(PATIENCE).is_ok())
    });
    eventually("it waits for the second time", || pool.status().timed_out == 1 && pool.status().waiting == 1);
    drop(held);
    assert_eq!(thread.join().unwrap(), (true, true));
}

#[test]
fn a_checkout_that_must_not_wait_says_so_at_once() {
    let pool = Arc::new(Workshop::default()).pool(quiet(1));
    let _held = pool.checkout().unwrap();
    assert!(matches!(
        pool.checkout_within(Duration::ZERO),
        Err(CheckoutError::TimedOut { waited: Duration::ZERO, .. })
    ));
    assert!(matches!(
        pool.try_checkout(),
        Err(CheckoutError::Exhausted { leased: 1, capacity: 1, waiting: 0 })
    ));
}

#[test]
fn one_more_than_may_wait_is_turned_away_at_once() {
    let pool = Arc::new(Workshop::default()).pool(quiet(1).max_waiters(2));
    let held = pool.checkout().unwrap();
    let (served, _order) = mpsc::channel();
    let waiters: Vec<_> = (0..2).map(|number| join_line(&pool, number, &served)).collect();
    match pool.checkout().unwrap_err() {
        CheckoutError::LineFull {
            waited: Duration::ZERO,
            max_waiters: 2,
            waiting: 2,
            leased: 1,
            capacity: 1,
        } => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(pool.status().rejected, 1);
    drop(held);
    for (waiter, go_on) in waiters {
        go_on.send(()).unwrap();
        waiter.join().unwrap();
    }
}

#[test]
fn one_that_is_cancelled_while_it_waits_leaves_the_line_to_the_others() {
    let pool = Arc::new(Workshop::default()).pool(quiet(1));
    let held = pool.checkout().unwrap();
    let (served, order) = mpsc::channel();
    let (first, _) = join_line(&pool, 0, &served);
    let (second, go_on) = join_line(&pool, 1, &served);
    first.canceller().cancel();
    assert!(first.join().is_err());
    assert_eq!(pool.status().waiting, 1);
    drop(held);
    assert_eq!(order.recv_timeout(PATIENCE).unwrap(), 1);
    go_on.send(()).unwrap();
    second.join().unwrap();
}

#[test]
fn what_was_granted_to_one_that_is_cancelled_goes_to_the_next() {
    // Grant and cancel race; whichever comes first, the sandbox must reach the second one.
    for round in 0..200 {
        let pool = Arc::new(Workshop::default()).pool(quiet(1));
        let held = pool.checkout().unwrap();
        let (served, order) = mpsc::channel();
        let (first, first_go_on) = join_line(&pool, 0, &served);
        let (second, go_on) = join_line(&pool, 1, &served);
        let canceller = first.canceller();
        if round % 2 == 0 {
            drop(held);
            canceller.cancel();
        } else {
            canceller.cancel();
            drop(held);
        }
        // It may be gone already.
        let _ = first_go_on.send(());
        let _ = first.join();
        while order.recv_timeout(PATIENCE).unwrap() != 1 {}
        go_on.send(()).unwrap();
        second.join().unwrap();
        assert_eq!((pool.status().idle, pool.status().leased, pool.status().waiting), (1, 0, 0));
    }
}

#[test]
fn a_place_granted_to_one_that_is_cancelled_goes_to_the_next() {
    for _ in 0..100 {
        let workshop = Arc::new(Workshop::default());
        let pool = workshop.pool(quiet(1));
        let held = pool.checkout().unwrap();
        let (served, order) = mpsc::channel();
        let (first, first_go_on) = join_line(&pool, 0, &served);
        let (second, go_on) = join_line(&pool, 1, &served);
        held.discard();
        first.canceller().cancel();
        // It may be gone already.
        let _ = first_go_on.send(());
        let _ = first.join();
        while order.recv_timeout(PATIENCE).unwrap() != 1 {}
        go_on.send(()).unwrap();
        second.join().unwrap();
        assert_eq!((pool.status().size, workshop.alive()), (1, 1));
    }
}

#[test]
fn a_discarded_sandbox_gives_the_head_of_the_line_its_place() {
    let workshop = Arc::new(Workshop::default());
    let pool = workshop.pool(quiet(1));
    let held = pool.checkout().unwrap();
    let (served, order) = mpsc::channel();
    let (waiter, go_on) = join_line(&pool, 0, &served);
    held.discard();
    assert_eq!(order.recv_timeout(PATIENCE).unwrap(), 0);
    assert_eq!((pool.status().leased, pool.status().created), (1, 2));
    go_on.send(()).unwrap();
    waiter.join().unwrap();
}

#[test]
fn a_failed_build_passes_the_place_down_the_line() {
    let workshop = Arc::new(Workshop::default());
    let pool = workshop.pool(quiet(1));
    let held = pool.checkout().unwrap();
    let (served, order) = mpsc::channel();
    let waiters: Vec<_> = (0..3).map(|number| join_line(&pool, number, &served)).collect();
    workshop.broken.store(true, SeqCst);
    held.discard();
    let mut all: Vec<_> = (0..3).map(|_| order.recv_timeout(PATIENCE).unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2]);
    let status = pool.status();
    assert_eq!((status.size, status.waiting, status.build_failures), (0, 0, 3));
    for (waiter, go_on) in waiters {
        go_on.send(()).unwrap();
        waiter.join().unwrap();
    }
    workshop.broken.store(false, SeqCst);
    assert!(pool.try_checkout().is_ok());
}

#[test]
fn a_checkout_that_would_wait_on_the_deep_stack_is_refused() {
    let pool = Arc::new(Workshop::default()).pool(quiet(1));
    let theirs = pool.clone();
    spawn(move || {
        deep_stack::run(|| {
            let held = theirs.try_checkout().unwrap();
            assert!(matches!(theirs.checkout(), Err(CheckoutError::NotAllowed)));
            drop(held);
        });
    })
    .join()
    .unwrap();
    assert_eq!(pool.status().idle, 1);
}

#[test]
fn closing_tells_those_who_wait_and_lets_the_leases_come_home() {
    let workshop = Arc::new(Workshop::default());
    let pool = workshop.pool(quiet(3).min_idle(3));
    let held = [pool.checkout().unwrap(), pool.checkout().unwrap(), pool.checkout().unwrap()];
    let theirs = pool.clone();
    let waiter = spawn(move || theirs.checkout_within(PATIENCE).map(drop).unwrap_err());
    eventually("it waits", || pool.status().waiting == 1);
    let [first, second, mut third] = held;
    pool.close();
    assert!(matches!(waiter.join().unwrap(), CheckoutError::Closed { leased: 3, capacity: 3, .. }));
    assert!(matches!(pool.checkout(), Err(CheckoutError::Closed { .. })));
    assert!(matches!(pool.try_checkout(), Err(CheckoutError::Closed { .. })));
    drop(first);
    assert!(!pool.is_drained() && !pool.wait_drained(Duration::from_millis(2)));
    assert_eq!((pool.status().size, workshop.alive()), (2, 2));
    third.enter(|probe| probe.work(3, || ()));
    second.discard();
    let other = pool.clone();
    let drained = spawn(move || other.wait_drained(PATIENCE));
    drop(third);
    assert!(drained.join().unwrap());
    assert!(pool.is_drained());
    assert_eq!((pool.status().size, workshop.alive()), (0, 0));
}

#[test]
fn closing_drops_what_is_idle() {
    let workshop = Arc::new(Workshop::default());
    let pool = workshop.pool(quiet(5).min_idle(5));
    assert_eq!(workshop.alive(), 5);
    pool.close();
    pool.close();
    assert!(pool.is_drained() && pool.wait_drained(Duration::ZERO));
    assert_eq!((workshop.alive(), pool.status().retired), (0, 5));
}

#[test]
fn the_last_handle_closes_the_pool_and_a_lease_outlives_it() {
    let workshop = Arc::new(Workshop::default());
    let pool = workshop.pool(quiet(2).min_idle(2));
    let mut lease = pool.checkout().unwrap();
    drop(pool);
    assert_eq!(workshop.alive(), 1);
    lease.enter(|probe| probe.work(1, || ()));
    drop(lease);
    assert_eq!(workshop.alive(), 0);
    assert_eq!(Arc::strong_count(&workshop), 1, "the pool itself is gone");
}

/// An interrupt that a test raises.
struct Bell {
    rung: AtomicBool,
    waiter: OnceLock<Arc<Waiter>>,
}

impl Bell {
    fn silent() -> Arc<Bell> {
        Arc::new(Bell { rung: AtomicBool::new(false), waiter: OnceLock::new() })
    }

    fn ring(&self) {
        self.rung.store(true, SeqCst);
        if let Some(waiter) = self.waiter.get() {
            waiter.unpark();
        }
    }
}

impl Interrupt for Bell {
    fn is_raised(&self) -> bool {
        self.rung.load(SeqCst)
    }

    fn waiter(&self) -> Arc<Waiter> {
        Arc::clone(self.waiter.get_or_init(Waiter::new))
    }
}

#[test]
fn one_that_is_interrupted_leaves_the_line_to_the_others_and_goes_on() {
    let pool = Arc::new(Workshop::default()).pool(quiet(1).acquire_timeout(PATIENCE));
    let held = pool.checkout().unwrap();
    let (bell, theirs) = (Bell::silent(), pool.clone());
    let (leaves, left) = mpsc::channel();
    let first = spawn({
        let bell = Arc::clone(&bell);
        move || {
            let error = theirs.checkout_unless(&*bell).unwrap_err();
            // It stays raised: who need not wait is served all the same, who must is not.
            let again = theirs.checkout_unless(&*bell).unwrap_err();
            leaves.send(()).unwrap();
            (error, again, theirs.checkout().is_ok())
        }
    });
    eventually("it waits", || pool.status().waiting == 1);
    let (served, order) = mpsc::channel();
    let (second, go_on) = join_line(&pool, 1, &served);
    bell.ring();
    left.recv_timeout(PATIENCE).unwrap();
    // It waits again, behind the second one, without the interrupt.
    drop(held);
    assert_eq!(order.recv_timeout(PATIENCE).unwrap(), 1);
    go_on.send(()).unwrap();
    second.join().unwrap();
    let (error, again, then) = first.join().unwrap();
    assert!(matches!(error, CheckoutError::Interrupted { capacity: 1, .. }), "{error:?}");
    assert!(matches!(again, CheckoutError::Interrupted { .. }) && then, "{again:?}");
    assert!(pool.checkout_unless(&*bell).is_ok(), "an idle one is lent whatever is raised");
    assert_eq!((pool.status().timed_out, pool.status().waiting), (0, 0));
}

#[test]
fn what_was_granted_to_one_that_is_interrupted_is_not_lost() {
    // Grant and interrupt race on two threads; whichever comes first, the sandbox must reach the second one.
    let mut outcomes = [0; 2];
    for round in 0..300 {
        let pool = Arc::new(Workshop::default()).pool(quiet(1).acquire_timeout(PATIENCE));
        let held = pool.checkout().unwrap();
        let (bell, theirs) = (Bell::silent(), pool.clone());
        let first = spawn({
            let bell = Arc::clone(&bell);
            move || theirs.checkout_unless(&*bell).map(drop).map_err(|error| error.to_string())
        });
        eventually("it waits", || pool.status().waiting == 1);
        let (served, order) = mpsc::channel();
        let (second, go_on) = join_line(&pool, 1, &served);
        let ringing = std::thread::spawn(move || bell.ring());
        (0..round * 100).for_each(|_| std::hint::spin_loop());
        drop(held);
        ringing.join().unwrap();
        match first.join().unwrap() {
            Ok(()) => outcomes[0] += 1,
            Err(error) => {
                assert!(error.contains("interrupted"), "{error}");
                outcomes[1] += 1;
            }
        }
        assert_eq!(order.recv_timeout(PATIENCE).unwrap(), 1);
        go_on.send(()).unwrap();
        second.join().unwrap();
        assert_eq!((pool.status().idle, pool.status().leased, pool.status().waiting), (1, 0, 0));
    }
    println!("served {}, interrupted {}", outcomes[0], outcomes[1]);
}

//! However a lease ends, its sandbox comes home clean or is replaced.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{mpsc, Arc};
use std::time::Duration;

use sandpool::runtime::{
    spawn, spawn_here, spawn_on, start, time, AnyError, CheckoutError, CoroutineId, Lease, Pool,
    RuntimeOptions, Sandbox, WorkerId,
};

use crate::support::{assert_settled, eventually, quiet, quiet_panic, OnReset, Probe, Workshop};

/// Leases the one sandbox of a pool, ends the lease by `end` in a coroutine, and says whether the next lease
/// finds the same sandbox.
fn same_sandbox_after(end: impl FnOnce(Pool<Probe>, Lease<Probe>) + Send + 'static) -> bool {
    let workshop = Arc::new(Workshop::default());
    let pool = workshop.pool(quiet(1));
    let theirs = pool.clone();
    let ended = spawn(move || {
        let mut lease = theirs.checkout().unwrap();
        lease.enter(|probe| probe.work(1, || ()));
        end(theirs, lease);
    });
    let _ = ended.join();
    eventually("the lease is over", || pool.status().leased == 0);
    eventually("the registry knows", || pool.leases().is_empty());
    let number = pool.checkout().unwrap().enter(|probe| {
        probe.work(2, || ());
        probe.number
    });
    assert_settled(&pool, &workshop, 0);
    assert_eq!((workshop.alive(), pool.status().retired), (1, 0));
    number == 0
}

#[test]
fn a_lease_that_is_dropped_gives_its_sandbox_back_clean() {
    assert!(same_sandbox_after(|_, lease| drop(lease)));
}

#[test]
fn a_panic_outside_the_sandbox_gives_it_back_clean() {
    assert!(same_sandbox_after(|_, _lease| quiet_panic()));
}

#[test]
fn a_panic_inside_the_sandbox_replaces_it() {
    assert!(!same_sandbox_after(|_, mut lease| lease.enter(|_| quiet_panic())));
}

#[test]
fn a_panic_inside_the_sandbox_on_the_deep_stack_replaces_it() {
    assert!(!same_sandbox_after(|_, mut lease| lease.enter_deep(|_| quiet_panic())));
}

#[test]
fn a_sandbox_stays_poisoned_after_the_panic_was_caught_and_it_was_used_again() {
    assert!(!same_sandbox_after(|_, mut lease| {
        let caught = catch_unwind(AssertUnwindSafe(|| lease.enter(|_| -> () { quiet_panic() })));
        assert!(caught.is_err());
        lease.enter(|_| ());
    }));
}

#[test]
fn an_error_inside_the_sandbox_gives_it_back_clean() {
    assert!(same_sandbox_after(|_, mut lease| {
        let error: Result<(), &str> = lease.enter(|_| Err("no such packet"));
        assert!(error.is_err());
    }));
}

#[test]
fn a_cancel_inside_the_sandbox_replaces_it() {
    cancelled_in(true);
}

#[test]
fn a_cancel_outside_the_sandbox_gives_it_back_clean() {
    cancelled_in(false);
}

fn cancelled_in(inside: bool) {
    let workshop = Arc::new(Workshop::default());
    let pool = workshop.pool(quiet(1));
    let theirs = pool.clone();
    let (there, is_there) = mpsc::channel();
    let coroutine = spawn(move || {
        let mut lease = theirs.checkout().unwrap();
        there.send(()).unwrap();
        let wait = || time::sleep(Duration::from_secs(1_000));
        if inside {
            lease.enter(|_| wait());
        } else {
            wait();
        }
    });
    is_there.recv().unwrap();
    coroutine.canceller().cancel();
    assert!(coroutine.join().is_err());
    assert_eq!(pool.status().leased, 0);
    assert_eq!(pool.status().discarded, u64::from(inside));
    let number = pool.checkout().unwrap().enter(|probe| probe.number);
    assert_eq!(number, usize::from(inside));
}

#[test]
fn a_forgotten_lease_is_replaced_when_its_coroutine_ends() {
    assert!(!same_sandbox_after(|_, lease| std::mem::forget(lease)));
}

#[test]
fn a_lease_forgotten_by_a_coroutine_that_started_inside_another_is_replaced() {
    let workshop = Arc::new(Workshop::default());
    let pool = workshop.pool(quiet(1));
    let theirs = pool.clone();
    spawn(move || {
        let outer = theirs.clone();
        spawn_here(move || std::mem::forget(theirs.checkout().unwrap())).join().unwrap();
        // It was freed while this coroutine was current, and nothing of this one's was taken for its own.
        assert!(outer.checkout_within(Duration::from_secs(20)).is_ok());
    })
    .join()
    .unwrap();
    assert_eq!(pool.status().discarded, 1);
}

#[test]
fn a_lease_forgotten_on_a_plain_thread_is_replaced_when_the_thread_ends() {
    let workshop = Arc::new(Workshop::default());
    let pool = workshop.pool(quiet(1));
    let theirs = pool.clone();
    std::thread::spawn(move || std::mem::forget(theirs.checkout().unwrap())).join().unwrap();
    assert!(pool.try_checkout().is_ok());
    assert_eq!((pool.status().discarded, workshop.alive()), (1, 1));
}

#[test]
fn a_discarded_sandbox_is_replaced() {
    assert!(!same_sandbox_after(|_, lease| lease.discard()));
}

#[test]
fn a_sandbox_whose_reset_fails_is_replaced() {
    assert!(!same_sandbox_after(|_, mut lease| lease.enter(|probe| probe.on_reset = OnReset::Fail)));
}

#[test]
fn a_sandbox_whose_reset_panics_is_replaced() {
    assert!(!same_sandbox_after(|_, mut lease| lease.enter(|probe| probe.on_reset = OnReset::Panic)));
}

#[test]
fn a_sandbox_whose_reset_panics_while_its_holder_unwinds_is_replaced() {
    assert!(!same_sandbox_after(|_, mut lease| {
        lease.enter(|probe| probe.on_reset = OnReset::Panic);
        quiet_panic()
    }));
}

#[test]
fn a_lease_can_be_taken_and_returned_while_a_coroutine_unwinds() {
    struct TakesOne(Pool<Probe>);
    impl Drop for TakesOne {
        fn drop(&mut self) {
            assert!(std::thread::panicking());
            self.0.checkout().unwrap().enter(|probe| probe.work(3, || ()));
        }
    }
    assert!(same_sandbox_after(|pool, lease| {
        let _late = TakesOne(pool);
        let _lease = lease;
        quiet_panic()
    }));
}

#[test]
fn one_coroutine_can_hold_several_leases_and_nest_them() {
    let workshop = Arc::new(Workshop::default());
    let pool = workshop.pool(quiet(4));
    let theirs = pool.clone();
    spawn(move || {
        let me = CoroutineId::current();
        let mut first = theirs.checkout().unwrap();
        let mut second = theirs.checkout().unwrap();
        let numbers = first.enter(|one| {
            // One more, taken and returned while the first cell is borrowed.
            let third = theirs.checkout().unwrap();
            assert_eq!(theirs.leases_of(me).len(), 3);
            drop(third);
            second.enter(|two| {
                one.work(1, || two.work(2, time::yield_now));
                [one.number, two.number]
            })
        });
        assert_ne!(numbers[0], numbers[1]);
        assert_ne!(first.id(), second.id());
        drop(first);
        assert_eq!(theirs.leases_of(me).iter().map(|lease| lease.id).collect::<Vec<_>>(), [second.id()]);
    })
    .join()
    .unwrap();
    assert_eq!((pool.status().idle, pool.status().size), (3, 3));
}

#[test]
fn two_coroutines_on_one_worker_get_distinct_sandboxes() {
    let pool = Arc::new(Workshop::default()).pool(quiet(8));
    let worker = start(RuntimeOptions::default()).workers().next().unwrap();
    let inside = Arc::new(AtomicUsize::new(0));
    let coroutines: Vec<_> = (0..2)
        .map(|user| {
            let (pool, inside) = (pool.clone(), Arc::clone(&inside));
            spawn_on(worker, move || {
                let mut lease = pool.checkout().unwrap();
                lease.enter(|probe| {
                    probe.work(user, || {
                        inside.fetch_add(1, SeqCst);
                        while inside.load(SeqCst) < 2 {
                            time::yield_now();
                        }
                    });
                    (probe.number, leases_at(&pool))
                })
            })
        })
        .collect();
    let seen: Vec<_> = coroutines.into_iter().map(|coroutine| coroutine.join().unwrap()).collect();
    assert_ne!(seen[0].0, seen[1].0);
    assert!(seen.iter().any(|(_, leases_here)| *leases_here == [Some(worker); 2]), "{seen:?}");
}

/// At which workers the leases of `pool` were taken.
fn leases_at(pool: &Pool<Probe>) -> Vec<Option<WorkerId>> {
    pool.leases().iter().map(|lease| lease.worker).collect()
}

#[test]
fn the_registry_says_who_holds_what_since_when_and_at_which_worker() {
    let pool = Arc::new(Workshop::default()).pool(quiet(4));
    let worker = start(RuntimeOptions::default()).workers().last().unwrap();
    let theirs = pool.clone();
    let (ids, id) = mpsc::channel();
    let (go_on, wait) = may::sync::mpsc::channel::<()>();
    let coroutine = spawn_on(worker, move || {
        let lease = theirs.checkout().unwrap();
        ids.send((lease.id(), lease.since())).unwrap();
        wait.recv().unwrap();
    });
    let (id, since) = id.recv().unwrap();
    let records = pool.leases_of(coroutine.id());
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].id, records[0].coroutine, records[0].worker), (id, coroutine.id(), Some(worker)));
    assert_eq!(records[0].since, since);
    assert!(since.elapsed() < Duration::from_secs(60));
    assert_eq!(pool.leases_of(CoroutineId::current()), []);
    go_on.send(()).unwrap();
    coroutine.join().unwrap();
    assert_eq!(pool.leases(), []);
}

#[test]
fn a_lease_carried_into_another_coroutine_opens_nothing_there() {
    let pool = Arc::new(Workshop::default()).pool(quiet(2));
    thread_local!(static SMUGGLED: std::cell::RefCell<Option<Lease<Probe>>> = const { std::cell::RefCell::new(None) });
    let worker = start(RuntimeOptions::default()).workers().next().unwrap();
    let (theirs, mine) = (pool.clone(), pool.clone());
    let (go_on, wait) = may::sync::mpsc::channel::<()>();
    let owner = spawn_on(worker, move || {
        let lease = theirs.checkout().unwrap();
        SMUGGLED.set(Some(lease));
        let _ = wait.recv();
    });
    eventually("it is lent", || pool.status().leased == 1);
    let message = spawn_on(worker, move || {
        // Its own first ticket is not the smuggled one's.
        let mut own = mine.checkout().unwrap();
        own.enter(|probe| probe.work(7, || ()));
        let mut smuggled = SMUGGLED.take().unwrap();
        let opened = catch_unwind(AssertUnwindSafe(|| smuggled.enter(|_| ())));
        drop(smuggled);
        own.enter(|probe| probe.work(7, || ()));
        opened.unwrap_err().downcast_ref::<String>().unwrap().clone()
    })
    .join()
    .unwrap();
    assert!(message.contains("is not a lease of this coroutine"), "{message}");
    go_on.send(()).unwrap();
    owner.join().unwrap();
    eventually("the owner's end takes it back", || pool.status().leased == 0);
    assert_eq!(pool.status().discarded, 1);
}

/// Two of them are larger than a coroutine's stack.
struct Bulky([u8; 20 * 1024]);

impl Sandbox for Bulky {
    fn reset(&mut self) -> Result<(), AnyError> {
        self.0.fill(0);
        Ok(())
    }
}

#[test]
fn a_sandbox_of_most_of_a_stack_is_built_lent_and_dropped_in_a_coroutine() {
    let pool = Pool::new(quiet(1), || Ok::<_, std::io::Error>(Bulky([0; 20 * 1024]))).unwrap();
    let lent = pool.clone();
    spawn(move || {
        for discard in [false, true] {
            let mut lease = lent.checkout().unwrap();
            lease.enter(|bulky| bulky.0[7] += 1);
            if discard {
                lease.discard();
            }
        }
    })
    .join()
    .unwrap();
    assert_eq!((pool.status().created, pool.status().discarded), (1, 1));
}

#[test]
fn a_failed_build_is_an_error_that_names_its_cause_and_frees_the_place() {
    let workshop = Arc::new(Workshop::default());
    let pool = workshop.pool(quiet(1));
    workshop.broken.store(true, SeqCst);
    let error = pool.checkout().unwrap_err();
    assert!(
        matches!(
            error,
            CheckoutError::Build { waited: Duration::ZERO, leased: 0, capacity: 1, waiting: 0, .. }
        ),
        "{error:?}"
    );
    let causes = [std::error::Error::source(&error), std::error::Error::source(&error).unwrap().source()];
    assert_eq!(
        causes.map(|cause| cause.unwrap().to_string()),
        ["the factory failed", "the workshop is broken"]
    );
    assert_eq!((pool.status().size, pool.status().build_failures), (0, 1));
    workshop.broken.store(false, SeqCst);
    assert!(pool.checkout().is_ok());
}

#[test]
fn a_factory_that_panics_is_an_error_with_its_message() {
    let pool: Pool<Probe> = Pool::new(quiet(1), || -> Result<_, std::io::Error> { quiet_panic() }).unwrap();
    let error = pool.checkout().unwrap_err();
    let cause = std::error::Error::source(&error).unwrap();
    assert_eq!(cause.to_string(), "the factory panicked: on purpose");
    assert_eq!(pool.status().size, 0);
}

#[test]
fn a_pool_whose_first_sandboxes_cannot_be_built_is_not_made() {
    let workshop = Arc::new(Workshop::default());
    let theirs = Arc::clone(&workshop);
    let error = Pool::new(quiet(4).min_idle(3), move || {
        if theirs.alive() == 2 {
            return Err("no third one".into());
        }
        theirs.build()
    })
    .unwrap_err();
    assert!(error.to_string().contains("2 of 3 done"), "{error}");
    assert_eq!(workshop.alive(), 0);
}

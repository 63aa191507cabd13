//! A return: where the reset runs, what is told of it meanwhile, and to which pool a sandbox goes.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{mpsc, Arc, OnceLock};

use sandpool::runtime::{deep_stack, spawn, AnyError, Lease, Pool, PoolStatus, Sandbox};

use crate::support::{assert_settled, eventually, quiet, Workshop};

/// Tells what it sees in its reset, which is on the deep stack or not.
struct Observer<const DEEP: bool> {
    pool: Arc<OnceLock<Pool<Observer<DEEP>>>>,
    saw: mpsc::Sender<(bool, PoolStatus)>,
}

impl<const DEEP: bool> Sandbox for Observer<DEEP> {
    const RESETS_ON_DEEP_STACK: bool = DEEP;

    fn reset(&mut self) -> Result<(), AnyError> {
        let status = self.pool.get().expect("it is set before the first lease").status();
        Ok(self.saw.send((deep_stack::is_current(), status))?)
    }
}

/// Where the reset of an `Observer<DEEP>` runs, and the pool's status meanwhile and afterwards.
fn observed<const DEEP: bool>() -> (bool, PoolStatus, PoolStatus) {
    let (saw, seen) = mpsc::channel();
    let place = Arc::new(OnceLock::new());
    let theirs = Arc::clone(&place);
    let build = move || Ok::<_, AnyError>(Observer::<DEEP> { pool: Arc::clone(&theirs), saw: saw.clone() });
    let pool = Pool::new(quiet(3), build).unwrap();
    assert!(place.set(pool.clone()).is_ok());
    spawn(move || {
        let pool = place.get().unwrap();
        // One more stays lent.
        let (_held, returned) = (pool.checkout().unwrap(), pool.checkout().unwrap());
        drop(returned);
        let (is_deep, during) = seen.recv().unwrap();
        (is_deep, during, pool.status())
    })
    .join()
    .unwrap()
}

#[test]
fn a_reset_runs_on_the_deep_stack_unless_the_sandbox_says_that_it_needs_none() {
    assert!(observed::<true>().0);
    assert!(!observed::<false>().0);
}

#[test]
fn a_sandbox_that_is_being_reset_is_told_as_such_and_as_nothing_else() {
    for (_, during, after) in [observed::<true>(), observed::<false>()] {
        assert_eq!((during.leased, during.resetting, during.idle, during.size), (1, 1, 0, 2), "{during:?}");
        assert_eq!((after.leased, after.resetting, after.idle, after.size), (1, 0, 1, 2), "{after:?}");
    }
}

#[test]
fn sandboxes_of_two_pools_that_one_coroutine_leases_in_turn_go_home_each_to_its_own() {
    let workshops: [Arc<Workshop>; 2] = Default::default();
    let pools = workshops.each_ref().map(|workshop| workshop.pool(quiet(2)));
    let theirs = pools.clone();
    spawn(move || {
        let [first, second] = &theirs;
        for round in 0..20 {
            // In the same ticket one after the other, and side by side.
            for pool in [first, second, second, first] {
                pool.checkout().unwrap().enter(|probe| probe.work(round, || ()));
            }
            let mut leases = [second, first, second, first].map(|pool| pool.checkout().unwrap());
            leases.iter_mut().for_each(|lease| lease.enter(|probe| probe.work(round, || ())));
            if round % 2 == 0 {
                leases.reverse();
            }
        }
    })
    .join()
    .unwrap();
    for (pool, workshop) in pools.iter().zip(&workshops) {
        assert_settled(pool, workshop, 0);
        assert_eq!(pool.status().checkouts, 20 * 4);
    }
}

#[test]
fn leases_of_one_coroutine_can_be_given_back_in_any_order_and_from_within_one_another() {
    let workshop = Arc::new(Workshop::default());
    let pool = workshop.pool(quiet(4));
    let theirs = pool.clone();
    spawn(move || {
        let mut leases: Vec<Lease<_>> = (0..4).map(|_| theirs.checkout().unwrap()).collect();
        let ids: Vec<_> = leases.iter().map(Lease::id).collect();
        let mut outer = leases.remove(1);
        outer.enter(|_| {
            // The ticket of the outer one is in use meanwhile.
            drop(leases.remove(0));
            assert_eq!(leases[0].id(), ids[2]);
            let mut again = theirs.checkout().unwrap();
            again.enter(|probe| probe.work(1, || ()));
        });
        assert_eq!(outer.id(), ids[1]);
        drop(leases.pop());
        drop(outer);
        assert_eq!(leases[0].id(), ids[2]);
    })
    .join()
    .unwrap();
    assert_settled(&pool, &workshop, 0);
}

#[test]
fn a_pool_that_is_dropped_keeps_no_sandbox_for_a_coroutine_that_once_leased_from_it() {
    let workshop = Arc::new(Workshop::default());
    let theirs = workshop.pool(quiet(2));
    let (go_on, wait) = may::sync::mpsc::channel::<()>();
    let left = Arc::new(AtomicUsize::new(0));
    let leaves = Arc::clone(&left);
    let coroutine = spawn(move || {
        drop(theirs.checkout().unwrap());
        drop(theirs);
        leaves.fetch_add(1, SeqCst);
        wait.recv().unwrap();
    });
    eventually("the last handle is dropped", || left.load(SeqCst) == 1);
    assert_eq!(workshop.alive(), 0, "although the coroutine goes on");
    go_on.send(()).unwrap();
    coroutine.join().unwrap();
    // Its factory held the workshop, and went with the coroutine's reference to the pool.
    eventually("the factory is dropped", || Arc::strong_count(&workshop) == 1);
}

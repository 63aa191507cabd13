//! What a checkout and a return cost, against the simplest pool there can be: a mutex around a vector.
//!
//! The sandbox's reset does nothing, so all that is measured is the pool. Each iteration is one coroutine (or one for
//! each worker) that does [`OPERATIONS`] of them, as many that starting it does not count; read the items a second.

use std::hint::black_box;
use std::sync::{Arc, Mutex};

use divan::counter::ItemsCount;
use divan::Bencher;
use sandpool::runtime::{
    spawn, spawn_on, start, AnyError, Pool, PoolOptions, RuntimeOptions, Sandbox, WorkerId,
};

const OPERATIONS: usize = 100_000;

fn main() {
    start(RuntimeOptions::default());
    divan::main();
}

struct Nothing(u64);

impl Sandbox for Nothing {
    fn reset(&mut self) -> Result<(), AnyError> {
        Ok(())
    }
}

fn pool(capacity: usize) -> Pool<Nothing> {
    let options = PoolOptions::default().capacity(capacity).min_idle(capacity);
    Pool::new(options, || Ok::<_, AnyError>(Nothing(0))).expect("a pool of nothing can be made")
}

fn pool_round(pool: &Pool<Nothing>) {
    let mut lease = pool.checkout().expect("there is one for each");
    lease.enter(|nothing| nothing.0 = black_box(nothing.0) + 1);
}

type Plain = Arc<Mutex<Vec<Box<Nothing>>>>;

fn plain(capacity: usize) -> Plain {
    Arc::new(Mutex::new((0..capacity).map(|_| Box::new(Nothing(0))).collect()))
}

fn plain_round(plain: &Plain) {
    let mut nothing = plain.lock().unwrap().pop().expect("there is one for each");
    nothing.0 = black_box(nothing.0) + 1;
    nothing.reset().expect("it is nothing");
    plain.lock().unwrap().push(nothing);
}

/// One coroutine on each of `workers`, each doing its share of the operations.
fn run<T: Clone + Send + 'static>(bencher: Bencher<'_, '_>, workers: &[WorkerId], pool: &T, round: fn(&T)) {
    bencher.counter(ItemsCount::new(OPERATIONS)).bench_local(|| {
        let share = OPERATIONS / workers.len();
        let coroutines: Vec<_> = workers
            .iter()
            .map(|&worker| {
                let pool = pool.clone();
                spawn_on(worker, move || (0..share).for_each(|_| round(&pool)))
            })
            .collect();
        coroutines.into_iter().for_each(|coroutine| coroutine.join().expect("nothing fails in it"));
    });
}

fn workers() -> Vec<WorkerId> {
    start(RuntimeOptions::default()).workers().collect()
}

#[divan::bench]
fn one_worker(bencher: Bencher<'_, '_>) {
    run(bencher, &workers()[..1], &pool(8), pool_round);
}

#[divan::bench]
fn one_worker_mutexed_vec(bencher: Bencher<'_, '_>) {
    run(bencher, &workers()[..1], &plain(8), plain_round);
}

#[divan::bench]
fn all_workers(bencher: Bencher<'_, '_>) {
    run(bencher, &workers(), &pool(8), pool_round);
}

#[divan::bench]
fn all_workers_mutexed_vec(bencher: Bencher<'_, '_>) {
    run(bencher, &workers(), &plain(8), plain_round);
}

/// A thousand coroutines, each for one operation, on a pool of eight: what a request pays besides its own spawn.
#[divan::bench]
fn a_thousand_coroutines(bencher: Bencher<'_, '_>) {
    let pool = pool(8);
    bencher.counter(ItemsCount::new(1_000_usize)).bench_local(|| {
        let coroutines: Vec<_> = (0..1_000)
            .map(|_| {
                let pool = pool.clone();
                spawn(move || pool_round(&pool))
            })
            .collect();
        coroutines.into_iter().for_each(|coroutine| coroutine.join().expect("nothing fails in it"));
    });
}

/// The same thousand coroutines without a pool.
#[divan::bench]
fn a_thousand_coroutines_without_a_pool(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(1_000_usize)).bench_local(|| {
        let coroutines: Vec<_> = (0..1_000).map(|number| spawn(move || black_box(number))).collect();
        for coroutine in coroutines {
            coroutine.join().expect("nothing fails in it");
        }
    });
}

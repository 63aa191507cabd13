//! What a checkout and a return cost, against the pools that people would pick instead.
//!
//! In the rows named [`Nothing`] the sandbox's reset does nothing, so all that is measured is the pool; those named
//! `AudioSandbox` have the audio sandbox in it, with which nothing was done (`audio` has its reset by itself). Each
//! iteration is one coroutine (a task for deadpool), or one for each worker, all on the same pool. They do
//! [`OPERATIONS`](Pooled::OPERATIONS) of them together, as many that starting them does not count; read the items a
//! second. Nobody ever waits here: see `waiters` for that.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use divan::counter::ItemsCount;
use divan::Bencher;
use sandbox::AudioSandbox;
use sandpool::runtime::{spawn, spawn_on, Pool, WorkerId};
use support::peers::{self, reset_in_coroutine, Channel, Deadpool, ObjectPool, Unmanaged};
use support::{pool_of, workers, Nothing, NothingDeep, Pooled};

mod support;

/// How many objects a pool has: more than there are workers, so that nobody has to wait.
const CAPACITY: usize = 8;

fn main() {
    workers();
    divan::main();
}

/// How many use the pool at once, each on a worker or thread of its own.
#[derive(Clone, Copy, Debug)]
enum Users {
    One,
    OnePerWorker,
}

impl Users {
    fn workers(self) -> Vec<WorkerId> {
        let mut workers = workers();
        if let Users::One = self {
            workers.truncate(1);
        }
        workers
    }
}

/// One coroutine for each user, each doing its share of the operations.
fn run<S: Pooled, T: Clone + Send + 'static>(
    bencher: Bencher<'_, '_>,
    users: Users,
    pool: &T,
    round: impl Fn(&T) + Copy + Send + 'static,
) {
    let workers = users.workers();
    bencher.counter(ItemsCount::new(S::OPERATIONS)).bench_local(|| {
        let share = S::OPERATIONS / workers.len();
        let started = Arc::new(AtomicUsize::new(0));
        let coroutines: Vec<_> = workers
            .iter()
            .map(|&worker| {
                let (pool, started, all) = (pool.clone(), Arc::clone(&started), workers.len());
                spawn_on(worker, move || {
                    // Nobody is to be done before the others have begun.
                    started.fetch_add(1, Ordering::AcqRel);
                    while started.load(Ordering::Acquire) < all {
                        std::hint::spin_loop();
                    }
                    (0..share).for_each(|_| round(&pool));
                })
            })
            .collect();
        coroutines.into_iter().for_each(|coroutine| coroutine.join().expect("nothing fails in it"));
    });
}

/// The same for tokio: one task on each of as many threads. A macro, for there is no bound that says of what an async
/// function returns that it is `Send`.
macro_rules! run_tasks {
    ($bencher:expr, $users:expr, $sandbox:ty, $pool:expr, $round:expr) => {{
        let threads = $users.workers().len();
        let runtime = if threads == 1 {
            tokio::runtime::Builder::new_current_thread().build()
        } else {
            tokio::runtime::Builder::new_multi_thread().worker_threads(threads).build()
        };
        let (runtime, pool) = (runtime.expect("tokio starts"), $pool);
        $bencher.counter(ItemsCount::new(<$sandbox>::OPERATIONS)).bench_local(|| {
            runtime.block_on(async {
                let started = Arc::new(AtomicUsize::new(0));
                let tasks: Vec<_> = (0..threads)
                    .map(|_| {
                        let (pool, started) = (pool.clone(), Arc::clone(&started));
                        tokio::spawn(async move {
                            started.fetch_add(1, Ordering::AcqRel);
                            // Who spun here would wait for ever for another one in the queue of its own worker.
                            while started.load(Ordering::Acquire) < threads {
                                tokio::task::yield_now().await;
                            }
                            for _ in 0..<$sandbox>::OPERATIONS / threads {
                                $round(&pool).await;
                            }
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await.expect("nothing fails in it");
                }
            });
        });
    }};
}

#[divan::bench(types = [Nothing, NothingDeep, AudioSandbox], args = [Users::One, Users::OnePerWorker])]
fn sandpool<S: Pooled>(bencher: Bencher<'_, '_>, users: Users) {
    run::<S, _>(bencher, users, &pool_of::<S>(CAPACITY), round_of_sandpool);
}

fn round_of_sandpool<S: Pooled>(pool: &Pool<S>) {
    let mut lease = pool.checkout().expect("there is one for each");
    lease.enter(|sandbox| sandbox.touch());
}

#[divan::bench(types = [Nothing, AudioSandbox], args = [Users::One, Users::OnePerWorker])]
fn deadpool<S: Pooled>(bencher: Bencher<'_, '_>, users: Users) {
    async fn round<S: Pooled>(pool: &Deadpool<S>) {
        pool.get().await.expect("there is one for each").touch();
    }
    run_tasks!(bencher, users, S, peers::deadpool::<S>(CAPACITY), round);
}

/// deadpool's simpler pool.
#[divan::bench(types = [Nothing, AudioSandbox], args = [Users::One, Users::OnePerWorker])]
fn deadpool_unmanaged<S: Pooled>(bencher: Bencher<'_, '_>, users: Users) {
    async fn round<S: Pooled>(pool: &Unmanaged<S>) {
        let mut sandbox = pool.get().await.expect("there is one for each");
        sandbox.touch();
        sandbox.reset().expect("it can be reset");
    }
    run_tasks!(bencher, users, S, peers::deadpool_unmanaged::<S>(CAPACITY), round);
}

#[divan::bench(types = [Nothing, AudioSandbox], args = [Users::One, Users::OnePerWorker])]
fn object_pool<S: Pooled>(bencher: Bencher<'_, '_>, users: Users) {
    run::<S, _>(bencher, users, &peers::object_pool::<S>(CAPACITY), |pool: &ObjectPool<S>| {
        let mut sandbox = pool.try_pull().expect("there is one for each");
        sandbox.touch();
        reset_in_coroutine(&mut **sandbox);
    });
}

#[divan::bench(types = [Nothing, AudioSandbox], args = [Users::One, Users::OnePerWorker])]
fn crossbeam_channel<S: Pooled>(bencher: Bencher<'_, '_>, users: Users) {
    let channel = peers::crossbeam_channel::<S>(CAPACITY);
    run::<S, _>(bencher, users, &channel, |(sender, receiver): &Channel<S>| {
        let mut sandbox = receiver.try_recv().expect("there is one for each");
        sandbox.touch();
        reset_in_coroutine(&mut *sandbox);
        sender.try_send(sandbox).expect("there is room");
    });
}

#[divan::bench(types = [Nothing, AudioSandbox], args = [Users::One, Users::OnePerWorker])]
fn mutexed_stack<S: Pooled>(bencher: Bencher<'_, '_>, users: Users) {
    let stack = Arc::new(Mutex::new(peers::boxes::<S>(CAPACITY).collect::<Vec<_>>()));
    run::<S, _>(bencher, users, &stack, |stack| {
        let mut sandbox = stack.lock().unwrap().pop().expect("there is one for each");
        sandbox.touch();
        reset_in_coroutine(&mut *sandbox);
        stack.lock().unwrap().push(sandbox);
    });
}

/// A thousand coroutines, each for one operation, on a pool of eight: what a request pays besides its own spawn.
#[divan::bench]
fn a_thousand_coroutines(bencher: Bencher<'_, '_>) {
    let pool = pool_of::<Nothing>(CAPACITY);
    bencher.counter(ItemsCount::new(1_000_usize)).bench_local(|| {
        let coroutines: Vec<_> = (0..1_000)
            .map(|_| {
                let pool = pool.clone();
                spawn(move || round_of_sandpool(&pool))
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

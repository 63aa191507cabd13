//! What a checkout and a return cost, against the pools that people would pick instead.
//!
//! The sandbox's reset does nothing, so all that is measured is the pool; the rows named `audio` have the audio sandbox in
//! it, and its reset alone. Each iteration is one coroutine (a task for deadpool), or one for each worker, that does
//! [`OPERATIONS`] of them, as many that starting it does not count; read the items a second. Nobody ever waits here:
//! see `waiters` for that.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam::channel;
use divan::counter::ItemsCount;
use divan::Bencher;
use sandbox::{AudioSandbox, Settings};
use sandpool::runtime::{deep_stack, spawn, spawn_on, AnyError, Pool, PoolOptions, Sandbox, WorkerId};
use support::{in_coroutine, pool_of_nothing, workers, Nothing};

mod support;

const OPERATIONS: usize = 20_000;
/// How many objects a pool has: more than there are workers, so that nobody has to wait.
const CAPACITY: usize = 8;

fn main() {
    workers();
    divan::main();
}

fn sandpool_round(pool: &Pool<Nothing>) {
    let mut lease = pool.checkout().expect("there is one for each");
    lease.enter(|nothing| nothing.0 = black_box(nothing.0) + 1);
}

/// The same sandbox, which does not say that its reset needs no deep stack.
struct Plain(u64);

impl Sandbox for Plain {
    fn reset(&mut self) -> Result<(), AnyError> {
        Ok(())
    }
}

fn deep_pool() -> Pool<Plain> {
    let options = PoolOptions::default().capacity(CAPACITY).min_idle(CAPACITY);
    Pool::new(options, || Ok::<_, AnyError>(Plain(0))).expect("a pool of nothing can be made")
}

fn deep_reset_round(pool: &Pool<Plain>) {
    let mut lease = pool.checkout().expect("there is one for each");
    lease.enter(|plain| plain.0 = black_box(plain.0) + 1);
}

type Stack = Arc<Mutex<Vec<Box<Nothing>>>>;

fn stack() -> Stack {
    Arc::new(Mutex::new((0..CAPACITY).map(|_| Box::new(Nothing(0))).collect()))
}

fn stack_round(stack: &Stack) {
    let mut nothing = stack.lock().unwrap().pop().expect("there is one for each");
    nothing.0 = black_box(nothing.0) + 1;
    nothing.reset().expect("it is nothing");
    stack.lock().unwrap().push(nothing);
}

type Channel = (channel::Sender<Box<Nothing>>, channel::Receiver<Box<Nothing>>);

fn crossbeam_channel() -> Channel {
    let (sender, receiver) = channel::bounded(CAPACITY);
    (0..CAPACITY).for_each(|_| sender.try_send(Box::new(Nothing(0))).expect("there is room"));
    (sender, receiver)
}

fn channel_round((sender, receiver): &Channel) {
    let mut nothing = receiver.try_recv().expect("there is one for each");
    nothing.0 = black_box(nothing.0) + 1;
    nothing.reset().expect("it is nothing");
    sender.try_send(nothing).expect("there is room");
}

type ObjectPool = Arc<object_pool::Pool<Box<Nothing>>>;

fn object_pool() -> ObjectPool {
    Arc::new(object_pool::Pool::new(CAPACITY, || Box::new(Nothing(0))))
}

fn object_pool_round(pool: &ObjectPool) {
    let mut nothing = pool.try_pull().expect("there is one for each");
    nothing.0 = black_box(nothing.0) + 1;
    nothing.reset().expect("it is nothing");
}

/// Makes and resets what deadpool holds.
struct Manager;

impl deadpool::managed::Manager for Manager {
    type Type = Box<Nothing>;
    type Error = AnyError;

    async fn create(&self) -> Result<Box<Nothing>, AnyError> {
        Ok(Box::new(Nothing(0)))
    }

    async fn recycle(
        &self,
        nothing: &mut Box<Nothing>,
        _: &deadpool::managed::Metrics,
    ) -> deadpool::managed::RecycleResult<AnyError> {
        nothing.reset().map_err(deadpool::managed::RecycleError::Backend)
    }
}

type Deadpool = deadpool::managed::Pool<Manager>;

fn deadpool() -> Deadpool {
    Deadpool::builder(Manager).max_size(CAPACITY).build().expect("these are its defaults")
}

async fn deadpool_round(pool: &Deadpool) {
    let mut nothing = pool.get().await.expect("there is one for each");
    nothing.0 = black_box(nothing.0) + 1;
}

type Unmanaged = deadpool::unmanaged::Pool<Box<Nothing>>;

/// deadpool's simpler pool, which resets nothing.
fn deadpool_unmanaged() -> Unmanaged {
    Unmanaged::from((0..CAPACITY).map(|_| Box::new(Nothing(0))).collect::<Vec<_>>())
}

async fn deadpool_unmanaged_round(pool: &Unmanaged) {
    let mut nothing = pool.get().await.expect("there is one for each");
    nothing.0 = black_box(nothing.0) + 1;
    nothing.reset().expect("it is nothing");
}

/// One coroutine on each of `workers`, each doing its share of the operations.
fn run<T: Clone + Send + 'static>(
    bencher: Bencher<'_, '_>,
    workers: &[WorkerId],
    pool: &T,
    round: impl Fn(&T) + Copy + Send + 'static,
) {
    bencher.counter(ItemsCount::new(OPERATIONS)).bench_local(|| {
        let share = OPERATIONS / workers.len();
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

/// The same for tokio: one task on each of `threads`.
macro_rules! run_tasks {
    ($bencher:expr, $threads:expr, $pool:expr, $round:path) => {{
        let threads: usize = $threads;
        let runtime = if threads == 1 {
            tokio::runtime::Builder::new_current_thread().build()
        } else {
            tokio::runtime::Builder::new_multi_thread().worker_threads(threads).build()
        };
        let (runtime, pool) = (runtime.expect("tokio starts"), $pool);
        $bencher.counter(ItemsCount::new(OPERATIONS)).bench_local(|| {
            runtime.block_on(async {
                let started = Arc::new(AtomicUsize::new(0));
                let tasks: Vec<_> = (0..threads)
                    .map(|_| {
                        let (pool, started) = (pool.clone(), Arc::clone(&started));
                        tokio::spawn(async move {
                            started.fetch_add(1, Ordering::AcqRel);
                            while started.load(Ordering::Acquire) < threads {
                                std::hint::spin_loop();
                            }
                            for _ in 0..OPERATIONS / threads {
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

mod one_worker {
    use super::*;

    #[divan::bench]
    fn sandpool(bencher: Bencher<'_, '_>) {
        run(bencher, &workers()[..1], &pool_of_nothing(CAPACITY), sandpool_round);
    }

    #[divan::bench]
    fn sandpool_reset_on_deep_stack(bencher: Bencher<'_, '_>) {
        run(bencher, &workers()[..1], &deep_pool(), deep_reset_round);
    }

    #[divan::bench(name = "deadpool")]
    fn of_deadpool(bencher: Bencher<'_, '_>) {
        run_tasks!(bencher, 1, deadpool(), deadpool_round);
    }

    #[divan::bench(name = "deadpool_unmanaged")]
    fn of_deadpool_unmanaged(bencher: Bencher<'_, '_>) {
        run_tasks!(bencher, 1, deadpool_unmanaged(), deadpool_unmanaged_round);
    }

    #[divan::bench(name = "object_pool")]
    fn of_object_pool(bencher: Bencher<'_, '_>) {
        run(bencher, &workers()[..1], &object_pool(), object_pool_round);
    }

    #[divan::bench(name = "crossbeam_channel")]
    fn of_crossbeam_channel(bencher: Bencher<'_, '_>) {
        run(bencher, &workers()[..1], &crossbeam_channel(), channel_round);
    }

    #[divan::bench]
    fn mutexed_stack(bencher: Bencher<'_, '_>) {
        run(bencher, &workers()[..1], &stack(), stack_round);
    }
}

mod all_workers {
    use super::*;

    #[divan::bench]
    fn sandpool(bencher: Bencher<'_, '_>) {
        run(bencher, &workers(), &pool_of_nothing(CAPACITY), sandpool_round);
    }

    #[divan::bench(name = "deadpool")]
    fn of_deadpool(bencher: Bencher<'_, '_>) {
        run_tasks!(bencher, workers().len(), deadpool(), deadpool_round);
    }

    #[divan::bench(name = "deadpool_unmanaged")]
    fn of_deadpool_unmanaged(bencher: Bencher<'_, '_>) {
        run_tasks!(bencher, workers().len(), deadpool_unmanaged(), deadpool_unmanaged_round);
    }

    #[divan::bench(name = "object_pool")]
    fn of_object_pool(bencher: Bencher<'_, '_>) {
        run(bencher, &workers(), &object_pool(), object_pool_round);
    }

    #[divan::bench(name = "crossbeam_channel")]
    fn of_crossbeam_channel(bencher: Bencher<'_, '_>) {
        run(bencher, &workers(), &crossbeam_channel(), channel_round);
    }

    #[divan::bench]
    fn mutexed_stack(bencher: Bencher<'_, '_>) {
        run(bencher, &workers(), &stack(), stack_round);
    }
}

mod audio {
    use super::*;

    const OPERATIONS: usize = 1_000;

    fn audio_pool() -> Pool<AudioSandbox> {
        let options = PoolOptions::default().capacity(CAPACITY).min_idle(CAPACITY);
        Pool::new(options, || AudioSandbox::new(Settings::default())).expect("an audio sandbox can be built")
    }

    /// The reset by itself, of one that has run with its default settings.
    #[divan::bench]
    fn reset(bencher: Bencher<'_, '_>) {
        let mut sandbox = AudioSandbox::new(Settings::default()).expect("an audio sandbox can be built");
        bencher.bench_local(|| sandbox.reset().expect("it can be reset"));
    }

    #[divan::bench]
    fn one_worker(bencher: Bencher<'_, '_>) {
        let pool = audio_pool();
        in_coroutine(bencher, OPERATIONS, move || {
            let mut lease = pool.checkout().expect("there is one for each");
            lease.enter(|sandbox| {
                black_box(sandbox);
            });
        });
    }

    /// In the obvious way: a mutexed stack, and the reset on the deep stack all the same.
    #[divan::bench]
    fn one_worker_mutexed_stack(bencher: Bencher<'_, '_>) {
        let new = || Box::new(AudioSandbox::new(Settings::default()).expect("an audio sandbox can be built"));
        let stack: Arc<Mutex<Vec<_>>> = Arc::new(Mutex::new((0..CAPACITY).map(|_| new()).collect()));
        in_coroutine(bencher, OPERATIONS, move || {
            let mut sandbox = stack.lock().unwrap().pop().expect("there is one for each");
            deep_stack::run(|| sandbox.reset().expect("it can be reset"));
            stack.lock().unwrap().push(sandbox);
        });
    }
}

/// A thousand coroutines, each for one operation, on a pool of eight: what a request pays besides its own spawn.
#[divan::bench]
fn a_thousand_coroutines(bencher: Bencher<'_, '_>) {
    let pool = pool_of_nothing(CAPACITY);
    bencher.counter(ItemsCount::new(1_000_usize)).bench_local(|| {
        let coroutines: Vec<_> = (0..1_000)
            .map(|_| {
                let pool = pool.clone();
                spawn(move || sandpool_round(&pool))
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

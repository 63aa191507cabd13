//! What the benchmarks of the runtime share: the sandbox whose reset does nothing, and running on a worker.

#![allow(dead_code, reason = "no benchmark uses all of it")]

use divan::counter::ItemsCount;
use divan::Bencher;
use sandpool::runtime::{spawn_on, start, AnyError, Pool, PoolOptions, RuntimeOptions, Sandbox, WorkerId};

/// A sandbox whose reset is empty, and which therefore says that it needs no deep stack.
pub(crate) struct Nothing(pub(crate) u64);

impl Sandbox for Nothing {
    const RESETS_ON_DEEP_STACK: bool = false;

    fn reset(&mut self) -> Result<(), AnyError> {
        Ok(())
    }
}

/// A pool with `capacity` of them, all built.
pub(crate) fn pool_of_nothing(capacity: usize) -> Pool<Nothing> {
    let options = PoolOptions::default().capacity(capacity).min_idle(capacity).max_waiters(usize::MAX);
    Pool::new(options, || Ok::<_, AnyError>(Nothing(0))).expect("a pool of nothing can be made")
}

/// The runtime's workers.
pub(crate) fn workers() -> Vec<WorkerId> {
    start(RuntimeOptions::default()).workers().collect()
}

/// Measures `operations` calls of `call`, in one coroutine that is started for them: so many that its start does not
/// count.
pub(crate) fn in_coroutine(
    bencher: Bencher<'_, '_>,
    operations: usize,
    call: impl Fn() + Send + Clone + 'static,
) {
    let worker = workers()[0];
    bencher.counter(ItemsCount::new(operations)).bench_local(|| {
        let call = call.clone();
        let coroutine = spawn_on(worker, move || (0..operations).for_each(|_| call()));
        coroutine.join().expect("nothing fails in it");
    });
}

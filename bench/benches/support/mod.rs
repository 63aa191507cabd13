//! What the benchmarks of the runtime share: the sandboxes that are pooled, the pools, and running on a worker.

#![allow(dead_code, reason = "no benchmark uses all of it")]

use std::hint::black_box;

use divan::counter::ItemsCount;
use divan::Bencher;
use sandbox::{AudioSandbox, Packets, Scratch, Settings};
use sandpool::runtime::{spawn_on, start, AnyError, Pool, PoolOptions, RuntimeOptions, Sandbox, WorkerId};

pub(crate) mod peers;

/// A sandbox that pools are compared with.
pub(crate) trait Pooled: Sandbox {
    /// How many checkouts make one measurement: as many that starting it does not count.
    const OPERATIONS: usize;

    /// A new one.
    fn made() -> Self;

    /// The least that can be done with it.
    fn touch(&mut self);
}

/// A sandbox whose reset is empty, and which therefore says that it needs no deep stack.
pub(crate) struct Nothing(pub(crate) u64);

impl Sandbox for Nothing {
    const RESETS_ON_DEEP_STACK: bool = false;

    fn reset(&mut self) -> Result<(), AnyError> {
        Ok(())
    }
}

impl Pooled for Nothing {
    const OPERATIONS: usize = 50_000;

    fn made() -> Self {
        Nothing(0)
    }

    fn touch(&mut self) {
        self.0 = black_box(self.0) + 1;
    }
}

/// The same sandbox, which does not say so.
pub(crate) struct NothingDeep(Nothing);

impl Sandbox for NothingDeep {
    fn reset(&mut self) -> Result<(), AnyError> {
        self.0.reset()
    }
}

impl Pooled for NothingDeep {
    const OPERATIONS: usize = Nothing::OPERATIONS;

    fn made() -> Self {
        NothingDeep(Nothing::made())
    }

    fn touch(&mut self) {
        self.0.touch();
    }
}

/// Nothing is processed with it, so that what is measured is the pool, and the least that a reset can be.
impl Pooled for AudioSandbox {
    const OPERATIONS: usize = 10_000;

    fn made() -> Self {
        AudioSandbox::new(Settings::default()).expect("an audio sandbox can be built")
    }

    fn touch(&mut self) {
        black_box(self);
    }
}

/// A pool with `capacity` of them, all built.
pub(crate) fn pool_of<S: Pooled>(capacity: usize) -> Pool<S> {
    let options = PoolOptions::default().capacity(capacity).min_idle(capacity).max_waiters(usize::MAX);
    Pool::new(options, || Ok::<_, AnyError>(S::made())).expect("a pool of them can be made")
}

/// `samples` at 48 kHz as one Opus packet of `sandbox`.
pub(crate) fn encoded(sandbox: &mut AudioSandbox, samples: &[f32]) -> Vec<u8> {
    let mut packets = Packets::default();
    sandbox.encode(samples, &mut Scratch::default(), &mut packets).expect("samples can be encoded");
    packets[0].to_vec()
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
    in_prepared_coroutine(bencher, operations, || (), call);
}

/// The same in a coroutine that first does `prepare`, once.
pub(crate) fn in_prepared_coroutine(
    bencher: Bencher<'_, '_>,
    operations: usize,
    prepare: impl Fn() + Send + Clone + 'static,
    call: impl Fn() + Send + Clone + 'static,
) {
    let worker = workers()[0];
    bencher.counter(ItemsCount::new(operations)).bench_local(|| {
        let (prepare, call) = (prepare.clone(), call.clone());
        let coroutine = spawn_on(worker, move || {
            prepare();
            (0..operations).for_each(|_| call());
        });
        coroutine.join().expect("nothing fails in it");
    });
}

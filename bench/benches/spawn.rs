//! What a coroutine costs from its start to its join, and what a yield and a call on the deep stack cost in one.
//!
//! The runtime's coroutines (with their id, count, context and end) against may's bare ones, tokio's tasks and threads.
//! Each iteration starts [`COROUTINES`], a hundred at a time, and joins them; read the items a second.

use std::hint::black_box;

use divan::counter::ItemsCount;
use divan::Bencher;
use sandpool::runtime::{deep_stack, spawn_here, spawn_on, time};
use support::{in_coroutine, workers};

mod support;

const COROUTINES: usize = 10_000;
const AT_A_TIME: usize = 100;
const OPERATIONS: usize = 100_000;

fn main() {
    workers();
    divan::main();
}

/// Has one coroutine start the others with `round`, a hundred at a time.
fn in_rounds(bencher: Bencher<'_, '_>, round: fn()) {
    let worker = workers()[0];
    bencher.counter(ItemsCount::new(COROUTINES)).bench_local(|| {
        let coroutine = spawn_on(worker, move || (0..COROUTINES / AT_A_TIME).for_each(|_| round()));
        coroutine.join().expect("nothing fails in it");
    });
}

/// On the caller's own worker, straight into its own queue.
#[divan::bench]
fn spawn_here_and_join(bencher: Bencher<'_, '_>) {
    in_rounds(bencher, || {
        let coroutines: Vec<_> = (0..AT_A_TIME).map(|number| spawn_here(move || black_box(number))).collect();
        coroutines.into_iter().for_each(|coroutine| drop(coroutine.join()));
    });
}

/// To the caller's own worker, by way of its queue for what others send.
#[divan::bench]
fn spawn_on_and_join(bencher: Bencher<'_, '_>) {
    in_rounds(bencher, || {
        let worker = workers()[0];
        let coroutines: Vec<_> =
            (0..AT_A_TIME).map(|number| spawn_on(worker, move || black_box(number))).collect();
        coroutines.into_iter().for_each(|coroutine| drop(coroutine.join()));
    });
}

/// may's own, without anything of ours; on whatever worker comes next.
#[divan::bench]
fn may_go_and_join(bencher: Bencher<'_, '_>) {
    in_rounds(bencher, || {
        let coroutines: Vec<_> = (0..AT_A_TIME).map(|number| may::go!(move || black_box(number))).collect();
        coroutines.into_iter().for_each(|coroutine| drop(coroutine.join()));
    });
}

#[divan::bench]
fn tokio_spawn_and_join(bencher: Bencher<'_, '_>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("tokio starts");
    bencher.counter(ItemsCount::new(COROUTINES)).bench_local(|| {
        runtime.block_on(async {
            for _ in 0..COROUTINES / AT_A_TIME {
                let tasks: Vec<_> =
                    (0..AT_A_TIME).map(|number| tokio::spawn(async move { black_box(number) })).collect();
                for task in tasks {
                    drop(task.await);
                }
            }
        });
    });
}

#[divan::bench(sample_count = 10)]
fn thread_spawn_and_join(bencher: Bencher<'_, '_>) {
    const THREADS: usize = 200;
    bencher.counter(ItemsCount::new(THREADS)).bench_local(|| {
        for _ in 0..THREADS {
            drop(std::thread::spawn(|| black_box(1)).join());
        }
    });
}

#[divan::bench]
fn yield_now(bencher: Bencher<'_, '_>) {
    in_coroutine(bencher, OPERATIONS, time::yield_now);
}

/// Of a call that does nothing: what going to the deep stack and back costs.
#[divan::bench]
fn deep_stack_call(bencher: Bencher<'_, '_>) {
    in_coroutine(bencher, OPERATIONS, || {
        black_box(deep_stack::run(|| black_box(1)));
    });
}

/// The same with the worker's scratch, as a packet uses it.
#[divan::bench]
fn deep_stack_call_with_scratch(bencher: Bencher<'_, '_>) {
    in_coroutine(bencher, OPERATIONS, || {
        deep_stack::run(|| deep_stack::scratch(|scratch: &mut Vec<u8>| black_box(scratch.len())));
    });
}

//! What it costs to have something watched: `begin`, and the drop that ends it.
//!
//! Each iteration is one coroutine (or one on each worker) that does [`OPERATIONS`] of them; read the items a second.

use std::hint::black_box;
use std::time::Duration;

use divan::counter::ItemsCount;
use divan::Bencher;
use sandpool::runtime::spawn_on;
use sandpool::runtime::watchdog::{Watchdog, WatchdogOptions, Work};
use support::{in_coroutine, workers};

mod support;

const OPERATIONS: usize = 100_000;

fn main() {
    workers();
    divan::main();
}

fn watched(watchdog: &Watchdog) {
    let work = Work::request("bench").soft_limit(Duration::from_secs(5)).hard_limit(Duration::from_secs(30));
    drop(black_box(watchdog.begin(work)));
}

#[divan::bench]
fn begin_and_end(bencher: Bencher<'_, '_>) {
    let watchdog = Watchdog::start(WatchdogOptions::default());
    in_coroutine(bencher, OPERATIONS, move || watched(&watchdog));
}

#[divan::bench]
fn begin_and_end_on_all_workers(bencher: Bencher<'_, '_>) {
    let watchdog = Watchdog::start(WatchdogOptions::default());
    let workers = workers();
    bencher.counter(ItemsCount::new(OPERATIONS)).bench_local(|| {
        let share = OPERATIONS / workers.len();
        let coroutines: Vec<_> = workers
            .iter()
            .map(|&worker| {
                let watchdog = watchdog.clone();
                spawn_on(worker, move || (0..share).for_each(|_| watched(&watchdog)))
            })
            .collect();
        coroutines.into_iter().for_each(|coroutine| coroutine.join().expect("nothing fails in it"));
    });
}

/// A thousand entries are in the table already.
#[divan::bench]
fn begin_and_end_beside_a_thousand(bencher: Bencher<'_, '_>) {
    let watchdog = Watchdog::start(WatchdogOptions::default());
    let others: Vec<_> = (0..1_000).map(|_| watchdog.begin(Work::step("another"))).collect();
    in_coroutine(bencher, OPERATIONS, move || watched(&watchdog));
    drop(others);
}

//! What a coroutine's context costs: setting a value, and getting it again.
//!
//! Each iteration is one coroutine that does [`OPERATIONS`] of them; read the items a second.

use std::hint::black_box;

use divan::Bencher;
use sandpool::runtime::{Context, CoroutineId};
use support::{in_coroutine, in_prepared_coroutine};

mod support;

const OPERATIONS: usize = 100_000;

fn main() {
    support::workers();
    divan::main();
}

#[derive(Clone)]
struct RequestId(u64);

#[derive(Clone)]
struct Tenant(u64);

#[divan::bench]
fn set(bencher: Bencher<'_, '_>) {
    in_coroutine(bencher, OPERATIONS, || {
        let before = Context::set(RequestId(black_box(7)));
        black_box(before.map(|id| id.0));
    });
}

/// What there is to get.
fn set_two() {
    Context::set(RequestId(7));
    Context::set(Tenant(8));
}

/// Of two values, the second one.
#[divan::bench]
fn get(bencher: Bencher<'_, '_>) {
    in_prepared_coroutine(bencher, OPERATIONS, set_two, || {
        black_box(Context::get::<Tenant>().map(|tenant| tenant.0));
    });
}

/// Without copying the value.
#[divan::bench]
fn with(bencher: Bencher<'_, '_>) {
    in_prepared_coroutine(bencher, OPERATIONS, set_two, || {
        black_box(Context::with(|tenant: Option<&Tenant>| tenant.map(|tenant| tenant.0)));
    });
}

/// What every one of them begins with: finding the coroutine's own storage.
#[divan::bench]
fn coroutine_id(bencher: Bencher<'_, '_>) {
    in_coroutine(bencher, OPERATIONS, || {
        black_box(CoroutineId::current());
    });
}

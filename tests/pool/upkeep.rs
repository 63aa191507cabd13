//! Upkeep: replacing, building ahead, shrinking, ageing, reporting. All but the keeper's own test pass the time in.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{assert_settled, eventually, quiet, Workshop};

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn the_minimum_lies_ready_from_the_start_and_is_kept_up() {
    let workshop = Arc::new(Workshop::default());
    let pool = workshop.pool(quiet(4).min_idle(2));
    assert_eq!(pool.status().idle, 2);
    let held = [pool.checkout().unwrap(), pool.checkout().unwrap()];
    assert_eq!(pool.status().idle, 0);
    pool.maintain(Instant::now());
    assert_eq!(workshop.alive(), 4);
    assert_settled(&pool, &workshop, 2);
    drop(held);
    pool.maintain(Instant::now());
    assert_eq!(workshop.alive(), 4);
    assert_settled(&pool, &workshop, 0);
}

#[test]
fn upkeep_never_builds_beyond_the_capacity() {
    let workshop = Arc::new(Workshop::default());
    let pool = workshop.pool(quiet(3).min_idle(3));
    let _held = [pool.checkout().unwrap(), pool.checkout().unwrap()];
    pool.maintain(Instant::now());
    assert_eq!(workshop.alive(), 3);
    assert_settled(&pool, &workshop, 2);
}

#[test]
fn a_discarded_sandbox_is_replaced_off_the_hot_path() {
    let workshop = Arc::new(Workshop::default());
    let pool = workshop.pool(quiet(3));
    pool.checkout().unwrap().discard();
    assert_eq!(pool.status().size, 0);
    pool.maintain(Instant::now());
    assert_eq!((pool.status().idle, pool.status().created), (1, 2));
    pool.maintain(Instant::now());
    assert_eq!(pool.status().size, 1, "replaced once");
}

#[test]
fn a_factory_that_fails_in_upkeep_is_tried_again_for_the_minimum() {
    let workshop = Arc::new(Workshop::default());
    let pool = workshop.pool(quiet(2).min_idle(1));
    pool.checkout().unwrap().discard();
    workshop.broken.store(true, SeqCst);
    pool.maintain(Instant::now());
    assert_eq!((pool.status().size, pool.status().build_failures), (0, 1));
    workshop.broken.store(false, SeqCst);
    pool.maintain(Instant::now());
    assert_eq!(pool.status().idle, 1);
}

#[test]
fn what_is_idle_for_too_long_is_given_up_down_to_the_minimum() {
    let workshop = Arc::new(Workshop::default());
    let pool = workshop.pool(quiet(5).min_idle(2).idle_timeout(HOUR));
    drop((0..5).map(|_| pool.checkout().unwrap()).collect::<Vec<_>>());
    let now = Instant::now();
    pool.maintain(now + HOUR / 2);
    assert_eq!(pool.status().idle, 5);
    pool.maintain(now + HOUR * 2);
    let status = pool.status();
    assert_eq!((status.idle, status.size, status.retired, status.discarded), (2, 2, 3, 0));
    pool.maintain(now + HOUR * 4);
    assert_eq!(workshop.alive(), 2);
    assert_settled(&pool, &workshop, 0);
}

#[test]
fn a_little_traffic_does_not_keep_sandboxes_that_are_not_needed() {
    let workshop = Arc::new(Workshop::default());
    let pool = workshop.pool(quiet(100).min_idle(4).idle_timeout(HOUR));
    drop((0..100).map(|_| pool.checkout().unwrap()).collect::<Vec<_>>());
    let start = Instant::now();
    pool.maintain(start);
    let mut used = std::collections::HashSet::new();
    // Two requests at once every minute: each sandbox is used in every hour.
    for minute in 1..60 * 3 {
        let mut both = [pool.checkout().unwrap(), pool.checkout().unwrap()];
        used.extend(both.iter_mut().map(|lease| lease.enter(|probe| probe.number)));
        drop(both);
        pool.maintain(start + Duration::from_secs(60) * minute);
        if minute == 50 {
            assert_eq!((pool.status().idle, used.len()), (100, 100));
        }
    }
    // Of those left, two were in use at a time, and the minimum was idle meanwhile.
    assert_eq!(workshop.alive(), 6);
    assert_eq!((pool.status().retired, pool.status().discarded), (94, 0));
    assert_settled(&pool, &workshop, 0);
}

#[test]
fn no_more_is_given_up_than_the_peaks_leave_unneeded() {
    let workshop = Arc::new(Workshop::default());
    let pool = workshop.pool(quiet(50).min_idle(1).idle_timeout(HOUR));
    drop((0..26).map(|_| pool.checkout().unwrap()).collect::<Vec<_>>());
    let start = Instant::now();
    // Peaks of 20, once in ten minutes, and a round of upkeep each minute between them.
    for minute in 0..500 {
        if minute % 10 == 0 {
            drop((0..20).map(|_| pool.checkout().unwrap()).collect::<Vec<_>>());
        }
        pool.maintain(start + Duration::from_secs(60) * minute);
    }
    // The peaks need 20 and the minimum lies idle meanwhile; after the start nothing was built on the hot path.
    assert_eq!((workshop.alive(), pool.status().created), (21, 26));
    assert_settled(&pool, &workshop, 0);
}

#[test]
fn what_a_burst_needed_is_kept_for_the_idle_timeout() {
    let pool = Arc::new(Workshop::default()).pool(quiet(50).idle_timeout(HOUR));
    let start = Instant::now();
    // A burst of 50 for a moment, between two rounds of upkeep, once in fifty minutes.
    for minute in 0..500 {
        if minute % 50 == 0 {
            drop((0..50).map(|_| pool.checkout().unwrap()).collect::<Vec<_>>());
        }
        pool.maintain(start + Duration::from_secs(60) * minute);
    }
    assert_eq!((pool.status().created, pool.status().retired), (50, 0));
}

#[test]
fn a_lent_sandbox_is_never_given_up() {
    let pool = Arc::new(Workshop::default()).pool(quiet(2).idle_timeout(HOUR).max_lifetime(HOUR));
    let mut lease = pool.checkout().unwrap();
    pool.maintain(Instant::now() + HOUR * 10);
    assert_eq!(pool.status().leased, 1);
    lease.enter(|probe| probe.work(1, || ()));
}

#[test]
fn a_sandbox_that_is_too_old_is_replaced_while_it_is_idle() {
    let workshop = Arc::new(Workshop::default());
    let pool = workshop.pool(quiet(3).min_idle(3).idle_timeout(None).max_lifetime(HOUR));
    pool.maintain(Instant::now() + HOUR / 2);
    assert_eq!(pool.status().retired, 0);
    pool.maintain(Instant::now() + HOUR * 2);
    let status = pool.status();
    assert_eq!((status.idle, status.retired, status.created), (3, 3, 6));
}

#[test]
fn a_sandbox_that_grew_too_old_on_loan_is_replaced_when_it_comes_home() {
    let lifetime = Duration::from_millis(20);
    let pool = Arc::new(Workshop::default()).pool(quiet(1).max_lifetime(lifetime));
    let lease = pool.checkout().unwrap();
    let built_before = Instant::now();
    // The clock is the pool's own here; it is read, not slept for.
    while built_before.elapsed() < lifetime * 2 {
        std::thread::yield_now();
    }
    drop(lease);
    assert_eq!((pool.status().retired, pool.status().size), (1, 0));
}

#[test]
fn a_sandbox_is_retired_after_as_many_leases_as_it_may_have() {
    let pool = Arc::new(Workshop::default()).pool(quiet(1).max_uses(3));
    let numbers: Vec<_> = (0..7).map(|_| pool.checkout().unwrap().enter(|probe| probe.number)).collect();
    assert_eq!(numbers, [0, 0, 0, 1, 1, 1, 2]);
    assert_eq!(pool.status().retired, 2);
}

#[test]
fn a_lease_that_is_used_is_no_leak_however_long_it_is_held() {
    let pool = Arc::new(Workshop::default()).pool(quiet(1).leak_threshold(HOUR));
    let mut lease = pool.checkout().unwrap();
    let since = pool.leases()[0].since;
    // Until the coarse clock has gone on.
    while pool.leases()[0].used <= since {
        lease.enter(|_| ());
    }
    pool.maintain(since + HOUR);
    assert_eq!(pool.status().leaked, 0);
    pool.maintain(pool.leases()[0].used + HOUR);
    assert_eq!(pool.status().leaked, 1);
}

#[test]
fn a_lease_unused_for_too_long_is_reported_once() {
    let pool = Arc::new(Workshop::default()).pool(quiet(3).leak_threshold(HOUR));
    let held = pool.checkout().unwrap();
    let now = Instant::now();
    pool.maintain(now + HOUR / 2);
    assert_eq!(pool.status().leaked, 0);
    for hours in 2..5 {
        pool.maintain(now + HOUR * hours);
        assert_eq!(pool.status().leaked, 1);
    }
    drop(held);
    let _next = pool.checkout().unwrap();
    pool.maintain(now + HOUR * 6);
    assert_eq!(pool.status().leaked, 2, "another lease of the same sandbox");
}

#[test]
fn the_keeper_replaces_without_being_asked_and_ends_with_the_pool() {
    let workshop = Arc::new(Workshop::default());
    // So seldom that only the wake-up at a discard can explain what follows.
    let pool = workshop.pool(quiet(4).min_idle(2).upkeep_interval(HOUR));
    pool.checkout().unwrap().discard();
    eventually("the keeper replaces it", || pool.status().idle == 2);
    drop(pool);
    eventually("the keeper lets go of the pool", || Arc::strong_count(&workshop) == 1);
    assert_eq!(workshop.alive(), 0);
}

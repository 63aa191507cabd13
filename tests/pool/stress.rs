//! Many coroutines on all workers at once, doing all that can be done to a pool, while others look.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sandpool::runtime::{spawn, time, CoroutineId, Pool};

use crate::support::{assert_settled, eventually, quiet, quiet_panic, OnReset, Probe, Workshop};

/// A small generator of numbers that look random (xorshift64, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// The leases that the coroutines of one test hold, counted by these themselves.
#[derive(Default)]
struct Held {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// One of them. Ends before its lease does.
struct HeldOne<'a>(&'a Held);

impl Held {
    fn one(&self) -> HeldOne<'_> {
        self.most.fetch_max(self.now.fetch_add(1, SeqCst) + 1, SeqCst);
        HeldOne(self)
    }
}

impl Drop for HeldOne<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, SeqCst);
    }
}

fn one_round(pool: &Pool<Probe>, held: &Held, dice: &mut Dice, user: u64) {
    let lease = match dice.roll(8) {
        0 => pool.try_checkout(),
        1 => pool.checkout_within(Duration::from_millis(1)),
        _ => pool.checkout_within(Duration::from_secs(60)),
    };
    let Ok(mut lease) = lease else { return };
    // Declared after the lease, so dropped before it, also when a cancel unwinds.
    let one = held.one();
    match dice.roll(40) {
        0 => {
            let _ = catch_unwind(AssertUnwindSafe(|| lease.enter(|_| -> () { quiet_panic() })));
        }
        1 => {
            drop(one);
            return lease.discard();
        }
        2 => lease.enter(|probe| probe.on_reset = OnReset::Fail),
        3..10 => lease.enter(|probe| probe.work(user, time::yield_now)),
        10..13 => lease.enter_deep(|probe| probe.work(user, || ())),
        _ => lease.enter(|probe| probe.work(user, || ())),
    }
    if dice.roll(3) == 0 {
        time::yield_now();
        lease.enter(|probe| probe.work(user, || ()));
    }
}

fn stress(capacity: usize, shards: usize, coroutines: u64, rounds: usize) {
    let workshop = Arc::new(Workshop::default());
    let pool = workshop.pool(
        quiet(capacity)
            .shards(shards)
            .min_idle(capacity / 2)
            .max_uses(50)
            .idle_timeout(Duration::from_millis(1)),
    );
    let held = Arc::new(Held::default());
    let over = Arc::new(AtomicBool::new(false));
    let finished = Arc::new(AtomicUsize::new(0));
    let looks = std::thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut looks = 0_usize;
            while !over.load(SeqCst) {
                let status = pool.status();
                assert!(status.size <= capacity && workshop.alive() <= capacity, "{status:?}");
                // Read one after the other: ends that come in between make it less, never more.
                let ended = status.discarded + status.retired;
                assert!(status.created <= ended + capacity as u64, "{status:?}");
                assert!(pool.leases().len() <= capacity);
                looks += 1;
                if looks.is_multiple_of(16) {
                    pool.maintain(Instant::now());
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
            looks
        });
        let all: Vec<_> = (0..coroutines)
            .map(|seed| {
                let (pool, held, finished) = (pool.clone(), Arc::clone(&held), Arc::clone(&finished));
                spawn(move || {
                    let (mut dice, me) = (Dice(seed + 1), CoroutineId::current());
                    for _ in 0..rounds {
                        one_round(&pool, &held, &mut dice, me.get());
                    }
                    finished.fetch_add(1, SeqCst);
                })
            })
            .collect();
        // Every eighth one is cancelled somewhere on its way.
        for victim in all.iter().step_by(8) {
            while finished.load(SeqCst) < victim.id().get() as usize % 5 {
                std::thread::yield_now();
            }
            victim.canceller().cancel();
        }
        let failed: Vec<_> = all
            .into_iter()
            .enumerate()
            .filter_map(|(number, coroutine)| coroutine.join().err().filter(|_| number % 8 != 0))
            .collect();
        over.store(true, SeqCst);
        assert!(failed.is_empty(), "{failed:?}");
        sampler.join().unwrap()
    });
    assert!(looks > 10);
    eventually("all is home", || {
        let status = pool.status();
        status.leased + status.resetting + status.building == 0
    });
    assert_settled(&pool, &workshop, 0);
    let status = pool.status();
    assert!(status.waiting == 0 && status.checkouts > 0, "{status:?}");
    assert_eq!(held.now.load(SeqCst), 0);
    assert!((1..=capacity).contains(&held.most.load(SeqCst)), "{} leases at a time", held.most.load(SeqCst));
    // None of the places was lost on the way.
    let all: Vec<_> = (0..capacity).map(|_| pool.try_checkout().unwrap()).collect();
    assert!(pool.try_checkout().is_err());
    assert_settled(&pool, &workshop, capacity);
    drop(all);
    pool.close();
    assert!(pool.is_drained());
    assert_eq!(workshop.alive(), 0);
}

#[test]
fn nothing_is_lost_when_many_want_one() {
    stress(1, 1, 64, 150);
}

#[test]
fn nothing_is_lost_when_many_want_few() {
    stress(5, 2, 200, 150);
}

#[test]
fn nothing_is_lost_when_there_is_enough_for_all() {
    stress(64, 3, 64, 500);
}

#[test]
fn closing_in_the_middle_loses_nothing() {
    for _ in 0..20 {
        let workshop = Arc::new(Workshop::default());
        let pool = workshop.pool(quiet(4).shards(2));
        let held = Arc::new(Held::default());
        let coroutines: Vec<_> = (0..32)
            .map(|seed| {
                let (pool, held) = (pool.clone(), Arc::clone(&held));
                spawn(move || {
                    let (mut dice, me) = (Dice(seed + 1), CoroutineId::current());
                    while !pool.status().closed {
                        one_round(&pool, &held, &mut dice, me.get());
                        time::yield_now();
                    }
                })
            })
            .collect();
        eventually("it is busy", || pool.status().checkouts > 100);
        pool.close();
        assert!(pool.wait_drained(Duration::from_secs(60)), "{:?}", pool.status());
        assert_settled(&pool, &workshop, 0);
        assert_eq!((workshop.alive(), held.now.load(SeqCst)), (0, 0));
        coroutines.into_iter().for_each(|coroutine| coroutine.join().unwrap());
    }
}

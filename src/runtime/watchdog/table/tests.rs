use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn id(number: u64) -> CoroutineId {
    CoroutineId::from_u64(number).unwrap()
}

fn worker(index: usize) -> Option<WorkerId> {
    Some(WorkerId::new(index))
}

fn limited(what: &'static str) -> Work {
    Work::request(what).soft_limit(SECOND * 5).hard_limit(SECOND * 30)
}

#[test]
fn each_limit_is_reported_once_and_names_coroutine_work_age_and_worker() {
    let (table, start) = (Table::new(2), Instant::now());
    let _watch = table.begin(id(7), worker(1), limited("GET /sleep"), start);
    assert!(table.sweep(start + SECOND * 4).is_empty());

    let found = table.sweep(start + SECOND * 5);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].limit, Limit::Soft);
    assert_eq!(
        found[0].entry,
        EntryView {
            coroutine: id(7),
            worker: worker(1),
            what: "GET /sleep".into(),
            kind: Kind::Request,
            age: SECOND * 5,
        }
    );
    assert!(table.sweep(start + SECOND * 29).is_empty());

    let found = table.sweep(start + SECOND * 31);
    assert_eq!((found.len(), found[0].limit, found[0].entry.age), (1, Limit::Hard, SECOND * 31));
    assert!(table.sweep(start + SECOND * 1_000).is_empty());
    assert_eq!(table.len(), 1, "expired work stays until it ends");
}

#[test]
fn work_past_both_limits_at_once_is_only_told_to_have_expired() {
    let (table, start) = (Table::new(1), Instant::now());
    let _watch = table.begin(id(1), worker(0), limited("late"), start);
    let limits: Vec<_> = table.sweep(start + SECOND * 60).iter().map(|finding| finding.limit).collect();
    assert_eq!(limits, [Limit::Hard]);
    assert!(table.sweep(start + SECOND * 61).is_empty());
}

#[test]
fn work_without_limits_is_never_reported_but_shown() {
    let (table, start) = (Table::new(1), Instant::now());
    let _watch = table.begin(id(1), worker(0), Work::step("frame"), start);
    assert!(table.sweep(start + SECOND * 1_000_000).is_empty());
    assert_eq!(table.snapshot(start)[0].what.as_str(), "frame");
}

#[test]
fn a_limit_past_the_end_of_time_is_none() {
    let (table, start) = (Table::new(1), Instant::now());
    let work = Work::request("for ever").soft_limit(Duration::MAX).hard_limit(Duration::MAX);
    let _watch = table.begin(id(1), None, work, start);
    assert!(table.sweep(start + SECOND * 1_000_000).is_empty());
}

#[test]
fn only_the_hard_limit_carries_the_expiry_and_only_once() {
    let (table, start) = (Table::new(1), Instant::now());
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let on_expiry = Arc::new(move |_: &Finding| {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let _watch = table.begin(id(1), worker(0), limited("work").on_expiry(on_expiry), start);
    for seconds in 0..100 {
        for finding in table.sweep(start + SECOND * seconds) {
            if let Some(action) = &finding.on_expiry {
                assert_eq!(finding.limit, Limit::Hard);
                action.expired(&finding);
            }
        }
    }
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[test]
fn what_is_done_at_expiry_may_use_the_table() {
    let (table, start) = (Arc::new(Table::new(1)), Instant::now());
    let inner = Arc::clone(&table);
    let on_expiry = Arc::new(move |finding: &Finding| {
        assert_eq!(inner.find(finding.entry.coroutine, start).len(), 1);
        drop(inner.begin(finding.entry.coroutine, worker(0), Work::step("clearing up"), start));
    });
    let watch = table.begin(id(1), worker(0), limited("work").on_expiry(on_expiry), start);
    for finding in table.sweep(start + SECOND * 31) {
        finding.on_expiry.clone().unwrap().expired(&finding);
    }
    drop(watch);
    assert!(table.is_empty());
}

#[test]
fn what_an_owner_leaves_behind_is_dropped_outside_of_the_lock() {
    struct LooksAtDrop(Arc<Table>, Arc<AtomicUsize>);
    impl OnExpiry for LooksAtDrop {
        fn expired(&self, _: &Finding) {}
    }
    impl Drop for LooksAtDrop {
        fn drop(&mut self) {
            // Would wait for ever if the shard were locked here.
            self.1.store(100 + self.0.len(), Ordering::Relaxed);
        }
    }
    let (table, seen) = (Arc::new(Table::new(1)), Arc::new(AtomicUsize::new(0)));
    let on_expiry = Arc::new(LooksAtDrop(Arc::clone(&table), Arc::clone(&seen)));
    drop(table.begin(id(1), worker(0), limited("work").on_expiry(on_expiry), Instant::now()));
    assert_eq!(seen.load(Ordering::Relaxed), 100);
}

#[test]
fn nested_work_of_one_coroutine_ends_one_by_one() {
    let (table, start) = (Table::new(1), Instant::now());
    let request = table.begin(id(1), worker(0), Work::request("request"), start);
    let step = table.begin(id(1), worker(0), Work::step("decode"), start);
    assert_eq!(table.find(id(1), start).len(), 2);
    drop(request);
    let left: Vec<_> = table.find(id(1), start).into_iter().map(|entry| entry.what).collect();
    assert_eq!(left, ["decode".into()]);
    drop(step);
    assert!(table.is_empty());
}

#[test]
fn a_slot_that_is_used_again_belongs_to_the_newer_work() {
    let (table, start) = (Table::new(1), Instant::now());
    drop(table.begin(id(1), worker(0), limited("over"), start));
    let newer = table.begin(id(2), worker(0), Work::request("newer"), start + SECOND);
    assert!(table.sweep(start + SECOND * 100).is_empty(), "it has no limits of its own");
    let view = table.snapshot(start + SECOND * 3).remove(0);
    assert_eq!((view.coroutine, view.what, view.age), (id(2), "newer".into(), SECOND * 2));
    drop(newer);
    assert!(table.is_empty());
}

#[test]
fn requests_in_flight_are_counted_at_their_worker_and_steps_are_not() {
    let (table, start) = (Table::new(2), Instant::now());
    let begin = |worker, work| table.begin(id(1), worker, work, start);
    let watches = [
        begin(worker(0), Work::request("a")),
        begin(worker(1), Work::request("b")),
        begin(worker(1), Work::request("c")),
        begin(worker(1), Work::step("frame of c")),
        begin(None, Work::request("on a plain thread")),
        begin(worker(99), Work::request("at a worker the table was not told of")),
    ];
    assert_eq!(table.in_flight(), [1, 2]);
    assert_eq!(table.len(), watches.len(), "those at no worker are watched as well");
    drop(watches);
    assert_eq!(table.in_flight(), [0, 0]);
    assert!(table.is_empty());
}

#[test]
fn a_sweep_finds_everything_in_a_table_of_many_steps() {
    let (table, start) = (Table::new(1), Instant::now());
    let count = SWEEP_STEP * 3 + 1;
    let watches: Vec<_> =
        (1..=count as u64).map(|number| table.begin(id(number), worker(0), limited("one"), start)).collect();
    assert_eq!(table.sweep(start + SECOND * 6).len(), count);
    assert_eq!(table.snapshot(start).len(), count);
    drop(watches);
    assert!(table.is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    Begin { coroutine: u64, worker: usize, request: bool, soft: u64, hard: u64 },
    End { pick: usize },
    Sweep { seconds: u64 },
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..5_u64, 0..3_usize, any::<bool>(), 0..20_u64, 0..20_u64).prop_map(
            |(coroutine, worker, request, soft, hard)| Step::Begin { coroutine, worker, request, soft, hard }
        ),
        3 => any::<usize>().prop_map(|pick| Step::End { pick }),
        2 => (0..5_u64).prop_map(|seconds| Step::Sweep { seconds }),
    ]
}

/// What the slow, obvious table knows of an entry.
struct Known {
    /// Held, for it ends the entry.
    _watch: Watch,
    coroutine: u64,
    worker: usize,
    request: bool,
    soft_at: Instant,
    hard_at: Instant,
    told: Option<Limit>,
}

impl Known {
    fn due(&mut self, now: Instant) -> Option<Limit> {
        let limit = match self.told {
            Some(Limit::Hard) => None,
            _ if self.hard_at <= now => Some(Limit::Hard),
            None if self.soft_at <= now => Some(Limit::Soft),
            _ => None,
        };
        self.told = limit.or(self.told);
        limit
    }
}

proptest! {
    #[test]
    fn the_table_tells_the_same_as_a_plain_list(steps in prop::collection::vec(any_step(), 1..200)) {
        const WORKERS: usize = 2;
        let table = Table::new(WORKERS);
        let mut now = Instant::now();
        let mut known: Vec<Known> = Vec::new();
        for step in steps {
            match step {
                Step::Begin { coroutine, worker, request, soft, hard } => {
                    let work = if request { Work::request("work") } else { Work::step("work") };
                    let work = work.soft_limit(SECOND * soft as u32).hard_limit(SECOND * hard as u32);
                    let watch = table.begin(id(coroutine), Some(WorkerId::new(worker)), work, now);
                    let (soft_at, hard_at) = (now + SECOND * soft as u32, now + SECOND * hard as u32);
                    known.push(Known {
                        _watch: watch, coroutine, worker, request, soft_at, hard_at, told: None,
                    });
                }
                Step::End { pick } if !known.is_empty() => {
                    known.swap_remove(pick % known.len());
                }
                Step::End { .. } => {}
                Step::Sweep { seconds } => {
                    now += SECOND * seconds as u32;
                    let mut expected: HashMap<(u64, bool), usize> = HashMap::new();
                    for entry in &mut known {
                        if let Some(limit) = entry.due(now) {
                            *expected.entry((entry.coroutine, limit == Limit::Hard)).or_default() += 1;
                        }
                    }
                    let mut found: HashMap<(u64, bool), usize> = HashMap::new();
                    for finding in table.sweep(now) {
                        let key = (finding.entry.coroutine.get(), finding.limit == Limit::Hard);
                        *found.entry(key).or_default() += 1;
                    }
                    prop_assert_eq!(found, expected);
                }
            }
            prop_assert_eq!(table.len(), known.len());
            let requests_of =
                |worker| known.iter().filter(|entry| entry.request && entry.worker == worker).count();
            let in_flight: Vec<_> = (0..WORKERS).map(requests_of).collect();
            prop_assert_eq!(table.in_flight(), in_flight);
        }
        drop(known);
        prop_assert!(table.is_empty());
    }
}

//! The pool against a model that counts on its fingers.
//!
//! A few actors, each a coroutine, do one thing at a time as they are told. After every step exactly those actors
//! that the model says must have reported what the model says, and every count must be exact.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{mpsc, Arc};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use sandpool::runtime::{spawn, Canceller, CheckoutError, JoinHandle, Lease, Pool, PoolStatus};

use crate::support::{assert_settled, quiet, quiet_panic, OnReset, Probe, Workshop};

const ACTORS: usize = 6;
const PATIENCE: Duration = Duration::from_secs(60);
const IDLE_TIMEOUT: Duration = Duration::from_secs(1_000);

#[derive(Clone, Copy, Debug)]
enum Step {
    Checkout(usize),
    TryCheckout(usize),
    /// A checkout that gives up soon when it has to wait.
    Impatient(usize),
    Return(usize),
    Discard(usize),
    PanicInside(usize),
    ResetFails(usize, OnReset),
    /// Ends a coroutine, in whatever it does: holding, waiting or nothing.
    Cancel(usize),
    /// Ends a coroutine that forgets its lease.
    Forget(usize),
    /// Upkeep; `all_spare` when the idle timeout is over since all that was idle then.
    Maintain {
        all_spare: bool,
    },
    BreakFactory(bool),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    let actor = || 0..ACTORS;
    let failing = prop_oneof![Just(OnReset::Fail), Just(OnReset::Panic)];
    prop_oneof![
        60 => actor().prop_map(Step::Checkout),
        10 => actor().prop_map(Step::TryCheckout),
        6 => actor().prop_map(Step::Impatient),
        50 => actor().prop_map(Step::Return),
        8 => actor().prop_map(Step::Discard),
        8 => actor().prop_map(Step::PanicInside),
        8 => (actor(), failing).prop_map(|(actor, how)| Step::ResetFails(actor, how)),
        10 => actor().prop_map(Step::Cancel),
        8 => actor().prop_map(Step::Forget),
        10 => any::<bool>().prop_map(|all_spare| Step::Maintain { all_spare }),
        4 => any::<bool>().prop_map(Step::BreakFactory),
        1 => Just(Step::Close),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Report {
    Got,
    TimedOut,
    LineFull,
    Exhausted,
    Closed,
    BuildFailed,
    /// The lease is gone.
    Done,
}

/// What the model knows of one sandbox: how often it came home.
type Uses = u64;

#[derive(Debug)]
struct Model {
    capacity: usize,
    min_idle: usize,
    max_waiters: usize,
    max_uses: u64,
    broken: bool,
    closed: bool,
    idle: VecDeque<Uses>,
    held: BTreeMap<usize, Uses>,
    line: VecDeque<usize>,
    /// The fewest that were idle since all the spare ones were last given up.
    fewest_idle: usize,
    owed: usize,
    created: u64,
    discarded: u64,
    retired: u64,
    build_failures: u64,
    timed_out: u64,
    rejected: u64,
    checkouts: u64,
    /// What must have been reported by the end of the step.
    reports: BTreeMap<usize, Report>,
}

impl Model {
    fn size(&self) -> usize {
        self.idle.len() + self.held.len()
    }

    fn is_free(&self, actor: usize) -> bool {
        !self.held.contains_key(&actor) && !self.line.contains(&actor)
    }

    fn report(&mut self, actor: usize, report: Report) {
        assert_eq!(self.reports.insert(actor, report), None);
    }

    fn hold(&mut self, actor: usize, uses: Uses) {
        self.held.insert(actor, uses);
        self.checkouts += 1;
        self.report(actor, Report::Got);
    }

    fn build_for(&mut self, actor: usize) -> bool {
        if self.broken {
            self.build_failures += 1;
            self.report(actor, Report::BuildFailed);
        } else {
            self.created += 1;
            self.hold(actor, 0);
        }
        !self.broken
    }

    fn checkout(&mut self, actor: usize, otherwise: Report) {
        if self.closed {
            self.report(actor, Report::Closed);
        } else if let Some(uses) = self.idle.pop_front() {
            self.fewest_idle = self.fewest_idle.min(self.idle.len());
            self.hold(actor, uses);
        } else if self.size() < self.capacity {
            self.build_for(actor);
        } else if otherwise == Report::Exhausted {
            self.report(actor, Report::Exhausted);
        } else if self.line.len() >= self.max_waiters {
            self.rejected += 1;
            self.report(actor, Report::LineFull);
        } else if otherwise == Report::TimedOut {
            self.timed_out += 1;
            self.report(actor, Report::TimedOut);
        } else {
            self.line.push_back(actor);
        }
    }

    /// A clean sandbox is there.
    fn settle(&mut self, uses: Uses) {
        if self.closed {
            self.retired += 1;
        } else if let Some(head) = self.line.pop_front() {
            self.hold(head, uses);
        } else {
            self.idle.push_back(uses);
        }
    }

    /// A place has come free: those that wait try to build in it, one after the other.
    fn vacate(&mut self) {
        let mut handed_over = false;
        while let Some(head) = self.line.pop_front() {
            handed_over = true;
            if self.build_for(head) {
                break;
            }
        }
        self.owed += usize::from(!handed_over);
    }

    fn come_home(&mut self, actor: usize) {
        let uses = self.held.remove(&actor).unwrap() + 1;
        if uses >= self.max_uses {
            self.retired += 1;
            self.vacate();
        } else {
            self.settle(uses);
        }
    }

    fn discard(&mut self, actor: usize) {
        self.held.remove(&actor).unwrap();
        self.discarded += 1;
        self.vacate();
    }

    fn maintain(&mut self, all_spare: bool) {
        if self.closed {
            // Nothing is idle, and nothing is built.
            self.owed = 0;
            return;
        }
        if all_spare {
            for _ in self.min_idle..self.fewest_idle {
                self.idle.pop_front().unwrap();
                self.retired += 1;
            }
            self.fewest_idle = self.idle.len();
        }
        let mut owed = std::mem::take(&mut self.owed);
        while (owed > 0 || self.idle.len() < self.min_idle) && self.size() < self.capacity {
            if self.broken {
                self.build_failures += 1;
                return;
            }
            owed = owed.saturating_sub(1);
            self.created += 1;
            self.idle.push_back(0);
        }
    }

    fn close(&mut self) {
        self.closed = true;
        for actor in std::mem::take(&mut self.line) {
            self.report(actor, Report::Closed);
        }
        self.retired += std::mem::take(&mut self.idle).len() as u64;
    }

    /// Where a status differs from what it must be.
    fn difference(&self, status: &PoolStatus, workshop: &Workshop) -> Option<String> {
        let expected = [
            ("capacity", status.capacity, self.capacity),
            ("size", status.size, self.size()),
            ("idle", status.idle, self.idle.len()),
            ("leased", status.leased, self.held.len()),
            ("resetting", status.resetting, 0),
            ("building", status.building, 0),
            ("waiting", status.waiting, self.line.len()),
            ("checkouts", status.checkouts as usize, self.checkouts as usize),
            ("created", status.created as usize, self.created as usize),
            ("discarded", status.discarded as usize, self.discarded as usize),
            ("retired", status.retired as usize, self.retired as usize),
            ("build_failures", status.build_failures as usize, self.build_failures as usize),
            ("timed_out", status.timed_out as usize, self.timed_out as usize),
            ("rejected", status.rejected as usize, self.rejected as usize),
            ("sandboxes alive", workshop.alive(), self.size()),
            (
                "created - discarded - retired",
                (status.created - status.discarded - status.retired) as usize,
                self.size(),
            ),
        ];
        let wrong: Vec<_> = expected.iter().filter(|(_, got, truth)| got != truth).collect();
        (!wrong.is_empty()).then(|| format!("(what, got, expected): {wrong:?}"))
    }
}

/// A coroutine that does as it is told.
struct Actor {
    orders: may::sync::mpsc::Sender<Order>,
    handle: JoinHandle<()>,
    canceller: Canceller,
}

enum Order {
    Checkout(Duration),
    TryCheckout,
    GiveBack,
    Discard,
    PanicInside,
    ResetFails(OnReset),
    Forget,
}

impl Actor {
    fn start(number: usize, pool: &Pool<Probe>, reports: &mpsc::Sender<(usize, Report)>) -> Self {
        let (orders, inbox) = may::sync::mpsc::channel();
        let (pool, reports) = (pool.clone(), reports.clone());
        let handle = spawn(move || act(number, &inbox, &pool, &reports));
        let canceller = handle.canceller();
        Self { orders, handle, canceller }
    }
}

fn act(
    number: usize,
    inbox: &may::sync::mpsc::Receiver<Order>,
    pool: &Pool<Probe>,
    reports: &mpsc::Sender<(usize, Report)>,
) {
    let mut lease: Option<Lease<Probe>> = None;
    while let Ok(order) = inbox.recv() {
        let report = match order {
            Order::Checkout(patience) => take(number, pool.checkout_within(patience), &mut lease),
            Order::TryCheckout => take(number, pool.try_checkout(), &mut lease),
            Order::GiveBack => {
                drop(lease.take());
                Report::Done
            }
            Order::Discard => {
                lease.take().unwrap().discard();
                Report::Done
            }
            Order::PanicInside => {
                let mut lease = lease.take().unwrap();
                let panicked = catch_unwind(AssertUnwindSafe(|| lease.enter(|_| -> () { quiet_panic() })));
                assert!(panicked.is_err());
                drop(lease);
                Report::Done
            }
            Order::ResetFails(how) => {
                let mut lease = lease.take().unwrap();
                lease.enter(|probe| probe.on_reset = how);
                drop(lease);
                Report::Done
            }
            Order::Forget => {
                std::mem::forget(lease.take());
                return;
            }
        };
        reports.send((number, report)).unwrap();
    }
}

fn take(
    number: usize,
    result: Result<Lease<Probe>, CheckoutError>,
    held: &mut Option<Lease<Probe>>,
) -> Report {
    match result {
        Ok(mut lease) => {
            lease.enter(|probe| probe.work(number as u64, || ()));
            *held = Some(lease);
            Report::Got
        }
        Err(CheckoutError::TimedOut { .. }) => Report::TimedOut,
        Err(CheckoutError::LineFull { .. }) => Report::LineFull,
        Err(CheckoutError::Exhausted { .. }) => Report::Exhausted,
        Err(CheckoutError::Closed { .. }) => Report::Closed,
        Err(CheckoutError::Build { .. }) => Report::BuildFailed,
        Err(error) => panic!("unexpected: {error}"),
    }
}

fn play(mut model: Model, steps: &[Step]) {
    let workshop = Arc::new(Workshop::default());
    let pool = workshop.pool(
        quiet(model.capacity)
            .min_idle(model.min_idle)
            .max_waiters(model.max_waiters)
            .max_uses(model.max_uses)
            .idle_timeout(IDLE_TIMEOUT)
            .acquire_timeout(PATIENCE),
    );
    model.maintain(false);
    let mut now = Instant::now();
    let (reporter, reports) = mpsc::channel();
    let mut actors: Vec<_> = (0..ACTORS).map(|number| Actor::start(number, &pool, &reporter)).collect();
    for (count, &step) in steps.iter().enumerate() {
        let context = || format!("step {count}, {step:?}, of {steps:?}");
        let order = |actor: usize, order: Order| actors[actor].orders.send(order).unwrap();
        match step {
            Step::Checkout(actor) if model.is_free(actor) => {
                model.checkout(actor, Report::Got);
                order(actor, Order::Checkout(PATIENCE));
            }
            Step::TryCheckout(actor) if model.is_free(actor) => {
                model.checkout(actor, Report::Exhausted);
                order(actor, Order::TryCheckout);
            }
            Step::Impatient(actor) if model.is_free(actor) => {
                model.checkout(actor, Report::TimedOut);
                order(actor, Order::Checkout(Duration::from_millis(2)));
            }
            Step::Return(actor) if model.held.contains_key(&actor) => {
                model.come_home(actor);
                model.report(actor, Report::Done);
                order(actor, Order::GiveBack);
            }
            Step::Discard(actor) | Step::PanicInside(actor) | Step::ResetFails(actor, _)
                if model.held.contains_key(&actor) =>
            {
                model.discard(actor);
                model.report(actor, Report::Done);
                order(
                    actor,
                    match step {
                        Step::Discard(_) => Order::Discard,
                        Step::ResetFails(_, how) => Order::ResetFails(how),
                        _ => Order::PanicInside,
                    },
                );
            }
            Step::Cancel(actor) => {
                // Cancelled outside of its sandbox: that one is clean.
                if model.held.contains_key(&actor) {
                    model.come_home(actor);
                }
                model.line.retain(|&other| other != actor);
                actors[actor].canceller.cancel();
                let gone = std::mem::replace(&mut actors[actor], Actor::start(actor, &pool, &reporter));
                assert!(gone.handle.join().is_err(), "{}", context());
            }
            Step::Forget(actor) if model.held.contains_key(&actor) => {
                model.discard(actor);
                order(actor, Order::Forget);
                let gone = std::mem::replace(&mut actors[actor], Actor::start(actor, &pool, &reporter));
                gone.handle.join().unwrap();
            }
            Step::Maintain { all_spare } => {
                model.maintain(all_spare);
                now += if all_spare { IDLE_TIMEOUT * 2 } else { Duration::ZERO };
                pool.maintain(now);
            }
            Step::BreakFactory(broken) => {
                model.broken = broken;
                workshop.broken.store(broken, SeqCst);
            }
            Step::Close if !model.closed => {
                model.close();
                pool.close();
            }
            _ => continue,
        }
        // Exactly these, in any order; the line's order is in who they are.
        while !model.reports.is_empty() {
            let (actor, report) = reports
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("no report: {:?} at {}", model.reports, context()));
            assert_eq!(model.reports.remove(&actor), Some(report), "actor {actor} at {}", context());
        }
        // What an actor does before it waits, or its storage's end, may still be under way.
        let began = Instant::now();
        while let Some(difference) = model.difference(&pool.status(), &workshop) {
            assert!(began.elapsed() < Duration::from_secs(10), "{difference} at {}", context());
            std::thread::yield_now();
        }
        assert_settled(&pool, &workshop, model.held.len());
        for &actor in model.held.keys() {
            assert_eq!(pool.leases_of(actors[actor].handle.id()).len(), 1, "actor {actor} at {}", context());
        }
        assert!(reports.try_recv().is_err(), "somebody reported who was not to, at {}", context());
    }
    for actor in &actors {
        actor.canceller.cancel();
    }
    for actor in actors {
        let _ = actor.handle.join();
    }
    pool.close();
    assert!(pool.wait_drained(PATIENCE), "{:?} after {steps:?}", pool.status());
    assert_eq!(workshop.alive(), 0, "after {steps:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 400, ..ProptestConfig::default() })]
    #[test]
    fn the_pool_does_what_the_model_does(
        capacity in 1_usize..4,
        min_idle in 0_usize..3,
        max_waiters in 0_usize..5,
        max_uses in prop_oneof![Just(u64::MAX), 1_u64..4],
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let model = Model {
            capacity,
            min_idle: min_idle.min(capacity),
            max_waiters,
            max_uses,
            broken: false,
            closed: false,
            idle: VecDeque::new(),
            held: BTreeMap::new(),
            line: VecDeque::new(),
            fewest_idle: 0,
            owed: 0,
            created: 0,
            discarded: 0,
            retired: 0,
            build_failures: 0,
            timed_out: 0,
            rejected: 0,
            checkouts: 0,
            reports: BTreeMap::new(),
        };
        play(model, &steps);
    }
}

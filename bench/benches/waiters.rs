//! Twenty that want one object each: how long a checkout waits, at p50, p99 and p99.99.
//!
//! A closed loop: for each object of the pool there are [`FOR_EACH`] who check one out, hold it, give it back and
//! begin again. What is measured is each one's time from its wish to its object, those included that did not have to wait.
//! A fair pool makes everybody wait for about the same time, so the tail lies close to the median; what it can't help is
//! the machine stopping for a moment. How long an object is held makes three tables:
//!
//! * `a yield`: nothing but the hand-over itself, the hardest for the pool;
//! * `20 us of work`: on the worker, which has others go on in the middle of it;
//! * `1 ms of waiting`: what a request does that waits for something else meanwhile.
//!
//! object-pool, a bare channel and a mutexed stack have no line to wait in: whoever finds them empty yields and looks again.
//! deadpool runs on tokio with as many workers; crossbeam's channel and the condition variable, which
//! block, also run on threads. The runs of all pools alternate, [`ROUNDS`] times; of each pool the round with
//! the median p99.99 counts. `cargo bench -p sandpool-bench --bench waiters -- sandpool` picks pools whose names contain a
//! word, `--quick` takes one short round of each.

use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel;
use hdrhistogram::Histogram;
use sandpool::runtime::{spawn_on, time, Pool, Sandbox};
use support::peers::{self, Channel, Deadpool, ObjectPool};
use support::{pool_of, workers, Nothing, Pooled};

mod support;

/// How many want each object.
const FOR_EACH: usize = 20;
const ROUNDS: usize = 3;
/// How long each round of each pool lasts. Everybody goes on until then, so there are as many to the end.
const LASTS: Duration = Duration::from_secs(2);
/// How long it lasts with `--quick`, once: enough to see that it can be done.
const LASTS_QUICK: Duration = Duration::from_millis(100);

/// How an object is held.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hold {
    Yield,
    Work,
    Wait,
}

const WORK: Duration = Duration::from_micros(20);
const WAIT: Duration = Duration::from_millis(1);

impl Hold {
    const ALL: [Hold; 3] = [Hold::Yield, Hold::Work, Hold::Wait];

    fn name(self) -> &'static str {
        match self {
            Hold::Yield => "a yield",
            Hold::Work => "20 us of work",
            Hold::Wait => "1 ms of waiting",
        }
    }

    /// How many objects there are: few where each one keeps a worker busy.
    fn objects(self) -> usize {
        match self {
            Hold::Yield | Hold::Work => 8,
            Hold::Wait => 64,
        }
    }
}

/// One run of one pool.
#[derive(Clone, Copy)]
struct Round {
    hold: Hold,
    lasts: Duration,
}

impl Round {
    fn objects(self) -> usize {
        self.hold.objects()
    }

    fn users(self) -> usize {
        self.objects() * FOR_EACH
    }
}

fn spin(duration: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < duration {
        std::hint::spin_loop();
    }
}

type Waits = Histogram<u64>;

fn histogram() -> Waits {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("these bounds are valid")
}

/// In coroutines, on all workers. `checkout` returns what is held until its drop.
fn coroutines<P, O>(round: Round, pool: &P, checkout: impl Fn(&P) -> O + Copy + Send + 'static) -> Waits
where
    P: Clone + Send + 'static,
{
    let workers = workers();
    let end = Instant::now() + round.lasts;
    let running: Vec<_> = (0..round.users())
        .map(|number| {
            let pool = pool.clone();
            spawn_on(workers[number % workers.len()], move || {
                let mut waits = Vec::new();
                while Instant::now() < end {
                    let begun = Instant::now();
                    let object = checkout(&pool);
                    waits.push(begun.elapsed().as_nanos() as u64);
                    match round.hold {
                        Hold::Yield => time::yield_now(),
                        Hold::Work => {
                            spin(WORK / 2);
                            time::yield_now();
                            spin(WORK / 2);
                        }
                        Hold::Wait => time::sleep(WAIT),
                    }
                    drop(object);
                    // Or it would have the worker, and the next object, for itself.
                    time::yield_now();
                }
                waits
            })
        })
        .collect();
    together(running.into_iter().map(|coroutine| coroutine.join().expect("nothing fails in it")))
}

/// In threads, of which each wants an object as often.
fn threads<P: Clone + Send + 'static, O>(
    round: Round,
    pool: &P,
    checkout: impl Fn(&P) -> O + Copy + Send + 'static,
) -> Waits {
    let end = Instant::now() + round.lasts;
    let running: Vec<_> = (0..round.users())
        .map(|_| {
            let pool = pool.clone();
            thread::spawn(move || {
                let mut waits = Vec::new();
                while Instant::now() < end {
                    let begun = Instant::now();
                    let object = checkout(&pool);
                    waits.push(begun.elapsed().as_nanos() as u64);
                    match round.hold {
                        Hold::Yield => thread::yield_now(),
                        Hold::Work => spin(WORK),
                        Hold::Wait => thread::sleep(WAIT),
                    }
                    drop(object);
                }
                waits
            })
        })
        .collect();
    together(running.into_iter().map(|thread| thread.join().expect("nothing fails in it")))
}

/// What all of them waited, in nanoseconds.
fn together(each: impl Iterator<Item = Vec<u64>>) -> Waits {
    let mut all = histogram();
    each.flatten().for_each(|wait| all.saturating_record(wait.max(1)));
    all
}

fn of_sandpool(round: Round) -> Waits {
    let pool = pool_of::<Nothing>(round.objects());
    coroutines(round, &pool, |pool: &Pool<Nothing>| {
        let mut lease = pool.checkout_within(Duration::from_secs(60)).expect("its turn comes");
        lease.enter(|nothing| nothing.touch());
        lease
    })
}

fn of_deadpool(round: Round) -> Waits {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers().len())
        .enable_time()
        .build()
        .expect("tokio starts");
    let pool: Deadpool<Nothing> = peers::deadpool(round.objects());
    let end = Instant::now() + round.lasts;
    runtime.block_on(async {
        let tasks: Vec<_> = (0..round.users())
            .map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move {
                    let mut waits = Vec::new();
                    while Instant::now() < end {
                        let begun = Instant::now();
                        let mut nothing = pool.get().await.expect("its turn comes");
                        waits.push(begun.elapsed().as_nanos() as u64);
                        nothing.touch();
                        match round.hold {
                            Hold::Yield => tokio::task::yield_now().await,
                            Hold::Work => {
                                spin(WORK / 2);
                                tokio::task::yield_now().await;
                                spin(WORK / 2);
                            }
                            Hold::Wait => tokio::time::sleep(WAIT).await,
                        }
                        drop(nothing);
                        tokio::task::yield_now().await;
                    }
                    waits
                })
            })
            .collect();
        let mut all = histogram();
        for task in tasks {
            let waits = task.await.expect("nothing fails in it");
            waits.into_iter().for_each(|wait| all.saturating_record(wait.max(1)));
        }
        all
    })
}

fn of_object_pool(round: Round) -> Waits {
    coroutines(round, &peers::object_pool(round.objects()), |pool: &ObjectPool<Nothing>| loop {
        if let Some(mut nothing) = pool.try_pull_owned() {
            nothing.touch();
            break nothing;
        }
        time::yield_now();
    })
}

/// Goes back into its channel when it is dropped.
struct FromChannel(Option<Box<Nothing>>, channel::Sender<Box<Nothing>>);

impl Drop for FromChannel {
    fn drop(&mut self) {
        if let Some(mut nothing) = self.0.take() {
            nothing.reset().expect("it is nothing");
            self.1.try_send(nothing).expect("there is room");
        }
    }
}

fn of_channel(round: Round) -> Waits {
    coroutines(round, &peers::crossbeam_channel(round.objects()), |(sender, receiver): &Channel<Nothing>| {
        loop {
            if let Ok(nothing) = receiver.try_recv() {
                break FromChannel(Some(nothing), sender.clone());
            }
            time::yield_now();
        }
    })
}

fn of_channel_on_threads(round: Round) -> Waits {
    threads(round, &peers::crossbeam_channel(round.objects()), |(sender, receiver): &Channel<Nothing>| {
        FromChannel(receiver.recv().ok(), sender.clone())
    })
}

/// A stack, and what whoever waits for one of it waits on, if it may block.
type Stack = Arc<(Mutex<Vec<Box<Nothing>>>, Condvar)>;

/// Goes back onto its stack when it is dropped.
struct FromStack(Option<Box<Nothing>>, Stack);

impl Drop for FromStack {
    fn drop(&mut self) {
        if let Some(mut nothing) = self.0.take() {
            nothing.reset().expect("it is nothing");
            self.1 .0.lock().unwrap().push(nothing);
            self.1 .1.notify_one();
        }
    }
}

fn stack(objects: usize) -> Stack {
    Arc::new((Mutex::new(peers::boxes(objects).collect()), Condvar::new()))
}

fn of_stack(round: Round) -> Waits {
    coroutines(round, &stack(round.objects()), |stack: &Stack| loop {
        let nothing = stack.0.lock().unwrap().pop();
        if nothing.is_some() {
            break FromStack(nothing, Arc::clone(stack));
        }
        time::yield_now();
    })
}

fn of_stack_on_threads(round: Round) -> Waits {
    threads(round, &stack(round.objects()), |stack: &Stack| {
        let mut nothings = stack.0.lock().unwrap();
        loop {
            if let Some(nothing) = nothings.pop() {
                break FromStack(Some(nothing), Arc::clone(stack));
            }
            nothings = stack.1.wait(nothings).unwrap();
        }
    })
}

type Measurement = (&'static str, fn(Round) -> Waits);

const POOLS: [Measurement; 7] = [
    ("sandpool", of_sandpool),
    ("deadpool", of_deadpool),
    ("object-pool", of_object_pool),
    ("crossbeam channel", of_channel),
    ("crossbeam channel, threads", of_channel_on_threads),
    ("mutexed stack", of_stack),
    ("mutexed stack, threads", of_stack_on_threads),
];

fn main() {
    // `cargo test` asks benchmarks for nothing but that they can be run.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let is_quick = words.iter().any(|word| word == "--quick");
    let (rounds, lasts) = if is_quick { (1, LASTS_QUICK) } else { (ROUNDS, LASTS) };
    let picked: Vec<_> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let is_picked = |name: &str| picked.is_empty() || picked.iter().any(|&word| name.contains(word));
    let pools: Vec<_> = POOLS.into_iter().filter(|(name, _)| is_picked(name)).collect();
    workers();
    let mut all: Vec<_> = Hold::ALL.map(|hold| vec![(hold, Vec::new()); pools.len()]).concat();
    for _ in 0..rounds {
        for (place, (hold, waits)) in all.iter_mut().enumerate() {
            let (_, measure) = pools[place % pools.len()];
            waits.push(measure(Round { hold: *hold, lasts }));
        }
    }
    println!("{FOR_EACH} want each object; microseconds until they have it");
    for (place, (hold, waits)) in all.into_iter().enumerate() {
        let (name, _) = pools[place % pools.len()];
        if place % pools.len() == 0 {
            print_head(hold);
        }
        print_row(name, &median(waits), lasts);
    }
}

/// The round whose p99.99 is the median of all.
fn median(mut rounds: Vec<Waits>) -> Waits {
    rounds.sort_by_key(|waits| waits.value_at_quantile(0.9999));
    rounds.swap_remove(rounds.len() / 2)
}

fn print_head(hold: Hold) {
    println!("\nheld for {}, {} objects", hold.name(), hold.objects());
    let heads = ["p50", "p99", "p99.99", "max", "p99.99 / p50", "a second"];
    println!(
        "{:28}{:>11}{:>11}{:>11}{:>11}{:>14}{:>11}",
        "", heads[0], heads[1], heads[2], heads[3], heads[4], heads[5]
    );
}

fn print_row(name: &str, waits: &Waits, lasts: Duration) {
    let micros = |nanos: u64| nanos as f64 / 1e3;
    let [p50, p99, p9999] = [0.5, 0.99, 0.9999].map(|quantile| waits.value_at_quantile(quantile));
    println!(
        "{name:28}{:>11.2}{:>11.2}{:>11.2}{:>11.2}{:>14.1}{:>11.0}",
        micros(p50),
        micros(p99),
        micros(p9999),
        micros(waits.max()),
        p9999 as f64 / p50 as f64,
        waits.len() as f64 / lasts.as_secs_f64(),
    );
}

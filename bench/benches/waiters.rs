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
//! block, also run on threads. The runs of all pools alternate, [`ROUNDS`] times; the round with the best p99.99 counts, for the
//! others tell of the machine.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel;
use hdrhistogram::Histogram;
use sandpool::runtime::{spawn_on, time, Pool, Sandbox};
use support::{pool_of_nothing, workers, Nothing};

mod support;

/// How many want each object.
const FOR_EACH: usize = 20;
const ROUNDS: usize = 3;
/// How long each round of each pool lasts. Everybody goes on until then, so there are as many to the end.
const ROUND: Duration = Duration::from_secs(2);

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
fn coroutines<P, O>(hold: Hold, pool: &P, checkout: impl Fn(&P) -> O + Copy + Send + 'static) -> Waits
where
    P: Clone + Send + 'static,
{
    let workers = workers();
    let end = Instant::now() + ROUND;
    let running: Vec<_> = (0..hold.objects() * FOR_EACH)
        .map(|number| {
            let pool = pool.clone();
            spawn_on(workers[number % workers.len()], move || {
                let mut waits = Vec::new();
                while Instant::now() < end {
                    let begun = Instant::now();
                    let object = checkout(&pool);
                    waits.push(begun.elapsed().as_nanos() as u64);
                    match hold {
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
    hold: Hold,
    pool: &P,
    checkout: impl Fn(&P) -> O + Copy + Send + 'static,
) -> Waits {
    let end = Instant::now() + ROUND;
    let running: Vec<_> = (0..hold.objects() * FOR_EACH)
        .map(|_| {
            let pool = pool.clone();
            thread::spawn(move || {
                let mut waits = Vec::new();
                while Instant::now() < end {
                    let begun = Instant::now();
                    let object = checkout(&pool);
                    waits.push(begun.elapsed().as_nanos() as u64);
                    match hold {
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

fn of_sandpool(hold: Hold) -> Waits {
    let pool = pool_of_nothing(hold.objects());
    coroutines(hold, &pool, |pool: &Pool<Nothing>| {
        let mut lease = pool.checkout_within(Duration::from_secs(60)).expect("its turn comes");
        lease.enter(|nothing| nothing.0 = black_box(nothing.0) + 1);
        lease
    })
}

struct Manager;

impl deadpool::managed::Manager for Manager {
    type Type = Box<Nothing>;
    type Error = std::convert::Infallible;

    async fn create(&self) -> Result<Box<Nothing>, Self::Error> {
        Ok(Box::new(Nothing(0)))
    }

    async fn recycle(
        &self,
        nothing: &mut Box<Nothing>,
        _: &deadpool::managed::Metrics,
    ) -> deadpool::managed::RecycleResult<Self::Error> {
        nothing.reset().expect("it is nothing");
        Ok(())
    }
}

fn of_deadpool(hold: Hold) -> Waits {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers().len())
        .enable_time()
        .build()
        .expect("tokio starts");
    let pool = deadpool::managed::Pool::builder(Manager).max_size(hold.objects()).build();
    let pool: deadpool::managed::Pool<Manager> = pool.expect("these are its defaults");
    let end = Instant::now() + ROUND;
    runtime.block_on(async {
        let tasks: Vec<_> = (0..hold.objects() * FOR_EACH)
            .map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move {
                    let mut waits = Vec::new();
                    while Instant::now() < end {
                        let begun = Instant::now();
                        let mut nothing = pool.get().await.expect("its turn comes");
                        waits.push(begun.elapsed().as_nanos() as u64);
                        nothing.0 = black_box(nothing.0) + 1;
                        match hold {
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

fn of_object_pool(hold: Hold) -> Waits {
    let pool = Arc::new(object_pool::Pool::new(hold.objects(), || Box::new(Nothing(0))));
    coroutines(hold, &pool, |pool: &Arc<object_pool::Pool<Box<Nothing>>>| loop {
        if let Some(mut nothing) = pool.try_pull_owned() {
            nothing.0 = black_box(nothing.0) + 1;
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

type Channel = (channel::Sender<Box<Nothing>>, channel::Receiver<Box<Nothing>>);

fn crossbeam_channel(objects: usize) -> Channel {
    let (sender, receiver) = channel::bounded(objects);
    (0..objects).for_each(|_| sender.try_send(Box::new(Nothing(0))).expect("there is room"));
    (sender, receiver)
}

fn of_channel(hold: Hold) -> Waits {
    coroutines(hold, &crossbeam_channel(hold.objects()), |(sender, receiver): &Channel| loop {
        if let Ok(nothing) = receiver.try_recv() {
            break FromChannel(Some(nothing), sender.clone());
        }
        time::yield_now();
    })
}

fn of_channel_on_threads(hold: Hold) -> Waits {
    threads(hold, &crossbeam_channel(hold.objects()), |(sender, receiver): &Channel| {
        FromChannel(receiver.recv().ok(), sender.clone())
    })
}

/// Goes back onto its stack when it is dropped.
struct FromStack(Option<Nothing>, Arc<(Mutex<Vec<Nothing>>, Condvar)>);

impl Drop for FromStack {
    fn drop(&mut self) {
        if let Some(mut nothing) = self.0.take() {
            nothing.reset().expect("it is nothing");
            self.1 .0.lock().unwrap().push(nothing);
            self.1 .1.notify_one();
        }
    }
}

fn stack(objects: usize) -> Arc<(Mutex<Vec<Nothing>>, Condvar)> {
    Arc::new((Mutex::new((0..objects).map(|_| Nothing(0)).collect()), Condvar::new()))
}

fn of_stack(hold: Hold) -> Waits {
    coroutines(hold, &stack(hold.objects()), |stack: &Arc<(Mutex<Vec<Nothing>>, Condvar)>| loop {
        let nothing = stack.0.lock().unwrap().pop();
        if nothing.is_some() {
            break FromStack(nothing, Arc::clone(stack));
        }
        time::yield_now();
    })
}

fn of_stack_on_threads(hold: Hold) -> Waits {
    threads(hold, &stack(hold.objects()), |stack: &Arc<(Mutex<Vec<Nothing>>, Condvar)>| {
        let mut nothings = stack.0.lock().unwrap();
        loop {
            if let Some(nothing) = nothings.pop() {
                break FromStack(Some(nothing), Arc::clone(stack));
            }
            nothings = stack.1.wait(nothings).unwrap();
        }
    })
}

type Measurement = (&'static str, fn(Hold) -> Waits);

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
    // A word on the command line picks the pools whose names contain it.
    let picked: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_picked = |name: &str| picked.is_empty() || picked.iter().any(|word| name.contains(word));
    workers();
    let mut best: BTreeMap<(Hold, usize), Waits> = BTreeMap::new();
    for _ in 0..ROUNDS {
        for hold in Hold::ALL {
            for (place, (_, measure)) in POOLS.iter().enumerate().filter(|(_, (name, _))| is_picked(name)) {
                let waits = measure(hold);
                let tail = |waits: &Waits| waits.value_at_quantile(0.9999);
                match best.get(&(hold, place)) {
                    Some(before) if tail(before) <= tail(&waits) => {}
                    _ => drop(best.insert((hold, place), waits)),
                }
            }
        }
    }
    println!("{FOR_EACH} want each object; microseconds until they have it");
    for hold in Hold::ALL {
        println!("\nheld for {}, {} objects", hold.name(), hold.objects());
        let heads = ["p50", "p99", "p99.99", "max", "p99.99 / p50", "checkouts"];
        println!(
            "{:28}{:>10}{:>10}{:>10}{:>10}{:>14}{:>11}",
            "", heads[0], heads[1], heads[2], heads[3], heads[4], heads[5]
        );
        for (place, (name, _)) in POOLS.iter().enumerate() {
            let Some(waits) = best.get(&(hold, place)) else { continue };
            let micros = |nanos: u64| nanos as f64 / 1e3;
            let [p50, p99, p9999] = [0.5, 0.99, 0.9999].map(|quantile| waits.value_at_quantile(quantile));
            println!(
                "{name:28}{:>10.1}{:>10.1}{:>10.1}{:>10.1}{:>14.1}{:>11}",
                micros(p50),
                micros(p99),
                micros(p9999),
                micros(waits.max()),
                p9999 as f64 / p50 as f64,
                waits.len(),
            );
        }
    }
}

//! Twenty that want one object each: how long a checkout waits, at p50, p99 and p99.99.
//!
//! A closed loop: for each object of the pool there are [`FOR_EACH`] who check one out, hold it, give it back and
//! begin again. What is measured is each one's time from its wish to its object, those included that did not have to wait.
//! A fair pool makes everybody wait for about the same time, so the tail lies close to the median; what it can't help is
//! the machine stopping for a moment. How an object is held makes four tables:
//!
//! * `a yield`: nothing but the hand-over itself, the hardest for the pool;
//! * `20 us of work`: on the worker, which has others go on in the middle of it;
//! * `1 ms of waiting`: what a request does that waits for something else meanwhile;
//! * `an Opus packet`: here the object is an audio sandbox, which processes one after a yield, and whose reset is part of
//!   giving it back (with deadpool, of the next checkout). In the other three it is [`Nothing`], whose reset is empty.
//!
//! object-pool, a bare channel and a mutexed stack have no line to wait in: whoever finds them empty yields and looks again.
//! deadpool runs on tokio with as many workers; crossbeam's channel and the condition variable, which
//! block, also run on threads. The runs of all pools alternate, [`ROUNDS`] times; of each pool the round with
//! the median p99.99 counts. `cargo bench -p sandpool-bench --bench waiters -- sandpool` picks pools whose names contain a
//! word, `--quick` takes one short round of each.

use std::sync::{Arc, Condvar, LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel;
use hdrhistogram::Histogram;
use sandbox::{AudioSandbox, Packets, Scratch};
use sandpool::runtime::{deep_stack, spawn_on, time, Lease, Pool};
use support::peers::{self, reset_in_coroutine, Channel, Deadpool, ObjectPool};
use support::{encoded, pool_of, workers, Nothing, Pooled};

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
    Packet,
}

const WORK: Duration = Duration::from_micros(20);
const WAIT: Duration = Duration::from_millis(1);

impl Hold {
    const ALL: [Hold; 4] = [Hold::Yield, Hold::Work, Hold::Wait, Hold::Packet];

    fn name(self) -> &'static str {
        match self {
            Hold::Yield => "a yield",
            Hold::Work => "20 us of work",
            Hold::Wait => "1 ms of waiting",
            Hold::Packet => "an Opus packet",
        }
    }

    /// How many objects there are: few where each one keeps a worker busy.
    fn objects(self) -> usize {
        match self {
            Hold::Yield | Hold::Work | Hold::Packet => 8,
            Hold::Wait => 64,
        }
    }

    /// The pools that are measured with it, around what is held so.
    fn pools(self) -> [Measurement; 7] {
        match self {
            Hold::Yield | Hold::Work | Hold::Wait => pools_of::<Nothing>(),
            Hold::Packet => pools_of::<AudioSandbox>(),
        }
    }
}

/// An object that is waited for.
trait Wanted: Pooled {
    /// Does with it what is done while it is held for a packet. It runs on the deep stack, or on a thread's own.
    fn process_packet(&mut self);
}

/// It is never held for one.
impl Wanted for Nothing {
    fn process_packet(&mut self) {
        self.touch();
    }
}

impl Wanted for AudioSandbox {
    fn process_packet(&mut self) {
        deep_stack::scratch(|(scratch, out): &mut (Scratch, Packets)| {
            self.process(&PACKET[..], scratch, out).expect("it is a packet");
        });
    }
}

/// 20 ms of a buzz at 48 kHz, as Opus.
static PACKET: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let samples: Vec<f32> = (0..960).map(|at| (at % 400) as f32 / 1000.0 - 0.2).collect();
    encoded(&mut AudioSandbox::made(), &samples)
});

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

/// In coroutines, on all workers. `checkout` returns what is held until its drop, `packet` has it process one.
fn coroutines<P, O>(
    round: Round,
    pool: &P,
    checkout: impl Fn(&P) -> O + Copy + Send + 'static,
    packet: impl Fn(&mut O) + Copy + Send + 'static,
) -> Waits
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
                    let mut object = checkout(&pool);
                    waits.push(begun.elapsed().as_nanos() as u64);
                    match round.hold {
                        Hold::Yield => time::yield_now(),
                        Hold::Work => {
                            spin(WORK / 2);
                            time::yield_now();
                            spin(WORK / 2);
                        }
                        Hold::Wait => time::sleep(WAIT),
                        Hold::Packet => {
                            time::yield_now();
                            packet(&mut object);
                        }
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
    packet: impl Fn(&mut O) + Copy + Send + 'static,
) -> Waits {
    let end = Instant::now() + round.lasts;
    let running: Vec<_> = (0..round.users())
        .map(|_| {
            let pool = pool.clone();
            thread::spawn(move || {
                let mut waits = Vec::new();
                while Instant::now() < end {
                    let begun = Instant::now();
                    let mut object = checkout(&pool);
                    waits.push(begun.elapsed().as_nanos() as u64);
                    match round.hold {
                        Hold::Yield => thread::yield_now(),
                        Hold::Work => spin(WORK),
                        Hold::Wait => thread::sleep(WAIT),
                        Hold::Packet => {
                            thread::yield_now();
                            packet(&mut object);
                        }
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

fn of_sandpool<S: Wanted>(round: Round) -> Waits {
    let checkout = |pool: &Pool<S>| {
        let mut lease = pool.checkout_within(Duration::from_secs(60)).expect("its turn comes");
        lease.enter(|sandbox| sandbox.touch());
        lease
    };
    let packet = |lease: &mut Lease<S>| lease.enter_deep(S::process_packet);
    coroutines(round, &pool_of::<S>(round.objects()), checkout, packet)
}

fn of_deadpool<S: Wanted>(round: Round) -> Waits {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers().len())
        .enable_time()
        .build()
        .expect("tokio starts");
    let pool: Deadpool<S> = peers::deadpool(round.objects());
    let end = Instant::now() + round.lasts;
    runtime.block_on(async {
        let tasks: Vec<_> = (0..round.users())
            .map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move {
                    let mut waits = Vec::new();
                    while Instant::now() < end {
                        let begun = Instant::now();
                        let mut object = pool.get().await.expect("its turn comes");
                        waits.push(begun.elapsed().as_nanos() as u64);
                        object.touch();
                        match round.hold {
                            Hold::Yield => tokio::task::yield_now().await,
                            Hold::Work => {
                                spin(WORK / 2);
                                tokio::task::yield_now().await;
                                spin(WORK / 2);
                            }
                            Hold::Wait => tokio::time::sleep(WAIT).await,
                            Hold::Packet => {
                                tokio::task::yield_now().await;
                                deep_stack::run(|| object.process_packet());
                            }
                        }
                        drop(object);
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

/// Reset when it is dropped, and then goes back.
struct FromObjectPool<S: Wanted>(object_pool::ReusableOwned<Box<S>>);

impl<S: Wanted> Drop for FromObjectPool<S> {
    fn drop(&mut self) {
        reset_in_coroutine(&mut **self.0);
    }
}

fn of_object_pool<S: Wanted>(round: Round) -> Waits {
    let checkout = |pool: &ObjectPool<S>| loop {
        if let Some(mut object) = pool.try_pull_owned() {
            object.touch();
            break FromObjectPool(object);
        }
        time::yield_now();
    };
    let packet = |held: &mut FromObjectPool<S>| deep_stack::run(|| held.0.process_packet());
    coroutines(round, &peers::object_pool(round.objects()), checkout, packet)
}

/// An object that is reset when it is dropped, and then given to `back`.
struct Held<S: Wanted, B: Fn(Box<S>)> {
    object: Option<Box<S>>,
    back: B,
}

impl<S: Wanted, B: Fn(Box<S>)> Held<S, B> {
    fn process_packet(&mut self) {
        let object = self.object.as_mut().expect("it goes only with its drop");
        deep_stack::run(|| object.process_packet());
    }
}

impl<S: Wanted, B: Fn(Box<S>)> Drop for Held<S, B> {
    fn drop(&mut self) {
        if let Some(mut object) = self.object.take() {
            reset_in_coroutine(&mut *object);
            (self.back)(object);
        }
    }
}

/// What is taken from a channel, and goes back into it.
fn from_channel<S: Wanted>(
    object: Option<Box<S>>,
    sender: &channel::Sender<Box<S>>,
) -> Held<S, impl Fn(Box<S>)> {
    let sender = sender.clone();
    Held { object, back: move |object| sender.try_send(object).expect("there is room") }
}

fn of_channel<S: Wanted>(round: Round) -> Waits {
    let checkout = |(sender, receiver): &Channel<S>| loop {
        if let Ok(object) = receiver.try_recv() {
            break from_channel(Some(object), sender);
        }
        time::yield_now();
    };
    coroutines(round, &peers::crossbeam_channel(round.objects()), checkout, |held| held.process_packet())
}

fn of_channel_on_threads<S: Wanted>(round: Round) -> Waits {
    let checkout = |(sender, receiver): &Channel<S>| from_channel(receiver.recv().ok(), sender);
    threads(round, &peers::crossbeam_channel(round.objects()), checkout, |held| held.process_packet())
}

/// A stack, and what whoever waits for one of it waits on, if it may block.
type Stack<S> = Arc<(Mutex<Vec<Box<S>>>, Condvar)>;

fn stack<S: Wanted>(objects: usize) -> Stack<S> {
    Arc::new((Mutex::new(peers::boxes(objects).collect()), Condvar::new()))
}

/// What is taken from a stack, and goes back onto it.
fn from_stack<S: Wanted>(object: Option<Box<S>>, stack: &Stack<S>) -> Held<S, impl Fn(Box<S>)> {
    let stack = Arc::clone(stack);
    let back = move |object| {
        stack.0.lock().unwrap().push(object);
        stack.1.notify_one();
    };
    Held { object, back }
}

fn of_stack<S: Wanted>(round: Round) -> Waits {
    let checkout = |stack: &Stack<S>| loop {
        let object = stack.0.lock().unwrap().pop();
        if object.is_some() {
            break from_stack(object, stack);
        }
        time::yield_now();
    };
    coroutines(round, &stack(round.objects()), checkout, |held| held.process_packet())
}

fn of_stack_on_threads<S: Wanted>(round: Round) -> Waits {
    let checkout = |stack: &Stack<S>| {
        let mut objects = stack.0.lock().unwrap();
        loop {
            if let Some(object) = objects.pop() {
                break from_stack(Some(object), stack);
            }
            objects = stack.1.wait(objects).unwrap();
        }
    };
    threads(round, &stack(round.objects()), checkout, |held| held.process_packet())
}

type Measurement = (&'static str, fn(Round) -> Waits);

fn pools_of<S: Wanted>() -> [Measurement; 7] {
    [
        ("sandpool", of_sandpool::<S>),
        ("deadpool", of_deadpool::<S>),
        ("object-pool", of_object_pool::<S>),
        ("crossbeam channel", of_channel::<S>),
        ("crossbeam channel, threads", of_channel_on_threads::<S>),
        ("mutexed stack", of_stack::<S>),
        ("mutexed stack, threads", of_stack_on_threads::<S>),
    ]
}

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
    workers();
    LazyLock::force(&PACKET);
    let of = |hold: Hold| {
        hold.pools().into_iter().filter(|(name, _)| is_picked(name)).map(move |pool| (hold, pool))
    };
    let mut all: Vec<_> = Hold::ALL.into_iter().flat_map(of).map(|row| (row, Vec::new())).collect();
    for _ in 0..rounds {
        for ((hold, (_, measure)), waits) in &mut all {
            waits.push(measure(Round { hold: *hold, lasts }));
        }
    }
    println!("{FOR_EACH} want each object; microseconds until they have it");
    let mut table = None;
    for ((hold, (name, _)), waits) in all {
        if table.replace(hold) != Some(hold) {
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

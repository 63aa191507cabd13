//! libopus in a loop, without any server: as many streams, one packet of each in turn, as a server sees them.
//!
//! No server that transcodes can be faster. The states of many streams do not fit the processor's caches, so their
//! number matters. The packets are those that `sandpool-wrk` sends, each stream at the place where that client is.

use std::hint::black_box;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use rustix::time::{clock_gettime, ClockId};
use sandpool_peers::transcoder::{AnyError, Buffers, Chain, Transcoder};
use sandpool_wrk::Voice;
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Every stream has had so many packets before it is measured.
const WARM_UP_ROUNDS: u64 = 2;

#[derive(Clone, Debug, Parser)]
struct Options {
    /// Streams, of all threads together
    #[arg(long, default_value = "100")]
    streams: usize,
    /// Threads, each with its share of the streams
    #[arg(long, default_value = "1")]
    threads: usize,
    /// What is between decoder and encoder
    #[arg(long, value_enum, default_value = "none")]
    chain: Chain,
    /// How long it is measured
    #[arg(long, default_value = "5")]
    seconds: f64,
    /// Print the packets a second, and a second of processor time, and nothing else
    #[arg(long)]
    terse: bool,
}

fn main() -> Result<(), AnyError> {
    let Options { streams, threads, chain, seconds, terse } = Options::parse();
    if streams < threads || threads == 0 || !(0.1..=3600.0).contains(&seconds) {
        return Err("--threads from 1 up to the streams, and --seconds from 0.1 to 3600 are accepted".into());
    }
    let voice = Voice::recorded()?;
    let rates = thread::scope(|scope| {
        let share = |thread: usize| streams * thread / threads..streams * (thread + 1) / threads;
        let work = |thread| {
            let (voice, clients) = (&voice, share(thread));
            scope.spawn(move || transcode(voice, clients, chain, Duration::from_secs_f64(seconds)))
        };
        let threads: Vec<_> = (0..threads).map(work).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked")?).collect::<Vec<_>>()
    });
    let rates = rates.into_iter().collect::<Result<Vec<Rate>, _>>()?;
    let rate: f64 = rates.iter().map(|rate| rate.per_second).sum();
    let per_cpu_second = rates.iter().map(|rate| rate.per_cpu_second).sum::<f64>() / threads as f64;
    if terse {
        println!("{rate:.1} {per_cpu_second:.1}");
    } else {
        println!("{rate:.1} packets/s: {streams} streams, {threads} threads, chain {chain:?}");
        println!("{per_cpu_second:.1} packets a second of processor time");
    }
    Ok(())
}

/// Packets of one thread.
struct Rate {
    per_second: f64,
    /// What it would be if the thread had its core for itself.
    per_cpu_second: f64,
}

/// Seconds of processor time that this thread has used.
fn cpu_seconds() -> f64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

/// Transcodes one packet of each of `clients` in turn for `length`.
fn transcode(voice: &Voice, clients: Range<usize>, chain: Chain, length: Duration) -> Result<Rate, AnyError> {
    let mut streams = clients.clone().map(|_| Transcoder::new(chain)).collect::<Result<Vec<_>, _>>()?;
    let mut buffers = Buffers::default();
    let mut round = |sequence: u64| {
        let each = clients.clone().zip(&mut streams);
        each.map(|(client, stream)| {
            stream.transcode(voice.packet(client, sequence), &mut buffers).map(<[u8]>::len)
        })
        .sum::<Result<usize, _>>()
    };
    (0..WARM_UP_ROUNDS).try_for_each(|sequence| round(sequence).map(drop))?;
    let (begin, cpu) = (Instant::now(), cpu_seconds());
    let mut rounds = 0;
    while begin.elapsed() < length {
        black_box(round(WARM_UP_ROUNDS + rounds)?);
        rounds += 1;
    }
    let packets = rounds as f64 * clients.len() as f64;
    Ok(Rate {
        per_second: packets / begin.elapsed().as_secs_f64(),
        per_cpu_second: packets / (cpu_seconds() - cpu).max(1e-9),
    })
}

//! libopus in a loop, without any server: as many streams, one packet of each in turn, as a server sees them.
//!
//! No server that transcodes can be faster. The states of many streams do not fit the processor's caches, so their
//! number matters. The packets are those that `sandpool-wrk` sends, each stream at the place where that client is.

use std::hint::black_box;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
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
    /// Print the packets a second and nothing else
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
    let rate: f64 = rates.into_iter().collect::<Result<Vec<f64>, _>>()?.iter().sum();
    if terse {
        println!("{rate:.1}");
    } else {
        println!("{rate:.1} packets/s: {streams} streams, {threads} threads, chain {chain:?}");
    }
    Ok(())
}

/// Transcodes one packet of each of `clients` in turn for `length`: packets a second.
fn transcode(voice: &Voice, clients: Range<usize>, chain: Chain, length: Duration) -> Result<f64, AnyError> {
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
    let begin = Instant::now();
    let mut rounds = 0;
    while begin.elapsed() < length {
        black_box(round(WARM_UP_ROUNDS + rounds)?);
        rounds += 1;
    }
    Ok(rounds as f64 * clients.len() as f64 / begin.elapsed().as_secs_f64())
}

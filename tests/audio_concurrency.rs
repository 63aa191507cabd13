//! Many coroutines at once in a small pool of audio sandboxes, on real workers: each must get, bit for bit,
//! what a lone run in a sandbox of its own gets.

use std::sync::Arc;
use std::time::Duration;

use sandbox::{AudioSandbox, Format, Incoming, Packets, Scratch, Settings, SettingsUpdate};
use sandpool::audio_file::Recording;
use sandpool::runtime::{deep_stack, spawn, start, time};
use sandpool::runtime::{Lease, Pool, PoolOptions, RuntimeOptions};

/// Fewer sandboxes than coroutines in every test, so that each is lent again and again.
const SANDBOXES: usize = 8;

fn pool() -> Pool<AudioSandbox> {
    start(RuntimeOptions::default().workers(2));
    let options = PoolOptions::default().capacity(SANDBOXES).acquire_timeout(Duration::from_secs(60));
    Pool::new(options, || AudioSandbox::new(Settings::default())).unwrap()
}

fn settings(update: SettingsUpdate) -> Settings {
    Settings::default().with(&update).unwrap()
}

fn at_rate(hz: i64) -> Settings {
    settings(SettingsUpdate::default().with("sample_rate", hz))
}

/// 20 ms blocks of real speech at the settings' rate and channels, `count` of them from block `first` on.
fn speech(settings: &Settings, first: usize, count: usize) -> Vec<Vec<f32>> {
    speech_at(settings.sample_rate().hz(), settings.channel_count(), first, count)
}

fn speech_at(rate: u32, channels: usize, first: usize, count: usize) -> Vec<Vec<f32>> {
    static RECORDING: std::sync::OnceLock<Recording> = std::sync::OnceLock::new();
    let recording = RECORDING.get_or_init(|| {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/sandbox/tests/audio/voice_16k.wav");
        Recording::from_wav(&std::fs::read(path).unwrap()).unwrap()
    });
    let per_block = rate as usize / 50;
    // One second more than is needed, from somewhere in the recording.
    let from = (first * 320) % (recording.frames() - 64_000);
    let excerpt = Recording {
        format: recording.format,
        samples: recording.samples[from..from + 64_000.min(count * 320 + 16_000)].to_vec(),
    };
    let samples = excerpt.at_rate(rate).samples;
    (0..count)
        .map(|block| {
            let mono = &samples[block * per_block..(block + 1) * per_block];
            // The right channel at half the level: the two must not be taken for one.
            match channels {
                1 => mono.to_vec(),
                _ => mono.iter().flat_map(|&sample| [sample, sample * 0.5]).collect(),
            }
        })
        .collect()
}

/// What a coroutine does with its sandbox, and what comes of it, to the bit. Steps are separated by yields.
type Job = Arc<
    dyn Fn(&mut dyn FnMut(&mut dyn FnMut(&mut AudioSandbox, &mut Scratch))) -> Vec<Vec<u8>> + Send + Sync,
>;

fn alone(job: &Job) -> Vec<Vec<u8>> {
    let mut sandbox = AudioSandbox::new(Settings::default()).unwrap();
    let mut scratch = Scratch::default();
    job(&mut |step| step(&mut sandbox, &mut scratch))
}

fn in_lease(job: &Job, lease: &mut Lease<AudioSandbox>) -> Vec<Vec<u8>> {
    job(&mut |step| {
        lease.enter_deep(|sandbox| deep_stack::scratch(|scratch: &mut Scratch| step(sandbox, scratch)));
        time::yield_now();
    })
}

/// Runs all jobs at once over one pool and compares each with its lone run.
fn each_gets_what_a_lone_run_gets(jobs: Vec<Job>) {
    let pool = pool();
    let expected: Vec<_> = jobs.iter().map(alone).collect();
    let coroutines: Vec<_> = jobs
        .into_iter()
        .map(|job| {
            let pool = pool.clone();
            spawn(move || in_lease(&job, &mut pool.checkout().unwrap()))
        })
        .collect();
    for (number, (coroutine, expected)) in coroutines.into_iter().zip(expected).enumerate() {
        assert!(
            !expected.is_empty() && expected.iter().all(|bytes| !bytes.is_empty()),
            "job {number} does nothing"
        );
        assert!(coroutine.join().unwrap() == expected, "job {number} got something else than its lone run");
    }
    let status = pool.status();
    assert_eq!((status.leased, status.waiting, status.discarded), (0, 0, 0));
    assert!(status.created <= SANDBOXES as u64 && status.idle == status.size, "{status:?}");
}

fn encoding(settings: Settings, first: usize, count: usize) -> Job {
    let blocks = speech(&settings, first, count);
    Arc::new(move |steps| {
        steps(&mut |sandbox, _| sandbox.configure(&settings).unwrap());
        let encode = |block: &Vec<f32>| {
            let mut packet = Packets::default();
            steps(&mut |sandbox, scratch| sandbox.encode(block, scratch, &mut packet).unwrap());
            packet[0].to_vec()
        };
        blocks.iter().map(encode).collect()
    })
}

/// Encoded speech, as a client would send it.
fn packets(settings: &Settings, first: usize, count: usize) -> Vec<Vec<u8>> {
    alone(&encoding(*settings, first, count))
}

fn bytes(samples: &[f32]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

fn encode_then_decode(settings: Settings, first: usize, count: usize) -> Job {
    let blocks = speech(&settings, first, count);
    Arc::new(move |steps| {
        steps(&mut |sandbox, _| sandbox.configure(&settings).unwrap());
        let through = |block: &Vec<f32>| {
            let mut decoded = Vec::new();
            steps(&mut |sandbox, scratch| {
                let mut packet = Packets::default();
                sandbox.encode(block, scratch, &mut packet).unwrap();
                decoded = bytes(sandbox.decode(&packet[0], scratch).unwrap());
            });
            decoded
        };
        blocks.iter().map(through).collect()
    })
}

fn clarity(settings: Settings, first: usize, count: usize) -> Job {
    clarity_of(settings, speech(&settings, first, count))
}

fn clarity_of(settings: Settings, blocks: Vec<Vec<f32>>) -> Job {
    Arc::new(move |steps| {
        steps(&mut |sandbox, _| sandbox.configure(&settings).unwrap());
        let enhance = |block: &Vec<f32>| {
            let mut block = block.clone();
            steps(&mut |sandbox, _| sandbox.enhance(&mut block).unwrap());
            bytes(&block)
        };
        blocks.iter().map(enhance).collect()
    })
}

/// Speech in the settings' input format, in and out. Of every seventh packet there is only word that it was lost.
fn full_pipeline(settings: Settings, first: usize, count: usize) -> Job {
    let packets = match settings.input_format() {
        Format::Opus => packets(&settings, first, count),
        Format::Pcm(format) => {
            speech_at(settings.input_sample_rate(), settings.channel_count(), first, count)
                .iter()
                .map(|block| {
                    let mut bytes = Vec::new();
                    format.encode(block, &mut bytes);
                    bytes
                })
                .collect()
        }
    };
    Arc::new(move |steps| {
        steps(&mut |sandbox, _| sandbox.configure(&settings).unwrap());
        let mut answers = Vec::new();
        for (index, packet) in packets.iter().enumerate() {
            let mut answer = Packets::default();
            steps(&mut |sandbox, scratch| {
                let incoming = match index % 7 {
                    6 => Incoming::Lost { next: packets.get(index + 1).map(Vec::as_slice) },
                    _ => Incoming::Packet(packet),
                };
                sandbox.process(incoming, scratch, &mut answer).unwrap();
            });
            answers.extend(answer.iter().map(<[u8]>::to_vec));
        }
        answers
    })
}

fn stereo(hz: i64, intensity: f64, bitrate: i64, complexity: i64) -> Settings {
    settings(
        SettingsUpdate::default()
            .with("sample_rate", hz)
            .with("channels", 2)
            .with("intensity", intensity)
            .with("bitrate", bitrate)
            .with("complexity", complexity),
    )
}

/// PCM at one rate, worked on at another, and given at a third. As Opus it is given in packets that are not full at the
/// end.
fn resampled(from: i64, through: i64, to: i64, formats: [&str; 2], channels: i64) -> Settings {
    settings(
        SettingsUpdate::default()
            .with("sample_rate", through)
            .with("channels", channels)
            .with("input_format", formats[0])
            .with("output_format", formats[1])
            .with("input_sample_rate", from)
            .with("output_sample_rate", to)
            .with("packet_ms", 60),
    )
}

/// Which stages run is in the bits of `stages`; their parameters differ as well.
fn chain(stages: usize, quality: &str) -> SettingsUpdate {
    let part = stages as f64 / 256.0;
    let update = SettingsUpdate::default()
        .with("quality", quality)
        .with("noise_gate.threshold_db", -60.0 + 20.0 * part)
        .with("compressor.threshold_db", -30.0 + 20.0 * part)
        .with("equaliser.band_2_kind", "peak")
        .with("equaliser.band_2_gain_db", 12.0 * part - 6.0)
        .with("spatial.width", 0.5 + part)
        .with("limiter.ceiling_db", -6.0 + 5.0 * part);
    Settings::switches()
        .enumerate()
        .fold(update, |update, (bit, name)| update.with(name, stages >> bit & 1 == 1))
}

const RATES: [i64; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];

#[test]
fn a_hundred_concurrent_encodes() {
    each_gets_what_a_lone_run_gets((0..100).map(|n| encoding(at_rate(48_000), n * 7, 4)).collect());
}

#[test]
fn fifty_concurrent_encode_decode_pipelines() {
    each_gets_what_a_lone_run_gets((0..50).map(|n| encode_then_decode(at_rate(16_000), n * 11, 6)).collect());
}

#[test]
fn mixed_sample_rates_at_once() {
    each_gets_what_a_lone_run_gets((0..40).map(|n| full_pipeline(at_rate(RATES[n % 5]), n * 5, 5)).collect());
}

#[test]
fn concurrent_clarity() {
    let strength = |n: usize| stereo(RATES[n % 5], n as f64 * 2.0 / 59.0, 32_000, 5);
    each_gets_what_a_lone_run_gets((0..60).map(|n| clarity(strength(n), n * 3, 10)).collect());
}

#[test]
fn concurrent_resampling() {
    let ways = [
        (44_100, 16_000, 48_000),
        (48_000, 48_000, 8_000),
        (22_050, 24_000, 96_000),
        (8_000, 48_000, 44_100),
        (48_000, 12_000, 32_000),
        (32_000, 8_000, 22_050),
    ];
    let formats = [["s16le", "f32le"], ["f32le", "s24le"], ["s24le", "opus"], ["opus", "s16le"]];
    let jobs = (0..72).map(|n| {
        let (from, through, to) = ways[n % ways.len()];
        full_pipeline(resampled(from, through, to, formats[n / 6 % 4], 1 + (n / 24) as i64 % 2), n * 4, 10)
    });
    each_gets_what_a_lone_run_gets(jobs.collect());
}

#[test]
fn concurrent_spatial_stereo() {
    let spatial = |n: usize| {
        let part = n as f64 / 59.0;
        let placed = SettingsUpdate::default()
            .with("spatial.width", 2.0 * part)
            .with("spatial.depth", 1.0 - part)
            .with("spatial.pan", 2.0 * part - 1.0);
        stereo(RATES[n % 5], 0.0, 48_000, 5).with(&placed).unwrap()
    };
    let job = |n: usize| match n % 2 {
        0 => clarity(spatial(n), n * 3, 10),
        _ => full_pipeline(spatial(n), n * 3, 10),
    };
    each_gets_what_a_lone_run_gets((0..60).map(job).collect());
}

#[test]
fn mixed_chains() {
    let qualities = ["high_quality", "balanced", "high_quality", "battery_saver"];
    let jobs = (0..64).map(|n| {
        // Every stage with and without each other one, in an order that leaves none out for long.
        let update = chain(n * 37 % 256, qualities[n % 4]).with("intensity", n as f64 / 32.0);
        let stream = match n % 3 {
            0 => resampled(44_100, RATES[n % 5], 48_000, ["s16le", "opus"], 1 + n as i64 % 2),
            1 => stereo(RATES[n % 5], 1.0, 48_000, 5),
            _ => at_rate(RATES[n % 5]),
        };
        full_pipeline(stream.with(&update).unwrap(), n * 5, 12)
    });
    each_gets_what_a_lone_run_gets(jobs.collect());
}

/// A beat at a tempo of its own for each `n`, 20 ms at a time: something that the genre is heard of after some seconds.
fn beat(settings: &Settings, n: usize, count: usize) -> Vec<Vec<f32>> {
    let (rate, channels) = (settings.sample_rate().hz() as usize, settings.channel_count());
    let frame = |at: usize| {
        let time = at as f32 / rate as f32;
        let since = time % (0.3 + 0.02 * n as f32);
        let drum = (-30.0 * since).exp() * (since * 400.0).sin();
        let chord: f32 = [110.0, 165.0, 220.0, 277.2]
            .iter()
            .flat_map(|hz| {
                (1..6).map(move |k| (time * std::f32::consts::TAU * hz * k as f32).sin() / k as f32)
            })
            .sum();
        0.5 * drum + 0.08 * chord
    };
    let block = |block: usize| {
        let frames = block * rate / 50..(block + 1) * rate / 50;
        frames.flat_map(|at| std::iter::repeat_n(frame(at), channels)).collect()
    };
    (0..count).map(block).collect()
}

#[test]
fn concurrent_genres() {
    let follows = |n: usize| {
        let wishes = SettingsUpdate::default().with("genre", true).with("compressor", true);
        stereo([16_000, 48_000][n % 2], 1.0, 32_000, 5).with(&wishes).unwrap()
    };
    // Of three jobs two are over before anything is heard, and must not follow what the one before them has heard.
    let job = |n: usize| match n % 3 {
        0 => clarity_of(follows(n), beat(&follows(n), n, 350)),
        _ => clarity(follows(n), n * 3, 10),
    };
    each_gets_what_a_lone_run_gets((0..36).map(job).collect());
}

#[test]
fn everything_at_once_in_high_quality() {
    let everything =
        |n: usize| stereo(RATES[n % 5], 2.0, 64_000, 10).with(&chain(255, "high_quality")).unwrap();
    each_gets_what_a_lone_run_gets((0..24).map(|n| full_pipeline(everything(n), n * 6, 15)).collect());
}

#[test]
fn fifty_full_pipelines() {
    each_gets_what_a_lone_run_gets((0..50).map(|n| full_pipeline(at_rate(48_000), n * 9, 8)).collect());
}

#[test]
fn five_hundred_rapid_operations() {
    each_gets_what_a_lone_run_gets((0..500).map(|n| full_pipeline(at_rate(16_000), n % 50, 1)).collect());
}

#[test]
fn no_setting_and_no_signal_of_one_lease_reaches_the_next() {
    let jobs = (0..60).map(|n| match n % 4 {
        0 => full_pipeline(stereo(48_000, 2.0, 128_000, 10), n * 2, 3),
        1 => full_pipeline(at_rate(8_000), n * 2, 3),
        2 => clarity(stereo(16_000, 0.3, 12_000, 0), n * 2, 3),
        // Nothing configured: whatever the one before has left would show.
        _ => full_pipeline(Settings::default(), n * 2, 3),
    });
    each_gets_what_a_lone_run_gets(jobs.collect());
}

#[test]
fn corrupt_packets_of_one_client_change_nothing_for_the_others() {
    let good = full_pipeline(at_rate(48_000), 5, 6);
    let expected = alone(&good);
    let pool = pool();
    let coroutines: Vec<_> = (0..40_u8)
        .map(|number| {
            let (pool, good) = (pool.clone(), Arc::clone(&good));
            spawn(move || {
                let mut lease = pool.checkout().unwrap();
                if number % 2 == 0 {
                    for length in 0..30 {
                        let junk = vec![number.wrapping_mul(37).wrapping_add(length); usize::from(length)];
                        lease.enter_deep(|sandbox| {
                            deep_stack::scratch(|scratch: &mut Scratch| {
                                let _ = sandbox.process(&junk, scratch, &mut Packets::default());
                            });
                        });
                        time::yield_now();
                    }
                    None
                } else {
                    Some(in_lease(&good, &mut lease))
                }
            })
        })
        .collect();
    for coroutine in coroutines {
        assert!(coroutine.join().unwrap().is_none_or(|answers| answers == expected));
    }
}

//! What a packet of 20 ms at 48 kHz costs: the bare codec, the whole path in each quality, and each stage by itself.
//!
//! What is compared goes through the same second of sound over and over and takes turns after each fifth of it, so that a
//! busy machine slows all of it alike. The best is that of each fifth, for so short a time is seldom interrupted; a ratio is
//! the median over all turns. `cargo bench -p sandpool-bench --bench engine`.
//!
//! * The sound is something like a voice: a buzz whose pitch, vowel and loudness move, and a little noise, so that every
//!   stage has work.
//! * *Everything* is all that `Settings::switches` names and voice clarity, every band of the equaliser among them;
//!   what the quality does not run does not run.
//! * *Bare* is decoding and encoding with libopus alone, at the complexity that the quality has, once of the packets
//!   themselves and once with what the stages made of them to encode. In stereo the latter is the honest one: the
//!   packets hold one voice, twice as loud on the left, and after `spatial` there are two different channels, which cost
//!   the encoder more whoever made them.
//! * A stage's cost is that of the path between decoder and encoder with it alone, less that with none.

use std::time::Instant;

use opus::{Application, Bitrate, Channels, Decoder, Encoder};
use sandbox::{AudioSandbox, Packets, Quality, Scratch, Settings, SettingsUpdate};

/// Sample frames in 20 ms at 48 kHz.
const BLOCK: usize = 960;
/// A second, and how much of it is a turn's.
const BLOCKS: usize = 50;
const TURN: usize = 10;
const BITRATE: i32 = 32_000;
const ROUNDS: usize = 100;

fn main() {
    // Without the word from `cargo bench` this is a test whether it runs at all.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { ROUNDS } else { 1 };
    for channels in [1, 2] {
        for (name, quality) in Quality::NAMES {
            paths(channels, name, quality, rounds);
        }
        stages(channels, rounds);
    }
}

/// One of those that take turns: its name, and its work on so many blocks from that one on.
type Runner<'a> = (String, Box<dyn FnMut(std::ops::Range<usize>) + 'a>);

/// Microseconds a packet of each runner in each turn, the fifths of the second over and over.
fn measured(runners: &mut [Runner<'_>], rounds: usize) -> Vec<Vec<f64>> {
    let mut taken = vec![Vec::new(); runners.len()];
    runners.iter_mut().for_each(|(_, work)| work(0..BLOCKS));
    for _ in 0..rounds {
        for first in (0..BLOCKS).step_by(TURN) {
            for ((_, work), taken) in runners.iter_mut().zip(&mut taken) {
                let begin = Instant::now();
                work(first..first + TURN);
                taken.push(begin.elapsed().as_secs_f64() * 1e6 / TURN as f64);
            }
        }
    }
    taken
}

/// The mean over the fifths of the best of each.
fn best(times: &[f64]) -> f64 {
    const TURNS: usize = BLOCKS / TURN;
    let best_of =
        |fifth: usize| times.iter().skip(fifth).step_by(TURNS).copied().fold(f64::INFINITY, f64::min);
    (0..TURNS).map(best_of).sum::<f64>() / TURNS as f64
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The whole path beside the bare library.
fn paths(channels: usize, name: &str, quality: Quality, rounds: usize) {
    let (packets, all) = (packets(channels), everything(name, channels));
    let decoded = decoded(&packets, channels);
    let made = made_of(&packets, &all);
    let mut runners: Vec<Runner<'_>> = vec![
        ("bare, the packets".to_owned(), Box::new(bare(&packets, None, channels, quality))),
        ("bare, what is made of them".to_owned(), Box::new(bare(&packets, Some(&made), channels, quality))),
        ("nothing on".to_owned(), Box::new(path(&packets, settings(&nothing(name, channels))))),
        ("everything on".to_owned(), Box::new(path(&packets, all))),
        ("everything on, without codec".to_owned(), Box::new(between(&decoded, all))),
    ];
    let taken = measured(&mut runners, rounds);
    println!("\n{name}, {channels} channel(s): us a packet (best, median), of bare, of bare with the same to encode");
    for ((what, _), times) in runners.iter().zip(&taken) {
        let of = |bare: usize| median(times.iter().zip(&taken[bare]).map(|(time, bare)| time / bare));
        let (best, median) = (best(times), median(times.iter().copied()));
        println!("  {what:30} {best:7.1} {median:7.1}   {:5.3}  {:5.3}", of(0), of(1));
    }
}

/// Each stage by itself.
fn stages(channels: usize, rounds: usize) {
    let decoded = decoded(&packets(channels), channels);
    let none = nothing("high_quality", channels);
    let alone = |stage: &'static str| (stage.to_owned(), with(none.clone(), stage));
    let all_but_denoise = switches().filter(|stage| *stage != "denoise").fold(none.clone(), with);
    let wishes: Vec<(String, SettingsUpdate)> = [("none".to_owned(), none.clone())]
        .into_iter()
        .chain(switches().map(alone))
        .chain([("all but denoise".to_owned(), all_but_denoise)])
        .collect();
    let mut runners: Vec<Runner<'_>> = wishes
        .into_iter()
        .map(|(name, wishes)| -> Runner<'_> { (name, Box::new(between(&decoded, settings(&wishes)))) })
        .collect();
    let taken = measured(&mut runners, rounds);
    println!("\nstages, {channels} channel(s): us a packet (best, median of what it takes more than none)");
    for ((stage, _), times) in runners.iter().zip(&taken) {
        let more = median(times.iter().zip(&taken[0]).map(|(time, none)| time - none));
        println!("  {stage:30} {:7.2} {more:7.2}", best(times) - best(&taken[0]));
    }
}

/// All that can be switched, and voice clarity.
fn switches() -> impl Iterator<Item = &'static str> {
    std::iter::once("clarity").chain(Settings::switches())
}

/// A second of something like a voice, interleaved; the right channel half as loud.
fn voice(channels: usize) -> Vec<f32> {
    let rate = 48_000.0;
    let (mut phase, mut seed) = (0.0f32, 1u32);
    let mut sound = Vec::new();
    for at in 0..BLOCKS * BLOCK {
        let seconds = at as f32 / rate;
        phase += (120.0 + 25.0 * (2.1 * seconds).sin()) / rate;
        let first_formant = 500.0 + 250.0 * (4.7 * seconds).sin();
        let buzz: f32 = (1..30)
            .map(|harmonic| {
                let hz = 120.0 * harmonic as f32;
                let near = 1.0 / (1.0 + ((hz - first_formant) / 150.0).powi(2));
                let high = 0.3 / (1.0 + ((hz - 2_300.0) / 300.0).powi(2));
                (near + high) * (std::f32::consts::TAU * phase * harmonic as f32).sin()
            })
            .sum();
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (seed >> 8) as f32 / (1 << 23) as f32 - 1.0;
        let syllable = 0.5 + 0.5 * (31.4 * seconds).sin();
        let sample = 0.15 * syllable * buzz + 0.003 * noise;
        sound.extend([sample, 0.5 * sample].into_iter().take(channels));
    }
    sound
}

fn bare_encoder(channels: usize, complexity: u8) -> Encoder {
    let mut encoder = Encoder::new(48_000, count(channels), Application::Voip).unwrap();
    encoder.set_bitrate(Bitrate::Bits(BITRATE)).unwrap();
    encoder.set_complexity(complexity.into()).unwrap();
    encoder
}

fn count(channels: usize) -> Channels {
    match channels {
        1 => Channels::Mono,
        _ => Channels::Stereo,
    }
}

/// What a client sends.
fn packets(channels: usize) -> Vec<Vec<u8>> {
    let mut encoder = bare_encoder(channels, 9);
    let encode = |block: &[f32]| encoder.encode_vec_float(block, 4_000).unwrap();
    voice(channels).chunks_exact(BLOCK * channels).map(encode).collect()
}

/// Nothing on, not even voice clarity.
fn nothing(quality: &str, channels: usize) -> SettingsUpdate {
    SettingsUpdate::default()
        .with("quality", quality)
        .with("channels", channels as i64)
        .with("bitrate", i64::from(BITRATE))
        .with("intensity", 0)
        .with("denoise", false)
}

/// `update` with a stage on, and with work for it.
fn with(update: SettingsUpdate, stage: &str) -> SettingsUpdate {
    match stage {
        "clarity" => update.with("intensity", 1.0),
        "equaliser" => ["high_pass", "low_shelf", "peak", "peak", "high_shelf"].into_iter().enumerate().fold(
            update,
            |update, (band, kind)| {
                let named = |what| format!("equaliser.band_{}_{what}", band + 1);
                let update = update.with(&named("kind"), kind);
                if kind == "high_pass" {
                    update
                } else {
                    update.with(&named("gain_db"), 3.0)
                }
            },
        ),
        "compressor" => update.with("compressor.make_up_db", 6.0),
        "spatial" => update.with("spatial.width", 1.5).with("spatial.depth", 0.3),
        other => update.with(other, true),
    }
}

fn settings(update: &SettingsUpdate) -> Settings {
    Settings::default().with(update).unwrap()
}

fn everything(quality: &str, channels: usize) -> Settings {
    let update = switches().fold(nothing(quality, channels), with);
    settings(&update)
}

/// Decode and encode, without anything of ours: what was decoded, or `instead` of it what is given.
fn bare<'a>(
    packets: &'a [Vec<u8>],
    instead: Option<&'a [f32]>,
    channels: usize,
    quality: Quality,
) -> impl FnMut(std::ops::Range<usize>) + 'a {
    let mut decoder = Decoder::new(48_000, count(channels)).unwrap();
    let mut encoder = bare_encoder(channels, quality.complexity());
    let (mut pcm, mut out) = (vec![0.0; BLOCK * channels], [0; 4_000]);
    move |blocks| {
        for index in blocks {
            decoder.decode_float(&packets[index], &mut pcm, false).unwrap();
            let encoded = instead.map_or(&pcm[..], |sound| &sound[index * pcm.len()..][..pcm.len()]);
            encoder.encode_float(encoded, &mut out).unwrap();
        }
    }
}

/// Decoder, stages, encoder.
fn path(packets: &[Vec<u8>], settings: Settings) -> impl FnMut(std::ops::Range<usize>) + '_ {
    let mut sandbox = AudioSandbox::new(settings).unwrap();
    let (mut scratch, mut out) = (Scratch::default(), Packets::default());
    move |blocks| {
        for packet in &packets[blocks] {
            sandbox.process(packet, &mut scratch, &mut out).unwrap();
        }
    }
}

/// The stages alone, and a copy.
fn between(decoded: &[f32], settings: Settings) -> impl FnMut(std::ops::Range<usize>) + '_ {
    let mut sandbox = AudioSandbox::new(settings).unwrap();
    let mut block = vec![0.0; decoded.len() / BLOCKS];
    move |blocks| {
        for index in blocks {
            let sound = &decoded[index * block.len()..][..block.len()];
            block.copy_from_slice(sound);
            sandbox.enhance(&mut block).unwrap();
        }
    }
}

fn decoded(packets: &[Vec<u8>], channels: usize) -> Vec<f32> {
    made_of(packets, &settings(&nothing("balanced", channels)))
}

/// A second of what the stages give once they have settled.
fn made_of(packets: &[Vec<u8>], settings: &Settings) -> Vec<f32> {
    let mut sandbox = AudioSandbox::new(*settings).unwrap();
    let mut scratch = Scratch::default();
    let mut sound = Vec::new();
    for _ in 0..10 {
        sound.clear();
        for packet in packets {
            let mut block = sandbox.decode(packet, &mut scratch).unwrap().to_vec();
            sandbox.enhance(&mut block).unwrap();
            sound.extend(block);
        }
    }
    sound
}

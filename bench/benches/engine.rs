//! What a packet of 20 ms at 48 kHz costs: the bare codec, the whole path in each quality, and each stage by itself.
//!
//! The sound is something like a voice: a buzz whose pitch, vowel and loudness move, and a little noise, so that every
//! stage has work. Wherever bare codec and whole path are compared, both run at the complexity that the
//! quality has. Mono is what to judge by: in stereo the spatial stage makes two channels of what was nearly one, and the
//! encoder then has more to do. Whole paths have every stage on that the quality runs, de-noise in `high_quality` only.

use divan::Bencher;
use opus::{Application, Bitrate, Channels, Decoder, Encoder};
use sandbox::{AudioSandbox, Packets, Quality, Scratch, Settings, SettingsUpdate};

fn main() {
    divan::main();
}

/// Sample frames in 20 ms at 48 kHz.
const BLOCK: usize = 960;
/// What a measurement goes through, over and over: so short that it is seldom interrupted, and each time the same, so that
/// the fastest is neither the quietest part nor a lucky one. What a packet costs is a tenth.
const BLOCKS: usize = 10;
const CHANNELS: [usize; 2] = [1, 2];
const BITRATE: i32 = 32_000;

const STAGES: [&str; 7] =
    ["noise_gate", "compressor", "equaliser", "spatial", "limiter", "voice_activity", "metering"];

/// 200 ms of something like a voice, interleaved; the right channel half as loud.
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
    let update = STAGES.into_iter().fold(with(nothing(quality, channels), "clarity"), with);
    settings(&with(update, "denoise"))
}

/// Decode and encode, without anything of ours: the bare path runs at the complexity of the quality it is compared with.
fn bare(bencher: Bencher<'_, '_>, channels: usize, quality: Quality) {
    let packets = packets(channels);
    let mut decoder = Decoder::new(48_000, count(channels)).unwrap();
    let mut encoder = bare_encoder(channels, quality.complexity());
    let (mut pcm, mut out) = (vec![0.0; BLOCK * channels], [0; 4_000]);
    let mut round = || {
        for packet in &packets {
            decoder.decode_float(packet, &mut pcm, false).unwrap();
            encoder.encode_float(&pcm, &mut out).unwrap();
        }
    };
    bencher.bench_local(&mut round);
}

fn path(bencher: Bencher<'_, '_>, channels: usize, settings: Settings) {
    let packets = packets(channels);
    let mut sandbox = AudioSandbox::new(settings).unwrap();
    let (mut scratch, mut out) = (Scratch::default(), Packets::default());
    bencher.bench_local(|| {
        for packet in &packets {
            sandbox.process(packet, &mut scratch, &mut out).unwrap();
        }
    });
}

#[divan::bench_group(sample_count = 400, sample_size = 1)]
mod packet {
    use super::*;

    #[divan::bench(args = CHANNELS)]
    fn bare_as_battery_saver(bencher: Bencher<'_, '_>, channels: usize) {
        bare(bencher, channels, Quality::BatterySaver);
    }

    #[divan::bench(args = CHANNELS)]
    fn bare_as_balanced(bencher: Bencher<'_, '_>, channels: usize) {
        bare(bencher, channels, Quality::Balanced);
    }

    #[divan::bench(args = CHANNELS)]
    fn bare_as_high_quality(bencher: Bencher<'_, '_>, channels: usize) {
        bare(bencher, channels, Quality::HighQuality);
    }

    #[divan::bench(args = CHANNELS)]
    fn nothing_on_balanced(bencher: Bencher<'_, '_>, channels: usize) {
        path(bencher, channels, settings(&nothing("balanced", channels)));
    }

    #[divan::bench(args = CHANNELS)]
    fn everything_on_battery_saver(bencher: Bencher<'_, '_>, channels: usize) {
        path(bencher, channels, everything("battery_saver", channels));
    }

    #[divan::bench(args = CHANNELS)]
    fn everything_on_balanced(bencher: Bencher<'_, '_>, channels: usize) {
        path(bencher, channels, everything("balanced", channels));
    }

    #[divan::bench(args = CHANNELS)]
    fn everything_on_high_quality(bencher: Bencher<'_, '_>, channels: usize) {
        path(bencher, channels, everything("high_quality", channels));
    }
}

#[divan::bench_group(sample_count = 400, sample_size = 1)]
mod enhance {
    use super::*;

    fn stages(bencher: Bencher<'_, '_>, channels: usize, stages: &[&str]) {
        let update = nothing("high_quality", channels);
        let update = stages.iter().fold(update, |update, stage| with(update, stage));
        let mut sandbox = AudioSandbox::new(settings(&update)).unwrap();
        let voice = voice(channels);
        let mut block = vec![0.0; BLOCK * channels];
        bencher.bench_local(|| {
            for sound in voice.chunks_exact(BLOCK * channels) {
                block.copy_from_slice(sound);
                sandbox.enhance(&mut block).unwrap();
            }
        });
    }

    /// What is under all the others here: a copy, and the look for what is no number.
    #[divan::bench(args = CHANNELS)]
    fn none(bencher: Bencher<'_, '_>, channels: usize) {
        stages(bencher, channels, &[]);
    }

    #[divan::bench(args = CHANNELS)]
    fn denoise(bencher: Bencher<'_, '_>, channels: usize) {
        stages(bencher, channels, &["denoise"]);
    }

    #[divan::bench(args = CHANNELS)]
    fn clarity(bencher: Bencher<'_, '_>, channels: usize) {
        stages(bencher, channels, &["clarity"]);
    }

    #[divan::bench(args = CHANNELS)]
    fn noise_gate(bencher: Bencher<'_, '_>, channels: usize) {
        stages(bencher, channels, &["noise_gate"]);
    }

    #[divan::bench(args = CHANNELS)]
    fn compressor(bencher: Bencher<'_, '_>, channels: usize) {
        stages(bencher, channels, &["compressor"]);
    }

    #[divan::bench(args = CHANNELS)]
    fn equaliser(bencher: Bencher<'_, '_>, channels: usize) {
        stages(bencher, channels, &["equaliser"]);
    }

    #[divan::bench(args = CHANNELS)]
    fn spatial(bencher: Bencher<'_, '_>, channels: usize) {
        stages(bencher, channels, &["spatial"]);
    }

    #[divan::bench(args = CHANNELS)]
    fn limiter(bencher: Bencher<'_, '_>, channels: usize) {
        stages(bencher, channels, &["limiter"]);
    }

    #[divan::bench(args = CHANNELS)]
    fn voice_activity(bencher: Bencher<'_, '_>, channels: usize) {
        stages(bencher, channels, &["voice_activity"]);
    }

    #[divan::bench(args = CHANNELS)]
    fn metering(bencher: Bencher<'_, '_>, channels: usize) {
        stages(bencher, channels, &["metering"]);
    }

    #[divan::bench(args = CHANNELS)]
    fn all_but_denoise(bencher: Bencher<'_, '_>, channels: usize) {
        stages(bencher, channels, &[&["clarity"], &STAGES[..]].concat());
    }
}

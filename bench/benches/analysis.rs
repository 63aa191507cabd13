//! What it costs to listen to 20 ms at 48 kHz.

use divan::Bencher;
use sandbox::{LevelMeter, Loudness, Stream, VoiceActivity, VoiceActivityParameters};

fn main() {
    divan::main();
}

fn stream(channels: usize) -> Stream {
    Stream { sample_rate_hz: 48_000, channels }
}

/// A second of something like a voice, in pieces of 20 ms.
fn blocks(channels: usize) -> Vec<Vec<f32>> {
    let sample = |at: usize| {
        let seconds = at as f32 / 48_000.0;
        let buzz: f32 =
            (1..20).map(|k| (seconds * 130.0 * k as f32 * std::f32::consts::TAU).sin() / k as f32).sum();
        0.2 * buzz * (0.6 + 0.4 * (seconds * 20.0).sin())
    };
    (0..50)
        .map(|block| (0..960).flat_map(|index| vec![sample(block * 960 + index); channels]).collect())
        .collect()
}

fn cost(bencher: Bencher<'_, '_>, channels: usize, mut listen: impl FnMut(&[f32])) {
    let blocks = blocks(channels);
    let mut at = 0;
    bencher.bench_local(|| {
        at = (at + 1) % blocks.len();
        listen(divan::black_box(&blocks[at]));
    });
}

#[divan::bench(args = [1, 2])]
fn level_meter(bencher: Bencher<'_, '_>, channels: usize) {
    let mut meter = LevelMeter::new(stream(channels));
    cost(bencher, channels, |block| meter.process(block));
}

#[divan::bench(args = [1, 2])]
fn loudness(bencher: Bencher<'_, '_>, channels: usize) {
    let mut meter = Loudness::new(stream(channels));
    cost(bencher, channels, |block| meter.process(block));
}

#[divan::bench(args = [1, 2])]
fn voice_activity(bencher: Bencher<'_, '_>, channels: usize) {
    let mut detector = VoiceActivity::new(stream(channels), &VoiceActivityParameters::default());
    cost(bencher, channels, |block| detector.process(block, |event| _ = divan::black_box(event)));
}

#[divan::bench]
fn voice_activity_in_silence(bencher: Bencher<'_, '_>) {
    let mut detector = VoiceActivity::new(stream(1), &VoiceActivityParameters::default());
    let silence = [0.0; 960];
    bencher.bench_local(|| detector.process(divan::black_box(&silence), |event| _ = divan::black_box(event)));
}

#[divan::bench]
fn reading_loudness(bencher: Bencher<'_, '_>) {
    let mut meter = Loudness::new(stream(1));
    blocks(1).iter().for_each(|block| meter.process(block));
    bencher.bench_local(|| {
        (meter.momentary_lufs(), meter.short_term_lufs(), meter.integrated_lufs(), meter.range_lu())
    });
}

#[divan::bench]
fn start_all(bencher: Bencher<'_, '_>) {
    let mut level = LevelMeter::new(stream(1));
    let mut loudness = Loudness::new(stream(1));
    let mut detector = VoiceActivity::new(stream(1), &VoiceActivityParameters::default());
    bencher.bench_local(|| {
        level.start(stream(1));
        loudness.start(stream(1));
        detector.start(stream(1), &VoiceActivityParameters::default());
    });
}

//! What the processing chain costs for 20 ms at 48 kHz: each stage, and all four.
//!
//! The sound is a buzz like a voice that swells and fades, so that gate, compressor and limiter all have work; all five
//! bands of the equaliser are on. `loud` drives the limiter so hard that it measures every group of samples.

use divan::Bencher;
use sandbox::{
    Band, BandKind, Compressor, CompressorParameters, Equaliser, EqualiserParameters, Limiter,
    LimiterParameters, NoiseGate, NoiseGateParameters, Stage, Stream,
};

fn main() {
    divan::main();
}

/// Sample frames in 20 ms at 48 kHz.
const BLOCK: usize = 960;
const CHANNELS: [usize; 2] = [1, 2];

fn stream(channels: usize) -> Stream {
    Stream { sample_rate_hz: 48_000, channels }
}

/// Two seconds in blocks.
fn blocks(channels: usize, gain: f32) -> Vec<Vec<f32>> {
    let sample = |at: usize| {
        let seconds = at as f32 / 48_000.0;
        let buzz: f32 =
            (1..9).map(|k| (seconds * 130.0 * k as f32 * std::f32::consts::TAU).sin() / k as f32).sum();
        gain * buzz * (0.5 + 0.5 * (seconds * 8.0).sin()).powi(3)
    };
    let block = |number: usize| {
        (number * BLOCK..(number + 1) * BLOCK)
            .flat_map(|at| std::iter::repeat_n(sample(at), channels))
            .collect()
    };
    (0..100).map(block).collect()
}

fn equaliser() -> EqualiserParameters {
    let band = |kind, frequency_hz, gain_db| Band { kind, frequency_hz, gain_db, q: 0.8 };
    EqualiserParameters {
        bands: [
            band(BandKind::HighPass, 80.0, 0.0),
            band(BandKind::LowShelf, 200.0, -3.0),
            band(BandKind::Peak, 1_000.0, 2.0),
            band(BandKind::Peak, 4_000.0, 3.0),
            band(BandKind::HighShelf, 9_000.0, -2.0),
        ],
    }
}

fn compressor() -> CompressorParameters {
    CompressorParameters { make_up_db: 6.0, ..CompressorParameters::default() }
}

fn over_blocks(bencher: Bencher<'_, '_>, channels: usize, gain: f32, mut process: impl FnMut(&mut [f32])) {
    let blocks = blocks(channels, gain);
    let mut out = vec![0.0; BLOCK * channels];
    let mut at = 0;
    bencher.bench_local(|| {
        at = (at + 1) % blocks.len();
        out.copy_from_slice(&blocks[at]);
        process(&mut out);
    });
}

#[divan::bench(args = CHANNELS)]
fn noise_gate(bencher: Bencher<'_, '_>, channels: usize) {
    let mut stage = NoiseGate::new(stream(channels), &NoiseGateParameters::default());
    over_blocks(bencher, channels, 0.3, |block| stage.process(block));
}

#[divan::bench(args = CHANNELS)]
fn compressor_with_make_up(bencher: Bencher<'_, '_>, channels: usize) {
    let mut stage = Compressor::new(stream(channels), &compressor());
    over_blocks(bencher, channels, 0.3, |block| stage.process(block));
}

#[divan::bench(args = CHANNELS)]
fn equaliser_five_bands(bencher: Bencher<'_, '_>, channels: usize) {
    let mut stage = Equaliser::new(stream(channels), &equaliser());
    over_blocks(bencher, channels, 0.3, |block| stage.process(block));
}

#[divan::bench(args = CHANNELS)]
fn equaliser_flat(bencher: Bencher<'_, '_>, channels: usize) {
    let mut stage = Equaliser::new(stream(channels), &EqualiserParameters::default());
    over_blocks(bencher, channels, 0.3, |block| stage.process(block));
}

#[divan::bench(args = CHANNELS)]
fn limiter(bencher: Bencher<'_, '_>, channels: usize) {
    let mut stage = Limiter::new(stream(channels), &LimiterParameters::default());
    over_blocks(bencher, channels, 0.5, |block| stage.process(block));
}

#[divan::bench(args = CHANNELS)]
fn limiter_loud(bencher: Bencher<'_, '_>, channels: usize) {
    let mut stage = Limiter::new(stream(channels), &LimiterParameters::default());
    over_blocks(bencher, channels, 10.0, |block| stage.process(block));
}

fn chain(bencher: Bencher<'_, '_>, channels: usize, gain: f32) {
    let stream = stream(channels);
    let mut gate = NoiseGate::new(stream, &NoiseGateParameters::default());
    let mut compressor = Compressor::new(stream, &compressor());
    let mut equaliser = Equaliser::new(stream, &equaliser());
    let mut limiter = Limiter::new(stream, &LimiterParameters::default());
    over_blocks(bencher, channels, gain, |block| {
        gate.process(block);
        compressor.process(block);
        equaliser.process(block);
        limiter.process(block);
    });
}

#[divan::bench(args = CHANNELS)]
fn all_four(bencher: Bencher<'_, '_>, channels: usize) {
    chain(bencher, channels, 0.3);
}

#[divan::bench(args = CHANNELS)]
fn all_four_loud(bencher: Bencher<'_, '_>, channels: usize) {
    chain(bencher, channels, 10.0);
}

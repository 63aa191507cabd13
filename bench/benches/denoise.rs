//! What the de-noiser costs: 20 ms of sound, building one, and beginning anew.

use divan::Bencher;
use sandbox::{Denoise, DenoiseParameters, Stage, Stream};

fn main() {
    divan::main();
}

/// 20 ms of a buzz in noise.
fn block(stream: Stream) -> Vec<f32> {
    let mut noise = 1u32;
    let samples = (0..stream.sample_rate_hz as usize / 50).map(|at| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let seconds = at as f32 / stream.sample_rate_hz as f32;
        let buzz: f32 =
            (1..9).map(|k| (seconds * 150.0 * k as f32 * std::f32::consts::TAU).sin() / k as f32).sum();
        0.1 * buzz + 0.1 * ((noise >> 8) as f32 / (1 << 23) as f32 - 1.0)
    });
    samples.flat_map(|sample| std::iter::repeat_n(sample, stream.channels)).collect()
}

fn process(bencher: Bencher<'_, '_>, stream: Stream) {
    let original = block(stream);
    let mut block = original.clone();
    let mut denoise = Denoise::new(stream, &DenoiseParameters::default());
    bencher.bench_local(|| {
        block.copy_from_slice(&original);
        denoise.process(&mut block);
    });
}

#[divan::bench(args = [8_000, 16_000, 24_000, 48_000, 96_000])]
fn mono_20_ms(bencher: Bencher<'_, '_>, sample_rate_hz: u32) {
    process(bencher, Stream { sample_rate_hz, channels: 1 });
}

#[divan::bench(args = [16_000, 48_000])]
fn stereo_20_ms(bencher: Bencher<'_, '_>, sample_rate_hz: u32) {
    process(bencher, Stream { sample_rate_hz, channels: 2 });
}

const STREAM: Stream = Stream { sample_rate_hz: 48_000, channels: 1 };

/// After a second of silence the network rests.
#[divan::bench]
fn silence_20_ms(bencher: Bencher<'_, '_>) {
    let mut denoise = Denoise::new(STREAM, &DenoiseParameters::default());
    denoise.process(&mut vec![0.0; 48_000]);
    let mut block = vec![0.0; 960];
    bencher.bench_local(|| denoise.process(&mut block));
}

#[divan::bench]
fn new() -> Denoise {
    Denoise::new(STREAM, &DenoiseParameters::default())
}

/// Of a stage that was in use, in one channel; the use itself is not counted.
#[divan::bench]
fn start(bencher: Bencher<'_, '_>) {
    bencher
        .with_inputs(|| {
            let mut denoise = new();
            denoise.process(&mut block(STREAM));
            denoise
        })
        .bench_local_refs(|denoise| denoise.start(STREAM, &DenoiseParameters::default()));
}

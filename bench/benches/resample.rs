//! What a change of the sample rate costs for 20 ms, and the formats around it; rubato's way beside it.

use divan::counter::ItemsCount;
use divan::Bencher;
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{
    Async, FixedAsync, Resampler as _, SincInterpolationParameters, SincInterpolationType, WindowFunction,
};
use sandbox::pcm::SampleFormat;
use sandbox::resample::Resampler;

fn main() {
    divan::main();
}

/// The pairs that sessions are likely to use, and the two most costly.
const PAIRS: [(u32, u32); 13] = [
    (48_000, 16_000),
    (16_000, 48_000),
    (48_000, 8_000),
    (8_000, 48_000),
    (48_000, 24_000),
    (24_000, 48_000),
    (44_100, 48_000),
    (48_000, 44_100),
    (44_100, 16_000),
    (16_000, 44_100),
    (22_050, 48_000),
    (96_000, 48_000),
    (48_000, 96_000),
];

/// 20 ms of something, interleaved.
fn block(rate: u32, channels: usize) -> Vec<f32> {
    (0..rate as usize / 50 * channels).map(|n| (n as f32 * 0.1).sin() * 0.3).collect()
}

fn resample(bencher: Bencher<'_, '_>, (from, to): (u32, u32), channels: usize) {
    let input = block(from, channels);
    let mut resampler = Resampler::new(from, to, channels).unwrap();
    let mut output = Vec::new();
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        output.clear();
        resampler.process(&input, &mut output);
        output.len()
    });
}

#[divan::bench(args = PAIRS)]
fn mono_20_ms(bencher: Bencher<'_, '_>, pair: (u32, u32)) {
    resample(bencher, pair, 1);
}

#[divan::bench(args = PAIRS)]
fn stereo_20_ms(bencher: Bencher<'_, '_>, pair: (u32, u32)) {
    resample(bencher, pair, 2);
}

/// A filter that is there already: what a session pays for a resampler.
#[divan::bench(args = [(48_000, 16_000), (44_100, 48_000)])]
fn build_with_a_shared_filter(bencher: Bencher<'_, '_>, (from, to): (u32, u32)) {
    bencher.bench_local(|| Resampler::new(from, to, 1).unwrap());
}

/// rubato's sinc for each phase, with the shortest of its windows that holds 80 dB from the lower Nyquist on and 0.1 dB
/// up to 90 % of it: 128 samples of the lower rate under a Blackman-Harris window, where Kaiser's needs 106.
fn rubato(from: u32, to: u32) -> Async<f32> {
    let divisor =
        (1..=from.min(to)).rev().find(|d| from.is_multiple_of(*d) && to.is_multiple_of(*d)).unwrap();
    let length = 128 * from.max(to) as usize / to as usize;
    let parameters =
        SincInterpolationParameters::new(length.next_multiple_of(8), WindowFunction::BlackmanHarris)
            .f_cutoff(0.944)
            .oversampling_factor((to / divisor) as usize)
            .interpolation(SincInterpolationType::Nearest);
    let ratio = f64::from(to) / f64::from(from);
    Async::new_sinc(ratio, 1.0, &parameters, from as usize / 50, 1, FixedAsync::Input).unwrap()
}

#[divan::bench(args = [(48_000, 16_000), (16_000, 48_000), (44_100, 48_000), (48_000, 44_100)])]
fn rubato_mono_20_ms(bencher: Bencher<'_, '_>, (from, to): (u32, u32)) {
    let input = block(from, 1);
    let mut resampler = rubato(from, to);
    let mut output = vec![0.0; resampler.output_frames_max()];
    let room = output.len();
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        let input = InterleavedSlice::new(&input, 1, input.len()).unwrap();
        let mut output = InterleavedSlice::new_mut(&mut output, 1, room).unwrap();
        resampler.process_into_buffer(&input, &mut output, None).unwrap()
    });
}

#[divan::bench(args = [(48_000, 16_000), (44_100, 48_000)])]
fn rubato_build(bencher: Bencher<'_, '_>, (from, to): (u32, u32)) {
    bencher.bench_local(|| rubato(from, to));
}

#[divan::bench(args = [SampleFormat::F32Le, SampleFormat::S24Le, SampleFormat::S16Le])]
fn decode_20_ms_at_48_khz(bencher: Bencher<'_, '_>, format: SampleFormat) {
    let mut bytes = Vec::new();
    format.encode(&block(48_000, 1), &mut bytes);
    let mut samples = Vec::new();
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        samples.clear();
        format.decode(&bytes, 1, &mut samples)
    });
}

#[divan::bench(args = [SampleFormat::F32Le, SampleFormat::S24Le, SampleFormat::S16Le])]
fn encode_20_ms_at_48_khz(bencher: Bencher<'_, '_>, format: SampleFormat) {
    let samples = block(48_000, 1);
    let mut bytes = Vec::new();
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        bytes.clear();
        format.encode(&samples, &mut bytes);
        bytes.len()
    });
}

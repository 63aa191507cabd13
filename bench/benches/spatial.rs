//! What 20 ms of spatial stereo cost at 48 kHz.

use divan::Bencher;
use sandbox::{Spatial, SpatialParameters, Stage, Stream};

fn main() {
    divan::main();
}

const STREAM: Stream = Stream { sample_rate_hz: 48_000, channels: 2 };

/// Something like a voice, 20 ms on both channels; the right one a bit different where the input is stereo.
fn input(stereo: bool) -> Vec<f32> {
    (0..960)
        .flat_map(|index| {
            let at =
                |shift: f32| 0.3 * ((index as f32 + shift) * 0.02).sin() + 0.1 * (index as f32 * 0.31).sin();
            [at(0.0), at(if stereo { 20.0 } else { 0.0 })]
        })
        .collect()
}

fn cost(bencher: Bencher<'_, '_>, stereo: bool, width: f32, depth: f32, pan: f32) {
    let mut stage = Spatial::new(STREAM, &SpatialParameters { width, depth, pan });
    let input = input(stereo);
    let mut block = input.clone();
    bencher.bench_local(|| {
        block.copy_from_slice(&input);
        stage.process(divan::black_box(&mut block));
    });
}

#[divan::bench]
fn neutral(bencher: Bencher<'_, '_>) {
    cost(bencher, false, 1.0, 0.0, 0.0);
}

#[divan::bench]
fn a_mono_voice_widened(bencher: Bencher<'_, '_>) {
    cost(bencher, false, 1.6, 0.0, 0.0);
}

#[divan::bench]
fn stereo_widened(bencher: Bencher<'_, '_>) {
    cost(bencher, true, 1.6, 0.0, 0.0);
}

#[divan::bench]
fn pan(bencher: Bencher<'_, '_>) {
    cost(bencher, false, 1.0, 0.0, 0.3);
}

#[divan::bench]
fn all(bencher: Bencher<'_, '_>) {
    cost(bencher, false, 2.0, 0.5, 0.3);
}

#[divan::bench]
fn start(bencher: Bencher<'_, '_>) {
    let mut stage = Spatial::new(STREAM, &SpatialParameters::default());
    bencher.bench_local(|| stage.start(divan::black_box(STREAM), &SpatialParameters::default()));
}

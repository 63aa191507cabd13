//! What listening for the genre costs: 20 ms, averaged over hops and classifications.

use divan::counter::ItemsCount;
use divan::Bencher;
use sandbox::genre::{GenreBlend, GenreDetector};
use sandbox::Stream;

fn main() {
    divan::main();
}

/// A second of something like music: a chord with vibrato and beats.
fn music(rate_hz: u32, channels: usize) -> Vec<f32> {
    (0..rate_hz as usize * channels)
        .map(|at| {
            let seconds = (at / channels) as f32 / rate_hz as f32;
            let chord: f32 = [220.0, 277.2, 329.6, 1_318.5]
                .iter()
                .map(|hz| (std::f32::consts::TAU * hz * seconds + 2.0 * (31.0 * seconds).sin()).sin())
                .sum();
            0.1 * chord * (1.2 - (seconds * 4.0).fract())
        })
        .collect()
}

/// Blocks of 20 ms, 1,000 in a sample: 20 s of sound, so that hops and classifications have their share.
#[divan::bench(args = [(8_000, 1), (16_000, 1), (44_100, 1), (48_000, 1), (48_000, 2), (96_000, 2)])]
fn a_thousand_blocks_of_20_ms(bencher: Bencher<'_, '_>, (rate_hz, channels): (u32, usize)) {
    let music = music(rate_hz, channels);
    let block = rate_hz as usize / 50 * channels;
    let mut detector = GenreDetector::new(Stream { sample_rate_hz: rate_hz, channels });
    bencher.counter(ItemsCount::new(1_000_u32)).bench_local(|| {
        for _ in 0..20 {
            music.chunks_exact(block).take(50).for_each(|block| detector.process(block));
        }
        detector.confidence()
    });
}

/// A lease's beginning, at the rate of the last one and at another.
#[divan::bench(args = [false, true])]
fn start(bencher: Bencher<'_, '_>, other_rate: bool) {
    let rates = if other_rate { [48_000, 44_100] } else { [48_000, 48_000] };
    let mut detector = GenreDetector::new(Stream { sample_rate_hz: 48_000, channels: 1 });
    let mut turn = 0;
    bencher.bench_local(|| {
        turn ^= 1;
        detector.start(Stream { sample_rate_hz: rates[turn], channels: 1 });
    });
}

#[divan::bench]
fn blend(bencher: Bencher<'_, '_>) {
    let mut blend = GenreBlend::new(48_000);
    blend.aim(sandbox::genre::Genre::Jazz);
    bencher.bench_local(|| {
        blend.advance(1);
        divan::black_box(blend.current())
    });
}

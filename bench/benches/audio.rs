//! What a packet costs: the bare codec, the sandbox, and the sandbox through the pool from many coroutines.

use std::cell::RefCell;

use divan::counter::ItemsCount;
use divan::Bencher;
use opus::{Application, Bitrate, Channels, Decoder, Encoder};
use sandbox::{AudioSandbox, Packets, Scratch, Settings, SettingsUpdate};
use sandpool::runtime::{deep_stack, spawn, time, Pool, PoolOptions};
use support::encoded;

mod support;

fn main() {
    divan::main();
}

/// Samples in 20 ms at 48 kHz.
const BLOCK: usize = 960;

/// Packets of something like a voice, 20 ms each.
fn packets() -> Vec<Vec<u8>> {
    let mut sandbox = AudioSandbox::new(Settings::default()).unwrap();
    let mut encode = |block: usize| {
        let samples: Vec<f32> = (block * BLOCK..(block + 1) * BLOCK)
            .map(|at| {
                let seconds = at as f32 / 48_000.0;
                let buzz: f32 = (1..9)
                    .map(|k| (seconds * 130.0 * k as f32 * std::f32::consts::TAU).sin() / k as f32)
                    .sum();
                0.2 * buzz * (0.6 + 0.4 * (seconds * 20.0).sin())
            })
            .collect();
        encoded(&mut sandbox, &samples)
    };
    (0..100).map(&mut encode).collect()
}

fn settings(intensity: f64, complexity: i64) -> Settings {
    let update = SettingsUpdate::default().with("intensity", intensity).with("complexity", complexity);
    Settings::default().with(&update).unwrap()
}

/// Decode and encode of one packet, without anything of ours.
#[divan::bench(args = [1, 5, 10])]
fn bare_codec(bencher: Bencher<'_, '_>, complexity: i32) {
    let packets = packets();
    let mut decoder = Decoder::new(48_000, Channels::Mono).unwrap();
    let mut encoder = Encoder::new(48_000, Channels::Mono, Application::Voip).unwrap();
    encoder.set_bitrate(Bitrate::Bits(32_000)).unwrap();
    encoder.set_complexity(complexity).unwrap();
    let (mut pcm, mut out) = ([0.0; BLOCK], [0; 1_500]);
    let mut at = 0;
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        at = (at + 1) % packets.len();
        decoder.decode_float(&packets[at], &mut pcm, false).unwrap();
        encoder.encode_float(&pcm, &mut out).unwrap()
    });
}

/// The same through a sandbox, with the voice clarity chain in between.
#[divan::bench(args = [1, 5, 10])]
fn sandbox_process(bencher: Bencher<'_, '_>, complexity: i64) {
    let packets = packets();
    let mut sandbox = AudioSandbox::new(settings(1.0, complexity)).unwrap();
    let (mut scratch, mut out) = (Scratch::default(), Packets::default());
    let mut at = 0;
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        at = (at + 1) % packets.len();
        sandbox.process(&packets[at], &mut scratch, &mut out).unwrap();
    });
}

/// What coming home costs with nothing done since the last time: what has not begun need not begin anew.
#[divan::bench]
fn sandbox_reset_untouched(bencher: Bencher<'_, '_>) {
    let mut sandbox = AudioSandbox::new(Settings::default()).unwrap();
    bencher.bench_local(|| sandbox.reset().unwrap());
}

/// What it costs after a packet, whose own time does not count.
#[divan::bench(sample_size = 1, sample_count = 1_000)]
fn sandbox_reset_after_a_packet(bencher: Bencher<'_, '_>) {
    let packets = packets();
    let sandbox = RefCell::new(AudioSandbox::new(Settings::default()).unwrap());
    let (mut scratch, mut out) = (Scratch::default(), Packets::default());
    let mut at = 0;
    bencher
        .with_inputs(|| {
            at = (at + 1) % packets.len();
            sandbox.borrow_mut().process(&packets[at], &mut scratch, &mut out).unwrap();
        })
        .bench_local_values(|()| sandbox.borrow_mut().reset().unwrap());
}

/// What the pool saves.
#[divan::bench]
fn sandbox_new() -> AudioSandbox {
    AudioSandbox::new(Settings::default()).unwrap()
}

/// A thousand packets, ten from each of a hundred coroutines, over eight sandboxes.
#[divan::bench(sample_count = 20)]
fn a_thousand_operations_through_the_pool(bencher: Bencher<'_, '_>) {
    let packets = std::sync::Arc::new(packets());
    let pool =
        Pool::new(PoolOptions::default().capacity(8).min_idle(8), || AudioSandbox::new(Settings::default()))
            .unwrap();
    bencher.counter(ItemsCount::new(1_000_u32)).bench_local(|| {
        let coroutines: Vec<_> = (0..100)
            .map(|number| {
                let (pool, packets) = (pool.clone(), packets.clone());
                spawn(move || {
                    let mut lease = pool.checkout().unwrap();
                    for at in 0..10 {
                        lease.enter_deep(|sandbox| {
                            deep_stack::scratch(|(scratch, out): &mut (Scratch, Packets)| {
                                sandbox.process(&packets[(number + at) % 100], scratch, out).unwrap();
                            });
                        });
                        time::yield_now();
                    }
                })
            })
            .collect();
        coroutines.into_iter().for_each(|coroutine| coroutine.join().unwrap());
    });
}

//! The processing chain - noise gate, compressor, equaliser, limiter - measured against its definitions. In here: levels
//! and times of gate and compressor.

#[path = "../common/mod.rs"]
mod common;
mod equaliser;
mod limiter;
mod promises;

use std::f64::consts::{PI, TAU};

use common::{peak, Random};
use proptest::prelude::*;
use sandbox::{
    Band, BandKind, Compressor, CompressorParameters, Described, Equaliser, EqualiserParameters, Limiter,
    LimiterParameters, NoiseGate, NoiseGateParameters, Stage, Stream,
};

const RATES: [u32; 9] = [8_000, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000];

fn mono(sample_rate_hz: u32) -> Stream {
    Stream { sample_rate_hz, channels: 1 }
}

fn amplitude(level_db: f64) -> f64 {
    10f64.powf(level_db / 20.0)
}

fn db(amplitude: f64) -> f64 {
    20.0 * amplitude.log10()
}

fn samples(stream: Stream, milliseconds: f64) -> usize {
    (milliseconds / 1_000.0 * f64::from(stream.sample_rate_hz)).ceil() as usize
}

/// The gain in dB with which a settled stage lets a steady signal pass: RMS out over RMS in, of the last 60 ms.
fn settled_gain_db<S: Stage>(stream: Stream, parameters: &S::Parameters, signal: &[f32]) -> f64 {
    let mut out = signal.to_vec();
    S::new(stream, parameters).process(&mut out);
    let last = signal.len() - samples(stream, 60.0);
    let power = |pcm: &[f32]| pcm[last..].iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>();
    10.0 * (power(&out) / power(signal)).log10()
}

/// A sine whose samples touch its peak: a whole number of samples, divisible by four, in each period.
fn sine(stream: Stream, frequency_hz: f64, level_db: f64, milliseconds: f64) -> Vec<f32> {
    let period = 4.0 * (f64::from(stream.sample_rate_hz) / frequency_hz / 4.0).round();
    let sample = |index: usize| (amplitude(level_db) * (TAU * index as f64 / period).sin()) as f32;
    (0..samples(stream, milliseconds)).map(sample).collect()
}

fn constant(stream: Stream, level_db: f64, milliseconds: f64) -> Vec<f32> {
    vec![amplitude(level_db) as f32; samples(stream, milliseconds)]
}

/// Giannoulis, Massberg, Reiss 2012, equation 4, as it stands there: output level for input level.
fn compressed_db(p: &CompressorParameters, x: f64) -> f64 {
    let (t, r, w) = (f64::from(p.threshold_db), f64::from(p.ratio), f64::from(p.knee_db));
    if 2.0 * (x - t) < -w {
        x
    } else if 2.0 * (x - t).abs() <= w && w > 0.0 {
        x + (1.0 / r - 1.0) * (x - t + w / 2.0).powi(2) / (2.0 * w)
    } else {
        t + (x - t) / r
    }
}

/// The same mirrored, with the slope below the threshold; at most `range_db` are taken away.
fn gated_db(p: &NoiseGateParameters, x: f64) -> f64 {
    let (t, r, w) = (f64::from(p.threshold_db), f64::from(p.ratio), f64::from(p.knee_db));
    let y = if 2.0 * (x - t) > w {
        x
    } else if 2.0 * (x - t).abs() <= w && w > 0.0 {
        x + (1.0 - r) * (x - t - w / 2.0).powi(2) / (2.0 * w)
    } else {
        t + (x - t) * r
    };
    y.max(x - f64::from(p.range_db))
}

#[test]
fn the_compressors_static_curve_is_its_formula_within_a_tenth_of_a_db() {
    let mut worst = 0.0f64;
    for (rate, threshold_db) in
        [(8_000, -60.0), (16_000, -35.5), (44_100, -20.0), (48_000, 0.0), (96_000, -12.0)]
    {
        let stream = mono(rate);
        for ratio in [1.0, 1.5, 4.0, 50.0] {
            for knee_db in [0.0, 6.0, 24.0] {
                let p = CompressorParameters {
                    threshold_db,
                    ratio,
                    knee_db,
                    attack_ms: 1.0,
                    release_ms: 25.0,
                    make_up_db: 9.0,
                };
                for level_db in [-90.0, -61.0, -47.0, -35.0, -26.5, -19.0, -11.0, -4.0, 0.0, 12.0] {
                    let expected = compressed_db(&p, level_db) - level_db + 9.0;
                    for signal in [
                        constant(stream, level_db, 150.0),
                        sine(stream, 40.0, level_db, 200.0),
                        sine(stream, 1_000.0, level_db, 150.0),
                    ] {
                        let measured = settled_gain_db::<Compressor>(stream, &p, &signal);
                        worst = worst.max((measured - expected).abs());
                        assert!(
                            (measured - expected).abs() < 0.1,
                            "{p:?} at {level_db} dB: {measured}, not {expected}"
                        );
                    }
                }
            }
        }
    }
    println!("worst error {worst} dB");
}

#[test]
fn the_gates_static_curve_is_its_formula_within_a_tenth_of_a_db() {
    let mut worst = 0.0f64;
    for (rate, threshold_db) in [(8_000, -90.0), (16_000, -50.0), (48_000, -37.5), (96_000, 0.0)] {
        let stream = mono(rate);
        for ratio in [1.0, 1.5, 4.0, 100.0] {
            for (knee_db, range_db) in [(0.0, 90.0), (6.0, 0.0), (6.0, 30.0), (24.0, 90.0)] {
                let p = NoiseGateParameters {
                    threshold_db,
                    ratio,
                    knee_db,
                    range_db,
                    attack_ms: 1.0,
                    hold_ms: 12.5,
                    release_ms: 5.0,
                };
                for level_db in [-100.0, -91.0, -62.0, -50.2, -45.0, -38.0, -30.0, -12.0, -0.5, 6.0] {
                    let expected = gated_db(&p, level_db) - level_db;
                    for signal in [
                        constant(stream, level_db, 200.0),
                        sine(stream, 40.0, level_db, 250.0),
                        sine(stream, 1_000.0, level_db, 200.0),
                    ] {
                        let measured = settled_gain_db::<NoiseGate>(stream, &p, &signal);
                        worst = worst.max((measured - expected).abs());
                        assert!(
                            (measured - expected).abs() < 0.1,
                            "{p:?} at {level_db} dB: {measured}, not {expected}"
                        );
                    }
                }
            }
        }
    }
    println!("worst error {worst} dB");
}

/// The gain in dB of each sample, for a level that steps from one to the other at `at`.
fn gain_over_a_step<S: Stage>(
    stream: Stream,
    parameters: &S::Parameters,
    levels_db: [f64; 2],
    at: usize,
    behind: usize,
) -> Vec<f64> {
    let level = |index: usize| amplitude(levels_db[usize::from(index >= at)]) as f32;
    let signal: Vec<f32> = (0..at + behind).map(level).collect();
    let mut out = signal.clone();
    S::new(stream, parameters).process(&mut out);
    out.iter().zip(&signal).map(|(out, input)| db(f64::from(*out / *input))).collect()
}

/// After how many samples behind `at` the gain has done 63 % (1 - 1/e) of its way, in dB; between two by a straight line.
fn samples_to_63_percent(gains_db: &[f64], at: usize) -> f64 {
    let (first, last) = (gains_db[at - 1], gains_db[gains_db.len() - 1]);
    let done = |index: usize| (gains_db[index] - first) / (last - first);
    let aim = 1.0 - (-1.0f64).exp();
    let after = (at..gains_db.len()).find(|index| done(*index) >= aim).expect("it gets there");
    let (low, high) = (done(after - 1), done(after));
    (after - at) as f64 - (high - aim) / (high - low)
}

fn assert_takes(what: &str, stream: Stream, milliseconds: f64, measured_samples: f64) -> f64 {
    let expected = milliseconds / 1_000.0 * f64::from(stream.sample_rate_hz);
    let error = (measured_samples - expected).abs();
    assert!(
        error <= (0.05 * expected).max(1.0),
        "{what} {milliseconds} ms at {stream:?}: {measured_samples} samples, not {expected}"
    );
    if 0.05 * expected > 1.0 {
        error / expected
    } else {
        0.0
    }
}

#[test]
fn the_compressors_times_are_right_within_5_percent_at_every_rate() {
    let mut worst = [0.0f64; 2];
    for rate in RATES {
        let stream = mono(rate);
        for (attack_ms, release_ms) in [
            (0.1, 5.0),
            (0.7, 3_000.0),
            (3.0, 12.0),
            (10.0, 120.0),
            (50.0, 24.0),
            (200.0, 500.0),
            (5.0, 60.0),
        ] {
            let p = CompressorParameters {
                threshold_db: -40.0,
                ratio: 4.0,
                knee_db: 0.0,
                attack_ms,
                release_ms,
                make_up_db: 0.0,
            };
            for offset in [0, 5, 13, 31] {
                let settle = samples(stream, 10.0 * f64::from(attack_ms).max(20.0)) + offset;
                let behind = samples(stream, 8.0 * f64::from(attack_ms) + 5.0);
                let gains = gain_over_a_step::<Compressor>(stream, &p, [-50.0, -10.0], settle, behind);
                let attack = samples_to_63_percent(&gains, settle);
                worst[0] = worst[0].max(assert_takes("attack", stream, attack_ms.into(), attack));
                let behind = samples(stream, 8.0 * f64::from(release_ms) + 5.0);
                let gains = gain_over_a_step::<Compressor>(stream, &p, [-10.0, -50.0], settle, behind);
                let release = samples_to_63_percent(&gains, settle);
                worst[1] = worst[1].max(assert_takes("release", stream, release_ms.into(), release));
            }
        }
    }
    println!("worst errors: attack {}, release {}", worst[0], worst[1]);
}

#[test]
fn the_gates_times_are_right_within_5_percent_at_every_rate() {
    let mut worst = [0.0f64; 3];
    for rate in RATES {
        let stream = mono(rate);
        for (attack_ms, hold_ms, release_ms) in [
            (0.1, 1.0, 5.0),
            (2.0, 50.0, 120.0),
            (20.0, 3.0, 40.0),
            (1.0, 9.0, 3_000.0),
            (200.0, 400.0, 300.0),
            (100.0, 20.0, 100.0),
        ] {
            let p = NoiseGateParameters {
                threshold_db: -30.0,
                ratio: 3.0,
                knee_db: 0.0,
                range_db: 90.0,
                attack_ms,
                hold_ms,
                release_ms,
            };
            let [attack, hold, release] = [attack_ms, hold_ms, release_ms].map(f64::from);
            for offset in [0, 5, 13, 31] {
                let settle = samples(stream, hold + 12.0 * release) + offset;
                let gains = gain_over_a_step::<NoiseGate>(
                    stream,
                    &p,
                    [-50.0, -10.0],
                    settle,
                    samples(stream, 8.0 * attack + 5.0),
                );
                let measured = samples_to_63_percent(&gains, settle);
                worst[0] = worst[0].max(assert_takes("attack", stream, attack, measured));
                let at = samples(stream, 12.0 * attack) + offset;
                let gains = gain_over_a_step::<NoiseGate>(
                    stream,
                    &p,
                    [-10.0, -50.0],
                    at,
                    samples(stream, hold + 8.0 * release + 5.0),
                );
                let held = gains[at..].iter().position(|gain| *gain < -0.001).expect("it closes") as f64;
                worst[1] = worst[1].max(assert_takes("hold", stream, hold, held));
                let closed = samples_to_63_percent(&gains, at);
                worst[2] = worst[2].max(assert_takes("release", stream, release, closed - held + 1.0));
                assert_takes("hold and release", stream, hold + release, closed);
            }
        }
    }
    println!("worst errors: attack {}, hold {}, release {}", worst[0], worst[1], worst[2]);
}

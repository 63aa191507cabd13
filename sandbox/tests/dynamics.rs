//! The processing chain - noise gate, compressor, equaliser, limiter - measured against its definitions.

mod common;

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

/// |H| in dB by the cookbook's analogue prototypes, at the frequency that the bilinear transform makes of
/// `frequency_hz`: independent of any coefficient.
fn prototype_db(band: &Band, frequency_hz: f64, sample_rate_hz: f64) -> f64 {
    let tangent = |hz: f64| (PI * hz / sample_rate_hz).tan();
    let w = tangent(frequency_hz) / tangent(f64::from(band.frequency_hz).min(0.49 * sample_rate_hz));
    let (a, q) = (10f64.powf(f64::from(band.gain_db) / 40.0), f64::from(band.q));
    // |c2 s^2 + c1 s + c0| at s = jw
    let size = |c2: f64, c1: f64, c0: f64| (c0 - c2 * w * w).hypot(c1 * w);
    let gain = match band.kind {
        BandKind::Off => 1.0,
        BandKind::Peak => size(1.0, a / q, 1.0) / size(1.0, 1.0 / (a * q), 1.0),
        BandKind::LowShelf => a * size(1.0, a.sqrt() / q, a) / size(a, a.sqrt() / q, 1.0),
        BandKind::HighShelf => a * size(a, a.sqrt() / q, 1.0) / size(1.0, a.sqrt() / q, a),
        BandKind::LowPass => 1.0 / size(1.0, 1.0 / q, 1.0),
        BandKind::HighPass => w * w / size(1.0, 1.0 / q, 1.0),
    };
    db(gain)
}

/// Gains in dB at `frequencies_hz`, from the impulse response.
fn response_db(stream: Stream, parameters: &EqualiserParameters, frequencies_hz: &[f64]) -> Vec<f64> {
    let mut impulse = vec![0.0f32; 3 * stream.sample_rate_hz as usize];
    impulse[0] = 1.0;
    Equaliser::new(stream, parameters).process(&mut impulse);
    let at = |hz: &f64| {
        let w = TAU * hz / f64::from(stream.sample_rate_hz);
        let (re, im) = impulse.iter().enumerate().fold((0.0, 0.0), |(re, im), (index, sample)| {
            let (sin, cos) = (w * index as f64).sin_cos();
            (re + f64::from(*sample) * cos, im - f64::from(*sample) * sin)
        });
        db(f64::hypot(re, im))
    };
    frequencies_hz.iter().map(at).collect()
}

#[test]
fn every_band_has_the_cookbooks_response_within_a_tenth_of_a_db() {
    let mut worst = 0.0f64;
    for rate in [8_000, 48_000, 96_000] {
        let stream = mono(rate);
        for kind in BandKind::ALL {
            for (frequency_hz, gain_db, q) in [
                (20.0, 24.0, 10.0),
                (20.0, -24.0, 0.707),
                (300.0, 12.0, 0.1),
                (3_000.0, -24.0, 10.0),
                (20_000.0, 24.0, 0.707),
            ] {
                let band = Band { kind, frequency_hz, gain_db, q };
                let mut p = EqualiserParameters::default();
                p.bands[3] = band;
                let frequencies = [10.0, 19.0, 20.0, 21.0, 80.0, 300.0, 1_000.0, 2_900.0, 3_900.0];
                for (hz, measured) in frequencies.iter().zip(response_db(stream, &p, &frequencies)) {
                    let expected = prototype_db(&band, *hz, rate.into());
                    // Far below -100 dB single precision ends.
                    if expected > -100.0 {
                        worst = worst.max((measured - expected).abs());
                        assert!(
                            (measured - expected).abs() < 0.1,
                            "{band:?}, {hz} Hz at {rate}: {measured}, not {expected}"
                        );
                    }
                }
            }
        }
    }
    println!("worst error {worst} dB");
}

#[test]
fn bands_in_a_row_add_their_decibels_however_many_are_on() {
    let band = |kind, frequency_hz, gain_db, q| Band { kind, frequency_hz, gain_db, q };
    let all = [
        band(BandKind::HighPass, 60.0, 0.0, 0.707),
        band(BandKind::LowShelf, 200.0, 6.0, 0.707),
        band(BandKind::Peak, 1_000.0, -8.0, 2.0),
        band(BandKind::Peak, 3_500.0, 5.0, 1.0),
        band(BandKind::HighShelf, 8_000.0, -6.0, 0.707),
    ];
    let frequencies = [40.0, 150.0, 900.0, 3_000.0, 12_000.0];
    for on in 0..32u32 {
        let mut p = EqualiserParameters::default();
        let chosen = (0..5).filter(|index| on >> index & 1 == 1);
        chosen.clone().for_each(|index| p.bands[index] = all[index]);
        for (hz, measured) in frequencies.iter().zip(response_db(mono(48_000), &p, &frequencies)) {
            let expected: f64 = chosen.clone().map(|index| prototype_db(&all[index], *hz, 48_000.0)).sum();
            assert!((measured - expected).abs() < 0.01, "{on:05b} at {hz} Hz: {measured}, not {expected}");
        }
    }
}

#[test]
fn flat_bands_change_no_bit() {
    let mut random = Random(5);
    let noise: Vec<f32> = (0..5_000).map(|_| random.sample()).collect();
    let flat = |kind| Band { kind, frequency_hz: 500.0, gain_db: 0.0, q: 3.0 };
    let bands =
        [BandKind::Off, BandKind::Peak, BandKind::LowShelf, BandKind::HighShelf, BandKind::Off].map(flat);
    let mut out = noise.clone();
    Equaliser::new(mono(48_000), &EqualiserParameters { bands }).process(&mut out);
    assert_eq!(out, noise);
}

/// An oversampling meter of its own: 16 points a sample by a sinc of 128 taps under a Blackman window, in double
/// precision; nothing is left out at the ends of the signal.
fn true_peak(signal: &[f32]) -> f64 {
    const REACH: i64 = 64;
    let tap = |away: f64| {
        if away == 0.0 {
            return 1.0;
        }
        let window = 0.42 + 0.5 * (PI * away / REACH as f64).cos() + 0.08 * (TAU * away / REACH as f64).cos();
        (PI * away).sin() / (PI * away) * window
    };
    let phases: Vec<Vec<f64>> = (0..16)
        .map(|phase| (-REACH + 1..=REACH).map(|k| tap(k as f64 - f64::from(phase) / 16.0)).collect())
        .collect();
    let mut padded = vec![0.0f64; 2 * REACH as usize];
    padded.extend(signal.iter().map(|sample| f64::from(*sample)));
    padded.extend(std::iter::repeat_n(0.0, 2 * REACH as usize));
    let mut top = 0.0f64;
    for around in padded.windows(2 * REACH as usize) {
        for taps in &phases {
            top = top.max(around.iter().zip(taps).map(|(sample, tap)| sample * tap).sum::<f64>().abs());
        }
    }
    top
}

/// Noise without what lies above `share` of the sample rate: a windowed sinc of 255 taps.
fn band_limited_noise(length: usize, share: f64, level: f32) -> Vec<f32> {
    let mut random = Random(77);
    let noise: Vec<f64> = (0..length + 255).map(|_| f64::from(random.sample())).collect();
    let taps: Vec<f64> = (-127i64..=127)
        .map(|k| {
            let window = 0.42 + 0.5 * (PI * k as f64 / 128.0).cos() + 0.08 * (TAU * k as f64 / 128.0).cos();
            let x = TAU * share * k as f64;
            2.0 * share * window * if k == 0 { 1.0 } else { x.sin() / x }
        })
        .collect();
    let sample =
        |at: usize| noise[at..at + 255].iter().zip(&taps).map(|(sample, tap)| sample * tap).sum::<f64>();
    (0..length).map(|at| sample(at) as f32 * level).collect()
}

/// What a limiter must stand, at most 24 dB above full scale, and by how many dB a true peak may lie above the ceiling.
///
/// It is 0.05 dB for what lies below 0.45 of the sample rate, edges and all, as long as they are not made of the very
/// highest frequencies. What lies between 0.46 and 0.5 of it is in no meter's pass band: what there is between such
/// samples depends on the filter of whoever asks, and two meters differ by that much.
fn hard_signals(rate: u32) -> Vec<(&'static str, f64, Vec<f32>)> {
    let length = 6_000;
    let mut random = Random(3);
    let tone = |share: f64, phase: f64, level: f64| -> Vec<f32> {
        (0..length).map(|at| (level * (TAU * share * at as f64 + phase).sin()) as f32).collect()
    };
    let faded = |tone: Vec<f32>| -> Vec<f32> {
        let share = |at: usize| (at.min(length - at) as f64 / 300.0).min(1.0);
        tone.iter()
            .enumerate()
            .map(|(at, sample)| sample * (0.5 - 0.5 * (PI * share(at)).cos()) as f32)
            .collect()
    };
    let bursts: Vec<f32> = tone(0.02, 0.0, 4.0)
        .iter()
        .zip(tone(0.2, 0.3, 8.0))
        .enumerate()
        .map(|(at, (low, high))| if at / 700 % 2 == 0 { 0.05 * low } else { low + high })
        .collect();
    let mut signals = vec![
        ("a quarter of the rate, 45 degrees", 0.05, tone(0.25, PI / 4.0, 1.0)),
        ("a quarter of the rate, 45 degrees, +24 dB", 0.05, tone(0.25, PI / 4.0, 16.0)),
        ("a third of the rate", 0.05, tone(1.0 / 3.0, 0.3, 4.0)),
        ("0.45 of the rate", 0.05, faded(tone(0.45, 0.1, 2.0))),
        ("0.45 of the rate, at once", 0.25, tone(0.45, 0.1, 2.0)),
        ("a low tone", 0.05, tone(100.0 / f64::from(rate), 0.0, 3.0)),
        ("bursts", 0.05, bursts),
        ("an impulse", 0.05, (0..length).map(|at| if at == 3_000 { 16.0 } else { 0.0 }).collect()),
        ("noise below 0.42 of the rate", 0.05, band_limited_noise(length, 0.40, 2.0)),
        ("noise below 0.42 of the rate, +24 dB", 0.05, band_limited_noise(length, 0.40, 30.0)),
    ];
    signals.push(("white noise", 0.7, (0..length).map(|_| random.sample()).collect()));
    signals.push(("white noise, +24 dB", 0.7, (0..length).map(|_| 16.0 * random.sample()).collect()));
    signals.push((
        "a square",
        0.5,
        (0..length).map(|at| if at / 37 % 2 == 0 { 1.0 } else { -1.0 }).collect(),
    ));
    signals.push((
        "a square, +24 dB",
        0.5,
        (0..length).map(|at| if at / 50 % 2 == 0 { 16.0 } else { -16.0 }).collect(),
    ));
    signals
}

#[test]
fn the_limiter_lets_no_sample_and_no_true_peak_above_its_ceiling() {
    for (rate, look_ahead_ms, release_ms, ceiling_db) in [
        (8_000, 1.5, 20.0, -1.0),
        (16_000, 3.0, 10.0, -6.0),
        (48_000, 1.5, 80.0, -1.0),
        (48_000, 5.0, 10.0, 0.0),
        (96_000, 1.5, 200.0, -20.0),
    ] {
        let p = LimiterParameters { ceiling_db, look_ahead_ms, release_ms };
        for (what, tolerance_db, signal) in hard_signals(rate) {
            // Behind its end as well nothing may be too high: it goes on with silence.
            let mut out = [signal, vec![0.0; 1_000]].concat();
            Limiter::new(mono(rate), &p).process(&mut out);
            let ceiling = amplitude(ceiling_db.into());
            assert!(f64::from(peak(&out)) <= ceiling, "{what}: a sample of {}", peak(&out));
            let over_db = db(true_peak(&out)) - f64::from(ceiling_db);
            println!("{rate} Hz, {look_ahead_ms} ms, {what}: {over_db:.3} dB");
            assert!(over_db <= tolerance_db, "{what} at {rate} Hz, {p:?}: {over_db} dB above");
        }
    }
}

#[test]
fn what_lies_below_the_ceiling_passes_bit_for_bit_late_by_the_delay_it_tells() {
    for rate in RATES {
        for channels in [1, 2] {
            for look_ahead_ms in [1.5, 5.0] {
                let stream = Stream { sample_rate_hz: rate, channels };
                let p = LimiterParameters { look_ahead_ms, ..LimiterParameters::default() };
                let mut random = Random(9);
                let signal: Vec<f32> = (0..4_000).map(|_| 0.25 * random.sample()).collect();
                let mut limiter = Limiter::new(stream, &p);
                let mut out = signal.clone();
                limiter.process(&mut out);
                let delay = limiter.delay_samples() * channels;
                assert!(out[..delay].iter().all(|sample| *sample == 0.0));
                assert_eq!(out[delay..], signal[..signal.len() - delay], "{stream:?}");
                let delay_ms = limiter.delay_samples() as f32 * 1_000.0 / rate as f32;
                assert!((look_ahead_ms..look_ahead_ms + 33_000.0 / rate as f32 + 0.7).contains(&delay_ms));
            }
        }
    }
}

#[test]
fn the_limiter_takes_its_time_to_release_within_5_percent_at_every_rate() {
    let mut worst = 0.0f64;
    for rate in RATES {
        for (look_ahead_ms, release_ms) in [(1.5, 10.0), (1.5, 80.0), (5.0, 30.0), (3.0, 1_000.0)] {
            let stream = mono(rate);
            let p = LimiterParameters { ceiling_db: -6.0, look_ahead_ms, release_ms };
            let delay = Limiter::new(stream, &p).delay_samples();
            for offset in [0, 7, 19] {
                let at = samples(stream, 30.0) + offset;
                let behind = samples(stream, 10.0 * f64::from(release_ms)) + delay;
                let level = |index: usize| if index < at { 4.0 } else { 0.1f32 };
                let mut out: Vec<f32> = (0..at + behind).map(level).collect();
                Limiter::new(stream, &p).process(&mut out);
                let gains: Vec<f64> = out[delay..]
                    .iter()
                    .enumerate()
                    .map(|(index, out)| db(f64::from(out / level(index))))
                    .collect();
                let measured = samples_to_63_percent(&gains, at);
                worst = worst.max(assert_takes("release", stream, release_ms.into(), measured));
            }
        }
    }
    println!("worst error {worst}");
}

#[test]
fn the_limiters_gain_falls_smoothly_within_the_look_ahead() {
    let stream = mono(48_000);
    let p = LimiterParameters { ceiling_db: 0.0, look_ahead_ms: 5.0, release_ms: 100.0 };
    let mut out: Vec<f32> = (0..9_600).map(|at| if at < 4_800 { 0.5 } else { 4.0 }).collect();
    let signal = out.clone();
    let mut limiter = Limiter::new(stream, &p);
    let delay = limiter.delay_samples();
    limiter.process(&mut out);
    let gains: Vec<f64> =
        out[delay..].iter().zip(&signal).map(|(out, input)| db(f64::from(out / input))).collect();
    // 12 dB and a little for the overshoot of the edge, over 5 ms: never steeper than twice the straight way.
    let steepest = gains.windows(2).map(|pair| pair[0] - pair[1]).fold(0.0, f64::max);
    assert!(steepest < 2.5 * 14.0 / 240.0, "{steepest} dB from one sample to the next");
    assert!(gains[4_800 - 300..].iter().all(|gain| *gain <= 0.0) && gains[4_800 - 300] > -0.01);
    assert!(gains[4_900] < -12.0);
}

#[test]
fn both_channels_get_the_same_gain_by_the_louder_one() {
    let stream = Stream { sample_rate_hz: 48_000, channels: 2 };
    let tone = |at: usize, level: f32| level * (at as f32 * 0.05).sin();
    let signal: Vec<f32> = (0..9_600).flat_map(|at| [tone(at, 0.02), tone(at, 2.0)]).collect();
    fn alike<S: Stage>(stream: Stream, parameters: &S::Parameters, signal: &[f32]) {
        let mut out = signal.to_vec();
        S::new(stream, parameters).process(&mut out);
        assert!(out.chunks(2).all(|frame| (frame[0] - 0.01 * frame[1]).abs() < 1e-6));
    }
    let compressor = CompressorParameters::default();
    alike::<Compressor>(stream, &compressor, &signal);
    alike::<Limiter>(stream, &LimiterParameters::default(), &signal);
    alike::<NoiseGate>(stream, &NoiseGateParameters { threshold_db: -10.0, ..Default::default() }, &signal);
    // and the equaliser filters each as if it were alone
    let mut p = EqualiserParameters::default();
    p.bands[2] = Band { kind: BandKind::Peak, frequency_hz: 700.0, gain_db: 9.0, q: 2.0 };
    let mut both = signal.clone();
    Equaliser::new(stream, &p).process(&mut both);
    for channel in 0..2 {
        let mut alone: Vec<f32> = signal.iter().skip(channel).step_by(2).copied().collect();
        Equaliser::new(mono(48_000), &p).process(&mut alone);
        assert!(both.iter().skip(channel).step_by(2).eq(&alone));
    }
}

#[test]
fn a_change_of_the_equaliser_makes_no_step_larger_than_the_loudest_tone_does() {
    let band = |kind, frequency_hz, gain_db, q| Band { kind, frequency_hz, gain_db, q };
    let settings: [[Band; 2]; 6] = [
        [band(BandKind::Off, 100.0, 0.0, 1.0), band(BandKind::Off, 100.0, 0.0, 1.0)],
        [band(BandKind::Peak, 200.0, 24.0, 1.0), band(BandKind::Off, 100.0, 0.0, 1.0)],
        [band(BandKind::Peak, 5_000.0, -24.0, 1.0), band(BandKind::LowShelf, 300.0, 12.0, 0.7)],
        [band(BandKind::LowPass, 150.0, 0.0, 0.7), band(BandKind::HighShelf, 300.0, -12.0, 0.7)],
        [band(BandKind::HighPass, 40.0, 0.0, 5.0), band(BandKind::LowShelf, 60.0, -20.0, 0.7)],
        [band(BandKind::LowShelf, 20.0, 24.0, 0.2), band(BandKind::Peak, 10_000.0, 24.0, 10.0)],
    ];
    let parameters = settings.map(|bands| {
        let mut p = EqualiserParameters::default();
        p.bands[..2].copy_from_slice(&bands);
        p
    });
    let largest_step = |pcm: &[f32]| pcm.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
    for rate in [8_000, 48_000] {
        let tone: Vec<f32> = (0..rate as usize)
            .map(|at| (0.05 * (TAU * 200.0 * at as f64 / f64::from(rate)).sin()) as f32)
            .collect();
        for from in &parameters {
            for to in &parameters {
                let steady = [from, to].map(|p| {
                    let mut out = tone.clone();
                    Equaliser::new(mono(rate), p).process(&mut out);
                    largest_step(&out[tone.len() / 2..])
                });
                let mut stage = Equaliser::new(mono(rate), from);
                let mut out = tone.clone();
                let (before, behind) = out.split_at_mut(tone.len() / 2 + 13);
                stage.process(before);
                stage.set(to);
                stage.process(behind);
                let bound = 1.25 * steady[0].max(steady[1]).max(largest_step(&tone));
                let step = largest_step(&out[tone.len() / 2..]);
                assert!(step <= bound, "{from:?} to {to:?} at {rate} Hz: {step}, bound {bound}");
                // and then it is what it would have been
                let mut anew = tone.clone();
                Equaliser::new(mono(rate), to).process(&mut anew);
                let last = tone.len() - 100;
                assert!(out[last..].iter().zip(&anew[last..]).all(|(one, other)| (one - other).abs() < 2e-3));
            }
        }
    }
}

#[test]
fn silence_after_loud_sound_becomes_silence_and_never_subnormal() {
    let mut random = Random(21);
    let mut signal: Vec<f32> = (0..16_000).map(|_| 4.0 * random.sample()).collect();
    signal.extend(vec![0.0; 8_000 * 40]);
    fn silent<S: Stage>(parameters: &S::Parameters, signal: &[f32]) -> S {
        let mut out = signal.to_vec();
        let mut stage = S::new(mono(8_000), parameters);
        stage.process(&mut out);
        assert!(out.iter().all(|sample| *sample == 0.0 || sample.is_normal()));
        assert!(out[out.len() - 100..].iter().all(|sample| *sample == 0.0));
        // Nor from a fading tail of which nothing is subnormal yet, turned down further.
        let mut tail: Vec<f32> = (0..3_000).map(|at| (40.0 * 0.9f32.powi(at)).max(2e-38)).collect();
        S::new(mono(8_000), parameters).process(&mut tail);
        assert!(tail.iter().all(|sample| *sample == 0.0 || sample.is_normal()));
        stage
    }
    let mut p = EqualiserParameters::default();
    for (band, kind) in p.bands.iter_mut().zip(&BandKind::ALL[1..]) {
        *band = Band { kind: *kind, frequency_hz: 20.0, gain_db: 24.0, q: 10.0 };
    }
    p.bands[4].frequency_hz = 3_000.0;
    silent::<Equaliser>(&p, &signal);
    let compressor =
        silent::<Compressor>(&CompressorParameters { make_up_db: 9.0, ..Default::default() }, &signal);
    assert_eq!(compressor.reduction_db(), 0.0, "there, not almost there");
    let gate = silent::<NoiseGate>(&NoiseGateParameters::default(), &signal);
    assert_eq!(gate.reduction_db(), 30.0);
    let limiter = silent::<Limiter>(&LimiterParameters { release_ms: 500.0, ..Default::default() }, &signal);
    assert_eq!(limiter.reduction_db(), 0.0);
}

/// Parameters within their ranges, one number from 0 to 1 for each.
fn parameters<P: Described>(numbers: &[f32]) -> P {
    let mut parameters = P::default();
    for (parameter, number) in P::PARAMETERS.iter().zip(numbers.iter().cycle()) {
        let (low, high) = (*parameter.range.start(), *parameter.range.end());
        (parameter.set)(&mut parameters, low + number * (high - low));
    }
    parameters
}

/// What every stage promises, whatever the parameters and the sound.
fn keeps_its_promises<S: Stage + Clone>(
    stream: Stream,
    [first, second]: [&S::Parameters; 2],
    signal: &[f32],
    cuts: &[usize],
) -> Result<(), TestCaseError> {
    // The parameters change in the middle.
    let middle = signal.len() / 2 / stream.channels * stream.channels;
    let mut whole = signal.to_vec();
    let mut stage = S::new(stream, first);
    let (before, behind) = whole.split_at_mut(middle);
    stage.process(before);
    stage.set(second);
    stage.process(behind);
    prop_assert!(whole.iter().all(|sample| sample.is_finite()), "finite");

    // The same stage, used, begins anew, and in blocks of other lengths.
    stage.start(stream, first);
    let mut cut = signal.to_vec();
    let mut lengths = cuts.iter().cycle().map(|frames| frames * stream.channels);
    for (number, half) in [0..middle, middle..signal.len()].into_iter().enumerate() {
        if number == 1 {
            stage.set(second);
        }
        let mut rest = &mut cut[half];
        while !rest.is_empty() {
            let length = lengths.next().unwrap_or(stream.channels).min(rest.len());
            let (block, behind) = rest.split_at_mut(length);
            stage.process(block);
            rest = behind;
        }
    }
    let same = whole.iter().zip(&cut).all(|(one, other)| one.to_bits() == other.to_bits());
    prop_assert!(same, "bit for bit, anew and cut");

    // Begun anew on another stream it is like a fresh one there.
    let other = Stream { sample_rate_hz: 22_050, channels: 3 - stream.channels };
    let (mut used, mut fresh) = (signal[..middle / 2 * 2].to_vec(), signal[..middle / 2 * 2].to_vec());
    stage.start(other, second);
    prop_assert_eq!(stage.delay_samples(), S::new(other, second).delay_samples());
    stage.process(&mut used);
    S::new(other, second).process(&mut fresh);
    prop_assert!(used.iter().zip(&fresh).all(|(one, other)| one.to_bits() == other.to_bits()), "start");
    Ok(())
}

/// Noise whose loudness changes now and then, from silence to far above full scale.
fn noise(seed: u64, frames: usize, channels: usize, loudness: &[f32]) -> Vec<f32> {
    let mut random = Random(seed | 1);
    let part = frames / loudness.len() + 1;
    (0..frames * channels).map(|at| loudness[at / channels / part] * random.sample()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_stage_is_finite_exact_after_start_and_independent_of_cuts(
        rate in prop::sample::select(RATES.to_vec()),
        channels in 1..=2usize,
        numbers in prop::collection::vec(prop_oneof![Just(0.0f32), Just(1.0f32), 0.0..=1.0f32], 40),
        seed in any::<u64>(),
        loudness in prop::collection::vec(
            prop_oneof![Just(0.0f32), Just(1.0f32), Just(1e-30f32), Just(16.0f32), Just(3e38f32), 0.0..=1.0f32], 1..6),
        cuts in prop::collection::vec(1..700usize, 1..10),
    ) {
        let stream = Stream { sample_rate_hz: rate, channels };
        let signal = noise(seed, 6_000, channels, &loudness);
        let (one, other) = (&numbers[..20], &numbers[20..]);
        keeps_its_promises::<NoiseGate>(stream, [&parameters(one), &parameters(other)], &signal, &cuts)?;
        keeps_its_promises::<Compressor>(stream, [&parameters(one), &parameters(other)], &signal, &cuts)?;
        keeps_its_promises::<Equaliser>(stream, [&parameters(one), &parameters(other)], &signal, &cuts)?;
        keeps_its_promises::<Limiter>(stream, [&parameters(one), &parameters(other)], &signal, &cuts)?;
    }

    #[test]
    fn the_limiter_keeps_its_ceiling_for_whatever_comes(
        rate in prop::sample::select(RATES.to_vec()),
        channels in 1..=2usize,
        numbers in prop::collection::vec(0.0..=1.0f32, 3),
        seed in any::<u64>(),
        loudness in prop::collection::vec(prop_oneof![Just(0.0f32), Just(16.0f32), Just(3e38f32), 0.0..=4.0f32], 1..20),
    ) {
        let p: LimiterParameters = parameters(&numbers);
        let mut out = noise(seed, 8_000, channels, &loudness);
        Limiter::new(Stream { sample_rate_hz: rate, channels }, &p).process(&mut out);
        let ceiling = amplitude(p.ceiling_db.into());
        prop_assert!(f64::from(peak(&out)) <= ceiling, "{} above {ceiling}", peak(&out));
    }

    /// Gate and compressor move by at most 20 dB a millisecond after a change, the limiter within its look-ahead: as a
    /// share of the largest gain, 2.5 a millisecond.
    #[test]
    fn a_change_with_a_steady_sound_makes_no_jump(
        rate in prop::sample::select(RATES.to_vec()),
        numbers in prop::collection::vec(0.0..=1.0f32, 14),
        level_db in -60.0..0.0f64,
    ) {
        fn largest_step<S: Stage>(stream: Stream, [one, other]: [S::Parameters; 2], level_db: f64) -> f32 {
            let mut stage = S::new(stream, &one);
            let mut settled = constant(stream, level_db, 1_500.0);
            stage.process(&mut settled);
            stage.set(&other);
            let mut out = constant(stream, level_db, 150.0);
            out.insert(0, settled[settled.len() - 1]);
            stage.process(&mut out[1..]);
            out.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max) / peak(&out)
        }
        let stream = mono(rate);
        let bound = 2_500.0 / rate as f32;
        let mut one: NoiseGateParameters = parameters(&numbers[..7]);
        one.hold_ms = 20.0;
        let step = largest_step::<NoiseGate>(stream, [one, parameters(&numbers[7..])], level_db);
        prop_assert!(step <= bound, "gate: {step}, bound {bound}");
        let step = largest_step::<Compressor>(stream, [parameters(&numbers[..7]), parameters(&numbers[7..])], level_db);
        prop_assert!(step <= bound, "compressor: {step}, bound {bound}");
        let step = largest_step::<Limiter>(stream, [parameters(&numbers[..7]), parameters(&numbers[7..])], level_db);
        prop_assert!(step <= bound, "limiter: {step}, bound {bound}");
    }

    #[test]
    fn absurd_parameters_break_nothing(numbers in prop::collection::vec(any::<f32>(), 20)) {
        fn absurd<P: Described>(numbers: &[f32]) -> P {
            let mut parameters = P::default();
            P::PARAMETERS.iter().zip(numbers).for_each(|(parameter, number)| (parameter.set)(&mut parameters, *number));
            parameters
        }
        fn survives<S: Stage>(parameters: &S::Parameters) -> bool {
            let mut out = noise(7, 3_000, 1, &[1.0, 0.0, 0.3]);
            S::new(mono(48_000), parameters).process(&mut out);
            out.iter().all(|sample| sample.is_finite())
        }
        prop_assert!(survives::<NoiseGate>(&absurd(&numbers)));
        prop_assert!(survives::<Compressor>(&absurd(&numbers)));
        prop_assert!(survives::<Equaliser>(&absurd(&numbers)));
        prop_assert!(survives::<Limiter>(&absurd(&numbers)));
    }
}

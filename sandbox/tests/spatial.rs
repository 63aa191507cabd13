//! Spatial stereo: a mono voice really widens and its mono sum stays, stereo keeps its energy, pan and depth are what
//! they are defined to be, and the stage behaves as all do (cuts, starts, glides, no allocation).
#![allow(unsafe_code)] // the counting allocator

mod common;
#[path = "common/counting.rs"]
mod counting;

use std::f64::consts::TAU;

use common::{peak, rms_db, Random, SPEECH_16_KHZ};
use counting::allocations_in;
use proptest::prelude::*;
use sandbox::{Described, Spatial, SpatialParameters, Stage, Stream};

const RATES: [u32; 9] = [8_000, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000];

fn stereo(sample_rate_hz: u32) -> Stream {
    Stream { sample_rate_hz, channels: 2 }
}

fn width(width: f32) -> SpatialParameters {
    SpatialParameters { width, ..Default::default() }
}

fn depth(depth: f32) -> SpatialParameters {
    SpatialParameters { depth, ..Default::default() }
}

fn pan(pan: f32) -> SpatialParameters {
    SpatialParameters { pan, ..Default::default() }
}

/// The stage over a whole signal in one block.
fn placed(rate: u32, parameters: SpatialParameters, input: &[f32]) -> Vec<f32> {
    let mut out = input.to_vec();
    Spatial::new(stereo(rate), &parameters).process(&mut out);
    out
}

fn doubled(mono: &[f32]) -> Vec<f32> {
    mono.iter().flat_map(|sample| [*sample; 2]).collect()
}

fn channel(stereo: &[f32], which: usize) -> Vec<f32> {
    stereo.iter().skip(which).step_by(2).copied().collect()
}

fn mono_sum(stereo: &[f32]) -> Vec<f32> {
    stereo.chunks(2).map(|frame| 0.5 * (frame[0] + frame[1])).collect()
}

/// The recording at any rate, by straight lines between its samples.
fn speech(rate: u32) -> Vec<f32> {
    let step = 16_000.0 / f64::from(rate);
    let length = ((SPEECH_16_KHZ.len() - 2) as f64 / step) as usize;
    let at = |index: usize| {
        let position = index as f64 * step;
        let (whole, part) = (position as usize, position.fract() as f32);
        SPEECH_16_KHZ[whole] + (SPEECH_16_KHZ[whole + 1] - SPEECH_16_KHZ[whole]) * part
    };
    (0..length).map(at).collect()
}

/// Noise that falls by 3 dB an octave: white noise through five one-pole filters whose corners lie two octaves apart.
fn pink_noise(seed: u64, length: usize) -> Vec<f32> {
    let mut random = Random(seed);
    let mut memories = [0.0f32; 6];
    let mut next = || {
        let white = random.sample();
        for (stage, memory) in memories.iter_mut().enumerate() {
            let share = 0.5 * 0.25f32.powi(stage as i32);
            *memory += share * (white / share.sqrt() - *memory);
        }
        0.03 * memories.iter().sum::<f32>()
    };
    (0..length).map(|_| next()).collect()
}

/// Correlation of left and right at no lag.
fn correlation(stereo: &[f32]) -> f64 {
    let mut sums = [0.0f64; 3];
    for frame in stereo.chunks(2) {
        let (left, right) = (f64::from(frame[0]), f64::from(frame[1]));
        sums[0] += left * right;
        sums[1] += left * left;
        sums[2] += right * right;
    }
    sums[0] / (sums[1] * sums[2]).sqrt()
}

/// A signal's level in a third of an octave, by three band-pass biquads one after the other (RBJ's cookbook, 0 dB peak).
fn third_octave_db(signal: &[f32], centre_hz: f64, rate: u32) -> f64 {
    let w = TAU * centre_hz / f64::from(rate);
    let alpha = w.sin() / (2.0 * 4.318);
    let (b, a1, a2) = (alpha / (1.0 + alpha), -2.0 * w.cos() / (1.0 + alpha), (1.0 - alpha) / (1.0 + alpha));
    let mut filtered: Vec<f64> = signal.iter().map(|sample| f64::from(*sample)).collect();
    for _ in 0..3 {
        let (mut x1, mut x2, mut y1, mut y2) = (0.0, 0.0, 0.0, 0.0);
        for sample in &mut filtered {
            let y = b * (*sample - x2) - a1 * y1 - a2 * y2;
            (x2, x1, y2, y1) = (x1, *sample, y1, y);
            *sample = y;
        }
    }
    10.0 * (filtered.iter().map(|value| value * value).sum::<f64>() / filtered.len() as f64).log10()
}

fn third_octaves(rate: u32) -> impl Iterator<Item = f64> {
    let highest = 0.9 * 0.5 * f64::from(rate);
    (-10..30)
        .map(|step| 1_000.0 * 2f64.powf(f64::from(step) / 3.0))
        .take_while(move |centre| *centre <= highest)
}

#[test]
fn a_mono_voice_widens_and_its_mono_sum_keeps_its_level_in_every_band_at_every_rate() {
    for rate in RATES {
        for (what, mono) in [("speech", speech(rate)), ("pink noise", pink_noise(5, 4 * rate as usize))] {
            let input = doubled(&mono);
            let mut last = 1.0;
            for w in [1.0, 1.25, 1.5, 2.0] {
                let out = placed(rate, width(w), &input);
                let found = correlation(&out);
                assert!(
                    w == 1.0 || found < last - 0.05,
                    "{what} at {rate} Hz, width {w}: {found}, not less than {last}"
                );
                last = found;
                let sum = mono_sum(&out);
                assert!((rms_db(&sum) - rms_db(&mono)).abs() < 0.01, "{what} at {rate} Hz, width {w}");
            }
            let out = placed(rate, width(2.0), &input);
            let sum = mono_sum(&out);
            let worst = third_octaves(rate)
                .map(|centre| {
                    (third_octave_db(&sum, centre, rate) - third_octave_db(&mono, centre, rate)).abs()
                })
                .fold(0.0, f64::max);
            let louder = rms_db(&out) - rms_db(&input);
            let balance = rms_db(&channel(&out, 0)) - rms_db(&channel(&out, 1));
            println!(
                "{what} at {rate} Hz, width 2: correlation {last:.3}, mono sum {worst:.4} dB off at worst, energy \
                 {louder:+.2} dB, left {balance:+.2} dB against right"
            );
            // Noise has more below 160 Hz, where the made side signal fades: the bass stays in the middle.
            let limit = if what == "speech" { 0.55 } else { 0.7 };
            assert!(last < limit, "{what} at {rate} Hz: correlation {last}");
            assert!(worst < 0.1, "{what} at {rate} Hz: {worst} dB");
            assert!((0.6..2.0).contains(&louder), "{what} at {rate} Hz: {louder} dB");
            assert!(balance.abs() < 1.0, "{what} at {rate} Hz: {balance} dB");
        }
    }
}

#[test]
fn a_sine_in_mono_keeps_its_mono_sum_and_stays_on_both_sides() {
    for frequency_hz in [100.0, 211.0, 440.0, 1_000.0, 3_170.0, 9_000.0, 21_000.0] {
        let mono: Vec<f32> = (0..96_000)
            .map(|index| (0.5 * (TAU * frequency_hz * f64::from(index) / 48_000.0).sin()) as f32)
            .collect();
        let out = placed(48_000, width(2.0), &doubled(&mono));
        let change = rms_db(&mono_sum(&out)) - rms_db(&mono);
        assert!(change.abs() < 0.01, "{frequency_hz} Hz: {change} dB");
        assert!(peak(&out) < 1.6, "{frequency_hz} Hz: {}", peak(&out));
    }
}

#[test]
fn stereo_is_scaled_in_its_side_and_keeps_its_energy() {
    let rate = 48_000;
    // Two voices, one on each side, and something in the middle.
    let (left, right) = (pink_noise(1, 6 * 48_000), pink_noise(2, 6 * 48_000));
    let input: Vec<f32> = left.iter().zip(&right).flat_map(|(l, r)| [l + 0.3 * r, r + 0.3 * l]).collect();
    let side_to_mid = |stereo: &[f32]| {
        let side: Vec<f32> = stereo.chunks(2).map(|frame| 0.5 * (frame[0] - frame[1])).collect();
        rms_db(&side) - rms_db(&mono_sum(stereo))
    };
    // The powers are known after some time constants.
    let settled = |stereo: &[f32]| stereo[2 * 96_000..].to_vec();
    for w in [0.0, 0.25, 0.5, 1.5, 2.0f32] {
        let out = settled(&placed(rate, width(w), &input));
        let energy = rms_db(&out) - rms_db(&settled(&input));
        let change = side_to_mid(&out) - side_to_mid(&settled(&input));
        println!(
            "width {w}: energy {energy:+.2} dB, side to mid {change:+.2} dB, correlation {:.2}",
            correlation(&out)
        );
        assert!(energy.abs() < 0.5, "width {w}: {energy} dB");
        if w > 0.0 {
            assert!((change - 20.0 * w.log10()).abs() < 0.5, "width {w}: {change} dB");
        } else {
            assert!(out.chunks(2).all(|frame| frame[0] == frame[1]), "mono");
        }
    }
}

#[test]
fn a_signal_on_one_side_only_or_out_of_phase_stays_within_bounds() {
    let noise = pink_noise(3, 96_000);
    for (left, right) in [(1.0, 0.0), (0.0, 1.0), (1.0, -1.0)] {
        let input: Vec<f32> = noise.iter().flat_map(|sample| [left * sample, right * sample]).collect();
        for w in [0.0, 0.5, 1.5, 2.0] {
            let change = rms_db(&placed(48_000, width(w), &input)) - rms_db(&input);
            assert!(change < 3.1, "width {w}: {change} dB");
        }
    }
}

#[test]
fn pan_follows_the_constant_power_law() {
    let input = doubled(&pink_noise(7, 48_000));
    for step in -10..=10 {
        let position = step as f32 / 10.0;
        let out = placed(48_000, pan(position), &input);
        let gain = |which: usize| {
            10f64.powf(f64::from(rms_db(&channel(&out, which)) - rms_db(&channel(&input, which))) / 20.0)
        };
        let angle = (f64::from(position) + 1.0) * std::f64::consts::FRAC_PI_4;
        let expected = [2f64.sqrt() * angle.cos(), 2f64.sqrt() * angle.sin()];
        for which in [0, 1] {
            if expected[which] > 1e-4 {
                let off = 20.0 * (gain(which) / expected[which]).log10();
                assert!(off.abs() < 0.02, "pan {position}, channel {which}: {off} dB");
            } else {
                assert!(gain(which) < 1e-4);
            }
        }
        assert!((rms_db(&out) - rms_db(&input)).abs() < 0.02, "the same power at {position}");
    }
}

#[test]
fn depth_takes_the_direct_sound_and_the_highs_away_and_brings_reflections() {
    for rate in RATES {
        // A single impulse: the direct sound is what comes before the first reflection, 11 ms later.
        let first_reflection = (0.011 * f64::from(rate)) as usize;
        let mut impulse = vec![0.0; rate as usize / 5 * 2];
        (impulse[0], impulse[1]) = (1.0, 1.0);
        let out = placed(rate, depth(1.0), &impulse);
        let energy = |part: &[f32]| part.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>();
        // The sum of the impulse response is the gain at 0 Hz.
        let direct: f64 = channel(&out, 0)[..first_reflection].iter().map(|sample| f64::from(*sample)).sum();
        assert!((20.0 * direct.log10() + 6.0).abs() < 0.1, "{rate} Hz: {direct}");
        for which in [0, 1] {
            let side = channel(&out, which);
            let ratio =
                10.0 * (energy(&side[first_reflection..]) / energy(&side[..first_reflection])).log10();
            assert!(ratio.abs() < 0.3, "{rate} Hz: reflections {ratio} dB against the direct sound");
            let end = (0.037 * f64::from(rate)) as usize;
            assert!(energy(&side[end..]) < 1e-3 * energy(&side), "{rate} Hz: over after 37 ms");
        }
        assert!(correlation(&out) < 0.8, "{rate} Hz: the sides differ");
        let half = placed(rate, depth(0.5), &impulse);
        let direct: f64 = channel(&half, 0)[..first_reflection].iter().map(|sample| f64::from(*sample)).sum();
        assert!((20.0 * direct.log10() + 3.0).abs() < 0.1, "{rate} Hz: {direct} at depth 0.5");
    }
    let noise = doubled(&pink_noise(9, 4 * 48_000));
    let at =
        |d: f32, centre: f64| third_octave_db(&channel(&placed(48_000, depth(d), &noise), 0), centre, 48_000);
    let damped = (at(1.0, 10_000.0) - at(1.0, 500.0)) - (at(0.0, 10_000.0) - at(0.0, 500.0));
    println!("10 kHz against 500 Hz at depth 1: {damped:+.1} dB");
    assert!((-7.5..-3.5).contains(&damped));
    let voice = doubled(&speech(48_000));
    let levels = [0.0, 0.25, 0.5, 0.75, 1.0].map(|d| rms_db(&placed(48_000, depth(d), &voice)));
    println!("a voice at depth 0, 0.25 .. 1: {levels:.1?} dBFS");
    assert!(levels.windows(2).all(|pair| pair[1] < pair[0] + 0.1));
}

#[test]
fn neutral_parameters_pass_every_sample_bit_for_bit() {
    let mut random = Random(11);
    let input: Vec<f32> = (0..20_000).map(|_| 2.0 * random.sample()).collect();
    for rate in RATES {
        assert!(placed(rate, SpatialParameters::default(), &input) == input);
    }
}

#[test]
fn one_channel_is_left_alone() {
    let input = speech(48_000);
    let mut out = input.clone();
    let far = SpatialParameters { width: 2.0, depth: 1.0, pan: -1.0 };
    Spatial::new(Stream { sample_rate_hz: 48_000, channels: 1 }, &far).process(&mut out);
    assert!(out == input);
}

#[test]
fn after_a_glide_back_to_neutral_samples_pass_bit_for_bit_again() {
    let input = doubled(&speech(48_000));
    let mut out = input.clone();
    let mut stage = Spatial::new(stereo(48_000), &SpatialParameters { width: 1.8, depth: 0.7, pan: 0.4 });
    stage.process(&mut out[..48_000]);
    stage.set(&SpatialParameters::default());
    stage.process(&mut out[48_000..]);
    // 20 ms, and up to 2 ms until the change begins.
    let settled = 48_000 + 2 * 48 * 22;
    assert!(out[settled..] == input[settled..]);
    assert!(out[48_000..settled - 2 * 48 * 4] != input[48_000..settled - 2 * 48 * 4]);
}

#[test]
fn changes_in_mid_stream_make_no_click() {
    // A low sine has no steep places of its own: what is left above 5 kHz is clicks.
    let sine: Vec<f32> =
        (0..96_000).map(|index| (0.5 * (TAU * 150.0 * f64::from(index) / 48_000.0).sin()) as f32).collect();
    let mut out = doubled(&sine);
    let mut stage = Spatial::new(stereo(48_000), &SpatialParameters::default());
    let places = [(2.0, 0.0, 0.0), (0.0, 1.0, -1.0), (1.0, 0.0, 1.0), (2.0, 1.0, -1.0), (1.0, 0.0, 0.0)];
    for (number, block) in out.chunks_mut(2 * 967).enumerate() {
        if number % 5 == 4 {
            let (width, depth, pan) = places[number / 5 % places.len()];
            stage.set(&SpatialParameters { width, depth, pan });
        }
        stage.process(block);
    }
    for which in [0, 1] {
        let steps = channel(&out, which);
        let bend = steps.windows(3).map(|w| (w[2] - 2.0 * w[1] + w[0]).abs()).fold(0.0, f32::max);
        // The sine itself bends by 0.5 (2 pi 150 / 48,000)^2 = 0.0002, a jump by its height.
        assert!(bend < 0.004, "a kink of {bend}");
    }
}

#[test]
fn a_silence_after_a_sound_becomes_zero_and_never_subnormal() {
    for rate in RATES {
        let mut stage = Spatial::new(stereo(rate), &SpatialParameters { width: 2.0, depth: 1.0, pan: 0.3 });
        stage.process(&mut doubled(&pink_noise(13, rate as usize)));
        let mut silence = vec![0.0; 2 * rate as usize];
        stage.process(&mut silence);
        assert!(silence.iter().all(|sample| !sample.is_subnormal()), "{rate} Hz");
        assert!(silence[rate as usize..].iter().all(|sample| *sample == 0.0), "{rate} Hz");
    }
}

#[test]
fn nothing_allocates_after_new() {
    let mut stage = Spatial::new(stereo(8_000), &SpatialParameters::default());
    let mut block = doubled(&pink_noise(17, 5_000));
    let allocations = allocations_in(|| {
        for rate in RATES {
            stage.start(stereo(rate), &width(2.0));
            stage.process(&mut block);
            stage.set(&SpatialParameters { width: 0.5, depth: 1.0, pan: -0.5 });
            stage.process(&mut block);
        }
    });
    assert_eq!(allocations, 0);
}

#[test]
fn the_table_names_every_parameter() {
    let mut parameters = SpatialParameters::default();
    for (number, parameter) in SpatialParameters::PARAMETERS.iter().enumerate() {
        assert!(parameter.range.contains(&(parameter.get)(&parameters)), "{}", parameter.name);
        (parameter.set)(&mut parameters, 0.25 * number as f32);
    }
    assert_eq!(parameters, SpatialParameters { width: 0.0, depth: 0.25, pan: 0.5 });
}

#[test]
fn absurd_parameters_are_held_within_their_ranges() {
    let input = doubled(&pink_noise(31, 5_000));
    let absurd = SpatialParameters { width: f32::INFINITY, depth: -1e30, pan: f32::NAN };
    let held = SpatialParameters { width: 2.0, depth: 0.0, pan: 0.0 };
    assert!(placed(48_000, absurd, &input) == placed(48_000, held, &input));
    let mut stage = Spatial::new(stereo(48_000), &held);
    let mut out = input.clone();
    stage.process(&mut out[..4_000]);
    stage.set(&SpatialParameters { width: f32::NAN, depth: f32::MAX, pan: f32::NEG_INFINITY });
    stage.process(&mut out[4_000..]);
    assert!(out.iter().all(|sample| sample.is_finite()));
}

fn any_place() -> impl Strategy<Value = SpatialParameters> {
    let edges_or =
        |range: std::ops::RangeInclusive<f32>| prop_oneof![Just(*range.start()), Just(*range.end()), range];
    (edges_or(0.0..=2.0), edges_or(0.0..=1.0), edges_or(-1.0..=1.0))
        .prop_map(|(width, depth, pan)| SpatialParameters { width, depth, pan })
}

/// Works on parts of these lengths, changing places in between.
fn run(stage: &mut Spatial, signal: &mut [f32], cuts: &[usize], change: Option<(usize, SpatialParameters)>) {
    let mut done = 0;
    let mut cuts = cuts.iter().cycle();
    while done < signal.len() {
        let mut end = (done + 2 * cuts.next().unwrap()).min(signal.len());
        if let Some((at, place)) = change {
            if done == 2 * at {
                stage.set(&place);
            } else if done < 2 * at {
                end = end.min(2 * at);
            }
        }
        stage.process(&mut signal[done..end]);
        done = end;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn how_a_stream_is_cut_makes_no_difference_to_the_bit(
        rate in prop::sample::select(RATES.to_vec()),
        first in any_place(),
        second in any_place(),
        change_at in 0..6_000usize,
        cuts in prop::collection::vec(1..900usize, 1..20),
        similar in any::<bool>(),
    ) {
        let (left, right) = (pink_noise(19, 8_000), pink_noise(if similar { 19 } else { 23 }, 8_000));
        let input: Vec<f32> = left.into_iter().zip(right).flat_map(|(l, r)| [l, r]).collect();
        let (mut whole, mut pieces) = (input.clone(), input);
        run(&mut Spatial::new(stereo(rate), &first), &mut whole, &[8_000], Some((change_at, second)));
        run(&mut Spatial::new(stereo(rate), &first), &mut pieces, &cuts, Some((change_at, second)));
        prop_assert!(whole == pieces);
    }

    #[test]
    fn a_started_stage_is_as_good_as_new(
        rates in prop::collection::vec(prop::sample::select(RATES.to_vec()), 2..5),
        places in prop::collection::vec(any_place(), 10),
        lengths in prop::collection::vec(1..9_000usize, 5),
    ) {
        let mut used = Spatial::new(Stream { sample_rate_hz: rates[0], channels: 1 }, &places[0]);
        for (index, rate) in rates.iter().enumerate() {
            used.start(stereo(*rate), &places[index]);
            let mut fresh = Spatial::new(stereo(*rate), &places[index]);
            for stage in [&mut used, &mut fresh] {
                // Before the first sample, too.
                stage.set(&places[index + 1]);
            }
            let (mut one, mut other) = (doubled(&pink_noise(29, lengths[index])), doubled(&pink_noise(29, lengths[index])));
            let change = Some((lengths[index] / 2, places[index + 5]));
            run(&mut used, &mut one, &[700], change);
            run(&mut fresh, &mut other, &[700], change);
            prop_assert!(one == other);
        }
    }

    #[test]
    fn finite_samples_stay_finite(
        rate in prop::sample::select(RATES.to_vec()),
        place in any_place(),
        samples in prop::collection::vec(-16.0f32..16.0, 2..3_000),
    ) {
        let mut out = samples[..samples.len() / 2 * 2].to_vec();
        Spatial::new(stereo(rate), &place).process(&mut out);
        prop_assert!(out.iter().all(|sample| sample.is_finite() && sample.abs() < 100.0));
    }
}

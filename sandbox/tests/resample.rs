//! The resampler against what it promises, for every pair of rates: measured with sines, an impulse, and random cuts.
#![allow(unsafe_code)] // the counting allocator

#[path = "common/counting.rs"]
mod counting;

use std::f64::consts::TAU;

use counting::allocations_in;
use proptest::prelude::*;
use sandbox::resample::{ResampleError, Resampler, RATES_HZ, RECORDING_RATES_HZ};

/// -80 dB, as a factor.
const FAR_DOWN: f64 = 1e-4;

/// All pairs of unequal rates.
fn pairs() -> impl Iterator<Item = (u32, u32)> {
    of_unequal(&RECORDING_RATES_HZ)
}

/// Those of streams: 20 ms are a whole number of samples at each of them.
fn pairs_of_streams() -> impl Iterator<Item = (u32, u32)> {
    of_unequal(&RATES_HZ)
}

fn of_unequal(rates: &'static [u32]) -> impl Iterator<Item = (u32, u32)> {
    let from_each = |from: &'static u32| rates.iter().map(move |to| (*from, *to));
    rates.iter().flat_map(from_each).filter(|(from, to)| from != to)
}

fn live(from: u32, to: u32, channels: usize) -> Resampler {
    Resampler::new(from, to, channels).expect("accepted rates")
}

fn aligned(from: u32, to: u32, channels: usize) -> Resampler {
    Resampler::aligned(from, to, channels).expect("accepted rates")
}

/// All that a resampler makes of `input`, in one piece.
fn convert(mut resampler: Resampler, input: &[f32]) -> Vec<f32> {
    let mut output = Vec::new();
    resampler.process(input, &mut output);
    resampler.finish(&mut output);
    output
}

fn sine(hz: f64, rate: u32, frames: usize) -> impl Iterator<Item = f32> {
    (0..frames).map(move |n| (TAU * hz * n as f64 / f64::from(rate) + 0.7).sin() as f32)
}

/// What a sine of amplitude 1 becomes, without what rings at its ends.
fn settled(from: u32, to: u32, hz: f64) -> Vec<f32> {
    let resampler = live(from, to, 1);
    let edge = 2 * resampler.delay_samples() + 2;
    // 60 ms in the middle, and what rings before.
    let frames = (edge as u64 * u64::from(from) / u64::from(to)) as usize + from as usize * 60 / 1_000;
    let input: Vec<f32> = sine(hz, from, frames).collect();
    let mut output = Vec::new();
    let mut resampler = resampler;
    resampler.process(&input, &mut output);
    output.split_off(edge)
}

fn rms(signal: impl ExactSizeIterator<Item = f64>) -> f64 {
    let length = signal.len() as f64;
    (signal.map(|sample| sample * sample).sum::<f64>() / length).sqrt()
}

/// The amplitude of the part of `signal` that is a sine of `hz`, by least squares, and the RMS of all else.
fn fit(signal: &[f32], hz: f64, rate: u32) -> (f64, f64) {
    let basis: Vec<(f64, f64)> =
        (0..signal.len()).map(|n| (TAU * hz * n as f64 / f64::from(rate)).sin_cos()).collect();
    let (mut ss, mut sc, mut cc, mut sy, mut cy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (&(s, c), &y) in basis.iter().zip(signal) {
        (ss, sc, cc) = (ss + s * s, sc + s * c, cc + c * c);
        (sy, cy) = (sy + s * f64::from(y), cy + c * f64::from(y));
    }
    let determinant = ss * cc - sc * sc;
    let (a, b) = ((sy * cc - cy * sc) / determinant, (cy * ss - sy * sc) / determinant);
    let rest = basis.iter().zip(signal).map(|(&(s, c), &y)| f64::from(y) - a * s - b * c);
    (a.hypot(b), rms(rest))
}

#[test]
fn every_pair_is_flat_up_to_nine_tenths_of_the_lower_nyquist_and_adds_nothing() {
    let parts = [0.004, 0.05, 0.13, 0.25, 0.41, 0.5, 0.63, 0.75, 0.81, 0.85, 0.87, 0.88, 0.89, 0.895, 0.9];
    let (mut worst_ripple, mut worst_image) = (0.0f64, 0.0f64);
    for (from, to) in pairs() {
        for part in parts {
            let hz = part * f64::from(from.min(to)) / 2.0;
            let (amplitude, rest) = fit(&settled(from, to, hz), hz, to);
            let off_db = 20.0 * amplitude.log10();
            assert!(off_db.abs() < 0.1, "{from} to {to} Hz: {off_db:.4} dB at {hz} Hz");
            let image = rest * std::f64::consts::SQRT_2;
            assert!(image < FAR_DOWN, "{from} to {to} Hz: {:.1} dB beside {hz} Hz", 20.0 * image.log10());
            worst_ripple = worst_ripple.max(off_db.abs());
            worst_image = worst_image.max(image);
        }
    }
    println!("ripple {worst_ripple:.5} dB, the rest {:.1} dB", 20.0 * worst_image.log10());
}

#[test]
fn going_down_nothing_from_the_lower_nyquist_on_comes_through() {
    let parts = [
        1.0, 1.001, 1.005, 1.01, 1.02, 1.035, 1.05, 1.1, 1.13, 1.2, 1.5, 1.8, 2.0, 2.5, 3.1, 4.0, 5.3, 7.0,
        9.9,
    ];
    let mut worst = 0.0f64;
    for (from, to) in pairs().filter(|(from, to)| from > to) {
        for hz in parts
            .map(|part| part * f64::from(to) / 2.0)
            .into_iter()
            .filter(|&hz| hz < 0.999 * f64::from(from) / 2.0)
        {
            let left = rms(settled(from, to, hz).into_iter().map(f64::from)) * std::f64::consts::SQRT_2;
            assert!(left < FAR_DOWN, "{from} to {to} Hz: {hz} Hz leaves {:.1} dB", 20.0 * left.log10());
            worst = worst.max(left);
        }
    }
    println!("aliases {:.1} dB", 20.0 * worst.log10());
}

#[test]
fn going_up_nothing_appears_above_the_lower_nyquist_whatever_comes_in() {
    let mut worst = 0.0f64;
    for (from, to) in pairs().filter(|(from, to)| from < to) {
        // The uppermost tenth may be weakened, its images may not appear.
        for part in [0.905, 0.92, 0.95, 0.97, 0.985, 0.995, 0.999] {
            let hz = part * f64::from(from) / 2.0;
            let (_, rest) = fit(&settled(from, to, hz), hz, to);
            let image = rest * std::f64::consts::SQRT_2;
            assert!(image < FAR_DOWN, "{from} to {to} Hz: {:.1} dB beside {hz} Hz", 20.0 * image.log10());
            worst = worst.max(image);
        }
    }
    println!("images {:.1} dB", 20.0 * worst.log10());
}

#[test]
fn an_impulse_comes_out_at_the_stated_delay_which_is_below_ten_milliseconds() {
    for (from, to) in pairs_of_streams() {
        let mut resampler = live(from, to, 1);
        let at = from as usize / 50; // 20 ms, a whole number of samples on both sides
        let mut input = vec![0.0; 2 * at];
        input[at] = 1.0;
        let delay = resampler.delay_samples();
        let mut output = Vec::new();
        resampler.process(&input, &mut output);
        resampler.finish(&mut output);
        let sum: f64 = output.iter().map(|&y| f64::from(y)).sum();
        let centre: f64 =
            output.iter().zip(0..).map(|(&y, n)| f64::from(n) * f64::from(y)).sum::<f64>() / sum;
        let measured = centre - f64::from(to) / 50.0;
        assert!((measured - delay as f64).abs() < 0.1, "{from} to {to} Hz: {measured} samples, said {delay}");
        let delay_ms = delay as f64 * 1_000.0 / f64::from(to);
        let lower_khz = f64::from(from.min(to)) / 1_000.0;
        assert!(
            delay_ms < 7.0 && delay_ms < 53.0 / lower_khz + 1_001.0 / f64::from(to),
            "{from} to {to} Hz: {delay_ms} ms"
        );
    }
}

#[test]
fn an_aligned_resampler_gives_the_same_signal_at_the_same_times() {
    let chord = |rate: u32, lowest_rate: u32, frames: usize| -> Vec<f32> {
        (0..frames)
            .map(|n| {
                let t = n as f64 / f64::from(rate);
                let envelope = (-((t - 0.05) / 0.012).powi(2)).exp();
                let tone = |part: f64, phase: f64| (TAU * part * f64::from(lowest_rate) * t + phase).sin();
                (envelope * (tone(0.02, 0.3) + tone(0.11, 1.0) + tone(0.23, 2.0) + tone(0.37, 4.0)) / 4.0)
                    as f32
            })
            .collect()
    };
    for (from, to) in pairs_of_streams() {
        let lowest = from.min(to);
        let output = convert(aligned(from, to, 1), &chord(from, lowest, from as usize / 10));
        let expected = chord(to, lowest, to as usize / 10);
        assert_eq!(output.len(), expected.len(), "{from} to {to} Hz");
        let off = output.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 2e-4, "{from} to {to} Hz: off by {off}");
    }
}

#[test]
fn blocks_of_20_ms_give_20_ms_each_and_shorter_ones_a_frame_more_or_less() {
    for (from, to) in pairs_of_streams() {
        let mut resampler = live(from, to, 1);
        let input = vec![0.1; from as usize / 50];
        let mut output = Vec::new();
        for block in 0..50 {
            resampler.process(&input, &mut output);
            assert_eq!(output.len(), (block + 1) * to as usize / 50, "{from} to {to} Hz");
        }
        let mut output = Vec::new();
        for taken in 1..=2_000u64 {
            resampler.start();
            output.clear();
            let frames = (taken % 83) as usize;
            for blocks in 1..=3 {
                let before = output.len();
                resampler.process(&input[..frames.min(input.len())], &mut output);
                let given = (output.len() - before) as f64;
                let average = frames as f64 * f64::from(to) / f64::from(from);
                assert!(
                    (given - average).abs() < 1.0 + 1e-9,
                    "{from} to {to} Hz: {given} of {average}, block {blocks}"
                );
                assert!(output.len() - before <= resampler.output_frames_max(frames));
            }
        }
    }
}

#[test]
fn equal_rates_pass_every_bit_at_once() {
    let input = [0.5, -0.0, f32::MIN_POSITIVE / 4.0, 1e30, -1.0, f32::from_bits(0x7fc0_1234)];
    for rate in RECORDING_RATES_HZ {
        for channels in [1, 2] {
            for mut resampler in [live(rate, rate, channels), aligned(rate, rate, channels)] {
                let mut output = Vec::new();
                resampler.process(&input, &mut output);
                assert!(output.iter().map(|s| s.to_bits()).eq(input.iter().map(|s| s.to_bits())));
                resampler.finish(&mut output);
                assert_eq!((output.len(), resampler.delay_samples()), (input.len(), 0));
            }
        }
    }
}

#[test]
fn other_rates_and_channels_are_refused_by_name() {
    for (from, to, got) in [(11_026, 48_000, 11_026), (48_000, 0, 0), (44_100, 192_000, 192_000)] {
        assert_eq!(Resampler::new(from, to, 1).unwrap_err(), ResampleError::Rate { got });
        assert!(ResampleError::Rate { got }.to_string().contains(&format!("got {got} Hz, accepted: 8000, ")));
    }
    for got in [0, 3] {
        assert_eq!(Resampler::new(8_000, 48_000, got).unwrap_err(), ResampleError::Channels { got });
    }
    let mut resampler = live(8_000, 48_000, 2);
    assert!(resampler.convert(8_000, 48_001, 1).is_err());
    assert_eq!((resampler.from_hz(), resampler.to_hz(), resampler.channels()), (8_000, 48_000, 2));
}

#[test]
fn the_message_names_every_accepted_rate() {
    let message = ResampleError::Rate { got: 1 }.to_string();
    for rate in RECORDING_RATES_HZ {
        assert!(message.contains(&rate.to_string()), "{rate} is missing in: {message}");
    }
}

#[test]
fn after_sound_has_passed_silence_is_silence() {
    for (from, to) in pairs() {
        let mut resampler = live(from, to, 1);
        let mut output = Vec::new();
        resampler.process(&sine(440.0, from, from as usize / 25).collect::<Vec<_>>(), &mut output);
        resampler.process(&vec![0.0; from as usize / 25], &mut output);
        let still = 2 * resampler.delay_samples() + 1;
        let tail = &output[to as usize / 25 + still..];
        assert!(!tail.is_empty() && tail.iter().all(|&y| y == 0.0), "{from} to {to} Hz");
    }
}

#[test]
fn a_sample_that_is_no_number_is_forgotten() {
    for (from, to) in pairs() {
        let input = noise(from as usize / 20, 7);
        let mut spoilt = input.clone();
        let at = from as usize / 100;
        spoilt[at] = f32::NAN;
        let (clean, spoilt) = (convert(live(from, to, 1), &input), convert(live(from, to, 1), &spoilt));
        let first = at as u64 * u64::from(to) / u64::from(from);
        let last = first as f64 + 118.0 * f64::from(to) / f64::from(from.min(to));
        assert_eq!(bits(&clean[..first as usize]), bits(&spoilt[..first as usize]), "{from} to {to} Hz");
        assert_eq!(
            bits(&clean[last as usize + 1..]),
            bits(&spoilt[last as usize + 1..]),
            "{from} to {to} Hz"
        );
    }
}

#[test]
fn nothing_allocates_once_the_buffers_are_there() {
    for (from, to) in
        [(48_000, 16_000), (16_000, 48_000), (44_100, 48_000), (96_000, 8_000), (22_050, 32_000)]
    {
        for channels in [1, 2] {
            let mut resampler = live(from, to, channels);
            let input = vec![0.1; from as usize / 50 * channels];
            let frames =
                resampler.output_frames_max(input.len() / channels).max(resampler.finish_frames_max());
            let mut output = Vec::with_capacity(frames * channels);
            let warm = allocations_in(|| {
                for _ in 0..5 {
                    output.clear();
                    resampler.process(&input, &mut output);
                }
                output.clear();
                resampler.finish(&mut output);
                resampler.start();
                resampler.convert(from, to, channels).unwrap();
            });
            assert_eq!(warm, 0, "{from} to {to} Hz, {channels} channels");
        }
    }
    // The filters are there by now, and the longest has been in use: nothing left to allocate for.
    let _ = (live(48_000, 16_000, 1), live(44_100, 48_000, 1));
    let mut resampler = live(96_000, 8_000, 2);
    let changes = allocations_in(|| {
        resampler.convert(48_000, 16_000, 1).unwrap();
        resampler.convert(44_100, 48_000, 2).unwrap();
    });
    assert_eq!(changes, 0);
}

/// Anything, as loud as f32 PCM may be.
fn noise(samples: usize, seed: u32) -> Vec<f32> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    (0..samples).map(|_| next()).collect()
}

fn bits(signal: &[f32]) -> Vec<u32> {
    signal.iter().map(|sample| sample.to_bits()).collect()
}

prop_compose! {
    fn any_conversion()(
        from in prop::sample::select(&RECORDING_RATES_HZ[..]), to in prop::sample::select(&RECORDING_RATES_HZ[..]),
        channels in 1usize..=2, is_live in any::<bool>(),
    ) -> (u32, u32, usize, bool) {
        (from, to, channels, is_live)
    }
}

fn resampler_of((from, to, channels, is_live): (u32, u32, usize, bool)) -> Resampler {
    if is_live {
        live(from, to, channels)
    } else {
        aligned(from, to, channels)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn cuts_do_not_matter_and_no_sample_is_lost(
        conversion in any_conversion(), frames in 0usize..4_000, seed: u32,
        cuts in prop::collection::vec(0usize..1_500, 0..12),
    ) {
        let (from, to, channels, is_live) = conversion;
        let input = noise(frames * channels, seed);
        let whole = convert(resampler_of(conversion), &input);

        let mut resampler = resampler_of(conversion);
        let (mut output, mut rest) = (Vec::new(), &input[..]);
        for cut in cuts {
            let (piece, after) = rest.split_at((cut * channels).min(rest.len()));
            resampler.process(piece, &mut output);
            rest = after;
        }
        resampler.process(rest, &mut output);
        resampler.finish(&mut output);
        prop_assert_eq!(bits(&output), bits(&whole));

        let rounded = (frames as f64 * f64::from(to) / f64::from(from)).round() as usize;
        let late = if is_live && frames > 0 { resampler.delay_samples() } else { 0 };
        prop_assert_eq!(whole.len(), (rounded + late) * channels);
        prop_assert!(whole.iter().all(|sample| sample.is_finite()));
    }

    #[test]
    fn a_started_one_is_as_good_as_new(
        conversion in any_conversion(), other in any_conversion(), frames in 0usize..1_500, seed: u32, ended in any::<bool>(),
    ) {
        let (from, to, channels, is_live) = conversion;
        let mut used = resampler_of((other.0, other.1, other.2, is_live));
        let mut ignored = Vec::new();
        used.process(&noise(700 * other.2, !seed), &mut ignored);
        if ended {
            used.finish(&mut ignored);
        }
        used.convert(from, to, channels).unwrap();
        let input = noise(frames * channels, seed);
        let fresh = convert(resampler_of(conversion), &input);
        for _ in 0..2 {
            let mut output = Vec::new();
            used.process(&input, &mut output);
            used.finish(&mut output);
            prop_assert_eq!(bits(&output), bits(&fresh));
            used.process(&input, &mut output);
            used.start();
        }
    }

    #[test]
    fn channels_know_nothing_of_each_other(conversion in any_conversion(), frames in 0usize..1_500, seed: u32) {
        let (left, right) = (noise(frames, seed), noise(frames, !seed));
        let both: Vec<f32> = left.iter().zip(&right).flat_map(|(&l, &r)| [l, r]).collect();
        let (from, to, _, is_live) = conversion;
        let stereo = convert(resampler_of((from, to, 2, is_live)), &both);
        for (channel, alone) in [left, right].iter().enumerate() {
            let picked: Vec<f32> = stereo.iter().skip(channel).step_by(2).copied().collect();
            prop_assert_eq!(bits(&picked), bits(&convert(resampler_of((from, to, 1, is_live)), alone)));
        }
    }
}

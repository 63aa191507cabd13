//! De-noise, measured on real speech in noise that is added to it here.
#![allow(unsafe_code)]

mod common;

use common::{Random, SPEECH_16_KHZ};
use sandbox::{Denoise, DenoiseParameters, Stage, Stream};

const FULL: DenoiseParameters = DenoiseParameters { strength: 1.0 };

fn denoise(rate: u32, signal: &[f32]) -> (Vec<f32>, usize) {
    let mut stage = Denoise::new(Stream { sample_rate_hz: rate, channels: 1 }, &FULL);
    let mut out = signal.to_vec();
    out.extend(std::iter::repeat_n(0.0, stage.delay_samples()));
    stage.process(&mut out);
    (out, stage.delay_samples())
}

/// The recording without its rumble, at a rate that 48 kHz is a multiple of, through a long windowed sinc.
fn clean_speech(rate: u32) -> Vec<f32> {
    let source = common::without_rumble(&SPEECH_16_KHZ);
    resampled(&source, 16_000, rate)
}

/// By definition: the sum over all samples near enough, each with its sinc, at the lower of the two Nyquist frequencies.
fn resampled(source: &[f32], from: u32, to: u32) -> Vec<f32> {
    if from == to {
        return source.to_vec();
    }
    let cutoff = f64::from(to.min(from)) / f64::from(from);
    let reach = (32.0 / cutoff) as isize;
    let length = source.len() * to as usize / from as usize;
    (0..length)
        .map(|index| {
            let position = index as f64 * f64::from(from) / f64::from(to);
            let middle = position as isize;
            let nearby = (middle - reach + 1).max(0)..(middle + reach).min(source.len() as isize);
            let sum: f64 = nearby
                .map(|place| {
                    let lag = (position - place as f64) * cutoff;
                    let sinc = if lag == 0.0 {
                        1.0
                    } else {
                        (std::f64::consts::PI * lag).sin() / (std::f64::consts::PI * lag)
                    };
                    let window = (std::f64::consts::PI * lag / 64.0).cos().max(0.0).powi(2);
                    cutoff * sinc * window * f64::from(source[place as usize])
                })
                .sum();
            sum as f32
        })
        .collect()
}

fn white(length: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    (0..length).map(|_| (0..4).map(|_| random.sample()).sum::<f32>() * 0.5).collect()
}

/// -3 dB an octave, from 20 Hz on: first-order low-passes an octave apart, each with as much power as the next.
fn pink(length: usize, seed: u64, rate: u32) -> Vec<f32> {
    let mut sum = vec![0.0f32; length];
    let mut corner = 20.0;
    while corner < 0.5 * f64::from(rate) {
        let pole = (-std::f64::consts::TAU * corner / f64::from(rate)).exp() as f32;
        let gain = (1.0 - pole * pole).sqrt();
        let mut state = 0.0;
        for (sum, sample) in sum.iter_mut().zip(white(length, seed + corner as u64)) {
            state = pole * state + gain * sample;
            *sum += state;
        }
        corner *= 2.0;
    }
    sum
}

/// Many voices at once, none of which can be followed: the recording from many places, forwards and backwards.
fn babble(clean: &[f32], voices: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    let mut sum = vec![0.0f32; clean.len()];
    for voice in 0..voices {
        let start = random.below(clean.len());
        let gain = 0.5 + 0.5 * random.sample().abs();
        for (index, sum) in sum.iter_mut().enumerate() {
            let place = (start + index) % clean.len();
            let place = if voice % 2 == 0 { place } else { clean.len() - 1 - place };
            *sum += gain * clean[place];
        }
    }
    sum
}

fn power(signal: &[f32]) -> f64 {
    signal.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / signal.len() as f64
}

fn mixed_at(clean: &[f32], noise: &[f32], snr_db: f64) -> Vec<f32> {
    let gain = (power(clean) / power(noise) / 10f64.powf(snr_db / 10.0)).sqrt() as f32;
    clean.iter().zip(noise).map(|(clean, noise)| clean + gain * noise).collect()
}

/// Scale-invariant signal-to-noise ratio: what lies along `clean` against all the rest.
fn si_snr_db(clean: &[f32], noisy: &[f32]) -> f64 {
    let cross: f64 = clean.iter().zip(noisy).map(|(c, n)| f64::from(*c) * f64::from(*n)).sum();
    let gain = cross / (power(clean) * clean.len() as f64);
    let rest: f64 = clean.iter().zip(noisy).map(|(c, n)| (f64::from(*n) - gain * f64::from(*c)).powi(2)).sum();
    10.0 * (gain * gain * power(clean) * clean.len() as f64 / rest).log10()
}

#[test]
fn figures() {
    for rate in [48_000, 16_000, 8_000] {
        let clean = clean_speech(rate);
        let kinds = [
            ("white", white(clean.len(), 7)),
            ("pink", pink(clean.len(), 7, rate)),
            ("babble", babble(&clean, 12, 7)),
        ];
        for (name, noise) in kinds {
            for level in [1.0, 0.3, 3.0] {
            let noisy: Vec<f32> = mixed_at(&clean, &noise, 5.0).iter().map(|x| x * level).collect();
            let (out, delay) = denoise(rate, &noisy);
            let before = si_snr_db(&clean, &noisy);
            let after = si_snr_db(&clean, &out[delay..]);
            let skip = rate as usize;
            let later = si_snr_db(&clean[skip..], &out[delay + skip..]);
            // find best lag
            let best = (-12i32..=12).map(|d| {
                let n = clean.len() - 40;
                let s = (delay as i32 + d) as usize;
                (si_snr_db(&clean[..n], &out[s..s + n]), d)
            }).max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
            println!("{rate} {name} x{level}: {before:.2} -> {after:.2} later {later:.2} best {best:?}");
            }
        }
        let (out, delay) = denoise(rate, &clean);
        println!("{rate} clean: {:.2} rms {:.2} {:.2}", si_snr_db(&clean, &out[delay..]), common::rms_db(&clean), common::rms_db(&out));
    }
}

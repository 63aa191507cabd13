//! De-noise, measured on real speech in noise that is added to it here.
#![allow(unsafe_code)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/counting.rs"]
mod counting;
mod masks;

use std::collections::HashMap;
use std::f64::consts::{PI, TAU};
use std::sync::{LazyLock, Mutex};

use common::{Random, SPEECH_16_KHZ};
use counting::{allocations_in, bytes_held};
use proptest::prelude::*;
use realfft::num_complex::Complex64;
use sandbox::{Denoise, DenoiseParameters, Stage, Stream};

const SUPPORTED: [u32; 6] = [8_000, 12_000, 16_000, 24_000, 48_000, 96_000];
const FULL: DenoiseParameters = DenoiseParameters { strength: 1.0 };
const NONE: DenoiseParameters = DenoiseParameters { strength: 0.0 };

fn stage(rate: u32, channels: usize, parameters: &DenoiseParameters) -> Denoise {
    Denoise::new(Stream { sample_rate_hz: rate, channels }, parameters)
}

/// Mono, by a fresh stage; as long as `signal`, late as it comes.
fn processed(rate: u32, parameters: &DenoiseParameters, signal: &[f32]) -> Vec<f32> {
    let mut out = signal.to_vec();
    stage(rate, 1, parameters).process(&mut out);
    out
}

/// Cleaned, and moved back to where it was.
fn cleaned(rate: u32, signal: &[f32]) -> Vec<f32> {
    let delay = stage(rate, 1, &FULL).delay_samples();
    let longer: Vec<f32> = signal.iter().copied().chain(std::iter::repeat_n(0.0, delay)).collect();
    processed(rate, &FULL, &longer).split_off(delay)
}

/// Against the speech that was mixed with it, as it was.
#[test]
fn full_band_noise_at_5_db_is_8_db_further_below_the_speech_sample_by_sample() {
    for seed in [7, 70, 700] {
        let spoken = clean_speech(48_000);
        let heard = Heard::of(48_000, &spoken, white(spoken.len() + 96_000, seed), 5.0);
        let (before, after) = (heard.waveform_snr_db(&heard.noisy), heard.waveform_snr_db(&heard.cleaned));
        let raised_in_segments =
            heard.segmental_snr_db(&heard.cleaned) - heard.segmental_snr_db(&heard.noisy);
        println!("waveform {before:.3} dB -> {after:.2} dB, segmental +{raised_in_segments:.2} dB");
        assert!((before - 5.0).abs() < 1e-3, "{before} dB");
        assert!(after - before > 8.0, "waveform {before} dB -> {after} dB");
        assert!(raised_in_segments > 8.0, "segmental {raised_in_segments} dB");
    }
}

/// What rumbles along in the recording counts as speech here, and as a fault where the network takes it out.
#[test]
fn speech_that_rumbles_gains_too_against_itself_rumble_and_all() {
    let spoken = recording(48_000);
    let rumble = scale_invariant_snr_db(&clean_speech(48_000), &spoken);
    let heard = Heard::of(48_000, &spoken, white(spoken.len() + 96_000, 7), 5.0);
    let (before, after) = (heard.waveform_snr_db(&heard.noisy), heard.waveform_snr_db(&heard.cleaned));
    let changed = scale_invariant_snr_db(&spoken, &cleaned(48_000, &spoken));
    println!("rumble {rumble:.2} dB below: {before:.3} dB -> {after:.2} dB; changed without noise {changed:.2} dB below");
    assert!((before - 5.0).abs() < 1e-3, "{before} dB");
    assert!(after - before > 5.5, "{before} dB -> {after} dB");
    assert!(changed > 13.5, "{changed} dB");
}

/// Sound so quiet that the network lets it through (below 0.04 by its own count), so that only what it begins with and
/// what undoes that are at work: H(s) = s^2 / (s^2 + sqrt(2) w s + w^2), w = 2 pi times 7 Hz.
#[test]
fn beside_its_gains_it_is_a_butterworth_high_pass_at_7_hz() {
    let rate = 48_000;
    for frequency in [1.0, 3.0, 7.0, 12.0, 20.0, 24.0, 30.0, 50.0, 80.0, 120.0, 200.0, 1_000.0, 5_000.0f64] {
        let angle = |index: usize| TAU * frequency * index as f64 / f64::from(rate);
        let tone: Vec<f32> = (0..4 * rate as usize).map(|index| (2e-6 * angle(index).sin()) as f32).collect();
        let out = cleaned(rate, &tone);
        // The last two seconds but one hold whole periods, and nothing of the beginning.
        let (re, im) = (rate as usize..3 * rate as usize).fold((0.0, 0.0), |(re, im), index| {
            let (sin, cos) = angle(index).sin_cos();
            (re + f64::from(out[index]) * sin, im + f64::from(out[index]) * cos)
        });
        let found = Complex64::new(re, im) / (2e-6 * f64::from(rate));
        let s = Complex64::new(0.0, frequency / 7.0);
        let expected = s * s / (s * s + 2f64.sqrt() * s + 1.0);
        let apart = (found - expected).norm();
        println!(
            "{frequency} Hz: {:.3} dB, {:.2} degrees, {apart:.4} apart",
            20.0 * found.norm().log10(),
            found.arg().to_degrees()
        );
        assert!(apart < 0.005, "{frequency} Hz: {found}, expected {expected}");
        assert!(found.norm() < 1.002, "{frequency} Hz: {found}");
    }
}

#[test]
fn a_constant_goes_away_and_a_step_across_full_scale_comes_out_no_higher_than_it_is() {
    for rate in SUPPORTED {
        let half_second = rate as usize / 2;
        let mut steps: Vec<f32> = (0..8 * half_second)
            .map(|index| if (index / half_second).is_multiple_of(2) { 1.0 } else { -1.0 })
            .collect();
        steps.extend(vec![1.0; 4 * half_second]);
        let out = cleaned(rate, &steps);
        let (highest, left) = (common::peak(&out), common::peak(&out[10 * half_second..11 * half_second]));
        println!("{rate} Hz: {highest:.2} at most, {left:.1e} in the end");
        // The filters of the other rates overshoot.
        assert!(highest < 2.2, "{rate} Hz: {highest}");
        assert!(left < 1e-3, "{rate} Hz: {left}");
    }
}

/// White noise is the exception where it reaches to 24 kHz or ends at 4 kHz: in a long pause the network takes it for
/// speech in part.
#[test]
fn speech_stands_8_db_further_above_the_noise_of_its_pauses() {
    for rate in [8_000, 16_000, 48_000] {
        for noise in [Noise::White, Noise::Pink, Noise::Babble] {
            let at_least = match (rate, noise) {
                (8_000, Noise::White) => 3.5,
                (48_000, Noise::White) => 6.0,
                _ => 8.0,
            };
            let heard = Heard::new(rate, noise, 5.0);
            let (before, after) =
                (heard.speech_over_pause_db(&heard.noisy), heard.speech_over_pause_db(&heard.cleaned));
            println!("{rate} Hz, {noise:?}: {before:.2} dB -> {after:.2} dB");
            assert!(after - before > at_least, "{rate} Hz, {noise:?}: {before} dB -> {after} dB");
        }
    }
}

/// Inside the same band and at the same time as the speech, a network of 22 bands can do less; never does it do harm.
#[test]
fn noise_within_the_speech_falls_too_sample_by_sample() {
    for rate in [8_000, 16_000, 48_000] {
        for (noise, at_least) in [(Noise::White, 3.0), (Noise::Pink, 2.3), (Noise::Babble, 1.5)] {
            let heard = Heard::new(rate, noise, 5.0);
            let raised = heard.waveform_snr_db(&heard.cleaned) - heard.waveform_snr_db(&heard.noisy);
            let in_segments = heard.segmental_snr_db(&heard.cleaned) - heard.segmental_snr_db(&heard.noisy);
            println!("{rate} Hz, {noise:?}: waveform +{raised:.2} dB, segmental +{in_segments:.2} dB");
            assert!(raised > at_least, "{rate} Hz, {noise:?}: waveform {raised} dB");
            assert!(in_segments > at_least, "{rate} Hz, {noise:?}: segmental {in_segments} dB");
        }
    }
}

#[test]
fn clean_speech_keeps_its_waveform_and_its_level() {
    for rate in [8_000, 16_000, 48_000] {
        let speech = clean_speech(rate);
        let out = cleaned(rate, &speech);
        let likeness = scale_invariant_snr_db(&speech, &out);
        let level = common::rms_db(&out) - common::rms_db(&speech);
        println!("{rate} Hz: what was changed lies {likeness:.2} dB below, level {level:+.2} dB");
        assert!(likeness > 20.0, "{rate} Hz: {likeness} dB");
        assert!(level.abs() < 0.2, "{rate} Hz: {level} dB");
    }
}

#[test]
fn strength_0_is_the_input_to_the_bit_late_by_the_delay_it_tells() {
    for rate in SUPPORTED {
        let speech = clean_speech(rate);
        let delay = stage(rate, 1, &NONE).delay_samples();
        let out = processed(rate, &NONE, &speech);
        assert!(out[..delay].iter().all(|sample| *sample == 0.0));
        assert_eq!(out[delay..], speech[..speech.len() - delay], "{rate} Hz");
    }
}

#[test]
fn cleaned_speech_is_late_by_the_same_delay() {
    for rate in SUPPORTED {
        let speech = clean_speech(rate);
        let delay = stage(rate, 1, &FULL).delay_samples();
        println!("{rate} Hz: {delay} samples, {:.2} ms", delay as f64 * 1e3 / f64::from(rate));
        let out = processed(rate, &FULL, &speech);
        let compared = speech.len() - 2 * delay;
        let likeness = |lag: usize| scale_invariant_snr_db(&speech[..compared], &out[lag..lag + compared]);
        let best = (delay - 40..delay + 40).max_by(|one, other| likeness(*one).total_cmp(&likeness(*other)));
        assert_eq!(best, Some(delay), "{rate} Hz");
    }
}

#[test]
fn other_rates_pass_unchanged_and_without_delay() {
    for rate in [11_025, 22_050, 32_000, 44_100, 88_200] {
        assert!(!Denoise::supports(rate));
        let signal = white(5_000, 3);
        assert_eq!(processed(rate, &FULL, &signal), signal);
        assert_eq!(stage(rate, 1, &FULL).delay_samples(), 0);
    }
    assert!(SUPPORTED.into_iter().all(Denoise::supports));
}

#[test]
fn a_change_of_strength_glides_over_10_ms() {
    let rate = 16_000;
    let signal = Heard::new(rate, Noise::White, 5.0).noisy;
    let (wet, dry) = (processed(rate, &FULL, &signal), processed(rate, &NONE, &signal));
    let mut changing = stage(rate, 1, &FULL);
    let mut out = signal;
    let (before, after) = out.split_at_mut(40_013);
    changing.process(before);
    changing.set(&NONE);
    changing.process(after);
    let mut last = 1.0;
    let mut gliding = 0;
    for (index, out) in out.iter().enumerate() {
        if (wet[index] - dry[index]).abs() < 1e-2 {
            continue; // too little to tell how they were mixed
        }
        let strength = (out - dry[index]) / (wet[index] - dry[index]);
        assert!((-1e-4..1e-4).contains(&(strength - strength.clamp(0.0, 1.0))));
        assert!(strength < last + 1e-3, "the strength rises from {last} to {strength}");
        gliding += usize::from((0.01..0.99).contains(&strength));
        last = strength;
    }
    assert!((10..=160).contains(&gliding), "{gliding} samples between the two");
    assert!(last.abs() < 1e-4);
}

#[test]
fn both_channels_are_cleaned_each_for_itself() {
    for rate in SUPPORTED {
        let left = Heard::new(rate, Noise::White, 5.0).noisy;
        let right = clean_speech(rate);
        let both = left.iter().zip(&right);
        let mut stereo: Vec<f32> = both.flat_map(|(left, right)| [*left, *right]).collect();
        stage(rate, 2, &FULL).process(&mut stereo);
        for (channel, alone) in [left, right].iter().enumerate() {
            let out: Vec<f32> = stereo.iter().skip(channel).step_by(2).copied().collect();
            let compared = out.len();
            assert_eq!(out, processed(rate, &FULL, alone)[..compared], "{rate} Hz, channel {channel}");
        }
    }
}

#[test]
fn nothing_that_is_finite_makes_it_anything_else() {
    for rate in SUPPORTED {
        for strength in [0.5, 1.0] {
            let mut random = Random(5);
            let mut block: Vec<f32> = (0..2 * rate as usize)
                .map(|index| match index / 5_000 % 4 {
                    0 => f32::MAX * random.sample().signum(),
                    1 => 1e-42 * random.sample(),
                    2 => 30.0 * random.sample(),
                    _ => f32::MAX,
                })
                .collect();
            stage(rate, 2, &DenoiseParameters { strength }).process(&mut block);
            assert!(block.iter().all(|sample| sample.is_finite()), "{rate} Hz");
        }
    }
}

#[test]
fn silence_after_sound_ends_in_zeros_and_never_in_subnormal_numbers() {
    for rate in SUPPORTED {
        let mut signal = Heard::new(rate, Noise::White, 5.0).noisy;
        signal.truncate(2 * rate as usize);
        signal.extend(std::iter::repeat_n(0.0, 2 * rate as usize));
        let out = processed(rate, &FULL, &signal);
        assert!(out.iter().all(|sample| !sample.is_subnormal()), "{rate} Hz");
        assert!(out[3 * rate as usize..].iter().all(|sample| *sample == 0.0), "{rate} Hz");
    }
}

#[test]
fn after_silence_speech_is_there_again_at_once() {
    let rate = 16_000;
    let speech = clean_speech(rate);
    let mut signal = speech.clone();
    signal.extend(std::iter::repeat_n(0.0, 2 * rate as usize));
    let second = signal.len();
    signal.extend(&speech);
    let out = cleaned(rate, &signal);
    let (first, again) = (
        scale_invariant_snr_db(&speech, &out[..speech.len()]),
        scale_invariant_snr_db(&speech, &out[second..]),
    );
    assert!(again > first - 3.0, "{first} dB, after the silence {again} dB");
}

/// What one stage is put through.
#[derive(Debug, Clone)]
enum Step {
    Speech(usize),
    Noise(usize, u64),
    Silence(usize),
    Set(f32),
    Start(u32, usize, f32),
}

fn any_step() -> impl Strategy<Value = Step> {
    let rate = prop::sample::select(vec![8_000, 12_000, 16_000, 24_000, 44_100, 48_000, 96_000]);
    prop_oneof![
        (1..4_000usize).prop_map(Step::Speech),
        (1..4_000usize, 1..1_000u64).prop_map(|(length, seed)| Step::Noise(length, seed)),
        (1..20_000usize).prop_map(Step::Silence),
        (0.0..=1.0f32).prop_map(Step::Set),
        (rate, 1..=2usize, 0.0..=1.0f32)
            .prop_map(|(rate, channels, strength)| Step::Start(rate, channels, strength)),
    ]
}

/// The samples of a step, whole sample frames for one and for two channels.
fn samples(step: &Step) -> Vec<f32> {
    match step {
        Step::Speech(length) => SPEECH_16_KHZ[30_000..][..2 * length].to_vec(),
        Step::Noise(length, seed) => white(2 * length, *seed),
        Step::Silence(length) => vec![0.0; 2 * length],
        _ => Vec::new(),
    }
}

fn take(step: &Step, stage: &mut Denoise) -> Vec<f32> {
    match *step {
        Step::Set(strength) => stage.set(&DenoiseParameters { strength }),
        Step::Start(sample_rate_hz, channels, strength) => {
            stage.start(Stream { sample_rate_hz, channels }, &DenoiseParameters { strength });
        }
        _ => {}
    }
    let mut block = samples(step);
    stage.process(&mut block);
    block
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) })]

    #[test]
    fn started_anew_it_is_a_fresh_one(
        past in prop::collection::vec(any_step(), 1..8),
        future in prop::collection::vec(any_step(), 1..5),
        rate in prop::sample::select(SUPPORTED.to_vec()),
        channels in 1..=2usize,
    ) {
        let stream = Stream { sample_rate_hz: rate, channels };
        let mut used = Denoise::new(Stream { sample_rate_hz: 48_000, channels: 2 }, &FULL);
        past.iter().for_each(|step| drop(take(step, &mut used)));
        used.start(stream, &FULL);
        let mut fresh = Denoise::new(stream, &FULL);
        for step in &future {
            prop_assert_eq!(take(step, &mut used), take(step, &mut fresh));
        }
    }

    #[test]
    fn how_a_stream_is_cut_makes_no_difference(
        steps in prop::collection::vec(any_step(), 1..6),
        seed in 1..u64::MAX,
        rate in prop::sample::select(SUPPORTED.to_vec()),
    ) {
        let stream = Stream { sample_rate_hz: rate, channels: 2 };
        let (mut whole, mut cut) = (Denoise::new(stream, &FULL), Denoise::new(stream, &FULL));
        let mut random = Random(seed);
        let mut channels = 2;
        for step in &steps {
            if let Step::Start(_, started, _) = step {
                channels = *started;
            }
            let expected = take(step, &mut whole);
            match step {
                Step::Set(_) | Step::Start(..) => drop(take(step, &mut cut)),
                _ => {
                    let mut block = samples(step);
                    let mut rest = &mut block[..];
                    while !rest.is_empty() {
                        let (now, later) = rest.split_at_mut((random.below(1_500) * channels).min(rest.len()));
                        cut.process(now);
                        rest = later;
                    }
                    prop_assert_eq!(block, expected);
                }
            }
        }
    }
}

#[test]
fn processing_allocates_nothing_and_starting_only_what_was_used() {
    drop(stage(48_000, 2, &FULL)); // the tables of this thread, and what all threads share
    let before = bytes_held();
    let mut stage = stage(48_000, 2, &FULL);
    println!("a stage has {} bytes", bytes_held() - before);
    assert!((50_000..150_000).contains(&(bytes_held() - before)));
    for rate in SUPPORTED {
        for channels in [1, 2] {
            let stream = Stream { sample_rate_hz: rate, channels };
            let mut block = white(8_000, 9);
            stage.start(stream, &FULL);
            assert_eq!(allocations_in(|| stage.start(stream, &FULL)), 0, "unused");
            assert_eq!(
                allocations_in(|| {
                    stage.process(&mut block);
                    stage.set(&NONE);
                    stage.process(&mut block);
                }),
                0
            );
            let to_start = allocations_in(|| stage.start(stream, &FULL));
            assert!(to_start <= 10 * channels, "{to_start} allocations for {channels} channels");
        }
    }
    let held = bytes_held();
    stage.process(&mut white(8_000, 9));
    stage.start(Stream { sample_rate_hz: 48_000, channels: 2 }, &FULL);
    assert_eq!(bytes_held(), held, "starting gives back what it replaces");
}

/// Speech with noise, and what became of it.
struct Heard {
    rate: u32,
    /// With a second of silence before and after.
    speech: Vec<f32>,
    noisy: Vec<f32>,
    cleaned: Vec<f32>,
}

#[derive(Debug, Clone, Copy)]
enum Noise {
    White,
    Pink,
    /// Forty voices at once: the recording from many places, forwards and backwards.
    Babble,
}

impl Heard {
    fn new(rate: u32, noise: Noise, snr_db: f64) -> Self {
        let spoken = clean_speech(rate);
        let length = spoken.len() + 2 * rate as usize;
        let noise = match noise {
            Noise::White => white(length, 7),
            Noise::Pink => pink(length, 7, rate),
            Noise::Babble => babble(&spoken, length, 40, 9),
        };
        Self::of(rate, &spoken, noise, snr_db)
    }

    /// The ratio is exactly that while there is speech: what of the noise happens to lie along the speech is taken out.
    fn of(rate: u32, spoken: &[f32], mut noise: Vec<f32>, snr_db: f64) -> Self {
        let pause = vec![0.0; rate as usize];
        let speech = [&pause[..], spoken, &pause].concat();
        let along = (product(&speech, &noise) / product(&speech, &speech)) as f32;
        noise.iter_mut().zip(&speech).for_each(|(noise, speech)| *noise -= along * speech);
        let noise_power = power(&noise[rate as usize..][..spoken.len()]);
        let gain = (power(spoken) / noise_power / 10f64.powf(snr_db / 10.0)).sqrt() as f32;
        let noisy: Vec<f32> =
            speech.iter().zip(&noise).map(|(speech, noise)| speech + gain * noise).collect();
        let cleaned = cleaned(rate, &noisy);
        Self { rate, speech, noisy, cleaned }
    }

    fn spoken<'a>(&self, signal: &'a [f32]) -> &'a [f32] {
        &signal[self.rate as usize..signal.len() - self.rate as usize]
    }

    /// While there is speech: see [`scale_invariant_snr_db`].
    fn waveform_snr_db(&self, signal: &[f32]) -> f64 {
        scale_invariant_snr_db(self.spoken(&self.speech), self.spoken(signal))
    }

    /// The mean over segments of 25 ms with speech in them, each limited to -10 to 35 dB: Loizou, *Speech Enhancement:
    /// Theory and Practice*, 2nd ed., equation 11.1.
    fn segmental_snr_db(&self, signal: &[f32]) -> f64 {
        let segment = self.rate as usize / 40;
        let loud = 0.01 * power(self.spoken(&self.speech));
        let segments = self.speech.chunks_exact(segment).zip(signal.chunks_exact(segment));
        let ratios: Vec<f64> = segments
            .filter(|(speech, _)| power(speech) > loud)
            .map(|(speech, signal)| {
                let rest: Vec<f32> =
                    speech.iter().zip(signal).map(|(speech, signal)| signal - speech).collect();
                (10.0 * (power(speech) / power(&rest)).log10()).clamp(-10.0, 35.0)
            })
            .collect();
        ratios.iter().sum::<f64>() / ratios.len() as f64
    }

    /// The power of blocks of 20 ms with speech, less that of the noise, over that of blocks without speech: the
    /// signal-to-noise ratio of ITU-T G.160 (appendix II), which knows no clean signal at the output, with one class of
    /// speech in place of its three. The first half second, in which the network settles, does not count.
    fn speech_over_pause_db(&self, signal: &[f32]) -> f64 {
        let block = self.rate as usize / 50;
        let whole = power(self.spoken(&self.speech));
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for (speech, signal) in self.speech.chunks_exact(block).zip(signal.chunks_exact(block)).skip(25) {
            if power(speech) > 0.1 * whole {
                with.push(power(signal));
            } else if power(speech) < 1e-4 * whole {
                without.push(power(signal));
            }
        }
        let mean = |powers: &[f64]| powers.iter().sum::<f64>() / powers.len() as f64;
        assert!(with.len() > 100 && without.len() > 50, "{} and {} blocks", with.len(), without.len());
        10.0 * (mean(&with) / mean(&without) - 1.0).log10()
    }
}

/// What lies along `clean` (by the gain that fits best) over all the rest: Le Roux, Wisdom, Erdogan, Hershey, "SDR -
/// Half-baked or Well Done?", ICASSP 2019, equation 5.
fn scale_invariant_snr_db(clean: &[f32], noisy: &[f32]) -> f64 {
    let gain = product(clean, noisy) / product(clean, clean);
    let along: Vec<f32> = clean.iter().map(|clean| gain as f32 * clean).collect();
    let rest: Vec<f32> = along.iter().zip(noisy).map(|(along, noisy)| noisy - along).collect();
    10.0 * (power(&along) / power(&rest)).log10()
}

fn product(one: &[f32], other: &[f32]) -> f64 {
    one.iter().zip(other).map(|(one, other)| f64::from(*one) * f64::from(*other)).sum()
}

fn power(signal: &[f32]) -> f64 {
    product(signal, signal) / signal.len() as f64
}

/// The recording without its rumble, at any rate.
fn clean_speech(rate: u32) -> Vec<f32> {
    static BY_RATE: LazyLock<Mutex<HashMap<u32, Vec<f32>>>> = LazyLock::new(Mutex::default);
    let make = || resampled(&without_what_lies_below_60_hz(&SPEECH_16_KHZ), rate);
    BY_RATE.lock().unwrap().entry(rate).or_insert_with(make).clone()
}

/// The recording as it is, at any rate.
fn recording(rate: u32) -> Vec<f32> {
    resampled(&SPEECH_16_KHZ, rate)
}

/// The voice begins at 70 Hz. What lies below is the room's rumble, which a de-noiser should take out: it would have to
/// leave it in if this were to count as speech. Linear phase, so that the voice's waveform stays what it was: the signal
/// less its low-pass, a sinc under Hann's window.
fn without_what_lies_below_60_hz(pcm: &[f32]) -> Vec<f32> {
    const REACH: usize = 800;
    let cutoff = 2.0 * 60.0 / 16_000.0;
    let tap = |lag: f64| {
        let sinc = if lag == 0.0 { 1.0 } else { (PI * cutoff * lag).sin() / (PI * cutoff * lag) };
        (cutoff * sinc * (0.5 + 0.5 * (PI * lag / REACH as f64).cos())) as f32
    };
    let taps: Vec<f32> = (0..=2 * REACH).map(|index| tap(index as f64 - REACH as f64)).collect();
    let around = [&[0.0; REACH][..], pcm, &[0.0; REACH]].concat();
    let low = around.windows(taps.len()).map(|around| product(around, &taps));
    pcm.iter().zip(low).map(|(sample, low)| (f64::from(*sample) - low) as f32).collect()
}

fn resampled(source: &[f32], rate: u32) -> Vec<f32> {
    let cutoff = f64::from(rate).min(16_000.0) / 16_000.0;
    let reach = (32.0 / cutoff) as isize;
    let length = source.len() * rate as usize / 16_000;
    let at = |index: usize| {
        let position = index as f64 * 16_000.0 / f64::from(rate);
        let nearby =
            (position as isize - reach + 1).max(0)..(position as isize + reach).min(source.len() as isize);
        nearby.map(move |place| {
            let lag = (position - place as f64) * cutoff;
            let sinc = if lag == 0.0 { 1.0 } else { (PI * lag).sin() / (PI * lag) };
            cutoff * sinc * (PI * lag / 64.0).cos().powi(2) * f64::from(source[place as usize])
        })
    };
    (0..length).map(|index| at(index).sum::<f64>() as f32).collect()
}

fn white(length: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    (0..length).map(|_| (0..4).map(|_| random.sample()).sum::<f32>() * 0.25).collect()
}

/// -3 dB an octave, from 20 Hz on: first-order low-passes an octave apart, each with as much power as the next.
fn pink(length: usize, seed: u64, rate: u32) -> Vec<f32> {
    let mut sum = vec![0.0f32; length];
    let mut corner = 20.0;
    while corner < 0.5 * f64::from(rate) {
        let pole = (-TAU * corner / f64::from(rate)).exp() as f32;
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

fn babble(voice: &[f32], length: usize, voices: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    let mut sum = vec![0.0f32; length];
    for number in 0..voices {
        let start = random.below(voice.len());
        let gain = 0.5 + 0.5 * random.sample().abs();
        for (index, sum) in sum.iter_mut().enumerate() {
            let place = (start + index) % voice.len();
            *sum += gain * voice[if number % 2 == 0 { place } else { voice.len() - 1 - place }];
        }
    }
    sum
}

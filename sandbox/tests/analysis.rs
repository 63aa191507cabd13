//! Voice activity, level and loudness against what they are defined to be: EBU's and ITU's test signals, the `ebur128`
//! crate as an independent judge, and real speech with pauses in it.
#![allow(unsafe_code)] // the counting allocator

mod common;
#[path = "common/counting.rs"]
mod counting;

use std::f64::consts::TAU;

use common::{rms_db, without_rumble, Random, SPEECH_16_KHZ};
use counting::allocations_in;
use proptest::prelude::*;
use sandbox::level::SILENCE_DB;
use sandbox::{Described, LevelMeter, Loudness, SpeechEvent, Stream, VoiceActivity, VoiceActivityParameters};

const RATES: [u32; 9] = [8_000, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000];

fn mono(sample_rate_hz: u32) -> Stream {
    Stream { sample_rate_hz, channels: 1 }
}

fn stereo(sample_rate_hz: u32) -> Stream {
    Stream { sample_rate_hz, channels: 2 }
}

/// A level in dBFS and for how many seconds it lasts.
type Part = (f64, f64);

/// A sine whose peak lies at so many dBFS, alike in all channels; without a jump of phase between parts.
fn tones(stream: Stream, frequency_hz: f64, parts: &[Part]) -> Vec<f32> {
    let rate = f64::from(stream.sample_rate_hz);
    let mut samples = Vec::new();
    let mut index = 0u64;
    for (level_dbfs, seconds) in parts {
        let amplitude = 10f64.powf(level_dbfs / 20.0);
        for _ in 0..(seconds * rate).round() as usize {
            let sample = (amplitude * (TAU * frequency_hz * index as f64 / rate).sin()) as f32;
            samples.extend(std::iter::repeat_n(sample, stream.channels));
            index += 1;
        }
    }
    samples
}

/// White noise whose RMS lies at so many dBFS.
fn white_noise(seed: u64, length: usize, rms_dbfs: f64) -> Vec<f32> {
    let mut random = Random(seed);
    // Evenly spread from -1 to 1 it has a power of 1/3.
    let gain = (10f64.powf(rms_dbfs / 20.0) * 3f64.sqrt()) as f32;
    (0..length).map(|_| gain * random.sample()).collect()
}

/// By straight lines between the samples of a signal at 16 kHz.
fn at_rate(source: &[f32], rate: u32) -> Vec<f32> {
    let step = 16_000.0 / f64::from(rate);
    let length = ((source.len() - 1) as f64 / step) as usize;
    let at = |index: usize| {
        let position = index as f64 * step;
        let (whole, part) = (position as usize, position.fract() as f32);
        source[whole] + (source[whole + 1] - source[whole]) * part
    };
    (0..length).map(at).collect()
}

// ---- level

fn level_of(stream: Stream, pcm: &[f32]) -> LevelMeter {
    let mut meter = LevelMeter::new(stream);
    meter.process(pcm);
    meter
}

#[test]
fn a_full_scale_sine_has_an_rms_of_minus_3_01_dbfs_and_a_peak_of_0() {
    for rate in RATES {
        for stream in [mono(rate), stereo(rate)] {
            for level_db in [0.0, -20.0, -60.0] {
                let meter = level_of(stream, &tones(stream, 1_000.0, &[(level_db, 0.25)]));
                assert!(
                    (f64::from(meter.rms_dbfs()) - level_db + 3.01).abs() < 0.01,
                    "{stream:?}: {}",
                    meter.rms_dbfs()
                );
                // A sample hits the crest of 1 kHz at the rates that are multiples of 4 kHz.
                assert!(
                    (f64::from(meter.peak_dbfs()) - level_db).abs() < 0.02,
                    "{stream:?}: {}",
                    meter.peak_dbfs()
                );
            }
        }
    }
    let square: Vec<f32> = (0..9_600).map(|index| if index % 96 < 48 { 1.0 } else { -1.0 }).collect();
    assert!(level_of(mono(48_000), &square).rms_dbfs().abs() < 1e-3);
}

#[test]
fn levels_are_those_of_the_last_complete_100_ms() {
    let mut meter = LevelMeter::new(mono(48_000));
    meter.process(&[0.5; 4_799]);
    assert_eq!((meter.rms_dbfs(), meter.peak_dbfs()), (SILENCE_DB, SILENCE_DB), "none is complete");
    meter.process(&[-0.5]);
    assert!((meter.rms_dbfs() + 6.02).abs() < 0.01 && (meter.peak_dbfs() + 6.02).abs() < 0.01);
    meter.process(&[0.25; 4_799]);
    assert!((meter.rms_dbfs() + 6.02).abs() < 0.01);
    meter.process(&[0.25; 1]);
    assert!((meter.rms_dbfs() + 12.04).abs() < 0.01 && (meter.peak_dbfs() + 12.04).abs() < 0.01);
    assert!((meter.highest_peak_dbfs() + 6.02).abs() < 0.01);
    meter.process(&[0.0; 4_800]);
    assert_eq!((meter.rms_dbfs(), meter.peak_dbfs()), (SILENCE_DB, SILENCE_DB));
}

#[test]
fn two_channels_give_the_mean_of_their_powers_and_the_higher_peak() {
    let one_sided: Vec<f32> =
        tones(mono(48_000), 1_000.0, &[(0.0, 0.1)]).iter().flat_map(|s| [*s, 0.1 * s]).collect();
    let meter = level_of(stereo(48_000), &one_sided);
    let expected = -3.01 + 10.0 * ((1.0 + 0.01) / 2.0f32).log10();
    assert!((meter.rms_dbfs() - expected).abs() < 0.01, "{}", meter.rms_dbfs());
    assert!(meter.peak_dbfs().abs() < 0.01);
}

// ---- loudness

fn loudness_of(stream: Stream, pcm: &[f32]) -> Loudness {
    let mut meter = Loudness::new(stream);
    meter.process(pcm);
    meter
}

#[track_caller]
fn assert_near(got: f32, expected: f64, tolerance: f64, what: &str) {
    assert!((f64::from(got) - expected).abs() <= tolerance, "{what}: {got}, not {expected} +-{tolerance}");
}

#[test]
fn bs_1770_a_997_hz_sine_of_full_scale_in_one_channel_is_minus_3_01_lkfs_at_every_rate() {
    for rate in RATES {
        let meter = loudness_of(mono(rate), &tones(mono(rate), 997.0, &[(0.0, 20.0)]));
        println!("{rate} Hz: {:.3} LKFS", meter.integrated_lufs().unwrap());
        let tolerance = 0.02;
        assert_near(meter.integrated_lufs().unwrap(), -3.01, tolerance, &format!("{rate} Hz"));
        assert_near(meter.momentary_lufs(), -3.01, tolerance, &format!("{rate} Hz"));
        // One side of a stereo signal is the same; both sides are 3 dB more.
        let left: Vec<f32> = tones(mono(rate), 997.0, &[(0.0, 4.0)]).iter().flat_map(|s| [*s, 0.0]).collect();
        assert_near(loudness_of(stereo(rate), &left).short_term_lufs(), -3.01, tolerance, "left");
        let both = tones(stereo(rate), 997.0, &[(0.0, 4.0)]);
        assert_near(loudness_of(stereo(rate), &both).short_term_lufs(), 0.0, tolerance, "both");
    }
}

#[test]
fn ebu_tech_3341_cases_1_to_5_integrated_loudness_and_its_gates() {
    let cases: [(&str, f64, &[Part]); 5] = [
        ("1", -23.0, &[(-23.0, 20.0)]),
        ("2", -33.0, &[(-33.0, 20.0)]),
        ("3", -23.0, &[(-36.0, 10.0), (-23.0, 60.0), (-36.0, 10.0)]),
        ("4", -23.0, &[(-72.0, 10.0), (-36.0, 10.0), (-23.0, 60.0), (-36.0, 10.0), (-72.0, 10.0)]),
        ("5", -23.0, &[(-26.0, 20.0), (-20.0, 20.1), (-26.0, 20.0)]),
    ];
    for rate in [48_000, 44_100, 16_000, 8_000] {
        for (case, expected, parts) in cases {
            let meter = loudness_of(stereo(rate), &tones(stereo(rate), 1_000.0, parts));
            println!("case {case} at {rate} Hz: {:.3} LUFS", meter.integrated_lufs().unwrap());
            assert_near(
                meter.integrated_lufs().unwrap(),
                expected,
                0.1,
                &format!("case {case} at {rate} Hz"),
            );
            if parts.len() == 1 {
                assert_near(meter.momentary_lufs(), expected, 0.1, "momentary");
                assert_near(meter.short_term_lufs(), expected, 0.1, "short-term");
            }
        }
    }
}

/// The lowest and the highest of what a meter shows while it listens, looked at every 10 ms.
fn extremes(stream: Stream, pcm: &[f32], from_s: f64, show: impl Fn(&Loudness) -> f32) -> (f32, f32) {
    let step = stream.sample_rate_hz as usize / 100 * stream.channels;
    let mut meter = Loudness::new(stream);
    let (mut lowest, mut highest) = (f32::MAX, f32::MIN);
    for (index, block) in pcm.chunks(step).enumerate() {
        meter.process(block);
        if (index + 1) as f64 * 0.01 > from_s {
            lowest = lowest.min(show(&meter));
            highest = highest.max(show(&meter));
        }
    }
    (lowest, highest)
}

#[test]
fn ebu_tech_3341_cases_9_and_12_the_sliding_windows_are_steady() {
    let stream = stereo(48_000);
    let short_term = [(-20.0, 1.34), (-30.0, 1.66)].repeat(5);
    let (lowest, highest) =
        extremes(stream, &tones(stream, 1_000.0, &short_term), 3.0, Loudness::short_term_lufs);
    println!("case 9: {lowest:.3} to {highest:.3} LUFS");
    assert_near(lowest, -23.0, 0.1, "case 9");
    assert_near(highest, -23.0, 0.1, "case 9");
    let momentary = [(-20.0, 0.18), (-30.0, 0.22)].repeat(25);
    let (lowest, highest) =
        extremes(stream, &tones(stream, 1_000.0, &momentary), 1.0, Loudness::momentary_lufs);
    println!("case 12: {lowest:.3} to {highest:.3} LUFS");
    assert_near(lowest, -23.0, 0.1, "case 12");
    assert_near(highest, -23.0, 0.1, "case 12");
}

#[test]
fn ebu_tech_3341_cases_10_and_13_a_short_tone_is_caught_wherever_it_begins() {
    let stream = stereo(48_000);
    for segment in 0..20 {
        let segment = f64::from(segment);
        let three_seconds = tones(stream, 1_000.0, &[(-400.0, segment * 0.15), (-23.0, 3.0), (-400.0, 1.0)]);
        let highest = extremes(stream, &three_seconds, 0.0, Loudness::short_term_lufs).1;
        assert_near(highest, -23.0, 0.1, &format!("case 10, segment {segment}"));
        let moment = tones(stream, 1_000.0, &[(-400.0, segment * 0.02), (-23.0, 0.4), (-400.0, 1.0)]);
        let highest = extremes(stream, &moment, 0.0, Loudness::momentary_lufs).1;
        assert_near(highest, -23.0, 0.1, &format!("case 13, segment {segment}"));
    }
}

#[test]
fn ebu_tech_3341_cases_11_and_14_each_of_many_levels_is_caught() {
    let stream = stereo(48_000);
    for (index, level_dbfs) in (-38..=-19).map(f64::from).enumerate() {
        let offset = index as f64;
        let parts = [(-400.0, offset * 0.15), (level_dbfs, 3.0), (-400.0, 3.0 - offset * 0.15)];
        let highest = extremes(stream, &tones(stream, 1_000.0, &parts), 0.0, Loudness::short_term_lufs).1;
        assert_near(highest, level_dbfs, 0.1, "case 11");
        let parts = [(-400.0, offset * 0.02), (level_dbfs, 0.4), (-400.0, 0.4 - offset * 0.02)];
        let highest = extremes(stream, &tones(stream, 1_000.0, &parts), 0.0, Loudness::momentary_lufs).1;
        assert_near(highest, level_dbfs, 0.1, "case 14");
    }
}

#[test]
fn ebu_tech_3342_cases_1_to_4_the_loudness_range() {
    let cases: [(&str, f64, &[f64]); 4] = [
        ("1", 10.0, &[-20.0, -30.0]),
        ("2", 5.0, &[-20.0, -15.0]),
        ("3", 20.0, &[-40.0, -20.0]),
        ("4", 15.0, &[-50.0, -35.0, -20.0, -35.0, -50.0]),
    ];
    for (case, expected, levels) in cases {
        let parts: Vec<Part> = levels.iter().map(|level| (*level, 20.0)).collect();
        let meter = loudness_of(stereo(48_000), &tones(stereo(48_000), 1_000.0, &parts));
        println!("range, case {case}: {:.2} LU", meter.range_lu());
        assert_near(meter.range_lu(), expected, 1.0, &format!("case {case}"));
    }
}

#[test]
fn real_speech_is_as_loud_as_the_reference_implementation_says() {
    let mut voice = SPEECH_16_KHZ.clone();
    // Three passages, a loud one, a soft one and one below both gates.
    voice.extend(SPEECH_16_KHZ.iter().map(|sample| 0.25 * sample));
    voice.extend(SPEECH_16_KHZ.iter().map(|sample| 0.01 * sample));
    for rate in RATES {
        for stream in [mono(rate), stereo(rate)] {
            let pcm: Vec<f32> = at_rate(&voice, rate)
                .iter()
                .flat_map(|sample| [*sample, -0.3 * sample].into_iter().take(stream.channels))
                .collect();
            let mut ours = Loudness::new(stream);
            let mode = ebur128::Mode::I | ebur128::Mode::LRA | ebur128::Mode::HISTOGRAM;
            let mut theirs = ebur128::EbuR128::new(stream.channels as u32, rate, mode).unwrap();
            let (mut momentary, mut short_term) = (0.0f64, 0.0f64);
            for block in pcm.chunks(rate as usize / 50 * stream.channels) {
                ours.process(block);
                theirs.add_frames_f32(block).unwrap();
                if theirs.loudness_momentary().unwrap() > -60.0 && rate % 100 == 0 {
                    let difference = f64::from(ours.momentary_lufs()) - theirs.loudness_momentary().unwrap();
                    momentary = momentary.max(difference.abs());
                    let difference = f64::from(ours.short_term_lufs()) - theirs.loudness_shortterm().unwrap();
                    short_term = short_term.max(difference.abs());
                }
            }
            let integrated = f64::from(ours.integrated_lufs().unwrap()) - theirs.loudness_global().unwrap();
            let range = f64::from(ours.range_lu()) - theirs.loudness_range().unwrap();
            println!(
                "{stream:?}: integrated {integrated:+.3} LU, momentary {momentary:.3}, short-term {short_term:.3}, \
                 range {range:+.2} ({:.2} LU)",
                ours.range_lu()
            );
            // At low rates the two differ in what the bilinear transform bends; the crate is not calibrated at 997 Hz.
            let tolerance = if rate >= 32_000 { 0.05 } else { 0.2 };
            assert!(integrated.abs() < tolerance && momentary < tolerance && short_term < tolerance);
            assert!(range.abs() < 1.0);
        }
    }
}

#[test]
fn silence_has_no_integrated_loudness_and_reads_as_the_floor() {
    let mut meter = Loudness::new(stereo(48_000));
    assert_eq!((meter.momentary_lufs(), meter.short_term_lufs()), (SILENCE_DB, SILENCE_DB));
    meter.process(&vec![0.0; 500_000]);
    assert_eq!((meter.momentary_lufs(), meter.integrated_lufs()), (SILENCE_DB, None));
    assert_eq!(meter.range_lu(), 0.0);
    // Nor does a sound leave anything behind but the integrated loudness.
    meter.process(&tones(stereo(48_000), 1_000.0, &[(-23.0, 5.0)]));
    meter.process(&vec![0.0; 2 * 48_000 * 10]);
    assert_eq!((meter.momentary_lufs(), meter.short_term_lufs()), (SILENCE_DB, SILENCE_DB));
    assert!(meter.integrated_lufs().is_some());
}

// ---- voice activity

/// Speech with pauses in between at 16 kHz: the recording without the room before and after it, twice, with pauses of
/// 1.5 s, in a quiet room (noise of -66 dBFS).
fn talk() -> Vec<f32> {
    let said = &without_rumble(&SPEECH_16_KHZ)[4_000..108_800];
    let pause = vec![0.0; 24_000];
    let clean = [&pause, said, &pause, said, &pause].concat();
    let room = white_noise(3, clean.len(), -66.0);
    clean.iter().zip(room).map(|(sample, noise)| sample + noise).collect()
}

const LABEL: usize = 320;

/// For each 20 ms of a clean recording whether somebody speaks: louder than -40 dBFS (18 dB below the voice), now or
/// in the 200 ms before. (ITU-T P.56 measures active speech so, by a threshold 15.9 dB below it and 200 ms.)
fn labels(clean: &[f32]) -> Vec<bool> {
    let loud: Vec<bool> = clean.chunks_exact(LABEL).map(|piece| rms_db(piece) > -40.0).collect();
    (0..loud.len()).map(|index| loud[index.saturating_sub(10)..=index].contains(&true)).collect()
}

/// The share of the labels that the detector agrees with, by the positions that it tells.
fn agreement(stream: Stream, pcm: &[f32], labels: &[bool]) -> f64 {
    let parameters =
        VoiceActivityParameters { hang_over_ms: 200.0, minimum_speech_ms: 0.0, ..Default::default() };
    let mut detector = VoiceActivity::new(stream, &parameters);
    let mut edges = Vec::new();
    for block in pcm.chunks(stream.sample_rate_hz as usize / 50 * stream.channels) {
        detector.process(block, |event| edges.push(event));
    }
    let right = labels.iter().enumerate().filter(|(index, label)| {
        let middle = ((*index as f64 + 0.5) * 0.02 * f64::from(stream.sample_rate_hz)) as u64;
        let state = edges.iter().rev().find_map(|edge| match edge {
            SpeechEvent::Started { at } if *at <= middle => Some(true),
            SpeechEvent::Stopped { at } if *at <= middle => Some(false),
            _ => None,
        });
        state.unwrap_or(false) == **label
    });
    right.count() as f64 / labels.len() as f64
}

#[test]
fn speech_is_told_from_pauses_clean_and_in_noise_at_every_rate() {
    let talk = talk();
    let labels = labels(&talk);
    let speech = labels.iter().filter(|label| **label).count() as f64 / labels.len() as f64;
    println!("{:.0} % of {} labels are speech", 100.0 * speech, labels.len());
    assert!((0.5..0.8).contains(&speech));
    // The voice's own level, for the noise to lie 10 dB below it.
    let level = f64::from(rms_db(&talk[24_000..24_000 + 104_800]));
    for rate in RATES {
        let clean = at_rate(&talk, rate);
        let noise = white_noise(7, clean.len(), level - 10.0);
        let noisy: Vec<f32> = clean.iter().zip(noise).map(|(sample, noise)| sample + noise).collect();
        let both: Vec<f32> = clean.iter().flat_map(|sample| [0.9 * sample, 0.6 * sample]).collect();
        let agreed = [(mono(rate), &clean), (mono(rate), &noisy), (stereo(rate), &both)]
            .map(|(stream, pcm)| agreement(stream, pcm, &labels));
        println!("{rate} Hz: clean {:.3}, at 10 dB {:.3}, stereo {:.3}", agreed[0], agreed[1], agreed[2]);
        assert!(agreed[0] >= 0.9 && agreed[2] >= 0.9, "{rate} Hz: {agreed:?}");
        assert!(agreed[1] >= 0.8, "{rate} Hz: {agreed:?}");
    }
}

#[test]
fn a_soft_voice_and_a_loud_one_are_told_from_pauses_too() {
    let talk = talk();
    let labels = labels(&talk);
    for gain_db in [-24.0f32, -12.0, 12.0] {
        let pcm: Vec<f32> = talk.iter().map(|sample| sample * 10f32.powf(gain_db / 20.0)).collect();
        let agreed = agreement(mono(16_000), &pcm, &labels);
        println!("{gain_db:+} dB: {agreed:.3}");
        assert!(agreed >= 0.9, "{gain_db:+} dB: {agreed}");
    }
}

/// What is told of a whole signal.
fn events(stream: Stream, parameters: VoiceActivityParameters, pcm: &[f32]) -> Vec<SpeechEvent> {
    let mut detector = VoiceActivity::new(stream, &parameters);
    let mut events = Vec::new();
    detector.process(pcm, |event| events.push(event));
    events
}

#[test]
fn each_passage_starts_and_stops_once_near_where_it_does() {
    for rate in RATES {
        let pcm = at_rate(&talk(), rate);
        let told = events(mono(rate), VoiceActivityParameters::default(), &pcm);
        let seconds: Vec<f64> = told
            .iter()
            .map(|(SpeechEvent::Started { at } | SpeechEvent::Stopped { at })| *at as f64 / f64::from(rate))
            .collect();
        println!("{rate} Hz: {seconds:.3?}");
        assert!(
            matches!(
                told[..],
                [
                    SpeechEvent::Started { .. },
                    SpeechEvent::Stopped { .. },
                    SpeechEvent::Started { .. },
                    SpeechEvent::Stopped { .. }
                ]
            ),
            "{rate} Hz: {told:?}"
        );
        // Speech is from 1.5 to 8.05 s, and from 9.55 to 16.1 s; the hang-over is 0.3 s.
        for (got, expected) in seconds.iter().zip([1.5, 8.35, 9.55, 16.4]) {
            assert!((got - expected).abs() < 0.2, "{rate} Hz: {got} s, not {expected}");
        }
    }
}

#[test]
fn what_is_no_voice_never_starts() {
    for rate in RATES {
        let length = 20 * rate as usize;
        let tone = |index: usize, hz: f64| (TAU * hz * index as f64 / f64::from(rate)).sin();
        let hum = |hz: f64| -> Vec<f32> {
            let overtones =
                |index| (1..6).map(|k| 0.1 * tone(index, hz * f64::from(k)) / f64::from(k)).sum::<f64>();
            (0..length).map(|index| overtones(index) as f32).collect()
        };
        let mut sounds = vec![
            ("silence".to_owned(), vec![0.0; length]),
            ("50 Hz hum".to_owned(), hum(50.0)),
            ("60 Hz hum".to_owned(), hum(60.0)),
            ("almost silence".to_owned(), white_noise(11, length, -80.0)),
        ];
        for level in [-60.0, -50.0, -40.0, -30.0, -20.0, -10.0] {
            sounds.push((format!("white noise of {level} dBFS"), white_noise(13, length, level)));
        }
        let room = white_noise(17, length, -66.0);
        let after_silence = |rms_dbfs| [vec![0.0; length / 10], white_noise(19, length, rms_dbfs)].concat();
        sounds.push(("noise after silence".to_owned(), after_silence(-20.0)));
        // 5 ms of noise, three times a second.
        let clicks = |index: usize| index % (rate as usize / 3) < rate as usize / 200;
        let bursts = white_noise(23, length, -15.0).into_iter().zip(&room).enumerate();
        let bursts = bursts.map(|(index, (loud, soft))| if clicks(index) { loud } else { *soft });
        sounds.push(("clicks".to_owned(), bursts.collect()));
        for (what, pcm) in sounds {
            let mut detector = VoiceActivity::new(mono(rate), &VoiceActivityParameters::default());
            let (mut told, mut highest) = (Vec::new(), 0.0f32);
            for block in pcm.chunks(rate as usize / 50) {
                detector.process(block, |event| told.push(event));
                highest = highest.max(detector.score());
            }
            println!("{what} at {rate} Hz: highest score {highest:.2}");
            assert_eq!(told, [], "{what} at {rate} Hz");
            assert!(!detector.is_speaking());
        }
    }
}

#[test]
fn the_hang_over_shifts_the_end_by_exactly_itself() {
    let rate = 48_000;
    let pcm = at_rate(&talk(), rate);
    let stops = |hang_over_ms: f32| {
        let parameters = VoiceActivityParameters { hang_over_ms, ..Default::default() };
        match events(mono(rate), parameters, &pcm)[..] {
            [SpeechEvent::Started { .. }, SpeechEvent::Stopped { at: first }, SpeechEvent::Started { .. }, SpeechEvent::Stopped { at: second }] => {
                [first, second]
            }
            ref other => panic!("{other:?}"),
        }
    };
    let base = stops(300.0);
    for hang_over_ms in [250.0f32, 301.0, 500.0, 777.7] {
        let shift = ((f64::from(hang_over_ms) - 300.0) * 48.0).round() as i64;
        assert_eq!(
            stops(hang_over_ms).map(|at| at as i64),
            base.map(|at| at as i64 + shift),
            "{hang_over_ms} ms"
        );
    }
}

#[test]
fn speech_far_beyond_full_scale_is_still_speech_and_no_panic() {
    let loud: Vec<f32> = talk().iter().map(|sample| 100.0 * sample.clamp(-0.1, 0.1)).collect();
    assert!(!events(mono(16_000), VoiceActivityParameters::default(), &loud).is_empty());
    let huge: Vec<f32> = talk().iter().map(|sample| sample * 1e38).collect();
    events(mono(16_000), VoiceActivityParameters::default(), &huge);
    let mut meter = Loudness::new(mono(16_000));
    meter.process(&huge);
    assert!(meter.momentary_lufs().is_finite() && meter.integrated_lufs().unwrap().is_finite());
    let meter = level_of(mono(16_000), &huge);
    assert!(meter.rms_dbfs().is_finite() && meter.highest_peak_dbfs().is_finite());
}

#[test]
fn absurd_parameters_break_nothing() {
    let pcm = talk();
    for absurd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
        let parameters =
            VoiceActivityParameters { threshold: 0.5, hang_over_ms: absurd, minimum_speech_ms: absurd };
        events(mono(16_000), parameters, &pcm);
        events(mono(16_000), VoiceActivityParameters { threshold: absurd, ..parameters }, &pcm);
        events(mono(16_000), VoiceActivityParameters { minimum_speech_ms: 0.0, ..parameters }, &pcm);
    }
}

#[test]
fn the_table_names_every_parameter() {
    let mut parameters = VoiceActivityParameters::default();
    for parameter in VoiceActivityParameters::PARAMETERS {
        assert!(parameter.range.contains(&(parameter.get)(&parameters)), "{}", parameter.name);
        (parameter.set)(&mut parameters, *parameter.range.end());
    }
    let expected =
        VoiceActivityParameters { threshold: 0.95, hang_over_ms: 5_000.0, minimum_speech_ms: 1_000.0 };
    assert_eq!(parameters, expected);
}

// ---- all of them

/// All that can be seen of the three after a signal.
#[derive(Debug, PartialEq)]
struct Seen {
    levels: [f32; 3],
    loudness: (f32, f32, Option<f32>, f32),
    speech: (Vec<SpeechEvent>, bool, f32),
}

struct Meters {
    level: LevelMeter,
    loudness: Loudness,
    voice: VoiceActivity,
}

impl Meters {
    fn new(stream: Stream) -> Meters {
        Meters {
            level: LevelMeter::new(stream),
            loudness: Loudness::new(stream),
            voice: VoiceActivity::new(stream, &VoiceActivityParameters::default()),
        }
    }

    fn start(&mut self, stream: Stream) {
        self.level.start(stream);
        self.loudness.start(stream);
        self.voice.start(stream, &VoiceActivityParameters::default());
    }

    fn listen(&mut self, stream: Stream, pcm: &[f32], cuts: &[usize]) -> Seen {
        let mut told = Vec::new();
        let mut rest = pcm;
        for cut in cuts.iter().cycle() {
            let (block, behind) = rest.split_at((cut * stream.channels).min(rest.len()));
            self.level.process(block);
            self.loudness.process(block);
            self.voice.process(block, |event| told.push(event));
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        let (level, loudness, voice) = (&self.level, &self.loudness, &self.voice);
        Seen {
            levels: [level.rms_dbfs(), level.peak_dbfs(), level.highest_peak_dbfs()],
            loudness: (
                loudness.momentary_lufs(),
                loudness.short_term_lufs(),
                loudness.integrated_lufs(),
                loudness.range_lu(),
            ),
            speech: (told, voice.is_speaking(), voice.score()),
        }
    }
}

/// A part of the talk, interleaved, the right channel another part.
fn excerpt(stream: Stream, start: usize, length: usize) -> Vec<f32> {
    let talk = at_rate(&talk()[16_000..80_000], stream.sample_rate_hz);
    let at = |index: usize| talk[(start + index) % talk.len()];
    (0..length).flat_map(|index| [at(index), at(index + 5_000)].into_iter().take(stream.channels)).collect()
}

fn any_stream() -> impl Strategy<Value = Stream> {
    (prop::sample::select(RATES.to_vec()), 1..=2usize)
        .prop_map(|(sample_rate_hz, channels)| Stream { sample_rate_hz, channels })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn how_a_stream_is_cut_makes_no_difference_to_the_bit(
        stream in any_stream(),
        start in 0..20_000usize,
        length in 1..40_000usize,
        cuts in prop::collection::vec(1..1_200usize, 1..20),
    ) {
        let pcm = excerpt(stream, start, length);
        let whole = Meters::new(stream).listen(stream, &pcm, &[length]);
        prop_assert_eq!(Meters::new(stream).listen(stream, &pcm, &cuts), whole);
    }

    #[test]
    fn started_meters_are_as_good_as_new(
        streams in prop::collection::vec(any_stream(), 2..5),
        starts in prop::collection::vec(0..20_000usize, 5),
        lengths in prop::collection::vec(1..40_000usize, 5),
    ) {
        let mut used = Meters::new(streams[0]);
        for (index, stream) in streams.iter().enumerate() {
            let pcm = excerpt(*stream, starts[index], lengths[index]);
            used.start(*stream);
            let seen = used.listen(*stream, &pcm, &[960]);
            prop_assert_eq!(seen, Meters::new(*stream).listen(*stream, &pcm, &[960]));
        }
    }
}

#[test]
fn nothing_allocates_after_new() {
    let mut meters = Meters::new(mono(8_000));
    let pcm = talk();
    let mut told = 0;
    let allocations = allocations_in(|| {
        for rate in RATES {
            for stream in [mono(rate), stereo(rate)] {
                meters.start(stream);
                for block in pcm.chunks(stream.channels * 960) {
                    meters.level.process(block);
                    meters.loudness.process(block);
                    meters.voice.process(block, |_| told += 1);
                    meters.loudness.integrated_lufs();
                }
                meters.voice.set(&VoiceActivityParameters { hang_over_ms: 100.0, ..Default::default() });
            }
        }
    });
    assert_eq!(allocations, 0);
    assert!(told > 10);
}

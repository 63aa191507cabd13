//! The genre detector: each feature against its definition, what a stage promises, and what the shipped model says of real
//! speech and of sounds that are no genre. (How good it is at music is measured by `training/`, on its corpus.)
#![allow(unsafe_code)]

mod common;
#[path = "common/counting.rs"]
mod counting;

use std::f64::consts::PI;
use std::sync::Arc;

use common::{Random, SPEECH_16_KHZ};
use counting::allocations_in;
use sandbox::genre::{
    feature_names, FrameFeatures, Genre, GenreBlend, GenreDetector, GenreParameters, Model, ModelError,
    Rhythm, CLASSIFY_HOPS, CONTRAST_EDGES_HZ, FEATURES, FEATURE_VERSION, HOP, MEL_BANDS, WINDOW, WINDOW_HOPS,
};
use sandbox::Stream;

const RATES_HZ: [u32; 10] = [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000];

fn stream(sample_rate_hz: u32, channels: usize) -> Stream {
    Stream { sample_rate_hz, channels }
}

// ---------------------------------------------------------------- the definitions, slowly

/// The stream at 16 kHz: the windowed-sinc sum at each instant, in double precision.
fn narrow_band(samples: &[f32], rate_hz: u32) -> Vec<f64> {
    let ratio = f64::from(rate_hz) / 16_000.0;
    let wide = ratio.max(1.0);
    let half = (16.0 * wide / 8.0).ceil() * 4.0;
    let weight = |time: f64| {
        let phase = PI * 0.92 / wide * time;
        let sinc = if phase.abs() < 1e-9 { 1.0 } else { phase.sin() / phase };
        sinc * (0.5 + 0.5 * (PI * time / half).cos())
    };
    let count = (samples.len() as f64 / ratio) as usize;
    (0..count)
        .map(|at| {
            let instant = at as f64 * ratio;
            let first = instant.floor() as isize - half as isize + 1;
            let taps = (first..first + 2 * half as isize)
                .map(|tap| (tap, tap as f64 - instant))
                .filter(|(_, time)| time.abs() <= half);
            let (mut sum, mut all) = (0.0, 0.0);
            for (tap, time) in taps {
                let sample =
                    usize::try_from(tap).ok().and_then(|tap| samples.get(tap)).copied().unwrap_or(0.0);
                sum += weight(time) * f64::from(sample);
                all += weight(time);
            }
            sum / all
        })
        .collect()
}

/// What the oracle keeps from hop to hop.
#[derive(Default)]
struct Slow {
    magnitudes: Vec<f64>,
    mel_db: Vec<f64>,
    loudest: f64,
}

fn hann(at: usize) -> f64 {
    0.5 - 0.5 * (2.0 * PI * at as f64 / WINDOW as f64).cos()
}

fn mel(hz: f64) -> f64 {
    2_595.0 * (1.0 + hz / 700.0).log10()
}

impl Slow {
    fn features(&mut self, window: &[f64]) -> FrameFeatures {
        let new = &window[HOP..];
        let level_db = 10.0 * (new.iter().map(|sample| sample * sample).sum::<f64>() / HOP as f64).log10();
        // the discrete Fourier transform, as it is written
        let weighted: Vec<f64> = window.iter().enumerate().map(|(at, sample)| sample * hann(at)).collect();
        let powers: Vec<f64> = (0..=WINDOW / 2)
            .map(|bin| {
                let (mut re, mut im) = (0.0, 0.0);
                for (at, sample) in weighted.iter().enumerate() {
                    let phase = 2.0 * PI * ((bin * at) % WINDOW) as f64 / WINDOW as f64;
                    re += sample * phase.cos();
                    im -= sample * phase.sin();
                }
                if bin == 0 {
                    0.0
                } else {
                    re * re + im * im
                }
            })
            .collect();
        let hz = |bin: usize| bin as f64 * 16_000.0 / WINDOW as f64;
        let magnitudes: Vec<f64> = powers.iter().map(|power| power.sqrt()).collect();
        let total: f64 = powers.iter().sum();

        let moments: f64 = magnitudes.iter().enumerate().map(|(bin, magnitude)| hz(bin) * magnitude).sum();
        let centroid_hz = moments / magnitudes.iter().sum::<f64>();

        let roll_off =
            (0..powers.len()).find(|bin| powers[..=*bin].iter().sum::<f64>() >= 0.85 * total).unwrap();

        let length = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>().sqrt();
        let flux = if self.magnitudes.is_empty() {
            0.0
        } else {
            let (now, last) = (length(&magnitudes), length(&self.magnitudes));
            let moved = magnitudes.iter().zip(&self.magnitudes).map(|(a, b)| (a / now - b / last).powi(2));
            moved.sum::<f64>().sqrt()
        };

        // circular autocorrelation in the time domain, of the signal without its constant
        let constant: f64 = weighted.iter().sum::<f64>() / WINDOW as f64;
        let centred: Vec<f64> = weighted.iter().map(|sample| sample - constant).collect();
        let circular = |values: &[f64], lag: usize| -> f64 {
            (0..WINDOW).map(|at| values[at] * values[(at + lag) % WINDOW]).sum()
        };
        let windows: Vec<f64> = (0..WINDOW).map(hann).collect();
        let correlation: Vec<f64> = (0..=267).map(|lag| circular(&centred, lag)).collect();
        let harmonicity = (32..=266)
            .filter(|lag| {
                correlation[*lag] > correlation[lag - 1] && correlation[*lag] >= correlation[lag + 1]
            })
            .map(|lag| correlation[lag] / correlation[0] * circular(&windows, 0) / circular(&windows, lag))
            .fold(0.0, f64::max)
            .min(1.0);

        let contrast_db = std::array::from_fn(|band| {
            let bins = |edge: f32| (f64::from(edge) / 15.625).round() as usize;
            let octave = &powers[bins(CONTRAST_EDGES_HZ[band])..bins(CONTRAST_EDGES_HZ[band + 1])];
            let floor = total * 1e-6 / octave.len() as f64;
            let mean = octave.iter().sum::<f64>() / octave.len() as f64;
            let most = octave.iter().copied().fold(0.0, f64::max);
            (10.0 * ((most + floor) / (mean + floor)).log10()) as f32
        });

        let width = (mel(7_300.0) - mel(60.0)) / (MEL_BANDS + 1) as f64;
        let energies: Vec<f64> = (0..MEL_BANDS)
            .map(|band| {
                let centre = mel(60.0) + width * (band + 1) as f64;
                let weight = |bin: usize| (1.0 - (mel(hz(bin)) - centre).abs() / width).max(0.0);
                (0..powers.len()).map(|bin| weight(bin) * powers[bin]).sum()
            })
            .collect();
        self.loudest = energies.iter().copied().fold(0.99 * self.loudest, f64::max);
        let logs: Vec<f64> = energies.iter().map(|energy| (energy + 1e-6 * self.loudest).ln()).collect();
        let mfcc = std::array::from_fn(|row| {
            let cosine = |band: usize| (PI / MEL_BANDS as f64 * (band as f64 + 0.5) * (row + 1) as f64).cos();
            let sum: f64 = logs.iter().enumerate().map(|(band, log)| log * cosine(band)).sum();
            ((2.0 / MEL_BANDS as f64).sqrt() * sum) as f32
        });
        let mel_db: Vec<f64> = logs.iter().map(|log| 10.0 * log / std::f64::consts::LN_10).collect();
        let rises: f64 = mel_db.iter().zip(&self.mel_db).map(|(now, last)| (now - last).max(0.0)).sum();
        let novelty_db = rises / MEL_BANDS as f64;

        self.magnitudes = magnitudes;
        self.mel_db = mel_db;
        FrameFeatures {
            level_db: level_db as f32,
            centroid_hz: centroid_hz as f32,
            roll_off_hz: hz(roll_off) as f32,
            flux: flux as f32,
            harmonicity: harmonicity as f32,
            novelty_db: novelty_db as f32,
            contrast_db,
            mfcc,
        }
    }
}

/// What the detector finds hop by hop.
fn frames(samples: &[f32], rate_hz: u32) -> Vec<FrameFeatures> {
    let mut detector = GenreDetector::new(stream(rate_hz, 1));
    let mut found: Vec<FrameFeatures> = Vec::new();
    for sample in samples {
        detector.process(&[*sample]);
        let frame = detector.features().frame;
        if frame != FrameFeatures::default() && found.last() != Some(&frame) {
            found.push(frame);
        }
    }
    found
}

fn assert_near(name: &str, hop: usize, found: f32, wanted: f32, tolerance: f32) {
    assert!((found - wanted).abs() <= tolerance, "{name} of hop {hop}: {found}, by its definition {wanted}");
}

#[test]
fn each_feature_is_what_its_definition_says() {
    // rates in a simple ratio are exact; 44.1 kHz is noisier by its rounded instants
    for (rate_hz, tolerance) in [(16_000, 1.0), (48_000, 1.0), (8_000, 1.0), (44_100, 40.0)] {
        let speech = common_speech(rate_hz, 8.0, 1.3);
        let found = frames(&speech, rate_hz);
        let narrow = narrow_band(&speech, rate_hz);
        let mut slow = Slow::default();
        let padded = [&[0.0; HOP][..], &narrow].concat();
        assert!(found.len() >= 30, "{} hops", found.len());
        for (hop, found) in found.iter().enumerate() {
            let wanted = slow.features(&padded[hop * HOP..hop * HOP + WINDOW]);
            let near =
                |name, found, wanted, wide: f32| assert_near(name, hop, found, wanted, wide * tolerance);
            near("level", found.level_db, wanted.level_db, 1e-3);
            near("centroid", found.centroid_hz, wanted.centroid_hz, 0.5);
            near("roll-off", found.roll_off_hz, wanted.roll_off_hz, 0.01);
            near("flux", found.flux, wanted.flux, 1e-3);
            near("harmonicity", found.harmonicity, wanted.harmonicity, 1e-3);
            near("novelty", found.novelty_db, wanted.novelty_db, 5e-3);
            for (found, wanted) in found.contrast_db.iter().zip(wanted.contrast_db) {
                near("contrast", *found, wanted, 0.02);
            }
            for (found, wanted) in found.mfcc.iter().zip(wanted.mfcc) {
                near("mfcc", *found, wanted, 0.01);
            }
        }
    }
}

/// Some seconds of the recording, by straight lines, at any rate.
fn common_speech(rate_hz: u32, from_s: f64, seconds: f64) -> Vec<f32> {
    let step = 16_000.0 / f64::from(rate_hz);
    (0..(seconds * f64::from(rate_hz)) as usize)
        .map(|at| {
            let position = from_s * 16_000.0 + at as f64 * step;
            let (whole, part) = (position as usize % (SPEECH_16_KHZ.len() - 1), position.fract() as f32);
            SPEECH_16_KHZ[whole] + (SPEECH_16_KHZ[whole + 1] - SPEECH_16_KHZ[whole]) * part
        })
        .collect()
}

#[test]
fn known_sounds_have_the_features_one_can_work_out() {
    for rate_hz in RATES_HZ {
        let tone = |hz: f64| -> Vec<f32> {
            (0..rate_hz)
                .map(|at| (0.3 * (2.0 * PI * hz * f64::from(at) / f64::from(rate_hz)).sin()) as f32)
                .collect()
        };
        // rounded instants are noise, and the magnitudes' centre of gravity hears it
        let centroid_tolerance_hz = if rate_hz % 4_000 == 0 { 25.0 } else { 60.0 };
        let last = *frames(&tone(1_000.0), rate_hz).last().unwrap();
        assert!(
            (last.centroid_hz - 1_000.0).abs() < centroid_tolerance_hz,
            "{rate_hz} Hz: centroid {}",
            last.centroid_hz
        );
        assert!((last.roll_off_hz - 1_000.0).abs() < 32.0, "{rate_hz} Hz: roll-off {}", last.roll_off_hz);
        assert!((last.level_db + 13.47).abs() < 0.2, "{rate_hz} Hz: level {}", last.level_db);
        assert!(last.flux < 0.05, "{rate_hz} Hz: flux {}", last.flux);
        let harmonic = frames(&tone(220.0), rate_hz).last().unwrap().harmonicity;
        assert!(harmonic > 0.97, "{rate_hz} Hz: harmonicity {harmonic}");
    }
    let mut random = Random(5);
    let noise: Vec<f32> = (0..32_000).map(|_| 0.3 * random.sample()).collect();
    let frames = frames(&noise, 16_000);
    let mean = frames.iter().map(|frame| frame.harmonicity).sum::<f32>() / frames.len() as f32;
    assert!(mean < 0.3, "harmonicity of noise: {mean}");
}

#[test]
fn what_the_model_sees_is_what_its_names_say() {
    let speech = common_speech(16_000, 0.0, 6.5);
    // the second one is cut within its hops: the numbers must be those of the last classification
    let frames = frames(&speech, 16_000);
    let mut detector = GenreDetector::new(stream(16_000, 1));
    detector.process(&speech);
    let features = *detector.features();
    assert_eq!(features.hops, WINDOW_HOPS);
    // classified every 8 hops, from the 64th on
    let last = (64..=frames.len()).rfind(|count| count % CLASSIFY_HOPS == 0).unwrap();
    let window = &frames[last - WINDOW_HOPS..last];

    let power = window.iter().map(|frame| 10.0_f64.powf(f64::from(frame.level_db) / 10.0)).sum::<f64>();
    let mean_db = 10.0 * (power / WINDOW_HOPS as f64).log10();
    let octaves = |hz: f32| (f64::from(hz) / 100.0 + 0.1).log2();
    let column = |name: &str| -> Vec<f64> {
        let number = || name.rsplit('_').next().unwrap().parse::<usize>().unwrap() - 1;
        let of = |frame: &FrameFeatures| match name {
            "centroid" => octaves(frame.centroid_hz),
            "roll_off" => octaves(frame.roll_off_hz),
            "flux" => frame.flux.into(),
            "harmonicity" => frame.harmonicity.into(),
            "novelty" => frame.novelty_db.into(),
            "level" => (f64::from(frame.level_db) - mean_db).max(-40.0),
            _ if name.starts_with("contrast_") => frame.contrast_db[number()].into(),
            _ => frame.mfcc[number()].into(),
        };
        window.iter().map(of).collect()
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let names = feature_names();
    assert_eq!(names.len(), FEATURES);
    for (name, found) in names.iter().zip(features.vector) {
        let (kind, of) = name.split_once('_').unwrap();
        let wanted = match (kind, name.as_str()) {
            ("mean", _) => mean(&column(of)),
            ("deviation", _) => {
                let (values, centre) = (column(of), mean(&column(of)));
                mean(&values.iter().map(|value| (value - centre).powi(2)).collect::<Vec<_>>()).sqrt()
            }
            ("movement", _) => {
                mean(&column(of).windows(2).map(|pair| (pair[1] - pair[0]).powi(2)).collect::<Vec<_>>())
                    .sqrt()
            }
            (_, "low_share") => {
                mean(&column("level").iter().map(|db| f64::from(u8::from(*db < -6.0))).collect::<Vec<_>>())
            }
            (_, "onset_rate") => onset_rate(&column("novelty")),
            (_, "pulse_clarity") => pulse(&column("novelty")).0,
            (_, "pulse_period") => pulse(&column("novelty")).1,
            _ => panic!("a feature without a definition: {name}"),
        };
        let tolerance = 2e-3 * (1.0 + wanted.abs());
        assert!((f64::from(found) - wanted).abs() < tolerance, "{name}: {found}, by its definition {wanted}");
    }
}

/// Local maxima (within two hops) that stand 0.8 dB above the mean of the eight before, a second.
fn onset_rate(novelty: &[f64]) -> f64 {
    let mut count = 0;
    for at in 8..novelty.len() - 2 {
        let higher = (at - 2..=at + 2).any(|other| novelty[other] > novelty[at]);
        let before = novelty[at - 8..at].iter().sum::<f64>() / 8.0;
        count += usize::from(!higher && novelty[at] > before + 0.8);
    }
    count as f64 / (novelty.len() as f64 * 0.032)
}

/// The highest normalised autocorrelation over 0.26 to 1.5 s, and its period.
fn pulse(novelty: &[f64]) -> (f64, f64) {
    let mean = novelty.iter().sum::<f64>() / novelty.len() as f64;
    let at = |lag: usize| -> f64 {
        novelty.iter().zip(&novelty[lag..]).map(|(now, later)| (now - mean) * (later - mean)).sum()
    };
    let best = (8..=47).map(|lag| (at(lag) / at(0), lag as f64 * 0.032)).max_by(|a, b| a.0.total_cmp(&b.0));
    best.unwrap()
}

#[test]
fn a_metronome_has_its_rate_its_clarity_and_its_period() {
    // a beat every 16 hops, 0.512 s, on a little unrest
    let mut random = Random(3);
    let novelty: Vec<f32> =
        (0..WINDOW_HOPS).map(|hop| if hop % 16 == 4 { 9.0 } else { 0.3 * random.sample().abs() }).collect();
    let rhythm = Rhythm::of(&novelty);
    assert!((rhythm.onset_rate_hz - 7.0 / 4.096).abs() < 0.01, "{rhythm:?}");
    assert!(rhythm.pulse_clarity > 0.8, "{rhythm:?}");
    assert!((rhythm.pulse_period_s - 0.512).abs() < 1e-3, "{rhythm:?}");
    assert_eq!(Rhythm::of(&[]), Rhythm::default());
    assert_eq!(Rhythm::of(&[1.0; WINDOW_HOPS]).pulse_clarity, 0.0);
}

// ---------------------------------------------------------------- what a stage promises

/// Everything that a detector tells, to the bit.
fn told(detector: &GenreDetector) -> (Genre, u32, Vec<u32>, Vec<u32>, FrameFeatures) {
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect();
    (
        detector.genre(),
        detector.confidence().to_bits(),
        bits(&detector.probabilities()),
        bits(&detector.features().vector),
        detector.features().frame,
    )
}

#[test]
fn after_start_it_is_as_new_whatever_was_before() {
    let speech = common_speech(44_100, 0.0, 5.0);
    for (rate_hz, channels) in [(44_100, 1), (44_100, 2), (8_000, 2), (96_000, 1), (16_000, 1)] {
        let mut fresh = GenreDetector::new(stream(rate_hz, channels));
        let mut used = GenreDetector::new(stream(48_000, 2));
        used.process(&common_speech(48_000, 1.0, 7.0));
        used.start(stream(12_000, 1));
        used.process(&[0.9; 7_777]);
        used.start(stream(rate_hz, channels));
        assert_eq!(told(&used), told(&fresh));
        for block in speech.chunks(4_000) {
            fresh.process(block);
            used.process(block);
            assert_eq!(told(&used), told(&fresh), "{rate_hz} Hz, {channels} channels");
        }
    }
}

#[test]
fn how_a_stream_is_cut_makes_no_difference() {
    for (rate_hz, channels) in [(48_000, 2), (44_100, 1), (8_000, 1), (96_000, 2), (11_025, 1)] {
        let speech = common_speech(rate_hz * channels as u32, 0.0, 4.5);
        let mut whole = GenreDetector::new(stream(rate_hz, channels));
        whole.process(&speech);
        assert_ne!(whole.probabilities(), [0.0; 6], "long enough to classify");
        let mut random = Random(u64::from(rate_hz));
        let mut cut = GenreDetector::new(stream(rate_hz, channels));
        let mut rest = &speech[..];
        while !rest.is_empty() {
            let length = (random.below(1_500) * channels).min(rest.len());
            let (block, after) = rest.split_at(length);
            cut.process(block);
            rest = after;
        }
        assert_eq!(told(&cut), told(&whole), "{rate_hz} Hz, {channels} channels");
    }
}

#[test]
fn stereo_counts_as_the_mean_of_its_channels() {
    let left = common_speech(24_000, 0.0, 4.0);
    let right = common_speech(24_000, 7.0, 4.0);
    let both: Vec<f32> = left.iter().zip(&right).flat_map(|(left, right)| [*left, *right]).collect();
    let mean: Vec<f32> = left.iter().zip(&right).map(|(left, right)| 0.5 * (left + right)).collect();
    let (mut stereo, mut mono) =
        (GenreDetector::new(stream(24_000, 2)), GenreDetector::new(stream(24_000, 1)));
    stereo.process(&both);
    mono.process(&mean);
    assert_eq!(told(&stereo), told(&mono));
}

#[test]
fn nothing_but_new_allocates() {
    let speech = common_speech(48_000, 0.0, 6.0);
    let mut detector = GenreDetector::new(stream(8_000, 1));
    let built = allocations_in(|| detector = GenreDetector::new(stream(8_000, 1)));
    assert!(built > 0, "the counter counts");
    let mut blend = GenreBlend::new(48_000);
    let mut listen = || {
        for rate_hz in RATES_HZ {
            for channels in [1, 2] {
                detector.start(stream(rate_hz, channels));
                for block in speech.chunks(960) {
                    detector.process(block);
                    blend.aim(detector.genre());
                    blend.advance(block.len() / channels);
                }
                assert!(detector.features().frame.level_db < 0.0, "hops were looked at");
                let _ = blend.current();
            }
        }
    };
    assert_eq!(allocations_in(&mut listen), 0);
}

#[test]
fn extreme_samples_leave_everything_finite() {
    let mut random = Random(9);
    let loud: Vec<f32> =
        (0..60_000).map(|at| if at % 977 == 0 { 3e4 } else { 1e4 * random.sample() }).collect();
    let tiny: Vec<f32> = loud.iter().map(|sample| sample * 1e-38).collect();
    let constant = vec![1.0; 60_000];
    let mut detector = GenreDetector::new(stream(16_000, 1));
    for samples in [&loud, &constant, &tiny, &vec![0.0; 60_000], &loud, &tiny] {
        detector.process(samples);
        assert!(detector.features().vector.iter().all(|value| value.is_finite() && !value.is_subnormal()));
        assert!((0.0..=1.0).contains(&detector.confidence()));
        assert!(detector.probabilities().iter().all(|probability| (0.0..=1.0).contains(probability)));
    }
}

// ---------------------------------------------------------------- decisions

/// A model that knows one thing: a low centroid is speech, a middle one unsure, a high one rock.
fn pitch_model() -> Arc<Model> {
    let names = feature_names();
    let row = |value: &str| vec![value; FEATURES].join(" ");
    let mut lines = vec![
        format!("sandpool-genre-features {FEATURE_VERSION}"),
        "classes speech rock jazz electronic classical unknown".to_owned(),
        format!("features {}", names.join(" ")),
        "hidden 2".to_owned(),
        "temperature-threshold 1 0.6".to_owned(),
        // octaves above 100 Hz: 3.3 is 1 kHz
        format!("mean {}", row("3.3")),
        format!("scale {}", row("1")),
        "input-bias 0 0".to_owned(),
        "output-bias 0 0 -30 -30 -30 -30".to_owned(),
    ];
    lines.extend(
        names.iter().map(|name| if name == "mean_centroid" { "input 1 -1" } else { "input 0 0" }.to_owned()),
    );
    lines.extend(["0 9", "9 0", "0 0", "0 0", "0 0", "0 0"].map(|weights| format!("output {weights}")));
    Arc::new(Model::parse(&lines.join("\n")).unwrap())
}

fn tone(hz: f64, seconds: f64) -> Vec<f32> {
    (0..(16_000.0 * seconds) as usize)
        .map(|at| (0.2 * (2.0 * PI * hz * at as f64 / 16_000.0).sin()) as f32)
        .collect()
}

/// The seconds after which the genre became that one; `None` when it did not.
fn seconds_until(detector: &mut GenreDetector, genre: Genre, samples: &[f32]) -> Option<f64> {
    samples
        .chunks(160)
        .position(|block| {
            detector.process(block);
            detector.genre() == genre
        })
        .map(|block| block as f64 * 0.01)
}

#[test]
fn a_genre_is_named_within_three_seconds_and_changes_only_when_another_has_led_for_some_time() {
    let mut detector = GenreDetector::with_model(stream(16_000, 1), pitch_model());
    let first = seconds_until(&mut detector, Genre::Speech, &tone(300.0, 5.0)).unwrap();
    assert!((2.0..3.0).contains(&first), "named after {first} s");
    assert!(detector.confidence() > 0.95, "{}", detector.confidence());

    // an interlude does not change it, and what comes after it does not either
    assert_eq!(seconds_until(&mut detector, Genre::Rock, &tone(4_000.0, 2.0)), None);
    assert_eq!(seconds_until(&mut detector, Genre::Rock, &tone(300.0, 6.0)), None);
    assert_eq!(detector.genre(), Genre::Speech);

    // a lasting change does, once and for good
    let change = seconds_until(&mut detector, Genre::Rock, &tone(4_000.0, 8.0)).unwrap();
    assert!((3.0..7.0).contains(&change), "changed after {change} s");
    assert_eq!(seconds_until(&mut detector, Genre::Speech, &tone(4_000.0, 8.0)), None);
}

#[test]
fn what_wavers_between_two_genres_does_not_make_the_answer_flicker() {
    let mut detector = GenreDetector::with_model(stream(16_000, 1), pitch_model());
    detector.process(&tone(300.0, 5.0));
    let (mut changes, mut last) = (0, detector.genre());
    for _ in 0..20 {
        for block in tone(4_000.0, 1.0).chunks(160).chain(tone(300.0, 1.6).chunks(160)) {
            detector.process(block);
            changes += usize::from(detector.genre() != last);
            last = detector.genre();
        }
    }
    assert!(changes <= 1, "{changes} changes within 52 s");
}

#[test]
fn below_its_confidence_it_says_unknown() {
    let mut detector = GenreDetector::with_model(stream(16_000, 1), pitch_model());
    detector.process(&tone(1_000.0, 6.0));
    assert_eq!(detector.genre(), Genre::Unknown, "{:?}", detector.probabilities());
    detector.start(stream(16_000, 1));
    detector.process(&tone(300.0, 6.0));
    assert_eq!(detector.genre(), Genre::Speech);
    assert!(seconds_until(&mut detector, Genre::Unknown, &tone(1_000.0, 10.0)).is_some());
}

#[test]
fn silence_changes_nothing() {
    let mut detector = GenreDetector::new(stream(48_000, 1));
    detector.process(&vec![0.0; 480_000]);
    assert_eq!((detector.genre(), detector.confidence()), (Genre::Unknown, 0.0));
    detector.process(&common_speech(48_000, 0.0, 6.0));
    // let the last hop with sound pass
    detector.process(&[0.0; 4_800]);
    let before = told(&detector);
    assert_eq!(before.0, Genre::Speech);
    let mut random = Random(4);
    let hush: Vec<f32> = (0..480_000).map(|_| 1e-4 * random.sample()).collect();
    for silence in [vec![0.0; 480_000], hush] {
        detector.process(&silence);
        assert_eq!(told(&detector), before);
    }
}

// ---------------------------------------------------------------- the shipped model

#[test]
fn the_shipped_model_is_for_these_features_and_small() {
    let text = include_str!("../src/genre/model.txt");
    assert!(text.len() < 100_000, "{} bytes", text.len());
    assert_eq!(Model::parse(text).as_ref(), Ok(&*Model::shipped()));
    let probabilities = Model::shipped().probabilities(&[0.0; FEATURES]);
    assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-5);
}

#[test]
fn a_model_for_other_features_or_classes_is_refused_by_name() {
    let text = include_str!("../src/genre/model.txt");
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        Model::parse(&text.replacen(from, to, 1)).unwrap_err()
    };
    let version = format!("sandpool-genre-features {FEATURE_VERSION}");
    assert_eq!(changed(&version, "sandpool-genre-features 99"), ModelError::Version { found: "99".into() });
    assert!(matches!(changed(" mean_flux", " mean_flax"), ModelError::Feature { at: 2, .. }));
    assert!(matches!(changed(" pulse_period", ""), ModelError::Feature { at, .. } if at == FEATURES - 1));
    assert!(matches!(
        changed(" pulse_period", " pulse_period more"),
        ModelError::Feature { at: FEATURES, .. }
    ));
    assert!(matches!(changed("classes speech rock", "classes rock speech"), ModelError::Classes(_)));
    assert!(matches!(changed("\nmean ", "\nmean NaN "), ModelError::Numbers { name: "mean", .. }));
    assert!(matches!(changed("\nscale ", "\nscale 1 "), ModelError::Numbers { name: "scale", .. }));
    assert!(matches!(changed("\nhidden ", "\nhidden 9"), ModelError::Hidden(_)));
    assert!(matches!(changed("\noutput ", "\n"), ModelError::Line { wanted: "output", .. }));
    for cut in [0, 10, text.len() / 3, text.len() / 2] {
        assert!(Model::parse(&text[..cut]).is_err());
    }
}

#[test]
fn real_speech_is_told_as_speech_at_every_rate_and_level() {
    for rate_hz in RATES_HZ {
        for gain in [1.0, 0.1] {
            let speech: Vec<f32> =
                common_speech(rate_hz, 0.0, 6.0).iter().map(|sample| gain * sample).collect();
            let mut detector = GenreDetector::new(stream(rate_hz, 1));
            let five = 5 * rate_hz as usize;
            detector.process(&speech[..five]);
            assert_eq!(
                detector.genre(),
                Genre::Speech,
                "{rate_hz} Hz, gain {gain}: {:?}",
                detector.probabilities()
            );
            detector.process(&speech[five..]);
            assert_eq!(
                detector.genre(),
                Genre::Speech,
                "{rate_hz} Hz, gain {gain}: {:?}",
                detector.probabilities()
            );
        }
    }
}

#[test]
fn real_speech_is_told_as_speech_after_opus() {
    for (rate_hz, bitrate) in [(48_000, 32_000), (16_000, 16_000), (8_000, 12_000), (48_000, 64_000)] {
        let mut encoder = opus::Encoder::new(rate_hz, opus::Channels::Mono, opus::Application::Voip).unwrap();
        encoder.set_bitrate(opus::Bitrate::Bits(bitrate)).unwrap();
        let mut decoder = opus::Decoder::new(rate_hz, opus::Channels::Mono).unwrap();
        let mut detector = GenreDetector::new(stream(rate_hz, 1));
        let mut block = vec![0.0; rate_hz as usize / 50];
        for said in common_speech(rate_hz, 0.0, 6.0).chunks_exact(rate_hz as usize / 50) {
            let packet = encoder.encode_vec_float(said, 1_500).unwrap();
            decoder.decode_float(&packet, &mut block, false).unwrap();
            detector.process(&block);
        }
        assert_eq!(
            detector.genre(),
            Genre::Speech,
            "{rate_hz} Hz, {bitrate} bit/s: {:?}",
            detector.probabilities()
        );
    }
}

#[test]
fn noise_and_tones_are_no_genre() {
    let mut random = Random(77);
    let noise: Vec<f32> = (0..48_000 * 10).map(|_| 0.2 * random.sample()).collect();
    let sine = |hz: f64| -> Vec<f32> {
        (0..48_000 * 10).map(|at| (0.3 * (2.0 * PI * hz * f64::from(at) / 48_000.0).sin()) as f32).collect()
    };
    for (name, sound) in [
        ("white noise", noise),
        ("440 Hz", sine(440.0)),
        ("1 kHz", sine(1_000.0)),
        ("2.9 kHz", sine(2_900.0)),
    ] {
        let mut detector = GenreDetector::new(stream(48_000, 1));
        for block in sound.chunks(960) {
            detector.process(block);
            assert_eq!(detector.genre(), Genre::Unknown, "{name}: {:?}", detector.probabilities());
        }
    }
}

// ---------------------------------------------------------------- parameters

#[test]
fn a_blend_moves_in_a_straight_line_for_two_seconds_and_from_wherever_it_stands() {
    let mut blend = GenreBlend::new(48_000);
    assert_eq!(blend.current(), GenreParameters::NEUTRAL);
    assert!(!blend.advance(960), "nothing moves before a genre is known");

    blend.aim(Genre::Classical);
    assert_eq!(blend.current(), GenreParameters::NEUTRAL);
    assert!(blend.advance(48_000));
    let half = blend.current();
    assert_eq!(half.compressor_threshold_db, 5.0);
    assert_eq!(half.gate_amount, 0.5);

    // turned around half-way: no jump
    blend.aim(Genre::Rock);
    assert_eq!(blend.current(), half);
    blend.aim(Genre::Rock);
    blend.advance(24_000);
    let quarter = half.mixed(&GenreParameters::of(Genre::Rock), 0.25);
    assert_eq!(blend.current(), quarter);
    blend.advance(200_000);
    assert_eq!(blend.current(), GenreParameters::of(Genre::Rock));
    assert!(!blend.advance(1));

    blend.start(8_000);
    assert_eq!(blend, GenreBlend::new(8_000));
}

#[test]
fn how_a_blend_s_time_is_cut_makes_no_difference() {
    let (mut whole, mut cut) = (GenreBlend::new(44_100), GenreBlend::new(44_100));
    whole.aim(Genre::Jazz);
    cut.aim(Genre::Jazz);
    whole.advance(50_001);
    for _ in 0..1_612 {
        cut.advance(31);
    }
    assert!(cut.advance(50_001 - 1_612 * 31));
    assert_eq!(cut, whole);
    assert_eq!(cut.current(), whole.current());
}

#[test]
fn unknown_is_neutral_and_music_is_never_gated() {
    assert_eq!(GenreParameters::of(Genre::Unknown), GenreParameters::NEUTRAL);
    for genre in Genre::ALL {
        assert_eq!(Genre::from_name(genre.name()), Some(genre));
        assert_eq!(Genre::ALL[genre.index()], genre);
        let parameters = GenreParameters::of(genre);
        let music = !matches!(genre, Genre::Speech | Genre::Unknown);
        assert_eq!(parameters.gate_amount == 0.0, music, "{genre}");
        assert_eq!(parameters.clarity_amount == 0.0, music, "{genre}");
    }
    assert_eq!(Genre::from_name("polka"), None);
}

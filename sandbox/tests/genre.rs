//! The genre detector: each feature against its definition, what a stage promises, and what the shipped model says of real
//! speech and of sounds that are no genre. (How good it is at music is measured by `training/`, on its corpus.)
#![allow(unsafe_code)]

mod common;
#[path = "common/counting.rs"]
mod counting;

use std::collections::BTreeMap;
use std::f64::consts::PI;
use std::sync::Arc;

use common::{Random, SPEECH_16_KHZ};
use counting::allocations_in;
use sandbox::genre::{
    feature_names, FrameFeatures, Genre, GenreBlend, GenreDetector, GenreParameters, Model, ModelError,
    Rhythm, TonalFeatures, CLASSIFY_HOPS, CONTRAST_EDGES_HZ, FEATURES, FEATURE_VERSION, HOP, MEL_BANDS,
    PITCH_CLASSES, WINDOW, WINDOW_HOPS,
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
    /// Bin and pitch of the last peaks.
    peaks: Vec<(usize, f64)>,
    chroma: Option<[f64; PITCH_CLASSES]>,
}

/// Shannon's, natural units.
fn entropy(shares: &[f64]) -> f64 {
    shares.iter().filter(|share| **share > 0.0).map(|share| -share * share.ln()).sum()
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
        let rise_of = |bands: std::ops::Range<usize>| -> f32 {
            if self.mel_db.is_empty() {
                return 0.0;
            }
            let count = bands.len() as f64;
            (bands.map(|band| (mel_db[band] - self.mel_db[band]).max(0.0)).sum::<f64>() / count) as f32
        };
        let (novelty_bass_db, novelty_treble_db) = (rise_of(0..5), rise_of(22..32));
        let bass: f64 = powers[2..10].iter().sum();
        let edges = [3, 8, 16, 32, 64, 128, 256, 480];
        let flatness_db = std::array::from_fn(|band| {
            let octave = &powers[edges[band]..edges[band + 1]];
            let count = octave.len() as f64;
            let floor = 1e-6 * total / count;
            let arithmetic = octave.iter().sum::<f64>() / count + floor;
            let geometric = (octave.iter().map(|power| (power + floor).ln()).sum::<f64>() / count).exp();
            (10.0 * (geometric / arithmetic).log10()) as f32
        });
        let tonal = self.tonal(&magnitudes);

        self.magnitudes = magnitudes;
        self.mel_db.clone_from(&mel_db);
        FrameFeatures {
            level_db: level_db as f32,
            centroid_hz: centroid_hz as f32,
            roll_off_hz: hz(roll_off) as f32,
            flux: flux as f32,
            harmonicity: harmonicity as f32,
            novelty_db: novelty_db as f32,
            contrast_db,
            mfcc,
            bass_db: (10.0 * (bass / total + 1e-6).log10()) as f32,
            novelty_bass_db,
            novelty_treble_db,
            flatness_db,
            tonal,
            mel_db: std::array::from_fn(|band| mel_db[band] as f32),
        }
    }

    /// Peaks from 125 to 4,000 Hz, their frequencies by Grandke's formula, and what became of those of the last hop.
    fn tonal(&mut self, magnitudes: &[f64]) -> TonalFeatures {
        let most = magnitudes.iter().copied().fold(0.0, f64::max);
        let peaks: Vec<(usize, f64, f64)> = (8..256)
            .filter(|&bin| {
                let here = magnitudes[bin];
                here > 0.01 * most && here > magnitudes[bin - 1] && here >= magnitudes[bin + 1]
            })
            .map(|bin| {
                let (left, here, right) = (magnitudes[bin - 1], magnitudes[bin], magnitudes[bin + 1]);
                let ratio = left.max(right) / here;
                let beside = ((2.0 * ratio - 1.0) / (ratio + 1.0)).max(0.0);
                let position = bin as f64 + if right > left { beside } else { -beside };
                (bin, 12.0 * (position * 15.625 / 440.0).log2(), here)
            })
            .collect();
        let total: f64 = peaks.iter().map(|peak| peak.2).sum();
        let share = |counts: &dyn Fn(usize, f64) -> f64| -> f32 {
            (peaks.iter().map(|(bin, pitch, weight)| weight * counts(*bin, *pitch)).sum::<f64>() / total)
                as f32
        };
        let moved = |bin: usize, pitch: f64| {
            let near = self.peaks.iter().filter(|(other, _)| other.abs_diff(bin) <= 1);
            near.map(|(_, other)| (other - pitch).abs()).fold(f64::INFINITY, f64::min)
        };
        let mut classes = [0.0; PITCH_CLASSES];
        for (_, pitch, weight) in &peaks {
            classes[pitch.round().rem_euclid(12.0) as usize] += weight;
        }
        let chroma = classes.map(|class| class / total);
        let flux = self
            .chroma
            .map_or(0.0, |last| chroma.iter().zip(last).map(|(now, last)| (now - last).abs()).sum::<f64>());
        let found = TonalFeatures {
            peaks: peaks.len() as f32,
            detuning: share(&|_, pitch| (pitch - pitch.round()).abs()),
            steady: share(&|bin, pitch| f64::from(u8::from(moved(bin, pitch) < 0.06))),
            glide: share(&|bin, pitch| f64::from(u8::from((0.06..0.6).contains(&moved(bin, pitch))))),
            chroma: classes.map(|class| class as f32),
            chroma_entropy: entropy(&chroma) as f32,
            chroma_flux: flux as f32,
            intervals: std::array::from_fn(|at| {
                (0..12).map(|class| chroma[class] * chroma[(class + at + 1) % 12]).sum::<f64>() as f32
            }),
        };
        self.chroma = Some(chroma);
        self.peaks = peaks.into_iter().map(|(bin, pitch, _)| (bin, pitch)).collect();
        found
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
            near("bass", found.bass_db, wanted.bass_db, 0.01);
            near("bass's novelty", found.novelty_bass_db, wanted.novelty_bass_db, 5e-3);
            near("treble's novelty", found.novelty_treble_db, wanted.novelty_treble_db, 5e-3);
            // the noise of rounded instants fills what is empty, and makes peaks of its own
            if tolerance > 1.0 {
                continue;
            }
            for (found, wanted) in found.flatness_db.iter().zip(wanted.flatness_db) {
                near("flatness", *found, wanted, 0.02);
            }
            for (found, wanted) in found.mel_db.iter().zip(wanted.mel_db) {
                near("mel band", *found, wanted, 0.02);
            }
            let (found, wanted) = (&found.tonal, &wanted.tonal);
            near("peaks", found.peaks, wanted.peaks, 0.0);
            near("detuning", found.detuning, wanted.detuning, 1e-3);
            near("steady", found.steady, wanted.steady, 1e-3);
            near("glide", found.glide, wanted.glide, 1e-3);
            near("chroma entropy", found.chroma_entropy, wanted.chroma_entropy, 1e-3);
            near("chroma flux", found.chroma_flux, wanted.chroma_flux, 1e-3);
            for (found, wanted) in found.intervals.iter().zip(wanted.intervals) {
                near("interval", *found, wanted, 1e-3);
            }
            let most = wanted.chroma.iter().copied().fold(0.0, f32::max);
            for (found, wanted) in found.chroma.iter().zip(wanted.chroma) {
                near("chroma", *found, wanted, 1e-3 * most);
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
            "bass" => frame.bass_db.into(),
            "novelty_bass" => frame.novelty_bass_db.into(),
            "novelty_treble" => frame.novelty_treble_db.into(),
            "peaks" => frame.tonal.peaks.into(),
            "detuning" => frame.tonal.detuning.into(),
            "steady" => frame.tonal.steady.into(),
            "glide" => frame.tonal.glide.into(),
            "chroma_entropy" => frame.tonal.chroma_entropy.into(),
            "chroma_flux" => frame.tonal.chroma_flux.into(),
            _ if name.starts_with("contrast_") => frame.contrast_db[number()].into(),
            _ if name.starts_with("flatness_") => frame.flatness_db[number()].into(),
            _ if name.starts_with("interval_") => frame.tonal.intervals[number()].into(),
            _ if name.starts_with("mfcc_") => frame.mfcc[number()].into(),
            _ => panic!("a column without a definition: {name}"),
        };
        window.iter().map(of).collect()
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let names = feature_names();
    assert_eq!(names.len(), FEATURES);
    let mut others: BTreeMap<String, f64> = BTreeMap::new();
    others.extend(attacks(&column("level"), &column("novelty")));
    others.extend(modulations(window));
    others.extend(harmonies(window));
    others.extend(repetitions(&column("novelty"), &column("novelty_bass"), &column("novelty_treble")));
    for (name, found) in names.iter().zip(features.vector) {
        let (kind, of) = name.split_once('_').unwrap_or((name, ""));
        let wanted = match (kind, name.as_str()) {
            _ if others.contains_key(name) => others[name],
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

fn mean_of(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation_of(values: &[f64]) -> f64 {
    let mean = mean_of(values);
    mean_of(&values.iter().map(|value| (value - mean).powi(2)).collect::<Vec<_>>()).sqrt()
}

fn named<'a, const N: usize>(pairs: [(&'a str, f64); N]) -> impl Iterator<Item = (String, f64)> + 'a {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value))
}

fn attacks(levels: &[f64], novelties: &[f64]) -> Vec<(String, f64)> {
    let mut sorted = novelties.to_vec();
    sorted.sort_by(f64::total_cmp);
    let largest = |count: usize| mean_of(&sorted[sorted.len() - count..]);
    let steps: Vec<f64> = levels.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let share = |counts: &dyn Fn(f64) -> bool| {
        steps.iter().filter(|step| counts(**step)).count() as f64 / steps.len() as f64
    };
    let cubes = mean_of(&steps.iter().map(|step| step.powi(3)).collect::<Vec<_>>());
    named([
        ("novelty_most", largest(3)),
        ("novelty_high", largest(8)),
        ("novelty_rest", mean_of(&sorted[..sorted.len() / 2])),
        ("novelty_peaked", largest(8) / mean_of(novelties)),
        ("level_skew", cubes / deviation_of(&steps).powi(3)),
        ("level_rise", mean_of(&steps.iter().map(|step| step.max(0.0)).collect::<Vec<_>>())),
        ("level_jumps", share(&|step| step > 3.0)),
        ("level_leaps", share(&|step| step > 6.0)),
        ("level_drops", share(&|step| step < -3.0)),
    ])
    .collect()
}

/// The power spectrum of eight groups of mel bands and of their mean, by octaves.
fn modulations(window: &[FrameFeatures]) -> Vec<(String, f64)> {
    let count = window.len();
    let weight = |at: usize| 0.5 - 0.5 * (2.0 * PI * at as f64 / count as f64).cos();
    let squares: f64 = (0..count).map(|at| weight(at).powi(2)).sum();
    let octaves = |levels: &[f64]| -> [f64; 5] {
        let mean = mean_of(levels);
        let power = |bin: usize| {
            let part = |turn: fn(f64) -> f64| -> f64 {
                let term = |at: usize| {
                    (levels[at] - mean) * weight(at) * turn(2.0 * PI * (bin * at) as f64 / WINDOW_HOPS as f64)
                };
                (0..count).map(term).sum()
            };
            part(f64::cos).powi(2) + part(f64::sin).powi(2)
        };
        [2..5, 5..9, 9..17, 17..33, 33..65].map(|bins| bins.map(power).sum::<f64>() / squares)
    };
    let group = |group: usize| -> Vec<f64> {
        let bands = group * 4..group * 4 + 4;
        let level = |frame: &FrameFeatures| {
            frame.mel_db[bands.clone()].iter().map(|level| f64::from(*level)).sum::<f64>() / 4.0
        };
        window.iter().map(level).collect()
    };
    let groups: Vec<Vec<f64>> = (0..8).map(group).collect();
    let powers: Vec<[f64; 5]> = groups.iter().map(|levels| octaves(levels)).collect();
    let together: Vec<f64> =
        (0..count).map(|at| groups.iter().map(|levels| levels[at]).sum::<f64>() / 8.0).collect();
    let together = octaves(&together);
    let mut found = Vec::new();
    for octave in 0..5 {
        for (group, power) in powers.iter().enumerate() {
            let name = format!("modulation_{}_{}", group + 1, octave + 1);
            found.push((name, (power[octave] + 0.5).ln()));
        }
        let mean = powers.iter().map(|power| power[octave]).sum::<f64>() / 8.0;
        let name = format!("modulation_all_{}", octave + 1);
        found.push((name, ((together[octave] + 0.5) / (mean + 0.5)).ln()));
    }
    found
}

/// Krumhansl and Kessler's profiles, from the tonic upwards.
const KEYS: [[f64; PITCH_CLASSES]; 2] = [
    [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88],
    [6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17],
];

fn harmonies(window: &[FrameFeatures]) -> Vec<(String, f64)> {
    let shares = |frames: &[FrameFeatures]| -> Vec<f64> {
        let sums: Vec<f64> = (0..PITCH_CLASSES)
            .map(|class| frames.iter().map(|frame| f64::from(frame.tonal.chroma[class])).sum())
            .collect();
        let total: f64 = sums.iter().sum();
        sums.iter().map(|sum| sum / total).collect()
    };
    let whole = shares(window);
    let fit = |profile: &[f64; PITCH_CLASSES], tonic: usize| -> f64 {
        let turned: Vec<f64> = (0..12).map(|class| profile[(class + 12 - tonic) % 12]).collect();
        let (a, b) = (mean_of(&whole), mean_of(&turned));
        let products = whole.iter().zip(&turned).map(|(share, weight)| (share - a) * (weight - b));
        mean_of(&products.collect::<Vec<_>>()) / (deviation_of(&whole) * deviation_of(&turned))
    };
    let fits = KEYS.map(|profile| (0..12).map(|tonic| fit(&profile, tonic)).collect::<Vec<f64>>());
    let best = |of: &[f64]| of.iter().copied().fold(-1.0, f64::max);
    let mut ranked = fits.concat();
    ranked.sort_by(|a, b| b.total_cmp(a));
    let chords: Vec<Vec<f64>> = window.chunks_exact(16).map(shares).collect();
    let change = |pair: &[Vec<f64>]| -> f64 {
        pair[0].iter().zip(&pair[1]).map(|(last, now)| (now - last).abs()).sum()
    };
    let mut sorted = whole.clone();
    sorted.sort_by(|a, b| b.total_cmp(a));
    named([
        ("key_entropy", entropy(&whole)),
        ("key_clarity", ranked[0]),
        ("key_lead", ranked[0] - ranked[2]),
        ("key_minor", best(&fits[1]) - best(&fits[0])),
        ("chord_entropy", mean_of(&chords.iter().map(|chord| entropy(chord)).collect::<Vec<_>>())),
        ("chord_change", mean_of(&chords.windows(2).map(change).collect::<Vec<_>>())),
        ("pitch_class_1", sorted[0]),
        ("pitch_class_2", sorted[1]),
        ("pitch_class_3", sorted[2]),
        ("pitch_class_4", sorted[3]),
    ])
    .collect()
}

fn repetitions(all: &[f64], bass: &[f64], treble: &[f64]) -> Vec<(String, f64)> {
    let repeats = |novelty: &[f64], lag: usize| -> f64 {
        let mean = mean_of(novelty);
        let at = |lag: usize| -> f64 {
            novelty.iter().zip(&novelty[lag..]).map(|(now, later)| (now - mean) * (later - mean)).sum()
        };
        at(lag) / at(0)
    };
    let highest = |novelty: &[f64], lags: std::ops::Range<usize>| {
        lags.map(|lag| repeats(novelty, lag)).fold(f64::NEG_INFINITY, f64::max)
    };
    let mut found = Vec::new();
    let times = [2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 22, 27, 33, 40, 48];
    for (name, novelty) in [("all", all), ("bass", bass)] {
        for (at, range) in times.windows(2).enumerate() {
            found.push((format!("repeats_{name}_{}", at + 1), highest(novelty, range[0]..range[1])));
        }
        let each: Vec<f64> = (1..48).map(|lag| repeats(novelty, lag)).collect();
        found.push((format!("repetition_{name}"), deviation_of(&each)));
    }
    found.push(("clarity_bass".to_owned(), highest(bass, 8..48)));
    let period = pulse(all).1 / 0.032;
    for (at, share) in [0.25, 1.0 / 3.0, 0.5, 2.0 / 3.0, 0.75, 2.0].into_iter().enumerate() {
        let lag = (period * share).round() as usize;
        found.push((format!("beat_part_{}", at + 1), repeats(all, lag)));
    }
    let (low, high) = (mean_of(bass), mean_of(treble));
    let both = bass.iter().zip(treble).map(|(bass, treble)| (bass - low) * (treble - high));
    let both = mean_of(&both.collect::<Vec<_>>()) / (deviation_of(bass) * deviation_of(treble));
    let onsets: Vec<f64> = (8..all.len() - 2).filter(|at| is_onset(all, *at)).map(|at| at as f64).collect();
    let mut intervals: Vec<f64> = onsets.windows(2).map(|pair| pair[1] - pair[0]).collect();
    intervals.sort_by(f64::total_cmp);
    let (mean, count) = (mean_of(&intervals), intervals.len());
    let median = 0.5 * (intervals[(count - 1) / 2] + intervals[count / 2]);
    let distances: Vec<f64> = intervals.iter().map(|interval| (interval - median).abs()).collect();
    found.extend(named([
        ("bass_with_treble", both),
        ("interval", mean * 0.032),
        ("interval_scatter", deviation_of(&intervals) / mean),
        ("interval_oddness", mean_of(&distances) / median),
    ]));
    found
}

/// A local maximum (within two hops) that stands 0.8 dB above the mean of the eight before.
fn is_onset(novelty: &[f64], at: usize) -> bool {
    let higher = (at - 2..=at + 2).any(|other| novelty[other] > novelty[at]);
    !higher && novelty[at] > mean_of(&novelty[at - 8..at]) + 0.8
}

/// Onsets a second.
fn onset_rate(novelty: &[f64]) -> f64 {
    let count = (8..novelty.len() - 2).filter(|at| is_onset(novelty, *at)).count();
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
    assert!(text.len() < 150_000, "{} bytes", text.len());
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
    assert!(matches!(changed(" interval_oddness", ""), ModelError::Feature { at, .. } if at == FEATURES - 1));
    assert!(matches!(
        changed(" interval_oddness", " interval_oddness more"),
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

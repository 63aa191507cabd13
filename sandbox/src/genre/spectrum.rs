//! One hop's features: 1,024 samples under a Hann window, every 512 samples, and what their spectrum says.

use std::f32::consts::PI;
use std::sync::{Arc, LazyLock};

use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::narrow_band::NARROW_BAND_HZ;
use super::tonal::{Tonal, TonalFeatures};

/// Samples a spectrum is taken of: 64 ms.
pub const WINDOW: usize = 1_024;
/// Samples from one spectrum to the next: 32 ms.
pub const HOP: usize = WINDOW / 2;
/// Mel bands that the cepstrum and the novelty are computed of.
pub const MEL_BANDS: usize = 32;
/// Mel-frequency cepstral coefficients, the first (loudness) left out.
pub const MFCCS: usize = 13;
/// Bands of the spectral contrast.
pub const CONTRAST_BANDS: usize = 6;
/// Their edges: octaves.
pub const CONTRAST_EDGES_HZ: [f32; CONTRAST_BANDS + 1] =
    [125.0, 250.0, 500.0, 1_000.0, 2_000.0, 4_000.0, 7_500.0];
/// Bands of the flatness: those of the contrast, and before them the bass from 47 Hz on.
pub const FLATNESS_BANDS: usize = CONTRAST_BANDS + 1;

pub(super) const BINS: usize = WINDOW / 2 + 1;
pub(super) const BIN_HZ: f32 = NARROW_BAND_HZ as f32 / WINDOW as f32;
/// Where the flatness begins, and what counts as bass: 31 to 156 Hz.
const LOWEST_BIN: usize = 3;
const BASS_BINS: std::ops::Range<usize> = 2..10;
/// Mel bands of the bass's and of the treble's novelty: to 390 Hz, and from 2.8 kHz on.
const BASS_BANDS: std::ops::Range<usize> = 0..5;
const TREBLE_BANDS: std::ops::Range<usize> = 22..MEL_BANDS;
/// From the lowest bass to just below the pass band's end.
const MEL_RANGE_HZ: (f32, f32) = (60.0, 7_300.0);
/// Pitches that harmonicity looks for, 60 to 500 Hz, as lags.
const LAGS: std::ops::RangeInclusive<usize> = 32..=266;
/// A mel band counts down to this far below the loudest of late: 60 dB. Less is codec noise, or no band at all.
const FLOOR: f32 = 1e-6;
/// The loudest of late is forgotten with a time constant of 100 hops, 3.2 s.
const FORGET: f32 = 0.99;
/// Far below the softest sound that counts.
const TINY: f32 = 1e-20;

/// What the spectrum of one hop says.
///
/// `M(k)` are the magnitudes and `P(k)` the powers of its bins, the constant left out.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FrameFeatures {
    /// Mean power of the window's new half, dBFS.
    pub level_db: f32,
    /// The magnitudes' centre of gravity, `sum f M / sum M` (Tzanetakis and Cook 2002, eq. 1).
    pub centroid_hz: f32,
    /// Where 85 % of the power lie below.
    pub roll_off_hz: f32,
    /// Distance of the spectrum from the last one, both normalised: `|M/|M| - M'/|M'||` (Tzanetakis and Cook 2002,
    /// eq. 3, its root). From 0, the same, to about 1.4, nothing in common.
    pub flux: f32,
    /// The highest peak of the autocorrelation for pitches from 60 to 500 Hz, `r(t) r_w(0) / (r(0) r_w(t))` with the window's
    /// own autocorrelation `r_w` (Boersma 1993, eq. 9): 1 for a periodic sound, near 0 for noise.
    pub harmonicity: f32,
    /// How much louder the mel bands became since the last hop, dB: the mean of the rises.
    pub novelty_db: f32,
    /// How far the strongest bin of each octave stands out of the octave's mean power, dB (after Jiang et al. 2002).
    pub contrast_db: [f32; CONTRAST_BANDS],
    /// Mel-frequency cepstrum, coefficients 1 to 13: orthonormal DCT-II of the mel bands' natural logarithms.
    pub mfcc: [f32; MFCCS],
    /// Power from 31 to 156 Hz, dB of the whole.
    pub bass_db: f32,
    /// The novelty of the lowest five mel bands.
    pub novelty_bass_db: f32,
    /// The novelty of the highest ten mel bands.
    pub novelty_treble_db: f32,
    /// How near to noise each octave is: its powers' geometric by their arithmetic mean, dB (Johnston 1988, eq. 5). 0 for a flat
    /// spectrum, lower for tones.
    pub flatness_db: [f32; FLATNESS_BANDS],
    /// What the peaks of the spectrum say.
    pub tonal: TonalFeatures,
    /// The mel bands' levels, dB, not below 60 dB under the loudest of late.
    pub mel_db: [f32; MEL_BANDS],
}

/// What depends on nothing, shared by all.
struct Tables {
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    window: [f32; WINDOW],
    /// `r_w(0) / r_w(t)` over `LAGS`.
    window_correction: Vec<f32>,
    /// First bin and weights of each mel band.
    mel: Vec<(usize, Vec<f32>)>,
    cosines: [[f32; MEL_BANDS]; MFCCS],
    contrast: [(usize, usize); CONTRAST_BANDS],
    flatness: [(usize, usize); FLATNESS_BANDS],
}

static TABLES: LazyLock<Tables> = LazyLock::new(Tables::new);

impl Tables {
    fn new() -> Self {
        let mut planner = RealFftPlanner::<f32>::new();
        let (forward, inverse) = (planner.plan_fft_forward(WINDOW), planner.plan_fft_inverse(WINDOW));
        let window: [f32; WINDOW] =
            std::array::from_fn(|at| 0.5 - 0.5 * (2.0 * PI * at as f32 / WINDOW as f32).cos());
        let correlation =
            |lag: usize| -> f32 { (0..WINDOW).map(|at| window[at] * window[(at + lag) % WINDOW]).sum() };
        let window_correction = LAGS.map(|lag| correlation(0) / correlation(lag)).collect();
        let cosines = std::array::from_fn(|row| {
            let order = (row + 1) as f32;
            std::array::from_fn(|band| {
                (2.0 / MEL_BANDS as f32).sqrt() * (PI / MEL_BANDS as f32 * (band as f32 + 0.5) * order).cos()
            })
        });
        let bin = |hz: f32| (hz / BIN_HZ).round() as usize;
        let contrast: [_; CONTRAST_BANDS] =
            std::array::from_fn(|band| (bin(CONTRAST_EDGES_HZ[band]), bin(CONTRAST_EDGES_HZ[band + 1])));
        let flatness =
            std::array::from_fn(
                |band| if band == 0 { (LOWEST_BIN, contrast[0].0) } else { contrast[band - 1] },
            );
        Self { forward, inverse, window, window_correction, mel: mel_bands(), cosines, contrast, flatness }
    }
}

/// Triangles of the same width in mel, `2595 lg(1 + f/700)`, each reaching 1 in its middle (O'Shaughnessy 1987; Young et
/// al., The HTK Book, section 5.4).
fn mel_bands() -> Vec<(usize, Vec<f32>)> {
    let mel = |hz: f32| 2_595.0 * (1.0 + hz / 700.0).log10();
    let (low, high) = (mel(MEL_RANGE_HZ.0), mel(MEL_RANGE_HZ.1));
    let width = (high - low) / (MEL_BANDS + 1) as f32;
    (0..MEL_BANDS)
        .map(|band| {
            let centre = low + width * (band + 1) as f32;
            let weight = |bin: usize| (1.0 - (mel(bin as f32 * BIN_HZ) - centre).abs() / width).max(0.0);
            // low bands are narrower than a bin: such a band takes the bin nearest to its middle
            let nearest = (1..BINS).max_by(|a, b| weight(*a).total_cmp(&weight(*b))).unwrap_or(1);
            let first = (1..BINS).find(|bin| weight(*bin) > 0.0).unwrap_or(nearest);
            let last = (1..BINS).rfind(|bin| weight(*bin) > 0.0).unwrap_or(nearest);
            // whole vectors; the zeros at the end touch nothing
            let length = (last + 1 - first).next_multiple_of(8).min(BINS - first);
            let weights: Vec<f32> = (first..first + length).map(weight).collect();
            (first, weights)
        })
        .collect()
}

/// The last window, the last spectrum, and room to work in.
pub(super) struct Spectrum {
    samples: Box<[f32; WINDOW]>,
    /// New samples in the second half of `samples`.
    filled: usize,
    magnitudes: Box<[f32; BINS]>,
    /// Their Euclidean length.
    norm: f32,
    mel_db: [f32; MEL_BANDS],
    loudest: f32,
    hops: u64,
    tonal: Tonal,
    windowed: Box<[f32; WINDOW]>,
    bins: Box<[Complex32; BINS]>,
    scratch: Vec<Complex32>,
}

impl Spectrum {
    pub(super) fn new() -> Self {
        let scratch = TABLES.forward.get_scratch_len().max(TABLES.inverse.get_scratch_len());
        Self {
            samples: Box::new([0.0; WINDOW]),
            filled: 0,
            magnitudes: Box::new([0.0; BINS]),
            norm: 0.0,
            mel_db: [0.0; MEL_BANDS],
            loudest: 0.0,
            hops: 0,
            tonal: Tonal::new(),
            windowed: Box::new([0.0; WINDOW]),
            bins: Box::new([Complex32::default(); BINS]),
            scratch: vec![Complex32::default(); scratch],
        }
    }

    pub(super) fn start(&mut self) {
        self.samples.fill(0.0);
        self.filled = 0;
        self.magnitudes.fill(0.0);
        self.norm = 0.0;
        self.mel_db = [0.0; MEL_BANDS];
        self.loudest = 0.0;
        self.hops = 0;
        self.tonal.start();
    }

    /// Takes samples up to the end of the hop; true when that is reached, and the hop is to be looked at or skipped.
    pub(super) fn push(&mut self, samples: &mut &[f32]) -> bool {
        let (now, later) = samples.split_at(samples.len().min(HOP - self.filled));
        self.samples[HOP + self.filled..][..now.len()].copy_from_slice(now);
        self.filled += now.len();
        *samples = later;
        self.filled == HOP
    }

    /// Mean power of the hop's new samples, dBFS.
    pub(super) fn level_db(&self) -> f32 {
        let mut sums = [0.0_f32; 8];
        for eight in self.samples[HOP..].chunks_exact(8) {
            for lane in 0..8 {
                sums[lane] += eight[lane] * eight[lane];
            }
        }
        10.0 * (sums.iter().sum::<f32>() / HOP as f32).max(TINY).log10()
    }

    /// Makes room for the next hop.
    pub(super) fn advance(&mut self) {
        self.samples.copy_within(HOP.., 0);
        self.filled = 0;
    }

    /// The features of the window as it is.
    pub(super) fn analyse(&mut self, level_db: f32) -> FrameFeatures {
        let tables = &*TABLES;
        for ((out, sample), weight) in self.windowed.iter_mut().zip(&*self.samples).zip(&tables.window) {
            *out = sample * weight;
        }
        let done =
            tables.forward.process_with_scratch(&mut *self.windowed, &mut *self.bins, &mut self.scratch);
        debug_assert!(done.is_ok(), "all buffers have the plan's lengths");
        let mut powers = [0.0_f32; BINS];
        for (power, bin) in powers.iter_mut().zip(&*self.bins).skip(1) {
            *power = bin.re * bin.re + bin.im * bin.im;
        }
        let total = sum(&powers).max(TINY);
        let (centroid_hz, flux) = self.centroid_and_flux(&powers, total);
        let mut features = FrameFeatures {
            level_db,
            centroid_hz,
            roll_off_hz: roll_off_hz(&powers, total),
            flux,
            harmonicity: self.harmonicity(&powers),
            contrast_db: tables.contrast.map(|(from, to)| contrast_db(&powers[from..to], total)),
            bass_db: 10.0 * (powers[BASS_BINS].iter().sum::<f32>() / total + FLOOR).log10(),
            flatness_db: tables.flatness.map(|(from, to)| flatness_db(&powers[from..to], total)),
            tonal: self.tonal.analyse(&self.magnitudes),
            ..FrameFeatures::default()
        };
        self.mel(&powers, &mut features);
        self.hops += 1;
        features
    }

    fn centroid_and_flux(&mut self, powers: &[f32; BINS], total: f32) -> (f32, f32) {
        let norm = total.sqrt();
        let (mut sums, mut moments, mut products) = ([0.0_f32; 8], [0.0_f32; 8], [0.0_f32; 8]);
        // the last bin, half of the sampling rate, is empty after the band limit
        for (block, (last, powers)) in
            self.magnitudes.chunks_exact_mut(8).zip(powers.chunks_exact(8)).enumerate()
        {
            for lane in 0..8 {
                let now = powers[lane].sqrt();
                sums[lane] += now;
                moments[lane] += now * (block * 8 + lane) as f32;
                products[lane] += now * last[lane];
                last[lane] = now;
            }
        }
        let magnitudes = sums.iter().sum::<f32>().max(TINY);
        let centroid_hz = moments.iter().sum::<f32>() / magnitudes * BIN_HZ;
        // |a/|a| - b/|b||^2 = 2 - 2ab/(|a||b|)
        let flux = if self.hops == 0 {
            0.0
        } else {
            let likeness = products.iter().sum::<f32>() / (norm * self.norm).max(TINY);
            (2.0 - 2.0 * likeness).max(0.0).sqrt()
        };
        self.norm = norm;
        (centroid_hz, flux)
    }

    fn harmonicity(&mut self, powers: &[f32; BINS]) -> f32 {
        let tables = &*TABLES;
        for (bin, power) in self.bins.iter_mut().zip(powers) {
            *bin = Complex32::new(*power, 0.0);
        }
        let done =
            tables.inverse.process_with_scratch(&mut *self.bins, &mut *self.windowed, &mut self.scratch);
        debug_assert!(done.is_ok(), "all buffers have the plan's lengths, and the ends are real");
        let correlation = &*self.windowed;
        let first = *LAGS.start();
        let mut best = 0.0_f32;
        for lag in LAGS {
            let here = correlation[lag];
            if here > best * correlation[0] * 0.5
                && here > correlation[lag - 1]
                && here >= correlation[lag + 1]
            {
                best = best.max(here / correlation[0].max(TINY) * tables.window_correction[lag - first]);
            }
        }
        best.min(1.0)
    }

    fn mel(&mut self, powers: &[f32; BINS], features: &mut FrameFeatures) {
        let mut energies = [0.0_f32; MEL_BANDS];
        for (energy, (first, weights)) in energies.iter_mut().zip(&TABLES.mel) {
            *energy = dot(weights, &powers[*first..*first + weights.len()]);
        }
        self.loudest =
            energies.iter().fold((self.loudest * FORGET).max(TINY), |most, energy| most.max(*energy));
        let floor = self.loudest * FLOOR;
        let logs = energies.map(|energy| (energy + floor).ln());
        for (coefficient, cosines) in features.mfcc.iter_mut().zip(&TABLES.cosines) {
            *coefficient = logs.iter().zip(cosines).map(|(log, cosine)| log * cosine).sum();
        }
        // 10 lg x = 4.34 ln x
        let mel_db = logs.map(|log| 10.0 * std::f32::consts::LOG10_E * log);
        if self.hops > 0 {
            let rises: [f32; MEL_BANDS] =
                std::array::from_fn(|band| (mel_db[band] - self.mel_db[band]).max(0.0));
            let mean = |rises: &[f32]| rises.iter().sum::<f32>() / rises.len() as f32;
            features.novelty_db = mean(&rises);
            features.novelty_bass_db = mean(&rises[BASS_BANDS]);
            features.novelty_treble_db = mean(&rises[TREBLE_BANDS]);
        }
        features.mel_db = mel_db;
        self.mel_db = mel_db;
    }
}

/// Eight sums side by side, which the compiler keeps in vector registers.
fn dot(left: &[f32], right: &[f32]) -> f32 {
    let (mut sums, whole) = ([0.0_f32; 8], left.len() / 8 * 8);
    for (left, right) in left.chunks_exact(8).zip(right.chunks_exact(8)) {
        for lane in 0..8 {
            sums[lane] += left[lane] * right[lane];
        }
    }
    let rest: f32 = left[whole..].iter().zip(&right[whole..]).map(|(left, right)| left * right).sum();
    sums.iter().sum::<f32>() + rest
}

fn sum(values: &[f32; BINS]) -> f32 {
    let mut sums = [0.0_f32; 8];
    for eight in values.chunks_exact(8) {
        for lane in 0..8 {
            sums[lane] += eight[lane];
        }
    }
    sums.iter().sum::<f32>() + values[BINS - 1]
}

fn roll_off_hz(powers: &[f32; BINS], total: f32) -> f32 {
    let mut left = 0.85 * total;
    for (block, sixteen) in powers.chunks(16).enumerate() {
        let power: f32 = sixteen.iter().sum();
        if power >= left {
            for (at, power) in sixteen.iter().enumerate() {
                left -= power;
                if left <= 0.0 {
                    return (block * 16 + at) as f32 * BIN_HZ;
                }
            }
        } else {
            left -= power;
        }
    }
    (BINS - 1) as f32 * BIN_HZ
}

/// An octave without sound (60 dB below the whole) has no contrast.
fn contrast_db(powers: &[f32], total: f32) -> f32 {
    let floor = total * FLOOR / powers.len() as f32;
    let mean = powers.iter().sum::<f32>() / powers.len() as f32 + floor;
    let most = powers.iter().fold(0.0_f32, |most, power| most.max(*power)) + floor;
    10.0 * (most / mean).log10()
}

/// An octave without sound is as flat as the floor that is put under it.
fn flatness_db(powers: &[f32], total: f32) -> f32 {
    let floor = total * FLOOR / powers.len() as f32;
    let scale = 1.0 / (powers.iter().sum::<f32>() / powers.len() as f32 + floor);
    // log2 of a product by its exponents and mantissas: no part is below a millionth, so the product of six is normal, and of
    // up to 40 mantissas between 1 and 2 it is finite
    let (mut exponents, mut mantissas) = (0_i32, 1.0_f32);
    for six in powers.chunks(6) {
        let bits = six.iter().map(|power| (power + floor) * scale).product::<f32>().to_bits();
        exponents += (bits >> 23) as i32 - 127;
        mantissas *= f32::from_bits((bits & 0x007F_FFFF) | 0x3F80_0000);
    }
    let logs = exponents as f32 + mantissas.log2();
    10.0 * std::f32::consts::LOG10_2 * logs / powers.len() as f32
}

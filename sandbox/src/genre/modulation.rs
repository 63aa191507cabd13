//! How loudness swings in bands of the last seconds: syllables at some 4 Hz, a beat, a pad's slow waves.

use std::f32::consts::PI;
use std::sync::{Arc, LazyLock};

use realfft::num_complex::Complex32;
use realfft::{RealFftPlanner, RealToComplex};

use super::spectrum::MEL_BANDS;
use super::statistics::WINDOW_HOPS;

/// Four mel bands each.
pub(super) const GROUPS: usize = 8;
/// Octaves of the modulation, 0.49 to 1, 2, 4, 8 and 15.6 Hz, as bins of 0.244 Hz.
const OCTAVES: [std::ops::Range<usize>; 5] = [2..5, 5..9, 9..17, 17..33, 33..65];
/// Modulation features.
pub(super) const MODULATIONS: usize = OCTAVES.len() * (GROUPS + 1);
const BINS: usize = WINDOW_HOPS / 2 + 1;
/// Less swing than this (square dB) is no swing.
const FLOOR: f32 = 0.5;

static FORWARD: LazyLock<Arc<dyn RealToComplex<f32>>> =
    LazyLock::new(|| RealFftPlanner::<f32>::new().plan_fft_forward(WINDOW_HOPS));

/// The mean level of each group.
pub(super) fn grouped(mel_db: &[f32; MEL_BANDS]) -> [f32; GROUPS] {
    const EACH: usize = MEL_BANDS / GROUPS;
    std::array::from_fn(|group| mel_db[group * EACH..(group + 1) * EACH].iter().sum::<f32>() / EACH as f32)
}

pub(super) fn names() -> impl Iterator<Item = String> {
    let each = |group: String| (1..=OCTAVES.len()).map(move |octave| format!("modulation_{group}_{octave}"));
    (1..=GROUPS).map(|group| group.to_string()).chain(["all".to_owned()]).flat_map(each)
}

/// Room to work in.
pub(super) struct Modulation {
    scratch: Vec<Complex32>,
}

impl Modulation {
    pub(super) fn new() -> Self {
        Self { scratch: vec![Complex32::default(); FORWARD.get_scratch_len()] }
    }

    /// Of the groups' levels hop by hop: for each group, the natural logarithm of the power spectrum's sum over each octave (its
    /// mean taken away, Hann window, after Greenberg and Kingsbury 1997, "The modulation spectrogram"); then the same for the
    /// mean of the groups, divided by the groups' mean: near 0 where all bands swing together.
    pub(super) fn write(&mut self, levels: &[[f32; GROUPS]], out: &mut [f32]) {
        let hops = levels.len();
        let share = 1.0 / hops as f32;
        let mut window = [0.0_f32; WINDOW_HOPS];
        let mut squares = 0.0;
        for (at, weight) in window[..hops].iter_mut().enumerate() {
            *weight = 0.5 - 0.5 * (2.0 * PI * at as f32 * share).cos();
            squares += *weight * *weight;
        }
        let mut means = [0.0_f32; GROUPS];
        for level in levels {
            for group in 0..GROUPS {
                means[group] += share * level[group];
            }
        }
        let mut together = [Complex32::default(); BINS];
        let mut of_groups = [0.0_f32; OCTAVES.len()];
        for group in 0..GROUPS {
            let mut swing = [0.0_f32; WINDOW_HOPS];
            for (swing, (level, weight)) in swing.iter_mut().zip(levels.iter().zip(&window)) {
                *swing = (level[group] - means[group]) * weight;
            }
            let mut spectrum = [Complex32::default(); BINS];
            let done = FORWARD.process_with_scratch(&mut swing, &mut spectrum, &mut self.scratch);
            debug_assert!(done.is_ok(), "all buffers have the plan's lengths");
            for (sum, bin) in together.iter_mut().zip(&spectrum) {
                *sum += bin / GROUPS as f32;
            }
            for (octave, bins) in OCTAVES.into_iter().enumerate() {
                let power = power(&spectrum[bins]) / squares;
                of_groups[octave] += power / GROUPS as f32;
                out[group * OCTAVES.len() + octave] = (power + FLOOR).ln();
            }
        }
        for (octave, bins) in OCTAVES.into_iter().enumerate() {
            let power = power(&together[bins]) / squares;
            out[GROUPS * OCTAVES.len() + octave] = ((power + FLOOR) / (of_groups[octave] + FLOOR)).ln();
        }
    }
}

fn power(bins: &[Complex32]) -> f32 {
    bins.iter().map(Complex32::norm_sqr).sum()
}

//! Whole-number changes of rate between a session and the de-noiser's 48 kHz: linear phase, in whole frames.
//!
//! Both directions share one low-pass, a windowed sinc whose -6 dB point is the lower Nyquist frequency (an L-th band
//! filter: every L-th tap but the middle one is 0): flat to 90 % of the lower Nyquist frequency, and more than 80 dB
//! down from 110 % on. Kaiser's window and his formula for its length: Oppenheim and Schafer, *Discrete-Time Signal
//! Processing*, 3rd ed., section 7.5.3.
//!
//! The [`Resampler`](crate::resample::Resampler) of streams would serve too, but its stop band begins at 100 %, so its delay is
//! twice as long: 13.3 ms instead of 6.8 ms there and back at 8 kHz. Here the upper tenth of the band may hold an image of
//! what lies just above: the way back takes it away again.

use std::sync::LazyLock;

use crate::filter::windowed_sinc::{kaiser, sinc};

/// Samples of the lower rate by which each direction lags behind.
pub(super) const FILTER_DELAY: usize = 27;

const LARGEST_FACTOR: usize = 6;
/// The longest frame of the lower rate (48 kHz of 96 kHz, or 24 kHz of 48 kHz).
const LONGEST_LOW_FRAME: usize = 480;
/// The longest frame of the higher rate.
const LONGEST_HIGH_FRAME: usize = 960;
/// Taps that one output sample of the interpolator sees: the filter's span on both sides, and one 0 to make whole vectors.
const BRANCH_TAPS: usize = 2 * FILTER_DELAY + 2;
const LANES: usize = 8;
/// Kaiser's beta for 85 dB: 0.1102 (85 - 8.7), equation 7.75.
const KAISER_BETA: f64 = 8.4;

/// From the lower rate to the higher one.
pub(super) struct Interpolator {
    factor: usize,
    /// The last `BRANCH_TAPS - 1` samples of the frames before, then a frame.
    low: [f32; BRANCH_TAPS - 1 + LONGEST_LOW_FRAME],
}

impl Interpolator {
    pub(super) fn new() -> Self {
        Self { factor: 2, low: [0.0; BRANCH_TAPS - 1 + LONGEST_LOW_FRAME] }
    }

    pub(super) fn start(&mut self, factor: usize) {
        self.factor = factor;
        self.low.fill(0.0);
    }

    /// Makes `factor` samples in `high` from each in `low`.
    pub(super) fn process(&mut self, low: &[f32], high: &mut [f32]) {
        const PAST: usize = BRANCH_TAPS - 1;
        let filter = &filters()[self.factor];
        self.low[PAST..PAST + low.len()].copy_from_slice(low);
        for (seen, made) in self.low.windows(BRANCH_TAPS).zip(high.chunks_exact_mut(self.factor)) {
            for (sample, branch) in made.iter_mut().zip(&filter.branches) {
                *sample = dot(seen, branch);
            }
        }
        self.low.copy_within(low.len()..low.len() + PAST, 0);
    }
}

/// From the higher rate to the lower one.
pub(super) struct Decimator {
    factor: usize,
    /// The samples of the frames before that the filter still sees, then a frame.
    high: [f32; BRANCH_TAPS * LARGEST_FACTOR + LONGEST_HIGH_FRAME],
}

impl Decimator {
    pub(super) fn new() -> Self {
        Self { factor: 2, high: [0.0; BRANCH_TAPS * LARGEST_FACTOR + LONGEST_HIGH_FRAME] }
    }

    pub(super) fn start(&mut self, factor: usize) {
        self.factor = factor;
        self.high.fill(0.0);
    }

    /// Makes one sample in `low` from `factor` in `high`.
    pub(super) fn process(&mut self, high: &[f32], low: &mut [f32]) {
        let taps = &filters()[self.factor].whole[..BRANCH_TAPS * self.factor];
        let past = taps.len() - 1;
        self.high[past..past + high.len()].copy_from_slice(high);
        for (index, sample) in low.iter_mut().enumerate() {
            *sample = dot(&self.high[index * self.factor..][..taps.len()], taps);
        }
        self.high.copy_within(high.len()..high.len() + past, 0);
    }
}

/// The low-pass for one factor, in the order in which the past lies in memory: the oldest sample's tap first.
#[derive(Clone, Copy)]
struct Filter {
    /// What makes each of the `factor` samples of the higher rate. The gaps between samples of the lower one hold 0,
    /// so each sees every `factor`-th tap only.
    branches: [[f32; BRANCH_TAPS]; LARGEST_FACTOR],
    /// All taps, divided by the factor.
    whole: [f32; BRANCH_TAPS * LARGEST_FACTOR],
}

/// By factor; those that no rate needs are there but never used.
fn filters() -> &'static [Filter; LARGEST_FACTOR + 1] {
    static FILTERS: LazyLock<[Filter; LARGEST_FACTOR + 1]> =
        LazyLock::new(|| std::array::from_fn(|factor| Filter::new(factor.max(1))));
    &FILTERS
}

impl Filter {
    fn new(factor: usize) -> Self {
        let mut filter = Self {
            branches: [[0.0; BRANCH_TAPS]; LARGEST_FACTOR],
            whole: [0.0; BRANCH_TAPS * LARGEST_FACTOR],
        };
        let middle = (FILTER_DELAY * factor) as f64;
        // The filter has 2 * middle + 1 taps; the rest up to whole branches stays 0.
        for lag in 0..=2 * FILTER_DELAY * factor {
            let time = (lag as f64 - middle) / factor as f64;
            let tap = sinc(time) * kaiser((lag as f64 - middle) / middle, KAISER_BETA);
            filter.branches[lag % factor][BRANCH_TAPS - 1 - lag / factor] = tap as f32;
            filter.whole[BRANCH_TAPS * factor - 1 - lag] = (tap / factor as f64) as f32;
        }
        filter
    }
}

/// Sums in lanes, the same way whatever the machine. Both have the same length, a multiple of [`LANES`].
#[inline]
fn dot(samples: &[f32], taps: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    for (samples, taps) in samples.chunks_exact(LANES).zip(taps.chunks_exact(LANES)) {
        for lane in 0..LANES {
            sums[lane] += samples[lane] * taps[lane];
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + e) + (b + f)) + ((c + g) + (d + h))
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;

    /// Magnitude of the low-pass at a multiple of the lower Nyquist frequency, by the definition of the transform.
    fn gain_db(filter: &Filter, factor: usize, frequency: f64) -> f64 {
        let (re, im) = filter.whole.iter().enumerate().fold((0.0, 0.0), |(re, im), (index, tap)| {
            let angle = PI * frequency / factor as f64 * index as f64;
            (re + f64::from(*tap) * angle.cos(), im + f64::from(*tap) * angle.sin())
        });
        20.0 * re.hypot(im).log10()
    }

    #[test]
    fn flat_to_90_percent_of_the_lower_nyquist_frequency_and_80_db_down_from_110() {
        for factor in [2, 3, 4, 6] {
            let filter = Filter::new(factor);
            let passed = (0..=900).map(|step| gain_db(&filter, factor, f64::from(step) * 1e-3).abs());
            let stopped =
                (1_100..=factor as u32 * 1_000).map(|step| gain_db(&filter, factor, f64::from(step) * 1e-3));
            let (ripple, leak) = (passed.fold(0.0, f64::max), stopped.fold(f64::MIN, f64::max));
            println!("factor {factor}: ripple {ripple:.4} dB, leak {leak:.1} dB");
            assert!(ripple < 0.01, "factor {factor}: ripple {ripple} dB");
            assert!(leak < -80.0, "factor {factor}: leak {leak} dB");
        }
    }

    #[test]
    fn there_and_back_is_the_signal_late_by_twice_the_delay() {
        for factor in [2, 3, 4, 6] {
            let (mut up, mut down) = (Interpolator::new(), Decimator::new());
            up.start(factor);
            down.start(factor);
            let signal: Vec<f32> = (0..4_800).map(|index| (index as f32 * 1.3).sin()).collect();
            let out: Vec<f32> = signal
                .chunks(80)
                .flat_map(|frame| {
                    let (mut high, mut low) = (vec![0.0; 80 * factor], vec![0.0; 80]);
                    up.process(frame, &mut high);
                    down.process(&high, &mut low);
                    low
                })
                .collect();
            for (index, expected) in signal.iter().enumerate().skip(200).take(4_000) {
                assert!(
                    (out[index + 2 * FILTER_DELAY] - expected).abs() < 1e-3,
                    "factor {factor}, sample {index}"
                );
            }
        }
    }
}

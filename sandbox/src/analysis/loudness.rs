//! Loudness as EBU R 128 measures it: momentary, short-term and integrated loudness, and the loudness range.
//!
//! ```text
//!  samples -> K-weighting -> power, all channels -> sums over 10 ms -+-> last 400 ms -> momentary
//!                                                                    +-> last 3 s ----> short-term -> histogram -> range
//!                                                                    `-> 400 ms every 100 ms -> histogram -> integrated
//! ```
//!
//! After ITU-R BS.1770-4 (weighting, sum, gates), EBU Tech 3341 (the three time scales) and Tech 3342 (range). A single
//! channel counts once, as BS.1770 has it: the same voice as two equal channels is 3 dB louder. Loudness is in LUFS,
//! which is LKFS; a 997 Hz sine of full scale in one channel is -3.01 LUFS.
//!
//! The `ebur128` crate measures the same, and the tests hold this against it. It is not used here for it keeps every
//! weighted sample of the last 3 s as `f64` (1.2 MB at 48 kHz mono), and allocates when the rate changes. Kept here are
//! sums over 10 ms (the steps of EBU's test signals are multiples of them), and histograms in steps of 0.2 LU, which
//! have the same size after a minute and after a year.

use super::k_weighting::{KWeighting, KWeightingState};
use crate::level::SILENCE_DB;
use crate::Stream;

/// Sums a second.
const SUMS_PER_SECOND: u64 = 100;
/// 400 ms: momentary loudness, and the gating block.
const MOMENTARY_SUMS: usize = 40;
/// 3 s: short-term loudness.
const SHORT_TERM_SUMS: usize = 300;
/// Gating blocks overlap by 75 %, and the range takes a look 10 times a second.
const SUMS_BETWEEN_BLOCKS: u64 = 10;

/// Blocks quieter than this never count (the absolute gate).
const ABSOLUTE_GATE_LUFS: f64 = -70.0;
/// Nor do those that lie further than this below the mean of the others.
const RELATIVE_GATE_LU: f64 = -10.0;
/// The same for the loudness range.
const RANGE_GATE_LU: f64 = -20.0;

const BINS_PER_LU: f64 = 5.0;
/// From the absolute gate up to +10 LUFS; what is louder counts in the last one.
const BINS: usize = 400;

/// Measures loudness.
#[derive(Debug, Clone)]
pub struct Loudness {
    stream: Stream,
    weighting: KWeighting,
    filter: KWeightingState,
    /// Sample frames that were seen since the start.
    frames: u64,
    /// Sums that are complete.
    sums: u64,
    /// The sample frame with which the sum in the making ends.
    sum_end: u64,
    /// Energies of the last 3 s, each at its number modulo the length.
    recent: Box<[f64; SHORT_TERM_SUMS]>,
    blocks: Box<Histogram>,
    short_terms: Box<Histogram>,
}

impl Loudness {
    /// A meter at the beginning of `stream`.
    pub fn new(stream: Stream) -> Loudness {
        Loudness {
            stream,
            weighting: KWeighting::new(stream.sample_rate_hz),
            filter: Default::default(),
            frames: 0,
            sums: 0,
            sum_end: sum_end(0, stream),
            recent: Box::new([0.0; SHORT_TERM_SUMS]),
            blocks: Box::default(),
            short_terms: Box::default(),
        }
    }

    /// Forgets everything, and begins with `stream`.
    pub fn start(&mut self, stream: Stream) {
        if stream.sample_rate_hz != self.stream.sample_rate_hz {
            self.weighting = KWeighting::new(stream.sample_rate_hz);
        }
        self.stream = stream;
        self.filter = Default::default();
        (self.frames, self.sums, self.sum_end) = (0, 0, sum_end(0, stream));
        self.recent.fill(0.0);
        self.blocks.clear();
        self.short_terms.clear();
    }

    /// Listens to whole sample frames.
    pub fn process(&mut self, mut block: &[f32]) {
        while !block.is_empty() {
            let room = (self.sum_end - self.frames) as usize * self.stream.channels;
            let (part, rest) = block.split_at(room.min(block.len()));
            match self.stream.channels {
                1 => self.filter.process::<1>(&self.weighting, part),
                _ => self.filter.process::<2>(&self.weighting, part),
            }
            self.frames += (part.len() / self.stream.channels) as u64;
            if self.frames == self.sum_end {
                self.finish_sum();
            }
            block = rest;
        }
    }

    /// Loudness of the last 400 ms, renewed every 10 ms. What lies before the start counts as silence. Never below
    /// [`SILENCE_DB`], which stands for silence.
    pub fn momentary_lufs(&self) -> f32 {
        displayed(self.energy_of_last(MOMENTARY_SUMS))
    }

    /// Loudness of the last 3 s, likewise.
    pub fn short_term_lufs(&self) -> f32 {
        displayed(self.energy_of_last(SHORT_TERM_SUMS))
    }

    /// Loudness of all since the start, both gates applied. `None` as long as no 400 ms were louder than -70 LUFS.
    pub fn integrated_lufs(&self) -> Option<f32> {
        let gated = self.blocks.mean_above(RELATIVE_GATE_LU);
        gated.map(|energy| lufs(energy) as f32)
    }

    /// How far apart, in LU, the quiet and the loud passages since the start lie: from the 10th to the 95th percentile of
    /// the short-term loudness, after its gates. 0 before there is any. It settles within the first minute.
    pub fn range_lu(&self) -> f32 {
        self.short_terms.spread(RANGE_GATE_LU, 0.10, 0.95) as f32
    }

    fn finish_sum(&mut self) {
        self.recent[(self.sums % SHORT_TERM_SUMS as u64) as usize] = self.filter.take_energy();
        self.sums += 1;
        self.sum_end = sum_end(self.sums, self.stream);
        if self.sums.is_multiple_of(SUMS_BETWEEN_BLOCKS) {
            if self.sums >= MOMENTARY_SUMS as u64 {
                self.blocks.add(self.energy_of_last(MOMENTARY_SUMS));
            }
            if self.sums >= SHORT_TERM_SUMS as u64 {
                self.short_terms.add(self.energy_of_last(SHORT_TERM_SUMS));
            }
        }
    }

    /// Mean weighted power of the last so many sums, the oldest first.
    fn energy_of_last(&self, sums: usize) -> f64 {
        let end = (self.sums % SHORT_TERM_SUMS as u64) as usize;
        let total: f64 = if end >= sums {
            self.recent[end - sums..end].iter().sum()
        } else {
            self.recent[SHORT_TERM_SUMS + end - sums..].iter().chain(&self.recent[..end]).sum()
        };
        total * SUMS_PER_SECOND as f64 / (sums as f64 * f64::from(self.stream.sample_rate_hz))
    }
}

/// The sample frame before which the sum of that number ends. Where 10 ms are no whole number of samples, some sums
/// are one longer than others.
fn sum_end(number: u64, stream: Stream) -> u64 {
    (number + 1) * u64::from(stream.sample_rate_hz) / SUMS_PER_SECOND
}

/// BS.1770-4, equation 2; the weight of a channel is 1 for left, right and mono.
fn lufs(energy: f64) -> f64 {
    -0.691 + 10.0 * energy.log10()
}

fn displayed(energy: f64) -> f32 {
    (lufs(energy) as f32).max(SILENCE_DB)
}

/// Energies above the absolute gate, in steps of 0.2 LU.
#[derive(Debug, Clone)]
struct Histogram {
    counts: [u32; BINS],
    /// The sum of the energies in each bin, so that means are exact; only what a gate cuts is rounded to a bin.
    energies: [f64; BINS],
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: [0; BINS], energies: [0.0; BINS] }
    }
}

impl Histogram {
    fn clear(&mut self) {
        self.counts.fill(0);
        self.energies.fill(0.0);
    }

    fn add(&mut self, energy: f64) {
        let above_gate = lufs(energy) - ABSOLUTE_GATE_LUFS;
        if above_gate > 0.0 {
            let bin = ((above_gate * BINS_PER_LU) as usize).min(BINS - 1);
            self.counts[bin] = self.counts[bin].saturating_add(1);
            self.energies[bin] += energy;
        }
    }

    /// The first bin whose mean lies above the gate, which lies so far from the mean of all. `None` when all are empty.
    fn first_above(&self, gate_lu: f64) -> Option<usize> {
        let gate = mean(&self.counts, &self.energies)? * 10f64.powf(gate_lu / 10.0);
        let mut bins = self.counts.iter().zip(&self.energies);
        bins.position(|(count, energy)| *count > 0 && *energy > gate * f64::from(*count))
    }

    fn mean_above(&self, gate_lu: f64) -> Option<f64> {
        let first = self.first_above(gate_lu)?;
        mean(&self.counts[first..], &self.energies[first..])
    }

    /// LU between two quantiles (0 to 1) of what lies above the gate.
    fn spread(&self, gate_lu: f64, low: f64, high: f64) -> f64 {
        let Some(first) = self.first_above(gate_lu) else { return 0.0 };
        let total: u64 = self.counts[first..].iter().map(|count| u64::from(*count)).sum();
        let quantile_lufs = |share: f64| {
            // Tech 3342: the value at index round((n - 1) share) of all in ascending order.
            let index = ((total - 1) as f64 * share).round() as u64;
            let mut before = 0;
            let bin = self.counts[first..].iter().position(|count| {
                before += u64::from(*count);
                before > index
            });
            let bin = first + bin.unwrap_or(BINS - 1 - first);
            lufs(self.energies[bin] / f64::from(self.counts[bin].max(1)))
        };
        quantile_lufs(high) - quantile_lufs(low)
    }
}

fn mean(counts: &[u32], energies: &[f64]) -> Option<f64> {
    let count: u64 = counts.iter().map(|count| u64::from(*count)).sum();
    (count > 0).then(|| energies.iter().sum::<f64>() / count as f64)
}

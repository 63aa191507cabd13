//! How high a signal rises between its samples.
//!
//! Recommendation ITU-R BS.1770-4, annex 2, asks for four-fold oversampling of a signal at 48 kHz. Its own filter has 12
//! taps a phase, and four points a sample can miss 0.7 dB of a tone near half the sample rate. A limiter needs more:
//!
//! * The points half-way between two samples come from a filter of 48 taps, flat to 0.46 of the sample rate; those a
//!   quarter off from one of 8 taps, which is enough, as the signal then has only the lower half of the band.
//! * Where it matters, the top of the parabola through three neighbouring points takes the place of the middle one:
//!   what four points a sample miss falls from 0.69 dB to 0.07 dB at half the sample rate, to 0.01 dB at 0.3 of it.
//!
//! Where the samples around are so low that nothing between them can matter, nothing is computed.

use std::f64::consts::PI;
use std::sync::LazyLock;

use super::level::largest_of;

/// Pairs of taps for the points half-way, and for those a quarter off.
const HALF_PAIRS: usize = 24;
const QUARTER_PAIRS: usize = 4;
/// By how many samples the region that is measured lies behind the newest sample.
pub(crate) const LAG: usize = 32;
/// Samples that are taken at once, at the most.
pub(crate) const LONGEST_GROUP: usize = 32;
/// Samples kept from before a group.
const HISTORY: usize = 64;
/// Groups move through the memory, and back to its beginning when it is full.
const MEMORY: usize = HISTORY + 4 * LONGEST_GROUP;
/// The midpoints reach this far before the region, ...
const EARLIER: usize = 4;
/// ... and this far behind it.
const LATER: usize = 8;
/// cos(pi / 8): the least that four points a sample see of the peak of any tone.
const LEAST_SEEN: f32 = 0.923_8;

static FILTERS: LazyLock<Filters> = LazyLock::new(Filters::design);

/// One channel's meter, for groups of a fixed number of samples.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TruePeak {
    group: usize,
    /// From `from` on: the last [`HISTORY`] samples, and the newest group behind them.
    samples: [f32; MEMORY],
    from: usize,
    /// What lies half-way behind each sample from [`EARLIER`] before the region to [`LATER`] behind it.
    midpoints: [f32; EARLIER + LONGEST_GROUP + LATER],
    /// Whether the midpoints are those of the last group.
    current: bool,
}

impl TruePeak {
    /// For groups of 4, 8, 16 or 32 samples, after silence.
    pub(crate) fn new(group: usize) -> TruePeak {
        TruePeak {
            group,
            samples: [0.0; MEMORY],
            from: 0,
            midpoints: [0.0; EARLIER + LONGEST_GROUP + LATER],
            current: false,
        }
    }

    /// Where the next group is to be written before `measure` is called.
    #[inline]
    pub(crate) fn group(&mut self) -> &mut [f32] {
        &mut self.samples[self.from + HISTORY..][..self.group]
    }

    /// The peak of what lies [`LAG`] samples behind the group, in between as well. Exact where it is above `ceiling`, and
    /// not above `ceiling` where it is not.
    #[inline]
    pub(crate) fn measure(&mut self, ceiling: f32) -> f32 {
        let filters = &*FILTERS;
        let group = self.group;
        let around = largest_of(&self.samples[self.from..][..HISTORY + group]);
        let peak = if around * filters.most_gain <= ceiling {
            self.current = false;
            around
        } else {
            self.interpolate(filters);
            self.peak(filters, ceiling)
        };
        self.from += group;
        if self.from + HISTORY + group > MEMORY {
            self.samples.copy_within(self.from..self.from + HISTORY, 0);
            self.from = 0;
        }
        peak
    }

    fn interpolate(&mut self, filters: &Filters) {
        let (samples, group) = (&self.samples[self.from..], self.group);
        let count = EARLIER + group + LATER;
        let first = if self.current {
            self.midpoints.copy_within(group..count, 0);
            count - group
        } else {
            0
        };
        self.current = true;
        // The first midpoint lies behind the sample EARLIER before the region.
        let origin = HISTORY - LAG - EARLIER;
        for (at, four) in self.midpoints[..count].chunks_exact_mut(4).enumerate().skip(first / 4) {
            let from = origin + 4 * at + 1 - HALF_PAIRS;
            let around: &[f32; 2 * HALF_PAIRS + 3] =
                samples[from..][..2 * HALF_PAIRS + 3].try_into().unwrap_or(&[0.0; 2 * HALF_PAIRS + 3]);
            // Two sums, so that an addition need not wait for the one before it.
            let (mut even, mut odd) = ([0.0f32; 4], [0.0f32; 4]);
            for pair in (0..HALF_PAIRS).step_by(2) {
                for lane in 0..4 {
                    let both = around[HALF_PAIRS - 1 - pair + lane] + around[HALF_PAIRS + pair + lane];
                    even[lane] += filters.half[pair][lane] * both;
                }
                for lane in 0..4 {
                    let both = around[HALF_PAIRS - 2 - pair + lane] + around[HALF_PAIRS + 1 + pair + lane];
                    odd[lane] += filters.half[pair + 1][lane] * both;
                }
            }
            for lane in 0..4 {
                four[lane] = even[lane] + odd[lane];
            }
        }
    }

    fn peak(&self, filters: &Filters, ceiling: f32) -> f32 {
        const LENGTH: usize = LONGEST_GROUP + 4;
        // All begin one sample before the region: the samples, and what lies a quarter, a half and three quarters behind
        // each of them.
        let count = self.group + 4;
        let first = self.from + HISTORY - LAG - 1;
        let samples = &self.samples[first..][..count];
        let halves = &self.midpoints[EARLIER - 1..][..count];
        let (mut first_quarters, mut last_quarters) = ([0.0f32; LENGTH], [0.0f32; LENGTH]);
        let [g0, g1, g2, g3] = filters.quarter;
        for at in (0..count).step_by(4) {
            let x: &[f32; 7] = self.samples[first - 1 + at..][..7].try_into().unwrap_or(&[0.0; 7]);
            let m: &[f32; 8] = self.midpoints[EARLIER - 3 + at..][..8].try_into().unwrap_or(&[0.0; 8]);
            // Four neighbours from `from` on.
            let x = |from: usize| -> [f32; 4] { std::array::from_fn(|lane| x[from + lane]) };
            let m = |from: usize| -> [f32; 4] { std::array::from_fn(|lane| m[from + lane]) };
            let weighted = |tap: f32, one: [f32; 4], other: [f32; 4]| -> [f32; 4] {
                std::array::from_fn(|lane| tap * (one[lane] + other[lane]))
            };
            let sum = |one: [f32; 4], other: [f32; 4]| -> [f32; 4] {
                std::array::from_fn(|lane| one[lane] + other[lane])
            };
            // The midpoints m(2) lie behind the samples x(1).
            let near = sum(weighted(g0, x(1), m(2)), weighted(g1, m(1), x(2)));
            let far = sum(weighted(g2, x(0), m(3)), weighted(g3, m(0), x(3)));
            first_quarters[at..at + 4].copy_from_slice(&sum(near, far));
            let near = sum(weighted(g0, m(2), x(2)), weighted(g1, x(1), m(3)));
            let far = sum(weighted(g2, m(1), x(3)), weighted(g3, x(0), m(4)));
            last_quarters[at..at + 4].copy_from_slice(&sum(near, far));
        }
        let end = 1 + self.group;
        let rows = [samples, &first_quarters, halves, &last_quarters];
        let peak = rows.map(|row| largest_of(&row[1..end])).into_iter().fold(0.0, f32::max);
        if peak * (1.0 / LEAST_SEEN) <= ceiling {
            return peak.min(ceiling);
        }
        let tops = [
            summit(&last_quarters[..end - 1], &samples[1..end], &first_quarters[1..end]),
            summit(&samples[1..end], &first_quarters[1..end], &halves[1..end]),
            summit(&first_quarters[1..end], &halves[1..end], &last_quarters[1..end]),
            summit(&halves[1..end], &last_quarters[1..end], &samples[2..end + 1]),
        ];
        tops.into_iter().fold(peak, f32::max).min(f32::MAX)
    }
}

/// The highest top of the parabolas through three neighbours each, where it lies between the outer ones.
#[inline]
fn summit(left: &[f32], middle: &[f32], right: &[f32]) -> f32 {
    let mut tops = [0.0f32; 4];
    for ((left, middle), right) in left.chunks_exact(4).zip(middle.chunks_exact(4)).zip(right.chunks_exact(4))
    {
        for lane in 0..4 {
            let [left, middle, right] = [left[lane].abs(), middle[lane].abs(), right[lane].abs()];
            // Downwards to both sides.
            let (one, other) = (middle - left, middle - right);
            let least = if one < other { one } else { other };
            let slope = left - right;
            let rise = slope * slope / (8.0 * (one + other));
            let top = middle + if least > 0.0 { rise } else { 0.0 };
            tops[lane] = if top > tops[lane] { top } else { tops[lane] };
        }
    }
    tops.into_iter().fold(0.0, f32::max)
}

/// Windowed sinc filters, symmetric: one coefficient for each pair of taps, from the middle outwards.
#[derive(Debug)]
struct Filters {
    /// Four times each, for four points at once.
    half: [[f32; 4]; HALF_PAIRS],
    quarter: [f32; QUARTER_PAIRS],
    /// The most that any point between samples can be above the largest sample.
    most_gain: f32,
}

impl Filters {
    fn design() -> Filters {
        let half = half_way::<HALF_PAIRS>();
        let quarter = half_way::<QUARTER_PAIRS>();
        let sum = |taps: &[f64]| taps.iter().map(|tap| 2.0 * tap.abs()).sum::<f64>();
        // Of a quarter point: half of its taps lie on samples, half on midpoints.
        let bound = sum(&quarter) / 2.0 * (1.0 + sum(&half));
        let most_gain = sum(&half).max(bound) / f64::from(LEAST_SEEN);
        Filters {
            half: half.map(|tap| [tap as f32; 4]),
            quarter: quarter.map(|tap| tap as f32),
            most_gain: most_gain as f32,
        }
    }
}

/// A filter for the points half-way between samples: sinc times a Kaiser window (J. F. Kaiser, "Nonrecursive digital
/// filter design using the I0-sinh window function", 1974) for 60 dB, scaled to leave a constant as it is.
fn half_way<const PAIRS: usize>() -> [f64; PAIRS] {
    /// 0.1102 (60 - 8.7)
    const BETA: f64 = 5.653;
    let bessel_i0 = |x: f64| {
        let term = |term: &mut f64, k: u32| {
            *term *= (x / 2.0 / f64::from(k)).powi(2);
            Some(*term)
        };
        1.0 + (1..40).scan(1.0, term).sum::<f64>()
    };
    let taps: [f64; PAIRS] = std::array::from_fn(|pair| {
        let away = pair as f64 + 0.5;
        let edge = away / PAIRS as f64;
        (PI * away).sin() / (PI * away) * bessel_i0(BETA * (1.0 - edge * edge).sqrt()) / bessel_i0(BETA)
    });
    let sum: f64 = 2.0 * taps.iter().sum::<f64>();
    taps.map(|tap| tap / sum)
}

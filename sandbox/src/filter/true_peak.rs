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
//! What lies between 0.46 and 0.5 of the sample rate is in no meter's pass band: how high it rises between samples depends
//! on the filter of whoever asks. For white noise two meters differ by 1 dB, and the longer filter always finds more. A
//! limiter that is safe by all of them therefore takes that part of the sound for as high as it can be:
//! [`TruePeak::bound`] adds its envelope to the peak. Turned down by half the sample rate (every other sample negated) it is
//! a low tone, so a point every few samples suffices.
//!
//! Where the samples around are so low that nothing between them can matter, nothing is computed.

use std::sync::LazyLock;

use pulp::{Arch, Simd, WithSimd};

use super::level::largest_of;
use super::windowed_sinc::{kaiser, sinc};

/// Pairs of taps for the points half-way, and for those a quarter off.
const HALF_PAIRS: usize = 24;
const QUARTER_PAIRS: usize = 4;
/// By how many samples the region that is measured lies behind the newest sample.
pub(crate) const LAG: usize = 32;
/// Samples that are taken at once, at the most.
pub(crate) const LONGEST_GROUP: usize = 32;
/// Samples kept from before a group.
const HISTORY: usize = 80;
/// Groups move through the memory, and back to its beginning when it is full.
const MEMORY: usize = HISTORY + 4 * LONGEST_GROUP;
/// The midpoints reach this far before the region, ...
const EARLIER: usize = 4;
/// ... and this far behind it.
const LATER: usize = 8;
/// Taps that tell what lies near half the sample rate, up to a whole vector.
const EDGE_TAPS: usize = 64;
/// -6 dB and less from so far below half the sample rate, as a part of the rate.
const EDGE_WIDTH: f64 = 0.04;
/// By how many samples its envelope is held, at the least.
const EDGE_HELD: usize = 16;
/// How many points of it matter to a group, at the most.
const EDGE_POINTS: usize = 7;
/// What an envelope taken at single points can be too low, and what it is not yet that the tails of a longer filter bring:
/// found by trial with meters of 128 to 256 taps, and with one over the whole signal.
const EDGE_WEIGHT: f32 = 1.2;
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
    /// How much there is near half the sample rate, from [`EDGE_HELD`] before the region to its end.
    edge: [f32; EDGE_POINTS],
    edge_current: bool,
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
            edge: [0.0; EDGE_POINTS],
            edge_current: false,
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
        Arch::new().dispatch(Measure { meter: self, ceiling, bounds: false })
    }

    /// The same, as high as any meter may find it.
    #[inline]
    pub(crate) fn bound(&mut self, ceiling: f32) -> f32 {
        Arch::new().dispatch(Measure { meter: self, ceiling, bounds: true })
    }

    #[inline(always)]
    fn next(&mut self, ceiling: f32, bounds: bool) -> f32 {
        let filters = &*FILTERS;
        let group = self.group;
        let around = largest_of(&self.samples[self.from..][..HISTORY + group]);
        let edge = if bounds && around * (filters.most_gain + filters.most_edge) > ceiling {
            EDGE_WEIGHT * self.edge(filters)
        } else {
            self.edge_current = false;
            0.0
        };
        let peak = if around * filters.most_gain + edge <= ceiling {
            self.current = false;
            around
        } else {
            self.interpolate(filters);
            self.peak(filters, ceiling, edge)
        };
        self.from += group;
        if self.from + HISTORY + group > MEMORY {
            self.samples.copy_within(self.from..self.from + HISTORY, 0);
            self.from = 0;
        }
        peak
    }

    /// How much there is near half the sample rate, in the region and shortly before.
    #[inline(always)]
    fn edge(&mut self, filters: &Filters) -> f32 {
        let step = if self.group > 8 { 8 } else { 4 };
        let count = (EDGE_HELD + self.group) / step + 1;
        let first = if self.edge_current {
            self.edge.copy_within(self.group / step..count, 0);
            count - self.group / step
        } else {
            0
        };
        self.edge_current = true;
        // The first point's first tap.
        let origin = self.from + HISTORY - LAG - EDGE_HELD - EDGE_TAPS / 2;
        for (index, point) in self.edge[..count].iter_mut().enumerate().skip(first) {
            let around = &self.samples[origin + index * step..][..EDGE_TAPS];
            let mut lanes = [0.0f32; 8];
            for (around, taps) in around.chunks_exact(8).zip(filters.edge.chunks_exact(8)) {
                for lane in 0..8 {
                    lanes[lane] += around[lane] * taps[lane];
                }
            }
            let [a, b, c, d, e, f, g, h] = lanes;
            *point = (((a + e) + (c + g)) + ((b + f) + (d + h))).abs();
        }
        largest_of(&self.edge[..count])
    }

    #[inline(always)]
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
        let around = &samples[HISTORY - LAG - EARLIER + 1 - HALF_PAIRS + first..];
        let new = &mut self.midpoints[first..count];
        let eights = new.len() / 8 * 8;
        half_way_points::<8>(filters, around, &mut new[..eights]);
        half_way_points::<4>(filters, &around[eights..], &mut new[eights..]);
    }

    /// The peak, with `edge` more.
    #[inline(always)]
    fn peak(&self, filters: &Filters, ceiling: f32, edge: f32) -> f32 {
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
        // A loop, for what is called with a closure is not always compiled for the widest vectors.
        let mut peak = 0.0f32;
        for row in rows {
            peak = peak.max(largest_of(&row[1..end]));
        }
        if peak * (1.0 / LEAST_SEEN) + edge <= ceiling {
            return (peak + edge).min(ceiling);
        }
        let tops = [
            summit(&last_quarters[..end - 1], &samples[1..end], &first_quarters[1..end]),
            summit(&samples[1..end], &first_quarters[1..end], &halves[1..end]),
            summit(&first_quarters[1..end], &halves[1..end], &last_quarters[1..end]),
            summit(&halves[1..end], &last_quarters[1..end], &samples[2..end + 1]),
        ];
        (tops.into_iter().fold(peak, f32::max) + edge).min(f32::MAX)
    }
}

/// Looks at a group in the widest vectors the processor has.
struct Measure<'a> {
    meter: &'a mut TruePeak,
    ceiling: f32,
    bounds: bool,
}

impl WithSimd for Measure<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f32 {
        self.meter.next(self.ceiling, self.bounds)
    }
}

/// What lies half-way between two samples, `LANES` points at once, from the 24th pair of `samples` on.
#[inline(always)]
fn half_way_points<const LANES: usize>(filters: &Filters, samples: &[f32], points: &mut [f32]) {
    for (at, points) in points.chunks_exact_mut(LANES).enumerate() {
        let around = &samples[LANES * at..][..2 * HALF_PAIRS + LANES - 1];
        let both = |pair: usize, lane: usize| {
            around[HALF_PAIRS - 1 - pair + lane] + around[HALF_PAIRS + pair + lane]
        };
        // Two sums, so that an addition need not wait for the one before it.
        let (mut even, mut odd) = ([0.0f32; LANES], [0.0f32; LANES]);
        for pair in (0..HALF_PAIRS).step_by(2) {
            let add = |sums: &mut [f32; LANES], pair: usize| {
                sums.iter_mut()
                    .enumerate()
                    .for_each(|(lane, sum)| *sum += filters.half[pair] * both(pair, lane));
            };
            add(&mut even, pair);
            add(&mut odd, pair + 1);
        }
        for lane in 0..LANES {
            points[lane] = even[lane] + odd[lane];
        }
    }
}

/// The highest top of the parabolas through three neighbours each, where it lies between the outer ones.
#[inline(always)]
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
            // By a part of the slope, for its square can be too large for a number.
            let rise = slope * (slope / (8.0 * (one + other)));
            let top = middle + if least > 0.0 { rise } else { 0.0 };
            tops[lane] = if top > tops[lane] { top } else { tops[lane] };
        }
    }
    tops.into_iter().fold(0.0, f32::max)
}

/// Windowed sinc filters, symmetric: one coefficient for each pair of taps, from the middle outwards.
#[derive(Debug)]
struct Filters {
    half: [f32; HALF_PAIRS],
    quarter: [f32; QUARTER_PAIRS],
    /// What lies near half the sample rate. The first of them is 0, the others are symmetric.
    edge: [f32; EDGE_TAPS],
    /// The most that any point between samples can be above the largest sample, and the edge's part of a bound.
    most_gain: f32,
    most_edge: f32,
}

impl Filters {
    fn design() -> Filters {
        let half = half_way::<HALF_PAIRS>();
        let quarter = half_way::<QUARTER_PAIRS>();
        let edge = near_half_the_rate();
        let sum = |taps: &[f64]| taps.iter().map(|tap| 2.0 * tap.abs()).sum::<f64>();
        // Of a quarter point: half of its taps lie on samples, half on midpoints.
        let bound = sum(&quarter) / 2.0 * (1.0 + sum(&half));
        let most_gain = sum(&half).max(bound) / f64::from(LEAST_SEEN);
        Filters {
            half: half.map(|tap| tap as f32),
            quarter: quarter.map(|tap| tap as f32),
            most_gain: most_gain as f32,
            most_edge: EDGE_WEIGHT * edge.iter().map(|tap| tap.abs()).sum::<f64>() as f32,
            edge: edge.map(|tap| tap as f32),
        }
    }
}

/// A windowed-sinc low-pass of 63 taps, moved up to half the sample rate: its every other tap negated.
fn near_half_the_rate() -> [f64; EDGE_TAPS] {
    /// For a stop band 41 dB down.
    const BETA: f64 = 3.4;
    const REACH: f64 = (EDGE_TAPS / 2 - 1) as f64;
    let low_pass: [f64; EDGE_TAPS] = std::array::from_fn(|tap| {
        let away = tap as f64 - (EDGE_TAPS / 2) as f64;
        if away.abs() > REACH {
            0.0
        } else {
            sinc(2.0 * EDGE_WIDTH * away) * kaiser(away / REACH, BETA)
        }
    });
    let sum: f64 = low_pass.iter().sum();
    std::array::from_fn(|tap| low_pass[tap] / sum * if tap % 2 == 0 { 1.0 } else { -1.0 })
}

/// A filter for the points half-way between samples: a sinc under a window for 60 dB, scaled to leave a constant as it is.
fn half_way<const PAIRS: usize>() -> [f64; PAIRS] {
    /// 0.1102 (60 - 8.7)
    const BETA: f64 = 5.653;
    let taps: [f64; PAIRS] = std::array::from_fn(|pair| {
        let away = pair as f64 + 0.5;
        sinc(away) * kaiser(away / PAIRS as f64, BETA)
    });
    let sum: f64 = 2.0 * taps.iter().sum::<f64>();
    taps.map(|tap| tap / sum)
}

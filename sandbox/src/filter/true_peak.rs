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

use super::level::largest_magnitude;

/// Pairs of taps for the points half-way, and for those a quarter off.
const HALF_PAIRS: usize = 24;
const QUARTER_PAIRS: usize = 4;
/// By how many samples the region that is measured lies behind the newest sample.
pub(crate) const LAG: usize = 32;
/// Samples that are taken at once, at the most.
pub(crate) const LONGEST_GROUP: usize = 32;
/// Samples kept from before a group.
const HISTORY: usize = 64;
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
    /// The last [`HISTORY`] samples, and the newest group behind them.
    samples: [f32; HISTORY + LONGEST_GROUP],
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
            samples: [0.0; HISTORY + LONGEST_GROUP],
            midpoints: [0.0; EARLIER + LONGEST_GROUP + LATER],
            current: false,
        }
    }

    /// Where the next group is to be written before `measure` is called.
    #[inline]
    pub(crate) fn group(&mut self) -> &mut [f32] {
        &mut self.samples[HISTORY..][..self.group]
    }

    /// The peak of what lies [`LAG`] samples behind the group, in between as well. Exact where it is above `ceiling`, and
    /// not above `ceiling` where it is not.
    #[inline]
    pub(crate) fn measure(&mut self, ceiling: f32) -> f32 {
        let filters = &*FILTERS;
        let group = self.group;
        let around = largest_magnitude(self.samples[..HISTORY + group].iter().copied());
        let peak = if around * filters.most_gain <= ceiling {
            self.current = false;
            around
        } else {
            self.interpolate(filters);
            self.peak(filters, ceiling)
        };
        self.samples.copy_within(group..HISTORY + group, 0);
        peak
    }

    fn interpolate(&mut self, filters: &Filters) {
        let (samples, group) = (&self.samples, self.group);
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
                samples[from..][..2 * HALF_PAIRS + 3].try_into().unwrap_or(&[0.0; 51]);
            let mut sums = [[0.0f32; 4]; 2];
            for pair in 0..HALF_PAIRS {
                for lane in 0..4 {
                    let both = around[HALF_PAIRS - 1 - pair + lane] + around[HALF_PAIRS + pair + lane];
                    sums[pair % 2][lane] += filters.half[pair] * both;
                }
            }
            for lane in 0..4 {
                four[lane] = sums[0][lane] + sums[1][lane];
            }
        }
    }

    fn peak(&self, filters: &Filters, ceiling: f32) -> f32 {
        const LENGTH: usize = LONGEST_GROUP + 4;
        let group = self.group;
        // From one sample before the region on.
        let samples = &self.samples[HISTORY - LAG - 1..][..group + 4];
        let midpoints = &self.midpoints[EARLIER - 3..][..group + 8];
        let mut quarters = [[0.0f32; LENGTH]; 2];
        let [before, behind] = &mut quarters;
        let (before, behind) = (&mut before[..group + 4], &mut behind[..group + 4]);
        let wide = &self.samples[HISTORY - LAG - 2..][..group + 7];
        for at in (0..group + 4).step_by(4) {
            let (m, x) = (&midpoints[at..at + 8], &wide[at..at + 7]);
            for lane in 0..4 {
                // m[lane + 2] lies behind x[lane + 1].
                let [g0, g1, g2, g3] = filters.quarter;
                before[at + lane] = (g0 * (x[lane + 1] + m[lane + 2]) + g1 * (m[lane + 1] + x[lane + 2]))
                    + (g2 * (x[lane] + m[lane + 3]) + g3 * (m[lane] + x[lane + 3]));
                behind[at + lane] = (g0 * (m[lane + 2] + x[lane + 2]) + g1 * (x[lane + 1] + m[lane + 3]))
                    + (g2 * (m[lane + 1] + x[lane + 3]) + g3 * (x[lane] + m[lane + 4]));
            }
        }
        let midpoints = &midpoints[2..][..group + 4];
        let peak = [samples, &*before, midpoints, &*behind]
            .map(|points| largest_magnitude(points[1..=group].iter().copied()))
            .into_iter()
            .fold(0.0, f32::max);
        if peak * (1.0 / LEAST_SEEN) <= ceiling {
            return peak.min(ceiling);
        }
        let mut top = [peak; 4];
        for at in 1..=group {
            let points = [
                [behind[at - 1], samples[at], before[at]],
                [samples[at], before[at], midpoints[at]],
                [before[at], midpoints[at], behind[at]],
                [midpoints[at], behind[at], samples[at + 1]],
            ];
            for lane in 0..4 {
                let summit = summit(points[lane]);
                top[lane] = if summit > top[lane] { summit } else { top[lane] };
            }
        }
        top.into_iter().fold(0.0, f32::max).min(f32::MAX)
    }
}

/// The top of the parabola through three equidistant points, if it lies between the outer ones; the middle one if not.
#[inline(always)]
fn summit([left, middle, right]: [f32; 3]) -> f32 {
    let [left, middle, right] = [left.abs(), middle.abs(), right.abs()];
    let slope = left - right;
    let curvature = 8.0 * ((middle - left) + (middle - right));
    if middle >= left && middle >= right && curvature > 0.0 {
        middle + slope * slope / curvature
    } else {
        middle
    }
}

/// Windowed sinc filters, symmetric: one coefficient for each pair of taps, from the middle outwards.
#[derive(Debug)]
struct Filters {
    half: [f32; HALF_PAIRS],
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
            half: half.map(|tap| tap as f32),
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

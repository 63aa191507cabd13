//! Second-order sections by the cookbook.
//!
//! Robert Bristow-Johnson, "Cookbook formulae for audio equalizer biquad filter coefficients" (W3C Group Note, 2021):
//! "LPF", "HPF", "peakingEQ", "lowShelf" and "highShelf", alpha from Q, all divided by `a0`.

use std::f64::consts::PI;

/// What a section does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Peak,
    LowShelf,
    HighShelf,
    LowPass,
    HighPass,
}

/// `y[n] = b0 x[n] + b1 x[n-1] + b2 x[n-2] - a1 y[n-1] - a2 y[n-2]`
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Section {
    pub(crate) b0: f64,
    pub(crate) b1: f64,
    pub(crate) b2: f64,
    pub(crate) a1: f64,
    pub(crate) a2: f64,
}

impl Section {
    /// `frequency_hz` lies above 0 and below half of `sample_rate_hz`; low-pass and high-pass have no `gain_db`.
    pub(crate) fn design(
        shape: Shape,
        frequency_hz: f64,
        gain_db: f64,
        q: f64,
        sample_rate_hz: f64,
    ) -> Section {
        let w0 = 2.0 * PI * frequency_hz / sample_rate_hz;
        let (sin, cos) = (w0.sin(), w0.cos());
        let alpha = sin / (2.0 * q);
        // The cookbook's A and 2 sqrt(A) alpha.
        let amplitude = 10f64.powf(gain_db / 40.0);
        let twist = 2.0 * amplitude.sqrt() * alpha;
        let (up, down) = (amplitude + 1.0, amplitude - 1.0);
        let ([b0, b1, b2], [a0, a1, a2]) = match shape {
            Shape::Peak => (
                [1.0 + alpha * amplitude, -2.0 * cos, 1.0 - alpha * amplitude],
                [1.0 + alpha / amplitude, -2.0 * cos, 1.0 - alpha / amplitude],
            ),
            Shape::LowShelf => (
                [
                    amplitude * (up - down * cos + twist),
                    2.0 * amplitude * (down - up * cos),
                    amplitude * (up - down * cos - twist),
                ],
                [up + down * cos + twist, -2.0 * (down + up * cos), up + down * cos - twist],
            ),
            Shape::HighShelf => (
                [
                    amplitude * (up + down * cos + twist),
                    -2.0 * amplitude * (down + up * cos),
                    amplitude * (up + down * cos - twist),
                ],
                [up - down * cos + twist, 2.0 * (down - up * cos), up - down * cos - twist],
            ),
            Shape::LowPass => {
                // 1 - cos(w0), without the cancellation that spoils it at a low frequency.
                let rise = 2.0 * (w0 / 2.0).sin().powi(2);
                ([rise / 2.0, rise, rise / 2.0], [1.0 + alpha, -2.0 * cos, 1.0 - alpha])
            }
            Shape::HighPass => {
                ([(1.0 + cos) / 2.0, -(1.0 + cos), (1.0 + cos) / 2.0], [1.0 + alpha, -2.0 * cos, 1.0 - alpha])
            }
        };
        Section { b0: b0 / a0, b1: b1 / a0, b2: b2 / a0, a1: a1 / a0, a2: a2 / a0 }
    }

    /// The section `share` of the straight way to `other`. Stable between stable ones: the stable pairs of `a1` and
    /// `a2` form a triangle, which is convex.
    #[inline]
    pub(crate) fn toward(&self, other: &Section, share: f64) -> Section {
        let between = |from: f64, to: f64| from + share * (to - from);
        Section {
            b0: between(self.b0, other.b0),
            b1: between(self.b1, other.b1),
            b2: between(self.b2, other.b2),
            a1: between(self.a1, other.a1),
            a2: between(self.a2, other.a2),
        }
    }
}

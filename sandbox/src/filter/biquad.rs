//! A second-order high-pass.
//!
//! Coefficients from Robert Bristow-Johnson, "Cookbook formulae for audio equalizer biquad filter coefficients"
//! (W3C Group Note, 2021), "HPF", with Q = 1/sqrt(2): a Butterworth response, 3 dB down at the cutoff and falling by
//! 12 dB an octave below.
//!
//! Direct form I in `f64`: with a cutoff of a few hundredths of the Nyquist frequency the poles lie so near to 1 that
//! `f32` would round audibly. The loop that limits the speed (output to next output) is one multiplication and one
//! subtraction long.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// Feedback smaller than this (-400 dB) is set to zero before it can become subnormal and slow.
const FLUSH_BELOW: f64 = 1e-20;

/// The coefficients of a high-pass biquad, divided by `a0`. `b1` is -2 `b0` and `b2` is `b0`: both zeros lie at 0 Hz.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coefficients {
    b0: f64,
    a1: f64,
    a2: f64,
}

impl Coefficients {
    /// A Butterworth high-pass. `cutoff_hz` must be above 0 and below half of `sample_rate_hz`.
    pub fn high_pass(cutoff_hz: f64, sample_rate_hz: f64) -> Coefficients {
        let w0 = 2.0 * PI * cutoff_hz / sample_rate_hz;
        let alpha = w0.sin() / (2.0 * FRAC_1_SQRT_2);
        let a0 = 1.0 + alpha;
        Coefficients { b0: (1.0 + w0.cos()) / 2.0 / a0, a1: -2.0 * w0.cos() / a0, a2: (1.0 - alpha) / a0 }
    }
}

/// One channel's memory: the last two inputs and outputs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Biquad {
    x1: f64,
    x2: f64,
    y1: f64,
    y2: f64,
}

impl Biquad {
    /// The next output sample.
    #[inline(always)]
    pub fn next(&mut self, coefficients: &Coefficients, x: f64) -> f64 {
        let Coefficients { b0, a1, a2 } = *coefficients;
        // What does not need the last output is summed first, so that it is ready when that arrives.
        let y = (b0 * (x - 2.0 * self.x1 + self.x2) - a2 * self.y2) - a1 * self.y1;
        self.x2 = self.x1;
        self.x1 = x;
        self.y2 = self.y1;
        self.y1 = y;
        y
    }

    /// Sets feedback that has faded to nothing to zero. To be called now and then, at least once a millisecond.
    pub fn flush(&mut self) {
        if self.y1.abs() < FLUSH_BELOW && self.y2.abs() < FLUSH_BELOW {
            self.y1 = 0.0;
            self.y2 = 0.0;
        }
    }
}

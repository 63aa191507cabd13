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

#[cfg(test)]
mod tests {
    use super::*;

    /// The gain at `frequency_hz`, measured with a sine that has settled.
    fn measured_db(coefficients: &Coefficients, frequency_hz: f64, sample_rate_hz: f64) -> f64 {
        let mut filter = Biquad::default();
        let (mut power_in, mut power_out) = (0.0, 0.0);
        // Two seconds to settle, then one second: a whole number of periods.
        for index in 0..3 * sample_rate_hz as usize {
            let x = (2.0 * PI * frequency_hz * index as f64 / sample_rate_hz).sin();
            let y = filter.next(coefficients, x);
            if index >= 2 * sample_rate_hz as usize {
                power_in += x * x;
                power_out += y * y;
            }
        }
        10.0 * (power_out / power_in).log10()
    }

    /// A second-order Butterworth high-pass, from its definition, at the frequency that the bilinear transform
    /// (with prewarping at the cutoff) makes of `frequency_hz`.
    fn butterworth_db(cutoff_hz: f64, frequency_hz: f64, sample_rate_hz: f64) -> f64 {
        let warped = |hz: f64| (PI * hz / sample_rate_hz).tan();
        -10.0 * (1.0 + (warped(cutoff_hz) / warped(frequency_hz)).powi(4)).log10()
    }

    #[test]
    fn the_response_is_that_of_a_butterworth_high_pass_at_every_rate() {
        for sample_rate_hz in [8_000.0, 12_000.0, 16_000.0, 24_000.0, 48_000.0] {
            for cutoff_hz in [20.0, 80.0, 100.0] {
                let coefficients = Coefficients::high_pass(cutoff_hz, sample_rate_hz);
                for frequency_hz in [10.0, 20.0, 40.0, 80.0, 100.0, 160.0, 1_000.0, 3_500.0] {
                    let measured = measured_db(&coefficients, frequency_hz, sample_rate_hz);
                    let expected = butterworth_db(cutoff_hz, frequency_hz, sample_rate_hz);
                    assert!(
                        (measured - expected).abs() < 0.01,
                        "{frequency_hz} Hz, cutoff {cutoff_hz} Hz at {sample_rate_hz} Hz: {measured} dB, not {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_cutoff_is_3_db_down_and_an_octave_below_12_db_more_and_speech_passes() {
        let coefficients = Coefficients::high_pass(80.0, 48_000.0);
        let gain_db = |frequency_hz| measured_db(&coefficients, frequency_hz, 48_000.0);
        assert!((gain_db(80.0) + 3.01).abs() < 0.05);
        assert!((gain_db(40.0) + 12.3).abs() < 0.1);
        assert!((gain_db(20.0) + 24.1).abs() < 0.1);
        assert!(gain_db(300.0) > -0.05);
    }

    #[test]
    fn silence_after_a_sound_reaches_zero_and_never_a_subnormal_number() {
        let coefficients = Coefficients::high_pass(80.0, 48_000.0);
        let mut filter = Biquad::default();
        filter.next(&coefficients, 1.0);
        for index in 0..96_000 {
            let y = filter.next(&coefficients, 0.0);
            assert!(y == 0.0 || (y.is_normal() && (y as f32).is_normal()), "{y:e} after {index} samples");
            if index % 24 == 23 {
                filter.flush();
            }
        }
        assert_eq!(filter, Biquad::default());
    }
}

//! A second-order high-pass.
//!
//! The cookbook's "HPF" (see `cookbook.rs`) with Q = 1/sqrt(2): a Butterworth response, 3 dB down at the cutoff and
//! falling by 12 dB an octave below.
//!
//! Direct form I in `f64`: with a cutoff of a few hundredths of the Nyquist frequency the poles lie so near to 1 that
//! `f32` would round audibly. The loop that limits the speed (output to next output) is one multiplication and one
//! subtraction long; look-ahead forms with a shorter one were tried and were slower as a whole.

use std::f64::consts::FRAC_1_SQRT_2;

use super::cookbook::{Section, Shape};
use super::fused::{multiply_add, run_fused, Fusable};

/// Feedback smaller than this (-400 dB) is set to zero before it can become subnormal and slow.
pub(super) const FLUSH_BELOW: f64 = 1e-20;

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
        let section = Section::design(Shape::HighPass, cutoff_hz, 0.0, FRAC_1_SQRT_2, sample_rate_hz);
        Coefficients { b0: section.b0, a1: section.a1, a2: section.a2 }
    }

    /// Filters interleaved channels in place, each with its own memory. The cut into blocks makes no difference, to the
    /// bit. Two channels take no longer than one, for neither waits for the other.
    pub fn process<const CHANNELS: usize>(&self, memories: &mut [Biquad; CHANNELS], block: &mut [f32]) {
        run_fused(Pass { coefficients: self, memories, block });
    }
}

/// A block through the filter.
struct Pass<'a, const CHANNELS: usize> {
    coefficients: &'a Coefficients,
    memories: &'a mut [Biquad; CHANNELS],
    block: &'a mut [f32],
}

impl<const CHANNELS: usize> Fusable for Pass<'_, CHANNELS> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Pass { coefficients, memories, block } = self;
        let Coefficients { b0, a1, a2 } = *coefficients;
        let [mut x2, mut x1] = [0, 1].map(|at| memories.each_ref().map(|memory| memory.inputs[at]));
        let [mut y2, mut y1] = [0, 1].map(|at| memories.each_ref().map(|memory| memory.outputs[at]));
        for frame in block.chunks_exact_mut(CHANNELS) {
            for channel in 0..CHANNELS {
                let x = f64::from(frame[channel]);
                // What does not need the last output is summed first, so that it is ready when that arrives.
                let change = multiply_add::<FUSED>(-2.0, x1[channel], x) + x2[channel];
                let early = multiply_add::<FUSED>(-a2, y2[channel], b0 * change);
                let y = multiply_add::<FUSED>(-a1, y1[channel], early);
                (x2[channel], x1[channel]) = (x1[channel], x);
                (y2[channel], y1[channel]) = (y1[channel], y);
                frame[channel] = y as f32;
            }
        }
        for (channel, memory) in memories.iter_mut().enumerate() {
            memory.inputs = [x2[channel], x1[channel]];
            memory.outputs = [y2[channel], y1[channel]];
        }
    }
}

/// One channel's memory: the last two inputs and outputs, the older first.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Biquad {
    inputs: [f64; 2],
    outputs: [f64; 2],
}

impl Biquad {
    /// Sets feedback that has faded to nothing to zero. To be called now and then, at least once a millisecond.
    pub fn flush(&mut self) {
        if self.outputs.iter().all(|output| output.abs() < FLUSH_BELOW) {
            self.outputs = [0.0; 2];
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;

    /// The gain at `frequency_hz`, measured with a sine that has settled.
    fn measured_db(coefficients: &Coefficients, frequency_hz: f64, sample_rate_hz: f64) -> f64 {
        let second = sample_rate_hz as usize;
        let sine = |index| (2.0 * PI * frequency_hz * index as f64 / sample_rate_hz).sin() as f32;
        let input: Vec<f32> = (0..3 * second).map(sine).collect();
        let mut output = input.clone();
        coefficients.process(&mut [Biquad::default()], &mut output);
        // Two seconds to settle, then one second: a whole number of periods.
        let power =
            |pcm: &[f32]| pcm[2 * second..].iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>();
        10.0 * (power(&output) / power(&input)).log10()
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
        let mut filter = [Biquad::default()];
        coefficients.process(&mut filter, &mut [1.0]);
        for tick in 0..4_000 {
            let mut silence = [0.0; 24];
            coefficients.process(&mut filter, &mut silence);
            assert!(silence.iter().all(|sample| *sample == 0.0 || sample.is_normal()), "tick {tick}");
            filter[0].flush();
        }
        assert_eq!(filter, [Biquad::default()]);
    }

    /// The difference equation of the cookbook, as it is written there, is the oracle.
    #[test]
    fn it_is_the_cookbooks_filter_sample_by_sample() {
        let (cutoff_hz, sample_rate_hz) = (100.0, 16_000.0);
        let w0 = 2.0 * PI * cutoff_hz / sample_rate_hz;
        let alpha = w0.sin() / (2.0 * FRAC_1_SQRT_2);
        let (b0, b1) = ((1.0 + w0.cos()) / 2.0, -(1.0 + w0.cos()));
        let (a0, a1, a2) = (1.0 + alpha, -2.0 * w0.cos(), 1.0 - alpha);
        let mut noise = 1u32;
        let input: Vec<f32> = (0..16_000)
            .map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                noise as f32 / (1u32 << 31) as f32 - 1.0
            })
            .collect();
        let mut output = input.clone();
        Coefficients::high_pass(cutoff_hz, sample_rate_hz).process(&mut [Biquad::default()], &mut output);
        let (mut x1, mut x2, mut y1, mut y2) = (0.0, 0.0, 0.0, 0.0);
        for (index, (x, output)) in input.into_iter().map(f64::from).zip(output).enumerate() {
            let y = (b0 * x + b1 * x1 + b0 * x2 - a1 * y1 - a2 * y2) / a0;
            (x2, x1, y2, y1) = (x1, x, y1, y);
            assert!((y - f64::from(output)).abs() < 1e-6, "sample {index}: {output}, not {y}");
        }
    }

    #[test]
    fn interleaved_channels_are_filtered_apart_and_odd_cuts_make_no_difference() {
        let coefficients = Coefficients::high_pass(80.0, 48_000.0);
        let left: Vec<f32> = (0..1_001).map(|index| (index as f32 * 0.013).sin()).collect();
        let mut alone = left.clone();
        coefficients.process(&mut [Biquad::default()], &mut alone);
        let mut both: Vec<f32> = left.iter().flat_map(|sample| [0.5 - *sample, *sample]).collect();
        let mut filters = [Biquad::default(); 2];
        for block in both.chunks_mut(2 * 13) {
            coefficients.process(&mut filters, block);
        }
        assert!(both.chunks(2).map(|frame| frame[1]).eq(alone));
        let mut other: Vec<f32> = left.iter().map(|sample| 0.5 - *sample).collect();
        coefficients.process(&mut [Biquad::default()], &mut other);
        assert!(both.chunks(2).map(|frame| frame[0]).eq(other));
    }
}

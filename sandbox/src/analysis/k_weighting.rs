//! The K-weighting of ITU-R BS.1770-4: how loud each frequency seems, as two biquads one after the other. The first
//! (the head's effect) lifts what lies above 1.5 kHz by 4 dB, the second takes away what lies below 60 Hz.
//!
//! The recommendation gives coefficients for 48 kHz alone, and asks for the same response at other rates. They are got
//! from those by undoing the bilinear transform and doing it again for the other rate, prewarped at the biquad's own
//! corner frequency, so that corner, slope and gain stay what they are at 48 kHz. What the transform bends all the same
//! (0.2 dB at 8 kHz) is made up for at 997 Hz, the frequency at which BS.1770 is calibrated.

use std::f64::consts::PI;

use crate::filter::{multiply_add, run_fused, Fusable};

/// BS.1770-4, tables 1 and 2: b0, b1, b2, a1, a2 at 48 kHz.
const SHELF_AT_48_KHZ: [f64; 5] = [
    1.535_124_859_586_97,
    -2.691_696_189_406_38,
    1.198_392_810_852_85,
    -1.690_659_293_182_41,
    0.732_480_774_215_85,
];
const HIGH_PASS_AT_48_KHZ: [f64; 5] = [1.0, -2.0, 1.0, -1.990_047_454_833_98, 0.990_072_250_366_21];

/// Memory of the filters smaller than this (-400 dB) is set to zero, long before it can become subnormal and slow.
const FLUSH_BELOW: f64 = 1e-20;

/// The two biquads' coefficients at one rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct KWeighting {
    shelf: [f64; 5],
    high_pass: [f64; 5],
}

impl KWeighting {
    pub(super) fn new(sample_rate_hz: u32) -> KWeighting {
        let rate = f64::from(sample_rate_hz);
        let mut made = KWeighting {
            shelf: at_rate(SHELF_AT_48_KHZ, rate),
            high_pass: at_rate(HIGH_PASS_AT_48_KHZ, rate),
        };
        let reference = KWeighting { shelf: SHELF_AT_48_KHZ, high_pass: HIGH_PASS_AT_48_KHZ };
        let correction = (reference.power_gain(997.0, 48_000.0) / made.power_gain(997.0, rate)).sqrt();
        made.shelf[..3].iter_mut().for_each(|coefficient| *coefficient *= correction);
        made
    }

    /// What is made of the power of a sine: the square of the transfer function's magnitude on the unit circle.
    fn power_gain(&self, frequency_hz: f64, rate: f64) -> f64 {
        let w = 2.0 * PI * frequency_hz / rate;
        let power = |c0: f64, c1: f64, c2: f64| {
            let real = c0 + c1 * w.cos() + c2 * (2.0 * w).cos();
            let imaginary = c1 * w.sin() + c2 * (2.0 * w).sin();
            real * real + imaginary * imaginary
        };
        let biquad = |[b0, b1, b2, a1, a2]: [f64; 5]| power(b0, b1, b2) / power(1.0, a1, a2);
        biquad(self.shelf) * biquad(self.high_pass)
    }
}

/// A biquad given at 48 kHz, for another rate.
///
/// With z^-1 = (1 - p) / (1 + p) a polynomial c0 + c1 z^-1 + c2 z^-2 becomes, but for a factor that is the same above
/// and below the line, (c0 + c1 + c2) + 2 (c0 - c2) p + (c0 - c1 + c2) p^2, where p = j tan(pi f / rate). The corner
/// lies where the denominator's outer terms cancel; p is scaled so that it does at the other rate too.
fn at_rate([b0, b1, b2, a1, a2]: [f64; 5], rate: f64) -> [f64; 5] {
    let corner_at_48_khz = ((1.0 + a1 + a2) / (1.0 - a1 + a2)).sqrt();
    let corner_hz = corner_at_48_khz.atan() * 48_000.0 / PI;
    let scale = corner_at_48_khz / (PI * corner_hz / rate).tan();
    let transformed = |c0: f64, c1: f64, c2: f64| {
        let (constant, linear, square) =
            (c0 + c1 + c2, 2.0 * (c0 - c2) * scale, (c0 - c1 + c2) * scale * scale);
        [constant + linear + square, 2.0 * (constant - square), constant - linear + square]
    };
    let [b0, b1, b2] = transformed(b0, b1, b2);
    let [a0, a1, a2] = transformed(1.0, a1, a2);
    [b0 / a0, b1 / a0, b2 / a0, a1 / a0, a2 / a0]
}

/// A value for each channel; the second is unused where there is one channel.
type Frame = [f64; 2];

/// The filters' memory: the last two values at the input, between the biquads and at the output, the older first; and
/// what power has come out.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct KWeightingState {
    inputs: [Frame; 2],
    between: [Frame; 2],
    outputs: [Frame; 2],
    energy: Frame,
}

impl KWeightingState {
    /// Weighs sample frames of `CHANNELS` samples, and adds up the power of what comes out. A single channel has silence
    /// beside it: compiled for both side by side that is faster than one alone.
    pub(super) fn process<const CHANNELS: usize>(&mut self, weighting: &KWeighting, block: &[f32]) {
        run_fused(Weigh::<CHANNELS> { state: self, weighting, block });
    }

    /// The power of all channels that has come out since the last call. Memory that has faded to nothing is set to
    /// zero; to be called every few milliseconds.
    pub(super) fn take_energy(&mut self) -> f64 {
        for memory in [&mut self.between, &mut self.outputs] {
            if memory.iter().flatten().all(|value| value.abs() < FLUSH_BELOW) {
                *memory = Default::default();
            }
        }
        std::mem::take(&mut self.energy).iter().sum()
    }
}

/// A block through both filters.
struct Weigh<'a, const CHANNELS: usize> {
    state: &'a mut KWeightingState,
    weighting: &'a KWeighting,
    block: &'a [f32],
}

impl<const CHANNELS: usize> Fusable for Weigh<'_, CHANNELS> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Weigh { state, weighting, block } = self;
        let [mut x2, mut x1] = state.inputs;
        let [mut y2, mut y1] = state.between;
        let [mut z2, mut z1] = state.outputs;
        let mut energy = state.energy;
        // What does not need the last output is summed first, so that it is ready when that arrives.
        let pass = |[b0, b1, b2, a1, a2]: [f64; 5], x: f64, x1: f64, x2: f64, y1: f64, y2: f64| {
            let early = multiply_add::<FUSED>(b1, x1, b0 * x);
            let early = multiply_add::<FUSED>(-a2, y2, multiply_add::<FUSED>(b2, x2, early));
            multiply_add::<FUSED>(-a1, y1, early)
        };
        for frame in block.chunks_exact(CHANNELS) {
            for at in 0..2 {
                let x = if at < CHANNELS { f64::from(frame[at]) } else { 0.0 };
                let y = pass(weighting.shelf, x, x1[at], x2[at], y1[at], y2[at]);
                let z = pass(weighting.high_pass, y, y1[at], y2[at], z1[at], z2[at]);
                (x2[at], x1[at]) = (x1[at], x);
                (y2[at], y1[at]) = (y1[at], y);
                (z2[at], z1[at]) = (z1[at], z);
                energy[at] = multiply_add::<FUSED>(z, z, energy[at]);
            }
        }
        (state.inputs, state.between, state.outputs) = ([x2, x1], [y2, y1], [z2, z1]);
        state.energy = energy;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The gain at a frequency, measured with a sine that has settled: not by the formula that calibrates.
    fn gain_db(weighting: &KWeighting, frequency_hz: f64, rate: f64) -> f64 {
        let sine = |index| (2.0 * PI * frequency_hz * index as f64 / rate).sin() as f32;
        let second = rate as usize;
        let input: Vec<f32> = (0..2 * second).map(sine).collect();
        let mut state = KWeightingState::default();
        state.process::<1>(weighting, &input[..second]);
        state.take_energy();
        state.process::<1>(weighting, &input[second..]);
        let power: f64 = input[second..].iter().map(|sample| f64::from(*sample).powi(2)).sum();
        10.0 * (state.take_energy() / power).log10()
    }

    #[test]
    fn at_48_khz_the_coefficients_are_those_of_the_recommendation() {
        let KWeighting { shelf, high_pass } = KWeighting::new(48_000);
        for (got, expected) in
            shelf.iter().chain(&high_pass).zip(SHELF_AT_48_KHZ.iter().chain(&HIGH_PASS_AT_48_KHZ))
        {
            assert!((got - expected).abs() < 1e-12, "{got}, not {expected}");
        }
    }

    #[test]
    fn every_rate_weighs_as_48_khz_does() {
        let reference = KWeighting::new(48_000);
        for (rate, tolerance_db) in [
            (96_000, 0.02),
            (44_100, 0.01),
            (32_000, 0.02),
            (24_000, 0.05),
            (22_050, 0.06),
            (16_000, 0.15),
            (12_000, 0.25),
            (8_000, 0.5),
        ] {
            let weighting = KWeighting::new(rate);
            let mut worst = 0.0f64;
            for frequency_hz in
                [30.0, 60.0, 100.0, 250.0, 500.0, 997.0, 1_500.0, 2_000.0, 3_000.0, 5_000.0, 8_000.0]
            {
                if frequency_hz < 0.45 * f64::from(rate) {
                    let difference = gain_db(&weighting, frequency_hz, f64::from(rate))
                        - gain_db(&reference, frequency_hz, 48_000.0);
                    worst = worst.max(difference.abs());
                }
            }
            println!("{rate} Hz: {worst:.3} dB");
            assert!(worst < tolerance_db, "{worst} dB at {rate} Hz");
        }
    }
}

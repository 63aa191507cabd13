//! Gives speech back the low end that the network's own high-pass has turned.
//!
//! `nnnoiseless` begins with a biquad (`util::BIQUAD_HP`), (z - 1)² / A(z): a high-pass at 24 Hz, which still turns the
//! phase of 120 Hz by 15 degrees, and so moves a low voice's waveform by a quarter of its size. Undone exactly, by A(z) /
//! (z - 1)², it would leave an integrator behind. So the zeros' counterparts go inside the unit circle: A(z) / B(z), where
//! B holds the poles of a Butterworth high-pass of second order at [`CUTOFF_HZ`], s = 2 pi f (-1 ± i) / sqrt(2), by z =
//! exp(s T) (the matched z-transform: Oppenheim and Schafer, *Discrete-Time Signal Processing*, 3rd ed., problem 7.10). Network
//! and this together are that high-pass, (z - 1)² / B(z): it raises no frequency, and takes a constant away.

use std::f64::consts::{FRAC_1_SQRT_2, TAU};

use super::NETWORK_RATE_HZ;

/// Lower keeps more of the waveform, but also raises what the network's gains, as they move, make of speech below 24 Hz;
/// which is more than is won below 5 Hz.
const CUTOFF_HZ: f64 = 7.0;

/// A(z), behind z²: as `nnnoiseless` has it, in single precision.
const NETWORK_POLES: [f64; 2] = [-1.995_99_f32 as f64, 0.996_00_f32 as f64];

/// -240 dB relative to full scale: a state below counts as nothing.
const NOTHING: f64 = 1e-12;

/// The filter for one channel, at the network's rate.
pub(super) struct LowEnd {
    poles: [f64; 2],
    /// A(z) less B(z), behind z²: what the input puts into the state.
    differences: [f64; 2],
    /// Of the transposed direct form II, in double precision: the poles are less than 0.001 away from 1.
    state: [f64; 2],
}

impl LowEnd {
    pub(super) fn new() -> Self {
        let step = TAU * CUTOFF_HZ / f64::from(NETWORK_RATE_HZ) * FRAC_1_SQRT_2;
        let radius = (-step).exp();
        let poles = [-2.0 * radius * step.cos(), radius * radius];
        let differences = [NETWORK_POLES[0] - poles[0], NETWORK_POLES[1] - poles[1]];
        Self { poles, differences, state: [0.0; 2] }
    }

    pub(super) fn start(&mut self) {
        self.state = [0.0; 2];
    }

    pub(super) fn process(&mut self, samples: &mut [f32]) {
        let ([difference_1, difference_2], [pole_1, pole_2]) = (self.differences, self.poles);
        let [mut next, mut after] = self.state;
        for sample in samples {
            let input = f64::from(*sample);
            *sample = (input + next) as f32;
            // By the differences, so that from state to state there is one product and one sum only.
            let now = next;
            next = (after + difference_1 * input) - pole_1 * now;
            after = difference_2 * input - pole_2 * now;
        }
        self.state = [next, after].map(|state| if state.abs() < NOTHING { 0.0 } else { state });
    }
}

//! What width, depth and pan come to, by the formulas of the stage's documentation.

use crate::level::db_to_amplitude;
use crate::{Described, Parameter};

/// Power of side to mid that is made up for at width 2.
const SIDE_POWER: f32 = 0.4;
/// The least and the most that the energy's compensation does to the level: -6 and +3 dB.
const COMPENSATION: (f32, f32) = (0.5, std::f32::consts::SQRT_2);
/// Below this power (-120 dB) a signal is not compensated for.
const QUIET_POWER: f32 = 1e-12;

/// Where a sound seems to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpatialParameters {
    /// 0 (mono) to 2 (wide). Default 1: as it is.
    pub width: f32,
    /// 0 (here) to 1 (far away). Default 0.
    pub depth: f32,
    /// -1 (left) to 1 (right). Default 0: the centre.
    pub pan: f32,
}

impl Default for SpatialParameters {
    fn default() -> Self {
        SpatialParameters { width: 1.0, depth: 0.0, pan: 0.0 }
    }
}

impl Described for SpatialParameters {
    const PARAMETERS: &'static [Parameter<Self>] = parameters! {
        width: 0.0..=2.0,
        depth: 0.0..=1.0,
        pan: -1.0..=1.0,
    };
}

/// What happens to the signals on their way. All neutral: nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Gains {
    pub(super) mid: f32,
    pub(super) side: f32,
    /// Of the side signal that is made.
    pub(super) echoes: f32,
    pub(super) direct: f32,
    pub(super) reflections: f32,
    /// How much of what lies above the corner is taken away, 0 to 1.
    pub(super) damping: f32,
    pub(super) left: f32,
    pub(super) right: f32,
}

impl Gains {
    pub(super) const NEUTRAL: Gains = Gains {
        mid: 1.0,
        side: 1.0,
        echoes: 0.0,
        direct: 1.0,
        reflections: 0.0,
        damping: 0.0,
        left: 1.0,
        right: 1.0,
    };

    /// The gains for signals of these powers.
    pub(super) fn of(parameters: &SpatialParameters, mid_power: f32, side_power: f32) -> Gains {
        let SpatialParameters { width, depth, pan } = *parameters;
        let widened = width * width * side_power;
        let energy = (mid_power + side_power + QUIET_POWER) / (mid_power + widened + QUIET_POWER);
        let level = energy.sqrt().clamp(COMPENSATION.0, COMPENSATION.1);
        let wanting = SIDE_POWER * (width - 1.0) - widened / (mid_power + QUIET_POWER);
        let (left, right) = if pan == 0.0 {
            (1.0, 1.0)
        } else {
            let (sine, cosine) = ((pan + 1.0) * std::f32::consts::FRAC_PI_4).sin_cos();
            (std::f32::consts::SQRT_2 * cosine, std::f32::consts::SQRT_2 * sine)
        };
        Gains {
            mid: level,
            side: level * width,
            echoes: level * wanting.max(0.0).sqrt(),
            direct: db_to_amplitude(-6.0 * depth),
            reflections: depth,
            damping: 0.5 * depth,
            left,
            right,
        }
    }
}

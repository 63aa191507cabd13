//! Samples of any kind.

use arbitrary::Arbitrary;

/// The most sample frames of a signal.
const MOST: usize = 6_000;

/// Samples, whatever their number of channels.
#[derive(Debug, Arbitrary)]
pub(super) enum Signal {
    /// Any bits.
    Bits(Vec<u32>),
    Made {
        kind: Kind,
        loudness: Loudness,
        length: u16,
        /// Samples that are replaced: where, and by which bits.
        spikes: Vec<(u16, u32)>,
    },
}

#[derive(Debug, Clone, Copy, Arbitrary)]
pub(super) enum Kind {
    Silence,
    Constant,
    Noise(u32),
    /// By its step, as a share of the whole circle.
    Square(u16),
    Sine(u16),
    /// Loud and silent by turns.
    Bursts(u32, u16),
}

#[derive(Debug, Clone, Copy, Arbitrary)]
pub(super) enum Loudness {
    FullScale,
    Quiet,
    Subnormal,
    Absurd,
    Any(f32),
}

impl Signal {
    pub(super) fn samples(&self) -> Vec<f32> {
        match self {
            Signal::Bits(bits) => bits.iter().take(MOST).map(|bits| f32::from_bits(*bits)).collect(),
            Signal::Made { kind, loudness, length, spikes } => {
                let gain = loudness.gain();
                let length = usize::from(*length) % MOST;
                let mut samples: Vec<f32> = (0..length).map(|index| gain * kind.at(index)).collect();
                for (place, bits) in spikes.iter().filter(|_| length > 0) {
                    samples[usize::from(*place) % length] = f32::from_bits(*bits);
                }
                samples
            }
        }
    }
}

impl Loudness {
    fn gain(self) -> f32 {
        match self {
            Loudness::FullScale => 1.0,
            Loudness::Quiet => 1e-4,
            Loudness::Subnormal => 1e-40,
            Loudness::Absurd => 3e38,
            Loudness::Any(gain) => gain,
        }
    }
}

impl Kind {
    /// From -1 to 1.
    fn at(self, index: usize) -> f32 {
        let turn = |step: u16| (index as f32 * f32::from(step) / 65_536.0).fract();
        match self {
            Kind::Silence => 0.0,
            Kind::Constant => 1.0,
            Kind::Noise(seed) => noise(seed, index),
            Kind::Square(step) => {
                if turn(step) < 0.5 {
                    1.0
                } else {
                    -1.0
                }
            }
            Kind::Sine(step) => (std::f32::consts::TAU * turn(step)).sin(),
            Kind::Bursts(seed, length) => {
                if (index / (usize::from(length) + 1)).is_multiple_of(2) {
                    noise(seed, index)
                } else {
                    0.0
                }
            }
        }
    }
}

/// A sample of noise, by its place (the finaliser of MurmurHash3).
fn noise(seed: u32, index: usize) -> f32 {
    let mut bits = seed ^ (index as u32).wrapping_mul(0x9E37_79B9);
    bits = (bits ^ bits >> 16).wrapping_mul(0x85EB_CA6B);
    bits = (bits ^ bits >> 13).wrapping_mul(0xC2B2_AE35);
    (bits ^ bits >> 16) as f32 / (1u32 << 31) as f32 - 1.0
}

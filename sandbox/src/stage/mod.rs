//! What all stages of the engine have in common, and how their parameters are described.
//!
//! A stage works in place on interleaved samples and keeps its state from block to block; how a stream is cut into
//! blocks makes no difference to what comes out, to the bit. Its parameters are a plain struct in the usual units, and
//! a table ([`Described::PARAMETERS`]) that says name and range of each: checking, the wire form, the command line and
//! the documentation all read that one table.

/// The rows of a table for fields that are numbers: `field: range`. A field's name is what clients write.
macro_rules! parameters {
    ($($field:ident: $range:expr),+ $(,)?) => {
        &[$($crate::Parameter {
            name: stringify!($field),
            range: $range,
            get: |parameters| parameters.$field,
            set: |parameters, value| parameters.$field = value,
        }),+]
    };
}
pub(crate) use parameters;

mod accepted;
mod compressor;
mod denoise;
mod equaliser;
mod limiter;
mod noise_gate;
mod spatial;

use std::ops::RangeInclusive;

pub use compressor::{Compressor, CompressorParameters};
pub use denoise::{Denoise, DenoiseParameters};
pub use equaliser::{Band, BandKind, Equaliser, EqualiserParameters, BANDS};
pub use limiter::{Limiter, LimiterParameters};
pub use noise_gate::{NoiseGate, NoiseGateParameters};
pub use spatial::{Spatial, SpatialParameters};

/// What a stage is told of the stream it works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// Samples a second of one channel, 8,000 to 96,000.
    pub sample_rate_hz: u32,
    /// Interleaved channels, 1 or 2.
    pub channels: usize,
}

/// One stage of the engine, with all its state.
///
/// A fresh stage, and one that was `start`ed anew with the same stream and parameters, behave alike to the bit,
/// whatever the latter did before.
pub trait Stage {
    /// What can be set.
    type Parameters: Copy;

    /// A stage at the beginning of `stream`. It allocates all that it will ever need: for any stream and any parameters.
    fn new(stream: Stream, parameters: &Self::Parameters) -> Self;

    /// Begins a new stream: all signal state is cleared. Allocates nothing.
    fn start(&mut self, stream: Stream, parameters: &Self::Parameters);

    /// Changes parameters in mid-stream: state is kept, and nothing clicks. Allocates nothing.
    fn set(&mut self, parameters: &Self::Parameters);

    /// Works on whole sample frames (a sample for each channel) in place; any number of them. Allocates nothing. All
    /// samples are finite, here and in what it leaves.
    fn process(&mut self, block: &mut [f32]);

    /// Sample frames by which what comes out lags behind what goes in.
    fn delay_samples(&self) -> usize {
        0
    }

    /// The same for a stage that begins `stream` with `parameters`.
    fn delay_at(_stream: Stream, _parameters: &Self::Parameters) -> usize {
        0
    }

    /// Sample frames after which nothing is heard any more of the silence before its first one: not of its beginning, if
    /// that is in the middle of a sound.
    fn fill_samples(&self) -> usize {
        self.delay_samples()
    }
}

/// One number among a stage's parameters.
#[derive(Debug)]
pub struct Parameter<P: 'static> {
    /// As clients write it, with its unit: `threshold_db`.
    pub name: &'static str,
    /// What is accepted, in that unit.
    pub range: RangeInclusive<f32>,
    /// Reads it.
    pub get: fn(&P) -> f32,
    /// Writes it, unchecked.
    pub set: fn(&mut P, f32),
}

/// Parameters that a table describes.
pub trait Described: Copy + Default + 'static {
    /// Every number among them, in the order in which they are documented.
    const PARAMETERS: &'static [Parameter<Self>];

    /// The words for the `index`th of them if it is a choice, each at the place that is its number; none otherwise.
    fn words(_index: usize) -> &'static [&'static str] {
        &[]
    }
}

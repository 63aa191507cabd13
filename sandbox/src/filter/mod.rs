//! The filters between decoder and encoder: [`VoiceClarity`] and the parts it is made of.
//!
//! Each part is small, pure (state in, state out, no clock) and tested alone against its formula.

pub mod biquad;
mod clarity;
pub mod compressor;
pub mod gate;
pub mod level;
pub mod limiter;

pub use clarity::VoiceClarity;

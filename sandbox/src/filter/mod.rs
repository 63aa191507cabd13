//! The filters between decoder and encoder: [`VoiceClarity`] and the parts it is made of.
//!
//! Each part is small, pure (state in, state out, no clock) and tested alone against its formula.

mod ballistics;
pub mod biquad;
mod cascade;
mod clarity;
pub mod compressor;
mod cookbook;
mod cross_fade;
mod fused;
pub mod gate;
mod high_pass;
pub mod level;
pub mod limiter;
mod look_ahead;
mod peak_window;
mod ride;
mod row;
pub(crate) mod sanitise;
mod true_peak;
pub(crate) mod windowed_sinc;

pub(crate) use ballistics::{tick_samples, Ballistics, Times, ATTACK_MS, KNEE_DB, RELEASE_MS};
pub(crate) use cascade::{Cascade, Fade, LONGEST_TICK, SECTIONS};
pub use clarity::VoiceClarity;
pub(crate) use cookbook::{Section, Shape};
pub(crate) use cross_fade::CrossFade;
pub(crate) use fused::{multiply_add, run_fused, Fusable};
pub(crate) use look_ahead::{LookAhead, MOST_TICKS};
pub(crate) use peak_window::HeldLevel;
pub(crate) use ride::{Ramp, Ride};
pub(crate) use true_peak::{TruePeak, LAG, LONGEST_GROUP};

//! The audio sandbox: an Opus codec pair and the engine of stages between them.
//!
//! ```text
//!  packet -> decode -> de-noise, clarity, gate, compressor, equaliser, spatial, limiter -> encode -> packet
//!  PCM ----> resample -'                                                               `-> resample -> PCM
//!            `---------------------------- AudioSandbox::process ---------------------------'
//! ```
//!
//! Besides there are the [`mixer`] of rooms, the [`resample`]r, and the [`pcm`] and [`framing`] of messages.
//!
//! An [`AudioSandbox`] is costly to build and holds one voice's state, so it is built once, lent to one
//! session at a time, and brought back by [`AudioSandbox::reset`]. What it promises:
//!
//! * **Reset is complete.** After `reset` it behaves bit for bit like a fresh one, whatever happened before.
//!   libopus keeps settings over its own `OPUS_RESET_STATE`, and some state as well; so a reset here initialises
//!   encoder and decoder anew, in their own memory.
//! * **The steady state allocates nothing**: not in `process`, `reset`, `restart` or `configure`, but for stages that a
//!   session is the first to want, and what [`Denoise`] says of itself.
//! * **Bad input is an error, never a panic**, and does not spoil the next good packet.
//!
//! There are no threads, sockets or clocks in here. Buffers that hold nothing between two calls live in
//! [`Scratch`], one for each worker thread, so that an idle sandbox costs only its real state.
//!
//! ```
//! use sandbox::{AudioSandbox, Packets, Scratch, Settings, SettingsUpdate};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut sandbox = AudioSandbox::new(Settings::default())?;
//! let mut scratch = Scratch::default();
//!
//! // One session's wishes, checked as a whole, on top of the template.
//! let wishes = SettingsUpdate::default().with("bitrate", 24_000);
//! let settings = sandbox.settings().with(&wishes)?;
//! sandbox.configure(&settings)?;
//!
//! // 20 ms of silence as a packet to work on.
//! let mut packet = Packets::default();
//! sandbox.encode(&[0.0; 960], &mut scratch, &mut packet)?;
//!
//! let mut answer = Packets::default();
//! let processed = sandbox.process(&packet[0], &mut scratch, &mut answer)?;
//! assert_eq!(processed.duration().as_millis(), 20);
//!
//! sandbox.reset()?;
//! # Ok(())
//! # }
//! ```

mod analysis;
mod codec;
mod dtx;
mod engine;
mod error;
mod filter;
pub mod framing;
pub mod genre;
mod input;
pub mod mixer;
mod output;
mod packets;
pub mod pcm;
pub mod resample;
mod sandbox;
mod scratch;
mod settings;
mod stage;

pub use analysis::{
    LevelMeter, Loudness, SpeechEvent, TruePeakMeter, VoiceActivity, VoiceActivityParameters,
};
pub use codec::Replacement;
pub use engine::{Event, Quality, Readings, StageTimes};
pub use error::{SandboxError, SettingError};
pub use filter::{biquad, compressor, gate, level, limiter, VoiceClarity};
pub use input::Incoming;
pub use opus::{Application, Channels, Signal};
pub use packets::Packets;
pub use sandbox::{AudioSandbox, Processed};
pub use scratch::Scratch;
pub use settings::{Format, RawValue, SampleRate, Settings, SettingsUpdate, Switched};
pub use stage::{
    Band, BandKind, Compressor, CompressorParameters, Denoise, DenoiseParameters, Described, Equaliser,
    EqualiserParameters, Limiter, LimiterParameters, NoiseGate, NoiseGateParameters, Parameter, Spatial,
    SpatialParameters, Stage, Stream, BANDS,
};

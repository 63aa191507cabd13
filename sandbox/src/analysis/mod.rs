//! What the engine finds out about a sound without changing it: whether somebody speaks ([`VoiceActivity`]), how high
//! its level is ([`LevelMeter`]), how high it rises between its samples ([`TruePeakMeter`]) and how loud it is
//! ([`Loudness`]).
//!
//! Each takes interleaved samples of a [`Stream`](crate::Stream), 1 or 2 channels at 8,000 to 96,000 Hz, that are finite
//! (the engine's entrance sees to that), in blocks of any number of whole sample frames; how a stream is cut into
//! blocks makes no difference, to the bit. `new` allocates all that is ever needed, for any stream; `start` and
//! `process` allocate nothing, and `start` is as good as new.

mod k_weighting;
mod level_meter;
mod loudness;
mod true_peak_meter;
mod voice_activity;

pub use level_meter::LevelMeter;
pub use loudness::Loudness;
pub use true_peak_meter::TruePeakMeter;
pub use voice_activity::{SpeechEvent, VoiceActivity, VoiceActivityParameters};

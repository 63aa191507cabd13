//! Recordings as files: WAV in and out, Ogg Opus out, and the conversion of sample rates between them.
//!
//! ```text
//!   bytes --WavReader--> f32 blocks --RateConverter--> f32 blocks --WavWriter-----> WAV
//!                \                                   \--encoder--> OggOpusWriter -> Ogg Opus
//!                 \--Recording: the whole of it in memory, with the same steps as methods
//! ```
//!
//! Everything works in steps, so that a server can yield between two blocks of a long recording;
//! [`Recording`] is the same for a caller that has the file to itself. Nothing in here trusts a header:
//! what is allocated follows from the bytes that are there, never from a length field.

mod channels;
mod format;
mod ogg_opus;
mod rate;
mod recording;
mod wav_reader;
mod wav_writer;

pub use channels::with_channels;
pub use format::{SampleFormat, WavFormat, SAMPLE_RATES_HZ};
pub use ogg_opus::{OggOpusError, OggOpusHead, OggOpusWriter, GRANULE_RATE_HZ};
pub use rate::{opus_rate_for, RateConverter, OPUS_RATES_HZ};
pub use recording::Recording;
pub use wav_reader::{WavError, WavReader};
pub use wav_writer::{WavWriteError, WavWriter};

//! What clients and the audio endpoint say to each other, as types. No I/O.
//!
//! A binary message is one Opus packet, and is answered with one. A text message is a JSON object that names a
//! [`Command`]; every answer is a [`Reply`].

mod command;
mod once;
mod reply;

pub use command::{Command, CommandError, MAX_COMMAND_BYTES, MAX_LOST};
pub use reply::{ErrorCode, Reply, SessionStats};

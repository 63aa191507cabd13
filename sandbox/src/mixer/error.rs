//! What can go wrong in a room. Whatever was refused has changed nothing.

use thiserror::Error;

use super::settings::{PAN, VOLUME_DB};
use super::ParticipantId;

/// Why the mixer refused something.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum MixerError {
    /// The settings that a room was to be made with.
    #[error("{setting}: got {got}, accepted: {least} to {most}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// What was asked for.
        got: f64,
        /// The least that is accepted.
        least: f64,
        /// The most that is accepted.
        most: f64,
    },

    /// Nobody has this id: never handed out by this room, or removed since.
    #[error("{id} is not in the room")]
    UnknownParticipant {
        /// The id that was given.
        id: ParticipantId,
    },

    /// Every place is taken.
    #[error("the room is full: all {capacity} places are taken")]
    Full {
        /// Places in the room.
        capacity: usize,
    },

    /// A block of another length than this room works with.
    #[error("bad block of {samples} samples: accepted: {mono} (mono){}", stereo_too(.mono, .channels))]
    BlockLength {
        /// Samples in the block.
        samples: usize,
        /// Sample frames in a block of this room.
        mono: usize,
        /// Channels of the room.
        channels: usize,
    },

    /// A block with a sample that is no number, or infinite.
    #[error("sample {index} of the block is not finite")]
    NotFinite {
        /// The first such sample.
        index: usize,
    },

    /// A volume that is out of range or no number.
    #[error("volume_db: got {got}, accepted: {} to {}", VOLUME_DB.start(), VOLUME_DB.end())]
    VolumeDb {
        /// What was asked for.
        got: f32,
    },

    /// A pan that is out of range or no number.
    #[error("pan: got {got}, accepted: {} (left) to {} (right)", PAN.start(), PAN.end())]
    Pan {
        /// What was asked for.
        got: f32,
    },
}

fn stereo_too(mono: &usize, channels: &usize) -> String {
    match channels {
        2 => format!(" or {} (stereo, interleaved)", 2 * mono),
        _ => String::new(),
    }
}

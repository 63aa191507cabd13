//! What kind of sound a stream is: speech, rock, jazz, electronic or classical music, or none of these.
//!
//! ```text
//!  any rate,   ┌────────────┐ 16 kHz  ┌──────────┐ 67 numbers ┌────────────┐ 220 numbers ┌───────┐      ┌────────────┐
//!  1-2 ch. ──> │ mono       │ ──────> │ Spectrum │ ─────────> │ Statistics │ ──────────> │ Model │ ───> │ hysteresis │ ──> Genre
//!              └────────────┘ mono    └──────────┘ every 32 ms│ last 4.1 s │ every 0.26 s └───────┘ 6 p. └────────────┘
//! ```
//!
//! A [`GenreDetector`] only listens: it changes no sample. All of its work is done on *hops*, 512 samples at 16 kHz counted
//! from the stream's beginning, so what it finds does not depend on how the stream was cut into blocks. It allocates in
//! [`GenreDetector::new`] only, and after [`GenreDetector::start`] it is as new.
//!
//! The model (`model.txt`) is a small network trained by the workspace's `training/`, whose README has the origin of the
//! material and the confusion matrix on works that the training never saw. The file names its features and their version:
//! [`Model::parse`] refuses one that was trained on others than this code computes.
//!
//! What a genre means to the processing chain is in [`GenreParameters`]; [`GenreBlend`] moves from one to the next.

mod attack;
mod detector;
mod harmony;
mod model;
mod modulation;
mod narrow_band;
mod parameters;
mod rhythm;
mod spectrum;
mod statistics;
mod tonal;

pub use detector::{GenreDetector, CLASSIFY_HOPS};
pub use model::{Model, ModelError, CLASSES};
pub use narrow_band::NARROW_BAND_HZ;
pub use parameters::{GenreBlend, GenreParameters};
pub use rhythm::Rhythm;
pub use spectrum::{
    FrameFeatures, CONTRAST_BANDS, CONTRAST_EDGES_HZ, FLATNESS_BANDS, HOP, MEL_BANDS, MFCCS, WINDOW,
};
pub use statistics::{feature_names, Features, FEATURES, FEATURE_VERSION, WINDOW_HOPS};
pub use tonal::{TonalFeatures, INTERVALS, PITCH_CLASSES};

use std::fmt;

/// What a stream sounds like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Genre {
    /// Somebody talks.
    Speech,
    /// Rock, metal, and their kin: drums and amplified guitars.
    Rock,
    /// Jazz, swing, ragtime, bossa nova.
    Jazz,
    /// Techno, house, trance, ambient: synthesised.
    Electronic,
    /// Orchestral, chamber, choral and piano music.
    Classical,
    /// None of these, or not sure, or too little heard so far.
    #[default]
    Unknown,
}

impl Genre {
    /// All of them, in the order in which the model numbers them.
    pub const ALL: [Self; CLASSES] =
        [Self::Speech, Self::Rock, Self::Jazz, Self::Electronic, Self::Classical, Self::Unknown];

    /// Its name on the wire and in reports: `speech`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Speech => "speech",
            Self::Rock => "rock",
            Self::Jazz => "jazz",
            Self::Electronic => "electronic",
            Self::Classical => "classical",
            Self::Unknown => "unknown",
        }
    }

    /// The genre of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|genre| genre.name() == name)
    }

    /// Its place in [`ALL`](Self::ALL).
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Genre {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

//! What a room is made for.

use std::ops::RangeInclusive;

use super::{MixerError, SpeakerChoice};
use crate::stage::Stream;

/// What a participant's volume may be.
pub const VOLUME_DB: RangeInclusive<f32> = -60.0..=12.0;
/// What a participant's pan may be: -1 is left, 0 the middle, 1 right.
pub const PAN: RangeInclusive<f32> = -1.0..=1.0;

/// What a room is made for. It keeps this for its whole life.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MixerSettings {
    /// Rate (8,000 to 96,000 Hz) and channels (1 or 2) of every mix.
    pub stream: Stream,
    /// Sample frames in each block, 1 to 0.12 s of them.
    pub block_frames: usize,
    /// Places for participants, 1 to 1,024. A place takes room for a block once somebody has sat there; that room stays.
    pub capacity: usize,
    /// Who is heard.
    pub speakers: SpeakerChoice,
}

impl Default for MixerSettings {
    /// 64 places, 48 kHz mono, 20 ms.
    fn default() -> Self {
        Self {
            stream: Stream { sample_rate_hz: 48_000, channels: 1 },
            block_frames: 960,
            capacity: 64,
            speakers: SpeakerChoice::default(),
        }
    }
}

impl MixerSettings {
    /// Whether all of it can be had.
    pub(super) fn check(&self) -> Result<(), MixerError> {
        let longest_block = self.stream.sample_rate_hz as f64 * 0.12;
        let speakers = &self.speakers;
        let table = [
            ("sample_rate_hz", self.stream.sample_rate_hz as f64, 8_000.0, 96_000.0),
            ("channels", self.stream.channels as f64, 1.0, 2.0),
            ("block_frames", self.block_frames as f64, 1.0, longest_block),
            ("capacity", self.capacity as f64, 1.0, 1_024.0),
            ("max_speakers", speakers.max_speakers as f64, 1.0, 1_024.0),
            ("silence_dbfs", speakers.silence_dbfs.into(), -120.0, -20.0),
            ("hysteresis_db", speakers.hysteresis_db.into(), 0.0, 30.0),
            ("takeover_ms", speakers.takeover_ms.into(), 0.0, 5_000.0),
            ("hold_ms", speakers.hold_ms.into(), 0.0, 10_000.0),
        ];
        let bad = table.into_iter().find(|(_, got, least, most)| !(least..=most).contains(&got));
        bad.map_or(Ok(()), |(setting, got, least, most)| {
            Err(MixerError::Setting { setting, got, least, most })
        })
    }

    /// Milliseconds of a block.
    pub(super) fn block_ms(&self) -> f32 {
        1e3 * self.block_frames as f32 / self.stream.sample_rate_hz as f32
    }
}

//! What genre a recording is, as a whole.

use sandbox::genre::{Genre, GenreDetector};
use sandbox::Stream;
use serde::Serialize;

use crate::audio_file::Recording;

/// The genre that was heard for the longest time.
#[derive(Debug, Serialize)]
pub(super) struct GenreFacts {
    pub(super) genre: &'static str,
    /// Of the recording, 0 to 1.
    pub(super) share: f64,
}

impl GenreFacts {
    /// Listens to all of `recording`. What is heard is named some seconds after it began; that time counts as nothing.
    pub(super) fn of(recording: &Recording) -> GenreFacts {
        let stream = Stream {
            sample_rate_hz: recording.format.sample_rate,
            channels: recording.format.channels.into(),
        };
        let mut detector = GenreDetector::new(stream);
        let mut heard = [0_usize; Genre::ALL.len()];
        let second = stream.sample_rate_hz as usize * stream.channels;
        for block in recording.samples.chunks(second) {
            detector.process(block);
            heard[detector.genre().index()] += block.len();
        }
        let named = Genre::ALL.into_iter().filter(|genre| *genre != Genre::Unknown);
        let longest = named.max_by_key(|genre| heard[genre.index()]).filter(|genre| heard[genre.index()] > 0);
        let genre = longest.unwrap_or(Genre::Unknown);
        GenreFacts {
            genre: genre.name(),
            share: heard[genre.index()] as f64 / recording.samples.len().max(1) as f64,
        }
    }
}

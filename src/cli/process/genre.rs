//! What genre a recording is, as a whole and in its course.

use sandbox::genre::{Genre, GenreDetector};
use sandbox::Stream;
use serde::Serialize;

use crate::audio_file::Recording;

/// The detector is asked so often.
const LOOKS_PER_SECOND: usize = 10;

/// What was heard. The detector names a genre some seconds after it began; until then what it hears is `unknown`.
#[derive(Debug, Serialize)]
pub(super) struct GenreFacts {
    /// The one that was heard for the longest time; `unknown` if none was.
    pub(super) genre: &'static str,
    /// Of the recording, 0 to 1.
    pub(super) share: f64,
    /// Of all that were heard, `unknown` too, the largest first.
    pub(super) shares: Vec<Share>,
    /// In their order, from the beginning on.
    pub(super) parts: Vec<Part>,
}

#[derive(Debug, Serialize)]
pub(super) struct Share {
    pub(super) genre: &'static str,
    /// Of the recording, 0 to 1.
    pub(super) share: f64,
}

/// A time in which one genre was heard.
#[derive(Debug, Serialize)]
pub(super) struct Part {
    pub(super) genre: &'static str,
    pub(super) from_seconds: f64,
    pub(super) to_seconds: f64,
}

impl GenreFacts {
    /// Listens to all of `recording`.
    pub(super) fn of(recording: &Recording) -> GenreFacts {
        let stream = Stream {
            sample_rate_hz: recording.format.sample_rate,
            channels: recording.format.channels.into(),
        };
        let mut detector = GenreDetector::new(stream);
        let heard =
            recording.samples.chunks(stream.sample_rate_hz as usize / LOOKS_PER_SECOND * stream.channels);
        let heard = heard.map(|block| {
            detector.process(block);
            (detector.genre(), block.len() / stream.channels)
        });
        GenreFacts::from_course(heard, f64::from(stream.sample_rate_hz))
    }

    /// From what was heard for how many sample frames, in its course.
    fn from_course(heard: impl Iterator<Item = (Genre, usize)>, sample_rate_hz: f64) -> GenreFacts {
        let mut frames = 0;
        let mut of_each = [0_usize; Genre::ALL.len()];
        let mut parts: Vec<Part> = Vec::new();
        for (genre, more) in heard {
            let from_seconds = frames as f64 / sample_rate_hz;
            frames += more;
            of_each[genre.index()] += more;
            let to_seconds = frames as f64 / sample_rate_hz;
            match parts.last_mut().filter(|part| part.genre == genre.name()) {
                Some(part) => part.to_seconds = to_seconds,
                None => parts.push(Part { genre: genre.name(), from_seconds, to_seconds }),
            }
        }
        let share = |genre: Genre| of_each[genre.index()] as f64 / frames.max(1) as f64;
        let mut heard: Vec<Genre> = Genre::ALL.into_iter().filter(|genre| share(*genre) > 0.0).collect();
        heard.sort_by(|one, other| share(*other).total_cmp(&share(*one)));
        let longest = heard.iter().find(|genre| **genre != Genre::Unknown);
        let genre = longest.copied().unwrap_or(Genre::Unknown);
        GenreFacts {
            genre: genre.name(),
            share: share(genre),
            shares: heard
                .into_iter()
                .map(|genre| Share { genre: genre.name(), share: share(genre) })
                .collect(),
            parts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_whole_time_and_parts_follow_each_other() {
        let course = [(Genre::Unknown, 400), (Genre::Rock, 100), (Genre::Rock, 250), (Genre::Jazz, 250)];
        let facts = GenreFacts::from_course(course.into_iter(), 100.0);
        assert_eq!((facts.genre, facts.share), ("rock", 0.35));
        let shares: Vec<_> = facts.shares.iter().map(|share| (share.genre, share.share)).collect();
        assert_eq!(shares, [("unknown", 0.4), ("rock", 0.35), ("jazz", 0.25)]);
        let parts: Vec<_> =
            facts.parts.iter().map(|part| (part.genre, part.from_seconds, part.to_seconds)).collect();
        assert_eq!(parts, [("unknown", 0.0, 4.0), ("rock", 4.0, 7.5), ("jazz", 7.5, 10.0)]);
    }

    #[test]
    fn what_is_never_named_is_unknown() {
        let facts = GenreFacts::from_course([(Genre::Unknown, 7)].into_iter(), 100.0);
        assert_eq!((facts.genre, facts.share, facts.shares.len()), ("unknown", 1.0, 1));
    }
}

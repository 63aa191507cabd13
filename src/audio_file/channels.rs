//! From mono to stereo and back.

use std::borrow::Cow;

/// Interleaved samples of `from` channels as those of `to`, each 1 or 2: mono becomes two equal channels, stereo the mean
/// of both.
pub fn with_channels(samples: &[f32], from: u16, to: u16) -> Cow<'_, [f32]> {
    match (from, to) {
        (1, 2) => samples.iter().flat_map(|sample| [*sample; 2]).collect(),
        (2, 1) => samples.chunks_exact(2).map(|frame| 0.5 * (frame[0] + frame[1])).collect(),
        _ => samples.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_doubled_or_averaged() {
        assert_eq!(*with_channels(&[0.5, -0.25], 1, 2), [0.5, 0.5, -0.25, -0.25]);
        assert_eq!(*with_channels(&[0.5, 0.25, 1.0, -1.0], 2, 1), [0.375, 0.0]);
        assert_eq!(*with_channels(&[0.5, 0.25], 2, 2), [0.5, 0.25]);
    }
}

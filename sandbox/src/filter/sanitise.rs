//! Samples that are numbers, and not absurdly large.

use super::level::largest_magnitude_bits;

/// No sample is larger than this: 24 dB above full scale, so that nothing behind can overflow.
const LIMIT: f32 = 16.0;

/// Holds every sample within the limit; what is no number becomes 0.
pub(crate) fn within_limit(pcm: &mut [f32]) {
    // The bits of a magnitude rise with it, and those of infinity and NaN lie above all others.
    if largest_magnitude_bits(pcm.iter().copied()) > LIMIT.to_bits() {
        for sample in pcm {
            *sample = if sample.is_nan() { 0.0 } else { sample.clamp(-LIMIT, LIMIT) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_within_the_limit_pass_and_nothing_else_does() {
        let mut pcm = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -16.5, 16.0, -0.25, -0.0];
        within_limit(&mut pcm);
        assert_eq!(pcm, [0.0, 16.0, -16.0, 16.0, -16.0, 16.0, -0.25, 0.0]);
    }
}

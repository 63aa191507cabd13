//! Samples that are numbers, and neither absurdly large nor absurdly small.

/// No sample is larger than this: 24 dB above full scale, so that nothing behind can overflow.
const LIMIT: f32 = 16.0;

/// What is smaller is 0: 600 dB below full scale. Below 1.2e-38 numbers are subnormal, and every sum and product of them
/// takes a processor many times as long; here is room for what a stage makes them smaller still.
const SMALLEST: f32 = 1e-30;

/// Holds every sample within the limit; what is no number, and what is far too small to be heard, becomes 0.
pub(crate) fn within_limit(pcm: &mut [f32]) {
    const SIGN: u32 = 1 << 31;
    // The bits of a magnitude rise with it, and those of infinity and NaN lie above all others. As signed integers, for
    // which there are vector instructions everywhere.
    let (mut largest, smallest) = (0, SMALLEST.to_bits() as i32);
    for sample in pcm.iter_mut() {
        let magnitude = (sample.to_bits() & !SIGN) as i32;
        largest = largest.max(magnitude);
        *sample = if magnitude < smallest { 0.0 } else { *sample };
    }
    if largest > LIMIT.to_bits() as i32 {
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

    #[test]
    fn what_is_too_small_becomes_zero_and_all_else_stays_to_the_bit() {
        let smallest_normal = f32::MIN_POSITIVE;
        let small = [1e-45, -1e-45, 1e-40, smallest_normal, -9.9e-31, 9.9e-31, 0.0, -0.0];
        let heard = [1e-30, -1e-30, 1e-29, -1e-10, 0.5, -1.0, 1.0, 16.0];
        for length in 1..=8 {
            let mut pcm = [&small[8 - length..], &heard[8 - length..]].concat();
            within_limit(&mut pcm);
            assert!(pcm[..length].iter().all(|sample| sample.to_bits() == 0), "{pcm:?}");
            assert_eq!(pcm[length..], heard[8 - length..]);
        }
        // Beside samples that are held.
        let mut pcm = [f32::NAN, 1e-40, 100.0];
        within_limit(&mut pcm);
        assert_eq!(pcm, [0.0, 0.0, 16.0]);
    }
}

//! Converts the sample rate of a recording, aligned: what happens at a time in the input happens at the
//! same time in the output, and the output lasts as long as the input.

use super::format::SAMPLE_RATES_HZ;
use sandbox::resample::Resampler;

/// The sample rates Opus codes, in Hz (RFC 6716, section 2).
pub const OPUS_RATES_HZ: [u32; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];

/// The lowest rate of Opus that holds all of a recording at `sample_rate`: the rate itself, or the next one
/// up. Above 48 kHz it is 48 kHz.
pub fn opus_rate_for(sample_rate: u32) -> u32 {
    OPUS_RATES_HZ.into_iter().find(|&rate| rate >= sample_rate).unwrap_or(48_000)
}

/// Converts a stream of interleaved samples from one rate to another, a block at a time: the engine's own
/// [`Resampler`], aligned.
///
/// [`push`](Self::push) blocks of any length, then [`finish`](Self::finish). For `n` frames in it gives
/// [`frames_after`](Self::frames_after)`(n)` frames out.
pub struct RateConverter {
    resampler: Resampler,
}

impl RateConverter {
    /// A converter from `from` to `to` Hz for interleaved samples of `channels` channels. The first one in the process
    /// for its ratio designs a filter, which takes some milliseconds.
    ///
    /// # Panics
    /// If a rate is not among [`SAMPLE_RATES_HZ`] or there are neither 1 nor 2 channels: both are checked where a
    /// recording is read.
    pub fn new(from: u32, to: u32, channels: u16) -> Self {
        assert!([from, to].iter().all(|rate| SAMPLE_RATES_HZ.contains(rate)), "rates of {from} and {to} Hz");
        let resampler = Resampler::aligned(from, to, channels.into());
        Self { resampler: resampler.unwrap_or_else(|error| panic!("{error}")) }
    }

    /// How many frames `frames` frames become, to the nearest frame.
    pub fn frames_after(&self, frames: u64) -> u64 {
        converted_frames(frames, self.resampler.from_hz(), self.resampler.to_hz())
    }

    /// Takes interleaved samples, whole frames, and appends to `out` what they complete. Output trails the
    /// input by the filter's delay; [`finish`](Self::finish) brings the rest.
    ///
    /// # Panics
    /// If `input` does not hold whole frames.
    pub fn push(&mut self, input: &[f32], out: &mut Vec<f32>) {
        self.resampler.process(input, out);
    }

    /// Appends the rest, so that all output together lasts as long as all input did.
    pub fn finish(mut self, out: &mut Vec<f32>) {
        self.resampler.finish(out);
    }
}

/// `frames` at `from` Hz last as long as this many at `to` Hz, to the nearest frame.
pub(super) fn converted_frames(frames: u64, from: u32, to: u32) -> u64 {
    let (from, to) = (u128::from(from), u128::from(to));
    ((u128::from(frames) * to + from / 2) / from) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::f64::consts::TAU;

    fn convert(input: &[f32], from: u32, to: u32, channels: u16, block: usize) -> Vec<f32> {
        let mut converter = RateConverter::new(from, to, channels);
        let mut out = Vec::new();
        for piece in input.chunks(block * usize::from(channels)) {
            converter.push(piece, &mut out);
        }
        converter.finish(&mut out);
        out
    }

    /// A tone under a bell-shaped envelope, whose middle is at half a second.
    fn burst(rate: u32, hz: f64) -> Vec<f32> {
        (0..rate)
            .map(|n| {
                let t = f64::from(n) / f64::from(rate) - 0.5;
                ((TAU * hz * t).cos() * (-(t / 0.1).powi(2)).exp()) as f32
            })
            .collect()
    }

    /// By how many samples `b` comes later than `a`, where their cross-correlation is greatest.
    fn lag(a: &[f32], b: &[f32], most: isize) -> isize {
        let correlation = |lag: isize| -> f64 {
            (0..a.len() as isize)
                .filter_map(|n| {
                    Some(f64::from(a[n as usize]) * f64::from(*b.get(usize::try_from(n + lag).ok()?)?))
                })
                .sum()
        };
        (-most..=most).max_by(|&x, &y| correlation(x).total_cmp(&correlation(y))).unwrap()
    }

    #[test]
    fn a_burst_stays_where_it_was_and_as_loud() {
        for (from, to) in [
            (11_025, 12_000),
            (22_050, 24_000),
            (44_100, 48_000),
            (48_000, 8_000),
            (8_000, 48_000),
            (32_000, 48_000),
            (48_000, 44_100),
        ] {
            let expected = burst(to, 1_000.0);
            let converted = convert(&burst(from, 1_000.0), from, to, 1, 4_096);
            assert_eq!(converted.len(), expected.len(), "{from} to {to}");
            assert_eq!(lag(&expected, &converted, 60), 0, "{from} to {to}");
            let worst = expected.iter().zip(&converted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 0.03, "{from} to {to}: off by {worst}");
        }
    }

    #[test]
    fn what_the_lower_rate_can_not_hold_is_filtered_out() {
        let tone = burst(48_000, 6_000.0);
        let converted = convert(&tone, 48_000, 8_000, 1, 4_096);
        let loudest = converted.iter().fold(0.0f32, |most, s| most.max(s.abs()));
        assert!(loudest < 0.001, "{loudest} of a tone above the new Nyquist frequency is left");
    }

    #[test]
    fn what_both_rates_hold_stays_as_loud_up_to_90_percent_of_the_band() {
        for (from, to) in [(11_025, 12_000), (44_100, 48_000), (48_000, 8_000), (96_000, 48_000)] {
            let edge = 0.45 * f64::from(from.min(to));
            for hz in [0.1 * edge, 0.5 * edge, 0.98 * edge] {
                let power = |burst: &[f32], rate: u32| {
                    burst.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / f64::from(rate)
                };
                let tone = burst(from, hz);
                let gain_db =
                    10.0 * (power(&convert(&tone, from, to, 1, 4_096), to) / power(&tone, from)).log10();
                assert!(gain_db.abs() < 0.02, "{hz} Hz from {from} to {to}: {gain_db} dB");
            }
        }
    }

    #[test]
    fn channels_stay_apart() {
        let left = burst(16_000, 440.0);
        let stereo: Vec<f32> = left.iter().flat_map(|&l| [l, 0.0]).collect();
        let converted = convert(&stereo, 16_000, 24_000, 2, 777);
        assert!(converted.iter().skip(1).step_by(2).all(|&right| right == 0.0));
        let left_after: Vec<f32> = converted.iter().step_by(2).copied().collect();
        assert_eq!(left_after, convert(&left, 16_000, 24_000, 1, 777));
    }

    #[test]
    fn the_next_opus_rate_up_holds_the_recording() {
        let chosen = [8_000, 11_025, 12_000, 16_000, 22_050, 32_000, 44_100, 48_000].map(opus_rate_for);
        assert_eq!(chosen, [8_000, 12_000, 12_000, 16_000, 24_000, 48_000, 48_000, 48_000]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_length_in_time_stays_and_blocks_do_not_matter(
            from in prop::sample::select(&SAMPLE_RATES_HZ[..]), to in prop::sample::select(&OPUS_RATES_HZ[..]),
            frames in 0usize..5_000, channels in 1u16..=2, block in 1usize..3_000,
        ) {
            let input: Vec<f32> =
                (0..frames * usize::from(channels)).map(|n| ((n * n) % 200) as f32 / 200.0 - 0.5).collect();
            let converted = convert(&input, from, to, channels, block);
            let expected = converted_frames(frames as u64, from, to) as usize;
            prop_assert_eq!(converted.len(), expected * usize::from(channels));
            prop_assert_eq!(&converted, &convert(&input, from, to, channels, 1_000_000));
        }
    }
}

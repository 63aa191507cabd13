//! The true peak of a stream: how high the curve between its samples rises, after ITU-R BS.1770-4, annex 2.

use crate::filter::{TruePeak, LAG, LONGEST_GROUP};
use crate::level::{amplitude_to_db, SILENCE_DB};
use crate::Stream;

/// Measures the highest true peak, of all channels, since the start.
///
/// It costs next to nothing where the stream does not rise to what was seen before.
#[derive(Debug, Clone)]
pub struct TruePeakMeter {
    channels: usize,
    /// Sample frames of the group in the making.
    filled: usize,
    meters: [TruePeak; 2],
    highest: f32,
}

impl TruePeakMeter {
    /// By how many sample frames at the most the peaks that are known lie behind what was heard: for the last of a
    /// recording to count, so much silence must follow it.
    pub const LAG_FRAMES: usize = LAG + LONGEST_GROUP;

    /// A meter at the beginning of `stream`.
    pub fn new(stream: Stream) -> TruePeakMeter {
        let meter = TruePeak::new(LONGEST_GROUP);
        TruePeakMeter { channels: stream.channels, filled: 0, meters: [meter.clone(), meter], highest: 0.0 }
    }

    /// Forgets everything, and begins with `stream`.
    pub fn start(&mut self, stream: Stream) {
        *self = TruePeakMeter::new(stream);
    }

    /// Listens to whole sample frames.
    pub fn process(&mut self, block: &[f32]) {
        for frame in block.chunks_exact(self.channels) {
            for (meter, sample) in self.meters.iter_mut().zip(frame) {
                meter.group()[self.filled] = *sample;
            }
            self.filled += 1;
            if self.filled == LONGEST_GROUP {
                self.filled = 0;
                for meter in &mut self.meters[..self.channels] {
                    // Exact where it is above the highest so far, and not needed where it is not.
                    self.highest = self.highest.max(meter.measure(self.highest));
                }
            }
        }
    }

    /// The highest true peak since the start, in dB relative to full scale (dBTP); [`SILENCE_DB`] for silence.
    pub fn highest_dbtp(&self) -> f32 {
        if self.highest > 0.0 {
            amplitude_to_db(self.highest)
        } else {
            SILENCE_DB
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;

    use super::*;

    fn measured(channels: usize, sample: impl Fn(usize) -> f32, block: usize) -> f32 {
        let mut meter = TruePeakMeter::new(Stream { sample_rate_hz: 48_000, channels });
        let silence = [0.0; 2 * TruePeakMeter::LAG_FRAMES];
        let sound: Vec<f32> = (0..4_800 * channels).map(sample).chain(silence).collect();
        sound.chunks(block * channels).for_each(|block| meter.process(block));
        meter.highest_dbtp()
    }

    /// A quarter of the sample rate, sampled 45 degrees away from its tops, and faded in so that it has no edge.
    fn between(n: usize) -> f32 {
        let fade = (n as f32 / 2_400.0).min(1.0) * ((4_800 - n) as f32 / 2_400.0).min(1.0);
        0.5 * fade * (TAU * (n as f32 / 4.0 + 0.125)).sin()
    }

    #[test]
    fn the_top_of_a_tone_is_found_between_its_samples_however_it_is_cut() {
        // Its samples reach -9.03 dBFS, the tone -6.02 (EBU Tech 3341, test signal 15, allows -0.4 to +0.2 dB).
        let whole = measured(1, between, 4_800);
        assert!((whole + 6.02).abs() < 0.1, "{whole} dBTP");
        for block in [1, 7, 480] {
            assert_eq!(measured(1, between, block), whole);
        }
    }

    #[test]
    fn the_higher_channel_counts_and_silence_is_silence() {
        let right = measured(2, |n| if n % 2 == 1 { between(n / 2) } else { 0.0 }, 480);
        assert!((right + 6.02).abs() < 0.1, "{right} dBTP");
        assert_eq!(measured(1, |_| 0.0, 480), SILENCE_DB);
    }

    #[test]
    fn a_peak_whose_square_is_no_number_is_as_high_as_it_is() {
        // 600 dBFS.
        let found = measured(1, |n| if n == 2_000 { 1e30 } else { 0.0 }, 480);
        assert!((600.0..=601.0).contains(&found), "{found} dBTP");
    }
}

//! How loud a recording is.

use sandbox::{Loudness, Stream, TruePeakMeter};
use serde::Serialize;

use crate::audio_file::Recording;

/// Loudness and peaks of a whole recording. What there is none of (the loudness of silence, its level) is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Levels {
    /// Integrated loudness (EBU R 128).
    pub(super) integrated_lufs: Option<f32>,
    /// Loudness range (EBU Tech 3342).
    pub(super) range_lu: f32,
    /// The highest sample.
    pub(super) peak_dbfs: Option<f64>,
    /// The highest point of the curve between the samples (ITU-R BS.1770-4, annex 2).
    pub(super) true_peak_dbtp: Option<f32>,
    /// Root mean square of all samples; a full-scale sine has -3.01.
    pub(super) rms_dbfs: Option<f64>,
}

impl Levels {
    pub(super) fn of(recording: &Recording) -> Levels {
        let channels = usize::from(recording.format.channels);
        let stream = Stream { sample_rate_hz: recording.format.sample_rate, channels };
        let (mut loudness, mut true_peak) = (Loudness::new(stream), TruePeakMeter::new(stream));
        loudness.process(&recording.samples);
        true_peak.process(&recording.samples);
        true_peak.process(&[0.0; 2 * TruePeakMeter::LAG_FRAMES][..TruePeakMeter::LAG_FRAMES * channels]);
        let peak = recording.samples.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
        let sounds = peak > 0.0;
        Levels {
            integrated_lufs: loudness.integrated_lufs(),
            range_lu: loudness.range_lu(),
            peak_dbfs: sounds.then(|| 20.0 * f64::from(peak).log10()),
            true_peak_dbtp: sounds.then(|| true_peak.highest_dbtp()),
            rms_dbfs: sounds.then(|| recording.rms_dbfs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio_file::{SampleFormat, WavFormat};

    fn levels(samples: Vec<f32>) -> Levels {
        let format = WavFormat { sample_rate: 48_000, channels: 1, sample_format: SampleFormat::F32 };
        Levels::of(&Recording { format, samples })
    }

    #[test]
    fn a_sine_has_the_levels_that_the_standards_say() {
        // BS.1770-4: 997 Hz at full scale in one channel is -3.01 LKFS.
        let tone = |n: u32| (std::f64::consts::TAU * 997.0 * f64::from(n) / 48_000.0).sin() as f32;
        let levels = levels((0..240_000).map(tone).collect());
        assert!((levels.integrated_lufs.unwrap() + 3.01).abs() < 0.02, "{levels:?}");
        assert!((levels.rms_dbfs.unwrap() + 3.01).abs() < 0.01, "{levels:?}");
        assert!(levels.peak_dbfs.unwrap().abs() < 0.01 && levels.range_lu < 0.1, "{levels:?}");
        assert!(levels.true_peak_dbtp.unwrap() >= levels.peak_dbfs.unwrap() as f32, "{levels:?}");
    }

    #[test]
    fn silence_has_none() {
        let levels = levels(vec![0.0; 48_000]);
        assert_eq!((levels.integrated_lufs, levels.peak_dbfs, levels.rms_dbfs), (None, None, None));
    }
}

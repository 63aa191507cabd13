//! A whole recording in memory.

use super::format::WavFormat;
use super::rate::{converted_frames, RateConverter};
use super::wav_reader::{WavError, WavReader};
use super::wav_writer::{WavWriteError, WavWriter};
use std::io::{Read, Seek, Write};
use std::time::Duration;

/// A recording: interleaved samples with full scale at 1.0, and the format it has, or will have, as a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Rate, channels, and how a file stores the samples.
    pub format: WavFormat,
    /// Interleaved; whole frames.
    pub samples: Vec<f32>,
}

impl Recording {
    /// Reads a WAV file from its bytes. Takes at most four bytes of memory for each byte given.
    ///
    /// # Errors
    /// [`WavError`], which says what was found and what is accepted.
    pub fn from_wav(bytes: &[u8]) -> Result<Self, WavError> {
        let reader = WavReader::new(bytes)?;
        let format = reader.format();
        let mut samples = vec![0.0; reader.frames() * usize::from(format.channels)];
        reader.read(0, &mut samples);
        Ok(Self { format, samples })
    }

    /// Reads a WAV file to its end, at most `limit` bytes of it.
    ///
    /// # Errors
    /// [`WavError::TooLarge`] when there is more, [`WavError::Io`], or what is wrong with the bytes.
    pub fn read_wav(source: impl Read, limit: u64) -> Result<Self, WavError> {
        let mut bytes = Vec::new();
        source.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(WavError::TooLarge { limit });
        }
        Self::from_wav(&bytes)
    }

    /// Writes it as a WAV file of its [`format`](Self::format), starting at the beginning of `out`.
    ///
    /// # Errors
    /// [`WavWriteError`].
    pub fn write_wav(&self, out: impl Write + Seek) -> Result<(), WavWriteError> {
        let mut writer = WavWriter::new(out, self.format)?;
        writer.write(&self.samples)?;
        writer.finish()
    }

    /// How many frames (one sample of each channel) it holds.
    pub fn frames(&self) -> usize {
        self.samples.len() / usize::from(self.format.channels).max(1)
    }

    /// How long it lasts.
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.frames() as f64 / f64::from(self.format.sample_rate.max(1)))
    }

    /// The same recording at another rate: aligned, and as long, to the nearest frame.
    ///
    /// # Panics
    /// As [`RateConverter::new`].
    #[must_use]
    pub fn at_rate(&self, sample_rate: u32) -> Self {
        let WavFormat { sample_rate: from, channels, .. } = self.format;
        let frames = converted_frames(self.frames() as u64, from, sample_rate) as usize;
        let mut samples = Vec::with_capacity(frames * usize::from(channels));
        let mut converter = RateConverter::new(from, sample_rate, channels);
        converter.push(&self.samples, &mut samples);
        converter.finish(&mut samples);
        Self { format: WavFormat { sample_rate, ..self.format }, samples }
    }

    /// Root mean square of all samples in dB relative to full scale (a square wave at full scale is 0 dB);
    /// minus infinity for silence and for no samples.
    pub fn rms_dbfs(&self) -> f64 {
        let energy: f64 = self.samples.iter().map(|&sample| f64::from(sample).powi(2)).sum();
        10.0 * (energy / self.samples.len().max(1) as f64).log10()
    }
}

#[cfg(test)]
mod tests {
    use super::super::SampleFormat;
    use super::*;
    use std::io::Cursor;

    fn recording(sample_rate: u32, channels: u16, frames: usize) -> Recording {
        let format = WavFormat { sample_rate, channels, sample_format: SampleFormat::I24 };
        let samples = (0..frames * usize::from(channels)).map(|n| ((n as f32) * 0.01).sin() * 0.5).collect();
        Recording { format, samples }
    }

    #[test]
    fn a_recording_survives_its_file() {
        let original = recording(22_050, 2, 1_000);
        let mut bytes = Cursor::new(Vec::new());
        original.write_wav(&mut bytes).unwrap();
        let back = Recording::read_wav(Cursor::new(bytes.get_ref()), u64::MAX).unwrap();
        assert_eq!(back.format, original.format);
        let worst =
            original.samples.iter().zip(&back.samples).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= 0.5 / 8_388_608.0, "{worst}");
        assert_eq!(back.duration(), Duration::from_secs_f64(1_000.0 / 22_050.0));
    }

    #[test]
    fn more_bytes_than_allowed_are_not_read() {
        let mut bytes = Cursor::new(Vec::new());
        recording(8_000, 1, 100).write_wav(&mut bytes).unwrap();
        let bytes = bytes.into_inner();
        let limit = bytes.len() as u64;
        assert!(Recording::read_wav(&bytes[..], limit).is_ok());
        assert!(matches!(Recording::read_wav(&bytes[..], limit - 1), Err(WavError::TooLarge { .. })));
        assert!(matches!(
            Recording::read_wav(std::io::repeat(b'R'), 1_000),
            Err(WavError::TooLarge { limit: 1_000 })
        ));
    }

    #[test]
    fn there_and_back_again_keeps_length_and_sound() {
        for rate in [11_025, 22_050, 32_000, 44_100] {
            let original = recording(rate, 2, 30_001);
            let back = original.at_rate(super::super::opus_rate_for(rate)).at_rate(rate);
            assert_eq!(back.format, original.format);
            assert_eq!(back.frames(), original.frames());
            // the edges, where the recording begins out of nothing, ring
            let worst = original.samples[4_000..56_000]
                .iter()
                .zip(&back.samples[4_000..])
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(worst < 0.001, "{rate} Hz: off by {worst}");
        }
    }

    #[test]
    fn levels_are_in_db_of_full_scale() {
        let format = WavFormat { sample_rate: 8_000, channels: 1, sample_format: SampleFormat::I16 };
        let of = |samples: Vec<f32>| Recording { format, samples }.rms_dbfs();
        assert!((of(vec![1.0, -1.0]) - 0.0).abs() < 1e-9);
        assert!((of(vec![0.1, -0.1]) + 20.0).abs() < 1e-5);
        assert_eq!(of(vec![0.0; 10]), f64::NEG_INFINITY);
        assert_eq!(of(vec![]), f64::NEG_INFINITY);
    }
}

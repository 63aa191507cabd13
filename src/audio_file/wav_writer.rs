//! Writes WAV, one block of frames at a time.

use super::format::{SampleFormat, WavFormat};
use std::io::{Seek, Write};

/// Why a WAV file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WavWriteError {
    /// A WAV file's lengths have 32 bits.
    #[error(
        "the recording is too long for a WAV file: {bytes} bytes of samples, {} fit",
        WavWriteError::MAX_DATA_BYTES
    )]
    TooLong {
        /// Bytes the samples would take.
        bytes: u64,
    },
    /// The block does not hold whole frames.
    #[error("{samples} samples are no whole number of frames of {channels} channels")]
    PartialFrame {
        /// Interleaved samples in the block.
        samples: usize,
        /// Channels of the file.
        channels: u16,
    },
    /// The format can't be written.
    #[error("a WAV file of {0} can't be written")]
    UnsupportedFormat(WavFormat),
    /// The bytes could not be written.
    #[error("writing the WAV file failed")]
    Io(#[from] std::io::Error),
}

impl WavWriteError {
    /// Leaves room for the header, whose RIFF length counts itself.
    const MAX_DATA_BYTES: u64 = u32::MAX as u64 - 100;

    fn of(error: hound::Error, format: WavFormat) -> Self {
        match error {
            hound::Error::IoError(error) => WavWriteError::Io(error),
            _ => WavWriteError::UnsupportedFormat(format),
        }
    }
}

/// Writes samples as a WAV file. [`finish`](Self::finish) puts the final lengths into the header.
///
/// Each sample is written on its own, so give it a `BufWriter` or a `Cursor`; `&mut` of either is a writer
/// too, and gives it back afterwards.
pub struct WavWriter<W: Write + Seek> {
    format: WavFormat,
    inner: hound::WavWriter<W>,
    data_bytes: u64,
}

impl<W: Write + Seek> WavWriter<W> {
    /// Starts a WAV file of `format` at the beginning of `out`.
    ///
    /// # Errors
    /// [`WavWriteError::UnsupportedFormat`] for a format without channels, [`WavWriteError::Io`] when the
    /// header can't be written.
    pub fn new(out: W, format: WavFormat) -> Result<Self, WavWriteError> {
        if format.channels == 0 {
            return Err(WavWriteError::UnsupportedFormat(format));
        }
        let spec = hound::WavSpec {
            channels: format.channels,
            sample_rate: format.sample_rate,
            bits_per_sample: format.sample_format.bytes() as u16 * 8,
            sample_format: match format.sample_format {
                SampleFormat::F32 => hound::SampleFormat::Float,
                _ => hound::SampleFormat::Int,
            },
        };
        let inner = hound::WavWriter::new(out, spec).map_err(|error| WavWriteError::of(error, format))?;
        Ok(Self { format, inner, data_bytes: 0 })
    }

    /// Bytes that a file of `frames` frames of `format` takes, its header included.
    ///
    /// # Errors
    /// [`WavWriteError::TooLong`].
    pub fn file_bytes(format: WavFormat, frames: u64) -> Result<u64, WavWriteError> {
        let bytes = frames.saturating_mul(format.frame_bytes() as u64);
        if bytes > WavWriteError::MAX_DATA_BYTES {
            return Err(WavWriteError::TooLong { bytes });
        }
        // `hound` writes the extensible kind of `fmt ` chunk for what the plain kind does not describe.
        let is_plain = format.channels <= 2 && format.sample_format.bytes() <= 2;
        Ok(bytes + if is_plain { 44 } else { 68 })
    }

    /// Appends interleaved samples. Integers are rounded to the nearest step, and what lies beyond full
    /// scale is clipped; not a number is written as silence.
    ///
    /// # Errors
    /// [`WavWriteError::PartialFrame`], [`WavWriteError::TooLong`] before anything of the block is written,
    /// [`WavWriteError::Io`].
    pub fn write(&mut self, samples: &[f32]) -> Result<(), WavWriteError> {
        if !samples.len().is_multiple_of(usize::from(self.format.channels)) {
            return Err(WavWriteError::PartialFrame {
                samples: samples.len(),
                channels: self.format.channels,
            });
        }
        let bytes = self.data_bytes + samples.len() as u64 * self.format.sample_format.bytes() as u64;
        if bytes > WavWriteError::MAX_DATA_BYTES {
            return Err(WavWriteError::TooLong { bytes });
        }
        self.data_bytes = bytes;
        let written = match self.format.sample_format.full_scale() {
            None => samples.iter().try_for_each(|&sample| {
                self.inner.write_sample(if sample.is_finite() { sample } else { 0.0 })
            }),
            Some(full_scale) => samples.iter().try_for_each(|&sample| {
                let steps = (f64::from(sample) * full_scale).round();
                // `as` saturates and turns NaN into 0
                self.inner.write_sample(steps.clamp(-full_scale, full_scale - 1.0) as i32)
            }),
        };
        written.map_err(|error| WavWriteError::of(error, self.format))
    }

    /// Puts the lengths into the header and flushes.
    ///
    /// # Errors
    /// [`WavWriteError::Io`].
    pub fn finish(self) -> Result<(), WavWriteError> {
        self.inner.finalize().map_err(|error| WavWriteError::of(error, self.format))
    }
}

#[cfg(test)]
mod tests {
    use super::super::WavReader;
    use super::super::SAMPLE_RATES_HZ;
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn written(format: WavFormat, samples: &[f32]) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = WavWriter::new(&mut bytes, format).unwrap();
        writer.write(samples).unwrap();
        writer.finish().unwrap();
        bytes.into_inner()
    }

    fn any_format() -> impl Strategy<Value = WavFormat> {
        let sample_format = prop_oneof![
            Just(SampleFormat::U8),
            Just(SampleFormat::I16),
            Just(SampleFormat::I24),
            Just(SampleFormat::I32),
            Just(SampleFormat::F32),
        ];
        let sample_rate = prop::sample::select(&SAMPLE_RATES_HZ[..]);
        (sample_rate, 1u16..=2, sample_format).prop_map(|(sample_rate, channels, sample_format)| WavFormat {
            sample_rate,
            channels,
            sample_format,
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_within_half_a_step(
            format in any_format(), mut samples in prop::collection::vec(-1.5f32..1.5, 0..64),
        ) {
            samples.truncate(samples.len() / 2 * 2);
            let bytes = written(format, &samples);
            let frames = samples.len() / usize::from(format.channels);
            prop_assert_eq!(WavWriter::<Cursor<Vec<u8>>>::file_bytes(format, frames as u64).unwrap(), bytes.len() as u64);
            let reader = WavReader::new(&bytes).unwrap();
            prop_assert_eq!(reader.format(), format);
            let mut back = vec![0.0; samples.len()];
            reader.read(0, &mut back);
            prop_assert_eq!(reader.frames() * usize::from(format.channels), samples.len());
            for (was, is) in samples.iter().zip(&back) {
                match format.sample_format.full_scale() {
                    None => prop_assert_eq!(was, is),
                    Some(full_scale) => {
                        let step = 1.0 / full_scale as f32;
                        let clipped = was.clamp(-1.0, 1.0 - step);
                        prop_assert!((clipped - is).abs() <= step.max(1.2e-7) / 2.0, "{} {}", was, is);
                    }
                }
            }
        }

        #[test]
        fn integers_up_to_24_bits_survive_a_round_trip_bit_by_bit(
            data in prop::collection::vec(any::<u8>(), 0..600),
            sample_format in prop_oneof![Just(SampleFormat::U8), Just(SampleFormat::I16), Just(SampleFormat::I24)],
        ) {
            let format = WavFormat { sample_rate: 11_025, channels: 1, sample_format };
            let data = &data[..data.len() / 6 * 6];
            let mut bytes = written(format, &vec![0.0; data.len() / sample_format.bytes()]);
            let header = bytes.len() - data.len();
            bytes[header..].copy_from_slice(data);
            let reader = WavReader::new(&bytes).unwrap();
            let mut samples = vec![0.0; reader.frames()];
            reader.read(0, &mut samples);
            prop_assert_eq!(written(format, &samples), bytes);
        }
    }

    #[test]
    fn not_a_number_is_written_as_silence() {
        for sample_format in [SampleFormat::I16, SampleFormat::F32] {
            let format = WavFormat { sample_rate: 8_000, channels: 1, sample_format };
            assert_eq!(written(format, &[f32::NAN]), written(format, &[0.0]));
        }
    }

    #[test]
    fn half_a_frame_is_refused() {
        let format = WavFormat { sample_rate: 8_000, channels: 2, sample_format: SampleFormat::I16 };
        let mut writer = WavWriter::new(Cursor::new(Vec::new()), format).unwrap();
        assert!(matches!(
            writer.write(&[0.0; 3]),
            Err(WavWriteError::PartialFrame { samples: 3, channels: 2 })
        ));
    }
}

//! Uncompressed samples as bytes: what clients send and get that don't speak Opus.
//!
//! Samples are interleaved, little-endian, full scale at +-1 in memory:
//!
//! | format | bytes | what they hold | in memory |
//! | --- | --- | --- | --- |
//! | `f32le` | 4 | IEEE 754 binary32 | as it is |
//! | `s24le` | 3 | two's complement, packed | divided by 2^23 |
//! | `s16le` | 2 | two's complement | divided by 2^15 |
//!
//! Both integer formats fit into an `f32` exactly, so decoding and encoding them again gives the same bytes. Encoding
//! clips at full scale, which is -1 to 1 - 1 step, and rounds to nearest, a half to even.
//!
//! **No dither.** Rounding alone leaves an error 98 dB below full scale at 16 bits, under the noise of any microphone
//! that fed the stream. Dither would raise it by 4.8 dB, give digital silence a hiss, change samples that were only
//! passed through, and make the same input give different bytes.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The loudest sample that is accepted as `f32le`: 24 dB above full scale, beyond anything that is meant as sound.
///
/// Larger numbers are nearly always another format, read as this one; an error helps more than a burst of noise.
pub const LOUDEST_SAMPLE: f32 = 16.0;

/// How samples are stored in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SampleFormat {
    /// 32-bit IEEE 754, little-endian.
    F32Le,
    /// 24 bits in three bytes, signed, little-endian.
    S24Le,
    /// 16 bits, signed, little-endian.
    S16Le,
}

/// Why bytes were not taken as samples. Nothing was appended.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum PcmError {
    /// The bytes end within a sample frame.
    #[error(
        "{bytes} bytes are no whole number of sample frames: {format} with {channels} channel(s) takes {frame_bytes} \
         bytes for each"
    )]
    PartialFrame {
        /// Bytes that came.
        bytes: usize,
        /// The format in force.
        format: SampleFormat,
        /// The channels in force.
        channels: usize,
        /// Bytes of one sample frame.
        frame_bytes: usize,
    },
    /// A sample that is no number, infinite, or absurdly loud.
    #[error(
        "sample {index}, counted from 0 through all channels, is {got:?}: accepted are numbers from -{LOUDEST_SAMPLE} to \
         {LOUDEST_SAMPLE}, with full scale at 1"
    )]
    Sample {
        /// Which sample.
        index: usize,
        /// What it was.
        got: f32,
    },
}

/// A name that is no format's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("got {got:?}, accepted: f32le, s24le or s16le")]
pub struct UnknownFormat {
    /// The name, cut to a printable length.
    pub got: String,
}

impl SampleFormat {
    /// All of them.
    pub const ALL: [SampleFormat; 3] = [SampleFormat::F32Le, SampleFormat::S24Le, SampleFormat::S16Le];

    /// The name that clients use.
    pub const fn name(self) -> &'static str {
        match self {
            SampleFormat::F32Le => "f32le",
            SampleFormat::S24Le => "s24le",
            SampleFormat::S16Le => "s16le",
        }
    }

    /// Bytes that one sample takes.
    pub const fn bytes(self) -> usize {
        match self {
            SampleFormat::F32Le => 4,
            SampleFormat::S24Le => 3,
            SampleFormat::S16Le => 2,
        }
    }

    /// Appends the samples that `bytes` hold, interleaved, to `samples`. With room for them it allocates nothing.
    ///
    /// # Errors
    /// If `bytes` do not hold whole sample frames of `channels` channels, or a float is not within
    /// +-[`LOUDEST_SAMPLE`]. Then `samples` is as it was.
    pub fn decode(self, bytes: &[u8], channels: usize, samples: &mut Vec<f32>) -> Result<(), PcmError> {
        let frame_bytes = self.bytes() * channels;
        if frame_bytes == 0 || !bytes.len().is_multiple_of(frame_bytes) {
            return Err(PcmError::PartialFrame { bytes: bytes.len(), format: self, channels, frame_bytes });
        }
        match self {
            SampleFormat::F32Le => {
                let begin = samples.len();
                samples.extend(arrays(bytes).map(f32::from_le_bytes));
                let new = &samples[begin..];
                // All of them are looked at, without a branch for each; NaN compares as false.
                let fine = |sample: f32| sample.abs() <= LOUDEST_SAMPLE;
                if !new.iter().fold(true, |all, &sample| all & fine(sample)) {
                    let bad = new.iter().enumerate().find(|(_, &sample)| !fine(sample));
                    let (index, got) = bad.map_or((0, f32::NAN), |(index, &sample)| (index, sample));
                    samples.truncate(begin);
                    return Err(PcmError::Sample { index, got });
                }
            }
            SampleFormat::S24Le => samples.extend(arrays(bytes).map(|[low, middle, high]| {
                // In the upper three bytes, so that the shift down brings the sign along.
                (i32::from_le_bytes([0, low, middle, high]) >> 8) as f32 / S24_STEPS as f32
            })),
            SampleFormat::S16Le => {
                samples
                    .extend(arrays(bytes).map(|pair| f32::from(i16::from_le_bytes(pair)) / S16_STEPS as f32));
            }
        }
        Ok(())
    }

    /// Appends `samples` to `bytes`. With room for them it allocates nothing.
    ///
    /// Integers are clipped and rounded; floats go out as they are, also beyond full scale. What is no number becomes 0
    /// in the integer formats.
    pub fn encode(self, samples: &[f32], bytes: &mut Vec<u8>) {
        match self {
            SampleFormat::F32Le => bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes())),
            SampleFormat::S24Le => {
                bytes.extend(samples.iter().flat_map(|&sample| {
                    let [low, middle, high, _] = quantised(sample, S24_STEPS).to_le_bytes();
                    [low, middle, high]
                }));
            }
            SampleFormat::S16Le => {
                bytes.extend(
                    samples.iter().flat_map(|&sample| (quantised(sample, S16_STEPS) as i16).to_le_bytes()),
                );
            }
        }
    }
}

impl fmt::Display for SampleFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for SampleFormat {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<SampleFormat, UnknownFormat> {
        SampleFormat::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or_else(|| UnknownFormat { got: name.chars().take(40).collect() })
    }
}

/// Steps from 0 to full scale.
const S16_STEPS: i32 = 1 << 15;
const S24_STEPS: i32 = 1 << 23;

/// The nearest of the steps -`steps` to `steps` - 1.
fn quantised(sample: f32, steps: i32) -> i32 {
    // Added and taken away again it leaves no place for a fraction: the processor's rounding to nearest or even, without
    // the call into the mathematics library that `round` is on plain x86-64.
    const NO_FRACTION: f64 = 1.5 * (1u64 << 52) as f64;

    let scaled = f64::from(sample) * f64::from(steps);
    let within = scaled.clamp(f64::from(-steps), f64::from(steps - 1));
    ((within + NO_FRACTION) - NO_FRACTION) as i32
}

/// `bytes` in pieces of `N`; what is left over is left out.
fn arrays<const N: usize>(bytes: &[u8]) -> impl ExactSizeIterator<Item = [u8; N]> + '_ {
    bytes.chunks_exact(N).map(|piece| {
        let mut array = [0; N];
        array.copy_from_slice(piece);
        array
    })
}

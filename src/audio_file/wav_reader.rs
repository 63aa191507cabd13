//! Reads WAV (RIFF/WAVE) from bytes, one block of frames at a time.
//!
//! The chunks are walked here rather than by `hound`, because files in the wild need what it does not do:
//! chunks of odd length are padded to even ones, programs that write to a pipe leave the length of the
//! data unknown, and `fmt ` chunks come in several sizes. In the tests `hound` is the other implementation
//! that this one is compared with.
//!
//! Sources: *Multimedia Programming Interface and Data Specifications 1.0* (IBM and Microsoft, 1991) for
//! RIFF and `fmt `; Microsoft's `WAVEFORMATEXTENSIBLE` for format tag 0xFFFE.

use super::format::{SampleFormat, WavFormat, SAMPLE_RATES_HZ};

const TAG_PCM: u16 = 0x0001;
const TAG_IEEE_FLOAT: u16 = 0x0003;
const TAG_EXTENSIBLE: u16 = 0xFFFE;
/// Bytes 2 to 15 of the sub-format GUIDs whose first two bytes are a plain format tag.
const SUBFORMAT_SUFFIX: [u8; 14] =
    [0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x80, 0x00, 0x00, 0xAA, 0x00, 0x38, 0x9B, 0x71];
/// A data length from here on that the file does not hold means "unknown": programs that can't seek back
/// write the largest length they can (SoX 0x7FFFF000, FFmpeg 0xFFFFFFFF).
const UNKNOWN_LENGTH: u32 = 0x7FFF_F000;

/// More chunks than that before the samples are no recording: it must not take long to find out what one is.
const MAX_CHUNKS: usize = 1_000;

/// Why bytes are not a WAV recording that can be read.
#[derive(Debug, thiserror::Error)]
pub enum WavError {
    /// The bytes don't begin like a WAV file.
    #[error("not a WAV file: it begins with {found}, expected RIFF....WAVE")]
    NotWav {
        /// The first bytes, printable.
        found: String,
    },
    /// A chunk that every WAV file has is not there.
    #[error("the WAV file has no `{chunk}` chunk{}", if *chunk == "fmt " { " before its samples" } else { "" })]
    MissingChunk {
        /// `fmt ` or `data`.
        chunk: &'static str,
    },
    /// The samples come after more chunks than are looked at.
    #[error("the WAV file's samples don't begin within its first {MAX_CHUNKS} chunks")]
    TooManyChunks,
    /// The `fmt ` chunk contradicts itself or is too short.
    #[error("the WAV file's `fmt ` chunk is malformed: {0}")]
    MalformedFormat(String),
    /// The samples are compressed or in an encoding of their own.
    #[error("WAV encoding 0x{tag:04X}{} is not supported; accepted are PCM (0x0001) and IEEE float (0x0003)", tag_name(*tag))]
    UnsupportedEncoding {
        /// The format tag of the file.
        tag: u16,
    },
    /// A sample size that is not read.
    #[error("{bits}-bit {} samples are not supported; accepted are 8, 16, 24 and 32-bit PCM and 32-bit float", if *float { "float" } else { "PCM" })]
    UnsupportedSampleSize {
        /// Bits of a sample's container.
        bits: u32,
        /// Whether the samples are floats.
        float: bool,
    },
    /// A sample rate that is not among [`SAMPLE_RATES_HZ`].
    #[error("sample rate {got} Hz is not supported; accepted are {} Hz", accepted_rates())]
    UnsupportedSampleRate {
        /// The rate of the file, in Hz.
        got: u32,
    },
    /// More than two channels, or none.
    #[error("{got} channels are not supported; accepted are 1 (mono) and 2 (stereo)")]
    UnsupportedChannels {
        /// The channels of the file.
        got: u16,
    },
    /// The file ends before its samples do.
    #[error("the WAV file is cut short: it announces {announced} bytes of samples, {present} are there")]
    Truncated {
        /// The length in the `data` chunk's header.
        announced: u32,
        /// The bytes that follow that header.
        present: usize,
    },
    /// More bytes than the caller allows.
    #[error("the WAV file is larger than the {limit} bytes accepted")]
    TooLarge {
        /// The most bytes that are accepted.
        limit: u64,
    },
    /// The bytes could not be read at all.
    #[error("reading the WAV file failed")]
    Io(#[from] std::io::Error),
}

fn accepted_rates() -> String {
    let [all @ .., last] = SAMPLE_RATES_HZ.map(|rate| rate.to_string());
    format!("{} and {last}", all.join(", "))
}

/// What is known by name among the encodings that are not read, so that a message can say it.
fn tag_name(tag: u16) -> &'static str {
    match tag {
        0x0002 | 0x0011 => " (ADPCM)",
        0x0006 => " (A-law)",
        0x0007 => " (mu-law)",
        0x0031 => " (GSM 6.10)",
        0x0050 | 0x0055 => " (MPEG audio)",
        0x00FF | 0x1610 => " (AAC)",
        _ => "",
    }
}

/// A WAV file's samples, read from bytes in memory. Nothing is copied and nothing is allocated.
#[derive(Debug, Clone)]
pub struct WavReader<'a> {
    format: WavFormat,
    /// Whole frames only.
    data: &'a [u8],
}

impl<'a> WavReader<'a> {
    /// Finds the format and the samples in `bytes`.
    ///
    /// An incomplete last frame is left out. A data length that says "unknown" means the rest of the file.
    ///
    /// # Errors
    /// [`WavError`], which says what was found and what is accepted.
    pub fn new(bytes: &'a [u8]) -> Result<Self, WavError> {
        let riff_length = check_riff_header(bytes)?;
        let mut chunks = &bytes[12..];
        let mut format = None;
        for _ in 0..MAX_CHUNKS {
            let Some((id, length, rest)) = split_chunk_header(chunks) else {
                return Err(WavError::MissingChunk { chunk: if format.is_none() { "fmt " } else { "data" } });
            };
            match &id {
                b"fmt " => {
                    let body = rest.get(..length as usize).unwrap_or(rest);
                    format = Some(parse_format(body)?);
                }
                b"data" => {
                    let format = format.ok_or(WavError::MissingChunk { chunk: "fmt " })?;
                    let unknown =
                        length >= UNKNOWN_LENGTH || (length == 0 && matches!(riff_length, 0 | u32::MAX));
                    let data = match rest.get(..length as usize) {
                        Some(data) if length > 0 || !unknown => data,
                        _ if unknown => rest,
                        _ => return Err(WavError::Truncated { announced: length, present: rest.len() }),
                    };
                    let whole = data.len() - data.len() % format.frame_bytes();
                    return Ok(Self { format, data: &data[..whole] });
                }
                _ => {}
            }
            let padded = length as usize + (length as usize & 1);
            chunks = rest.get(padded..).unwrap_or_default();
        }
        Err(WavError::TooManyChunks)
    }

    /// The format of the file.
    pub fn format(&self) -> WavFormat {
        self.format
    }

    /// How many frames the file holds.
    pub fn frames(&self) -> usize {
        self.data.len() / self.format.frame_bytes()
    }

    /// Reads frames from frame number `first` on into the interleaved samples of `out`, as many as fit and
    /// are there, and says how many frames those were: 0 past the end. Full scale is 1.0. A float sample
    /// that is not a finite number reads as silence.
    pub fn read(&self, first: usize, out: &mut [f32]) -> usize {
        let channels = usize::from(self.format.channels);
        let frames = (out.len() / channels).min(self.frames().saturating_sub(first));
        let frame_bytes = self.format.frame_bytes();
        let Some(stored) = self.data.get(first.saturating_mul(frame_bytes)..) else { return 0 };
        let stored = &stored[..frames * frame_bytes];
        let out = &mut out[..frames * channels];
        match self.format.sample_format {
            SampleFormat::U8 => {
                for (sample, &byte) in out.iter_mut().zip(stored) {
                    *sample = (f32::from(byte) - 128.0) / 128.0;
                }
            }
            SampleFormat::I16 => {
                convert(stored, out, |b: [u8; 2]| f32::from(i16::from_le_bytes(b)) / 32_768.0)
            }
            SampleFormat::I24 => convert(stored, out, |[low, mid, high]: [u8; 3]| {
                // exact: 24 bits fit the mantissa
                (i32::from_le_bytes([0, low, mid, high]) >> 8) as f32 / 8_388_608.0
            }),
            SampleFormat::I32 => {
                convert(stored, out, |b: [u8; 4]| i32::from_le_bytes(b) as f32 / 2_147_483_648.0)
            }
            SampleFormat::F32 => convert(stored, out, |b: [u8; 4]| {
                let value = f32::from_le_bytes(b);
                if value.is_finite() {
                    value
                } else {
                    0.0
                }
            }),
        }
        frames
    }
}

fn convert<const N: usize>(stored: &[u8], out: &mut [f32], sample_of: impl Fn([u8; N]) -> f32) {
    for (sample, bytes) in out.iter_mut().zip(stored.chunks_exact(N)) {
        let mut array = [0; N];
        array.copy_from_slice(bytes);
        *sample = sample_of(array);
    }
}

/// The length in the RIFF header.
fn check_riff_header(bytes: &[u8]) -> Result<u32, WavError> {
    if bytes.len() < 12 || !bytes.starts_with(b"RIFF") || &bytes[8..12] != b"WAVE" {
        let found = match bytes.get(..12.min(bytes.len())) {
            None | Some([]) => "nothing (it is empty)".to_string(),
            Some(first) => format!("\"{}\"", first.escape_ascii()),
        };
        return Err(WavError::NotWav { found });
    }
    Ok(u32_at(bytes, 4))
}

/// A chunk's name, the length it announces, and all bytes after its header.
fn split_chunk_header(bytes: &[u8]) -> Option<([u8; 4], u32, &[u8])> {
    let (header, rest) = bytes.split_at_checked(8)?;
    Some(([header[0], header[1], header[2], header[3]], u32_at(header, 4), rest))
}

fn parse_format(body: &[u8]) -> Result<WavFormat, WavError> {
    if body.len() < 16 {
        return Err(WavError::MalformedFormat(format!("{} bytes long, at least 16 needed", body.len())));
    }
    let channels = u16_at(body, 2);
    let sample_rate = u32_at(body, 4);
    let block_align = u16_at(body, 12);
    let bits = u16_at(body, 14);
    let tag = match u16_at(body, 0) {
        TAG_EXTENSIBLE if body.len() < 40 => {
            return Err(WavError::MalformedFormat(format!(
                "{} bytes long, at least 40 needed for an extensible one",
                body.len()
            )));
        }
        TAG_EXTENSIBLE if body[26..40] == SUBFORMAT_SUFFIX => u16_at(body, 24),
        plain => plain,
    };
    let float = match tag {
        TAG_PCM => false,
        TAG_IEEE_FLOAT => true,
        _ => return Err(WavError::UnsupportedEncoding { tag }),
    };
    if !matches!(channels, 1 | 2) {
        return Err(WavError::UnsupportedChannels { got: channels });
    }
    if !SAMPLE_RATES_HZ.contains(&sample_rate) {
        return Err(WavError::UnsupportedSampleRate { got: sample_rate });
    }
    if !block_align.is_multiple_of(channels)
        || bits == 0
        || u32::from(bits) > u32::from(block_align / channels) * 8
    {
        return Err(WavError::MalformedFormat(format!(
            "{bits} bits a sample and {channels} channels don't fit a frame of {block_align} bytes"
        )));
    }
    // Fewer valid bits than the container has are left-justified in it, so the container alone decides
    // how a sample reads.
    let container_bytes = block_align / channels;
    let sample_format = match (float, container_bytes) {
        (false, 1) => SampleFormat::U8,
        (false, 2) => SampleFormat::I16,
        (false, 3) => SampleFormat::I24,
        (false, 4) => SampleFormat::I32,
        (true, 4) => SampleFormat::F32,
        _ => {
            return Err(WavError::UnsupportedSampleSize { bits: u32::from(container_bytes) * 8, float });
        }
    };
    Ok(WavFormat { sample_rate, channels, sample_format })
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    /// A WAV file put together by hand: `fmt ` chunk, other chunks, data with the length given.
    fn wav(fmt: &[u8], before_data: &[u8], data_length: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"RIFF\x24\x00\x00\x00WAVEfmt ".to_vec();
        bytes.extend((fmt.len() as u32).to_le_bytes());
        bytes.extend(fmt);
        bytes.extend(before_data);
        bytes.extend(b"data");
        bytes.extend(data_length.to_le_bytes());
        bytes.extend(data);
        bytes
    }

    fn fmt(tag: u16, channels: u16, rate: u32, block_align: u16, bits: u16) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend(tag.to_le_bytes());
        body.extend(channels.to_le_bytes());
        body.extend(rate.to_le_bytes());
        body.extend(rate.wrapping_mul(u32::from(block_align)).to_le_bytes());
        body.extend(block_align.to_le_bytes());
        body.extend(bits.to_le_bytes());
        body
    }

    fn samples(reader: &WavReader<'_>) -> Vec<f32> {
        let mut out = vec![0.0; reader.frames() * usize::from(reader.format().channels)];
        assert_eq!(reader.read(0, &mut out), reader.frames());
        out
    }

    #[test]
    fn chunks_without_end_are_not_walked_to_the_end() {
        let empty_chunks = |number: usize| {
            let before = b"junk\0\0\0\0".repeat(number);
            wav(&fmt(1, 1, 8_000, 2, 16), &before, 2, &[0, 0])
        };
        assert_eq!(WavReader::new(&empty_chunks(900)).unwrap().frames(), 1);
        assert!(matches!(WavReader::new(&empty_chunks(1_100)), Err(WavError::TooManyChunks)));
    }

    #[test]
    fn a_rate_that_is_costly_to_convert_is_refused_with_those_that_are_accepted() {
        for rate in [44_099, 47_999, 45_613, 8_001] {
            let error = WavReader::new(&wav(&fmt(1, 1, rate, 2, 16), &[], 2, &[0, 0])).unwrap_err();
            assert!(matches!(error, WavError::UnsupportedSampleRate { got } if got == rate), "{error}");
            assert!(error.to_string().contains("11025, 12000"), "{error}");
        }
        for rate in SAMPLE_RATES_HZ {
            let bytes = wav(&fmt(1, 1, rate, 2, 16), &[], 2, &[0, 0]);
            assert_eq!(WavReader::new(&bytes).unwrap().format().sample_rate, rate);
        }
    }

    #[test]
    fn each_sample_format_reads_as_hound_reads_it() {
        for (bits, sample_format) in
            [(8, SampleFormat::U8), (16, SampleFormat::I16), (24, SampleFormat::I24), (32, SampleFormat::I32)]
        {
            let scale = 2f64.powi(bits - 1);
            let spec = hound::WavSpec {
                channels: 2,
                sample_rate: 44_100,
                bits_per_sample: bits as u16,
                sample_format: hound::SampleFormat::Int,
            };
            let mut bytes = Vec::new();
            let mut writer = hound::WavWriter::new(Cursor::new(&mut bytes), spec).unwrap();
            let values: Vec<i32> =
                (0..200).map(|n| ((n as f64 / 100.0 - 1.0) * (scale - 1.0)) as i32).collect();
            values.iter().for_each(|&v| writer.write_sample(v).unwrap());
            writer.finalize().unwrap();

            let reader = WavReader::new(&bytes).unwrap();
            assert_eq!(reader.format(), WavFormat { sample_rate: 44_100, channels: 2, sample_format });
            let by_hound: Vec<f32> = hound::WavReader::new(&bytes[..])
                .unwrap()
                .into_samples::<i32>()
                .map(|s| (f64::from(s.unwrap()) / scale) as f32)
                .collect();
            assert_eq!(samples(&reader), by_hound, "{bits} bits");
        }
    }

    #[test]
    fn floats_read_as_they_are_and_not_a_number_reads_as_silence() {
        let values = [0.5f32, -1.25, f32::NAN, f32::INFINITY];
        let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let bytes = wav(&fmt(3, 1, 8_000, 4, 32), &[], 16, &data);
        assert_eq!(samples(&WavReader::new(&bytes).unwrap()), [0.5, -1.25, 0.0, 0.0]);
    }

    #[test]
    fn an_extensible_header_means_what_its_subformat_says() {
        let mut extensible = fmt(TAG_EXTENSIBLE, 1, 22_050, 2, 16);
        extensible.extend(22u16.to_le_bytes());
        extensible.extend(16u16.to_le_bytes());
        extensible.extend(4u32.to_le_bytes());
        extensible.extend(TAG_PCM.to_le_bytes());
        extensible.extend(SUBFORMAT_SUFFIX);
        let bytes = wav(&extensible, &[], 2, &[0, 0x40]);
        assert_eq!(samples(&WavReader::new(&bytes).unwrap()), [0.5]);

        extensible[24] = 7;
        let bytes = wav(&extensible, &[], 2, &[0, 0x40]);
        let error = WavReader::new(&bytes).unwrap_err();
        assert!(error.to_string().contains("0x0007 (mu-law)"), "{error}");
    }

    #[test]
    fn an_odd_chunk_is_skipped_with_its_padding() {
        let other = b"LIST\x03\x00\x00\x00abc\x00";
        let bytes = wav(&fmt(1, 1, 16_000, 2, 16), other, 2, &[0, 0x40]);
        assert_eq!(samples(&WavReader::new(&bytes).unwrap()), [0.5]);
    }

    #[test]
    fn an_unknown_length_means_the_rest_and_a_wrong_one_is_refused() {
        let pcm = fmt(1, 1, 16_000, 2, 16);
        for unknown in [0x7FFF_F000, 0x7FFF_FFFF, u32::MAX] {
            let bytes = wav(&pcm, &[], unknown, &[0, 0x40, 0, 0x20, 9]);
            assert_eq!(samples(&WavReader::new(&bytes).unwrap()), [0.5, 0.25]);
        }
        let bytes = wav(&pcm, &[], 1_000_000, &[0, 0x40]);
        let error = WavReader::new(&bytes).unwrap_err();
        assert!(matches!(error, WavError::Truncated { announced: 1_000_000, present: 2 }), "{error}");
        let bytes = wav(&pcm, &[], 0, &[]);
        assert_eq!(WavReader::new(&bytes).unwrap().frames(), 0);
    }

    #[test]
    fn what_is_not_accepted_is_named_with_what_is() {
        for (header, expected) in [
            (fmt(0x55, 1, 16_000, 2, 16), "MPEG audio"),
            (fmt(1, 6, 16_000, 12, 16), "6 channels"),
            (fmt(1, 0, 16_000, 0, 16), "0 channels"),
            (fmt(1, 1, 88_200, 2, 16), "88200 Hz is not supported; accepted are 8000, 11025, "),
            (fmt(1, 1, 0, 2, 16), "0 Hz"),
            (fmt(3, 1, 16_000, 8, 64), "64-bit float"),
            (fmt(1, 2, 16_000, 2, 16), "16 bits a sample and 2 channels don't fit"),
            (fmt(1, 2, 16_000, 65_535, 16), "don't fit"),
            (vec![1, 0, 1, 0], "4 bytes long"),
        ] {
            let bytes = wav(&header, &[], 0, &[]);
            let message = WavReader::new(&bytes).unwrap_err().to_string();
            assert!(message.contains(expected), "{message} should contain {expected}");
        }
        assert!(WavReader::new(b"").unwrap_err().to_string().contains("empty"));
        assert!(WavReader::new(b"OggS\0\x02").unwrap_err().to_string().contains("OggS"));
        assert!(WavReader::new(b"RIFF\0\0\0\0WAVE").unwrap_err().to_string().contains("fmt"));
    }

    #[test]
    fn reading_in_blocks_gives_what_reading_at_once_gives() {
        let data: Vec<u8> = (0..=255).collect();
        let bytes = wav(&fmt(1, 2, 48_000, 4, 16), &[], 256, &data);
        let reader = WavReader::new(&bytes).unwrap();
        let (mut blocks, mut block, mut at) = (Vec::<f32>::new(), [0.0; 15], 0);
        loop {
            let frames = reader.read(at, &mut block);
            if frames == 0 {
                break;
            }
            blocks.extend(&block[..frames * 2]);
            at += frames;
        }
        assert_eq!(blocks, samples(&reader));
        assert_eq!(reader.read(usize::MAX, &mut block), 0);
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(reader) = WavReader::new(&bytes) {
                samples(&reader);
            }
        }

        #[test]
        fn a_hostile_header_never_panics(
            tag in prop_oneof![Just(1u16), Just(3), Just(TAG_EXTENSIBLE), any::<u16>()],
            channels in 0u16..4, rate in prop_oneof![prop::sample::select(&SAMPLE_RATES_HZ[..]), any::<u32>()],
            block_align in prop_oneof![0u16..20, any::<u16>()], bits in prop_oneof![0u16..70, any::<u16>()],
            extra in prop::collection::vec(any::<u8>(), 0..30),
            other in prop::collection::vec(any::<u8>(), 0..20),
            length in prop_oneof![0u32..100, any::<u32>()],
            data in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let mut header = fmt(tag, channels, rate, block_align, bits);
            header.extend(extra);
            if let Ok(reader) = WavReader::new(&wav(&header, &other, length, &data)) {
                let read = samples(&reader);
                prop_assert!(read.iter().all(|s| s.is_finite()));
                prop_assert!(read.len() <= header.len() + other.len() + data.len() + 60);
            }
        }
    }
}

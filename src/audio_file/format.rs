//! What a WAV file's samples are: their rate, their channels, how each is stored.

/// The sample rates that are read, in Hz.
///
/// Those that recordings have. A converter from or to a rate that has next to no divisor in common with the rates of
/// Opus would need a filter of its own for each of thousands of phases.
pub const SAMPLE_RATES_HZ: [u32; 10] = sandbox::resample::RECORDING_RATES_HZ;

/// How one sample is stored. In memory a sample is always an `f32` with full scale at 1.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SampleFormat {
    /// 8 bits, unsigned, silence at 128.
    U8,
    /// 16 bits, signed.
    I16,
    /// 24 bits in three bytes, signed.
    I24,
    /// 32 bits, signed.
    I32,
    /// 32-bit IEEE float.
    F32,
}

impl SampleFormat {
    /// Bytes a stored sample takes.
    pub const fn bytes(self) -> usize {
        match self {
            SampleFormat::U8 => 1,
            SampleFormat::I16 => 2,
            SampleFormat::I24 => 3,
            SampleFormat::I32 | SampleFormat::F32 => 4,
        }
    }

    /// How the format is called in messages to people.
    pub const fn name(self) -> &'static str {
        match self {
            SampleFormat::U8 => "8-bit",
            SampleFormat::I16 => "16-bit",
            SampleFormat::I24 => "24-bit",
            SampleFormat::I32 => "32-bit",
            SampleFormat::F32 => "32-bit float",
        }
    }

    /// The stored value of full scale (1.0) for integers; `None` for floats.
    pub(super) const fn full_scale(self) -> Option<f64> {
        match self {
            SampleFormat::U8 => Some(128.0),
            SampleFormat::I16 => Some(32_768.0),
            SampleFormat::I24 => Some(8_388_608.0),
            SampleFormat::I32 => Some(2_147_483_648.0),
            SampleFormat::F32 => None,
        }
    }
}

/// The format of a recording. Samples of several channels are interleaved; one sample of each channel
/// together is a *frame*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WavFormat {
    /// Frames a second.
    pub sample_rate: u32,
    /// 1 (mono) or 2 (stereo).
    pub channels: u16,
    /// How a sample is stored in the file.
    pub sample_format: SampleFormat,
}

impl WavFormat {
    /// Bytes one frame takes in the file.
    pub fn frame_bytes(&self) -> usize {
        self.sample_format.bytes() * usize::from(self.channels)
    }
}

impl std::fmt::Display for WavFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let channels = match self.channels {
            1 => "mono",
            2 => "stereo",
            _ => "multichannel",
        };
        write!(f, "{} Hz {channels} {}", self.sample_rate, self.sample_format.name())
    }
}

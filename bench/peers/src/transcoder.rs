//! One stream's decoder and encoder: bare libopus, or sandpool's sandbox without its server.

use clap::ValueEnum;
use opus::{Application, Bitrate, Channels, Decoder, Encoder};
use sandbox::{AudioSandbox, Packets, Scratch, Settings};

const RATE_HZ: u32 = 48_000;
/// The longest packet, 120 ms, mono.
const MOST_SAMPLES: usize = 5_760;
const MOST_BYTES: usize = 4_000;
/// sandpool's defaults.
const BITRATE: i32 = 32_000;
const COMPLEXITY: i32 = 5;

/// An error of any layer below.
pub type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// What is between decoder and encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Chain {
    /// Nothing: libopus alone
    None,
    /// sandpool's sandbox with its default settings
    Clarity,
}

/// The state of one stream.
pub enum Transcoder {
    /// A codec pair.
    Bare(Decoder, Encoder),
    /// A sandbox.
    Sandbox(Box<AudioSandbox>),
}

/// Where samples and packets lie for a moment; one is enough for a thread.
pub struct Buffers {
    samples: Vec<f32>,
    packet: Vec<u8>,
    scratch: Scratch,
    packets: Packets,
}

impl Default for Buffers {
    fn default() -> Self {
        Self {
            samples: vec![0.0; MOST_SAMPLES],
            packet: vec![0; MOST_BYTES],
            scratch: Scratch::default(),
            packets: Packets::default(),
        }
    }
}

impl Transcoder {
    /// A new stream.
    ///
    /// # Errors
    /// libopus's.
    pub fn new(chain: Chain) -> Result<Self, AnyError> {
        if chain == Chain::Clarity {
            return Ok(Self::Sandbox(Box::new(AudioSandbox::new(Settings::default())?)));
        }
        let mut encoder = Encoder::new(RATE_HZ, Channels::Mono, Application::Voip)?;
        encoder.set_bitrate(Bitrate::Bits(BITRATE))?;
        encoder.set_complexity(COMPLEXITY)?;
        Ok(Self::Bare(Decoder::new(RATE_HZ, Channels::Mono)?, encoder))
    }

    /// Transcodes one packet.
    ///
    /// # Errors
    /// libopus's, for what is no packet.
    pub fn transcode<'a>(&mut self, packet: &[u8], buffers: &'a mut Buffers) -> Result<&'a [u8], AnyError> {
        match self {
            Self::Bare(decoder, encoder) => {
                let samples = decoder.decode_float(packet, &mut buffers.samples, false)?;
                let bytes = encoder.encode_float(&buffers.samples[..samples], &mut buffers.packet)?;
                Ok(&buffers.packet[..bytes])
            }
            Self::Sandbox(sandbox) => {
                sandbox.process(packet, &mut buffers.scratch, &mut buffers.packets)?;
                Ok(&buffers.packets[0])
            }
        }
    }
}

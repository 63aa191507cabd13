//! What packets hold.

use crate::pcm::SampleFormat;

/// What the packets of one direction hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Opus (RFC 6716).
    #[default]
    Opus,
    /// Interleaved samples, uncompressed.
    Pcm(SampleFormat),
}

impl Format {
    /// Every format, with the name that clients write.
    pub const NAMES: [(&'static str, Format); 4] = [
        ("opus", Format::Opus),
        ("f32le", Format::Pcm(SampleFormat::F32Le)),
        ("s24le", Format::Pcm(SampleFormat::S24Le)),
        ("s16le", Format::Pcm(SampleFormat::S16Le)),
    ];
}

//! What can go wrong: a setting out of range, or a packet or block that can't be processed.

use thiserror::Error;

/// Why settings were not changed. Nothing was.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingError {
    /// A value of the wrong type or out of range.
    #[error("{setting}: got {got}, accepted: {accepted}")]
    Refused {
        /// The setting's name, as clients write it.
        setting: String,
        /// What was asked for, cut to a printable length.
        got: String,
        /// The values that are accepted.
        accepted: String,
    },

    /// There is no such setting.
    #[error("unknown setting {name}: accepted are {}", crate::SettingsUpdate::names().collect::<Vec<_>>().join(", "))]
    Unknown {
        /// The name that was asked for, cut to a printable length.
        name: String,
    },
}

/// Why a packet or block was not processed. The sandbox stays usable.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SandboxError {
    /// An Opus packet of no bytes. Concealment of lost packets is asked for otherwise, never by an empty packet.
    #[error("empty packet: an Opus packet has at least 1 byte")]
    EmptyPacket,

    /// PCM of no bytes.
    #[error(
        "empty packet: accepted are 1 to {longest} sample frames of {format}, each of {frame_bytes} bytes ({channels} \
         channel(s); 120 ms at {sample_rate} Hz)"
    )]
    EmptyPcm {
        /// The format in force.
        format: crate::pcm::SampleFormat,
        /// The channels in force.
        channels: usize,
        /// Bytes of one sample frame.
        frame_bytes: usize,
        /// Sample frames that are accepted.
        longest: usize,
        /// The input's sample rate.
        sample_rate: u32,
    },

    /// libopus refused the packet: truncated, inconsistent lengths, or longer than 120 ms.
    #[error("bad packet of {bytes} bytes: {reason}; accepted: one Opus packet (RFC 6716) of 2.5 to 120 ms")]
    BadPacket {
        /// The packet's length.
        bytes: usize,
        /// libopus' own words.
        reason: &'static str,
    },

    /// A block of samples that is no multiple of 2.5 ms, empty, or longer than 120 ms.
    #[error(
        "bad block of {samples} interleaved samples: at {sample_rate} Hz with {channels} channel(s) a block has \
         1 to 48 times {unit} samples (2.5 to 120 ms in steps of 2.5 ms)"
    )]
    BlockLength {
        /// Interleaved samples in the block.
        samples: usize,
        /// Channels in force.
        channels: usize,
        /// The rate in force.
        sample_rate: u32,
        /// Interleaved samples in 2.5 ms.
        unit: usize,
    },

    /// The decoder produced something that is no number; it was started anew.
    #[error("packet of {bytes} bytes decoded to samples that are no numbers: dropped, decoder started anew")]
    NotFinite {
        /// The packet's length.
        bytes: usize,
    },

    /// PCM that does not hold whole samples, or samples that are no sound.
    #[error(transparent)]
    Pcm(#[from] crate::pcm::PcmError),

    /// More PCM in one packet than the longest Opus packet would hold.
    #[error(
        "{frames} sample frames of PCM in one packet: at most {longest} are accepted (120 ms at {sample_rate} Hz); \
         framing takes several packets in one message"
    )]
    LongPcm {
        /// Sample frames that came.
        frames: usize,
        /// Sample frames that are accepted.
        longest: usize,
        /// The input's sample rate.
        sample_rate: u32,
    },

    /// A call into libopus failed that can't fail for any input: memory or the library itself is at fault.
    #[error("{call} failed: {reason}")]
    Codec {
        /// The libopus function or control request.
        call: &'static str,
        /// libopus' own words.
        reason: &'static str,
    },
}

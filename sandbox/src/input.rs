//! From what a client sends to samples at the session's rate.
//!
//! ```text
//!  Opus packet -> decoder -> fade (DTX) ----.
//!  lost ------> copy, or concealment -------+-> samples of the session's rate and channels, in the scratch
//!  PCM -------> samples -> resampler -------'
//! ```

use crate::codec::{Decoder, Replacement};
use crate::dtx::{Announced, AnnouncedSilence};
use crate::pcm::SampleFormat;
use crate::resample::Resampler;
use crate::{Format, SandboxError, Scratch, Settings};

/// What comes from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A packet, in the session's input format: one Opus packet, or whole sample frames of PCM, 120 ms at most.
    Packet(&'a [u8]),
    /// Word that a packet was lost. It is answered as if it had come, as long as the last one that did: recovered from
    /// the packet behind it, if that is there already and carries a copy (in-band FEC), or concealed (PLC). PCM that
    /// was lost is silence.
    Lost {
        /// The packet behind it, which is processed by itself afterwards.
        next: Option<&'a [u8]>,
    },
}

impl<'a> From<&'a [u8]> for Incoming<'a> {
    fn from(packet: &'a [u8]) -> Self {
        Incoming::Packet(packet)
    }
}

impl<'a> From<&'a Vec<u8>> for Incoming<'a> {
    fn from(packet: &'a Vec<u8>) -> Self {
        Incoming::Packet(packet)
    }
}

/// Longest block of PCM, as a share of a second: 120 ms, like the longest Opus packet.
const LONGEST_PCM: (u32, u32) = (12, 100);
/// What a lost packet of PCM counts when there was none before: 20 ms.
const FIRST_LOST_PCM: (u32, u32) = (2, 100);

/// The way in, with all its state.
#[derive(Debug)]
pub(crate) struct Input {
    decoder: Decoder,
    announced_silence: AnnouncedSilence,
    /// Built when first wanted, and kept.
    resampler: Option<Box<Resampler>>,
    /// Sample frames, at the input's rate, in the last packet of PCM.
    last_pcm_frames: usize,
}

impl Input {
    pub(crate) fn new(settings: &Settings) -> Result<Input, SandboxError> {
        let mut input = Input {
            decoder: Decoder::new(settings)?,
            announced_silence: AnnouncedSilence::default(),
            resampler: None,
            last_pcm_frames: 0,
        };
        input.start(settings)?;
        Ok(input)
    }

    /// Begins a new stream.
    pub(crate) fn start(&mut self, settings: &Settings) -> Result<(), SandboxError> {
        self.decoder.init(settings)?;
        self.announced_silence.start();
        self.last_pcm_frames = 0;
        let (from, to) = (settings.input_sample_rate(), settings.sample_rate().hz());
        if settings.input_format() != Format::Opus {
            start_resampler(&mut self.resampler, from, to, settings.channel_count());
        }
        Ok(())
    }

    /// Brings what came in to the front of the scratch: how many interleaved samples there are, and what they stand in
    /// for.
    pub(crate) fn take(
        &mut self,
        incoming: Incoming<'_>,
        settings: &Settings,
        scratch: &mut Scratch,
    ) -> Result<(usize, Option<Replacement>), SandboxError> {
        match settings.input_format() {
            Format::Opus => {
                let (samples, replaced) = self.decode(incoming, settings, scratch)?;
                let announced = match (incoming, replaced) {
                    _ if !settings.dtx() => Announced::Sound,
                    (Incoming::Packet(packet), _) => Announced::by_length(packet.len()),
                    (_, Some(Replacement::Recovered)) => Announced::Sound,
                    _ => Announced::Nothing,
                };
                self.announced_silence.process(
                    announced,
                    &mut scratch.pcm[..samples],
                    settings.channel_count(),
                    settings.sample_rate().hz(),
                );
                Ok((samples, replaced))
            }
            Format::Pcm(format) => self.take_pcm(incoming, format, settings, scratch),
        }
    }

    /// The same for Opus, whatever the input's format is.
    pub(crate) fn decode(
        &mut self,
        incoming: Incoming<'_>,
        settings: &Settings,
        scratch: &mut Scratch,
    ) -> Result<(usize, Option<Replacement>), SandboxError> {
        let longest = settings.sample_rate().longest_packet() * settings.channel_count();
        let pcm = scratch.pcm(longest);
        let (samples, replaced, bytes) = match incoming {
            Incoming::Packet([]) => return Err(SandboxError::EmptyPacket),
            Incoming::Packet(packet) => (self.decoder.decode(packet, pcm)?, None, packet.len()),
            Incoming::Lost { next } => {
                let (samples, replacement) = self.decoder.replace_lost(next, pcm)?;
                (samples, Some(replacement), next.map_or(0, <[u8]>::len))
            }
        };
        if !all_finite(&pcm[..samples]) {
            self.decoder.init(settings)?;
            return Err(SandboxError::NotFinite { bytes });
        }
        Ok((samples, replaced))
    }

    fn take_pcm(
        &mut self,
        incoming: Incoming<'_>,
        format: SampleFormat,
        settings: &Settings,
        scratch: &mut Scratch,
    ) -> Result<(usize, Option<Replacement>), SandboxError> {
        let (channels, rate) = (settings.channel_count(), settings.input_sample_rate());
        let converts = rate != settings.sample_rate().hz();
        let Scratch { pcm, unconverted, .. } = scratch;
        let raw = if converts { &mut *unconverted } else { &mut *pcm };
        raw.clear();
        let frame_bytes = format.bytes() * channels;
        let longest = (rate * LONGEST_PCM.0 / LONGEST_PCM.1) as usize;
        let replaced = match incoming {
            Incoming::Packet([]) => {
                let sample_rate = rate;
                return Err(SandboxError::EmptyPcm { format, channels, frame_bytes, longest, sample_rate });
            }
            Incoming::Packet(packet) => {
                let frames = packet.len() / frame_bytes;
                if frames > longest {
                    return Err(SandboxError::LongPcm { frames, longest, sample_rate: rate });
                }
                format.decode(packet, channels, raw)?;
                self.last_pcm_frames = frames;
                None
            }
            Incoming::Lost { .. } => {
                let frames = match self.last_pcm_frames {
                    0 => (rate * FIRST_LOST_PCM.0 / FIRST_LOST_PCM.1) as usize,
                    frames => frames,
                };
                raw.resize(frames * channels, 0.0);
                Some(Replacement::Silence)
            }
        };
        if let Some(resampler) = self.resampler.as_mut().filter(|_| converts) {
            pcm.clear();
            resampler.process(unconverted, pcm);
        }
        Ok((pcm.len(), replaced))
    }
}

/// A resampler at the beginning of a stream, built if there was none. Without a difference of rates it passes samples on
/// bit for bit.
pub(crate) fn start_resampler(
    resampler: &mut Option<Box<Resampler>>,
    from_hz: u32,
    to_hz: u32,
    channels: usize,
) {
    // Rates and channels are those of checked settings, so none is refused.
    match resampler {
        Some(resampler) => {
            let _ = resampler.convert(from_hz, to_hz, channels);
        }
        none => *none = Resampler::new(from_hz, to_hz, channels).ok().map(Box::new),
    }
}

/// Whether all samples are numbers. No early exit, so that it is compiled to vector instructions.
fn all_finite(pcm: &[f32]) -> bool {
    pcm.iter().fold(true, |all, sample| all & sample.is_finite())
}

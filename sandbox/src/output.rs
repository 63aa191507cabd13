//! From samples at the session's rate to what a client gets.
//!
//! ```text
//!           .-- input in Opus: one packet as long as the one that came ---.
//!  samples -+-- input in PCM: gathered to packets of `packet_ms` ---------+-> encoder -> packets
//!           `-- resampler -> PCM ------------------------------------------------------> a packet
//! ```

use crate::codec::Encoder;
use crate::input::start_resampler;
use crate::resample::Resampler;
use crate::{Format, Packets, SandboxError, Scratch, Settings};

/// The way out, with all its state.
#[derive(Debug)]
pub(crate) struct Output {
    encoder: Encoder,
    /// Built when first wanted, and kept.
    resampler: Option<Box<Resampler>>,
    /// Interleaved samples that don't fill a packet yet, when PCM becomes Opus.
    pending: Vec<f32>,
}

impl Output {
    pub(crate) fn new(settings: &Settings) -> Result<Output, SandboxError> {
        let mut output = Output { encoder: Encoder::new(settings)?, resampler: None, pending: Vec::new() };
        output.start(settings)?;
        Ok(output)
    }

    /// Begins a new stream.
    pub(crate) fn start(&mut self, settings: &Settings) -> Result<(), SandboxError> {
        self.pending.clear();
        if gathers(settings) {
            // A packet that is nearly full, and the longest block behind it.
            let longest = settings.sample_rate().longest_packet() * settings.channel_count();
            self.pending.reserve(2 * longest);
        }
        if settings.output_format() != Format::Opus {
            let (from, to) = (settings.sample_rate().hz(), settings.output_sample_rate());
            start_resampler(&mut self.resampler, from, to, settings.channel_count());
        }
        self.encoder.init(settings)
    }

    /// Puts in force what can change in mid-stream.
    pub(crate) fn apply(&mut self, settings: &Settings) -> Result<(), SandboxError> {
        self.encoder.apply(settings)
    }

    /// Adds what becomes of the first `samples` samples in the scratch to `out`.
    pub(crate) fn give(
        &mut self,
        samples: usize,
        settings: &Settings,
        scratch: &mut Scratch,
        out: &mut Packets,
    ) -> Result<(), SandboxError> {
        let Scratch { pcm, converted, joiner, .. } = scratch;
        let pcm = &pcm[..samples];
        if let Format::Pcm(format) = settings.output_format() {
            let converts = settings.output_sample_rate() != settings.sample_rate().hz();
            let given = match self.resampler.as_mut().filter(|_| converts) {
                Some(resampler) => {
                    converted.clear();
                    resampler.process(pcm, converted);
                    &converted[..]
                }
                None => pcm,
            };
            return out.push_with(|bytes| {
                format.encode(given, bytes);
                Ok(())
            });
        }
        if !gathers(settings) {
            return out.push_with(|bytes| self.encoder.encode(pcm, joiner, bytes));
        }
        self.pending.extend_from_slice(pcm);
        let packet = settings.packet_samples() * settings.channel_count();
        let whole = self.pending.len() - self.pending.len() % packet;
        let encoder = &mut self.encoder;
        let encoded = self.pending[..whole]
            .chunks_exact(packet)
            .try_for_each(|block| out.push_with(|bytes| encoder.encode(block, joiner, bytes)));
        self.pending.drain(..whole);
        encoded
    }

    /// Encodes one block as one Opus packet, whatever the output's format is.
    pub(crate) fn encode(
        &mut self,
        pcm: &[f32],
        scratch: &mut Scratch,
        out: &mut Packets,
    ) -> Result<(), SandboxError> {
        out.push_with(|bytes| self.encoder.encode(pcm, &mut scratch.joiner, bytes))
    }
}

/// Whether samples are gathered to packets: they come in blocks of any length, and go as Opus.
fn gathers(settings: &Settings) -> bool {
    settings.output_format() == Format::Opus && settings.input_format() != Format::Opus
}

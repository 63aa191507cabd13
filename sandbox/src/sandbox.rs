//! The sandbox itself: the codec pair and the filter chain as one thing that can be lent out and reset.

use std::time::Duration;

use crate::codec::{Decoder, Encoder, Replacement};
use crate::{Packets, SampleRate, SandboxError, Scratch, Settings, VoiceClarity};

/// One voice's processing: Opus decoder, voice clarity chain, Opus encoder, with all their state.
///
/// Built from a template of settings. A session puts its own on it with [`configure`](Self::configure), and
/// [`reset`](Self::reset) goes back to the template, bit for bit as if freshly built. It may move between threads; it
/// is used by one caller at a time, as every method that processes takes `&mut self`.
#[derive(Debug)]
pub struct AudioSandbox {
    template: Settings,
    settings: Settings,
    decoder: Decoder,
    clarity: VoiceClarity,
    encoder: Encoder,
}

/// What comes from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A packet.
    Packet(&'a [u8]),
    /// Word that a packet was lost. It is answered as if it had come, as long as the last one that did: recovered from
    /// the packet behind it, if that is there already and carries a copy (in-band FEC), or concealed (PLC).
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

/// What one packet was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Processed {
    /// Samples of one channel, in the packet and in its answer.
    pub samples: usize,
    /// The rate they are counted at.
    pub sample_rate: SampleRate,
    /// What stood in for the packet, if it was lost.
    pub replaced: Option<Replacement>,
}

impl Processed {
    /// How long the packet and its answer sound: a multiple of 2.5 ms.
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.samples as u64 * 1_000_000 / u64::from(self.sample_rate.hz()))
    }
}

impl AudioSandbox {
    /// A sandbox with `template` in force. This allocates all that it will ever need for any settings.
    pub fn new(template: Settings) -> Result<AudioSandbox, SandboxError> {
        Ok(AudioSandbox {
            template,
            settings: template,
            decoder: Decoder::new(&template)?,
            clarity: VoiceClarity::new(&template),
            encoder: Encoder::new(&template)?,
        })
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Puts one session's settings in force, without allocating.
    ///
    /// A change of sample rate, channels or application begins a new stream: all signal state is cleared. Any other
    /// change happens in mid-stream, and keeps it.
    pub fn configure(&mut self, settings: &Settings) -> Result<(), SandboxError> {
        if !self.settings.same_stream(settings) {
            return self.start(*settings);
        }
        self.encoder.apply(settings)?;
        self.clarity.set_intensity(settings.intensity());
        self.settings = *settings;
        Ok(())
    }

    /// Clears all signal state and keeps the settings in force.
    pub fn restart(&mut self) -> Result<(), SandboxError> {
        self.start(self.settings)
    }

    /// Goes back to the template: from here on it behaves bit for bit like `AudioSandbox::new(template)`.
    ///
    /// An error means that libopus could not be initialised; discard the sandbox then.
    pub fn reset(&mut self) -> Result<(), SandboxError> {
        self.start(self.template)
    }

    /// All state anew, with `settings` in force. The first thing in a new life and the only one: whatever is not
    /// set here can leak from one session to the next.
    fn start(&mut self, settings: Settings) -> Result<(), SandboxError> {
        self.settings = settings;
        self.decoder.init(&settings)?;
        self.clarity.start(&settings);
        self.encoder.init(&settings)
    }

    /// Decodes what came in, runs the voice clarity chain and encodes the result as one packet of the same duration,
    /// whatever it is (2.5 to 120 ms), into `out`, which is cleared first and grows to the worst case once.
    ///
    /// On an error `out` is empty, and the next good packet is processed as it should be.
    pub fn process<'a>(
        &mut self,
        incoming: impl Into<Incoming<'a>>,
        scratch: &mut Scratch,
        out: &mut Packets,
    ) -> Result<Processed, SandboxError> {
        out.clear();
        let (samples, replaced) = self.decode_or_replace(incoming.into(), scratch)?;
        let pcm = &mut scratch.pcm[..samples];
        self.clarity.process(pcm);
        out.push_with(|out| self.encoder.encode(pcm, &mut scratch.joiner, out))?;
        Ok(Processed {
            samples: samples / self.settings.channel_count(),
            sample_rate: self.settings.sample_rate(),
            replaced,
        })
    }

    /// Decodes one packet, or what stands in for it, to interleaved samples at the session's rate and channels; -1 to
    /// 1 is full scale, and a loud packet can exceed it.
    pub fn decode<'a, 'b>(
        &mut self,
        incoming: impl Into<Incoming<'b>>,
        scratch: &'a mut Scratch,
    ) -> Result<&'a mut [f32], SandboxError> {
        let (samples, _) = self.decode_or_replace(incoming.into(), scratch)?;
        Ok(&mut scratch.pcm[..samples])
    }

    /// Decodes to the front of the scratch: how many interleaved samples, and what they stand in for.
    fn decode_or_replace(
        &mut self,
        incoming: Incoming<'_>,
        scratch: &mut Scratch,
    ) -> Result<(usize, Option<Replacement>), SandboxError> {
        let longest = self.settings.sample_rate().longest_packet() * self.settings.channel_count();
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
            self.decoder.init(&self.settings)?;
            return Err(SandboxError::NotFinite { bytes });
        }
        Ok((samples, replaced))
    }

    /// Runs the voice clarity chain over interleaved samples, in place. Any number of whole sample frames (a sample
    /// for each channel): how a stream is cut into blocks makes no difference. Samples that are no numbers count as 0.
    ///
    /// # Errors
    /// [`SandboxError::BlockLength`] when the last sample frame is not whole.
    pub fn enhance(&mut self, pcm: &mut [f32]) -> Result<(), SandboxError> {
        let channels = self.settings.channel_count();
        if pcm.len() % channels != 0 {
            let sample_rate = self.settings.sample_rate();
            return Err(SandboxError::BlockLength {
                samples: pcm.len(),
                channels,
                sample_rate: sample_rate.hz(),
                unit: sample_rate.samples_per_unit() * channels,
            });
        }
        self.clarity.process(pcm);
        Ok(())
    }

    /// Encodes interleaved samples as one packet into `out`, which is cleared first. A block is 1 to 48 times 2.5 ms.
    /// Should it hold samples that are no numbers, libopus takes it for silence.
    ///
    /// # Errors
    /// [`SandboxError::BlockLength`] for any other length.
    pub fn encode(
        &mut self,
        pcm: &[f32],
        scratch: &mut Scratch,
        out: &mut Packets,
    ) -> Result<(), SandboxError> {
        out.clear();
        out.push_with(|out| self.encoder.encode(pcm, &mut scratch.joiner, out))
    }

    /// Samples of one channel by which [`process`](Self::process) delays the voice: the encoder's look-ahead. The
    /// filters look at nothing that is yet to come.
    pub fn delay_samples(&self) -> usize {
        self.encoder.lookahead()
    }
}

/// Whether all samples are numbers. No early exit, so that it is compiled to vector instructions.
fn all_finite(pcm: &[f32]) -> bool {
    pcm.iter().fold(true, |all, sample| all & sample.is_finite())
}

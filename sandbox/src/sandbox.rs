//! The sandbox itself: the codec pair and the engine as one thing that can be lent out and reset.

use std::time::Duration;

use crate::codec::Replacement;
use crate::engine::{Budget, Engine, Event, Readings, StageTimes, Timed};
use crate::input::Input;
use crate::output::Output;
use crate::{Incoming, Packets, SampleRate, SandboxError, Scratch, Settings};

/// One voice's processing: Opus decoder, the engine's stages, Opus encoder, with all their state.
///
/// Built from a template of settings. A session puts its own on it with [`configure`](Self::configure), and
/// [`reset`](Self::reset) goes back to the template, bit for bit as if freshly built. It may move between threads; it
/// is used by one caller at a time, as every method that processes takes `&mut self`.
#[derive(Debug)]
pub struct AudioSandbox {
    template: Settings,
    settings: Settings,
    input: Input,
    engine: Engine,
    output: Output,
}

/// What one packet was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Processed {
    /// Samples of one channel that were processed.
    pub samples: usize,
    /// The rate they are counted at.
    pub sample_rate: SampleRate,
    /// What stood in for the packet, if it was lost.
    pub replaced: Option<Replacement>,
    /// Whether optional stages were left out, for the packet's time was spent.
    pub over_budget: bool,
}

impl Processed {
    /// How long the packet sounds.
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.samples as u64 * 1_000_000 / u64::from(self.sample_rate.hz()))
    }
}

/// The clock where none is given.
fn no_time_passes() -> Duration {
    Duration::ZERO
}

impl AudioSandbox {
    /// A sandbox with `template` in force. Stages that a session wants and the template does not have are built when
    /// they are first configured, and kept.
    pub fn new(template: Settings) -> Result<AudioSandbox, SandboxError> {
        Ok(AudioSandbox {
            template,
            settings: template,
            input: Input::new(&template)?,
            engine: Engine::new(&template),
            output: Output::new(&template)?,
        })
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Puts one session's settings in force. It allocates only for stages that this sandbox never had before.
    ///
    /// A change of formats, sample rates, channels, packet length or application begins a new stream: all signal state is
    /// cleared. Any other change happens in mid-stream, and keeps it.
    pub fn configure(&mut self, settings: &Settings) -> Result<(), SandboxError> {
        if !self.settings.same_stream(settings) {
            return self.start(*settings);
        }
        self.output.apply(settings)?;
        self.engine.set(settings);
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
        self.input.start(&settings)?;
        self.engine.start(&settings);
        self.output.start(&settings)
    }

    /// Decodes what came in, runs the engine and encodes the result into `out`, which is cleared first and grows to the
    /// worst case once. From Opus to Opus that is one packet of the same duration, whatever it is (2.5 to 120 ms); to PCM
    /// one packet, too; from PCM to Opus as many packets of `packet_ms` as are full.
    ///
    /// On an error `out` is empty, and the next good packet is processed as it should be.
    pub fn process<'a>(
        &mut self,
        incoming: impl Into<Incoming<'a>>,
        scratch: &mut Scratch,
        out: &mut Packets,
    ) -> Result<Processed, SandboxError> {
        self.process_within(incoming, &no_time_passes, scratch, out)
    }

    /// The same by a clock that tells how long ago the packet came: when that reaches the settings'
    /// `max_processing_time_ms`, optional stages are left out for the rest of the packet.
    pub fn process_within<'a>(
        &mut self,
        incoming: impl Into<Incoming<'a>>,
        elapsed: &dyn Fn() -> Duration,
        scratch: &mut Scratch,
        out: &mut Packets,
    ) -> Result<Processed, SandboxError> {
        out.clear();
        let (samples, replaced) = self.input.take(incoming.into(), &self.settings, scratch)?;
        let mut budget = Budget::new(self.settings.max_processing_time(), elapsed);
        self.engine.process(&mut scratch.pcm[..samples], &mut budget);
        let given = self.output.give(samples, &self.settings, scratch, out);
        if given.is_err() {
            out.clear();
        }
        given.map(|()| Processed {
            samples: samples / self.settings.channel_count(),
            sample_rate: self.settings.sample_rate(),
            replaced,
            over_budget: budget.is_spent(),
        })
    }

    /// What was heard in the last packet.
    pub fn events(&self) -> &[Event] {
        self.engine.events()
    }

    /// What the meters show.
    pub fn readings(&self) -> Readings {
        self.engine.readings()
    }

    /// Decodes one Opus packet, or what stands in for it, to interleaved samples at the session's rate and channels; -1
    /// to 1 is full scale, and a loud packet can exceed it.
    pub fn decode<'a, 'b>(
        &mut self,
        incoming: impl Into<Incoming<'b>>,
        scratch: &'a mut Scratch,
    ) -> Result<&'a mut [f32], SandboxError> {
        let (samples, _) = self.input.decode(incoming.into(), &self.settings, scratch)?;
        Ok(&mut scratch.pcm[..samples])
    }

    /// Runs the engine over interleaved samples of the session's rate, in place. Any number of whole sample frames (a
    /// sample for each channel): how a stream is cut into blocks makes no difference. Samples that are no numbers count
    /// as 0.
    ///
    /// # Errors
    /// [`SandboxError::BlockLength`] when the last sample frame is not whole.
    pub fn enhance(&mut self, pcm: &mut [f32]) -> Result<(), SandboxError> {
        self.check_whole_frames(pcm)?;
        self.engine.process(pcm, &mut Budget::new(None, &no_time_passes));
        Ok(())
    }

    /// The same, and adds to `times` what each stage took, by a clock that tells the time since any moment. The sound is
    /// the same to the bit; the looks at the clock cost a few per cent.
    ///
    /// # Errors
    /// As [`enhance`](Self::enhance).
    pub fn enhance_timed(
        &mut self,
        pcm: &mut [f32],
        now: &dyn Fn() -> Duration,
        times: &mut StageTimes,
    ) -> Result<(), SandboxError> {
        self.check_whole_frames(pcm)?;
        let mut budget = Budget::new(None, &no_time_passes);
        self.engine.process_timed(pcm, &mut budget, &mut Timed::new(now, times));
        Ok(())
    }

    fn check_whole_frames(&self, pcm: &[f32]) -> Result<(), SandboxError> {
        let channels = self.settings.channel_count();
        if pcm.len().is_multiple_of(channels) {
            return Ok(());
        }
        let sample_rate = self.settings.sample_rate();
        Err(SandboxError::BlockLength {
            samples: pcm.len(),
            channels,
            sample_rate: sample_rate.hz(),
            unit: sample_rate.samples_per_unit() * channels,
        })
    }

    /// Encodes interleaved samples of the session's rate as one Opus packet into `out`, which is cleared first. A block
    /// is 1 to 48 times 2.5 ms. Should it hold samples that are no numbers, libopus takes it for silence.
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
        self.output.encode(pcm, scratch, out)
    }
}

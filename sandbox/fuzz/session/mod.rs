//! A session made of any bytes, and what must hold for it. The fuzz target runs these, and so do the tests, which keep
//! what it found (`sandbox/tests/found.rs`).
//!
//! ```text
//!  bytes -> template, steps -> one AudioSandbox, step by step -> does a tone still sound right? -> reset -> as fresh?
//! ```
//!
//! * Nothing panics. Errors are short and printable, and leave no answer.
//! * Every sample that comes out is a number: the engine's, the decoder's, and those in the answers, which are decoded
//!   with a decoder of their own.
//! * An answer to Opus in Opus sounds as long as what it answers.
//! * With all stages switched off in mid-stream, a tone comes out as a tone, whatever the stream was before.
//! * After a reset the sandbox is, bit for bit, a fresh one.

mod checks;
mod packets;
mod side;
mod signal;
mod wishes;

use std::cell::Cell;
use std::time::Duration;

use arbitrary::Arbitrary;
use sandbox::framing::{Entries, Entry, MessageWriter};
use sandbox::{AudioSandbox, Format, Incoming, Packets, Processed, SandboxError, Scratch, Settings};

use checks::{assert_printable, assert_readings_are_numbers, Listener};
use packets::Packet;
use side::{Mixing, Resampling};
use signal::Signal;
use wishes::Wishes;

/// So many steps of one input are taken at most.
const MOST_STEPS: usize = 24;

/// All that happens to one sandbox.
#[derive(Debug, Arbitrary)]
pub(crate) struct Session {
    template: Vec<Wishes>,
    steps: Vec<Step>,
    /// Whether a tone is sent through at the end: that takes longer than all the rest.
    ends_with_a_tone: bool,
}

/// One thing that can happen.
#[derive(Debug, Arbitrary)]
enum Step {
    Configure(Vec<Wishes>),
    Process(Packet),
    /// Over and over, so that a state can build up.
    Repeat(Packet, u8),
    Lost(Option<Packet>),
    /// With so many looks at the clock before all time is spent.
    InAHurry(Packet, u8),
    Message(Vec<Option<Packet>>),
    Framed(Vec<u8>),
    Enhance(Signal),
    /// A block of so many units of 2.5 ms and so many samples more, mostly none.
    Encode(Signal, u8, Option<u8>),
    Decode(Packet),
    Restart,
    Reset,
    Resample(Resampling),
    Mix(Mixing),
}

impl Session {
    /// Runs all of it.
    ///
    /// # Panics
    /// If something does not hold.
    pub(crate) fn run(&self) {
        let template = wishes::put_on(Settings::default(), &self.template);
        let mut run = Run {
            sandbox: AudioSandbox::new(template).expect("settings that exist are valid"),
            scratch: Scratch::default(),
            out: Packets::default(),
            listener: Listener::default(),
        };
        for step in self.steps.iter().take(MOST_STEPS) {
            run.take(step);
        }
        if self.ends_with_a_tone {
            checks::assert_a_tone_sounds_right(&mut run.sandbox, &mut run.scratch, &mut run.listener);
        }
        checks::assert_reset_is_fresh(&mut run.sandbox, &mut run.scratch, template);
    }
}

struct Run {
    sandbox: AudioSandbox,
    scratch: Scratch,
    out: Packets,
    listener: Listener,
}

impl Run {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Configure(wishes) => {
                let settings = wishes::put_on(*self.sandbox.settings(), wishes);
                self.sandbox.configure(&settings).expect("settings that exist are valid");
            }
            Step::Process(packet) => {
                let bytes = packet.bytes(self.sandbox.settings());
                self.process(Incoming::Packet(&bytes));
            }
            Step::Repeat(packet, times) => {
                let bytes = packet.bytes(self.sandbox.settings());
                for _ in 0..*times % 8 {
                    self.process(Incoming::Packet(&bytes));
                }
            }
            Step::Lost(next) => {
                let next = next.as_ref().map(|next| next.bytes(self.sandbox.settings()));
                self.process(Incoming::Lost { next: next.as_deref() });
            }
            Step::InAHurry(packet, looks) => {
                let left = Cell::new(*looks);
                let clock = || match left.get() {
                    0 => Duration::MAX,
                    looks => {
                        left.set(looks - 1);
                        Duration::ZERO
                    }
                };
                let bytes = packet.bytes(self.sandbox.settings());
                let Run { sandbox, scratch, out, .. } = self;
                let processed = sandbox.process_within(&bytes, &clock, scratch, out);
                self.look_at(processed, false);
            }
            Step::Message(entries) => {
                let mut writer = MessageWriter::default();
                for entry in entries {
                    let bytes = entry.as_ref().map(|packet| packet.bytes(self.sandbox.settings()));
                    let entry = bytes.as_deref().map_or(Entry::Missing, Entry::Packet);
                    if let Err(error) = writer.push(entry) {
                        assert_printable(&error);
                    }
                }
                let entries = Entries::parse(writer.message()).expect("what was written");
                assert_eq!(entries.len(), writer.packets());
                self.process_message(writer.message());
            }
            Step::Framed(message) => self.process_message(message),
            Step::Enhance(signal) => {
                let mut pcm = signal.samples();
                match self.sandbox.enhance(&mut pcm) {
                    Ok(()) => checks::assert_numbers(&pcm, "enhance"),
                    Err(error) => {
                        assert!(pcm.len() % self.sandbox.settings().channel_count() != 0, "{error}");
                        assert_printable(&error);
                    }
                }
                assert_readings_are_numbers(&self.sandbox.readings());
            }
            Step::Encode(signal, units, more) => self.encode(signal, *units, more.unwrap_or(0)),
            Step::Decode(packet) => {
                let bytes = packet.bytes(self.sandbox.settings());
                match self.sandbox.decode(&bytes, &mut self.scratch) {
                    Ok(pcm) => checks::assert_numbers(pcm, "decode"),
                    Err(error) => assert_printable(&error),
                }
            }
            Step::Restart => self.sandbox.restart().expect("restart"),
            Step::Reset => self.sandbox.reset().expect("reset"),
            Step::Resample(resampling) => resampling.run(),
            Step::Mix(mixing) => mixing.run(),
        }
    }

    fn process_message(&mut self, message: &[u8]) {
        let entries = match Entries::parse(message) {
            Ok(entries) => entries,
            Err(error) => return assert_printable(&error),
        };
        let entries: Vec<Entry<'_>> = entries.collect();
        for (index, entry) in entries.iter().enumerate() {
            self.process(match entry {
                Entry::Packet(packet) => Incoming::Packet(packet),
                Entry::Missing => Incoming::Lost {
                    next: entries.get(index + 1).and_then(|next| match next {
                        Entry::Packet(packet) => Some(*packet),
                        Entry::Missing => None,
                    }),
                },
            });
        }
    }

    fn process(&mut self, incoming: Incoming<'_>) {
        let Run { sandbox, scratch, out, .. } = self;
        let processed = sandbox.process(incoming, scratch, out);
        self.look_at(processed, matches!(incoming, Incoming::Lost { .. }));
    }

    fn look_at(&mut self, processed: Result<Processed, SandboxError>, lost: bool) {
        assert_readings_are_numbers(&self.sandbox.readings());
        let settings = *self.sandbox.settings();
        match processed {
            Ok(processed) => {
                assert_eq!(processed.replaced.is_some(), lost);
                let heard = self.listener.hear(&settings, &self.out);
                if (settings.input_format(), settings.output_format()) == (Format::Opus, Format::Opus) {
                    assert_eq!((self.out.len(), heard), (1, processed.samples));
                }
            }
            Err(error) => {
                assert_printable(&error);
                assert!(self.out.is_empty(), "an error leaves no answer");
            }
        }
    }

    fn encode(&mut self, signal: &Signal, units: u8, more: u8) {
        let settings = *self.sandbox.settings();
        let unit = settings.sample_rate().samples_per_unit() * settings.channel_count();
        let mut pcm = signal.samples();
        pcm.resize(usize::from(units % 52) * unit + usize::from(more), 0.0);
        match self.sandbox.encode(&pcm, &mut self.scratch, &mut self.out) {
            Ok(()) => {
                assert_eq!(self.out.len(), 1);
                let heard = self.listener.hear_opus(&settings, &self.out[0]);
                assert_eq!(heard * settings.channel_count(), pcm.len());
            }
            Err(error) => {
                assert_printable(&error);
                assert!(self.out.is_empty() && matches!(error, SandboxError::BlockLength { .. }), "{error}");
            }
        }
    }
}

//! What stands beside a sandbox: resampler and mixer.

use arbitrary::Arbitrary;
use sandbox::mixer::{Mixer, MixerSettings, ParticipantId, SpeakerChoice};
use sandbox::pcm::LOUDEST_SAMPLE;
use sandbox::resample::{Resampler, RATES_HZ};
use sandbox::Stream;

use super::checks::{assert_numbers, assert_printable};
use super::signal::Signal;

/// A resampler, and what it is given.
#[derive(Debug, Arbitrary)]
pub(super) struct Resampling {
    from: Rate,
    to: Rate,
    channels: u8,
    aligned: bool,
    blocks: Vec<Signal>,
    /// Between other rates afterwards.
    then: Option<(Rate, Rate)>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Rate {
    Known(u8),
    Any(u32),
}

impl Rate {
    fn hz(self) -> u32 {
        match self {
            Rate::Known(which) => RATES_HZ[usize::from(which) % RATES_HZ.len()],
            Rate::Any(hz) => hz,
        }
    }
}

impl Resampling {
    pub(super) fn run(&self) {
        let (from, to, channels) = (self.from.hz(), self.to.hz(), usize::from(self.channels % 4));
        let made = match self.aligned {
            true => Resampler::aligned(from, to, channels),
            false => Resampler::new(from, to, channels),
        };
        match made {
            Ok(mut resampler) => {
                self.feed(&mut resampler);
                if let Some((from, to)) = self.then {
                    match resampler.convert(from.hz(), to.hz(), channels) {
                        Ok(()) => self.feed(&mut resampler),
                        Err(error) => assert_printable(&error),
                    }
                }
            }
            Err(error) => assert_printable(&error),
        }
    }

    fn feed(&self, resampler: &mut Resampler) {
        let channels = resampler.channels();
        let (mut output, mut frames_in, mut sound) = (Vec::new(), 0, true);
        for block in self.blocks.iter().take(4) {
            let mut block = block.samples();
            block.truncate(block.len() / channels * channels);
            sound &= block.iter().all(|sample| sample.abs() <= LOUDEST_SAMPLE);
            let before = output.len();
            resampler.process(&block, &mut output);
            frames_in += block.len() / channels;
            let given = (output.len() - before) / channels;
            assert!(given <= resampler.output_frames_max(block.len() / channels), "{given} frames");
        }
        let before = output.len();
        resampler.finish(&mut output);
        assert!((output.len() - before) / channels <= resampler.finish_frames_max());
        if sound {
            assert_numbers(&output, "resampler");
        }
        let (from, to) = (u64::from(resampler.from_hz()), u64::from(resampler.to_hz()));
        let expected = (frames_in as u64 * to + from / 2) / from;
        let lag = if self.aligned || frames_in == 0 { 0 } else { resampler.delay_samples() as u64 };
        assert_eq!((output.len() / channels) as u64, expected + lag, "{from} to {to} Hz, {frames_in} frames");
    }
}

/// A room, and what happens in it.
#[derive(Debug, Arbitrary)]
pub(super) struct Mixing {
    room: Room,
    acts: Vec<Act>,
}

#[derive(Debug, Arbitrary)]
struct Room {
    rate: Rate,
    channels: u8,
    block_frames: u16,
    capacity: u8,
    speakers: Option<(u8, f32, f32, f32, f32)>,
}

#[derive(Debug, Arbitrary)]
enum Act {
    Add,
    Remove(u8),
    Volume(u8, f32),
    Pan(u8, f32),
    Mute(u8, bool),
    /// A block of the room's own length, mono or not, or as long as the signal is.
    Submit(u8, Signal, Option<bool>),
    Mix,
}

impl Mixing {
    pub(super) fn run(&self) {
        let room = &self.room;
        let speakers = room.speakers.map_or_else(
            SpeakerChoice::default,
            |(most, silence, hysteresis, takeover, hold)| SpeakerChoice {
                max_speakers: most.into(),
                silence_dbfs: silence,
                hysteresis_db: hysteresis,
                takeover_ms: takeover,
                hold_ms: hold,
            },
        );
        let settings = MixerSettings {
            stream: Stream { sample_rate_hz: room.rate.hz(), channels: usize::from(room.channels % 4) },
            block_frames: room.block_frames.into(),
            capacity: room.capacity.into(),
            speakers,
        };
        let mut mixer = match Mixer::new(&settings) {
            Ok(mixer) => mixer,
            Err(error) => return assert_printable(&error),
        };
        let mut known: Vec<ParticipantId> = Vec::new();
        for act in self.acts.iter().take(64) {
            let refused = match act {
                Act::Add => mixer.add().map(|id| known.push(id)),
                Act::Mix => {
                    assert_mixes_are_numbers(&mut mixer, &known);
                    Ok(())
                }
                _ if known.is_empty() => Ok(()),
                Act::Remove(who) => mixer.remove(one_of(&known, *who)),
                Act::Volume(who, volume_db) => mixer.set_volume_db(one_of(&known, *who), *volume_db),
                Act::Pan(who, pan) => mixer.set_pan(one_of(&known, *who), *pan),
                Act::Mute(who, muted) => mixer.set_muted(one_of(&known, *who), *muted),
                Act::Submit(who, signal, channels) => {
                    let mut block = signal.samples();
                    let frames = settings.block_frames;
                    match channels {
                        Some(false) => block.resize(frames, 0.0),
                        Some(true) => block.resize(frames * settings.stream.channels, 0.0),
                        None => {}
                    }
                    mixer.submit(one_of(&known, *who), &block)
                }
            };
            if let Err(error) = refused {
                assert_printable(&error);
            }
        }
        assert_mixes_are_numbers(&mut mixer, &known);
    }
}

fn one_of(known: &[ParticipantId], who: u8) -> ParticipantId {
    known[usize::from(who) % known.len()]
}

fn assert_mixes_are_numbers(mixer: &mut Mixer, known: &[ParticipantId]) {
    let mixes = mixer.mix();
    assert_numbers(mixes.shared(), "the shared mix");
    for id in known {
        if let Ok(heard) = mixes.heard_by(*id) {
            assert_numbers(heard, "a mix");
        }
    }
    for id in known {
        assert!(
            mixer.level_dbfs(*id).is_ok_and(f32::is_finite)
                || !mixer.mixes().outputs().any(|(there, _)| there == *id)
        );
    }
}

//! The mixer of a room, against sums taken one by one.
#![allow(unsafe_code)]

mod common;
#[path = "common/counting.rs"]
mod counting;

use std::f64::consts::{FRAC_PI_4, SQRT_2};

use common::Random;
use counting::allocations_in;
use proptest::prelude::*;
use sandbox::limiter::CEILING;
use sandbox::mixer::{Mixer, MixerError, MixerSettings, Output, ParticipantId, SpeakerChoice};
use sandbox::Stream;

const FRAMES: usize = 960;

fn room(channels: usize, max_speakers: usize) -> Mixer {
    Mixer::new(&settings(channels, max_speakers)).unwrap()
}

fn settings(channels: usize, max_speakers: usize) -> MixerSettings {
    MixerSettings {
        stream: Stream { sample_rate_hz: 48_000, channels },
        block_frames: FRAMES,
        capacity: 16,
        speakers: SpeakerChoice { max_speakers, ..SpeakerChoice::default() },
    }
}

/// A block of noise; loud enough to count, even at -40 dB.
fn noise(random: &mut Random, samples: usize, level: f32) -> Vec<f32> {
    (0..samples).map(|_| level * random.sample()).collect()
}

/// One participant as the oracle knows it.
struct Known {
    id: ParticipantId,
    volume_db: f64,
    pan: f64,
    muted: bool,
    /// In force at the end of the last round, left and right.
    gains: [f64; 2],
    block: Option<Vec<f32>>,
}

impl Known {
    fn new(id: ParticipantId) -> Self {
        Self { id, volume_db: 0.0, pan: 0.0, muted: false, gains: [0.0; 2], block: None }
    }

    /// What volume and pan ask for, by the constant-power law.
    fn wanted(&self, channels: usize) -> [f64; 2] {
        let volume = 10f64.powf(self.volume_db / 20.0);
        let angle = (self.pan + 1.0) * FRAC_PI_4;
        match channels {
            1 => [volume; 2],
            _ => [SQRT_2 * angle.cos() * volume, SQRT_2 * angle.sin() * volume],
        }
    }

    /// What it adds to the mixes, sample by sample, with gains that take 10 ms to their new values; and how large that
    /// would be by the larger of the two gains, for a gain between them is rounded like that one.
    fn voice(&self, to: [f64; 2], channels: usize) -> Vec<(f64, f64)> {
        let block = self.block.as_ref().unwrap();
        (0..FRAMES * channels)
            .map(|index| {
                let (frame, channel) = (index / channels, index % channels);
                let share = ((frame + 1) as f64 / 480.0).min(1.0);
                let gain = self.gains[channel] + share * (to[channel] - self.gains[channel]);
                let mono = block.len() == FRAMES;
                let sample = f64::from(block[if mono { frame } else { index }]);
                (gain * sample, self.gains[channel].max(to[channel]) * sample.abs())
            })
            .collect()
    }
}

/// Mixes a round, and the same one by one; compares what everybody hears. The limiters must have nothing to do.
fn compare_round(mixer: &mut Mixer, known: &mut [Known], channels: usize) -> Result<(), TestCaseError> {
    for participant in &*known {
        if let Some(block) = &participant.block {
            mixer.submit(participant.id, block).unwrap();
        }
    }
    mixer.mix();
    let speakers: Vec<ParticipantId> = mixer.active_speakers().collect();
    let mut voices: Vec<Option<Vec<(f64, f64)>>> = Vec::new();
    for participant in known.iter_mut() {
        let heard = speakers.contains(&participant.id);
        prop_assert!(!(heard && participant.muted), "a muted participant is heard");
        let to = if heard { participant.wanted(channels) } else { [0.0; 2] };
        let in_mix = participant.block.is_some() && (to != [0.0; 2] || participant.gains != [0.0; 2]);
        voices.push(in_mix.then(|| participant.voice(to, channels)));
        participant.gains = to;
    }
    let (mut own, mut shared) = (0, 0);
    let mixes = mixer.mixes();
    for (listener, participant) in known.iter().enumerate() {
        let mut expected = vec![0.0f64; FRAMES * channels];
        let mut magnitudes = vec![0.0f64; FRAMES * channels];
        for voice in voices.iter().enumerate().filter(|(speaker, _)| *speaker != listener) {
            for (index, (sample, magnitude)) in voice.1.iter().flatten().enumerate() {
                expected[index] += sample;
                magnitudes[index] += magnitude;
            }
        }
        match mixes.output(participant.id).unwrap() {
            Output::Own(index) => {
                prop_assert!(voices[listener].is_some(), "a mix of its own for one who says nothing");
                prop_assert_eq!(index, own, "own mixes are numbered by place");
                own += 1;
            }
            Output::Shared => {
                prop_assert!(voices[listener].is_none(), "one hears itself");
                shared += 1;
            }
        }
        // Single precision: each gain, product and sum rounds once.
        let roundings = (voices.len() + 6) as f64 * f64::from(f32::EPSILON) / 2.0;
        let heard = mixes.heard_by(participant.id).unwrap();
        for (index, (heard, expected)) in heard.iter().zip(&expected).enumerate() {
            let error = (f64::from(*heard) - expected).abs();
            prop_assert!(
                error <= roundings * magnitudes[index] + 1e-30,
                "sample {} for {}: {} instead of {}",
                index,
                participant.id,
                heard,
                expected
            );
        }
    }
    prop_assert_eq!(mixes.own_count(), own);
    prop_assert_eq!(own + shared, known.len());
    Ok(())
}

/// What happens before a round.
#[derive(Debug, Clone)]
enum Step {
    Join,
    Leave(usize),
    Volume(usize, f32),
    Pan(usize, f32),
    Mute(usize, bool),
    /// Who submits, who of them is silent, and who sends mono: one bit each.
    Round(u16, u16, u16),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Join),
        1 => (0..16usize).prop_map(Step::Leave),
        1 => (0..16usize, -60.0..=12.0f32).prop_map(|(who, volume)| Step::Volume(who, volume)),
        1 => (0..16usize, -1.0..=1.0f32).prop_map(|(who, pan)| Step::Pan(who, pan)),
        2 => (0..16usize, any::<bool>()).prop_map(|(who, muted)| Step::Mute(who, muted)),
        6 => (any::<u16>(), any::<u16>(), any::<u16>()).prop_map(|(some, silent, mono)| Step::Round(some, silent, mono)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn everybody_hears_the_sum_of_the_others(
        steps in prop::collection::vec(any_step(), 1..40),
        channels in 1..=2usize,
        max_speakers in 1..=16usize,
        seed in 1..u64::MAX,
    ) {
        let mut mixer = room(channels, max_speakers);
        let mut known: Vec<Known> = Vec::new();
        let mut random = Random(seed);
        for step in steps {
            let count = known.len().max(1);
            match step {
                Step::Join => match mixer.add() {
                    Ok(id) => known.push(Known::new(id)),
                    Err(error) => {
                        prop_assert_eq!(error, MixerError::Full { capacity: 16 });
                        prop_assert_eq!(known.len(), 16);
                    }
                },
                Step::Leave(who) => if !known.is_empty() {
                    let gone = known.remove(who % count).id;
                    mixer.remove(gone).unwrap();
                    prop_assert_eq!(mixer.remove(gone), Err(MixerError::UnknownParticipant { id: gone }));
                },
                Step::Volume(who, volume) => if let Some(participant) = known.get_mut(who % count) {
                    mixer.set_volume_db(participant.id, volume).unwrap();
                    participant.volume_db = volume.into();
                },
                Step::Pan(who, pan) => if let Some(participant) = known.get_mut(who % count) {
                    mixer.set_pan(participant.id, pan).unwrap();
                    participant.pan = pan.into();
                },
                Step::Mute(who, muted) => if let Some(participant) = known.get_mut(who % count) {
                    mixer.set_muted(participant.id, muted).unwrap();
                    participant.muted = muted;
                },
                Step::Round(some, silent, mono) => {
                    known.sort_by_key(|participant| participant.id.place());
                    for (index, participant) in known.iter_mut().enumerate() {
                        let samples = if mono >> index & 1 == 1 { FRAMES } else { FRAMES * channels };
                        let level = if silent >> index & 1 == 1 { 0.0 } else { 0.006 };
                        participant.block = (some >> index & 1 == 1).then(|| noise(&mut random, samples, level));
                    }
                    compare_round(&mut mixer, &mut known, channels)?;
                }
            }
            prop_assert_eq!(mixer.len(), known.len());
            prop_assert!(mixer.active_speakers().count() <= max_speakers);
        }
    }

    #[test]
    fn a_newcomer_at_a_used_place_finds_no_trace_of_who_sat_there(
        rounds in 1..20usize,
        volume in -60.0..=12.0f32,
        pan in -1.0..=1.0f32,
        muted in any::<bool>(),
        seed in 1..u64::MAX,
    ) {
        let mut random = Random(seed);
        let (mut used, mut fresh) = (room(2, 2), room(2, 2));
        let (friend, same_friend) = (used.add().unwrap(), fresh.add().unwrap());
        let former = used.add().unwrap();
        used.set_volume_db(former, volume).unwrap();
        used.set_pan(former, pan).unwrap();
        for _ in 0..rounds {
            // Quiet enough for the limiter of the mix that both share, which is the room's, not the former's.
            used.submit(former, &noise(&mut random, 2 * FRAMES, 0.1)).unwrap();
            used.mix();
            fresh.mix();
        }
        used.set_muted(former, muted).unwrap();
        used.remove(former).unwrap();
        let (newcomer, first) = (used.add().unwrap(), fresh.add().unwrap());
        prop_assert_eq!(newcomer.place(), first.place());
        prop_assert!(newcomer != former);
        for _ in 0..20 {
            let blocks = [noise(&mut random, 2 * FRAMES, 0.9), noise(&mut random, FRAMES, 0.9)];
            let mut heard = Vec::new();
            for (mixer, [first, second]) in [(&mut used, [friend, newcomer]), (&mut fresh, [same_friend, first])] {
                mixer.submit(first, &blocks[0]).unwrap();
                mixer.submit(second, &blocks[1]).unwrap();
                let mixes = mixer.mix();
                let both = [first, second].map(|id| mixes.heard_by(id).unwrap().to_vec());
                let levels = [first, second].map(|id| mixer.level_dbfs(id).unwrap());
                heard.push((both, levels, mixer.mixes().shared().to_vec()));
            }
            prop_assert_eq!(&heard[0], &heard[1]);
        }
    }

    #[test]
    fn a_room_that_everybody_left_is_a_fresh_one(loudness in 0.1..10.0f32, seed in 1..u64::MAX) {
        let mut random = Random(seed);
        let (mut used, mut fresh) = (room(1, 2), room(1, 2));
        let former = [(); 4].map(|()| used.add().unwrap());
        for _ in 0..10 {
            for id in former {
                used.submit(id, &noise(&mut random, FRAMES, loudness)).unwrap();
            }
            used.mix();
        }
        former.into_iter().for_each(|id| used.remove(id).unwrap());
        let (ids, same) = ([(); 3].map(|()| used.add().unwrap()), [(); 3].map(|()| fresh.add().unwrap()));
        for _ in 0..30 {
            let blocks = [(); 3].map(|()| noise(&mut random, FRAMES, 2.0));
            for index in 0..3 {
                used.submit(ids[index], &blocks[index]).unwrap();
                fresh.submit(same[index], &blocks[index]).unwrap();
            }
            let (one, other) = (used.mix(), fresh.mix());
            for index in 0..3 {
                prop_assert_eq!(one.heard_by(ids[index]).unwrap(), other.heard_by(same[index]).unwrap());
            }
        }
    }

    #[test]
    fn no_mix_reaches_the_ceiling(
        loudness in prop::sample::select(vec![0.3f32, 1.0, 5.0, 1e6, f32::MAX]),
        channels in 1..=2usize,
        seed in 1..u64::MAX,
    ) {
        let mut random = Random(seed);
        let mut mixer = room(channels, 16);
        let ids = [(); 16].map(|()| mixer.add().unwrap());
        for _ in 0..10 {
            for id in &ids[..random.below(17)] {
                mixer.submit(*id, &noise(&mut random, FRAMES * channels, loudness)).unwrap();
                mixer.set_volume_db(*id, 12.0).unwrap();
            }
            let mixes = mixer.mix();
            for id in ids {
                let peak = common::peak(mixes.heard_by(id).unwrap());
                prop_assert!(peak <= CEILING, "{} for {}", peak, loudness);
            }
        }
    }
}

#[test]
fn silence_stays_exactly_silent() {
    let mut mixer = room(2, 4);
    let ids = [(); 6].map(|()| mixer.add().unwrap());
    let mut random = Random(3);
    for round in 0..40 {
        // The first speaks alone, against digital silence from two others, and hears nothing at all.
        mixer.submit(ids[0], &noise(&mut random, 2 * FRAMES, 2.0)).unwrap();
        for id in &ids[1..3] {
            let level = if round == 0 { 0.1 } else { 0.0 };
            mixer.submit(*id, &noise(&mut random, 2 * FRAMES, level)).unwrap();
        }
        let mixes = mixer.mix();
        if round > 0 {
            assert!(mixes.heard_by(ids[0]).unwrap().iter().all(|sample| *sample == 0.0), "round {round}");
        }
    }
    let mixes = mixer.mix();
    assert_eq!(mixes.own_count(), 0);
    assert!(mixes.shared().iter().all(|sample| *sample == 0.0), "nobody sends anything");
}

#[test]
fn levels_are_as_set_within_a_tenth_of_a_db() {
    for volume in [-60.0, -24.0, -6.0, 0.0, 3.0, 12.0f32] {
        for (pan, expected) in [
            (0.0, [0.0, 0.0]),
            (-1.0, [3.0103, -300.0]),
            (1.0, [-300.0, 3.0103]),
            (0.5, [-5.3331, 2.3226]), // sqrt 2 cos and sin of 67.5 degrees
        ] {
            let mut mixer = room(2, 4);
            let (speaker, listener) = (mixer.add().unwrap(), mixer.add().unwrap());
            mixer.set_volume_db(speaker, volume).unwrap();
            mixer.set_pan(speaker, pan).unwrap();
            let block: Vec<f32> = (0..FRAMES).map(|index| 0.05 * (index as f32 * 0.05).sin()).collect();
            for _ in 0..2 {
                mixer.submit(speaker, &block).unwrap();
                mixer.mix();
            }
            let heard = mixer.mixes().heard_by(listener).unwrap();
            for (channel, expected_db) in expected.into_iter().enumerate() {
                let signal: Vec<f32> = heard.iter().skip(channel).step_by(2).copied().collect();
                let gain = common::rms_db(&signal) - common::rms_db(&block);
                let wanted = volume + expected_db;
                if expected_db < -200.0 {
                    assert!(signal.iter().all(|sample| *sample == 0.0));
                } else {
                    assert!((gain - wanted).abs() < 0.01, "{gain} dB instead of {wanted} dB");
                }
            }
        }
    }
}

#[test]
fn gains_glide_without_a_click() {
    let mut mixer = room(1, 4);
    let (speaker, listener) = (mixer.add().unwrap(), mixer.add().unwrap());
    // Constant input: every step in what is heard is a step of the gain.
    let block = [0.5f32; FRAMES];
    let mut heard = Vec::new();
    for round in 0..60 {
        match round {
            10 => mixer.set_muted(speaker, true).unwrap(),
            20 => mixer.set_muted(speaker, false).unwrap(),
            30 => mixer.set_volume_db(speaker, -60.0).unwrap(),
            40 => mixer.set_volume_db(speaker, 0.0).unwrap(),
            _ => {}
        }
        mixer.submit(speaker, &block).unwrap();
        heard.extend_from_slice(mixer.mix().heard_by(listener).unwrap());
    }
    assert_eq!(heard[5 * FRAMES], 0.5);
    assert_eq!(heard[15 * FRAMES], 0.0);
    assert_eq!(heard[35 * FRAMES], 0.5 * 0.001);
    let largest_step = heard.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(heard[0], f32::max);
    assert!(largest_step <= 0.5 / 480.0 + 1e-6, "a step of {largest_step}");
}

/// A room in which each of `levels` speaks a round long at its level; who is heard then.
fn speak(mixer: &mut Mixer, random: &mut Random, levels: &[(ParticipantId, f32)]) -> Vec<ParticipantId> {
    for (id, level) in levels {
        mixer.submit(*id, &noise(random, FRAMES, *level)).unwrap();
    }
    mixer.mix();
    mixer.active_speakers().collect()
}

#[test]
fn the_loudest_are_heard_and_an_interjection_moves_nobody() {
    let mut mixer = room(1, 2);
    let [anna, ben, carl] = [(); 3].map(|()| mixer.add().unwrap());
    let mut random = Random(11);
    for _ in 0..50 {
        assert_eq!(speak(&mut mixer, &mut random, &[(anna, 0.1), (ben, 0.1)]), [anna, ben]);
    }
    // 160 ms, twice as loud.
    for _ in 0..8 {
        assert_eq!(speak(&mut mixer, &mut random, &[(anna, 0.1), (ben, 0.1), (carl, 0.25)]), [anna, ben]);
    }
    for _ in 0..50 {
        assert_eq!(speak(&mut mixer, &mut random, &[(anna, 0.1), (ben, 0.1)]), [anna, ben]);
    }
    // As loud as they are, for long: the hysteresis holds.
    for _ in 0..100 {
        assert_eq!(speak(&mut mixer, &mut random, &[(anna, 0.1), (ben, 0.1), (carl, 0.15)]), [anna, ben]);
    }
    // Much louder for long: heard after the takeover time, in place of the quieter one.
    let rounds = (0..50)
        .position(|_| {
            speak(&mut mixer, &mut random, &[(anna, 0.1), (ben, 0.05), (carl, 0.5)]) == [anna, carl]
        })
        .expect("it is let in");
    assert!((9..=14).contains(&rounds), "after {rounds} rounds of 20 ms");
    // And it stays so.
    for _ in 0..100 {
        let heard = speak(&mut mixer, &mut random, &[(anna, 0.1), (ben, 0.05), (carl, 0.5)]);
        assert_eq!(heard, [anna, carl]);
    }
}

#[test]
fn a_speaker_keeps_its_place_through_a_pause_and_loses_it_after_the_hold_time() {
    let mut mixer = room(1, 2);
    let [anna, ben] = [(); 2].map(|()| mixer.add().unwrap());
    let mut random = Random(12);
    speak(&mut mixer, &mut random, &[(anna, 0.1), (ben, 0.1)]);
    for _ in 0..40 {
        assert_eq!(speak(&mut mixer, &mut random, &[(anna, 0.1), (ben, 1e-4)]), [anna, ben]);
    }
    assert_eq!(speak(&mut mixer, &mut random, &[(anna, 0.1), (ben, 1e-4)]), [anna]);
    // It says so to nobody: the last of its voice fades out, then it hears what all hear.
    mixer.submit(ben, &[1e-4; FRAMES]).unwrap();
    assert_eq!(mixer.mix().output(ben), Ok(Output::Shared));
}

#[test]
fn one_who_speaks_gets_the_place_of_one_who_paused_at_once() {
    let mut mixer = room(1, 2);
    let [anna, ben, carl] = [(); 3].map(|()| mixer.add().unwrap());
    let mut random = Random(13);
    for _ in 0..20 {
        speak(&mut mixer, &mut random, &[(anna, 0.3), (ben, 0.3)]);
    }
    for _ in 0..12 {
        assert_eq!(speak(&mut mixer, &mut random, &[(anna, 0.3)]), [anna, ben]);
    }
    // A quarter of a second has passed; even a quiet voice is let in from its first block on.
    assert_eq!(speak(&mut mixer, &mut random, &[(anna, 0.3), (carl, 0.02)]), [anna, carl]);
}

#[test]
fn changing_speakers_never_takes_more_places_than_there_are() {
    for max_speakers in 1..=4 {
        let mut mixer = room(1, max_speakers);
        let ids = [(); 16].map(|()| mixer.add().unwrap());
        let mut random = Random(14);
        for round in 0..600 {
            let levels: Vec<_> = ids
                .iter()
                .filter(|id| (round / 40 + id.place()) % 3 != 0)
                .map(|id| (*id, 0.02 * (1 + (id.place() * 7 + round / 25) % 11) as f32))
                .collect();
            let heard = speak(&mut mixer, &mut random, &levels);
            assert_eq!(heard.len(), max_speakers);
            assert!(mixer.mixes().own_count() <= 2 * max_speakers);
        }
    }
}

#[test]
fn what_is_wrong_is_named_and_changes_nothing() {
    let mut mixer = room(1, 4);
    let mut stereo = room(2, 4);
    let (id, in_stereo) = (mixer.add().unwrap(), stereo.add().unwrap());
    assert_eq!(
        mixer.submit(id, &[0.0; 2 * FRAMES]).unwrap_err().to_string(),
        "bad block of 1920 samples: accepted: 960 (mono)"
    );
    assert_eq!(
        stereo.submit(in_stereo, &[0.0; 7]).unwrap_err().to_string(),
        "bad block of 7 samples: accepted: 960 (mono) or 1920 (stereo, interleaved)"
    );
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for index in [0, 500, FRAMES - 1] {
            let mut block = [0.3; FRAMES];
            block[index] = bad;
            assert_eq!(mixer.submit(id, &block), Err(MixerError::NotFinite { index }));
        }
    }
    assert_eq!(mixer.mix().own_count(), 0, "none of it is in the mix");
    for volume in [f32::NAN, -60.1, 12.1] {
        assert!(matches!(mixer.set_volume_db(id, volume), Err(MixerError::VolumeDb { .. })));
    }
    for pan in [f32::NAN, -1.1, 1.1] {
        assert!(matches!(mixer.set_pan(id, pan), Err(MixerError::Pan { .. })));
    }
    mixer.remove(id).unwrap();
    let error = MixerError::UnknownParticipant { id };
    let unknown = Err(error);
    assert_eq!(mixer.submit(id, &[0.0; FRAMES]), unknown);
    assert_eq!(mixer.set_muted(id, true), unknown);
    assert_eq!(mixer.mix().output(id).map(drop), unknown);
    assert_eq!(error.to_string(), "participant 0.0 is not in the room");
    for (settings, name) in [
        (MixerSettings { capacity: 0, ..settings(1, 1) }, "capacity"),
        (MixerSettings { block_frames: 5_761, ..settings(1, 1) }, "block_frames"),
        (settings(3, 1), "channels"),
        (settings(1, 0), "max_speakers"),
    ] {
        let error = Mixer::new(&settings).unwrap_err().to_string();
        assert!(error.starts_with(name), "{error}");
    }
}

#[test]
fn once_every_place_was_taken_nothing_allocates() {
    let mut mixer = room(2, 4);
    let mut random = Random(15);
    let blocks = [noise(&mut random, 2 * FRAMES, 0.5), noise(&mut random, FRAMES, 3.0)];
    let mut live = || {
        let ids = [(); 16].map(|()| mixer.add().unwrap());
        for round in 0..50 {
            for id in &ids[round % 7..] {
                mixer.submit(*id, &blocks[(round + id.place()) % 2]).unwrap();
            }
            mixer.set_volume_db(ids[round % 16], -3.0).unwrap();
            mixer.set_pan(ids[round % 16], 0.3).unwrap();
            mixer.set_muted(ids[round % 16], round % 3 == 0).unwrap();
            let mixes = mixer.mix();
            assert!(mixes.outputs().all(|(id, _)| mixes.heard_by(id).unwrap().len() == 2 * FRAMES));
        }
        ids.into_iter().for_each(|id| mixer.remove(id).unwrap());
    };
    assert!(allocations_in(&mut live) > 0, "the first time it takes room, so the counter does count");
    assert_eq!(allocations_in(&mut live), 0);
}

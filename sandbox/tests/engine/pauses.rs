//! What is left out for a while, for want of time or by the session's wish, and comes back.

use std::f32::consts::TAU;
use std::ops::Range;
use std::time::Duration;

use opus::Channels;
use sandbox::pcm::SampleFormat;
use sandbox::{AudioSandbox, Event, Packets, SampleRate, Scratch, SettingsUpdate, SpeechEvent};

use super::common::{intensity, peak, speech};
use super::{bytes_of, sandbox};

/// How de-noise is made to pause.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Pause {
    NoTime,
    NoStrength,
    SwitchedOff,
}

const PAUSES: [Pause; 3] = [Pause::NoTime, Pause::NoStrength, Pause::SwitchedOff];

fn settings(rate: SampleRate) -> SettingsUpdate {
    intensity(0.0)
        .with("quality", "high_quality")
        .with("sample_rate", i64::from(rate.hz()))
        .with("input_format", "f32le")
        .with("output_format", "f32le")
        .with("max_processing_time_ms", 5)
}

/// One block of 20 ms, in time or not.
fn through(sandbox: &mut AudioSandbox, block: &[f32], late: bool) -> Vec<f32> {
    let (mut scratch, mut out) = (Scratch::default(), Packets::default());
    let clock = || Duration::from_millis(if late { 9 } else { 0 });
    sandbox.process_within(&bytes_of(SampleFormat::F32Le, block), &clock, &mut scratch, &mut out).unwrap();
    out[0].chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

/// What de-noise makes of `pcm` when it pauses for these blocks of 20 ms.
fn with_pause(rate: SampleRate, pcm: &[f32], pause: Pause, blocks: Range<usize>) -> Vec<f32> {
    let mut sandbox = sandbox(settings(rate).with("denoise", true));
    let mut heard = Vec::new();
    for (index, block) in pcm.chunks_exact(rate.hz() as usize / 50).enumerate() {
        let change = match pause {
            Pause::NoStrength if index == blocks.start => Some(("denoise.strength", 0.0)),
            Pause::NoStrength if index == blocks.end => Some(("denoise.strength", 1.0)),
            _ => None,
        };
        let mut changed = *sandbox.settings();
        if let Some((name, value)) = change {
            changed = changed.with(&SettingsUpdate::default().with(name, value)).unwrap();
        }
        if pause == Pause::SwitchedOff && [blocks.start, blocks.end].contains(&index) {
            let on = index == blocks.end;
            changed = changed.with(&SettingsUpdate::default().with("denoise", on)).unwrap();
        }
        sandbox.configure(&changed).unwrap();
        heard.extend(through(&mut sandbox, block, pause == Pause::NoTime && blocks.contains(&index)));
    }
    heard
}

#[test]
fn de_noise_comes_back_without_a_sound_of_before_its_pause() {
    for rate in [SampleRate::Hz48000, SampleRate::Hz16000, SampleRate::Hz8000] {
        let second = rate.hz() as usize;
        // Speech until 100 ms into the pause, and then nothing.
        let mut pcm = speech(rate, Channels::Mono)[second / 2..][..3 * second / 2].to_vec();
        pcm.resize(5 * second, 0.0);
        for pause in PAUSES {
            let heard = with_pause(rate, &pcm, pause, 70..200);
            let back = peak(&heard[4 * second - second / 50..]);
            assert!(back < 1e-4, "{back} at {rate:?} after {pause:?}");
        }
    }
}

#[test]
fn de_noise_goes_and_comes_back_without_a_click() {
    let bend = |sound: &[f32]| {
        sound.windows(3).fold(0.0f32, |most, three| most.max((three[2] - 2.0 * three[1] + three[0]).abs()))
    };
    let step = |sound: &[f32]| sound.windows(2).fold(0.0f32, |most, two| most.max((two[1] - two[0]).abs()));
    for rate in [SampleRate::Hz48000, SampleRate::Hz16000] {
        for hz in [60.0, 157.0, 440.0] {
            let tone = |at: u32| 0.1 * (at as f32 * TAU * hz / rate.hz() as f32 + 1.0).sin();
            let pcm: Vec<f32> = (0..rate.hz() * 4).map(tone).collect();
            for (pause, blocks) in PAUSES.into_iter().flat_map(|pause| [(pause, 100..101), (pause, 100..137)])
            {
                let heard = with_pause(rate, &pcm, pause, blocks.clone());
                let sample = |block: usize| block * rate.hz() as usize / 50;
                for (way, at) in [("goes", blocks.start), ("comes back", blocks.end)] {
                    let around = &heard[sample(at) - 50..sample(at + 9)];
                    // A share that glides from 0 to 1 in 10 ms bends a low tone 11 times as much as it bends itself.
                    let (steps, bends) = (step(around) / step(&pcm), bend(around) / bend(&pcm));
                    assert!(
                        steps < 2.0 && bends < 12.0,
                        "{hz} Hz at {rate:?}, {way} by {pause:?} for {blocks:?}: steps {steps}, bends {bends} of its own"
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_not_listened_to_counts_for_the_place_of_speech_all_the_same() {
    let rate = SampleRate::Hz48000;
    let mut pcm = vec![0.0; 3 * 48_000];
    pcm.extend(&speech(rate, Channels::Mono)[..3 * 48_000]);
    pcm.extend(vec![0.0; 48_000]);
    let places = |late_blocks: usize, switched_on_at: usize| {
        let mut sandbox = sandbox(settings(rate));
        let mut places = Vec::new();
        for (index, block) in pcm.chunks_exact(960).enumerate() {
            if index == switched_on_at {
                let on = SettingsUpdate::default().with("voice_activity", true);
                let settings = sandbox.settings().with(&on).unwrap();
                sandbox.configure(&settings).unwrap();
            }
            through(&mut sandbox, block, index < late_blocks);
            places.extend(sandbox.events().iter().filter_map(|event| match event {
                Event::Speech(SpeechEvent::Started { at } | SpeechEvent::Stopped { at }) => Some(*at),
                Event::Genre { .. } => None,
            }));
        }
        places
    };
    let expected = places(0, 0);
    assert!(expected.len() >= 2, "{expected:?}");
    for (late_blocks, switched_on_at) in [(100, 0), (0, 100), (33, 77)] {
        let found = places(late_blocks, switched_on_at);
        assert_eq!(found.len(), expected.len(), "{found:?}, not {expected:?}");
        for (found, expected) in found.iter().zip(&expected) {
            // Pieces of 16 ms begin elsewhere, and the detector has heard less before.
            assert!(found.abs_diff(*expected) <= 4 * 768, "{found}, not {expected}");
        }
    }
}

#[test]
fn however_often_genre_is_switched_speech_keeps_its_place() {
    for rate in [SampleRate::Hz48000, SampleRate::Hz8000] {
        let mut pcm = vec![0.0; 6 * rate.hz() as usize];
        pcm.extend(&speech(rate, Channels::Mono)[..3 * rate.hz() as usize]);
        let started = |switches: usize| {
            let update = settings(rate).with("quality", "balanced").with("voice_activity", true);
            let mut sandbox = sandbox(update);
            let mut place = None;
            for (index, block) in pcm.chunks_exact(rate.hz() as usize / 50).enumerate() {
                let genre = index < switches && index % 2 == 1;
                let wished = SettingsUpdate::default().with("genre", genre);
                let changed = sandbox.settings().with(&wished).unwrap();
                sandbox.configure(&changed).unwrap();
                through(&mut sandbox, block, false);
                for event in sandbox.events() {
                    if let Event::Speech(SpeechEvent::Started { at }) = event {
                        place = place.or(Some(*at));
                    }
                }
            }
            place.unwrap()
        };
        let (expected, found) = (started(0), started(280));
        // Two pieces of 16 ms.
        let tolerance = u64::from(rate.hz()) * 32 / 1_000;
        assert!(found.abs_diff(expected) <= tolerance, "{found}, not {expected} at {rate:?}");
    }
}

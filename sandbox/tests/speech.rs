//! What the chain does to real speech, through the whole sandbox: decode, enhance, encode, and heard at the other end.

mod common;

use common::{client_packets, intensity, peak, rms_db, settings, speech, without_rumble};
use opus::Channels;
use sandbox::{AudioSandbox, Packets, SampleRate, Scratch};

const RATE: SampleRate = SampleRate::Hz16000;
/// 25 ms.
const WINDOW: usize = 400;

/// The recording as a listener hears it after the sandbox, aligned to what went in.
fn through_the_sandbox(strength: f64) -> (Vec<f32>, Vec<f32>) {
    let said = speech(RATE, Channels::Mono);
    let mut sandbox = AudioSandbox::new(settings(RATE, Channels::Mono, intensity(strength))).unwrap();
    let mut listener = opus::Decoder::new(RATE.hz(), Channels::Mono).unwrap();
    let (mut scratch, mut out, mut block) = (Scratch::default(), Packets::default(), [0.0; 320]);
    let mut heard = Vec::new();
    for packet in client_packets(&said, RATE, Channels::Mono, 8, 64_000, 0) {
        sandbox.process(&packet, &mut scratch, &mut out).unwrap();
        listener.decode_float(&out[0], &mut block, false).unwrap();
        heard.extend_from_slice(&block);
    }
    // Two encoders, the client's and the sandbox', look ahead alike.
    heard.drain(..2 * sandbox.settings().delay_samples());
    (said[..heard.len()].to_vec(), heard)
}

/// How much louder the windows became whose level lay in a range, in dB: the mean of the differences.
fn gain_db(said: &[f32], heard: &[f32], levels_db: std::ops::Range<f32>) -> f32 {
    let (said, heard) = (without_rumble(said), without_rumble(heard));
    let differences: Vec<f32> = said
        .chunks_exact(WINDOW)
        .zip(heard.chunks_exact(WINDOW))
        .map(|(said, heard)| (rms_db(said), rms_db(heard)))
        .filter(|(said_db, _)| levels_db.contains(said_db))
        .map(|(said_db, heard_db)| heard_db - said_db)
        .collect();
    assert!(differences.len() >= 10, "only {} windows within {levels_db:?}", differences.len());
    differences.iter().sum::<f32>() / differences.len() as f32
}

#[test]
fn soft_passages_get_louder_pauses_quieter_and_nothing_clips() {
    for (strength, louder, quieter) in [(1.0, 3.0, -3.0), (2.0, 5.0, -4.0)] {
        let (said, heard) = through_the_sandbox(strength);
        let soft = gain_db(&said, &heard, -36.0..-28.0);
        let pauses = gain_db(&said, &heard, -90.0..-56.0);
        let loud = gain_db(&said, &heard, -21.0..0.0);
        println!(
            "intensity {strength}: soft {soft:+.1} dB, pauses {pauses:+.1} dB, loud {loud:+.1} dB, peak {}",
            peak(&heard)
        );
        assert!(soft > louder, "soft passages: {soft:+.1} dB");
        assert!(pauses < quieter, "pauses: {pauses:+.1} dB");
        assert!(loud < soft - 3.0, "loud passages {loud:+.1} dB, soft ones {soft:+.1} dB");
        assert!(peak(&heard) < 1.0, "peak {}", peak(&heard));
    }
}

#[test]
fn at_intensity_0_levels_stay_as_they_are() {
    let (said, heard) = through_the_sandbox(0.0);
    for levels in [-36.0..-28.0, -28.0..-21.0, -21.0..0.0] {
        let change = gain_db(&said, &heard, levels.clone());
        assert!(change.abs() < 1.0, "{levels:?}: {change:+.1} dB");
    }
}

#[test]
fn speech_that_is_far_too_loud_is_held_below_full_scale() {
    let mut sandbox = AudioSandbox::new(settings(RATE, Channels::Mono, intensity(2.0))).unwrap();
    let mut pcm: Vec<f32> = speech(RATE, Channels::Mono).iter().map(|sample| 20.0 * sample).collect();
    sandbox.enhance(&mut pcm).unwrap();
    assert!(peak(&pcm) < 0.89, "peak {}", peak(&pcm));
}

#[test]
fn what_is_heard_is_aligned_with_what_was_said() {
    for strength in [0.0, 1.0, 2.0] {
        let (said, heard) = through_the_sandbox(strength);
        // Differences of neighbours: high frequencies tell the time best, and the high-pass moves low ones.
        let edges = |pcm: &[f32]| -> Vec<f32> { pcm.windows(2).map(|pair| pair[1] - pair[0]).collect() };
        let (said, heard) = (edges(&said), edges(&heard));
        let likeness = |shift: isize| -> f64 {
            let pairs = said[4_000..20_000].iter().zip(&heard[(4_000 + shift) as usize..]);
            pairs.map(|(a, b)| f64::from(a * b)).sum()
        };
        let best = (-200..=200).max_by(|a, b| likeness(*a).total_cmp(&likeness(*b))).unwrap();
        // within a millisecond
        assert!(best.abs() <= 16, "off by {best} samples of {} at intensity {strength}", RATE.hz());
    }
}

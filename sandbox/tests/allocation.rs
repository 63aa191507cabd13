//! The steady state allocates nothing: shown by an allocator that counts for each thread.
//!
//! (libopus works on the stack; it calls `malloc` in its `_create` functions only, which are not used here.)
#![allow(unsafe_code)]

mod common;
#[path = "common/counting.rs"]
mod counting;

use common::{settings, PACKETS};
use counting::allocations_in;
use sandbox::{
    AudioSandbox, Compressor, Equaliser, Limiter, NoiseGate, Packets, SampleRate, Scratch, Settings,
    SettingsUpdate, Stage, Stream,
};

#[test]
fn nothing_allocates_once_warm_neither_packets_nor_resets_nor_changes_of_settings() {
    let sessions: Vec<Settings> = SampleRate::ALL
        .into_iter()
        .flat_map(|rate| common::ALL_CHANNELS.map(|channels| (rate, channels)))
        .map(|(rate, channels)| {
            let wishes = SettingsUpdate::default()
                .with("complexity", 10)
                .with("bitrate", 48_000)
                .with("fec", true)
                .with("expected_loss_percent", 10);
            settings(rate, channels, wishes)
        })
        .collect();
    let louder = SettingsUpdate::default().with("intensity", 2.0);
    let packets: Vec<&Vec<u8>> = PACKETS.iter().step_by(11).collect();
    let mut sandbox = AudioSandbox::new(Settings::default()).unwrap();
    let mut scratch = Scratch::default();
    let mut out = Packets::default();
    let mut live = || {
        for session in &sessions {
            sandbox.configure(session).unwrap();
            for packet in &packets {
                sandbox.process(*packet, &mut scratch, &mut out).unwrap();
                assert!(sandbox.process(&packet[..0], &mut scratch, &mut out).is_err());
                let _ = sandbox.process(&packet[..packet.len() / 2], &mut scratch, &mut out);
            }
            // 30 ms: joined from pieces
            sandbox.encode(&[0.1; 2_880][..12 * session_unit(session)], &mut scratch, &mut out).unwrap();
            sandbox.configure(&session.with(&louder).unwrap()).unwrap();
            sandbox.process(packets[0], &mut scratch, &mut out).unwrap();
            sandbox.restart().unwrap();
        }
        sandbox.reset().unwrap();
    };

    assert!(allocations_in(&mut live) > 0, "the first run grows the buffers, so the counter does count");
    assert_eq!(allocations_in(&mut live), 0);
}

fn session_unit(session: &Settings) -> usize {
    session.sample_rate().samples_per_unit() * session.channel_count()
}

/// Neither work, nor another stream, nor other parameters.
fn assert_allocates_only_when_new<S: Stage>(parameters: S::Parameters) {
    let streams = [(8_000, 1), (96_000, 2), (44_100, 1)];
    let [first, ..] = streams.map(|(sample_rate_hz, channels)| Stream { sample_rate_hz, channels });
    let mut stage = S::new(first, &parameters);
    let mut block = [0.9; 1_920];
    let work = || {
        for (sample_rate_hz, channels) in streams {
            stage.start(Stream { sample_rate_hz, channels }, &parameters);
            stage.process(&mut block);
            stage.set(&parameters);
            stage.process(&mut block);
        }
    };
    assert_eq!(allocations_in(work), 0);
}

#[test]
fn no_stage_allocates_once_it_is_built() {
    let longest = sandbox::LimiterParameters { look_ahead_ms: 5.0, ..Default::default() };
    assert_allocates_only_when_new::<Limiter>(longest);
    assert_allocates_only_when_new::<NoiseGate>(Default::default());
    assert_allocates_only_when_new::<Compressor>(Default::default());
    let mut bands = sandbox::EqualiserParameters::default();
    bands.bands[1] = sandbox::Band { kind: sandbox::BandKind::Peak, gain_db: 5.0, ..bands.bands[1] };
    assert_allocates_only_when_new::<Equaliser>(bands);
}

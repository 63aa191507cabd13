//! The codec pair against the bare library.
//!
//! `reset.rs` compares a used sandbox with a new one of ours, and both begin as copies of the same image. Here the
//! judge is another: encoders and decoders of the `opus` crate, which libopus initialises itself, every time, and
//! which get their settings by the crate's own setters.

mod common;

use common::{client_packets, settings, speech, ALL_CHANNELS, PACKETS};
use opus::{Application, Bitrate, Channels};
use sandbox::{AudioSandbox, Packets, SampleRate, Scratch, Settings, SettingsUpdate};

/// A sandbox with a past, in which `settings` are now in force and everything before is to be forgotten.
type Way = fn(&Settings) -> AudioSandbox;

/// Every way to begin anew.
const WAYS: [(&str, Way); 4] = [
    ("reset", |settings| {
        let mut sandbox = AudioSandbox::new(*settings).unwrap();
        live(&mut sandbox);
        sandbox.configure(&of_another_kind(settings)).unwrap();
        live(&mut sandbox);
        sandbox.reset().unwrap();
        sandbox
    }),
    ("restart", |settings| {
        let mut sandbox = AudioSandbox::new(of_another_kind(settings)).unwrap();
        live(&mut sandbox);
        sandbox.configure(settings).unwrap();
        live(&mut sandbox);
        sandbox.restart().unwrap();
        sandbox
    }),
    ("configure with another stream", |settings| {
        let mut sandbox = AudioSandbox::new(of_another_kind(settings)).unwrap();
        live(&mut sandbox);
        sandbox.configure(settings).unwrap();
        sandbox
    }),
    ("reset, then configure with the same stream", |settings| {
        let mut sandbox = AudioSandbox::new(with(settings, WISHES[0])).unwrap();
        sandbox.configure(settings).unwrap();
        live(&mut sandbox);
        sandbox.reset().unwrap();
        sandbox.configure(settings).unwrap();
        sandbox
    }),
];

/// Leaves traces in every part of a sandbox: packets of all kinds decoded, speech and silence encoded.
fn live(sandbox: &mut AudioSandbox) {
    let (mut scratch, mut out) = (Scratch::default(), Packets::default());
    for packet in PACKETS.iter().step_by(40) {
        sandbox.process(packet, &mut scratch, &mut out).unwrap();
    }
    let (rate, channels) = (sandbox.settings().sample_rate(), sandbox.settings().channels());
    let pcm = speech(rate, channels);
    let block = 8 * rate.samples_per_unit() * channels as usize;
    for samples in pcm.chunks_exact(block).skip(40).take(12) {
        sandbox.encode(samples, &mut scratch, &mut out).unwrap();
    }
    sandbox.encode(&vec![0.0; block], &mut scratch, &mut out).unwrap();
}

/// What a session may ask of its encoder: bitrate, complexity, VBR, DTX, FEC, expected loss, signal.
type Wishes = (i64, i64, bool, bool, bool, i64, &'static str);

const WISHES: [Wishes; 8] = [
    (32_000, 5, true, false, false, 0, "auto"),
    (12_000, 0, true, false, true, 20, "voice"),
    (24_000, 7, true, true, false, 0, "voice"),
    (64_000, 10, false, false, false, 0, "music"),
    (18_000, 10, true, true, true, 10, "auto"),
    (16_000, 5, false, false, true, 30, "auto"),
    (8_000, 0, false, true, false, 5, "auto"),
    (128_000, 7, true, false, false, 0, "music"),
];

fn with(settings: &Settings, wishes: Wishes) -> Settings {
    let (bitrate, complexity, vbr, dtx, fec, loss, signal) = wishes;
    let update = SettingsUpdate::default()
        .with("bitrate", bitrate)
        .with("complexity", complexity)
        .with("vbr", vbr)
        .with("dtx", dtx)
        .with("fec", fec)
        .with("expected_loss_percent", loss)
        .with("signal", signal);
    settings.with(&update).unwrap()
}

/// Another rate, another number of channels, another application.
fn of_another_kind(other: &Settings) -> Settings {
    let rate = SampleRate::ALL.into_iter().rev().find(|rate| *rate != other.sample_rate()).unwrap();
    let channels = if other.channels() == Channels::Mono { Channels::Stereo } else { Channels::Mono };
    let application = if other.application() == Application::Audio { "lowdelay" } else { "audio" };
    let update = SettingsUpdate::default().with("application", application);
    with(&settings(rate, channels, update), WISHES[6])
}

/// Speech, a pause that is long enough for DTX, speech again: 1.7 s.
fn stream(rate: SampleRate, channels: Channels) -> Vec<f32> {
    let pcm = speech(rate, channels);
    let tenth = rate.hz() as usize / 10 * channels as usize;
    [&pcm[5 * tenth..14 * tenth], &vec![0.0; 5 * tenth], &pcm[20 * tenth..23 * tenth]].concat()
}

/// The stream in blocks of 20 ms and now and then of another length that libopus takes.
fn blocks(rate: SampleRate, channels: Channels, pcm: &[f32]) -> Vec<&[f32]> {
    let unit = rate.samples_per_unit() * channels as usize;
    let (mut rest, mut blocks) = (pcm, Vec::new());
    for units in [8, 8, 8, 4, 8, 8, 16, 8, 2, 8, 8, 1, 8, 8, 24, 8, 8].into_iter().cycle() {
        let Some((block, after)) = rest.split_at_checked(units * unit) else { return blocks };
        blocks.push(block);
        rest = after;
    }
    blocks
}

fn encoded_by_the_library(settings: &Settings, blocks: &[&[f32]]) -> Vec<Vec<u8>> {
    let (rate, channels) = (settings.sample_rate().hz(), settings.channels());
    let mut encoder = opus::Encoder::new(rate, channels, settings.application()).unwrap();
    encoder.set_bitrate(Bitrate::Bits(settings.bitrate())).unwrap();
    encoder.set_complexity(settings.complexity().into()).unwrap();
    encoder.set_vbr(settings.vbr()).unwrap();
    encoder.set_dtx(settings.dtx()).unwrap();
    encoder.set_inband_fec(settings.fec()).unwrap();
    encoder.set_packet_loss_perc(settings.expected_loss_percent().into()).unwrap();
    encoder.set_signal(settings.signal()).unwrap();
    let encode = |block: &&[f32]| {
        let packet = encoder.encode_vec_float(block, 8_000).unwrap();
        // libopus leaves a packet's fall-back to mono in force after a packet of several frames; the sandbox does not.
        encoder.set_force_channels(None).unwrap();
        packet
    };
    blocks.iter().map(encode).collect()
}

fn assert_encodes_like_the_library(application: &'static str) {
    let update = || SettingsUpdate::default().with("application", application);
    let mut scratch = Scratch::default();
    let (mut packet, mut short) = (Packets::default(), 0);
    for rate in SampleRate::ALL {
        for channels in ALL_CHANNELS {
            let pcm = stream(rate, channels);
            let blocks = blocks(rate, channels, &pcm);
            for wishes in WISHES {
                let settings = with(&settings(rate, channels, update()), wishes);
                let expected = encoded_by_the_library(&settings, &blocks);
                short += expected.iter().filter(|packet| packet.len() <= 2).count();
                for (way, anew) in WAYS {
                    let mut sandbox = anew(&settings);
                    for (number, (block, expected)) in blocks.iter().zip(&expected).enumerate() {
                        sandbox.encode(block, &mut scratch, &mut packet).unwrap();
                        assert!(packet[0] == *expected, "block {number} after {way} with {settings:?}");
                    }
                }
            }
        }
    }
    assert!(short > 100, "{short} packets say nothing: the pause is to put DTX to work");
}

#[test]
fn an_encoder_for_voip_that_begins_anew_is_bit_identical_to_one_of_the_bare_library() {
    assert_encodes_like_the_library("voip");
}

#[test]
fn an_encoder_for_audio_that_begins_anew_is_bit_identical_to_one_of_the_bare_library() {
    assert_encodes_like_the_library("audio");
}

#[test]
fn an_encoder_for_low_delay_that_begins_anew_is_bit_identical_to_one_of_the_bare_library() {
    assert_encodes_like_the_library("lowdelay");
}

#[test]
fn a_decoder_that_begins_anew_is_bit_identical_to_one_of_the_bare_library() {
    for rate in SampleRate::ALL {
        for channels in ALL_CHANNELS {
            let settings = settings(rate, channels, SettingsUpdate::default());
            // One stream of the session's own kind, and packets of every kind.
            let own = client_packets(&stream(rate, channels), rate, channels, 8, 32_000, 10);
            let packets: Vec<_> = own.iter().chain(PACKETS.iter().step_by(5)).collect();
            let mut decoder = opus::Decoder::new(rate.hz(), channels).unwrap();
            let mut room = vec![0.0; rate.longest_packet() * channels as usize];
            let mut decode = |packet: &Vec<u8>| {
                let samples = decoder.decode_float(packet, &mut room, false).unwrap();
                room[..samples * channels as usize].to_vec()
            };
            let expected: Vec<_> = packets.iter().map(|packet| decode(packet)).collect();
            for (way, anew) in WAYS {
                let (mut sandbox, mut scratch) = (anew(&settings), Scratch::default());
                for (number, (packet, expected)) in packets.iter().zip(&expected).enumerate() {
                    let decoded = sandbox.decode(*packet, &mut scratch).unwrap();
                    let equal = decoded.iter().map(|sample| sample.to_bits());
                    let is_equal = equal.eq(expected.iter().map(|sample| sample.to_bits()));
                    assert!(is_equal, "packet {number} after {way} with {settings:?}");
                }
            }
        }
    }
}

//! The steady state allocates nothing: shown by an allocator that counts for each thread.
//!
//! (libopus works on the stack; it calls `malloc` in its `_create` functions only, which are not used here.)
#![allow(unsafe_code)]

mod common;
#[path = "common/counting.rs"]
mod counting;

use common::{settings, speech, PACKETS};
use counting::allocations_in;
use sandbox::framing::{Entries, Entry, MessageWriter};
use sandbox::{
    AudioSandbox, Compressor, Equaliser, Format, Incoming, Limiter, NoiseGate, Packets, SampleRate, Scratch,
    Settings, SettingsUpdate, Spatial, Stage, Stream,
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

/// All stages but de-noise, whose start is documented to allocate.
fn all_but_denoise() -> SettingsUpdate {
    Settings::switches()
        .fold(SettingsUpdate::default(), |update, stage| update.with(stage, true))
        .with("denoise", false)
        .with("quality", "high_quality")
        .with("equaliser.band_2_kind", "peak")
        .with("equaliser.band_2_gain_db", 3.0)
        .with("spatial.width", 1.5)
}

/// A session's way through everything: packets, a framed message with losses in it, bad packets, other parameters.
fn live(
    sandbox: &mut AudioSandbox,
    session: &Settings,
    other: &Settings,
    message: &[u8],
    scratch: &mut Scratch,
    out: &mut Packets,
    answer: &mut MessageWriter,
) {
    for settings in [session, other, session] {
        sandbox.configure(settings).unwrap();
        answer.clear();
        let mut entries = Entries::parse(message).unwrap().peekable();
        while let Some(entry) = entries.next() {
            let incoming = match (entry, entries.peek()) {
                (Entry::Packet(packet), _) => Incoming::Packet(packet),
                (Entry::Missing, Some(Entry::Packet(next))) => Incoming::Lost { next: Some(next) },
                (Entry::Missing, _) => Incoming::Lost { next: None },
            };
            sandbox.process(incoming, scratch, out).unwrap();
            for packet in out.iter() {
                answer.push(Entry::Packet(packet)).unwrap();
            }
        }
        assert!(sandbox.process(&[][..], scratch, out).is_err());
        let _ = sandbox.process(&[0xFF; 7][..], scratch, out);
    }
    sandbox.restart().unwrap();
}

/// Speech in 20 ms packets of the settings' input format, every fifth of them lost.
fn message(settings: &Settings) -> Vec<u8> {
    let mut writer = MessageWriter::default();
    let block = settings.input_sample_rate() as usize / 50 * settings.channel_count();
    // Of no matter which rate: this is not about how it sounds.
    let pcm = speech(SampleRate::Hz48000, settings.channels());
    for index in 0..15 {
        let mut bytes = Vec::new();
        match settings.input_format() {
            _ if index % 5 == 4 => {}
            Format::Opus => bytes.clone_from(&PACKETS[index * PACKETS.len() / 15]),
            Format::Pcm(format) => format.encode(&pcm[(20 + index) * block..][..block], &mut bytes),
        }
        let entry = if bytes.is_empty() { Entry::Missing } else { Entry::Packet(&bytes) };
        writer.push(entry).unwrap();
    }
    writer.into_message()
}

#[test]
fn with_all_stages_on_no_format_no_rate_no_loss_and_no_reset_allocates_once_warm() {
    let sessions: Vec<(Settings, Settings, Vec<u8>)> = [
        (48_000, 2, "opus", "opus", 48_000, 48_000),
        (16_000, 1, "opus", "opus", 48_000, 48_000),
        (48_000, 2, "s16le", "opus", 44_100, 48_000),
        (16_000, 1, "s24le", "f32le", 44_100, 48_000),
        (24_000, 2, "f32le", "s16le", 96_000, 22_050),
        (8_000, 1, "opus", "s16le", 48_000, 96_000),
        (12_000, 2, "s16le", "s24le", 8_000, 32_000),
    ]
    .into_iter()
    .map(|(rate, channels, input, output, from, to)| {
        let stream = all_but_denoise()
            .with("sample_rate", rate)
            .with("channels", channels)
            .with("input_format", input)
            .with("output_format", output)
            .with("input_sample_rate", from)
            .with("output_sample_rate", to)
            .with("framing", true);
        let session = Settings::default().with(&stream).unwrap();
        let changed = SettingsUpdate::default()
            .with("intensity", 2.0)
            .with("bitrate", 90_000)
            .with("equaliser.band_4_kind", "high_shelf")
            .with("compressor.ratio", 8.0)
            .with("limiter.look_ahead_ms", 5.0)
            .with("noise_gate", false)
            .with("metering", false);
        (session, session.with(&changed).unwrap(), message(&session))
    })
    .collect();
    let mut sandbox = AudioSandbox::new(Settings::default().with(&all_but_denoise()).unwrap()).unwrap();
    let (mut scratch, mut out, mut answer) =
        (Scratch::default(), Packets::default(), MessageWriter::default());
    let mut round = || {
        for (session, other, message) in &sessions {
            live(&mut sandbox, session, other, message, &mut scratch, &mut out, &mut answer);
        }
        sandbox.reset().unwrap();
    };
    assert!(allocations_in(&mut round) > 0, "the first run grows the buffers");
    assert_eq!(allocations_in(&mut round), 0);
}

#[test]
fn packets_through_de_noise_allocate_nothing_once_warm() {
    for channels in common::ALL_CHANNELS {
        let wishes = all_but_denoise().with("denoise", true);
        let mut sandbox = AudioSandbox::new(settings(SampleRate::Hz48000, channels, wishes)).unwrap();
        let (mut scratch, mut out) = (Scratch::default(), Packets::default());
        let mut round = || {
            for packet in PACKETS.iter().step_by(7) {
                sandbox.process(packet, &mut scratch, &mut out).unwrap();
                sandbox.process(Incoming::Lost { next: Some(packet) }, &mut scratch, &mut out).unwrap();
            }
        };
        round();
        assert_eq!(allocations_in(round), 0);
    }
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
    assert_allocates_only_when_new::<Spatial>(Default::default());
}

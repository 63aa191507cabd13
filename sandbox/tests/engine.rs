//! All stages together, and the formats around them.

mod common;
#[path = "engine/pauses.rs"]
mod pauses;
#[path = "engine/switching.rs"]
mod switching;

use std::cell::Cell;
use std::time::Duration;

use common::{client_packets, intensity, peak, speech, Random, ALL_CHANNELS, PACKETS};
use opus::Channels;
use proptest::prelude::*;
use sandbox::genre::Genre;
use sandbox::pcm::SampleFormat;
use sandbox::{
    AudioSandbox, Event, Incoming, Packets, Replacement, SampleRate, SandboxError, Scratch, Settings,
    SettingsUpdate, SpeechEvent,
};

fn sandbox(update: SettingsUpdate) -> AudioSandbox {
    AudioSandbox::new(Settings::default().with(&update).unwrap()).unwrap()
}

/// Voice clarity off and all other stages on.
fn everything() -> SettingsUpdate {
    Settings::switches()
        .fold(SettingsUpdate::default(), |update, stage| update.with(stage, true))
        .with("quality", "high_quality")
        .with("equaliser.band_2_kind", "peak")
        .with("equaliser.band_2_gain_db", 3.0)
        .with("spatial.width", 1.5)
}

fn bytes_of(format: SampleFormat, pcm: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    format.encode(pcm, &mut bytes);
    bytes
}

#[test]
fn pcm_through_no_stage_comes_back_bit_for_bit_in_every_format() {
    for (name, format) in
        [("s16le", SampleFormat::S16Le), ("s24le", SampleFormat::S24Le), ("f32le", SampleFormat::F32Le)]
    {
        for channels in ALL_CHANNELS {
            let mut sandbox = sandbox(
                intensity(0.0)
                    .with("channels", channels as i64)
                    .with("input_format", name)
                    .with("output_format", name),
            );
            let (mut scratch, mut out) = (Scratch::default(), Packets::default());
            for block in speech(SampleRate::Hz48000, channels).chunks(2 * 479) {
                let bytes = bytes_of(format, block);
                sandbox.process(&bytes, &mut scratch, &mut out).unwrap();
                assert_eq!((out.len(), &out[0]), (1, &bytes[..]), "{name} {channels:?}");
            }
        }
    }
}

#[test]
fn pcm_of_any_block_length_and_rate_becomes_opus_packets_of_the_asked_length() {
    for rate in [8_000u32, 22_050, 44_100, 48_000, 96_000] {
        for (packet_ms, samples) in [(2.5, 120), (20.0, 960), (120.0, 5_760)] {
            let mut sandbox = sandbox(
                SettingsUpdate::default()
                    .with("input_format", "s16le")
                    .with("input_sample_rate", i64::from(rate))
                    .with("packet_ms", packet_ms),
            );
            let (mut scratch, mut out, mut random) =
                (Scratch::default(), Packets::default(), Random(u64::from(rate)));
            let (mut frames, mut packets) = (0, 0);
            for _ in 0..60 {
                let block: Vec<f32> =
                    (0..1 + random.below(rate as usize / 20)).map(|_| 0.1 * random.sample()).collect();
                frames += block.len();
                sandbox.process(&bytes_of(SampleFormat::S16Le, &block), &mut scratch, &mut out).unwrap();
                for packet in out.iter() {
                    assert_eq!(opus::packet::get_nb_samples(packet, 48_000).unwrap(), samples);
                }
                packets += out.len();
            }
            let samples_in = frames * 48_000 / rate as usize;
            let left = samples_in as i64 - (packets * samples) as i64;
            assert!((-2..samples as i64 + 2).contains(&left), "{left} samples of {samples_in} at {rate} Hz");
        }
    }
}

#[test]
fn opus_comes_out_as_pcm_as_a_decoder_of_its_own_hears_it() {
    let mut sandbox = sandbox(intensity(0.0).with("output_format", "f32le"));
    let mut listener = opus::Decoder::new(48_000, Channels::Mono).unwrap();
    let (mut scratch, mut out, mut heard) = (Scratch::default(), Packets::default(), vec![0.0; 5_760]);
    for packet in client_packets(
        &speech(SampleRate::Hz48000, Channels::Mono),
        SampleRate::Hz48000,
        Channels::Mono,
        8,
        32_000,
        0,
    ) {
        let samples = listener.decode_float(&packet, &mut heard, false).unwrap();
        sandbox.process(&packet, &mut scratch, &mut out).unwrap();
        assert_eq!(out[0], bytes_of(SampleFormat::F32Le, &heard[..samples]));
    }
}

#[test]
fn lost_pcm_is_silence_as_long_as_the_packet_before() {
    let mut sandbox = sandbox(intensity(0.0).with("input_format", "s16le").with("output_format", "s16le"));
    let (mut scratch, mut out) = (Scratch::default(), Packets::default());
    let lost = Incoming::Lost { next: None };
    sandbox.process(lost, &mut scratch, &mut out).unwrap();
    assert_eq!(out[0], vec![0; 2 * 960]);
    sandbox.process(&bytes_of(SampleFormat::S16Le, &[0.5; 77]), &mut scratch, &mut out).unwrap();
    let processed = sandbox.process(lost, &mut scratch, &mut out).unwrap();
    assert_eq!((processed.replaced, out[0].len()), (Some(Replacement::Silence), 2 * 77));
}

#[test]
fn bad_pcm_is_refused_by_what_is_wrong_and_the_next_block_is_taken() {
    let mut sandbox = sandbox(
        intensity(0.0).with("channels", 2).with("input_format", "f32le").with("output_format", "f32le"),
    );
    let (mut scratch, mut out) = (Scratch::default(), Packets::default());
    let good = bytes_of(SampleFormat::F32Le, &[0.25, -0.5]);
    for (bytes, said) in [
        (bytes_of(SampleFormat::F32Le, &[0.1, 0.2, 0.3]), "no whole number of sample frames"),
        (good[..7].to_vec(), "no whole number of sample frames"),
        (bytes_of(SampleFormat::F32Le, &[0.0, f32::NAN]), "sample 1"),
        (bytes_of(SampleFormat::F32Le, &[f32::INFINITY, 0.0]), "sample 0"),
        (bytes_of(SampleFormat::F32Le, &[0.0, 0.0, 1e30, 0.0]), "sample 2"),
        (bytes_of(SampleFormat::F32Le, &vec![0.0; 2 * 5_761]), "at most 5760 are accepted"),
        (Vec::new(), "empty packet"),
    ] {
        let error = sandbox.process(&bytes, &mut scratch, &mut out).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert!(out.is_empty());
        sandbox.process(&good, &mut scratch, &mut out).unwrap();
        assert_eq!(out[0], good);
    }
}

#[test]
fn what_comes_out_is_as_late_as_the_settings_tell() {
    let stages = ["limiter", "noise_gate", "compressor", "equaliser", "spatial"];
    for rate in SampleRate::ALL {
        for on in 0..1 << stages.len() {
            let mut update = intensity(0.0).with("sample_rate", i64::from(rate.hz())).with("channels", 2);
            for (bit, stage) in stages.into_iter().enumerate() {
                update.set(stage, (on >> bit & 1 == 1).into());
            }
            let mut sandbox = sandbox(update);
            let mut pcm = vec![0.0; 2 * rate.hz() as usize / 10];
            pcm[200] = 0.5;
            pcm[201] = 0.5;
            sandbox.enhance(&mut pcm).unwrap();
            let loudest = (0..pcm.len()).max_by(|a, b| pcm[*a].abs().total_cmp(&pcm[*b].abs())).unwrap();
            assert_eq!(loudest / 2 - 100, sandbox.settings().engine_delay_samples(), "{rate:?} {on:b}");
        }
    }
}

#[test]
fn de_noise_runs_in_high_quality_only_and_delays_as_told() {
    let run = |quality: &str, denoise: bool| {
        let update = intensity(0.0).with("quality", quality).with("denoise", denoise);
        let mut sandbox = sandbox(update);
        let mut pcm = speech(SampleRate::Hz48000, Channels::Mono);
        sandbox.enhance(&mut pcm).unwrap();
        (pcm, sandbox.settings().engine_delay_samples())
    };
    let (dry, no_delay) = run("high_quality", false);
    assert_eq!(no_delay, 0);
    assert_eq!(run("balanced", true), (dry.clone(), 0));
    assert_eq!(run("battery_saver", true), (dry.clone(), 0));
    let (cleaned, delay) = run("high_quality", true);
    let product = |lag: usize| -> f64 {
        dry.iter().zip(&cleaned[lag..]).map(|(dry, clean)| f64::from(*dry) * f64::from(*clean)).sum()
    };
    let best = (0..2 * delay).max_by(|a, b| product(*a).total_cmp(&product(*b))).unwrap();
    assert!(delay > 0 && best.abs_diff(delay) <= 1, "{best}, told {delay}");
}

#[test]
fn when_a_packets_time_is_spent_it_goes_on_without_what_is_optional_and_keeps_its_place() {
    let update = || intensity(0.0).with("quality", "high_quality").with("max_processing_time_ms", 5);
    let (mut hurried, mut dry) = (sandbox(update()), sandbox(update().with("denoise.strength", 0)));
    let (mut scratch, mut out, mut expected) = (Scratch::default(), Packets::default(), Packets::default());
    let packets = client_packets(
        &speech(SampleRate::Hz48000, Channels::Mono),
        SampleRate::Hz48000,
        Channels::Mono,
        8,
        32_000,
        0,
    );
    for packet in &packets[..50] {
        let late =
            hurried.process_within(packet, &|| Duration::from_millis(5), &mut scratch, &mut out).unwrap();
        let in_time =
            dry.process_within(packet, &|| Duration::from_millis(4), &mut scratch, &mut expected).unwrap();
        assert_eq!((late.over_budget, in_time.over_budget), (true, false));
        assert_eq!(out, expected, "delayed like a cleaned packet, and nothing else");
    }
    // Half of a packet of 120 ms in time.
    let looks = Cell::new(0);
    let clock = || {
        looks.set(looks.get() + 1);
        Duration::from_millis(if looks.get() > 6 { 9 } else { 1 })
    };
    let long = PACKETS.last().unwrap();
    assert!(hurried.process_within(long, &clock, &mut scratch, &mut out).unwrap().over_budget);
    assert_eq!(looks.get(), 7, "once spent, the clock is not asked again");
}

#[test]
fn speaking_is_told_when_it_begins_and_when_it_ends() {
    let mut sandbox = sandbox(SettingsUpdate::default().with("voice_activity", true).with("metering", true));
    let (mut scratch, mut out) = (Scratch::default(), Packets::default());
    let mut pcm = vec![0.0; 48_000];
    pcm.extend(speech(SampleRate::Hz48000, Channels::Mono));
    pcm.extend(vec![0.0; 96_000]);
    let mut told = Vec::new();
    for packet in client_packets(&pcm, SampleRate::Hz48000, Channels::Mono, 8, 32_000, 0) {
        sandbox.process(&packet, &mut scratch, &mut out).unwrap();
        told.extend(sandbox.events().iter().copied());
        if sandbox.events().is_empty() {
            continue;
        }
        let last = matches!(told.last(), Some(Event::Speech(SpeechEvent::Started { .. })));
        assert_eq!(sandbox.readings().speaking, Some(last));
    }
    let starts: Vec<bool> =
        told.iter().map(|event| matches!(event, Event::Speech(SpeechEvent::Started { .. }))).collect();
    assert!(starts.len() >= 2 && starts.iter().step_by(2).all(|start| *start), "{told:?}");
    assert!(!starts.last().unwrap() && starts.iter().skip(1).step_by(2).all(|start| !*start), "{told:?}");
    assert!((-40.0..-5.0).contains(&sandbox.readings().integrated_lufs.unwrap()));
}

#[test]
fn a_voice_is_heard_at_the_same_places_whether_the_genre_is_listened_for_or_not() {
    let heard = |genre: fn(usize) -> bool| {
        let voice = SettingsUpdate::default().with("voice_activity", true);
        let mut sandbox = sandbox(voice.clone());
        let mut places = Vec::new();
        for (second, pcm) in speech(SampleRate::Hz48000, Channels::Mono).chunks_exact_mut(48_000).enumerate()
        {
            let wished = voice.clone().with("genre", genre(second));
            sandbox.configure(&Settings::default().with(&wished).unwrap()).unwrap();
            if second % 2 == 1 {
                pcm[20_000..].fill(0.0);
            }
            // Blocks that are no whole number of 10 ms.
            for block in pcm.chunks_mut(700) {
                sandbox.enhance(block).unwrap();
                places.extend(sandbox.events().iter().filter_map(|event| match event {
                    Event::Speech(SpeechEvent::Started { at }) => Some((true, *at)),
                    Event::Speech(SpeechEvent::Stopped { at }) => Some((false, *at)),
                    Event::Genre { .. } => None,
                }));
            }
        }
        places
    };
    let alone = heard(|_| false);
    assert!(alone.len() >= 4, "{alone:?}");
    for beside_genre in [heard(|_| true), heard(|second| second % 2 == 0)] {
        assert_eq!(beside_genre.len(), alone.len(), "{beside_genre:?}, not {alone:?}");
        for ((begins, at), (began, expected)) in beside_genre.iter().zip(&alone) {
            // A soft beginning is found some pieces of 16 ms earlier or later by the slightest difference.
            let tolerance = if *began { 7_200 } else { 1_536 };
            assert!(
                begins == began && at.abs_diff(*expected) <= tolerance,
                "{beside_genre:?}, not {alone:?}"
            );
        }
    }
}

#[test]
fn speech_is_told_as_its_genre_and_the_chain_follows() {
    let settings = SettingsUpdate::default().with("intensity", 0).with("genre", true);
    let (mut follows, mut plain) = (sandbox(settings), sandbox(intensity(0.0)));
    let mut adapted = speech(SampleRate::Hz48000, Channels::Mono);
    let mut as_it_is = adapted.clone();
    let mut told = Vec::new();
    for (block, same) in adapted.chunks_mut(960).zip(as_it_is.chunks_mut(960)) {
        follows.enhance(block).unwrap();
        plain.enhance(same).unwrap();
        told.extend(follows.events().iter().copied());
    }
    assert!(matches!(told[..], [Event::Genre { genre: Genre::Speech, .. }]), "{told:?}");
    assert_eq!(follows.readings().genre, Some("speech"));
    assert!(follows.readings().genre_confidence.unwrap() > 0.5);
    // Neutral until the genre is known, and then the low shelf turns the rumble down.
    let second = 48_000;
    assert!(adapted[..second] == as_it_is[..second]);
    assert!(adapted[6 * second..] != as_it_is[6 * second..]);
}

#[test]
fn nothing_runs_that_is_not_asked_for() {
    let readings = sandbox(SettingsUpdate::default()).readings();
    assert_eq!(readings, sandbox::Readings::default());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn with_all_stages_on_anything_comes_out_finite_below_the_ceiling_and_cut_anyhow_the_same(
        rate in prop::sample::select(SampleRate::ALL.to_vec()),
        channels in 1..=2i64,
        loudness in prop_oneof![Just(0.0), Just(1e-30), 0.0..2.0f32, Just(1e6), Just(f32::NAN), Just(f32::INFINITY)],
        cut in 1..3_000usize,
        seed in 1..u64::MAX,
    ) {
        let update = everything().with("sample_rate", i64::from(rate.hz())).with("channels", channels);
        let (mut whole, mut pieces) = (sandbox(update.clone()), sandbox(update));
        let mut random = Random(seed);
        let mut pcm: Vec<f32> = (0..rate.hz() as usize * channels as usize / 2)
            .map(|index| if index / 4_000 % 2 == 0 { loudness * random.sample() } else { 0.0 })
            .collect();
        let mut other = pcm.clone();
        whole.enhance(&mut pcm).unwrap();
        other.chunks_mut(cut * channels as usize).for_each(|block| pieces.enhance(block).unwrap());
        let ceiling = 10f32.powf(-1.0 / 20.0);
        prop_assert!(pcm.iter().all(|sample| sample.abs() <= ceiling), "{}", peak(&pcm));
        prop_assert!(pcm.iter().zip(&other).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
}

#[test]
fn a_change_of_format_begins_a_new_stream_and_is_undone_by_a_reset() {
    let template = Settings::default();
    let mut used = AudioSandbox::new(template).unwrap();
    let mut fresh = AudioSandbox::new(template).unwrap();
    let (mut scratch, mut out, mut expected) = (Scratch::default(), Packets::default(), Packets::default());
    let wishes =
        everything().with("input_format", "s16le").with("input_sample_rate", 44_100).with("channels", 2);
    used.configure(&template.with(&wishes).unwrap()).unwrap();
    used.process(&vec![3; 4 * 2_205], &mut scratch, &mut out).unwrap();
    assert!(matches!(used.process(&[1][..], &mut scratch, &mut out), Err(SandboxError::Pcm(_))));
    used.reset().unwrap();
    for packet in PACKETS.iter().step_by(9) {
        used.process(packet, &mut scratch, &mut out).unwrap();
        fresh.process(packet, &mut scratch, &mut expected).unwrap();
        assert_eq!(out, expected);
    }
}

//! Packets that were lost, and packets of silence.

mod common;

use common::{client_packets, intensity, peak, rms_db, settings, speech, Random, ALL_CHANNELS};
use opus::Channels;
use sandbox::{
    AudioSandbox, Incoming, Packets, Replacement, SampleRate, SandboxError, Scratch, Settings, SettingsUpdate,
};

const LOST: Incoming<'static> = Incoming::Lost { next: None };

/// Speech in packets of 20 ms, each with a copy of the one before.
fn packets_with_copies(rate: SampleRate, channels: Channels) -> Vec<Vec<u8>> {
    client_packets(&speech(rate, channels), rate, channels, 8, 32_000, 25)
}

/// What a decoder hears: all packets, or every `period`th one replaced; and whether it was a replaced one.
fn heard(
    packets: &[Vec<u8>],
    settings: Settings,
    period: usize,
    by_copy: bool,
) -> Vec<(Vec<f32>, Option<Replacement>)> {
    let mut sandbox = AudioSandbox::new(settings).unwrap();
    let (mut scratch, mut out) = (Scratch::default(), Packets::default());
    let mut listener = opus::Decoder::new(settings.sample_rate().hz(), settings.channels()).unwrap();
    let mut block = vec![0.0; 5_760 * settings.channel_count()];
    (0..packets.len())
        .map(|index| {
            let next = packets.get(index + 1).map(Vec::as_slice).filter(|_| by_copy);
            let incoming = match index % period {
                2 => Incoming::Lost { next },
                _ => Incoming::Packet(&packets[index]),
            };
            let processed = sandbox.process(incoming, &mut scratch, &mut out).unwrap();
            let samples = listener.decode_float(&out[0], &mut block, false).unwrap();
            assert_eq!(samples, processed.samples);
            (block[..samples * settings.channel_count()].to_vec(), processed.replaced)
        })
        .collect()
}

/// How far what stood in for lost packets is from what was lost, in dB below it; and how often it was from a copy.
fn replaced_error_db(rate: SampleRate, channels: Channels, by_copy: bool) -> (f32, usize) {
    let packets = packets_with_copies(rate, channels);
    // Nearly transparent, so that the error is the replacement's.
    let settings = settings(rate, channels, intensity(0.0).with("bitrate", 256_000).with("complexity", 10));
    let whole = heard(&packets, settings, usize::MAX, false);
    let with_losses = heard(&packets, settings, 7, by_copy);
    let (mut signal, mut error, mut recovered) = (Vec::new(), Vec::new(), 0);
    for ((good, _), (made_up, replaced)) in whole.iter().zip(&with_losses) {
        if replaced.is_some() {
            recovered += usize::from(*replaced == Some(Replacement::Recovered));
            signal.extend_from_slice(good);
            error.extend(good.iter().zip(made_up).map(|(good, made_up)| good - made_up));
        }
    }
    (rms_db(&signal) - rms_db(&error), recovered)
}

#[test]
fn a_copy_in_the_next_packet_recovers_what_was_lost_better_than_concealment() {
    for channels in ALL_CHANNELS {
        let (concealed_db, none) = replaced_error_db(SampleRate::Hz16000, channels, false);
        let (recovered_db, recovered) = replaced_error_db(SampleRate::Hz16000, channels, true);
        assert_eq!(none, 0);
        assert!(recovered > 20, "{recovered} packets carried a copy");
        assert!(
            recovered_db > concealed_db + 3.0,
            "{channels:?}: {recovered_db} dB recovered, {concealed_db} dB concealed"
        );
    }
}

#[test]
fn a_lost_packet_is_answered_as_long_as_the_last_one_and_20_ms_at_the_start() {
    for rate in SampleRate::ALL {
        for units in [1, 2, 4, 8, 16, 24, 48] {
            let packets =
                client_packets(&speech(rate, Channels::Mono), rate, Channels::Mono, units, 32_000, 0);
            let mut sandbox = AudioSandbox::new(Settings::default().with_sample_rate(rate)).unwrap();
            let (mut scratch, mut out) = (Scratch::default(), Packets::default());
            let first = sandbox.process(LOST, &mut scratch, &mut out).unwrap();
            assert_eq!(first.duration().as_millis(), 20);
            sandbox.reset().unwrap();
            for packet in &packets[..8] {
                let good = sandbox.process(packet, &mut scratch, &mut out).unwrap();
                assert_eq!((good.samples, good.replaced), (units * rate.samples_per_unit(), None));
                let lost = sandbox.process(LOST, &mut scratch, &mut out).unwrap();
                assert_eq!((lost.samples, lost.replaced), (good.samples, Some(Replacement::Concealed)));
                assert_eq!(opus::packet::get_nb_samples(&out[0], rate.hz()).unwrap(), lost.samples);
            }
        }
    }
}

#[test]
fn concealment_goes_on_in_the_sound_of_before_and_fades_out() {
    let rate = SampleRate::Hz48000;
    let tone: Vec<f32> = (0..48_000).map(|index| 0.3 * (index as f32 * 0.03).sin()).collect();
    let packets = client_packets(&tone, rate, Channels::Mono, 8, 64_000, 0);
    let mut sandbox = AudioSandbox::new(settings(rate, Channels::Mono, intensity(0.0))).unwrap();
    let mut scratch = Scratch::default();
    for packet in &packets[..25] {
        sandbox.decode(packet, &mut scratch).unwrap();
    }
    let concealed: Vec<f32> = (0..100).map(|_| rms_db(sandbox.decode(LOST, &mut scratch).unwrap())).collect();
    assert!((concealed[0] - rms_db(&tone)).abs() < 3.0, "{} dB at first", concealed[0]);
    // What stays is the noise that libopus takes the background for.
    assert!(concealed[99] < rms_db(&tone) - 15.0, "{} dB after 2 s", concealed[99]);
}

#[test]
fn after_losses_of_all_kinds_good_packets_sound_right_again() {
    let mut random = Random(7);
    let packets = packets_with_copies(SampleRate::Hz48000, Channels::Mono);
    let settings = settings(SampleRate::Hz48000, Channels::Mono, intensity(0.0));
    let (mut sandbox, mut twin) =
        (AudioSandbox::new(settings).unwrap(), AudioSandbox::new(settings).unwrap());
    let (mut scratch, mut other) = (Scratch::default(), Scratch::default());
    let (mut signal, mut error) = (Vec::new(), Vec::new());
    for (index, packet) in packets.iter().enumerate() {
        let good = twin.decode(packet, &mut other).unwrap();
        let garbage: Vec<u8> = (0..random.below(60)).map(|_| random.below(256) as u8).collect();
        match index % 20 {
            3 => drop(sandbox.decode(LOST, &mut scratch).unwrap()),
            4 => drop(sandbox.decode(Incoming::Lost { next: Some(&garbage) }, &mut scratch).unwrap()),
            5 => drop(sandbox.decode(Incoming::Lost { next: Some(&[]) }, &mut scratch).unwrap()),
            // Long after the last loss.
            18.. => {
                let pcm = sandbox.decode(packet, &mut scratch).unwrap();
                signal.extend_from_slice(good);
                error.extend(good.iter().zip(pcm.iter()).map(|(good, bad)| good - bad));
            }
            _ => drop(sandbox.decode(packet, &mut scratch).unwrap()),
        }
    }
    assert!(rms_db(&error) < rms_db(&signal) - 25.0, "{} dB beside {} dB", rms_db(&error), rms_db(&signal));
}

const QUALITIES: [&str; 3] = ["battery_saver", "balanced", "high_quality"];
const APPLICATIONS: [&str; 3] = ["voip", "audio", "lowdelay"];
const SIGNALS: [&str; 3] = ["auto", "voice", "music"];

/// Sends what `client` says through a sandbox with `wishes` and DTX; for each packet how long the answer is, and how loud
/// it is to a listener.
fn answers_with_dtx(
    rate: SampleRate,
    channels: Channels,
    wishes: SettingsUpdate,
    packets: &[Vec<u8>],
) -> Vec<(usize, f32)> {
    let mut sandbox = AudioSandbox::new(settings(rate, channels, wishes.with("dtx", true))).unwrap();
    let mut listener = opus::Decoder::new(rate.hz(), channels).unwrap();
    let (mut scratch, mut out) = (Scratch::default(), Packets::default());
    let mut block = vec![0.0; 5_760 * channels as usize];
    packets
        .iter()
        .map(|packet| {
            sandbox.process(packet, &mut scratch, &mut out).unwrap();
            let samples = listener.decode_float(&out[0], &mut block, false).unwrap();
            (out.bytes(), peak(&block[..samples * channels as usize]))
        })
        .collect()
}

/// All packets but those of the hang-over, and one in 400 ms for the listener's comfort noise, are of 1 or 2 bytes.
fn assert_next_to_no_bytes(answers: &[(usize, f32)], what: &str) {
    let tiny = answers.iter().filter(|(bytes, _)| *bytes <= 2).count();
    let others = answers.len() - tiny;
    assert!(
        others <= answers.len().div_ceil(20),
        "{others} of {} packets: {what}: {answers:?}",
        answers.len()
    );
}

fn each_kind(mut check: impl FnMut(SettingsUpdate, &str)) {
    for quality in QUALITIES {
        for application in APPLICATIONS {
            for signal in SIGNALS {
                let wishes = SettingsUpdate::default()
                    .with("quality", quality)
                    .with("application", application)
                    .with("signal", signal);
                check(wishes, &format!("{quality}, {application}, {signal}"));
            }
        }
    }
}

#[test]
fn silence_with_dtx_costs_next_to_no_bytes_and_stays_silent() {
    for rate in SampleRate::ALL {
        let mut client = opus::Encoder::new(rate.hz(), Channels::Mono, opus::Application::Voip).unwrap();
        client.set_dtx(true).unwrap();
        let silence = vec![0.0; 8 * rate.samples_per_unit()];
        let packets: Vec<Vec<u8>> =
            (0..100).map(|_| client.encode_vec_float(&silence, 1_500).unwrap()).collect();
        each_kind(|wishes, kind| {
            let answers = answers_with_dtx(rate, Channels::Mono, wishes, &packets);
            assert!(answers.iter().all(|(_, peak)| *peak < 1e-4), "{kind} at {rate:?}: {answers:?}");
            // Opus sends the first 200 ms of silence, and so does the client.
            assert_next_to_no_bytes(&answers[22..], &format!("{kind} at {rate:?}"));
        });
    }
}

#[test]
fn a_client_that_is_silent_from_its_first_packet_is_answered_with_next_to_no_bytes() {
    for channels in ALL_CHANNELS {
        // TOC bytes of 20 ms in each mode of libopus: SILK wideband, hybrid fullband, CELT fullband.
        for toc in [0x48, 0x78, 0xF8] {
            let stereo = if channels == Channels::Stereo { 4 } else { 0 };
            for packet in [vec![toc | stereo], vec![toc | stereo, 0]] {
                let packets = vec![packet; 100];
                each_kind(|wishes, kind| {
                    let answers = answers_with_dtx(SampleRate::Hz48000, channels, wishes, &packets);
                    // In the first packets libopus makes up to -78 dB of digital silence.
                    assert!(answers.iter().all(|(_, peak)| *peak < 2e-4), "{kind}: {answers:?}");
                    assert_next_to_no_bytes(&answers[12..], &format!("{kind}, {channels:?}, TOC {toc:#x}"));
                });
            }
        }
    }
}

#[test]
fn packets_of_every_length_and_constant_bitrate_are_answered_with_next_to_no_bytes_in_silence() {
    for units in [1, 6, 8, 12, 44, 48] {
        // So many empty CELT frames of 2.5 ms.
        let packets = vec![vec![0xE3, units]; 2_000 / usize::from(units)];
        for vbr in [true, false] {
            for application in APPLICATIONS {
                let wishes = SettingsUpdate::default().with("application", application).with("vbr", vbr);
                let answers = answers_with_dtx(SampleRate::Hz48000, Channels::Mono, wishes, &packets);
                let behind = &answers[90usize.div_ceil(units.into())..];
                let others = behind.iter().filter(|(bytes, _)| *bytes > 2).count();
                // One in 400 ms, in 5 s.
                assert!(
                    others <= 13,
                    "{others} of {}, {units} units, vbr {vbr}, {application}: {behind:?}",
                    behind.len()
                );
            }
        }
    }
}

#[test]
fn silence_with_dtx_after_speech_over_a_hum_costs_next_to_no_bytes_and_speech_behind_it_is_heard() {
    let rate = SampleRate::Hz48000;
    let mut random = Random(11);
    let said: Vec<f32> = speech(rate, Channels::Mono)[..96_000].to_vec();
    let background = (0..144_000).map(|_| 0.0);
    let all: Vec<f32> = said.iter().copied().chain(background).chain(said.iter().copied()).collect();
    let all: Vec<f32> = all.iter().map(|sample| sample + 0.002 * random.sample()).collect();
    let mut client = opus::Encoder::new(rate.hz(), Channels::Mono, opus::Application::Voip).unwrap();
    client.set_dtx(true).unwrap();
    let packets: Vec<Vec<u8>> =
        all.chunks_exact(960).map(|block| client.encode_vec_float(block, 1_500).unwrap()).collect();
    // The client is silent from the 115th packet on, but for the packets that tell of its background.
    assert!(packets[130..250].iter().filter(|packet| packet.len() <= 2).count() > 100);
    each_kind(|wishes, kind| {
        let answers = answers_with_dtx(rate, Channels::Mono, wishes, &packets);
        assert_next_to_no_bytes(&answers[150..250], kind);
        let loudest =
            |answers: &[(usize, f32)]| answers.iter().fold(0.0_f32, |most, (_, peak)| most.max(*peak));
        assert!(loudest(&answers[150..250]) < 2e-3, "{kind}: {}", loudest(&answers[150..250]));
        assert!(loudest(&answers[250..]) > 0.7 * loudest(&answers[..100]), "{kind}");
    });
}

#[test]
fn without_dtx_the_comfort_noise_of_a_silent_client_is_passed_on() {
    let (rate, mut random) = (SampleRate::Hz48000, Random(12));
    let mut client = opus::Encoder::new(rate.hz(), Channels::Mono, opus::Application::Voip).unwrap();
    client.set_dtx(true).unwrap();
    let speech = speech(rate, Channels::Mono);
    let mut sandbox = AudioSandbox::new(settings(rate, Channels::Mono, intensity(0.0))).unwrap();
    let (mut scratch, mut out) = (Scratch::default(), Packets::default());
    for at in 0..200 {
        let block: Vec<f32> = (0..960)
            .map(|index| 0.002 * random.sample() + if at < 100 { speech[at * 960 + index] } else { 0.0 })
            .collect();
        let packet = client.encode_vec_float(&block, 1_500).unwrap();
        sandbox.process(&packet, &mut scratch, &mut out).unwrap();
        assert!(out.bytes() > 2, "packet {at}");
    }
}

#[test]
fn an_empty_packet_is_no_lost_packet_and_is_refused_by_the_rule_of_its_format() {
    let mut sandbox = AudioSandbox::new(Settings::default()).unwrap();
    let refused = sandbox.process(&[][..], &mut Scratch::default(), &mut Packets::default());
    assert_eq!(refused, Err(SandboxError::EmptyPacket));
    for (format, bytes) in [("s16le", 4), ("s24le", 6), ("f32le", 8)] {
        let wishes = SettingsUpdate::default().with("input_format", format).with("input_sample_rate", 44_100);
        sandbox.configure(&settings(SampleRate::Hz48000, Channels::Stereo, wishes)).unwrap();
        let refused = sandbox.process(&[][..], &mut Scratch::default(), &mut Packets::default());
        let accepted = format!(
            "empty packet: accepted are 1 to 5292 sample frames of {format}, each of {bytes} bytes (2 channel(s); 120 ms \
             at 44100 Hz)"
        );
        assert_eq!(refused.unwrap_err().to_string(), accepted);
        // What stands in for a lost packet is no matter of bytes.
        let lost = sandbox.process(LOST, &mut Scratch::default(), &mut Packets::default());
        assert_eq!(lost.unwrap().replaced, Some(Replacement::Silence));
    }
}

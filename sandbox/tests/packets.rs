//! Packets: every duration and kind is answered whole, bad ones are refused without a trace, and what comes out is
//! what the bare library makes.

mod common;

use common::{client_packets, intensity, peak, rms_db, settings, speech, Random, ALL_CHANNELS, PACKETS};
use opus::{Application, Bandwidth, Bitrate, Channels};
use sandbox::{AudioSandbox, Packets, SampleRate, SandboxError, Scratch, Settings, SettingsUpdate};

/// Block lengths that libopus encodes in one call, in units of 2.5 ms.
const NATIVE_UNITS: [usize; 9] = [1, 2, 4, 8, 16, 24, 32, 40, 48];

/// A steady tone as packets of any number of units: frames of 20, 10, 5 or 2.5 ms, joined where libopus makes no
/// packet of that length itself.
fn tone_packets(channels: Channels, units: usize, count: usize) -> Vec<Vec<u8>> {
    let mut encoder = opus::Encoder::new(48_000, channels, Application::LowDelay).unwrap();
    encoder.set_bitrate(Bitrate::Bits(96_000)).unwrap();
    encoder.set_bandwidth(Bandwidth::Wideband).unwrap();
    encoder.set_force_channels(Some(channels)).unwrap();
    let piece_units = [8, 4, 2, 1].into_iter().find(|piece| units.is_multiple_of(*piece)).unwrap();
    let mut position = 0;
    let mut piece = || {
        let mut pcm = Vec::new();
        for _ in 0..piece_units * 120 {
            let sample = 0.3 * (position as f32 * 440.0 * std::f32::consts::TAU / 48_000.0).sin();
            pcm.extend(std::iter::repeat_n(sample, channels as usize));
            position += 1;
        }
        encoder.encode_vec_float(&pcm, 4_000).unwrap()
    };
    let packet = |_| {
        let pieces: Vec<Vec<u8>> = (0..units / piece_units).map(|_| piece()).collect();
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let mut packet = vec![0; 16_000];
        let bytes = opus::Repacketizer::new().unwrap().combine(&pieces, &mut packet).unwrap();
        packet.truncate(bytes);
        packet
    };
    (0..count).map(packet).collect()
}

#[test]
fn every_duration_that_opus_allows_is_answered_whole_at_every_rate_and_channel_count() {
    let mut scratch = Scratch::default();
    for units in 1..=48 {
        for packet_channels in ALL_CHANNELS {
            // Enough tone that the codec has settled in the last packet.
            let packets = tone_packets(packet_channels, units, (120 / units).max(3));
            for rate in SampleRate::ALL {
                for channels in ALL_CHANNELS {
                    let session = settings(rate, channels, intensity(0.0));
                    let mut sandbox = AudioSandbox::new(session).unwrap();
                    let mut listener = opus::Decoder::new(rate.hz(), channels).unwrap();
                    let mut heard = vec![0.0; rate.longest_packet() * channels as usize];
                    let mut out = Packets::default();
                    let what = format!("{units} units, {packet_channels:?} to {channels:?} at {rate:?}");
                    let mut tail_db = 0.0;
                    for packet in &packets {
                        let processed = sandbox.process(packet, &mut scratch, &mut out).expect(&what);
                        assert_eq!(processed.samples, units * rate.samples_per_unit(), "{what}");
                        assert_eq!(processed.duration().as_micros(), 2_500 * units as u128, "{what}");
                        let samples = listener.decode_float(&out[0], &mut heard, false).expect(&what);
                        assert_eq!(samples, processed.samples, "{what}");
                        let end = samples * channels as usize;
                        tail_db = rms_db(&heard[end - end / units..end]);
                    }
                    // 0.3 / sqrt(2) is -13.5 dB; 2.5 ms hold one period of the tone, more or less.
                    assert!((-17.0..-10.0).contains(&tail_db), "{what}: its last 2.5 ms are at {tail_db} dB");
                }
            }
        }
    }
}

#[test]
fn a_packet_of_three_frames_of_10_ms_is_answered_by_one_packet_at_every_bitrate_and_kind_of_signal() {
    let mut scratch = Scratch::default();
    let mut out = Packets::default();
    let (mut frames_of_10_ms, mut frames_of_5_ms) = (0, 0);
    for channels in ALL_CHANNELS {
        let pcm = speech(SampleRate::Hz48000, channels);
        let mut sandbox = AudioSandbox::new(Settings::default().with_channels(channels)).unwrap();
        let mut listener = opus::Decoder::new(48_000, channels).unwrap();
        let mut heard = vec![0.0; 5_760 * channels as usize];
        for (index, block) in pcm.chunks_exact(3 * 480 * channels as usize).enumerate() {
            // The settings swing, so that the encoder changes its mind within packets too.
            let wishes = SettingsUpdate::default()
                .with("bitrate", [9_000, 120_000, 16_000, 24_000, 64_000][index % 5])
                .with("signal", ["auto", "voice", "music"][index / 5 % 3])
                .with("complexity", index as i64 % 11);
            sandbox.configure(&sandbox.settings().with(&wishes).unwrap()).unwrap();
            sandbox.encode(block, &mut scratch, &mut out).unwrap();
            assert_eq!(listener.decode_float(&out[0], &mut heard, false).unwrap(), 1_440);
            match opus::packet::get_samples_per_frame(&out[0], 48_000).unwrap() {
                480 => frames_of_10_ms += 1,
                240 => frames_of_5_ms += 1,
                other => panic!("frames of {other} samples"),
            }
        }
    }
    assert!(frames_of_10_ms > 100, "{frames_of_10_ms} with frames as the encoder chose them");
    assert!(frames_of_5_ms > 0, "the way out for an encoder that changes its mind was never taken");
}

/// libopus 1.6.1 itself forgets to let go of mono here.
#[test]
fn a_stereo_session_of_long_packets_is_stereo_again_after_a_time_of_low_bitrate() {
    for units in [16, 24, 32, 48] {
        let pcm = speech(SampleRate::Hz48000, Channels::Stereo);
        let mut sandbox = AudioSandbox::new(Settings::default().with_channels(Channels::Stereo)).unwrap();
        let (mut scratch, mut out) = Default::default();
        let mut channels = Vec::new();
        for (index, block) in pcm.chunks_exact(units * 240).cycle().take(60).enumerate() {
            let wishes = SettingsUpdate::default()
                .with("bitrate", [40_000, 14_000, 40_000][index / 20])
                .with("signal", "voice");
            sandbox.configure(&sandbox.settings().with(&wishes).unwrap()).unwrap();
            sandbox.encode(block, &mut scratch, &mut out).unwrap();
            channels.push(opus::packet::get_nb_channels(&out[0]).unwrap());
        }
        let [before, low, after] = [channels[19], channels[39], channels[59]];
        assert_eq!(before, Channels::Stereo);
        assert_eq!(low, Channels::Mono, "the low bitrate is not low enough to show anything");
        assert_eq!(after, Channels::Stereo, "{units} units");
    }
}

#[test]
fn with_constant_bitrate_every_packet_of_a_length_has_the_same_size() {
    let wishes = SettingsUpdate::default().with("vbr", false);
    for units in [8, 12, 3, 24, 44] {
        let session = settings(SampleRate::Hz16000, Channels::Mono, wishes.clone());
        let mut sandbox = AudioSandbox::new(session).unwrap();
        let (mut scratch, mut out) = Default::default();
        for block in speech(SampleRate::Hz16000, Channels::Mono).chunks_exact(40 * units) {
            sandbox.encode(block, &mut scratch, &mut out).unwrap();
            let expected = 32_000 / 8 * units / 400;
            assert!(out.bytes().abs_diff(expected) <= 1, "{} bytes for {units} units", out.bytes());
        }
    }
}

#[test]
fn at_intensity_0_it_makes_the_very_bytes_that_the_bare_library_makes() {
    for (rate, channels, bitrate, complexity, fec, vbr) in [
        (SampleRate::Hz48000, Channels::Mono, 32_000, 5, false, true),
        (SampleRate::Hz48000, Channels::Stereo, 96_000, 10, false, false),
        (SampleRate::Hz16000, Channels::Mono, 20_000, 8, true, true),
        (SampleRate::Hz8000, Channels::Stereo, 24_000, 1, true, true),
    ] {
        let wishes = intensity(0.0)
            .with("bitrate", i64::from(bitrate))
            .with("complexity", i64::from(complexity))
            .with("fec", fec)
            .with("expected_loss_percent", 15)
            .with("vbr", vbr);
        let mut sandbox = AudioSandbox::new(settings(rate, channels, wishes)).unwrap();
        let (mut scratch, mut out) = Default::default();
        let mut decoder = opus::Decoder::new(rate.hz(), channels).unwrap();
        let mut encoder = opus::Encoder::new(rate.hz(), channels, Application::Voip).unwrap();
        encoder.set_bitrate(Bitrate::Bits(bitrate)).unwrap();
        encoder.set_complexity(complexity).unwrap();
        encoder.set_inband_fec(fec).unwrap();
        encoder.set_packet_loss_perc(15).unwrap();
        encoder.set_vbr(vbr).unwrap();
        let mut pcm = vec![0.0; 5_760 * 2];
        for packet in client_packets(&speech(rate, channels), rate, channels, 8, 64_000, 0) {
            let samples = decoder.decode_float(&packet, &mut pcm, false).unwrap();
            let expected = encoder.encode_vec_float(&pcm[..samples * channels as usize], 1_276).unwrap();
            sandbox.process(&packet, &mut scratch, &mut out).unwrap();
            assert_eq!(out[0], expected, "{rate:?} {channels:?}");
        }
    }
}

#[test]
fn every_native_block_length_encodes_at_every_complexity_and_the_extreme_bitrates() {
    let mut scratch = Scratch::default();
    let mut out = Packets::default();
    for rate in SampleRate::ALL {
        for channels in ALL_CHANNELS {
            let pcm = speech(rate, channels);
            for bitrate in [6_000, 510_000] {
                for complexity in [0, 5, 10] {
                    let wishes = SettingsUpdate::default()
                        .with("bitrate", i64::from(bitrate))
                        .with("complexity", i64::from(complexity));
                    let mut sandbox = AudioSandbox::new(settings(rate, channels, wishes)).unwrap();
                    let mut start = 0;
                    for units in NATIVE_UNITS.into_iter().chain([12, 47, 11]) {
                        let samples = units * rate.samples_per_unit() * channels as usize;
                        sandbox.encode(&pcm[start..start + samples], &mut scratch, &mut out).unwrap();
                        start += samples;
                        let answered = opus::packet::get_nb_samples(&out[0], rate.hz()).unwrap();
                        assert_eq!(answered, units * rate.samples_per_unit());
                    }
                }
            }
        }
    }
}

#[test]
fn a_bad_block_length_is_refused_with_what_would_be_right() {
    let mut sandbox = AudioSandbox::new(Settings::default().with_channels(Channels::Stereo)).unwrap();
    let (mut scratch, mut out) = (Scratch::default(), Packets::default());
    for samples in [0, 1, 239, 241, 960 + 2, 49 * 240] {
        let error = sandbox.encode(&vec![0.0; samples], &mut scratch, &mut out).unwrap_err();
        let expected = SandboxError::BlockLength { samples, channels: 2, sample_rate: 48_000, unit: 240 };
        assert_eq!(error, expected);
        assert!(out.is_empty());
    }
    assert!(sandbox.enhance(&mut [0.0; 3]).is_err());
    assert!(sandbox.enhance(&mut [0.0; 4]).is_ok());
}

#[test]
fn a_refused_packet_is_named_and_leaves_no_trace() {
    let mut scratch = Scratch::default();
    let mut sandbox = AudioSandbox::new(Settings::default()).unwrap();
    let mut twin = AudioSandbox::new(Settings::default()).unwrap();
    let (mut out, mut expected) = Default::default();
    assert_eq!(sandbox.process(&[][..], &mut scratch, &mut out), Err(SandboxError::EmptyPacket));

    let mut random = Random(7);
    let (mut refused, mut accepted) = (0, 0);
    for round in 0..4_000 {
        let good = &PACKETS[round % PACKETS.len()];
        let bad: Vec<u8> = match round % 3 {
            0 => good[..random.below(good.len())].to_vec(),
            1 => (0..1 + random.below(300)).map(|_| random.next() as u8).collect(),
            // a code 3 packet with a random count and random lengths
            _ => (0..2 + random.below(60)).map(|_| random.next() as u8 | 3).collect(),
        };
        match sandbox.process(&bad, &mut scratch, &mut out) {
            Err(error) => {
                refused += 1;
                assert!(out.is_empty());
                let named = match error {
                    SandboxError::EmptyPacket => bad.is_empty(),
                    SandboxError::BadPacket { bytes, .. } => bytes == bad.len(),
                    _ => false,
                };
                assert!(named, "{error:?} for {} bytes", bad.len());
            }
            Ok(_) => {
                accepted += 1;
                twin.process(&bad, &mut scratch, &mut expected).unwrap();
                assert_eq!(out, expected);
            }
        }
        sandbox.process(good, &mut scratch, &mut out).unwrap();
        twin.process(good, &mut scratch, &mut expected).unwrap();
        assert_eq!(out, expected, "after round {round}");
    }
    assert!(refused > 500 && accepted > 500, "{refused} refused, {accepted} accepted");
}

#[test]
fn noise_taken_for_packets_comes_out_finite_and_good_packets_sound_right_afterwards() {
    let mut scratch = Scratch::default();
    let mut random = Random(99);
    for channels in ALL_CHANNELS {
        let pcm = speech(SampleRate::Hz48000, channels);
        let good = client_packets(&pcm, SampleRate::Hz48000, channels, 8, 64_000, 0);
        let mut sandbox = AudioSandbox::new(Settings::default().with_channels(channels)).unwrap();
        let mut clean = AudioSandbox::new(Settings::default().with_channels(channels)).unwrap();
        for _ in 0..2_000 {
            let bytes: Vec<u8> = (0..1 + random.below(400)).map(|_| random.next() as u8).collect();
            if let Ok(pcm) = sandbox.decode(&bytes, &mut scratch) {
                let mut pcm = pcm.to_vec();
                assert!(pcm.iter().all(|sample| sample.is_finite()));
                sandbox.enhance(&mut pcm).unwrap();
                assert!(peak(&pcm) < 0.89, "{} came out", peak(&pcm));
            }
        }
        let mut listen = |sandbox: &mut AudioSandbox| -> Vec<f32> {
            let hear = |packet: &Vec<u8>| sandbox.decode(packet, &mut scratch).unwrap().to_vec();
            good.iter().flat_map(hear).collect()
        };
        let (after, alone) = (listen(&mut sandbox), listen(&mut clean));
        // From the third packet on (the codec's own memory) the difference lies 30 dB below the speech.
        let third = 3 * 960 * channels as usize;
        let difference: Vec<f32> = after.iter().zip(&alone).map(|(a, b)| a - b).collect();
        let below = rms_db(&alone[third..]) - rms_db(&difference[third..]);
        assert!(below > 30.0, "only {below} dB below");
    }
}

#[test]
fn a_packet_of_1_byte_as_sent_in_discontinuous_transmission_is_answered_in_its_length() {
    let mut sandbox = AudioSandbox::new(Settings::default()).unwrap();
    let (mut scratch, mut out) = Default::default();
    for packet in PACKETS.iter().take(20) {
        sandbox.process(packet, &mut scratch, &mut out).unwrap();
    }
    let silence = [PACKETS[0][0] & 0xFC];
    for _ in 0..10 {
        assert_eq!(sandbox.process(&silence[..], &mut scratch, &mut out).unwrap().samples, 960);
    }
}

#[test]
fn blocks_of_no_numbers_are_encoded_as_something_and_the_next_block_is_right() {
    let mut sandbox = AudioSandbox::new(Settings::default()).unwrap();
    let mut listener = opus::Decoder::new(48_000, Channels::Mono).unwrap();
    let (mut scratch, mut out, mut heard) = (Scratch::default(), Packets::default(), vec![0.0; 960]);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
        sandbox.encode(&[bad; 960], &mut scratch, &mut out).unwrap();
        listener.decode_float(&out[0], &mut heard, false).unwrap();
        assert!(heard.iter().all(|sample| sample.is_finite()));
        let pcm = speech(SampleRate::Hz48000, Channels::Mono);
        let (mut said_db, mut heard_db) = (0.0, 0.0);
        for block in pcm.chunks_exact(960).skip(40).take(10) {
            sandbox.encode(block, &mut scratch, &mut out).unwrap();
            listener.decode_float(&out[0], &mut heard, false).unwrap();
            (said_db, heard_db) = (rms_db(block), rms_db(&heard));
        }
        assert!((said_db - heard_db).abs() < 4.0, "said {said_db} dB, heard {heard_db} dB");
    }
}

#[test]
fn two_sandboxes_that_take_turns_on_one_scratch_make_what_each_makes_alone() {
    let session = |stereo: bool| {
        let channels = if stereo { Channels::Stereo } else { Channels::Mono };
        settings(SampleRate::Hz48000, channels, intensity(if stereo { 2.0 } else { 1.0 }))
    };
    let run_alone = |stereo: bool, packets: &[Vec<u8>]| -> Vec<Vec<u8>> {
        let mut sandbox = AudioSandbox::new(session(stereo)).unwrap();
        let answer = |packet: &Vec<u8>| {
            let (mut scratch, mut out) = Default::default();
            sandbox.process(packet, &mut scratch, &mut out).unwrap();
            out[0].to_vec()
        };
        packets.iter().map(answer).collect()
    };
    let (one, other) = PACKETS.split_at(PACKETS.len() / 2);
    let other = &other[..one.len()];
    let alone = [run_alone(false, one), run_alone(true, other)];

    let mut sandboxes =
        [AudioSandbox::new(session(false)).unwrap(), AudioSandbox::new(session(true)).unwrap()];
    let mut scratch = Scratch::default();
    let mut out = Packets::default();
    for turn in 0..one.len() {
        for (index, packets) in [one, other].into_iter().enumerate() {
            sandboxes[index].process(&packets[turn], &mut scratch, &mut out).unwrap();
            assert_eq!(out[0], alone[index][turn], "sandbox {index}, packet {turn}");
        }
    }
}

#[test]
fn the_delay_is_the_encoders_look_ahead_at_every_rate() {
    for rate in SampleRate::ALL {
        let sandbox = AudioSandbox::new(Settings::default().with_sample_rate(rate)).unwrap();
        // 6.5 ms: 2.5 ms of CELT overlap and 4 ms that balance SILK's.
        assert_eq!(sandbox.settings().delay_samples(), rate.hz() as usize * 65 / 10_000);
    }
}

#[test]
fn a_sandbox_and_its_scratch_can_move_to_another_thread() {
    let (mut scratch, mut out) = (Scratch::default(), Packets::default());
    let mut sandbox = AudioSandbox::new(Settings::default()).unwrap();
    let mut twin = AudioSandbox::new(Settings::default()).unwrap();
    let mut expected = Packets::default();
    for packet in PACKETS.iter().take(10) {
        // Another thread for each packet: what it makes is what it would have made here.
        (sandbox, scratch, out) = std::thread::spawn(move || {
            sandbox.process(packet, &mut scratch, &mut out).unwrap();
            (sandbox, scratch, out)
        })
        .join()
        .unwrap();
        twin.process(packet, &mut Scratch::default(), &mut expected).unwrap();
        assert_eq!(out, expected);
    }
}

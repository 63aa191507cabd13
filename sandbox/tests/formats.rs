//! PCM and framing: exact round trips, errors that say where, and no input that panics.
#![allow(unsafe_code)] // the counting allocator

#[path = "common/counting.rs"]
mod counting;

use counting::allocations_in;
use proptest::prelude::*;
use sandbox::framing::{Entries, Entry, FramingError, MessageWriter, MAX_PACKETS, MAX_PACKET_BYTES};
use sandbox::pcm::{PcmError, SampleFormat, LOUDEST_SAMPLE};

fn decoded(format: SampleFormat, bytes: &[u8]) -> Vec<f32> {
    let mut samples = Vec::new();
    format.decode(bytes, 1, &mut samples).expect("good samples");
    samples
}

fn encoded(format: SampleFormat, samples: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    format.encode(samples, &mut bytes);
    bytes
}

#[test]
fn every_integer_sample_comes_back_to_the_bit() {
    let all_16: Vec<u8> = (i16::MIN..=i16::MAX).flat_map(i16::to_le_bytes).collect();
    assert_eq!(encoded(SampleFormat::S16Le, &decoded(SampleFormat::S16Le, &all_16)), all_16);
    let all_24: Vec<u8> = (0..1u32 << 24).flat_map(|n| [n as u8, (n >> 8) as u8, (n >> 16) as u8]).collect();
    assert!(encoded(SampleFormat::S24Le, &decoded(SampleFormat::S24Le, &all_24)) == all_24);
}

#[test]
fn the_bytes_mean_what_the_formats_say() {
    assert_eq!(
        decoded(SampleFormat::S16Le, &[0, 0x80, 0xff, 0x7f, 0, 0x40, 1, 0]),
        [-1.0, 32_767.0 / 32_768.0, 0.5, 1.0 / 32_768.0]
    );
    assert_eq!(
        decoded(SampleFormat::S24Le, &[0, 0, 0x80, 0, 0, 0x40, 0xff, 0xff, 0xff]),
        [-1.0, 0.5, -1.0 / 8_388_608.0]
    );
    assert_eq!(decoded(SampleFormat::F32Le, &[0, 0, 0x80, 0xbf, 0, 0, 0, 0x3f]), [-1.0, 0.5]);
    assert_eq!(encoded(SampleFormat::F32Le, &[-1.0, 0.5]), [0, 0, 0x80, 0xbf, 0, 0, 0, 0x3f]);
}

#[test]
fn encoding_clips_at_full_scale_and_rounds_to_nearest_or_even() {
    let steps = |format, samples: &[f32]| -> Vec<f32> {
        let scale = if format == SampleFormat::S16Le { 32_768.0 } else { 8_388_608.0 };
        decoded(format, &encoded(format, samples)).into_iter().map(|sample| sample * scale).collect()
    };
    for (format, scale) in [(SampleFormat::S16Le, 32_768.0), (SampleFormat::S24Le, 8_388_608.0f32)] {
        let beyond = [1.0, 1.5, 1e30, f32::INFINITY, -1.0, -1.5, -1e30, f32::NEG_INFINITY, f32::NAN];
        let (top, bottom) = (scale - 1.0, -scale);
        assert_eq!(steps(format, &beyond), [top, top, top, top, bottom, bottom, bottom, bottom, 0.0]);
        let halves = [0.5, 1.5, 2.5, -0.5, -1.5, 0.4999, -0.4999, 3.6, -3.6].map(|step: f32| step / scale);
        assert_eq!(steps(format, &halves), [0.0, 2.0, 2.0, 0.0, -2.0, 0.0, 0.0, 4.0, -4.0]);
    }
    let loud = [15.9, -3.0];
    assert_eq!(decoded(SampleFormat::F32Le, &encoded(SampleFormat::F32Le, &loud)), loud);
}

#[test]
fn a_float_that_is_no_sound_is_refused_by_its_place() {
    let beyond = LOUDEST_SAMPLE.next_up();
    for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e9, beyond, -beyond] {
        for index in [0, 3, 77] {
            let mut input = vec![0.25; 80];
            input[index] = bad;
            let mut samples = vec![9.0];
            let error = SampleFormat::F32Le
                .decode(&encoded(SampleFormat::F32Le, &input), 2, &mut samples)
                .unwrap_err();
            assert!(matches!(error, PcmError::Sample { index: at, .. } if at == index), "{error}");
            let message = error.to_string();
            assert!(
                message.starts_with(&format!("sample {index}, ")) && message.contains("from -16 to 16"),
                "{message}"
            );
            assert_eq!(samples, [9.0]);
        }
    }
    assert_eq!(decoded(SampleFormat::F32Le, &LOUDEST_SAMPLE.to_le_bytes()), [LOUDEST_SAMPLE]);
}

#[test]
fn half_a_sample_frame_is_refused_and_says_what_a_whole_one_is() {
    for format in SampleFormat::ALL {
        for channels in [1, 2] {
            let whole = format.bytes() * channels;
            for bytes in 0..=3 * whole {
                let mut samples = Vec::new();
                let result = format.decode(&vec![0; bytes], channels, &mut samples);
                if bytes % whole == 0 {
                    assert_eq!((result, samples.len()), (Ok(()), bytes / format.bytes()));
                } else {
                    let message = result.unwrap_err().to_string();
                    assert!(message.starts_with(&format!("{bytes} bytes are no whole")), "{message}");
                    assert!(message.ends_with(&format!(
                        "{format} with {channels} channel(s) takes {whole} bytes for each"
                    )));
                    assert!(samples.is_empty());
                }
            }
        }
        assert!(format.decode(&[], 0, &mut Vec::new()).is_err());
    }
}

#[test]
fn formats_are_found_by_their_names_and_by_no_other() {
    for format in SampleFormat::ALL {
        assert_eq!(format.to_string().parse(), Ok(format));
    }
    for name in ["", "F32LE", "s16be", "pcm", &"x".repeat(1_000)] {
        let error = name.parse::<SampleFormat>().unwrap_err().to_string();
        assert!(error.ends_with("accepted: f32le, s24le or s16le") && error.len() < 100, "{error}");
    }
}

#[test]
fn neither_samples_nor_frames_allocate_where_there_is_room() {
    let input = vec![0.3; 1_920];
    let (mut bytes, mut samples) = (Vec::with_capacity(input.len() * 4), Vec::with_capacity(input.len()));
    let mut writer = MessageWriter::default();
    writer.push(Entry::Packet(&[0; 10_000])).unwrap();
    let count = allocations_in(|| {
        for format in SampleFormat::ALL {
            bytes.clear();
            samples.clear();
            format.encode(&input, &mut bytes);
            format.decode(&bytes, 2, &mut samples).unwrap();
            writer.clear();
            writer.push(Entry::Packet(&bytes)).unwrap();
            writer.push(Entry::Missing).unwrap();
            assert_eq!(Entries::parse(writer.message()).unwrap().count(), 2);
        }
    });
    assert_eq!(count, 0);
}

#[test]
fn the_example_of_the_documentation_reads_as_it_says() {
    let message = [0, 3, 0xf8, 0xff, 0xfe, 0, 0, 0, 5, 0x78, 1, 2, 3, 4];
    let expected = [Entry::Packet(&message[2..5]), Entry::Missing, Entry::Packet(&message[9..])];
    let packets = Entries::parse(&message).unwrap();
    assert_eq!(packets.len(), 3);
    assert_eq!(packets.collect::<Vec<_>>(), expected);

    let mut writer = MessageWriter::default();
    expected.into_iter().for_each(|packet| writer.push(packet).unwrap());
    assert_eq!(writer.into_message(), message);
}

#[test]
fn a_message_that_ends_too_early_is_refused_with_the_offset() {
    let message = [0, 2, 7, 7, 0, 0, 1, 1, 9];
    let refused = |end: usize| Entries::parse(&message[..end]).unwrap_err();
    assert_eq!(refused(1), FramingError::LengthCut { offset: 0 });
    assert_eq!(refused(2), FramingError::PacketCut { offset: 0, length: 2, left: 0 });
    assert_eq!(refused(5), FramingError::LengthCut { offset: 4 });
    assert_eq!(refused(9), FramingError::PacketCut { offset: 6, length: 257, left: 1 });
    for whole in [0, 4, 6] {
        assert!(Entries::parse(&message[..whole]).is_ok());
    }
    let text = refused(9).to_string();
    assert_eq!(text, "at offset 6: a packet of 257 bytes is announced, but the message ends 1 bytes later");
}

#[test]
fn no_more_than_fifty_packets_are_read_or_written() {
    let lost = [0; 2 * MAX_PACKETS + 2];
    assert_eq!(Entries::parse(&lost[2..]).unwrap().count(), 50);
    assert_eq!(Entries::parse(&lost).unwrap_err(), FramingError::TooMany { offset: 100 });

    let mut writer = MessageWriter::default();
    for _ in 0..MAX_PACKETS {
        writer.push(Entry::Packet(&[1])).unwrap();
    }
    assert_eq!(writer.push(Entry::Missing), Err(FramingError::TooMany { offset: 150 }));
    assert_eq!((writer.packets(), writer.message().len()), (50, 150));
}

#[test]
fn a_packet_of_no_bytes_or_too_many_is_not_written() {
    let mut writer = MessageWriter::default();
    let longest = vec![5; MAX_PACKET_BYTES + 1];
    assert_eq!(writer.push(Entry::Packet(&[])), Err(FramingError::Unframable { length: 0 }));
    assert_eq!(writer.push(Entry::Packet(&longest)), Err(FramingError::Unframable { length: 65_536 }));
    writer.push(Entry::Packet(&longest[1..])).unwrap();
    let message = writer.into_message();
    assert_eq!(Entries::parse(&message).unwrap().collect::<Vec<_>>(), [Entry::Packet(&longest[1..])]);
}

proptest! {
    #[test]
    fn what_is_written_is_read(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 0..=MAX_PACKETS)) {
        let packets: Vec<Entry<'_>> = packets
            .iter()
            .map(|bytes| if bytes.is_empty() { Entry::Missing } else { Entry::Packet(bytes) })
            .collect();
        let mut writer = MessageWriter::default();
        for &packet in &packets {
            writer.push(packet).unwrap();
        }
        prop_assert_eq!(Entries::parse(writer.message()).unwrap().collect::<Vec<_>>(), packets);
    }

    #[test]
    fn any_bytes_are_read_or_refused_and_what_is_read_writes_the_same_bytes(
        // Small bytes, so that lengths are often plausible.
        message in prop::collection::vec(prop_oneof![Just(0u8), 0u8..6, any::<u8>()], 0..300),
    ) {
        match Entries::parse(&message) {
            Ok(packets) => {
                let mut writer = MessageWriter::default();
                for packet in packets {
                    writer.push(packet).unwrap();
                }
                prop_assert_eq!(writer.into_message(), message);
            }
            Err(FramingError::LengthCut { offset } | FramingError::PacketCut { offset, .. } | FramingError::TooMany { offset }) => {
                prop_assert!(offset < message.len());
                prop_assert!(Entries::parse(&message[..offset]).is_ok());
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn any_bytes_are_samples_within_bounds_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), channels in 1usize..=2) {
        for format in SampleFormat::ALL {
            let mut samples = Vec::new();
            if format.decode(&bytes, channels, &mut samples).is_ok() {
                prop_assert_eq!(samples.len() * format.bytes(), bytes.len());
                prop_assert!(samples.iter().all(|sample| sample.abs() <= LOUDEST_SAMPLE));
                prop_assert_eq!(encoded(format, &samples), &bytes[..]);
            }
        }
    }

    #[test]
    fn floats_pass_to_the_bit_and_integers_within_half_a_step(samples in prop::collection::vec(-1.0f32..0.9999, 0..100)) {
        prop_assert_eq!(&decoded(SampleFormat::F32Le, &encoded(SampleFormat::F32Le, &samples)), &samples);
        for (format, step) in [(SampleFormat::S16Le, 1.0 / 32_768.0), (SampleFormat::S24Le, 1.0 / 8_388_608.0f64)] {
            for (&before, after) in samples.iter().zip(decoded(format, &encoded(format, &samples))) {
                prop_assert!((f64::from(before) - f64::from(after)).abs() <= step / 2.0);
            }
        }
    }
}

//! Writes Opus packets as an Ogg Opus stream (RFC 7845), the file that `opusdec`, browsers and players take.
//!
//! ```text
//!   page 0      page 1      page 2 ...                      last page
//!   OpusHead    OpusTags    about a second of packets       end of stream
//! ```
//!
//! A page's granule position counts 48 kHz samples from the first packet to the end of the last one that
//! the page completes, pre-skip included, whatever the rate the audio had. On the last page it may be less
//! than that: then the decoder trims the end (section 4.4).

use ogg::writing::PacketWriteEndInfo;
use ogg::PacketWriter;
use std::io::Write;

/// The rate granule positions, pre-skip and lengths count in, in Hz (RFC 7845, section 4).
pub const GRANULE_RATE_HZ: u32 = 48_000;

/// A page is closed at this length, as section 6 advises, so that a player can seek.
const PAGE_SAMPLES: u64 = GRANULE_RATE_HZ as u64;

/// What the identification header says of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OggOpusHead {
    /// 1 (mono) or 2 (stereo).
    pub channels: u8,
    /// What a decoder throws away at the beginning, in 48 kHz samples: the delay of all that lies between
    /// the original samples and the packets.
    pub pre_skip: u16,
    /// The rate of the original recording, in Hz. Players may resample to it; it does not change how the
    /// stream is decoded.
    pub input_sample_rate: u32,
}

/// Why an Ogg Opus stream could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OggOpusError {
    /// Only mono and stereo are written (channel mapping family 0).
    #[error("{got} channels can't be written; accepted are 1 (mono) and 2 (stereo)")]
    UnsupportedChannels {
        /// The channels asked for.
        got: u8,
    },
    /// The bytes are no Opus packet.
    #[error("packet {index} of {bytes} bytes is no Opus packet")]
    NotOpus {
        /// Which packet it is, from 0 on.
        index: u64,
        /// Its length.
        bytes: usize,
    },
    /// A stream has at least one packet.
    #[error("an Ogg Opus stream needs at least one packet")]
    NoPacket,
    /// The packets hold less than the length that was asked for.
    #[error("the packets hold {held} samples at 48 kHz, {wanted} are needed (pre-skip and length)")]
    TooShort {
        /// What the packets hold.
        held: u64,
        /// Pre-skip and length together.
        wanted: u64,
    },
    /// So much is to be trimmed that it reaches back into a page already written.
    #[error("{wanted} samples at 48 kHz were asked for (pre-skip and length) after {written} were written")]
    TooLong {
        /// What the finished pages hold.
        written: u64,
        /// Pre-skip and length together.
        wanted: u64,
    },
    /// The bytes could not be written.
    #[error("writing the Ogg Opus stream failed")]
    Io(#[from] std::io::Error),
}

/// Writes one Ogg Opus stream.
pub struct OggOpusWriter<W: Write> {
    pages: PacketWriter<'static, W>,
    serial: u32,
    pre_skip: u16,
    /// The last packet given, held back: which one ends the stream is only known afterwards.
    held_back: Option<Vec<u8>>,
    packets: u64,
    /// 48 kHz samples in all packets given.
    samples: u64,
    /// 48 kHz samples up to the end of the last finished page.
    samples_in_pages: u64,
    /// 48 kHz samples up to the end of the last packet handed to `pages`.
    samples_written: u64,
}

impl<W: Write> OggOpusWriter<W> {
    /// Starts a stream with its two header pages. `serial` tells it from other streams multiplexed into the
    /// same file.
    ///
    /// # Errors
    /// [`OggOpusError::UnsupportedChannels`], [`OggOpusError::Io`].
    pub fn new(out: W, head: OggOpusHead, serial: u32) -> Result<Self, OggOpusError> {
        if !matches!(head.channels, 1 | 2) {
            return Err(OggOpusError::UnsupportedChannels { got: head.channels });
        }
        let mut pages = PacketWriter::new(out);
        pages.write_packet(opus_head(head), serial, PacketWriteEndInfo::EndPage, 0)?;
        pages.write_packet(opus_tags(), serial, PacketWriteEndInfo::EndPage, 0)?;
        Ok(Self {
            pages,
            serial,
            pre_skip: head.pre_skip,
            held_back: None,
            packets: 0,
            samples: 0,
            samples_in_pages: 0,
            samples_written: 0,
        })
    }

    /// Bytes that a stream of `seconds` seconds at `bitrate` bit/s takes, of packets of 20 ms or more: an estimate on the
    /// high side, no bound, for an encoder exceeds its bitrate now and then.
    pub fn expected_bytes(seconds: u64, bitrate: u32) -> u64 {
        // Both headers, and what the last page has beyond a second.
        const HEADERS: u64 = 4_096;
        // A page's header and a lacing value for each packet.
        const PAGE: u64 = 27 + 50;
        let packets = u64::from(bitrate) / 8;
        // A lacing value for each 255 bytes more, and a sixteenth for the encoder.
        let a_second = packets + packets / 255 + packets / 16 + PAGE;
        seconds.saturating_mul(a_second).saturating_add(HEADERS)
    }

    /// Appends a packet; how long it lasts is read from the packet itself.
    ///
    /// # Errors
    /// [`OggOpusError::NotOpus`], after which the stream can go on; [`OggOpusError::Io`].
    pub fn write_packet(&mut self, packet: &[u8]) -> Result<(), OggOpusError> {
        let not_opus = OggOpusError::NotOpus { index: self.packets, bytes: packet.len() };
        // the length alone is read from the first bytes; `parse` looks at the whole packet
        if packet.is_empty() || opus::packet::parse(packet).is_err() {
            return Err(not_opus);
        }
        let Ok(duration) = opus::packet::get_nb_samples(packet, GRANULE_RATE_HZ) else {
            return Err(not_opus);
        };
        if let Some(before) = self.held_back.take() {
            let page_is_full = self.samples - self.samples_in_pages >= PAGE_SAMPLES;
            let end =
                if page_is_full { PacketWriteEndInfo::EndPage } else { PacketWriteEndInfo::NormalPacket };
            self.pages.write_packet(before, self.serial, end, self.samples)?;
            self.samples_written = self.samples;
            if page_is_full {
                self.samples_in_pages = self.samples;
            }
        }
        self.held_back = Some(packet.to_vec());
        self.packets += 1;
        self.samples += duration as u64;
        Ok(())
    }

    /// Ends the stream such that it plays `length` samples at 48 kHz after the pre-skip, and gives the
    /// writer back.
    ///
    /// # Errors
    /// [`OggOpusError::NoPacket`]; [`OggOpusError::TooShort`] when the packets hold less than that;
    /// [`OggOpusError::TooLong`] when more than the last packet would be trimmed; [`OggOpusError::Io`].
    pub fn finish(mut self, length: u64) -> Result<W, OggOpusError> {
        let last = self.held_back.take().ok_or(OggOpusError::NoPacket)?;
        let wanted = length.saturating_add(u64::from(self.pre_skip));
        if wanted > self.samples {
            return Err(OggOpusError::TooShort { held: self.samples, wanted });
        }
        if wanted < self.samples_written {
            return Err(OggOpusError::TooLong { written: self.samples_written, wanted });
        }
        self.pages.write_packet(last, self.serial, PacketWriteEndInfo::EndStream, wanted)?;
        let mut out = self.pages.into_inner();
        out.flush()?;
        Ok(out)
    }
}

/// The identification header (RFC 7845, section 5.1).
fn opus_head(head: OggOpusHead) -> Vec<u8> {
    let mut packet = b"OpusHead".to_vec();
    packet.push(1); // version
    packet.push(head.channels);
    packet.extend(head.pre_skip.to_le_bytes());
    packet.extend(head.input_sample_rate.to_le_bytes());
    packet.extend(0i16.to_le_bytes()); // output gain
    packet.push(0); // channel mapping family: mono or stereo in one stream
    packet
}

/// The comment header (RFC 7845, section 5.2): who wrote it, and no comments.
fn opus_tags() -> Vec<u8> {
    let vendor = concat!("sandpool ", env!("CARGO_PKG_VERSION"));
    let mut packet = b"OpusTags".to_vec();
    packet.extend((vendor.len() as u32).to_le_bytes());
    packet.extend(vendor.as_bytes());
    packet.extend(0u32.to_le_bytes());
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use ogg::PacketReader;
    use proptest::prelude::*;
    use std::io::Cursor;

    const HEAD: OggOpusHead = OggOpusHead { channels: 1, pre_skip: 312, input_sample_rate: 44_100 };

    /// Packets of `ms` milliseconds of a tone.
    fn packets(count: usize, ms: usize) -> Vec<Vec<u8>> {
        let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Voip).unwrap();
        let block: Vec<f32> = (0..48 * ms).map(|n| (n as f32 * 0.05).sin() * 0.3).collect();
        (0..count).map(|_| encoder.encode_vec_float(&block, 4_000).unwrap()).collect()
    }

    fn stream(packets: &[Vec<u8>], length: u64) -> Result<Vec<u8>, OggOpusError> {
        let mut writer = OggOpusWriter::new(Vec::new(), HEAD, 7)?;
        packets.iter().try_for_each(|packet| writer.write_packet(packet))?;
        writer.finish(length)
    }

    /// Each page's flags, granule position and sequence number, read by hand.
    fn pages(bytes: &[u8]) -> Vec<(u8, u64, u32)> {
        let (mut rest, mut pages) = (bytes, Vec::new());
        while !rest.is_empty() {
            assert_eq!(&rest[..5], b"OggS\0");
            assert_eq!(rest[14..18], 7u32.to_le_bytes());
            pages.push((
                rest[5],
                u64::from_le_bytes(rest[6..14].try_into().unwrap()),
                u32::from_le_bytes(rest[18..22].try_into().unwrap()),
            ));
            let segments = usize::from(rest[26]);
            let body: usize = rest[27..27 + segments].iter().map(|&b| usize::from(b)).sum();
            rest = &rest[27 + segments + body..];
        }
        pages
    }

    #[test]
    fn the_headers_stand_on_pages_of_their_own_and_say_what_was_asked() {
        let bytes = stream(&packets(3, 20), 2_000).unwrap();
        let mut reader = PacketReader::new(Cursor::new(bytes.clone()));
        let head = reader.read_packet_expected().unwrap();
        assert!(head.first_in_stream() && head.last_in_page());
        assert_eq!(head.data, b"OpusHead\x01\x01\x38\x01\x44\xAC\x00\x00\x00\x00\x00");
        let tags = reader.read_packet_expected().unwrap();
        assert!(tags.first_in_page() && tags.last_in_page());
        assert!(tags.data.starts_with(b"OpusTags") && tags.data.ends_with(&[0; 4]));
        assert_eq!(pages(&bytes).iter().map(|p| p.0).collect::<Vec<_>>(), [2, 0, 4]);
    }

    #[test]
    fn packets_come_back_unchanged_and_granules_count_48_khz_samples() {
        let packets = packets(130, 20);
        let length = 130 * 960 - 312 - 500;
        let bytes = stream(&packets, length).unwrap();
        let mut reader = PacketReader::new(Cursor::new(bytes.clone()));
        let back: Vec<_> = std::iter::from_fn(|| reader.read_packet().unwrap()).skip(2).collect();
        assert!(back.iter().map(|p| &p.data).eq(&packets));
        assert!(back.last().unwrap().last_in_stream());
        let pages = pages(&bytes);
        assert!(pages.iter().enumerate().all(|(n, page)| page.2 as usize == n));
        let granules: Vec<u64> = pages.iter().map(|page| page.1).collect();
        assert_eq!(granules, [0, 0, 48_000, 96_000, length + 312]);
    }

    #[test]
    fn a_length_the_packets_do_not_hold_is_refused() {
        let packets = packets(3, 20);
        assert!(stream(&packets, 3 * 960 - 312).is_ok());
        assert!(matches!(
            stream(&packets, 3 * 960 - 311),
            Err(OggOpusError::TooShort { held: 2_880, wanted: 2_881 })
        ));
        assert!(matches!(stream(&packets, 100), Err(OggOpusError::TooLong { written: 1_920, wanted: 412 })));
        assert!(matches!(stream(&[], 0), Err(OggOpusError::NoPacket)));
    }

    #[test]
    fn what_is_no_packet_is_refused_and_the_stream_goes_on() {
        let mut writer = OggOpusWriter::new(Vec::new(), HEAD, 7).unwrap();
        assert!(matches!(writer.write_packet(&[]), Err(OggOpusError::NotOpus { index: 0, bytes: 0 })));
        assert!(matches!(writer.write_packet(&[0xFF]), Err(OggOpusError::NotOpus { .. })));
        for packet in packets(2, 60) {
            writer.write_packet(&packet).unwrap();
        }
        let bytes = writer.finish(5_000).unwrap();
        assert_eq!(pages(&bytes).last().unwrap().1, 5_312);
    }

    #[test]
    fn a_stream_takes_hardly_more_than_is_expected() {
        let mut state = 1u32;
        let noise: Vec<f32> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state as i32 as f32 / i32::MAX as f32
        })
        .take(48_000 * 20)
        .collect();
        for bitrate in [6_000, 32_000, 128_000, 510_000] {
            for vbr in [true, false] {
                let mut encoder =
                    opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Voip).unwrap();
                encoder.set_bitrate(opus::Bitrate::Bits(bitrate)).unwrap();
                encoder.set_vbr(vbr).unwrap();
                let packets: Vec<_> =
                    noise.chunks(960).map(|block| encoder.encode_vec_float(block, 4_000).unwrap()).collect();
                let bytes = stream(&packets, 48_000 * 20 - 312).unwrap().len() as f64;
                let expected = OggOpusWriter::<Vec<u8>>::expected_bytes(21, bitrate as u32) as f64;
                assert!(bytes <= expected, "{bytes} of {expected} bytes at {bitrate} bit/s");
                assert!(bytes > 0.5 * expected - 4_096.0, "{bytes} of {expected} bytes at {bitrate} bit/s");
            }
        }
    }

    #[test]
    fn three_channels_are_refused() {
        let head = OggOpusHead { channels: 3, ..HEAD };
        assert!(matches!(
            OggOpusWriter::new(Vec::new(), head, 7),
            Err(OggOpusError::UnsupportedChannels { got: 3 })
        ));
    }

    proptest! {
        #[test]
        fn hostile_packets_never_panic_and_the_stream_stays_readable(
            given in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..700), 0..40), length in 0u64..100_000,
        ) {
            let mut writer = OggOpusWriter::new(Vec::new(), HEAD, 7).unwrap();
            let accepted: Vec<_> = given.iter().filter(|p| writer.write_packet(p).is_ok()).cloned().collect();
            let wanted = writer.samples.saturating_sub(312).saturating_sub(length % 100);
            if let Ok(bytes) = writer.finish(wanted) {
                let mut reader = PacketReader::new(Cursor::new(bytes));
                let back: Vec<_> = std::iter::from_fn(|| reader.read_packet().unwrap()).skip(2).map(|p| p.data).collect();
                prop_assert_eq!(back, accepted);
            }
        }
    }
}

//! The structure of an Opus packet (RFC 6716, section 3), without decoding it.

use std::time::Duration;

/// A packet lasts no longer.
const LONGEST: Duration = Duration::from_millis(120);
/// A frame takes no more bytes.
const MOST_FRAME_BYTES: usize = 1275;

/// How long `packet` lasts, or `None` if it breaks one of the rules R1 to R7 of section 3.4.
pub(crate) fn duration(packet: &[u8]) -> Option<Duration> {
    let (&toc, rest) = packet.split_first()?;
    let frames = match toc & 3 {
        0 => within(rest.len()).then_some(1)?,
        1 => (rest.len() % 2 == 0 && within(rest.len() / 2)).then_some(2)?,
        2 => {
            let (first, rest) = frame_length(rest)?;
            (first <= rest.len() && within(rest.len() - first)).then_some(2)?
        }
        _ => any_number(rest, frame_duration(toc))?,
    };
    Some(frame_duration(toc) * frames)
}

fn within(frame_bytes: usize) -> bool {
    frame_bytes <= MOST_FRAME_BYTES
}

/// Table 2: the duration of one frame, by the configuration in the upper five bits.
fn frame_duration(toc: u8) -> Duration {
    let micros = match toc >> 3 {
        config @ 0..=11 => [10_000, 20_000, 40_000, 60_000][usize::from(config % 4)],
        config @ 12..=15 => [10_000, 20_000][usize::from(config % 2)],
        config => [2_500, 5_000, 10_000, 20_000][usize::from(config % 4)],
    };
    Duration::from_micros(micros)
}

/// Section 3.2.1: a length of one or two bytes, and what follows it.
fn frame_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match *bytes {
        [short @ 0..=251, ref rest @ ..] => Some((usize::from(short), rest)),
        [first, second, ref rest @ ..] => Some((usize::from(second) * 4 + usize::from(first), rest)),
        _ => None,
    }
}

/// Section 3.2.5: a count, padding, and frames of one length or each of its own.
fn any_number(bytes: &[u8], each: Duration) -> Option<u32> {
    let (&count, mut rest) = bytes.split_first()?;
    let frames = usize::from(count & 0x3F);
    if frames == 0 || each * frames as u32 > LONGEST {
        return None;
    }
    let mut padding = 0;
    let mut more = count & 0x40 != 0;
    while more {
        let (&byte, behind) = rest.split_first()?;
        more = byte == 255;
        padding += usize::from(byte) - usize::from(more);
        rest = behind;
    }
    let variable = count & 0x80 != 0;
    let mut before_last = 0;
    if variable {
        for _ in 1..frames {
            let (length, behind) = frame_length(rest)?;
            before_last += length;
            rest = behind;
        }
    }
    let data = rest.len().checked_sub(padding)?;
    let right = if variable {
        data.checked_sub(before_last).is_some_and(within)
    } else {
        data % frames == 0 && within(data / frames)
    };
    right.then_some(frames as u32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn it_takes_what_libopus_takes(
            head in any::<[u8; 4]>(), code in prop_oneof![0_u8..4, Just(3)], length in prop_oneof![0_usize..12, 0_usize..3000]
        ) {
            let mut packet = vec![head[0] & 0xFC | code];
            packet.extend_from_slice(&head[1..]);
            packet.resize(length.max(1), 9);
            let theirs = match opus::packet::parse(&packet) {
                Ok(parsed) => {
                    let samples = opus::packet::get_samples_per_frame(&packet, 48_000).unwrap() * parsed.frames.len();
                    Some(Duration::from_nanos(samples as u64 * 1_000_000_000 / 48_000))
                }
                Err(_) => None,
            };
            prop_assert_eq!(duration(&packet), theirs, "{:?}", packet);
        }
    }

    #[test]
    fn nothing_is_no_packet() {
        assert_eq!(duration(&[]), None);
    }
}

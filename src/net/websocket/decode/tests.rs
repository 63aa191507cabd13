use super::*;
use proptest::prelude::*;

const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

fn frame(opcode: u8, is_final: bool, payload: &[u8]) -> Vec<u8> {
    let header =
        FrameHeader { is_final, opcode: OpCode::from(opcode), mask: Some(MASK), ..FrameHeader::default() };
    let mut wire = Vec::new();
    header.format(payload.len() as u64, &mut wire).unwrap();
    // The slow, obvious masking.
    wire.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ MASK[at % 4]));
    wire
}

/// All that comes out, fragments aside.
fn decode_all(pieces: &[&[u8]], max: usize) -> Result<Vec<Incoming>, Violation> {
    let mut decoder = Decoder::new(max);
    let mut found = Vec::new();
    for piece in pieces {
        let mut input = *piece;
        while let Some(incoming) = decoder.decode(&mut input, |_| true)? {
            if incoming != Incoming::Fragment {
                found.push(incoming);
            }
        }
        assert!(input.is_empty(), "None means that all was used");
    }
    Ok(found)
}

fn text(text: &str) -> Incoming {
    Incoming::Message(Message::text(text.to_owned()))
}

#[test]
fn messages_split_at_any_byte_come_out_the_same() {
    let long = "\u{e9}".repeat(200);
    let wire = [
        frame(1, true, "h\u{e9}llo".as_bytes()),
        frame(1, false, &long.as_bytes()[..101]),
        frame(9, true, b"ping"),
        frame(0, false, b""),
        frame(0, true, &long.as_bytes()[101..]),
        frame(2, true, &[]),
        frame(10, true, b"pong"),
        frame(8, true, &[0x03, 0xE8, b'b', b'y', b'e']),
    ]
    .concat();
    for cut in 0..=wire.len() {
        let found = decode_all(&[&wire[..cut], &wire[cut..]], 1_000).unwrap();
        let expected = [
            text("h\u{e9}llo"),
            Incoming::Ping(Bytes::from_static(b"ping")),
            text(&long),
            Incoming::Message(Message::binary(Bytes::new())),
            Incoming::Pong,
            Incoming::Close(Some(CloseCode::Normal)),
        ];
        assert_eq!(found, expected, "cut at {cut}");
    }
}

#[test]
fn one_call_decodes_one_frame_however_many_empty_ones_there_are() {
    let wire = [frame(1, false, b""), frame(0, false, b"").repeat(1_000)].concat();
    let (mut decoder, mut input) = (Decoder::new(100), &wire[..]);
    for _ in 0..=1_000 {
        let before = input.len();
        assert_eq!(decoder.decode(&mut input, |_| true), Ok(Some(Incoming::Fragment)));
        assert_eq!(before - input.len(), 6);
    }
    assert_eq!(decoder.decode(&mut input, |_| true), Ok(None));
}

fn violation(wire: &[u8]) -> CloseCode {
    decode_all(&[wire], 100).expect_err("it should be refused").code
}

#[test]
fn violations_are_told_with_their_code() {
    let mut unmasked = Vec::new();
    FrameHeader { opcode: OpCode::from(1), ..FrameHeader::default() }.format(0, &mut unmasked).unwrap();
    let mut reserved_bit = frame(1, true, b"x");
    reserved_bit[0] |= 0x40;
    for (wire, code) in [
        (unmasked, CloseCode::Protocol),
        (reserved_bit, CloseCode::Protocol),
        (frame(9, false, b""), CloseCode::Protocol),
        (frame(9, true, &[0; 126]), CloseCode::Protocol),
        (frame(0, true, b"x"), CloseCode::Protocol),
        ([frame(1, false, b"x"), frame(1, true, b"y")].concat(), CloseCode::Protocol),
        (frame(8, true, &[3]), CloseCode::Protocol),
        (frame(8, true, &[0x03, 0xED]), CloseCode::Protocol),
        (frame(8, true, &[0x03, 0xE8, 0xFF]), CloseCode::Invalid),
        (frame(1, true, &[0xC3]), CloseCode::Invalid),
        (frame(2, true, &[0; 101]), CloseCode::Size),
        ([frame(2, false, &[0; 60]), frame(0, true, &[0; 41])].concat(), CloseCode::Size),
    ] {
        assert_eq!(violation(&wire), code, "{wire:02x?}");
    }
    assert_eq!(violation(&[0x83, 0x80, 0, 0, 0, 0]), CloseCode::Protocol);
    assert_eq!(violation(&[0x8B, 0x80, 0, 0, 0, 0]), CloseCode::Protocol);
}

#[test]
fn a_bad_text_is_refused_before_its_end() {
    let wire = frame(1, true, &[b'a', 0xFF, b'b', b'c']);
    assert_eq!(decode_all(&[&wire[..wire.len() - 2]], 100).unwrap_err().code, CloseCode::Invalid);
}

#[test]
fn a_huge_length_is_refused_by_its_header_alone_and_reserves_nothing() {
    let header = frame(2, true, &vec![0; 70_000]);
    assert_eq!(violation(&header[..14]), CloseCode::Size);
    let mut decoder = Decoder::new(usize::MAX);
    let mut claimed: &[u8] = &[0x82, 0xFF, 0x0F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4];
    assert_eq!(decoder.decode(&mut claimed, |_| true), Ok(None));
    assert!(decoder.message.unwrap().payload.capacity() <= SMALL_BYTES);
}

#[test]
fn room_is_asked_for_as_a_message_grows_and_not_for_a_small_one() {
    let wire = frame(2, true, &vec![7; 1 << 20]);
    let (mut decoder, mut came, mut granted, mut steps) = (Decoder::new(1 << 20), 0, 0, 0);
    for mut piece in wire.chunks(BUFFER_BYTES) {
        came += piece.len();
        let grant = |charge| {
            assert!((charge > granted || charge == 0) && charge <= 2 * came);
            granted = charge;
            steps += 1;
            true
        };
        if decoder.decode(&mut piece, grant).unwrap().is_none() {
            assert!(decoder.charge() == granted);
        }
    }
    assert_eq!(granted, 1 << 20);
    assert!(steps < 10, "{steps}");
    assert_eq!(decoder.charge(), 0, "the message is not the decoder's any more");

    // In many fragments or one: what fits a read buffer is free.
    let part = vec![7; BUFFER_BYTES / 4];
    let parts =
        [frame(2, false, &part), frame(0, false, &part), frame(0, false, &part), frame(0, true, &part)];
    for wire in [parts.concat(), frame(2, true, &part.repeat(4))] {
        let (mut decoder, mut input) = (Decoder::new(1 << 20), &wire[..]);
        loop {
            let found = decoder.decode(&mut input, |charge| charge == 0).unwrap();
            if let Some(Incoming::Message(message)) = found {
                break assert_eq!(message.len(), BUFFER_BYTES);
            }
        }
    }
}

#[test]
fn a_message_that_gets_no_room_is_refused_for_now() {
    let wire = frame(2, true, &vec![7; 40_000]);
    let mut decoder = Decoder::new(1 << 20);
    assert_eq!(decoder.decode(&mut &wire[..16_000], |charge| charge == 0), Ok(None));
    let refused = decoder.decode(&mut &wire[16_000..], |charge| charge == 0);
    assert_eq!(refused.unwrap_err().code, CloseCode::Again);
    decoder.abandon();
    assert_eq!(decoder.charge(), 0);
}

proptest! {
    #[test]
    fn what_is_framed_comes_back(
        payload in prop::collection::vec(any::<u8>(), 0..300),
        cuts in prop::collection::vec(0_usize..300, 0..4),
        piece in 1_usize..50,
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(payload.len())).collect();
        cuts.sort_unstable();
        let mut wire = Vec::new();
        let mut from = 0;
        for (index, to) in cuts.iter().copied().chain([payload.len()]).enumerate() {
            wire.extend(frame(if index == 0 { 2 } else { 0 }, index == cuts.len(), &payload[from..to]));
            from = to;
        }
        let pieces: Vec<&[u8]> = wire.chunks(piece).collect();
        let found = decode_all(&pieces, 300).unwrap();
        prop_assert_eq!(found, [Incoming::Message(Message::binary(payload))]);
    }

    #[test]
    fn no_bytes_make_it_panic_or_grow(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..10)) {
        let mut decoder = Decoder::new(64);
        for piece in &pieces {
            let mut input = &piece[..];
            loop {
                match decoder.decode(&mut input, |_| true) {
                    Ok(Some(Incoming::Message(message))) => prop_assert!(message.len() <= 64),
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => return Ok(()),
                }
            }
        }
    }
}

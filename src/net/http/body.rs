//! Reading a request's body: how long it is, and chunked transfer coding (RFC 9112, sections 6 and 7).

use super::head::{Head, Rejection};
use super::request::Version;

/// How a request's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After so many bytes; 0: there is no body.
    Length(u64),
    /// After the last chunk.
    Chunked,
}

/// How the body after `head` is framed. Anything that two servers in a row could read differently is refused:
/// that is how requests are smuggled.
pub(crate) fn framing(head: &Head) -> Result<Framing, Rejection> {
    let mut codings = head.headers.all("transfer-encoding").peekable();
    let mut lengths = head.headers.all("content-length").peekable();
    if codings.peek().is_some() {
        if lengths.peek().is_some() {
            return Err(Rejection::new(400, "a request has Content-Length or Transfer-Encoding, not both"));
        }
        if head.version == Version::Http10 {
            return Err(Rejection::new(400, "HTTP/1.0 has no Transfer-Encoding"));
        }
        return chunked_alone(codings);
    }
    let Some(first) = lengths.next() else { return Ok(Framing::Length(0)) };
    let length = parse_length(first)?;
    for other in lengths {
        if parse_length(other)? != length {
            return Err(Rejection::new(400, "the Content-Length headers differ"));
        }
    }
    Ok(Framing::Length(length))
}

fn chunked_alone<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Framing, Rejection> {
    let codings: Vec<&[u8]> =
        values.flat_map(|value| value.split(|&b| b == b',')).map(<[u8]>::trim_ascii).collect();
    let is_chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    match codings.as_slice() {
        [one] if is_chunked(one) => Ok(Framing::Chunked),
        [.., last] if is_chunked(last) && codings.iter().filter(|coding| is_chunked(coding)).count() == 1 => {
            Err(Rejection::new(501, "chunked is the only transfer coding"))
        }
        [one] if !one.is_empty() => Err(Rejection::new(501, "chunked is the only transfer coding")),
        _ => Err(Rejection::new(400, "chunked must be the last transfer coding, and only once")),
    }
}

fn parse_length(value: &[u8]) -> Result<u64, Rejection> {
    let digits = std::str::from_utf8(value).ok().filter(|text| {
        !text.is_empty() && text.len() <= 19 && text.bytes().all(|byte| byte.is_ascii_digit())
    });
    digits
        .and_then(|digits| digits.parse().ok())
        .ok_or(Rejection::new(400, "Content-Length must be one decimal number"))
}

/// Whether the client waits for `100 Continue` before it sends the body.
pub(crate) fn expects_continue(head: &Head) -> Result<bool, Rejection> {
    if head.version == Version::Http10 {
        return Ok(false);
    }
    match head.headers.get_bytes("expect") {
        None => Ok(false),
        Some(value) if value.trim_ascii().eq_ignore_ascii_case(b"100-continue") => Ok(true),
        Some(_) => Err(Rejection::new(417, "100-continue is the only expectation that can be met")),
    }
}

/// The most bytes that one chunk's extensions, or all trailer fields together, may take. They are ignored.
const MAX_IGNORED: usize = 8 * 1024;

/// Decodes a chunked body as it comes in, in pieces of any size.
#[derive(Debug)]
pub(crate) struct ChunkedDecoder {
    state: State,
    /// What may still be ignored in this extension, or in the trailer.
    ignorable: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a chunk's size; how many digits there were.
    Size { value: u64, digits: u8 },
    /// In the white space between a chunk's size and its first extension.
    SizeSpace { value: u64 },
    /// In a chunk's extensions, up to the line end.
    Extension { value: u64 },
    /// Before the line feed that ends the size's line.
    SizeEnd { value: u64 },
    /// In a chunk's data.
    Data { remaining: u64 },
    /// Before the carriage return after a chunk's data.
    DataReturn,
    /// Before the line feed after it.
    DataEnd,
    /// At the start of a trailer line.
    TrailerStart,
    /// In a trailer field.
    Trailer,
    /// Before the line feed that ends a trailer field.
    TrailerEnd,
    /// Before the very last line feed.
    LastEnd,
    /// The body is complete.
    Done,
}

const BAD_SIZE: Rejection = Rejection::new(400, "a chunk's size is malformed");
const BAD_END: Rejection = Rejection::new(400, "a chunk does not end where its size says");
const BAD_TRAILER: Rejection = Rejection::new(400, "the trailer is malformed or too long");

impl ChunkedDecoder {
    pub(crate) fn new() -> ChunkedDecoder {
        ChunkedDecoder { state: State::Size { value: 0, digits: 0 }, ignorable: MAX_IGNORED }
    }

    /// Whether the body is complete.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Decodes what it can of `input`, appends the data to `body`, and returns how many bytes it used: all of them
    /// unless the body ended before. A body that grows over `max_body` is refused with 413.
    pub(crate) fn decode(
        &mut self,
        input: &[u8],
        body: &mut Vec<u8>,
        max_body: usize,
    ) -> Result<usize, Rejection> {
        let mut at = 0;
        while at < input.len() && self.state != State::Done {
            if let State::Data { remaining } = self.state {
                let length = usize::try_from(remaining).unwrap_or(usize::MAX).min(input.len() - at);
                body.extend_from_slice(&input[at..at + length]);
                at += length;
                let remaining = remaining - length as u64;
                self.state = if remaining == 0 { State::DataReturn } else { State::Data { remaining } };
                continue;
            }
            self.state = self.step(input[at], body.len(), max_body)?;
            at += 1;
        }
        Ok(at)
    }

    fn step(&mut self, byte: u8, so_far: usize, max_body: usize) -> Result<State, Rejection> {
        Ok(match (self.state, byte) {
            (State::Size { value, digits }, _) if byte.is_ascii_hexdigit() => {
                // 15 digits are more than any body here, and can't overflow.
                if digits >= 15 {
                    return Err(BAD_SIZE);
                }
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                State::Size { value: value * 16 + u64::from(digit), digits: digits + 1 }
            }
            (State::Size { digits: 0, .. }, _) => return Err(BAD_SIZE),
            (State::Size { value, .. }, b'\r') => State::SizeEnd { value },
            (State::Size { value, .. }, b';') => {
                self.ignorable = MAX_IGNORED;
                State::Extension { value }
            }
            // Only an extension may follow white space (RFC 9112, section 7.1.1): whoever reads "5 0" as 50, or as
            // 5, must not disagree with anybody.
            (State::Size { value, .. }, b' ' | b'\t') => {
                self.ignorable = MAX_IGNORED;
                State::SizeSpace { value }
            }
            (State::SizeSpace { value }, b';') => State::Extension { value },
            (State::SizeSpace { value }, b' ' | b'\t') => {
                self.ignore(byte, BAD_SIZE)?;
                State::SizeSpace { value }
            }
            (State::Size { .. } | State::SizeSpace { .. }, _) => return Err(BAD_SIZE),
            (State::Extension { value }, b'\r') => State::SizeEnd { value },
            (State::Extension { value }, _) => {
                self.ignore(byte, BAD_SIZE)?;
                State::Extension { value }
            }
            (State::SizeEnd { value: 0 }, b'\n') => {
                self.ignorable = MAX_IGNORED;
                State::TrailerStart
            }
            (State::SizeEnd { value }, b'\n') => {
                if value > max_body.saturating_sub(so_far) as u64 {
                    return Err(too_large());
                }
                State::Data { remaining: value }
            }
            (State::SizeEnd { .. }, _) => return Err(BAD_SIZE),
            (State::DataReturn, b'\r') => State::DataEnd,
            (State::DataEnd, b'\n') => State::Size { value: 0, digits: 0 },
            (State::DataReturn | State::DataEnd, _) => return Err(BAD_END),
            (State::TrailerStart, b'\r') => State::LastEnd,
            (State::Trailer, b'\r') => State::TrailerEnd,
            (State::TrailerStart | State::Trailer, _) => {
                self.ignore(byte, BAD_TRAILER)?;
                State::Trailer
            }
            (State::TrailerEnd, b'\n') => State::TrailerStart,
            (State::LastEnd, b'\n') => State::Done,
            (State::TrailerEnd | State::LastEnd, _) => return Err(BAD_TRAILER),
            (State::Data { .. } | State::Done, _) => unreachable!("decode() handles these"),
        })
    }

    fn ignore(&mut self, byte: u8, otherwise: Rejection) -> Result<(), Rejection> {
        self.ignorable =
            self.ignorable.checked_sub(1).filter(|_| byte != b'\n' && byte != 0).ok_or(otherwise)?;
        Ok(())
    }
}

/// The answer to a body over the route's limit.
pub(crate) fn too_large() -> Rejection {
    Rejection::new(413, "the request's body is larger than this route takes")
}

#[cfg(test)]
mod tests {
    use super::super::head::{parse_head, HeadLimits};
    use super::*;
    use proptest::prelude::*;

    fn head(fields: &str) -> Head {
        let text = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let limits = HeadLimits { max_bytes: 4096, max_target: 100 };
        parse_head(text.as_bytes(), limits).unwrap().unwrap().0
    }

    fn framed(fields: &str) -> Result<Framing, u16> {
        framing(&head(fields)).map_err(|rejection| rejection.status)
    }

    #[test]
    fn the_framing_is_read_and_what_is_ambiguous_is_refused() {
        assert_eq!(framed(""), Ok(Framing::Length(0)));
        assert_eq!(framed("Content-Length: 42\r\n"), Ok(Framing::Length(42)));
        assert_eq!(framed("Content-Length: 42\r\ncontent-length: 42\r\n"), Ok(Framing::Length(42)));
        assert_eq!(framed("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked));
        for bad in [
            "Content-Length: 1\r\nContent-Length: 2\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: 0x10\r\n",
            "Content-Length:\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: chunked, gzip\r\n",
            "Transfer-Encoding:\r\n",
        ] {
            assert_eq!(framed(bad), Err(400), "{bad}");
        }
        assert_eq!(framed("Transfer-Encoding: gzip, chunked\r\n"), Err(501));
        assert_eq!(framed("Transfer-Encoding: gzip\r\n"), Err(501));
    }

    #[test]
    fn only_100_continue_can_be_expected() {
        assert_eq!(expects_continue(&head("")), Ok(false));
        assert_eq!(expects_continue(&head("Expect: 100-Continue\r\n")), Ok(true));
        assert_eq!(expects_continue(&head("Expect: wonders\r\n")).unwrap_err().status, 417);
    }

    fn decoded(pieces: &[&[u8]], max: usize) -> Result<(Vec<u8>, usize, bool), Rejection> {
        let mut decoder = ChunkedDecoder::new();
        let (mut body, mut used) = (Vec::new(), 0);
        for piece in pieces {
            used += decoder.decode(piece, &mut body, max)?;
        }
        Ok((body, used, decoder.is_done()))
    }

    const CHUNKED: &[u8] =
        b"5\r\nhello\r\n06;name=value\r\n world\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\nnext";

    #[test]
    fn a_chunked_body_split_at_any_byte_decodes_the_same() {
        for cut in 0..=CHUNKED.len() {
            let (body, used, done) = decoded(&[&CHUNKED[..cut], &CHUNKED[cut..]], 100).unwrap();
            assert_eq!((&body[..], done), (&b"hello world"[..], true), "cut at {cut}");
            assert_eq!(&CHUNKED[used..], b"next");
        }
    }

    #[test]
    fn a_chunked_body_that_is_malformed_gets_400() {
        for bad in [
            &b"\r\n"[..],
            b"x\r\n",
            b"5\nhello\r\n",
            b"5\r\nhelloo\r\n",
            b"5\r\nhello\n",
            b"1234567890abcdef1\r\n",
            b"-1\r\n",
            b" 5\r\n",
            b"5 \r\n",
            b"5 garbage\r\n",
            b"5\t0\r\n",
            b"5 6;name=value\r\n",
            b"0\r\nTrailer: x\n\r\n",
            b"0\r\n\rx",
            b"5;ext\nmore\r\n",
        ] {
            let error = decoded(&[bad], 100).unwrap_err();
            assert_eq!(error.status, 400, "{}", String::from_utf8_lossy(bad));
        }
        let endless = [b"5;".to_vec(), vec![b'a'; MAX_IGNORED + 1]].concat();
        assert_eq!(decoded(&[&endless], 100).unwrap_err().status, 400);
    }

    #[test]
    fn white_space_may_stand_before_a_chunks_extension_within_bounds() {
        let (body, _, done) = decoded(&[b"1 \t;name=value\r\na\r\n0 ;x\r\n\r\n"], 100).unwrap();
        assert_eq!((&body[..], done), (&b"a"[..], true));
        let endless = [b"5".to_vec(), vec![b' '; MAX_IGNORED + 2]].concat();
        assert_eq!(decoded(&[&endless], 100).unwrap_err().status, 400);
    }

    #[test]
    fn a_chunk_over_the_limit_gets_413_before_its_data_comes() {
        assert_eq!(decoded(&[b"65\r\n"], 100).unwrap_err().status, 413);
        assert_eq!(decoded(&[b"fffffffffffffff\r\n"], 100).unwrap_err().status, 413);
        assert_eq!(decoded(&[b"60\r\n", &[b'a'; 0x60], b"\r\n5\r\n"], 100).unwrap_err().status, 413);
    }

    proptest! {
        #[test]
        fn what_is_encoded_in_chunks_comes_back_in_pieces_of_any_size(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..10),
            piece in 1_usize..20,
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend(format!("{:x}\r\n", chunk.len()).bytes());
                wire.extend(chunk);
                wire.extend(b"\r\n");
            }
            wire.extend(b"0\r\n\r\n");
            let pieces: Vec<&[u8]> = wire.chunks(piece).collect();
            let (body, used, done) = decoded(&pieces, 1_000).unwrap();
            prop_assert_eq!(body, chunks.concat());
            prop_assert_eq!((used, done), (wire.len(), true));
        }

        #[test]
        fn no_bytes_make_the_decoder_panic_or_grow_past_the_limit(
            input in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'1'), any::<u8>()], 0..300),
        ) {
            let mut body = Vec::new();
            let _ = ChunkedDecoder::new().decode(&input, &mut body, 20);
            prop_assert!(body.len() <= 20);
        }
    }
}

//! HTTP/1.1 answers: where they end, and what they say. Bodies are skipped, never kept.

use super::Violation;

/// A head may be so long.
const MOST_HEAD_BYTES: usize = 64 * 1024;
const MOST_HEADERS: usize = 64;

/// The request of a run; `headers` are lines with their ends.
pub(crate) fn request(path: &str, authority: &str, headers: &str, close: bool) -> Vec<u8> {
    let connection = if close { "Connection: close\r\n" } else { "" };
    format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\n{connection}{headers}\r\n").into_bytes()
}

/// A whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether the server keeps the connection.
    pub(crate) keeps: bool,
}

/// Reads one answer after the other out of what comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader {
    body: Body,
    answer: Answer,
}

#[derive(Clone, Copy, Debug)]
enum Body {
    /// The next is a head.
    Head,
    /// So many bytes are left.
    Length(u64),
    Chunk(Chunk),
    /// It ends with the connection.
    UntilClose,
}

/// Where in a chunked body (RFC 9112, 7.1) the next byte lies.
#[derive(Clone, Copy, Debug)]
enum Chunk {
    /// In a size, of which there have been so many digits.
    Size {
        size: u64,
        digits: u8,
    },
    /// In what may follow a size up to the line's end.
    Extension(u64),
    Data(u64),
    /// In the line end behind the data.
    DataEnd,
    /// In a trailer; whether its line has had anything yet.
    Trailer {
        empty: bool,
    },
}

impl Default for Reader {
    fn default() -> Self {
        Self { body: Body::Head, answer: Answer { status: 0, keeps: true } }
    }
}

impl Reader {
    /// Takes bytes off the beginning of `bytes`: how many, and the answer if they end one. `(0, None)`: a head is not
    /// whole yet.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(usize, Option<Answer>), Violation> {
        let mut taken = 0;
        if let Body::Head = self.body {
            match self.head(bytes)? {
                Some(length) => taken = length,
                None if bytes.len() > MOST_HEAD_BYTES => {
                    return Err(Violation(format!(
                        "HTTP answer: a head of more than {MOST_HEAD_BYTES} bytes"
                    )))
                }
                None => return Ok((0, None)),
            }
        }
        let ended = match &mut self.body {
            Body::Head => false,
            Body::Length(left) => {
                let here = (bytes.len() - taken).min(usize::try_from(*left).unwrap_or(usize::MAX));
                taken += here;
                *left -= here as u64;
                *left == 0
            }
            Body::Chunk(chunk) => {
                let mut ended = false;
                while !ended && taken < bytes.len() {
                    taken += chunk.take(&bytes[taken..], &mut ended)?;
                }
                ended
            }
            Body::UntilClose => {
                taken = bytes.len();
                false
            }
        };
        if ended {
            self.body = Body::Head;
        }
        Ok((taken, ended.then_some(self.answer)))
    }

    /// The connection has ended: the answer that ends with it.
    pub(crate) fn end(&mut self) -> Option<Answer> {
        let answer = matches!(self.body, Body::UntilClose).then_some(self.answer);
        self.body = Body::Head;
        answer
    }

    /// Parses a head; how long it is.
    fn head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Violation> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let violation = |why: String| Violation(format!("HTTP answer: {why}"));
        let length = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(violation(error.to_string())),
        };
        let status = response.code.unwrap_or(0);
        let mut keeps = response.version == Some(1);
        let mut content_length = None;
        let mut chunked = false;
        for header in response.headers.iter() {
            let value = || std::str::from_utf8(header.value).unwrap_or("").trim();
            if header.name.eq_ignore_ascii_case("content-length") {
                let length =
                    value().parse::<u64>().map_err(|_| violation(format!("Content-Length {:?}", value())))?;
                content_length = Some(length);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                chunked = value().to_ascii_lowercase().ends_with("chunked");
            } else if header.name.eq_ignore_ascii_case("connection") {
                let has =
                    |token: &str| value().split(',').any(|part| part.trim().eq_ignore_ascii_case(token));
                keeps = (keeps && !has("close")) || has("keep-alive");
            }
        }
        self.answer = Answer { status, keeps };
        self.body = match (status, chunked, content_length) {
            // an interim answer: the real one follows
            (100..=199, ..) => Body::Head,
            (204 | 304, ..) => Body::Length(0),
            (_, true, _) => Body::Chunk(Chunk::Size { size: 0, digits: 0 }),
            (_, false, Some(length)) => Body::Length(length),
            (_, false, None) => {
                self.answer.keeps = false;
                Body::UntilClose
            }
        };
        Ok(Some(length))
    }
}

impl Chunk {
    /// Takes at least one byte of `bytes`, which is not empty: how many.
    fn take(&mut self, bytes: &[u8], ended: &mut bool) -> Result<usize, Violation> {
        let byte = bytes[0];
        let violation =
            |what: &str| Err(Violation(format!("HTTP answer: byte {byte:#04x} in {what} of a chunked body")));
        *self = match *self {
            Self::Data(left) => {
                let here = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                *self = if here as u64 == left { Self::DataEnd } else { Self::Data(left - here as u64) };
                return Ok(here);
            }
            Self::Size { size, digits } => match (byte as char).to_digit(16) {
                Some(digit) if digits < 15 => {
                    Self::Size { size: size * 16 + u64::from(digit), digits: digits + 1 }
                }
                None if digits > 0 && byte == b'\n' => Self::after_size(size),
                None if digits > 0 && matches!(byte, b'\r' | b';' | b' ' | b'\t') => Self::Extension(size),
                _ => return violation("a size"),
            },
            Self::Extension(size) if byte == b'\n' => Self::after_size(size),
            Self::Extension(size) => Self::Extension(size),
            Self::DataEnd => match byte {
                b'\r' => Self::DataEnd,
                b'\n' => Self::Size { size: 0, digits: 0 },
                _ => return violation("the end"),
            },
            Self::Trailer { empty } => match byte {
                b'\n' if empty => {
                    *ended = true;
                    Self::Trailer { empty }
                }
                b'\n' => Self::Trailer { empty: true },
                b'\r' => Self::Trailer { empty },
                _ => Self::Trailer { empty: false },
            },
        };
        Ok(1)
    }

    fn after_size(size: u64) -> Self {
        if size == 0 {
            Self::Trailer { empty: true }
        } else {
            Self::Data(size)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `bytes` in pieces of `step` as a connection would: what is not taken is kept.
    fn answers(bytes: &[u8], step: usize) -> Result<Vec<(u16, bool)>, Violation> {
        let (mut reader, mut kept, mut found) = (Reader::default(), Vec::new(), Vec::new());
        for piece in bytes.chunks(step) {
            kept.extend_from_slice(piece);
            loop {
                let (taken, answer) = reader.take(&kept)?;
                kept.drain(..taken);
                found.extend(answer.map(|answer| (answer.status, answer.keeps)));
                if kept.is_empty() || (taken == 0 && answer.is_none()) {
                    break;
                }
            }
        }
        found.extend(reader.end().map(|answer| (answer.status, answer.keeps)));
        Ok(found)
    }

    const SOME: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHello\
        HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0a;x=y\r\n0123456789\r\n0\r\nX: y\r\n\r\n\
        HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n\
        HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n\
        HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx\
        HTTP/1.1 404 No\r\n\r\nup to the end";

    proptest! {
        #[test]
        fn answers_end_where_they_end_however_they_are_cut(step in 1_usize..200) {
            let expected = vec![(200, true), (503, true), (204, true), (200, false), (200, false), (404, false)];
            prop_assert_eq!(answers(SOME, step), Ok(expected));
        }

        #[test]
        fn anything_is_an_answer_or_an_error_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 1..200)) {
            let _ = answers(&bytes, 7);
            let _ = answers(&[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &bytes[..]].concat(), 7);
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for bad in [
            "HELLO\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        ] {
            assert!(answers(bad.as_bytes(), 1000).is_err(), "{bad}");
        }
    }
}

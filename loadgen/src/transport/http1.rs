//! Reads one HTTP/1.1 answer out of bytes (RFC 9112), and nothing of sockets.
//!
//! [`read`] is given everything that has arrived and says whether the answer is whole. It must
//! never take a part of an answer for the whole: a truncated body that counts as success is the
//! kind of error that makes a broken server look fast.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use super::Failure;

/// Header fields that an answer may have.
pub(super) const HEADERS_MAX: usize = 64;
/// Bytes that an answer may have, head and body.
pub(super) const ANSWER_MAX: usize = 16 << 20;
/// Bytes that a head, or the line that opens a chunk, may have.
const HEAD_MAX: usize = 64 << 10;

/// Room for the header fields of an answer. It is not cleared for every answer: that would cost as
/// much as reading one.
pub(super) type Room<'a> = [MaybeUninit<httparse::Header<'a>>; HEADERS_MAX];

/// Room for header fields.
pub(super) const fn room<'a>() -> Room<'a> {
    [const { MaybeUninit::uninit() }; HEADERS_MAX]
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Whole<'h, 'a> {
    pub(super) status: u16,
    pub(super) headers: &'h [httparse::Header<'a>],
    pub(super) body: Cow<'a, [u8]>,
    /// Bytes it took.
    pub(super) length: usize,
    /// Whether the connection may carry another request.
    pub(super) keep_alive: bool,
}

/// What the bytes so far are.
#[derive(Debug)]
pub(super) enum Read<'h, 'a> {
    /// A whole answer.
    Whole(Whole<'h, 'a>),
    /// The beginning of one, of which at least `at_least` bytes are needed before it can be whole.
    Part { at_least: usize },
}

/// Reads the answer to a request; `to_head` tells that the request's method was HEAD, `ended` that
/// the server has closed its side.
pub(super) fn read<'h, 'a>(
    bytes: &'a [u8],
    to_head: bool,
    ended: bool,
    room: &'h mut Room<'a>,
) -> Result<Read<'h, 'a>, Failure> {
    let mut skipped = 0;
    // Interim answers (RFC 9110, 15.2) precede the one that counts. 101 would leave HTTP.
    while bytes.get(skipped + STATUS_AT) == Some(&b'1') {
        let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        let parsed = response.parse(&bytes[skipped..]);
        let Some(head) = whole_head(parsed, bytes, skipped, ended)? else {
            return Ok(part(bytes.len() + 1));
        };
        if response.code == Some(101) {
            return Err(Failure::Malformed);
        }
        skipped += head;
    }
    let rest = &bytes[skipped..];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let parsed = config.parse_response_with_uninit_headers(&mut response, rest, room);
    let Some(head) = whole_head(parsed, bytes, skipped, ended)? else {
        return Ok(part(bytes.len() + 1));
    };
    let (status, headers) = (response.code.unwrap_or(0), &*response.headers);
    let mut framing = Framing::of(status, to_head, response.version == Some(1), headers)?;
    let body = &rest[head..];
    let (body, taken) = match framing.length {
        Length::Bytes(length) if body.len() >= length => (Cow::from(&body[..length]), length),
        Length::Bytes(length) if ended || length > ANSWER_MAX => {
            return Err(if ended { Failure::Truncated } else { Failure::TooLarge });
        }
        Length::Bytes(length) => return Ok(part(skipped + head + length)),
        Length::Chunked => match chunked(body)? {
            Some(whole) => whole,
            None if ended => return Err(Failure::Truncated),
            None => return Ok(part(bytes.len() + 1)),
        },
        Length::UntilClose if ended => {
            framing.keep_alive = false;
            (Cow::from(body), body.len())
        }
        Length::UntilClose => return Ok(part(bytes.len() + 1)),
    };
    let (length, keep_alive) = (skipped + head + taken, framing.keep_alive);
    Ok(Read::Whole(Whole { status, headers, body, length, keep_alive }))
}

/// Where the first digit of the status stands: `HTTP/1.1 200`.
const STATUS_AT: usize = 9;

/// Length of a head that begins at `skipped`; `None` when it is not whole yet.
fn whole_head(
    parsed: Result<httparse::Status<usize>, httparse::Error>,
    bytes: &[u8],
    skipped: usize,
    ended: bool,
) -> Result<Option<usize>, Failure> {
    match parsed {
        Ok(httparse::Status::Complete(head)) => Ok(Some(head)),
        Ok(httparse::Status::Partial) if bytes.len() - skipped > HEAD_MAX => Err(Failure::TooLarge),
        Ok(httparse::Status::Partial) if ended => Err(cut(bytes)),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => Err(Failure::TooLarge),
        Err(_) => Err(Failure::Malformed),
    }
}

const fn part<'h, 'a>(at_least: usize) -> Read<'h, 'a> {
    Read::Part { at_least }
}

const fn cut(bytes: &[u8]) -> Failure {
    if bytes.is_empty() { Failure::Closed } else { Failure::Truncated }
}

enum Length {
    Bytes(usize),
    Chunked,
    UntilClose,
}

struct Framing {
    length: Length,
    keep_alive: bool,
}

impl Framing {
    /// Length of the body and fate of the connection (RFC 9112, 6.3 and 9.3).
    fn of(
        status: u16,
        to_head: bool,
        http11: bool,
        headers: &[httparse::Header<'_>],
    ) -> Result<Self, Failure> {
        let mut keep_alive = http11;
        let (mut length, mut is_chunked) = (None, false);
        for header in headers {
            let value = header.value.trim_ascii();
            if header.name.eq_ignore_ascii_case("content-length") {
                let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
                let text = std::str::from_utf8(value).ok().filter(|_| digits);
                let bytes: usize = text.and_then(|t| t.parse().ok()).ok_or(Failure::Malformed)?;
                if length.is_some_and(|other| other != bytes) {
                    return Err(Failure::Malformed);
                }
                length = Some(bytes);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                if is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Failure::Malformed);
                }
                is_chunked = true;
            } else if header.name.eq_ignore_ascii_case("connection") {
                for token in value.split(|b| *b == b',') {
                    if token.trim_ascii().eq_ignore_ascii_case(b"close") {
                        keep_alive = false;
                    } else if token.trim_ascii().eq_ignore_ascii_case(b"keep-alive") {
                        keep_alive |= !http11;
                    }
                }
            }
        }
        let length = if to_head || status == 204 || status == 304 {
            Length::Bytes(0)
        } else if is_chunked {
            // With both, the length does not count and the connection ends (RFC 9112, 6.1).
            keep_alive &= length.is_none();
            Length::Chunked
        } else {
            length.map_or(Length::UntilClose, Length::Bytes)
        };
        Ok(Self { length, keep_alive })
    }
}

/// A body, and the bytes it took on the wire.
type Taken<'a> = (Cow<'a, [u8]>, usize);

/// Takes a chunked body apart (RFC 9112, 7.1); `None` when it is not whole yet.
fn chunked(bytes: &[u8]) -> Result<Option<Taken<'_>>, Failure> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let (line, size) = match httparse::parse_chunk_size(&bytes[at..]) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) if bytes.len() - at > HEAD_MAX => {
                return Err(Failure::TooLarge);
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Failure::Malformed),
        };
        at += line;
        if size == 0 {
            return Ok(trailers(&bytes[at..])?.map(|length| (Cow::from(body), at + length)));
        }
        let size = usize::try_from(size).map_err(|_| Failure::TooLarge)?;
        if at.saturating_add(size) > ANSWER_MAX {
            return Err(Failure::TooLarge);
        }
        let Some(chunk) = bytes.get(at..at + size + 2) else {
            return Ok(None);
        };
        if &chunk[size..] != b"\r\n" {
            return Err(Failure::Malformed);
        }
        body.extend_from_slice(&chunk[..size]);
        at += size + 2;
    }
}

/// Length of the trailer section with the empty line that closes it; `None` when it is not whole.
fn trailers(bytes: &[u8]) -> Result<Option<usize>, Failure> {
    if bytes.starts_with(b"\r\n") {
        return Ok(Some(2));
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    match httparse::parse_headers(bytes, &mut headers) {
        Ok(httparse::Status::Complete((length, _))) => Ok(Some(length)),
        Ok(httparse::Status::Partial) if bytes.len() > HEAD_MAX => Err(Failure::TooLarge),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err(Failure::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    enum Got {
        Whole(u16, String, usize, bool),
        Part,
    }

    fn got(text: &str, to_head: bool, ended: bool) -> Result<Got, Failure> {
        let mut room = room();
        read(text.as_bytes(), to_head, ended, &mut room).map(|read| match read {
            Read::Whole(w) => {
                let body = String::from_utf8(w.body.into_owned()).unwrap();
                Got::Whole(w.status, body, w.length, w.keep_alive)
            }
            Read::Part { at_least } => {
                assert!(at_least > text.len(), "a part must ask for more");
                Got::Part
            }
        })
    }

    /// An answer, whether it was to HEAD, whether the server closed, and what it is.
    const ANSWERS: &[(&str, bool, bool, &str, u16, bool)] = &[
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", false, false, "hi", 200, true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false, false, "", 200, true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", true, false, "", 200, true),
        ("HTTP/1.1 204 No Content\r\n\r\n", false, false, "", 204, true),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", false, false, "", 304, true),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            false,
            false,
            "x",
            200,
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
            false,
            false,
            "x",
            200,
            false,
        ),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", false, false, "x", 200, false),
        (
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
            false,
            false,
            "x",
            200,
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nhi\r\n3;e=1\r\nyou\r\n0\r\n\r\n",
            false,
            false,
            "hiyou",
            200,
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nT: 1\r\n\r\n",
            false,
            false,
            "x",
            200,
            true,
        ),
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end", false, true, "until the end", 200, false),
    ];

    #[test]
    fn whole_answers() {
        for (text, to_head, ended, body, status, keep_alive) in ANSWERS {
            let whole = Got::Whole(*status, (*body).into(), text.len(), *keep_alive);
            assert_eq!(got(text, *to_head, *ended), Ok(whole), "{text:?}");
        }
    }

    #[test]
    fn no_beginning_of_an_answer_is_taken_for_the_whole() {
        for (text, to_head, ended, ..) in ANSWERS.iter().filter(|answer| !answer.2) {
            for end in 0..text.len() {
                assert_eq!(
                    got(&text[..end], *to_head, *ended),
                    Ok(Got::Part),
                    "{:?}",
                    &text[..end]
                );
                let closed = got(&text[..end], *to_head, true);
                let expected = if end == 0 { Failure::Closed } else { Failure::Truncated };
                assert_eq!(closed, Err(expected), "{:?}", &text[..end]);
            }
        }
    }

    #[test]
    fn bytes_behind_an_answer_do_not_belong_to_it() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1";
        assert_eq!(got(text, false, false), Ok(Got::Whole(200, "hi".into(), 40, true)));
    }

    #[test]
    fn other_text_is_malformed() {
        for text in [
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        ] {
            assert_eq!(got(text, false, false), Err(Failure::Malformed), "{text:?}");
        }
    }

    #[test]
    fn limits() {
        let many = "A: b\r\n".repeat(HEADERS_MAX + 1);
        let text = format!("HTTP/1.1 200 OK\r\n{many}\r\n");
        assert_eq!(got(&text, false, false), Err(Failure::TooLarge));
        let endless = format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(HEAD_MAX));
        assert_eq!(got(&endless, false, false), Err(Failure::TooLarge));
        for framing in ["Content-Length: 99999999", "Transfer-Encoding: chunked"] {
            let text = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\nfffffff\r\n");
            assert_eq!(got(&text, false, false), Err(Failure::TooLarge), "{framing}");
        }
    }
}

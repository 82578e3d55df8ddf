//! Reads one HTTP/1.1 answer out of bytes (RFC 9112), and nothing of sockets.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use super::Failure;
use super::chunks::Chunks;
use super::examine::examine;
use crate::limits::{FIELDS_MOST, Limit, Limits};

/// Room for the header fields of an answer. It is not cleared for every answer: that would cost as
/// much as reading one.
pub(super) type Room<'a> = [MaybeUninit<httparse::Header<'a>>; FIELDS_MOST];

/// Room for header fields.
pub(super) const fn room<'a>() -> Room<'a> {
    [const { MaybeUninit::uninit() }; FIELDS_MOST]
}

/// A whole answer.
#[derive(Debug)]
pub struct Whole<'h, 'a> {
    /// Status code.
    pub status: u16,
    /// Header fields.
    pub headers: &'h [httparse::Header<'a>],
    /// Body, without its framing.
    pub body: Cow<'a, [u8]>,
    /// Bytes that came behind the answer and are no part of it.
    pub behind: usize,
    /// Whether the connection may carry another request.
    pub keep_alive: bool,
    /// Length of the head, interim answers before it included, where bytes that begin with the same
    /// ones are read alike: the body has a length of its own and was read where it lies.
    pub head: Option<usize>,
}

/// What the first bytes of an answer are.
#[derive(Debug)]
pub(super) enum Read<'h, 'a> {
    /// A whole answer.
    Whole(Whole<'h, 'a>),
    /// The beginning of one, and where it is.
    Part(Part),
}

/// Where an answer is that is not whole.
#[derive(Debug)]
pub(super) enum Part {
    /// In a head.
    Head(Heads),
    /// In its body, which begins behind the head.
    Body(Head, Body),
    /// In a body of chunks, of which so much is decoded.
    Chunks(Head, Chunks, Vec<u8>),
}

/// Where an answer's heads are: interim answers precede the one that counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heads {
    /// Where the head that is next begins.
    pub(super) begins: usize,
    /// Interim answers before it.
    interim: usize,
}

/// The head that counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// Where it begins and ends.
    pub(super) begins: usize,
    pub(super) ends: usize,
    pub(super) keep_alive: bool,
}

/// A body that is not in chunks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body {
    /// It has so many bytes.
    Bytes(usize),
    /// It lasts until the connection ends.
    UntilClose,
}

/// Reads the first bytes of the answer to a request; `to_head` tells that the request's method was
/// HEAD, `ended` that the server has closed its side.
///
/// [`read`] is given the first bytes of an answer and says whether it is whole, which most answers
/// are; `inbound` continues with those that are not. Neither must ever take a part of an answer for
/// the whole: a truncated body that counts as success is the kind of error that makes a broken
/// server look fast. What is read of an answer has [`Limits`].
pub(super) fn read<'h, 'a>(
    bytes: &'a [u8],
    to_head: bool,
    ended: bool,
    limits: &Limits,
    room: &'h mut Room<'a>,
) -> Result<Read<'h, 'a>, Failure> {
    let mut heads = Heads::default();
    let Some((head, length, status, headers)) = heads.read(bytes, to_head, ended, limits, room)?
    else {
        return Ok(Read::Part(Part::Head(heads)));
    };
    let body = &bytes[head.ends..];
    let mut keep_alive = head.keep_alive;
    let (body, taken) = match length {
        Length::Bytes(length) if body.len() >= length => (Cow::from(&body[..length]), length),
        Length::Bytes(_) if ended => return Err(Failure::Truncated),
        Length::Bytes(length) => return Ok(Read::Part(Part::Body(head, Body::Bytes(length)))),
        Length::Chunked => {
            let (mut chunks, mut decoded) = (Chunks::new(), Vec::new());
            match chunks.take(body, &mut decoded, limits, |_, _| Ok(()))? {
                Some(taken) => (Cow::from(decoded), taken),
                None if ended => return Err(Failure::Truncated),
                None => return Ok(Read::Part(Part::Chunks(head, chunks, decoded))),
            }
        }
        Length::UntilClose if body.len() > limits.body_bytes => {
            return Err(Failure::Over(Limit::Body));
        }
        Length::UntilClose if ended => {
            keep_alive = false;
            (Cow::from(body), body.len())
        }
        Length::UntilClose => return Ok(Read::Part(Part::Body(head, Body::UntilClose))),
    };
    let behind = bytes.len() - head.ends - taken;
    let head = matches!(length, Length::Bytes(_)).then_some(head.ends);
    Ok(Read::Whole(Whole { status, headers, body, behind, keep_alive, head }))
}

/// A head that is whole: where it is, the length of its body, its status and its fields.
type Found<'h, 'a> = (Head, Length, u16, &'h [httparse::Header<'a>]);

impl Heads {
    /// Reads on until the head that counts is whole; `None` when it is not whole yet. What comes
    /// before the body may have so many bytes in all, and no more are looked at.
    #[inline]
    pub(super) fn read<'h, 'a>(
        &mut self,
        bytes: &'a [u8],
        to_head: bool,
        ended: bool,
        limits: &Limits,
        room: &'h mut Room<'a>,
    ) -> Result<Option<Found<'h, 'a>>, Failure> {
        let most = bytes.len().min(limits.head_bytes);
        let config = httparse::ParserConfig::default();
        // Interim answers (RFC 9110, 15.2) precede the one that counts. 101 would leave HTTP.
        while bytes.get(self.begins + STATUS_AT) == Some(&b'1') {
            let rest = head_bytes(bytes, self.begins, most)?;
            let (mut response, room) =
                (httparse::Response::new(&mut []), &mut room[..limits.fields]);
            let parsed = config.parse_response_with_uninit_headers(&mut response, rest, room);
            let Some(head) = whole_head(parsed, rest, bytes, limits, ended)? else {
                return Ok(None);
            };
            if response.code == Some(101) {
                return Err(Failure::Malformed);
            }
            self.interim += 1;
            if self.interim > limits.interim {
                return Err(Failure::Over(Limit::Interim));
            }
            self.begins += head;
        }
        let rest = head_bytes(bytes, self.begins, most)?;
        let (mut response, room) = (httparse::Response::new(&mut []), &mut room[..limits.fields]);
        let parsed = config.parse_response_with_uninit_headers(&mut response, rest, room);
        let Some(head) = whole_head(parsed, rest, bytes, limits, ended)? else { return Ok(None) };
        let (status, headers) = (response.code.unwrap_or(0), &*response.headers);
        if status < STATUS_LEAST {
            return Err(Failure::Malformed);
        }
        let framing = Framing::of(status, to_head, response.version == Some(1), headers)?;
        if matches!(framing.length, Length::Bytes(length) if length > limits.body_bytes) {
            return Err(Failure::Over(Limit::Body));
        }
        let (begins, ends) = (self.begins, self.begins + head);
        let head = Head { begins, ends, keep_alive: framing.keep_alive };
        Ok(Some((head, framing.length, status, headers)))
    }
}

/// Where the first digit of the status stands: `HTTP/1.1 200`.
const STATUS_AT: usize = 9;
/// The first digit of a status is its class, which is at least 1 (RFC 9110, 15).
const STATUS_LEAST: u16 = 100;

/// Status and fields of a head that has been read before.
pub(super) fn reread<'h, 'a>(
    head: &'a [u8],
    limits: &Limits,
    room: &'h mut Room<'a>,
) -> Result<(u16, &'h [httparse::Header<'a>]), Failure> {
    let (mut response, room) = (httparse::Response::new(&mut []), &mut room[..limits.fields]);
    httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut response, examine(head), room)
        .map_err(|_| Failure::Malformed)?;
    Ok((response.code.unwrap_or(0), response.headers))
}

/// The bytes in which a head has to be.
fn head_bytes(bytes: &[u8], begins: usize, most: usize) -> Result<&[u8], Failure> {
    let rest = &bytes[begins..most];
    // The library would pass over empty lines, as many as there are.
    let is_empty_line = matches!(rest.first(), Some(b'\r' | b'\n'));
    if is_empty_line { Err(Failure::Malformed) } else { Ok(rest) }
}

/// Length of the head that was parsed from `rest`; `None` when it is not whole yet.
fn whole_head(
    parsed: Result<httparse::Status<usize>, httparse::Error>,
    rest: &[u8],
    bytes: &[u8],
    limits: &Limits,
    ended: bool,
) -> Result<Option<usize>, Failure> {
    examine(match parsed {
        Ok(httparse::Status::Complete(head)) => &rest[..head],
        _ => rest,
    });
    match parsed {
        Ok(httparse::Status::Complete(head)) => Ok(Some(head)),
        Ok(httparse::Status::Partial) if bytes.len() > limits.head_bytes => {
            Err(Failure::Over(Limit::Head))
        }
        Ok(httparse::Status::Partial) if ended => Err(cut(bytes)),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => Err(Failure::Over(Limit::Fields)),
        Err(_) => Err(Failure::Malformed),
    }
}

const fn cut(bytes: &[u8]) -> Failure {
    if bytes.is_empty() { Failure::Closed } else { Failure::Truncated }
}

/// How a body is delimited (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug)]
pub(super) enum Length {
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
                let bytes = length_of(value).or_else(|_| length_of_all(value))?;
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
            // With both, the length does not count and the connection ends, as does one of
            // HTTP/1.0, which knows no chunks (RFC 9112, 6.1).
            keep_alive &= length.is_none() && http11;
            Length::Chunked
        } else {
            length.map_or(Length::UntilClose, Length::Bytes)
        };
        Ok(Self { length, keep_alive })
    }
}

/// The length that a value of digits gives; one that no integer holds is over any limit.
fn length_of(value: &[u8]) -> Result<usize, Failure> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| digits);
    Ok(text.ok_or(Failure::Malformed)?.parse().unwrap_or(usize::MAX))
}

/// The length that a list gives, whose members are equal (RFC 9112, 6.3).
#[cold]
fn length_of_all(value: &[u8]) -> Result<usize, Failure> {
    let mut lengths = value.split(|byte| *byte == b',').map(|value| length_of(value.trim_ascii()));
    let first = lengths.next().unwrap_or(Err(Failure::Malformed));
    if lengths.all(|other| other == first) { first } else { Err(Failure::Malformed) }
}

/// Whether a line begins with white space, as one does that continues a field.
#[cold]
pub(super) fn has_fold(bytes: &[u8]) -> bool {
    let pairs = examine(bytes).windows(2);
    pairs.into_iter().any(|pair| matches!(pair, [b'\n', b' ' | b'\t']))
}

/// Puts spaces in place of line ends within the fields of a head (RFC 9112, 5.2), which keeps its
/// length; whether there were any.
#[cold]
pub(super) fn unfold(head: &mut [u8]) -> bool {
    let (mut unfolded, mut begins) = (false, 0);
    while let Some(feed) = head[begins..].iter().position(|byte| *byte == b'\n') {
        let ends = begins + feed;
        if matches!(&head[begins..ends], b"" | b"\r") {
            break;
        }
        // The first line is no field that another could continue.
        if begins > 0 && matches!(head.get(ends + 1), Some(b' ' | b'\t')) {
            unfolded = true;
            head[ends] = b' ';
            if head[ends - 1] == b'\r' {
                head[ends - 1] = b' ';
            }
        }
        begins = ends + 1;
    }
    examine(&head[..begins]);
    unfolded
}

#[cfg(test)]
pub(super) mod tests;

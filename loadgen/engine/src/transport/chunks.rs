//! Takes a chunked body apart as it arrives (RFC 9112, 7.1), every byte once.

use super::Failure;
use super::examine::examine;
use crate::limits::{Limit, Limits};

/// Where a chunked body is.
///
/// What is kept between two arrivals is a state and the beginning of a line that is not whole yet,
/// which stands behind the decoded body in the same buffer. It must never look again at what it has
/// taken: a body of a million arrivals has to cost as much as the same body in one.
#[derive(Debug)]
pub(super) struct Chunks {
    next: Next,
    /// Bytes at the end of the buffer that begin a line.
    pending: usize,
    body_bytes: usize,
    framing_bytes: usize,
    trailers: usize,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum Next {
    Size,
    Data { left: usize },
    EndOfData,
    Trailer,
}

impl Chunks {
    pub(super) const fn new() -> Self {
        Self { next: Next::Size, pending: 0, body_bytes: 0, framing_bytes: 0, trailers: 0 }
    }

    /// Takes what has arrived and appends the body in it to `into`, asking `make_room` for room
    /// first; how many of the bytes belong to the body, when it is whole.
    ///
    /// # Errors
    /// `Malformed`, the limit that it exceeds, and what `make_room` says.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        into: &mut Vec<u8>,
        limits: &Limits,
        mut make_room: impl FnMut(&mut Vec<u8>, usize) -> Result<(), Failure>,
    ) -> Result<Option<usize>, Failure> {
        let mut rest = bytes;
        loop {
            if let Next::Data { left } = self.next {
                let (data, behind) = rest.split_at(left.min(rest.len()));
                make_room(into, data.len())?;
                into.extend_from_slice(examine(data));
                rest = behind;
                let left = left - data.len();
                self.next = if left > 0 { Next::Data { left } } else { Next::EndOfData };
                if left > 0 {
                    return Ok(None);
                }
                // Most chunks end where they arrive.
                if let Some(behind) = rest.strip_prefix(b"\r\n") {
                    examine(&rest[..2]);
                    (rest, self.next) = (behind, Next::Size);
                }
            }
            let Some(feed) = examine_to_feed(rest) else {
                self.keep(rest, into, limits, &mut make_room)?;
                return Ok(None);
            };
            let (line, behind) = rest.split_at(feed + 1);
            rest = behind;
            let ends = if self.pending == 0 {
                self.line(line, limits)?
            } else {
                make_room(into, line.len())?;
                into.extend_from_slice(line);
                let begins = into.len() - line.len() - std::mem::take(&mut self.pending);
                let ends = self.line(&into[begins..], limits)?;
                into.truncate(begins);
                ends
            };
            if ends {
                return Ok(Some(bytes.len() - rest.len()));
            }
        }
    }

    /// Keeps the beginning of a line, unless it is one that no line has.
    fn keep(
        &mut self,
        rest: &[u8],
        into: &mut Vec<u8>,
        limits: &Limits,
        make_room: &mut impl FnMut(&mut Vec<u8>, usize) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if rest.is_empty() {
            return Ok(());
        }
        let length = self.pending + rest.len();
        let is_over = match self.next {
            Next::EndOfData if length > 1 || rest != b"\r" => return Err(Failure::Malformed),
            Next::EndOfData => false,
            // A size has 16 digits at most, and its carriage return may be among the bytes.
            Next::Size => self.framing_bytes + length > limits.framing_bytes + DIGITS_MAX + 1,
            // The line that ends the trailers does not count, and this may be half of it.
            Next::Trailer => self.framing_bytes + length > limits.framing_bytes + 1,
            Next::Data { .. } => false,
        };
        if is_over {
            return Err(Failure::Over(Limit::Framing));
        }
        make_room(into, rest.len())?;
        into.extend_from_slice(rest);
        self.pending = length;
        Ok(())
    }

    /// Takes a whole line, up to its line feed; whether it is the last of the body.
    fn line(&mut self, line: &[u8], limits: &Limits) -> Result<bool, Failure> {
        let line = examine(line);
        match self.next {
            Next::Size => {
                let digits = line.iter().take(DIGITS_MAX);
                let digits = digits.take_while(|byte| byte.is_ascii_hexdigit()).count();
                self.frame(line.len().saturating_sub(digits + 2), limits)?;
                let size = match httparse::parse_chunk_size(line) {
                    Ok(httparse::Status::Complete((_, size))) if digits > 0 => size,
                    _ => return Err(Failure::Malformed),
                };
                let size = usize::try_from(size).map_err(|_| Failure::Over(Limit::Body))?;
                if size > limits.body_bytes - self.body_bytes {
                    return Err(Failure::Over(Limit::Body));
                }
                self.body_bytes += size;
                self.next = if size == 0 { Next::Trailer } else { Next::Data { left: size } };
            }
            Next::EndOfData | Next::Data { .. } if line == b"\r\n" => self.next = Next::Size,
            Next::EndOfData | Next::Data { .. } => return Err(Failure::Malformed),
            Next::Trailer if line == b"\r\n" => return Ok(true),
            Next::Trailer => {
                self.frame(line.len(), limits)?;
                self.trailers += 1;
                if self.trailers > limits.fields {
                    return Err(Failure::Over(Limit::Fields));
                }
                let mut field = [httparse::EMPTY_HEADER];
                // A field is whole, and the section is not.
                if !matches!(
                    httparse::parse_headers(line, &mut field),
                    Ok(httparse::Status::Partial)
                ) {
                    return Err(Failure::Malformed);
                }
            }
        }
        Ok(false)
    }

    fn frame(&mut self, bytes: usize, limits: &Limits) -> Result<(), Failure> {
        self.framing_bytes += bytes;
        let is_over = self.framing_bytes > limits.framing_bytes;
        if is_over { Err(Failure::Over(Limit::Framing)) } else { Ok(()) }
    }
}

/// Digits that the size of a chunk may have, as `httparse` reads them.
const DIGITS_MAX: usize = 16;

/// Where the next line feed is.
fn examine_to_feed(bytes: &[u8]) -> Option<usize> {
    let feed = bytes.iter().position(|byte| *byte == b'\n');
    examine(&bytes[..feed.unwrap_or(bytes.len())]);
    feed
}

//! One answer as it arrives, whole or in pieces.

use super::Failure;
use super::budget::{Budget, Claim};
use super::chunks::Chunks;
use super::examine::examine;
use super::http1::{self, Body, Head, Heads, Length, Part, Read, Whole};
use crate::limits::{Limit, Limits};

/// How answers are read: within which limits, and in whose memory.
///
/// An answer that arrives whole is read where it lies and owns no memory. One in pieces is gathered
/// in a buffer, its chunks decoded as they come, and every byte is looked at a fixed number of
/// times however the server cuts them: a server must not be able to make its client slow, and then
/// be measured with it. What is gathered comes out of the [`Budget`] of all answers.
#[derive(Clone, Debug)]
pub struct Reader {
    limits: Limits,
    budget: Budget,
}

/// Bytes that have come on a connection.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The bytes; none where the connection ended only.
    pub bytes: &'a [u8],
    /// Whether the request's method was HEAD.
    pub to_head: bool,
    /// Whether the server has closed its side.
    pub ended: bool,
}

/// An answer that is on its way; it owns memory only while it is in pieces.
#[derive(Debug, Default)]
pub struct Inbound(Option<Box<Pieces>>);

/// What has come of an answer.
#[derive(Debug)]
struct Pieces {
    /// The heads as they came, and the body without its framing.
    bytes: Vec<u8>,
    claim: Claim,
    at: At,
}

/// Where it is.
#[derive(Debug)]
enum At {
    /// In a head, whose end is not among the first `scanned` bytes.
    Head {
        heads: Heads,
        scanned: usize,
    },
    Body(Head, Body),
    Chunks(Head, Chunks),
}

impl Reader {
    /// A reader within these limits; those with the same budget share its memory.
    pub const fn new(limits: Limits, budget: Budget) -> Self {
        Self { limits, budget }
    }

    /// What an answer may be at most.
    pub(super) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The memory for answers in pieces.
    pub(super) const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Takes in what has arrived, and gives the answer to `whole` when it is that; what that
    /// returned, or `None` where more has to come.
    ///
    /// # Errors
    /// Why this will be no answer. The next bytes would begin another one.
    #[inline]
    pub fn take<R>(
        &self,
        inbound: &mut Inbound,
        arrival: Arrival<'_>,
        whole: impl FnOnce(Whole<'_, '_>) -> R,
    ) -> Result<Option<R>, Failure> {
        let mut room = http1::room();
        let mut pieces = if let Some(pieces) = inbound.0.take() {
            pieces
        } else {
            let Arrival { bytes, to_head, ended } = arrival;
            match http1::read(bytes, to_head, ended, &self.limits, &mut room) {
                Ok(Read::Whole(answer)) => return Ok(Some(whole(answer))),
                Ok(Read::Part(part)) => {
                    inbound.0 = Some(Pieces::new(bytes, part, self)?);
                    return Ok(None);
                }
                // Fields are unfolded in memory of the answer's own.
                Err(Failure::Malformed) if http1::has_fold(bytes) => {
                    Pieces::new(b"", Part::Head(Heads::default()), self)?
                }
                Err(failure) => return Err(failure),
            }
        };
        match pieces.take(arrival, &self.limits)? {
            Some(end) => pieces.whole(end, &self.limits, &mut room).map(|w| Some(whole(w))),
            None => {
                inbound.0 = Some(pieces);
                Ok(None)
            }
        }
    }
}

impl Inbound {
    /// Whether a part of an answer has come.
    pub const fn has_begun(&self) -> bool {
        self.0.is_some()
    }
}

/// How an answer in pieces became whole.
#[derive(Clone, Copy)]
struct End {
    head: Head,
    behind: usize,
    keep_alive: bool,
}

impl Pieces {
    fn new(bytes: &[u8], part: Part, reader: &Reader) -> Result<Box<Self>, Failure> {
        let (at, decoded) = match part {
            Part::Head(heads) => (At::Head { heads, scanned: bytes.len() }, Vec::new()),
            Part::Body(head, body) => (At::Body(head, body), Vec::new()),
            Part::Chunks(head, chunks, decoded) => (At::Chunks(head, chunks), decoded),
        };
        let own = match &at {
            At::Chunks(head, _) => &bytes[..head.ends],
            _ => bytes,
        };
        let (bytes, claim) = (Vec::new(), reader.budget.claim());
        let mut pieces = Box::new(Self { bytes, claim, at });
        for part in [own, &decoded] {
            pieces.append(part, &reader.limits)?;
        }
        Ok(pieces)
    }

    /// The most bytes that this answer comes to here.
    fn most(&self, limits: &Limits) -> usize {
        match &self.at {
            At::Head { .. } => limits.head_bytes,
            At::Body(head, Body::Bytes(length)) => head.ends + length,
            At::Body(head, Body::UntilClose) => head.ends + limits.body_bytes,
            At::Chunks(head, _) => head.ends + limits.body_bytes + limits.framing_bytes,
        }
    }

    fn append(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), Failure> {
        let most = self.most(limits);
        self.claim.make_room(&mut self.bytes, bytes.len(), most)?;
        self.bytes.extend_from_slice(examine(bytes));
        Ok(())
    }

    /// Takes in what has arrived; how the answer ended, when it is whole.
    fn take(&mut self, arrival: Arrival<'_>, limits: &Limits) -> Result<Option<End>, Failure> {
        let Arrival { mut bytes, to_head, ended } = arrival;
        let rest;
        if let At::Head { .. } = self.at {
            self.append(bytes, limits)?;
            if !self.read_head(to_head, ended, limits)? {
                return Ok(None);
            }
            let (At::Body(head, _) | At::Chunks(head, _)) = &self.at else { return Ok(None) };
            rest = self.bytes.split_off(head.ends);
            bytes = &rest;
        }
        let (head, behind) = match &self.at {
            At::Head { .. } => return Ok(None),
            At::Body(head, Body::Bytes(length)) => {
                let (head, left) = (*head, head.ends + length - self.bytes.len());
                let taken = left.min(bytes.len());
                self.append(&bytes[..taken], limits)?;
                (head, (taken == left).then_some(bytes.len() - taken))
            }
            At::Body(head, Body::UntilClose) => {
                let head = *head;
                if bytes.len() > limits.body_bytes - (self.bytes.len() - head.ends) {
                    return Err(Failure::Over(Limit::Body));
                }
                self.append(bytes, limits)?;
                if ended {
                    return Ok(Some(End { head, behind: 0, keep_alive: false }));
                }
                (head, None)
            }
            At::Chunks(head, _) => (*head, self.take_chunks(bytes, limits)?),
        };
        match behind {
            Some(behind) => Ok(Some(End { head, behind, keep_alive: head.keep_alive })),
            None if ended => Err(Failure::Truncated),
            None => Ok(None),
        }
    }

    /// How many bytes are behind a body of chunks, when it is whole.
    fn take_chunks(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, Failure> {
        let most = self.most(limits);
        let Self { bytes: own, claim, at } = self;
        let At::Chunks(_, chunks) = at else { return Ok(None) };
        let taken =
            chunks.take(bytes, own, limits, |own, more| claim.make_room(own, more, most))?;
        Ok(taken.map(|taken| bytes.len() - taken))
    }

    /// Reads the heads, where one has ended since; whether the one that counts is whole.
    fn read_head(&mut self, to_head: bool, ended: bool, limits: &Limits) -> Result<bool, Failure> {
        let At::Head { mut heads, scanned } = self.at else { return Ok(true) };
        let length = self.bytes.len();
        let is_decided = ended || length > limits.head_bytes || has_head_end(&self.bytes, scanned);
        self.at = At::Head { heads, scanned: length };
        if !is_decided {
            return Ok(false);
        }
        let found = loop {
            let mut room = http1::room();
            let found = heads.read(&self.bytes, to_head, ended, limits, &mut room);
            match found.map(|found| found.map(|(head, length, ..)| (head, length))) {
                Err(Failure::Malformed) if http1::unfold(&mut self.bytes[heads.begins..]) => {}
                found => break found?,
            }
        };
        self.at = match found {
            None => At::Head { heads, scanned: length },
            Some((head, Length::Bytes(length))) => At::Body(head, Body::Bytes(length)),
            Some((head, Length::UntilClose)) => At::Body(head, Body::UntilClose),
            Some((head, Length::Chunked)) => At::Chunks(head, Chunks::new()),
        };
        Ok(found.is_some())
    }

    fn whole<'h, 'a>(
        &'a self,
        end: End,
        limits: &Limits,
        room: &'h mut http1::Room<'a>,
    ) -> Result<Whole<'h, 'a>, Failure> {
        let End { head, behind, keep_alive } = end;
        let (status, headers) = http1::reread(&self.bytes[head.begins..head.ends], limits, room)?;
        let body = (&self.bytes[head.ends..]).into();
        Ok(Whole { status, headers, body, behind, keep_alive, head: None })
    }
}

/// Whether an empty line ends at or behind `scanned`.
fn has_head_end(bytes: &[u8], scanned: usize) -> bool {
    // The end may begin among the bytes that were looked at before.
    let bytes = examine(&bytes[scanned.saturating_sub(2)..]);
    let feeds = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    feeds
        .map(|(at, _)| &bytes[at + 1..])
        .any(|next| next.starts_with(b"\n") || next.starts_with(b"\r\n"))
}

#[cfg(test)]
mod tests;

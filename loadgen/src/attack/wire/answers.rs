//! What comes back on a connection: answers one after the other, read strictly and within limits.

use std::io::{self, Read as _, Write as _};
use std::time::Instant;

use super::reply::{EXCHANGE_WITHIN, Reply, Silence};
use super::stream::Stream;
use crate::limits::Limits;
use crate::transport::{Arrival, Budget, Inbound, Reader};

/// What is read of an answer. Bodies may be smaller than a load's: several answers are kept.
const LIMITS: Limits = Limits { body_bytes: 4 << 20, ..Limits::DEFAULT };
/// Bytes that are read at a time.
const PIECE: usize = 16 << 10;

/// When what begins now has to be over.
pub(super) fn exchange_ends(ends: Instant) -> Instant {
    ends.min(Instant::now() + EXCHANGE_WITHIN)
}

/// The answer to a request, and whether its connection can carry another one.
pub(super) fn exchange(
    stream: &mut Stream,
    request: &[u8],
    ends: Instant,
) -> Result<(Reply, bool), Silence> {
    stream.timed().until = exchange_ends(ends);
    // A server that refuses early closes while we still write: its answer has arrived anyway.
    let written = stream.write_all(request).and_then(|()| stream.flush());
    let is_written = written.is_ok();
    stream.timed().until = exchange_ends(ends);
    let mut answers = Answers::new(stream, request);
    match (answers.next(), written) {
        (Err(Silence::Closed), Err(error)) => Err(silence(&error)),
        (answered, _) => {
            let (reply, keep_alive) = answered?;
            Ok((reply, keep_alive && is_written && answers.behind.is_empty()))
        }
    }
}

fn silence(error: &io::Error) -> Silence {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Silence::Late,
        _ => Silence::Closed,
    }
}

/// The answers on one connection, which are within the limits all together.
pub(super) struct Answers<'a> {
    pub(super) stream: &'a mut Stream,
    to_head: bool,
    /// What came behind the answer before.
    pub(super) behind: Vec<u8>,
    body_bytes_left: usize,
    pub(super) at_end: bool,
}

impl<'a> Answers<'a> {
    pub(super) fn new(stream: &'a mut Stream, request: &[u8]) -> Self {
        let to_head = request.starts_with(b"HEAD ");
        let body_bytes_left = LIMITS.body_bytes;
        Self { stream, to_head, behind: Vec::new(), body_bytes_left, at_end: false }
    }

    /// Reads more into `piece`; nothing at the end of the connection.
    fn more(&mut self, piece: &mut Vec<u8>) -> Result<(), Silence> {
        piece.resize(PIECE, 0);
        let read = match self.stream.read(piece) {
            Ok(read) => read,
            // A reset after the last byte is an end like any other.
            Err(e) if silence(&e) == Silence::Closed => 0,
            Err(e) => return Err(silence(&e)),
        };
        piece.truncate(read);
        self.at_end = read == 0;
        Ok(())
    }

    /// The next answer, and whether the server keeps the connection open behind it.
    pub(super) fn next(&mut self) -> Result<(Reply, bool), Silence> {
        let limits = Limits { body_bytes: self.body_bytes_left, ..LIMITS };
        let reader = Reader::new(limits, Budget::new(limits.buffered_bytes));
        let (mut inbound, mut piece) = (Inbound::default(), std::mem::take(&mut self.behind));
        loop {
            let arrival = Arrival { bytes: &piece, to_head: self.to_head, ended: self.at_end };
            let taken = reader.take(&mut inbound, arrival, |whole| {
                (Reply::new(&whole), whole.behind, whole.keep_alive)
            })?;
            if let Some((reply, behind, keep_alive)) = taken {
                self.behind = piece.split_off(piece.len() - behind);
                self.body_bytes_left -= reply.body.len();
                return Ok((reply, keep_alive));
            }
            self.more(&mut piece)?;
        }
    }
}

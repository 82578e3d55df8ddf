//! The measured path: HTTP/1.1 over nonblocking sockets, for as little work per request as we can.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::familiar::{self, Familiar};
use super::http1::Whole;
use super::inbound::{Arrival, Inbound, Reader};
use super::queue::{Queue, Ready};
use super::socket::Dialer;
use super::stream::{Got, Stream};
use super::tls::Tls;
use super::{Ended, Failure, Opening, Pacing, Peer, Transport, Until, Wire};
use crate::journey::{Answer, Request, Script, Template, Who};

const READ_BUFFER: usize = 64 << 10;
/// Answers that are taken before requests are sent again. Reading several in a row, and then
/// writing several, keeps the code of either in the processor's cache; more than these, and what
/// the kernel holds of the first connections has left it before they are written to.
const AT_A_TIME: usize = 64;
/// Connections that are being opened at a time: a burst must not overflow the server's backlog.
pub const OPENING_MAX: usize = 128;

/// Connections of one worker to one server.
///
/// On two cores the generator takes from the server what it uses itself, so this is a bare event
/// loop: one write and one read a request, a request assembled into one buffer and an answer parsed
/// in another, both shared by all connections of the worker. A connection owns memory only while an
/// answer or a request is in pieces. Over TLS the loop is the same; the session does the rest. It
/// never sends a request twice.
pub struct Lean {
    epoch: Instant,
    dialer: Dialer,
    tls: Option<Tls>,
    pacing: Pacing,
    reader: Reader,
    familiar: Familiar,
    requests: Vec<WireRequest>,
    queue: Queue,
    /// Events of the last wait that are still to be looked at.
    ready: Range<usize>,
    connections: Vec<Connection>,
    out: Vec<u8>,
    body: Vec<u8>,
    inbox: Vec<u8>,
    /// Connections whose request failed while it was being started; reported by the next poll.
    failed: Vec<(usize, Failure)>,
    /// Why the first connection that was opened ahead could not be.
    refused: Option<Failure>,
    /// Why TLS failed, the first time that it did.
    reason: Option<String>,
    wire: Wire,
}

/// A request as it goes over the wire, but for the length of its body.
struct WireRequest {
    head: Template,
    body: Option<Template>,
    to_head: bool,
}

/// What is held of a connection, in one line of the processor's cache.
#[derive(Default)]
#[repr(align(64))]
struct Connection {
    stream: Option<Stream>,
    state: State,
    /// Whether it has been open once: what the server closes before it is needed is not opened
    /// ahead again, or a server that closes at once would be asked without end.
    was_open: bool,
    request: u32,
    sent_ns: u64,
    /// What of the request is still to be written.
    unsent: Vec<u8>,
    /// What of the answer has come.
    inbound: Inbound,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    Connecting,
    Waiting,
}

impl Lean {
    /// Connections to `peer`, none open yet. `epoch` is the zero of the workers' common time.
    ///
    /// # Errors
    /// When the operating system gives no event queue.
    pub fn new(
        script: &Arc<Script>,
        peer: Peer,
        connections: usize,
        epoch: Instant,
        pacing: Pacing,
    ) -> io::Result<Self> {
        let Peer { place, tls, reader } = peer;
        Ok(Self {
            epoch,
            dialer: Dialer::new(place),
            tls,
            pacing,
            reader,
            familiar: Familiar::default(),
            requests: script.requests.iter().map(|r| WireRequest::new(script, r)).collect(),
            queue: Queue::new()?,
            ready: 0..0,
            connections: (0..connections).map(|_| Connection::default()).collect(),
            out: Vec::with_capacity(4096),
            body: Vec::new(),
            inbox: vec![0; READ_BUFFER],
            failed: Vec::new(),
            refused: None,
            reason: None,
            wire: Wire::default(),
        })
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn connect(&mut self, index: usize) -> Result<(), Failure> {
        let socket = self.dialer.dial().map_err(|e| connect_failure(&e))?;
        self.wire.connects += 1;
        self.queue.add(&socket, index).map_err(|e| connect_failure(&e))?;
        let connection = &mut self.connections[index];
        connection.stream = Some(Stream::new(socket, self.tls.as_ref())?);
        connection.state = State::Connecting;
        Ok(())
    }

    /// Writes `self.out`, and keeps what the socket does not take.
    fn send(&mut self, index: usize) -> Result<(), Failure> {
        let connection = &mut self.connections[index];
        connection.state = State::Waiting;
        let Some(stream) = connection.stream.as_mut() else { return Err(Failure::Closed) };
        let written = stream.write(&self.out, &mut self.wire)?;
        connection.unsent.extend_from_slice(&self.out[written..]);
        Ok(())
    }

    fn send_rest(&mut self, index: usize) -> Result<(), Failure> {
        let connection = &mut self.connections[index];
        let Some(stream) = connection.stream.as_mut() else { return Err(Failure::Closed) };
        let written = stream.write(&connection.unsent, &mut self.wire)?;
        connection.unsent.drain(..written);
        if connection.unsent.is_empty() {
            connection.unsent = Vec::new();
        }
        Ok(())
    }

    fn opened(&mut self, index: usize) -> Result<(), Failure> {
        let connection = &mut self.connections[index];
        let Some(stream) = connection.stream.as_mut() else { return Err(Failure::Closed) };
        if let Some(error) = stream.socket().take_error().map_err(|e| connect_failure(&e))? {
            return Err(connect_failure(&error));
        }
        if !stream.socket().is_connected().map_err(|e| connect_failure(&e))? {
            return Ok(());
        }
        if !stream.handshake(&mut self.wire)? {
            return Ok(());
        }
        // Opened ahead, it has nothing to send yet.
        let ahead = connection.unsent.is_empty();
        connection.was_open = true;
        connection.state = if ahead { State::Idle } else { State::Waiting };
        self.send_rest(index)
    }

    fn close(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        connection.stream = None;
        connection.state = State::Idle;
        connection.unsent = Vec::new();
        connection.inbound = Inbound::default();
    }

    /// Handles the next events. One may belong to a connection that was closed after the wait: the
    /// socket that has its number now is read once more than necessary, and has nothing.
    fn events(&mut self, ended: &mut impl FnMut(Ended<'_>)) {
        let ends = self.ready.end.min(self.ready.start + AT_A_TIME);
        for index in std::mem::replace(&mut self.ready.start, ends)..ends {
            self.event(self.queue.ready(index), ended);
        }
    }

    fn event(&mut self, ready: Ready, ended: &mut impl FnMut(Ended<'_>)) {
        let index = ready.token;
        let connection = &self.connections[index];
        let ahead = connection.state == State::Connecting && connection.unsent.is_empty();
        let outcome = match connection.state {
            State::Connecting => self.opened(index),
            _ if ready.writable && connection.has_unsent() => self.send_rest(index),
            _ => Ok(()),
        };
        let outcome = match outcome {
            Ok(()) if self.connections[index].state != State::Connecting => {
                self.receive(index, ready.read_closed, ended)
            }
            other => other,
        };
        match outcome {
            Ok(()) => {}
            // No caller waits for a connection that is opened ahead; `open` reports it.
            Err(failure) if ahead => {
                self.note_reason(index, failure);
                self.close(index);
                self.refused.get_or_insert(failure);
            }
            Err(failure) => self.fail(index, failure, ended),
        }
    }

    fn fail(&mut self, index: usize, failure: Failure, ended: &mut impl FnMut(Ended<'_>)) {
        let sent_ns = self.connections[index].sent_ns;
        self.note_reason(index, failure);
        self.close(index);
        let done_ns = self.elapsed();
        ended(Ended { connection: index, sent_ns, done_ns, result: Err(failure) });
    }

    fn note_reason(&mut self, index: usize, failure: Failure) {
        if failure == Failure::Tls && self.reason.is_none() {
            self.reason = self.connections[index].stream.as_mut().and_then(Stream::fault);
        }
    }

    /// Reads until the connection has no more, or is closed.
    fn receive(
        &mut self,
        index: usize,
        read_closed: bool,
        ended: &mut impl FnMut(Ended<'_>),
    ) -> Result<(), Failure> {
        loop {
            let connection = &mut self.connections[index];
            let Some(stream) = connection.stream.as_mut() else { return Ok(()) };
            let (read, closed, cut) = match stream.read(&mut self.inbox, &mut self.wire) {
                Ok(Got::Bytes(read)) => (read, false, false),
                Ok(Got::Nothing) => return Ok(()),
                Ok(Got::End) => (0, true, false),
                Ok(Got::Cut) => (0, true, true),
                Err(_) if connection.state == State::Idle => (0, true, false),
                Err(failure) => return Err(failure),
            };
            self.wire.closed_by_server += u64::from(closed);
            if connection.state == State::Idle {
                // The server closed the connection, or sends something unsolicited; either way the
                // next request needs a new one.
                self.close(index);
                return Ok(());
            }
            if cut {
                let begun = connection.inbound.has_begun();
                return Err(if begun { Failure::Truncated } else { Failure::Closed });
            }
            // The end that came with the same event would not be told a second time.
            let emptied = stream.emptied(read, self.inbox.len()) && !read_closed;
            self.arrived(index, read, closed, ended)?;
            if emptied {
                return Ok(());
            }
        }
    }

    /// Takes in what was read, and reports the answer when it is whole.
    fn arrived(
        &mut self,
        index: usize,
        read: usize,
        closed: bool,
        ended: &mut impl FnMut(Ended<'_>),
    ) -> Result<(), Failure> {
        let done_ns = self.elapsed();
        let connection = &mut self.connections[index];
        let bytes = &self.inbox[..read];
        let to_head = self.requests[connection.request as usize].to_head;
        let sent_ns = connection.sent_ns;
        let state = &mut connection.state;
        let mut report = |whole: Whole<'_, '_>| {
            let Whole { status, headers, body, behind, keep_alive, .. } = whole;
            // More than was asked for: whatever it is, it is no answer to a request of ours.
            if behind > 0 {
                return Err(Failure::Malformed);
            }
            let answer = Answer { status, headers, body: &body };
            *state = State::Idle;
            ended(Ended { connection: index, sent_ns, done_ns, result: Ok(answer) });
            Ok(keep_alive)
        };
        let may_be_known = !to_head && !connection.inbound.has_begun();
        let taken = if may_be_known && self.familiar.knows(bytes) {
            let mut room = familiar::room();
            Some(report(self.familiar.answer(bytes, &mut room)))
        } else {
            let arrival = Arrival { bytes, to_head, ended: closed };
            self.reader.take(&mut connection.inbound, arrival, |whole| {
                if may_be_known {
                    self.familiar.remember(bytes, &whole);
                }
                report(whole)
            })?
        };
        let Some(keep_alive) = taken else { return Ok(()) };
        let keep_alive = keep_alive? && !connection.has_unsent();
        if !keep_alive || closed {
            self.wire.closed_by_server += u64::from(!closed);
            self.close(index);
        }
        Ok(())
    }
}

impl Transport for Lean {
    fn now(&mut self) -> u64 {
        self.elapsed()
    }

    fn open(&mut self, until_ns: u64) -> io::Result<Opening> {
        loop {
            let mut opening = 0;
            let mut opened = 0;
            for index in 0..self.connections.len() {
                let connection = &self.connections[index];
                match connection.state {
                    State::Connecting => opening += 1,
                    _ if connection.was_open => opened += 1,
                    _ if self.refused.is_none() && opening < OPENING_MAX => {
                        opening += 1;
                        self.refused = self.connect(index).err();
                    }
                    _ => {}
                }
            }
            let left_ns = until_ns.saturating_sub(self.elapsed());
            let done = opened == self.connections.len() || self.refused.is_some();
            if done || left_ns == 0 {
                return Ok(Opening { opened, failed: self.refused.take() });
            }
            // Nothing has been asked for, so nothing can end.
            self.ready = 0..self.queue.wait(left_ns)?;
            while !self.ready.is_empty() {
                self.events(&mut |_| {});
            }
        }
    }

    fn start(&mut self, index: usize, request: usize, who: Who<'_>) {
        self.requests[request].write(who, &mut self.out, &mut self.body);
        let sent_ns = self.elapsed();
        let connection = &mut self.connections[index];
        debug_assert!(
            connection.state == State::Idle,
            "a connection carries one request at a time"
        );
        connection.request = request as u32;
        connection.sent_ns = sent_ns;
        let outcome = if connection.stream.is_some() {
            self.send(index)
        } else {
            connection.unsent.clear();
            connection.unsent.extend_from_slice(&self.out);
            self.connect(index)
        };
        if let Err(failure) = outcome {
            self.failed.push((index, failure));
        }
    }

    fn abort(&mut self, index: usize) {
        self.failed.retain(|(failed, _)| *failed != index);
        self.close(index);
    }

    fn poll(&mut self, until: Until, mut ended: impl FnMut(Ended<'_>)) -> io::Result<()> {
        for (index, failure) in std::mem::take(&mut self.failed) {
            self.fail(index, failure, &mut ended);
        }
        if self.ready.is_empty() {
            let left_ns = until.ns.saturating_sub(self.elapsed());
            let timeout_ns = self.pacing.sleep_ns(left_ns, until.due);
            self.ready = 0..self.queue.wait(timeout_ns)?;
        }
        self.events(&mut ended);
        Ok(())
    }

    fn wire(&self) -> Option<Wire> {
        Some(self.wire)
    }

    fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}

const _: () = assert!(size_of::<Connection>() <= 64, "a connection fills one cache line");

impl Connection {
    fn has_unsent(&self) -> bool {
        !self.unsent.is_empty() || self.stream.as_ref().is_some_and(Stream::holds_back)
    }
}

impl WireRequest {
    fn new(script: &Script, request: &Request) -> Self {
        let mut head = Template::default();
        head.literal_bytes(format!("{} ", request.method).as_bytes());
        head.append(request.path.clone());
        head.literal_bytes(b" HTTP/1.1\r\n");
        if !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.literal_bytes(format!("Host: {}\r\n", script.authority).as_bytes());
        }
        for (name, value) in &request.headers {
            head.line(name, value.clone());
        }
        let wants_body = matches!(request.method.as_str(), "POST" | "PUT" | "PATCH");
        if request.body.is_none() {
            head.literal_bytes(if wants_body { b"Content-Length: 0\r\n\r\n" } else { b"\r\n" });
        }
        Self { head, body: request.body.clone(), to_head: request.method == "HEAD" }
    }

    fn write(&self, who: Who<'_>, out: &mut Vec<u8>, body: &mut Vec<u8>) {
        out.clear();
        self.head.write(who, out);
        if let Some(template) = &self.body {
            body.clear();
            template.write(who, body);
            out.extend_from_slice(b"Content-Length: ");
            out.extend_from_slice(itoa::Buffer::new().format(body.len()).as_bytes());
            out.extend_from_slice(b"\r\n\r\n");
            out.extend_from_slice(body);
        }
    }
}

pub(super) fn connect_failure(error: &io::Error) -> Failure {
    use rustix::io::Errno;
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::MFILE | Errno::NFILE) => Failure::NoDescriptors,
        Some(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE) => Failure::NoPorts,
        // At the path of a Unix socket there may be nothing at all.
        Some(Errno::CONNREFUSED | Errno::NOENT) => Failure::ConnectRefused,
        Some(Errno::CONNRESET) => Failure::Reset,
        _ => Failure::Connect,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::limits::Limits;
    use crate::transport::{Budget, Place};

    const SECOND_NS: u64 = 1_000_000_000;

    /// Answers so many requests, each on a connection of its own, when all have come.
    fn answer_together(listener: &TcpListener, requests: usize) -> Vec<std::net::TcpStream> {
        let mut streams: Vec<_> = listener.incoming().take(requests).map(Result::unwrap).collect();
        for stream in &mut streams {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.extend_from_slice(&byte);
            }
        }
        for stream in &mut streams {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
        }
        streams
    }

    #[test]
    fn answers_that_come_together_are_taken_in_turns_and_none_is_lost() {
        let connections = 2 * AT_A_TIME + 7;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let target = toml::from_str(&format!(
            "name = 't'\nbase_url = 'http://{address}'\n\
             [journeys.browse]\nsteps = [{{ name = 'me', path = '/me' }}]\n"
        ));
        let script = Arc::new(Script::new(&target.unwrap(), "browse").unwrap());
        let limits = Limits::default();
        let reader = Reader::new(limits, Budget::new(limits.buffered_bytes));
        let peer = Peer { place: Place::Address(address), tls: None, reader };
        let mut lean =
            Lean::new(&script, peer, connections, Instant::now(), Pacing::Sleep).unwrap();
        let server = thread::spawn(move || answer_together(&listener, connections));
        let opening = lean.open(60 * SECOND_NS).unwrap();
        assert_eq!((opening.opened, opening.failed), (connections, None));
        for index in 0..connections {
            lean.start(index, script.steps.start, Who { n: index as u64, credential: b"" });
        }
        let _streams = server.join().unwrap();
        let (mut answered, mut turns) = (vec![0; connections], Vec::new());
        while turns.iter().sum::<usize>() < connections && turns.len() < 100 {
            let (until, mut taken) = (Until { ns: 60 * SECOND_NS, due: false }, 0);
            lean.poll(until, |ended| {
                assert_eq!(ended.result.unwrap().status, 200);
                answered[ended.connection] += 1;
                taken += 1;
            })
            .unwrap();
            turns.push(taken);
        }
        assert!(turns.iter().all(|taken| *taken <= AT_A_TIME), "{turns:?}");
        assert!(answered.iter().all(|times| *times == 1), "{answered:?}");
    }
}

//! The measured path: HTTP/1.1 over nonblocking sockets, for as little work per request as we can.
//!
//! On two cores the generator takes from the server what it uses itself, so this is a bare event
//! loop: one write and one read a request, a request assembled into one buffer and an answer parsed
//! in another, both shared by all connections of the worker. A connection owns memory only while an
//! answer or a request is in pieces. It never sends a request twice.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use super::http1::{self, ANSWER_MAX, HEADERS_MAX, Read, Whole};
use super::queue::{Queue, Ready};
use super::socket::Dialer;
use super::{Ended, Failure, Opening, Pacing, Transport, Until, Wire};
use crate::journey::{Answer, Request, Script, Template, Who};

const READ_BUFFER: usize = 64 << 10;
/// Connections that are being opened at a time: a burst must not overflow the server's backlog.
const OPENING_MAX: usize = 128;

/// Connections of one worker to one server.
pub struct Lean {
    epoch: Instant,
    dialer: Dialer,
    pacing: Pacing,
    requests: Vec<WireRequest>,
    queue: Queue,
    connections: Vec<Connection>,
    out: Vec<u8>,
    body: Vec<u8>,
    inbox: Vec<u8>,
    /// Connections whose request failed while it was being started; reported by the next poll.
    failed: Vec<(usize, Failure)>,
    /// Why the first connection that was opened ahead could not be.
    refused: Option<Failure>,
    wire: Wire,
}

/// A request as it goes over the wire, but for the length of its body.
struct WireRequest {
    head: Template,
    body: Option<Template>,
    to_head: bool,
}

#[derive(Default)]
struct Connection {
    stream: Option<TcpStream>,
    state: State,
    request: usize,
    sent_ns: u64,
    /// What of the request is still to be written.
    unsent: Vec<u8>,
    /// What of the answer has come, while it is in pieces.
    pieces: Vec<u8>,
    /// Bytes without which the answer cannot be whole.
    at_least: usize,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    Connecting,
    Waiting,
}

impl Lean {
    /// Connections to `address`, none open yet; `epoch` is the zero of the workers' common time.
    ///
    /// # Errors
    /// When the operating system gives no event queue.
    pub fn new(
        script: &Arc<Script>,
        address: SocketAddr,
        connections: usize,
        epoch: Instant,
        pacing: Pacing,
    ) -> io::Result<Self> {
        Ok(Self {
            epoch,
            dialer: Dialer::new(address),
            pacing,
            requests: script.requests.iter().map(|r| WireRequest::new(script, r)).collect(),
            queue: Queue::new()?,
            connections: (0..connections).map(|_| Connection::default()).collect(),
            out: Vec::with_capacity(4096),
            body: Vec::new(),
            inbox: vec![0; READ_BUFFER],
            failed: Vec::new(),
            refused: None,
            wire: Wire::default(),
        })
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn connect(&mut self, index: usize) -> Result<(), Failure> {
        let stream = self.dialer.dial().map_err(|e| connect_failure(&e))?;
        self.wire.connects += 1;
        self.queue.add(&stream, index).map_err(|e| connect_failure(&e))?;
        let connection = &mut self.connections[index];
        connection.stream = Some(stream);
        connection.state = State::Connecting;
        Ok(())
    }

    /// Writes `self.out`, and keeps what the socket does not take.
    fn send(&mut self, index: usize) -> Result<(), Failure> {
        let connection = &mut self.connections[index];
        connection.state = State::Waiting;
        let Some(stream) = connection.stream.as_mut() else { return Err(Failure::Closed) };
        let written = write_some(stream, &self.out)?;
        self.wire.bytes_sent += written as u64;
        connection.unsent.extend_from_slice(&self.out[written..]);
        Ok(())
    }

    fn send_rest(&mut self, index: usize) -> Result<(), Failure> {
        let connection = &mut self.connections[index];
        let Some(stream) = connection.stream.as_mut() else { return Err(Failure::Closed) };
        let written = write_some(stream, &connection.unsent)?;
        self.wire.bytes_sent += written as u64;
        connection.unsent.drain(..written);
        if connection.unsent.is_empty() {
            connection.unsent = Vec::new();
        }
        Ok(())
    }

    fn opened(&mut self, index: usize) -> Result<(), Failure> {
        let connection = &mut self.connections[index];
        let Some(stream) = connection.stream.as_mut() else { return Err(Failure::Closed) };
        if let Some(error) = stream.take_error().map_err(|e| connect_failure(&e))? {
            return Err(connect_failure(&error));
        }
        match stream.peer_addr() {
            // Opened ahead, it has nothing to send yet.
            Ok(_) if connection.unsent.is_empty() => connection.state = State::Idle,
            Ok(_) => connection.state = State::Waiting,
            Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(()),
            Err(error) => return Err(connect_failure(&error)),
        }
        self.send_rest(index)
    }

    fn close(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        connection.stream = None;
        connection.state = State::Idle;
        connection.unsent = Vec::new();
        connection.pieces = Vec::new();
        connection.at_least = 0;
    }

    /// Takes events for so long at most; how many there were.
    fn events(&mut self, timeout_ns: u64, ended: &mut impl FnMut(Ended<'_>)) -> io::Result<usize> {
        let count = self.queue.wait(timeout_ns)?;
        for index in 0..count {
            self.event(self.queue.ready(index), ended);
        }
        Ok(count)
    }

    fn event(&mut self, ready: Ready, ended: &mut impl FnMut(Ended<'_>)) {
        let index = ready.token;
        let connection = &self.connections[index];
        let ahead = connection.state == State::Connecting && connection.unsent.is_empty();
        let outcome = match connection.state {
            State::Connecting => self.opened(index),
            _ if ready.writable && !connection.unsent.is_empty() => self.send_rest(index),
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
            // Nobody waits for a connection that is opened ahead; `open` tells of it.
            Err(failure) if ahead => {
                self.close(index);
                self.refused.get_or_insert(failure);
            }
            Err(failure) => self.fail(index, failure, ended),
        }
    }

    fn fail(&mut self, index: usize, failure: Failure, ended: &mut impl FnMut(Ended<'_>)) {
        let sent_ns = self.connections[index].sent_ns;
        self.close(index);
        let done_ns = self.elapsed();
        ended(Ended { connection: index, sent_ns, done_ns, result: Err(failure) });
    }

    /// Reads until the socket is empty or the answer is whole.
    fn receive(
        &mut self,
        index: usize,
        read_closed: bool,
        ended: &mut impl FnMut(Ended<'_>),
    ) -> Result<(), Failure> {
        loop {
            let connection = &mut self.connections[index];
            let Some(stream) = connection.stream.as_mut() else { return Ok(()) };
            let (read, closed) = match stream.read(&mut self.inbox) {
                Ok(0) => (0, true),
                Ok(read) => (read, false),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(_) if connection.state == State::Idle => (0, true),
                Err(_) => return Err(Failure::Reset),
            };
            self.wire.bytes_received += read as u64;
            self.wire.closed_by_server += u64::from(closed);
            if connection.state == State::Idle {
                // The server closed the connection, or says something nobody asked for; either way
                // the next request needs a new one.
                self.close(index);
                return Ok(());
            }
            // A read that leaves room in the buffer has emptied the socket (epoll(7)), unless its
            // end came with the same event: that would not be told a second time.
            let emptied = read < self.inbox.len() && !read_closed;
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
        let to_head = self.requests[connection.request].to_head;
        let in_pieces = !connection.pieces.is_empty();
        if in_pieces {
            connection.pieces.extend_from_slice(&self.inbox[..read]);
            if connection.pieces.len() < connection.at_least && !closed {
                return Ok(());
            }
        }
        let bytes = if in_pieces { connection.pieces.as_slice() } else { &self.inbox[..read] };
        if bytes.len() > ANSWER_MAX {
            return Err(Failure::TooLarge);
        }
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let keep_alive = match http1::read(bytes, to_head, closed, &mut headers)? {
            (Read::Part { at_least }, _) => {
                if !in_pieces {
                    connection.pieces.extend_from_slice(&self.inbox[..read]);
                }
                connection.at_least = at_least;
                return Ok(());
            }
            (Read::Whole(Whole { status, body, length, keep_alive }), count) => {
                // More than was asked for: whatever it is, it is no answer to a request of ours.
                if length < bytes.len() {
                    return Err(Failure::Malformed);
                }
                let answer = Answer { status, headers: &headers[..count], body: &body };
                connection.state = State::Idle;
                ended(Ended {
                    connection: index,
                    sent_ns: connection.sent_ns,
                    done_ns,
                    result: Ok(answer),
                });
                keep_alive && connection.unsent.is_empty()
            }
        };
        if in_pieces {
            connection.pieces = Vec::new();
            connection.at_least = 0;
        }
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
                match (connection.state, connection.stream.is_some()) {
                    (State::Connecting, _) => opening += 1,
                    (_, true) => opened += 1,
                    (_, false) if self.refused.is_none() && opening < OPENING_MAX => {
                        opening += 1;
                        self.refused = self.connect(index).err();
                    }
                    (_, false) => {}
                }
            }
            let left_ns = until_ns.saturating_sub(self.elapsed());
            let done = opened == self.connections.len() || self.refused.is_some();
            if done || left_ns == 0 {
                return Ok(Opening { opened, failed: self.refused.take() });
            }
            // Nothing has been asked for, so nothing can end.
            self.events(left_ns, &mut |_| {})?;
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
        connection.request = request;
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
        let left_ns = until.ns.saturating_sub(self.elapsed());
        self.events(self.pacing.sleep_ns(left_ns, until.due), &mut ended)?;
        Ok(())
    }

    fn wire(&self) -> Wire {
        self.wire
    }
}

impl WireRequest {
    fn new(script: &Script, request: &Request) -> Self {
        let mut head = Template::default();
        head.literal_bytes(format!("{} ", request.method).as_bytes());
        head.append(request.path.clone());
        head.literal_bytes(format!(" HTTP/1.1\r\nHost: {}\r\n", script.authority).as_bytes());
        for (name, value) in &request.headers {
            head.literal_bytes(format!("{name}: ").as_bytes());
            head.append(value.clone());
            head.literal_bytes(b"\r\n");
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

/// Writes until the socket is full; the number of bytes it took.
fn write_some(stream: &mut TcpStream, bytes: &[u8]) -> Result<usize, Failure> {
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(0) => return Err(Failure::Closed),
            Ok(taken) => written += taken,
            Err(e) if e.kind() == ErrorKind::WouldBlock => break,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Err(Failure::Reset),
        }
    }
    Ok(written)
}

fn connect_failure(error: &io::Error) -> Failure {
    use rustix::io::Errno;
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::MFILE | Errno::NFILE) => Failure::NoDescriptors,
        Some(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE) => Failure::NoPorts,
        Some(Errno::CONNREFUSED) => Failure::ConnectRefused,
        Some(Errno::CONNRESET) => Failure::Reset,
        _ => Failure::Connect,
    }
}

//! A nonblocking connection: a socket as it is, or a TLS session over one.

use std::io::{self, ErrorKind, Read as _, Write as _};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustls::ClientConnection;

use super::socket::Socket;
use super::tls::{Tls, closed_in_handshake, in_words};
use super::{Failure, Wire};

/// A connection to a server.
///
/// Both are read until they are empty and take what they can, as an edge-triggered loop wants it.
/// A session holds more than its socket: bytes that are decrypted and not read yet, which no event
/// will tell of, and bytes that are encrypted and not written yet, which the next writable event
/// has to flush. Tickets and other messages of TLS itself are never passed on as bytes of an
/// answer, and an end that TLS did not announce is never passed on as a proper one.
pub(super) enum Stream {
    /// The socket itself.
    Plain(Socket),
    /// TLS over a socket; boxed, once a connection, because a session is a kilobyte.
    Tls(Box<Session>),
}

/// What reading found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// So many bytes; never 0.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The server has closed its side.
    End,
    /// The connection ended without the end that TLS wants (RFC 8446, 6.1): anyone on the way
    /// can do that, so a body that lasts until the end is not known to be whole.
    Cut,
}

/// Reads in a row that may bring messages of TLS itself and no bytes of an answer.
const MESSAGES_MAX: usize = 1024;

/// A TLS session and its socket.
pub(super) struct Session {
    socket: Socket,
    tls: ClientConnection,
    /// Why TLS gave up.
    fault: Option<String>,
}

impl Stream {
    /// The connection over a socket that is connecting.
    pub(super) fn new(socket: Socket, tls: Option<&Tls>) -> Result<Self, Failure> {
        let Some(Tls { config, name }) = tls else { return Ok(Self::Plain(socket)) };
        let mut tls =
            ClientConnection::new(config.clone(), name.clone()).map_err(|_| Failure::Tls)?;
        // A request is taken whole, whatever the socket takes of it at once.
        tls.set_buffer_limit(None);
        Ok(Self::Tls(Box::new(Session { socket, tls, fault: None })))
    }

    pub(super) const fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(session) => &session.socket,
        }
    }

    /// Continues with the handshake; whether the connection can carry requests now.
    pub(super) fn handshake(&mut self, wire: &mut Wire) -> Result<bool, Failure> {
        match self {
            Self::Plain(_) => Ok(true),
            Self::Tls(session) => session.handshake(wire),
        }
    }

    /// Reads what there is, into a buffer that has room.
    #[inline]
    pub(super) fn read(&mut self, into: &mut [u8], wire: &mut Wire) -> Result<Got, Failure> {
        match self {
            Self::Plain(socket) => read_plain(socket, into, wire),
            Self::Tls(session) => session.read(into, wire),
        }
    }

    /// Whether a read of so many bytes into so much room has left nothing to read: a short one has
    /// emptied a socket (epoll(7)), but says nothing of a session.
    #[inline]
    pub(super) const fn emptied(&self, read: usize, room: usize) -> bool {
        matches!(self, Self::Plain(_)) && read < room
    }

    /// Writes until the socket is full; the number of bytes it took.
    #[inline]
    pub(super) fn write(&mut self, bytes: &[u8], wire: &mut Wire) -> Result<usize, Failure> {
        match self {
            Self::Plain(socket) => write_plain(socket, bytes, wire),
            Self::Tls(session) => session.write(bytes, wire),
        }
    }

    /// Whether it holds bytes that the socket has not taken yet.
    #[inline]
    pub(super) fn holds_back(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(session) => session.tls.wants_write(),
        }
    }

    /// Why TLS gave up, where it did.
    pub(super) fn fault(&mut self) -> Option<String> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(session) => session.fault.take(),
        }
    }
}

/// Straight to the kernel: in a process of several threads the C library makes each of these calls
/// a cancellation point, which costs as much as parsing an answer does.
fn read_plain(socket: &Socket, into: &mut [u8], wire: &mut Wire) -> Result<Got, Failure> {
    loop {
        match recv(socket, &mut *into, RecvFlags::empty()) {
            Ok((0, _)) => return Ok(Got::End),
            Ok((read, _)) => {
                wire.bytes_received += read as u64;
                return Ok(Got::Bytes(read));
            }
            Err(Errno::AGAIN) => return Ok(Got::Nothing),
            Err(Errno::INTR) => {}
            Err(_) => return Err(Failure::Reset),
        }
    }
}

fn write_plain(socket: &Socket, bytes: &[u8], wire: &mut Wire) -> Result<usize, Failure> {
    let mut written = 0;
    while written < bytes.len() {
        match send(socket, &bytes[written..], SendFlags::NOSIGNAL) {
            Ok(0) => return Err(Failure::Closed),
            Ok(taken) => written += taken,
            Err(Errno::AGAIN) => break,
            Err(Errno::INTR) => {}
            Err(_) => return Err(Failure::Reset),
        }
    }
    wire.bytes_sent += written as u64;
    Ok(written)
}

/// What reading from the socket of a session found.
enum Cipher {
    Some,
    Nothing,
    End,
}

impl Session {
    fn handshake(&mut self, wire: &mut Wire) -> Result<bool, Failure> {
        loop {
            self.flush(wire)?;
            if !self.tls.is_handshaking() {
                return Ok(!self.tls.wants_write());
            }
            match self.receive(wire)? {
                Cipher::Some => {}
                Cipher::Nothing => return Ok(false),
                Cipher::End => {
                    self.fault = Some(closed_in_handshake());
                    return Err(Failure::Tls);
                }
            }
        }
    }

    fn read(&mut self, into: &mut [u8], wire: &mut Wire) -> Result<Got, Failure> {
        for _ in 0..MESSAGES_MAX {
            match self.tls.reader().read(into) {
                Ok(0) => return Ok(Got::End),
                Ok(read) => return Ok(Got::Bytes(read)),
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(Got::Cut),
                Err(_) => {}
            }
            // At the end the reader above tells what kind of end it is.
            match self.receive(wire)? {
                Cipher::Some | Cipher::End => {}
                Cipher::Nothing => return Ok(Got::Nothing),
            }
            if self.tls.wants_write() {
                self.flush(wire)?;
            }
        }
        // Tickets without end, for example: who sends nothing else is not to hold the worker.
        self.fault = Some(format!("the server sent {MESSAGES_MAX} pieces of TLS and no answer"));
        Err(Failure::Tls)
    }

    /// Reads from the socket once, and decrypts.
    fn receive(&mut self, wire: &mut Wire) -> Result<Cipher, Failure> {
        let read = loop {
            match self.tls.read_tls(&mut self.socket) {
                Ok(read) => break read,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(Cipher::Nothing),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Failure::Reset),
            }
        };
        wire.bytes_received += read as u64;
        if let Err(error) = self.tls.process_new_packets() {
            self.fault = Some(in_words(&error));
            // The alert that tells the server why; whether it gets there does not matter any more.
            let _ = self.flush(wire);
            return Err(Failure::Tls);
        }
        Ok(if read == 0 { Cipher::End } else { Cipher::Some })
    }

    fn write(&mut self, bytes: &[u8], wire: &mut Wire) -> Result<usize, Failure> {
        // Without a limit it takes everything.
        let taken = self.tls.writer().write(bytes).map_err(|_| Failure::Tls)?;
        self.flush(wire)?;
        Ok(taken)
    }

    /// Writes what is encrypted, as far as the socket takes it.
    fn flush(&mut self, wire: &mut Wire) -> Result<(), Failure> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Ok(0) => return Err(Failure::Closed),
                Ok(written) => wire.bytes_sent += written as u64,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Failure::Reset),
            }
        }
        Ok(())
    }
}

impl Drop for Session {
    /// Tells the server that this end is meant (RFC 8446, 6.1), as far as it goes without waiting.
    fn drop(&mut self) {
        if !self.tls.is_handshaking() {
            self.tls.send_close_notify();
            let _: io::Result<usize> = self.tls.write_tls(&mut self.socket);
        }
    }
}

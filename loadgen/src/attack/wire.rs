//! HTTP/1.1 as bytes on a socket: what no client library would send has to be sent here.
//!
//! Blocking sockets with a limit of time on every exchange. A request that may be well formed goes
//! over a kept connection; one that may not be has a connection of its own, which is read to its
//! end. Answers are parsed strictly, because an answer that is none is a finding too. Nothing here
//! knows what an attack is.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::journey::{Answer, Script};
use crate::transport::{Tls, Trust};

/// How long an exchange may take, and how long a connection may take to open.
const EXCHANGE_WITHIN: Duration = Duration::from_secs(10);
/// How long a server that has answered on a connection of its own may keep it open.
const QUIET: Duration = Duration::from_millis(500);
/// Most bytes of an answer; a longer one is none.
const ANSWER_BYTES_MAX: usize = 4 << 20;
const HEADERS_MAX: usize = 128;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
}

impl Reply {
    /// The values of a header, whatever its case.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let same = move |(key, _): &&(String, Vec<u8>)| key.eq_ignore_ascii_case(name);
        self.headers.iter().filter(same).map(|(_, value)| value.as_slice())
    }

    /// The first value of a header as text.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        self.all(name).next().map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// Hands it on in the form in which a script judges answers.
    pub(super) fn with<T>(&self, judge: impl FnOnce(&Answer<'_>) -> T) -> T {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| httparse::Header { name, value: value.as_slice() })
            .collect();
        judge(&Answer { status: self.status, headers: &headers, body: &self.body })
    }

    fn closes(&self) -> bool {
        self.all("connection").any(|value| value.eq_ignore_ascii_case(b"close"))
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// The connection was closed or reset instead.
    Closed,
    /// It did not come in time.
    Late,
    /// What came is no HTTP.
    Malformed,
    /// No connection could be opened.
    Unreachable(String),
}

impl std::fmt::Display for Silence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed => f.write_str("closed without an answer"),
            Self::Late => write!(f, "no answer within {} s", EXCHANGE_WITHIN.as_secs()),
            Self::Malformed => f.write_str("an answer that is no HTTP"),
            Self::Unreachable(why) => write!(f, "no connection: {why}"),
        }
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
}

impl Stream {
    const fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &stream.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(into),
            Self::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// The way to one server.
pub(super) struct Wire {
    host: String,
    port: u16,
    tls: Option<Tls>,
    kept: Option<Stream>,
}

impl Wire {
    /// The way to the script's server, whose certificate must be one of these.
    ///
    /// # Errors
    /// `Config` when certificates cannot be checked as asked, `Io` when they cannot be read.
    pub(super) fn new(script: &Script, trust: &Trust) -> Result<Self> {
        let (host, port) = script.host_and_port();
        let tls = script.tls.then(|| Tls::new(script, trust, &["http/1.1"])).transpose()?;
        Ok(Self { host: host.into(), port, tls, kept: None })
    }

    /// The answer to a request that leaves its connection usable.
    pub(super) fn ask(&mut self, request: &[u8]) -> std::result::Result<Reply, Silence> {
        // An idle connection may have been closed while nobody looked, which says nothing.
        if let Some(mut stream) = self.kept.take()
            && let Ok(reply) = exchange(&mut stream, request)
        {
            self.kept = (!reply.closes()).then_some(stream);
            return Ok(reply);
        }
        let mut stream = self.open()?;
        let reply = exchange(&mut stream, request)?;
        self.kept = (!reply.closes()).then_some(stream);
        Ok(reply)
    }

    /// Every answer to these bytes, on a connection of their own, until its end.
    pub(super) fn raw(&self, bytes: &[u8]) -> std::result::Result<Vec<Reply>, Silence> {
        let mut stream = self.open()?;
        // A server that refuses early closes while we still write: its answer is there all the
        // same.
        let _ = stream.write_all(bytes).and_then(|()| stream.flush());
        let mut reader = Reader::new(&mut stream);
        let mut replies = vec![reader.reply()?];
        reader.until = Instant::now() + QUIET;
        while replies.len() < 8 && !reader.at_end {
            match reader.reply() {
                Ok(reply) => replies.push(reply),
                Err(Silence::Malformed) => return Err(Silence::Malformed),
                Err(_) => break,
            }
        }
        Ok(replies)
    }

    fn open(&self) -> std::result::Result<Stream, Silence> {
        let unreachable = |e: io::Error| Silence::Unreachable(e.to_string());
        let addresses = (self.host.as_str(), self.port).to_socket_addrs().map_err(unreachable)?;
        let mut last = io::Error::other("the name has no address");
        for address in addresses {
            match TcpStream::connect_timeout(&address, EXCHANGE_WITHIN) {
                Ok(socket) => return self.wrap(socket).map_err(unreachable),
                Err(e) => last = e,
            }
        }
        Err(unreachable(last))
    }

    fn wrap(&self, socket: TcpStream) -> io::Result<Stream> {
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(EXCHANGE_WITHIN))?;
        socket.set_read_timeout(Some(EXCHANGE_WITHIN))?;
        let Some(tls) = &self.tls else { return Ok(Stream::Plain(socket)) };
        let session = tls.session().map_err(io::Error::other)?;
        Ok(Stream::Tls(Box::new(rustls::StreamOwned::new(session, socket))))
    }
}

fn exchange(stream: &mut Stream, request: &[u8]) -> std::result::Result<Reply, Silence> {
    // A server that refuses early closes while we still write: its answer is there all the same.
    let written = stream.write_all(request).and_then(|()| stream.flush());
    match (Reader::new(stream).reply(), written) {
        (Err(Silence::Closed), Err(error)) => Err(silence(&error)),
        (reply, _) => reply,
    }
}

fn silence(error: &io::Error) -> Silence {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Silence::Late,
        _ => Silence::Closed,
    }
}

/// Reads answers off one connection.
struct Reader<'a> {
    stream: &'a mut Stream,
    bytes: Vec<u8>,
    until: Instant,
    at_end: bool,
}

impl<'a> Reader<'a> {
    fn new(stream: &'a mut Stream) -> Self {
        let until = Instant::now() + EXCHANGE_WITHIN;
        Self { stream, bytes: Vec::new(), until, at_end: false }
    }

    /// Reads more; `false` at the end of the connection.
    fn more(&mut self) -> std::result::Result<bool, Silence> {
        if self.at_end {
            return Ok(false);
        }
        if self.bytes.len() > ANSWER_BYTES_MAX {
            return Err(Silence::Malformed);
        }
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Silence::Late);
        }
        self.stream.socket().set_read_timeout(Some(left)).map_err(|e| silence(&e))?;
        let mut piece = [0; 16 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => self.at_end = true,
            Ok(n) => self.bytes.extend_from_slice(&piece[..n]),
            // A reset after the last byte is an end like any other.
            Err(e) if silence(&e) == Silence::Closed => self.at_end = true,
            Err(e) => return Err(silence(&e)),
        }
        Ok(!self.at_end)
    }

    fn reply(&mut self) -> std::result::Result<Reply, Silence> {
        loop {
            let reply = self.one()?;
            if !(100..200).contains(&reply.status) {
                return Ok(reply);
            }
        }
    }

    fn one(&mut self) -> std::result::Result<Reply, Silence> {
        let (mut reply, head) = loop {
            if let Some(found) = parse_head(&self.bytes)? {
                break found;
            }
            if !self.more()? {
                let nothing = self.bytes.is_empty();
                return Err(if nothing { Silence::Closed } else { Silence::Malformed });
            }
        };
        self.bytes.drain(..head);
        let length = reply.header("content-length").and_then(|text| text.parse::<usize>().ok());
        let chunked = reply.all("transfer-encoding").any(|v| v.eq_ignore_ascii_case(b"chunked"));
        reply.body = match (reply.status, chunked, length) {
            (100..200 | 204 | 304, ..) => Vec::new(),
            (_, true, _) => self.chunks()?,
            (_, false, Some(length)) => self.take(length)?,
            (_, false, None) => {
                while self.more()? {}
                std::mem::take(&mut self.bytes)
            }
        };
        Ok(reply)
    }

    fn take(&mut self, length: usize) -> std::result::Result<Vec<u8>, Silence> {
        if length > ANSWER_BYTES_MAX {
            return Err(Silence::Malformed);
        }
        while self.bytes.len() < length {
            if !self.more()? {
                return Err(Silence::Malformed);
            }
        }
        Ok(self.bytes.drain(..length).collect())
    }

    fn line(&mut self) -> std::result::Result<Vec<u8>, Silence> {
        loop {
            if let Some(end) = self.bytes.windows(2).position(|pair| pair == b"\r\n") {
                let mut line = self.take(end + 2)?;
                line.truncate(end);
                return Ok(line);
            }
            if !self.more()? {
                return Err(Silence::Malformed);
            }
        }
    }

    fn chunks(&mut self) -> std::result::Result<Vec<u8>, Silence> {
        let mut body = Vec::new();
        loop {
            let (line, length) = loop {
                match httparse::parse_chunk_size(&self.bytes) {
                    Ok(httparse::Status::Complete(found)) => break found,
                    Ok(httparse::Status::Partial) if self.more()? => {}
                    _ => return Err(Silence::Malformed),
                }
            };
            self.take(line)?;
            let length = usize::try_from(length).map_err(|_| Silence::Malformed)?;
            body.extend(self.take(length)?);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(Silence::Malformed);
            }
            // A chunk ends with an empty line, and the last one with as many trailers as it likes.
            while !self.line()?.is_empty() {
                if length > 0 {
                    return Err(Silence::Malformed);
                }
            }
            if length == 0 {
                return Ok(body);
            }
        }
    }
}

/// The head of an answer and its length, once it is there.
fn parse_head(bytes: &[u8]) -> std::result::Result<Option<(Reply, usize)>, Silence> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut headers);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => {
            let headers = parsed.headers.iter().map(|h| (h.name.to_string(), h.value.to_vec()));
            let status = parsed.code.unwrap_or_default();
            Ok(Some((Reply { status, headers: headers.collect(), body: Vec::new() }, head)))
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err(Silence::Malformed),
    }
}

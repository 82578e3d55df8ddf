//! HTTP/1.1 as bytes on a socket, because no client library sends what attacks need.

mod answers;
mod reply;
mod stream;

use std::io::{self, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::journey::Script;
use crate::transport::{Tls, Trust};

use answers::{Answers, exchange, exchange_ends};
use reply::{TOO_MANY, unlimited};
use stream::{Stream, Timed};

pub(super) use reply::{LIMITED, NO_CONNECTION, Reply, Silence};

/// How long a server that has answered on a connection of its own may keep it open.
const QUIET: Duration = Duration::from_millis(500);
/// Answers that are read on one connection.
const REPLIES_MAX: usize = 8;
/// Requests that are sent before the first of their answers is read, ...
const PIPELINED_MAX: usize = 32;
/// ... and their bytes: what a socket takes in while the server reads none of it.
const PIPELINED_BYTES_MAX: usize = 16 << 10;
/// How often a request is repeated that was answered with a 5xx.
const REPEATS: usize = 2;
/// How long a server may ask to wait (`Retry-After`), and all of its waits together.
const WAIT_MAX: Duration = Duration::from_secs(5);
const WAITS_MAX: Duration = Duration::from_secs(60);
/// The shortest time that the operating system takes for a limit.
const SHORTEST: Duration = Duration::from_millis(1);

/// The way to one server.
///
/// Blocking sockets with a limit of time on every exchange, and on all of them together. A request
/// that may be well formed goes over a kept connection; one that may not be has a connection of its
/// own, which is read to its end. Answers are read by the load generator's reader, strictly and
/// within limits, because a malformed answer is a finding too. Nothing here knows what an
/// attack is.
pub(super) struct Wire {
    host: String,
    port: u16,
    unix_socket: Option<PathBuf>,
    tls: Option<Tls>,
    /// When nothing more is asked.
    ends: Instant,
    kept: Option<Stream>,
    patience: Option<Patience>,
}

/// What a stranger's server is forgiven: a 5xx by chance, and a short limit on requests.
#[derive(Clone, Copy, Debug, Default)]
struct Patience {
    /// How long it has been waited for.
    waited: Duration,
    /// Requests whose repetition had no 5xx.
    mended: usize,
}

impl Wire {
    /// The way to the script's server, whose certificate must be one of these, until `ends`.
    ///
    /// # Errors
    /// `Config` when certificates cannot be checked as asked, `Io` when they cannot be read.
    pub(super) fn new(script: &Script, trust: &Trust, ends: Instant) -> Result<Self> {
        let (host, port) = script.host_and_port();
        let tls = script.tls.then(|| Tls::new(script, trust, &["http/1.1"])).transpose()?;
        let unix_socket = script.unix_socket.clone();
        Ok(Self { host: host.into(), port, unix_socket, tls, ends, kept: None, patience: None })
    }

    /// The same, which repeats a request that is answered with a 5xx, and waits where the server
    /// asks for a short time.
    pub(super) fn patient(self) -> Self {
        Self { patience: Some(Patience::default()), ..self }
    }

    /// How many requests were answered with a 5xx that their repetition did not have.
    pub(super) fn mended(&self) -> usize {
        self.patience.map_or(0, |patience| patience.mended)
    }

    /// The answer to a request that leaves its connection usable.
    pub(super) fn ask(&mut self, request: &[u8]) -> std::result::Result<Reply, Silence> {
        let mut answered = self.ask_once(request);
        for _ in 0..REPEATS {
            match &answered {
                Ok(reply) if reply.status >= 500 && self.patience.is_some() => {
                    let again = self.ask_once(request);
                    let is_mended = again.as_ref().is_ok_and(|reply| reply.status < 500);
                    if let Some(patience) = &mut self.patience {
                        patience.mended += usize::from(is_mended);
                    }
                    answered = again;
                }
                Err(Silence::Limited(after)) if self.waits(*after) => {
                    answered = self.ask_once(request);
                }
                _ => break,
            }
        }
        answered
    }

    /// Waits as long as the server asks for, if that is short.
    fn waits(&mut self, after: Option<Duration>) -> bool {
        let (Some(patience), Some(after)) = (&mut self.patience, after) else { return false };
        let is_short = after <= WAIT_MAX && patience.waited + after <= WAITS_MAX;
        let is_in_time = Instant::now() + after < self.ends;
        if is_short && is_in_time {
            patience.waited += after;
            std::thread::sleep(after);
        }
        is_short && is_in_time
    }

    /// The same, and whatever the answer, the request is not repeated.
    pub(super) fn ask_once(&mut self, request: &[u8]) -> std::result::Result<Reply, Silence> {
        self.time_left()?;
        // An idle connection may have been closed meanwhile, which says nothing about the server.
        if let Some(mut stream) = self.kept.take().filter(Stream::is_quiet) {
            match exchange(&mut stream, request, self.ends) {
                Ok((reply, is_usable)) => {
                    self.kept = is_usable.then_some(stream);
                    return unlimited(reply);
                }
                Err(Silence::Closed) => {}
                Err(silence) => return Err(silence),
            }
        }
        let mut stream = self.open()?;
        let (reply, is_usable) = exchange(&mut stream, request, self.ends)?;
        self.kept = is_usable.then_some(stream);
        unlimited(reply)
    }

    /// The answer to each of these requests, which may be sent before the answer to the one before
    /// has come. What a server leaves unanswered that way is asked again, one by one: it need not
    /// pipeline. So none may change anything.
    pub(super) fn ask_all(
        &mut self,
        requests: &[Vec<u8>],
    ) -> Vec<std::result::Result<Reply, Silence>> {
        let mut replies = Vec::with_capacity(requests.len());
        while let Some(request) = requests.get(replies.len()) {
            let batch = batch(&requests[replies.len()..]);
            let answered = if batch.len() > 1 { self.pipeline(batch) } else { Vec::new() };
            if answered.is_empty() {
                replies.push(self.ask(request));
            }
            for reply in answered {
                let is_final = reply.status < 500 && reply.status != TOO_MANY;
                let request = &requests[replies.len()];
                replies.push(if is_final { Ok(reply) } else { self.ask(request) });
            }
        }
        replies
    }

    /// Sends all of these at once; the answers that came, one for each of the first requests.
    fn pipeline(&mut self, requests: &[Vec<u8>]) -> Vec<Reply> {
        let mut replies = Vec::new();
        if self.time_left().is_err() {
            return replies;
        }
        let kept = self.kept.take().filter(Stream::is_quiet);
        let Some(mut stream) = kept.or_else(|| self.open().ok()) else { return replies };
        stream.timed().until = exchange_ends(self.ends);
        if stream.write_all(&requests.concat()).and_then(|()| stream.flush()).is_err() {
            return replies;
        }
        let mut answers = Answers::new(&mut stream, &requests[0]);
        let mut is_usable = true;
        while is_usable && replies.len() < requests.len() {
            answers.stream.timed().until = exchange_ends(self.ends);
            let Ok((reply, keep_alive)) = answers.next() else { return replies };
            replies.push(reply);
            is_usable = keep_alive;
        }
        // Bytes behind the last answer belong to no request.
        if is_usable && answers.behind.is_empty() {
            self.kept = Some(stream);
        }
        replies
    }

    /// Every answer to these bytes, on a connection of their own, until its end.
    pub(super) fn raw(&self, bytes: &[u8]) -> std::result::Result<Vec<Reply>, Silence> {
        self.time_left()?;
        let mut stream = self.open()?;
        // A server that refuses early closes while we still write: its answer has arrived
        // anyway.
        let _ = stream.write_all(bytes).and_then(|()| stream.flush());
        stream.timed().until = exchange_ends(self.ends);
        let mut answers = Answers::new(&mut stream, bytes);
        let mut replies = vec![unlimited(answers.next()?.0)?];
        answers.stream.timed().until = self.ends.min(Instant::now() + QUIET);
        while replies.len() < REPLIES_MAX && !answers.at_end {
            match answers.next() {
                Ok((reply, _)) => replies.push(reply),
                Err(silence @ (Silence::Malformed | Silence::Over(_))) => return Err(silence),
                Err(_) => break,
            }
        }
        Ok(replies)
    }

    fn time_left(&self) -> std::result::Result<(), Silence> {
        if Instant::now() >= self.ends { Err(Silence::TimeUp) } else { Ok(()) }
    }

    fn open(&self) -> std::result::Result<Stream, Silence> {
        let unreachable = |e: io::Error| Silence::Unreachable(e.to_string());
        let until = exchange_ends(self.ends);
        if let Some(path) = &self.unix_socket {
            let socket = UnixStream::connect(path).map_err(unreachable)?;
            return self.wrap(socket.into(), until).map_err(unreachable);
        }
        let addresses = (self.host.as_str(), self.port).to_socket_addrs().map_err(unreachable)?;
        let mut last = io::Error::other("the name has no address");
        for address in addresses {
            let left = until.saturating_duration_since(Instant::now()).max(SHORTEST);
            match TcpStream::connect_timeout(&address, left) {
                Ok(socket) => {
                    let ready = socket.set_nodelay(true).map(|()| socket.into());
                    return ready.and_then(|it| self.wrap(it, until)).map_err(unreachable);
                }
                Err(e) => last = e,
            }
        }
        Err(unreachable(last))
    }

    fn wrap(&self, socket: OwnedFd, until: Instant) -> io::Result<Stream> {
        let timed = Timed { socket, until };
        let Some(tls) = &self.tls else { return Ok(Stream::Plain(timed)) };
        let session = tls.session().map_err(io::Error::other)?;
        Ok(Stream::Tls(Box::new(rustls::StreamOwned::new(session, timed))))
    }
}

/// The first of these requests that may be sent at once: all of them idempotent, since a server may
/// close after any.
fn batch(requests: &[Vec<u8>]) -> &[Vec<u8>] {
    let mut bytes = 0;
    let fits = |request: &&Vec<u8>| {
        bytes += request.len();
        bytes <= PIPELINED_BYTES_MAX && request.starts_with(b"GET ")
    };
    let count = requests.iter().take(PIPELINED_MAX).take_while(fits).count();
    &requests[..count]
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;
    use std::thread::{JoinHandle, spawn};

    use servers::contract::Target;

    use super::*;

    /// A server that answers so many requests of every connection and closes it; how many
    /// connections it took for `requests`.
    fn server(per_connection: usize, requests: usize) -> (u16, JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serve = move || {
            let (mut answered, mut connections) = (0, 0);
            while answered < requests {
                let (mut stream, _) = listener.accept().unwrap();
                connections += 1;
                let mut bytes = Vec::new();
                let mut here = 0;
                while here < per_connection {
                    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
                    let Some(end) = end else {
                        let mut piece = [0; 4096];
                        let read = stream.read(&mut piece).unwrap_or(0);
                        if read == 0 {
                            break;
                        }
                        bytes.extend_from_slice(&piece[..read]);
                        continue;
                    };
                    let request = String::from_utf8(bytes.drain(..end + 4).collect()).unwrap();
                    let path = request.split(' ').nth(1).unwrap();
                    let length = path.len();
                    let reply = format!("HTTP/1.1 401 X\r\nContent-Length: {length}\r\n\r\n{path}");
                    stream.write_all(reply.as_bytes()).unwrap();
                    here += 1;
                    answered += 1;
                    if answered == requests {
                        break;
                    }
                }
            }
            connections
        };
        (port, spawn(serve))
    }

    fn wire(port: u16) -> Wire {
        let text = format!(
            "name = 't'\nbase_url = 'http://127.0.0.1:{port}'\n[journeys.browse]\n\
             steps = [{{ name = 'me', path = '/me' }}]\n"
        );
        let target: Target = toml::from_str(&text).unwrap();
        let script = Script::new(&target, "browse").unwrap();
        let ends = Instant::now() + Duration::from_secs(600);
        Wire::new(&script, &Trust::System, ends).unwrap()
    }

    #[test]
    fn every_request_gets_its_own_answer_however_early_the_server_closes() {
        let requests: Vec<_> = (0..200)
            .map(|n| format!("GET /{n} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes())
            .collect();
        for (per_connection, connections_max) in [(1, 200), (7, 200), (usize::MAX, 1)] {
            let (port, server) = server(per_connection, requests.len());
            let replies = wire(port).ask_all(&requests);
            assert_eq!(replies.len(), requests.len());
            for (n, reply) in replies.into_iter().enumerate() {
                let reply = reply.unwrap();
                assert_eq!((reply.status, reply.body), (401, format!("/{n}").into_bytes()));
            }
            assert!(server.join().unwrap() <= connections_max, "{per_connection}");
        }
    }

    #[test]
    fn only_what_changes_nothing_and_fits_is_sent_at_once() {
        let get = |bytes: usize| [b"GET ".to_vec(), vec![b'x'; bytes - 4]].concat();
        assert_eq!(batch(&vec![get(10); 100]).len(), PIPELINED_MAX);
        assert_eq!(batch(&vec![get(PIPELINED_BYTES_MAX / 2); 5]).len(), 2);
        assert_eq!(batch(&vec![get(PIPELINED_BYTES_MAX + 1); 5]).len(), 0);
        assert_eq!(batch(&[get(10), b"POST / HTTP/1.1".to_vec(), get(10)]).len(), 1);
    }
}

//! A server that writes down when each request arrived: the witness of an open load.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::placement::pin;
use crate::error::{Error, Result};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const REQUEST_END: &[u8] = b"\r\n\r\n";
/// How often a connection that is idle looks whether the log is closed.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A request that arrived.
///
/// It shares nothing with the generator but the machine's clock: a thread per connection, blocking
/// sockets of the standard library, and the number that each request has in its path. It answers
/// at once, and is no arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The number in its path, `/NUMBER`; `None` for a path without one.
    pub number: Option<u64>,
    /// When its last byte was read, ns after the start of the log.
    pub at_ns: u64,
}

/// A running log.
#[derive(Debug)]
pub struct ArrivalLog {
    address: SocketAddr,
    closed: Arc<AtomicBool>,
    accepting: JoinHandle<Vec<Arrival>>,
}

impl ArrivalLog {
    /// Starts it on a free loopback port, on these cores (none: anywhere).
    ///
    /// # Errors
    /// `Config` when this machine gives no port or thread for it.
    pub fn start(cores: &[usize]) -> Result<Self> {
        let refused = |e: std::io::Error| Error::Config(format!("no log of arrivals: {e}"));
        let listener = TcpListener::bind("127.0.0.1:0").map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let closed = Arc::new(AtomicBool::new(false));
        let (cores, until) = (cores.to_vec(), Arc::clone(&closed));
        let accepting = thread::Builder::new()
            .spawn(move || {
                pin(&cores);
                accept(&listener, &until)
            })
            .map_err(refused)?;
        Ok(Self { address, closed, accepting })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the log: all arrivals, in no order.
    ///
    /// # Errors
    /// `Bug` when one of its threads has panicked.
    pub fn close(self) -> Result<Vec<Arrival>> {
        self.closed.store(true, Ordering::Relaxed);
        // It may be waiting for a connection.
        drop(TcpStream::connect(self.address));
        self.accepting.join().map_err(|_| Error::Bug("the log of arrivals has panicked".into()))
    }
}

fn accept(listener: &TcpListener, closed: &Arc<AtomicBool>) -> Vec<Arrival> {
    let start = Instant::now();
    let mut readers = Vec::new();
    while !closed.load(Ordering::Relaxed) {
        // A client that cannot be accepted finds out by itself.
        if let Ok((stream, _)) = listener.accept() {
            let closed = Arc::clone(closed);
            readers.push(thread::spawn(move || read(stream, start, &closed)));
        }
    }
    readers.into_iter().flat_map(|reader| reader.join().unwrap_or_default()).collect()
}

fn read(mut stream: TcpStream, start: Instant, closed: &AtomicBool) -> Vec<Arrival> {
    let mut arrivals = Vec::new();
    let prepared =
        stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(LOOK_EVERY)));
    if prepared.is_err() {
        return arrivals;
    }
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = match stream.read(&mut piece) {
            Ok(0) => return arrivals,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if closed.load(Ordering::Relaxed) {
                    return arrivals;
                }
                continue;
            }
            Err(_) => return arrivals,
        };
        let at_ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        bytes.extend_from_slice(&piece[..read]);
        while let Some(end) = bytes.windows(REQUEST_END.len()).position(|w| w == REQUEST_END) {
            arrivals.push(Arrival { number: number(&bytes[..end]), at_ns });
            bytes.drain(..end + REQUEST_END.len());
            if stream.write_all(ANSWER).is_err() {
                return arrivals;
            }
        }
    }
}

/// The number in the path of a request's head.
fn number(head: &[u8]) -> Option<u64> {
    let line = std::str::from_utf8(head).ok()?.lines().next()?;
    line.split(' ').nth(1)?.strip_prefix('/')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_logged_once_with_its_number_however_it_is_cut() {
        let log = ArrivalLog::start(&[]).unwrap();
        let mut stream = TcpStream::connect(log.address()).unwrap();
        for part in
            ["GET /7 HTTP/1.1\r\nHost: x\r", "\n\r", "\nGET /8 HTTP/1.1\r\n\r\nGET /x H\r\n\r\n"]
        {
            stream.write_all(part.as_bytes()).unwrap();
            thread::sleep(Duration::from_millis(5));
        }
        let mut answers = vec![0; ANSWER.len() * 3];
        stream.read_exact(&mut answers).unwrap();
        assert_eq!(answers, ANSWER.repeat(3));
        let arrivals = log.close().unwrap();
        let numbers: Vec<_> = arrivals.iter().map(|arrival| arrival.number).collect();
        assert_eq!(numbers, [Some(7), Some(8), None]);
        assert!(arrivals.is_sorted_by_key(|arrival| arrival.at_ns));
    }
}

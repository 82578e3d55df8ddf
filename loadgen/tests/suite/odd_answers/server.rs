//! A server that gives one odd answer, to the first request of all, and right ones from then on.

use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::sockets::read_request;

/// What a right answer has for a body.
pub(super) const RIGHT: &str = "{\"user_id\":0}";

/// What happens after the odd answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The connection waits for the next request.
    Waits,
    /// The server closes it.
    Closes,
    /// The server resets it.
    Resets,
    /// The answer is sent again, as a piece of its own.
    Repeats,
}

/// When the odd answer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// When the first request has come.
    Asked,
    /// A byte at a time, when the first request has come.
    Dripping,
    /// As soon as the first connection is open.
    Unasked,
}

/// The odd answer.
#[derive(Clone, Debug)]
pub(super) struct Odd {
    pub(super) bytes: Vec<u8>,
    pub(super) when: When,
    pub(super) then: Then,
}

/// A server, and the connection that each request came on.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<usize>>>,
}

impl Server {
    /// The connections that requests came on, in the order of the requests.
    pub(super) fn seen(&self) -> Vec<usize> {
        self.seen.lock().unwrap().clone()
    }
}

pub(super) fn server(odd: Odd) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::<Mutex<Vec<usize>>>::default();
    let kept = Arc::clone(&seen);
    thread::spawn(move || {
        let asked = Arc::new(AtomicUsize::new(0));
        for (connection, socket) in listener.incoming().flatten().enumerate() {
            let (odd, seen, asked) = (odd.clone(), Arc::clone(&kept), Arc::clone(&asked));
            // A client that has gone reads nothing any more.
            thread::spawn(move || drop(converse(socket, connection, &odd, &seen, &asked)));
        }
    });
    Server { address, seen }
}

fn converse(
    mut socket: TcpStream,
    connection: usize,
    odd: &Odd,
    seen: &Mutex<Vec<usize>>,
    asked: &AtomicUsize,
) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    if odd.when == When::Unasked && connection == 0 {
        socket.write_all(&odd.bytes)?;
    }
    let right = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{RIGHT}", RIGHT.len());
    let mut reader = BufReader::new(socket.try_clone()?);
    while let Some(request) = read_request(&mut reader) {
        seen.lock().unwrap().push(connection);
        let is_first = asked.fetch_add(1, Ordering::SeqCst) == 0;
        if !is_first || odd.when == When::Unasked {
            let is_head = request.line.starts_with("HEAD ");
            let end = right.len() - if is_head { RIGHT.len() } else { 0 };
            socket.write_all(&right.as_bytes()[..end])?;
            continue;
        }
        let piece = if odd.when == When::Dripping { 1 } else { odd.bytes.len().max(1) };
        odd.bytes.chunks(piece).try_for_each(|piece| socket.write_all(piece))?;
        match odd.then {
            Then::Waits => {}
            Then::Closes => return Ok(()),
            Then::Resets => {
                rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
                return Ok(());
            }
            Then::Repeats => {
                // Long enough for a reader to have taken in the first, mostly.
                thread::sleep(Duration::from_millis(5));
                socket.write_all(&odd.bytes)?;
            }
        }
    }
    Ok(())
}

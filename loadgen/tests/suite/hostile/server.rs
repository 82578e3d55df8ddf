//! A server that does to a client what no sound one does: a mode for each way.
//!
//! A connection has a thread, which ends when its client is gone; what is endless ends with that.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

/// What a server does with a connection.
#[derive(Clone, Debug)]
pub(super) enum Mode {
    /// Answers every request so.
    Answers(String),
    /// Sends the first once and the second without end, as fast as it goes.
    Endless(String, String),
    /// Sends the first at once and the second a byte per second.
    Drips(String, String),
    /// Sends this and stays silent.
    Stops(Vec<u8>),
    /// Sends this and resets the connection.
    Resets(String),
    /// Sends this and closes the connection.
    Closes(String),
    /// Resets a connection as soon as it is there.
    ResetsAtOnce,
    /// Closes a connection as soon as it is there.
    ClosesAtOnce,
    /// Sends this as soon as a connection is there, and reads no request.
    AnswersUnasked(String),
    /// Logs users in soundly and answers them, and does to everybody else what this mode says.
    Sound(Box<Mode>),
    /// The same, with these credentials of the two users.
    Gives([String; 2], Box<Mode>),
    /// Does what the first mode says where a request has no credential, and else what the second.
    Bare(Box<Mode>, Box<Mode>),
    /// Gives every answer of this mode twice.
    Twice(Box<Mode>),
}

/// Starts a server; where it listens.
pub(super) fn server(mode: Mode) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let started = Arc::new(Barrier::new(2));
    let (mode, ready) = (Arc::new(mode), Arc::clone(&started));
    thread::spawn(move || {
        ready.wait();
        for socket in listener.incoming().flatten() {
            let mode = Arc::clone(&mode);
            // What cannot be written any more has nobody who reads it.
            thread::spawn(move || drop(converse(socket, &mode)));
        }
    });
    started.wait();
    address
}

fn converse(mut socket: TcpStream, mode: &Mode) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    match mode {
        Mode::ResetsAtOnce => return reset(&socket),
        Mode::ClosesAtOnce => return Ok(()),
        Mode::AnswersUnasked(text) => {
            socket.write_all(text.as_bytes())?;
            return drain(socket);
        }
        _ => {}
    }
    let mut reader = BufReader::new(socket.try_clone()?);
    while let Some(request) = read_request(&mut reader) {
        if !answer(&mut socket, mode, &request)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Answers a request; whether the connection goes on.
fn answer(socket: &mut TcpStream, mode: &Mode, request: &str) -> std::io::Result<bool> {
    if let Some(text) = whole(mode, request) {
        return socket.write_all(text.as_bytes()).map(|()| true);
    }
    match mode {
        Mode::Endless(first, again) => {
            socket.write_all(first.as_bytes())?;
            let many = again.repeat((32 << 10) / again.len() + 1);
            loop {
                socket.write_all(many.as_bytes())?;
            }
        }
        Mode::Drips(first, then) => {
            socket.write_all(first.as_bytes())?;
            for byte in then.bytes() {
                socket.write_all(&[byte])?;
                thread::sleep(Duration::from_secs(1));
            }
            Ok(true)
        }
        Mode::Stops(bytes) => {
            socket.write_all(bytes)?;
            Ok(true)
        }
        Mode::Resets(text) => {
            socket.write_all(text.as_bytes())?;
            reset(socket).map(|()| false)
        }
        Mode::Closes(text) => socket.write_all(text.as_bytes()).map(|()| false),
        Mode::Sound(otherwise) | Mode::Gives(_, otherwise) => answer(socket, otherwise, request),
        Mode::Bare(bare, otherwise) => {
            let mode = if request.contains("sid=") { otherwise } else { bare };
            answer(socket, mode, request)
        }
        _ => Ok(false),
    }
}

/// The answer of a mode that has one from its first byte to its last.
fn whole(mode: &Mode, request: &str) -> Option<String> {
    match mode {
        Mode::Answers(text) => Some(text.clone()),
        Mode::Sound(otherwise) => {
            let credentials = ["0", "1"].map(|user| format!("session-of-user-{user}"));
            sound(&credentials, request).or_else(|| whole(otherwise, request))
        }
        Mode::Gives(credentials, otherwise) => {
            sound(credentials, request).or_else(|| whole(otherwise, request))
        }
        Mode::Twice(mode) => whole(mode, request).map(|text| text.repeat(2)),
        _ => None,
    }
}

/// What a sound server answers a right login, and a user whom it knows.
fn sound(credentials: &[String; 2], request: &str) -> Option<String> {
    let (user, credential) = credentials.iter().enumerate().find(|(user, credential)| {
        let shown = request.contains(&format!("Cookie: sid={credential}\r\n"))
            || request.contains(&format!("X-Token: {credential}\r\n"));
        shown || request.contains(&format!("\"user-{user}\""))
    })?;
    let set = if request.starts_with("POST /login ") {
        format!("Set-Cookie: sid={credential}\r\n")
    } else {
        String::new()
    };
    let body = format!("{{\"user\":\"{user}\"}}");
    Some(format!("HTTP/1.1 200 OK\r\n{set}Content-Length: {}\r\n\r\n{body}", body.len()))
}

/// Closes a connection with a reset.
fn reset(socket: &TcpStream) -> std::io::Result<()> {
    rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO))?;
    Ok(())
}

/// Reads until the other side has gone.
fn drain(mut socket: TcpStream) -> std::io::Result<()> {
    std::io::copy(&mut socket, &mut std::io::sink()).map(|_| ())
}

/// Reads a request, head and body; `None` at the end of the connection.
fn read_request(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let (mut text, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if !matches!(reader.read_line(&mut line), Ok(1..)) {
            return None;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        text.push_str(&line);
        if line.trim_end().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(text + &String::from_utf8_lossy(&body))
}

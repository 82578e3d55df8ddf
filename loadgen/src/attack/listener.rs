//! A listener of the attacker's, which a sound server never connects to. A token may name an
//! address for its key. A server that fetches a key from there lets an attacker choose its
//! connections, so the listener counts them, and answers none.

use std::net::TcpListener;
use std::time::Duration;

use crate::error::{Error, Result};

/// How long to wait for a server to connect.
const PATIENCE: Duration = Duration::from_millis(150);

pub(super) struct Listener(TcpListener);

impl Listener {
    /// Listens on a free port of the loopback.
    ///
    /// # Errors
    /// `Config` if no port is free.
    pub(super) fn new() -> Result<Self> {
        let refused = |e| Error::Config(format!("no listener to be called at: {e}"));
        let listener = TcpListener::bind("127.0.0.1:0").map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        Ok(Self(listener))
    }

    /// The URL of a file on it.
    pub(super) fn url(&self, path: &str) -> String {
        let port = self.0.local_addr().map_or(0, |address| address.port());
        format!("http://127.0.0.1:{port}/{path}")
    }

    /// How many connections came.
    pub(super) fn connections(&self) -> usize {
        std::thread::sleep(PATIENCE);
        std::iter::from_fn(|| self.0.accept().ok()).count()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn whoever_comes_is_counted() {
        let listener = Listener::new().unwrap();
        assert_eq!(listener.connections(), 0);
        let address = listener.url("x").trim_start_matches("http://").replace("/x", "");
        let held: Vec<_> = (0..3).map(|_| TcpStream::connect(&address).unwrap()).collect();
        assert_eq!(listener.connections(), 3);
        drop(held);
    }
}

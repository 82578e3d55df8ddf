//! Which address of a server is spoken to, where its name has several.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use crate::error::{Error, Result};

/// How long an address has before the next is tried as well (RFC 8305, 5).
const HEAD_START: Duration = Duration::from_millis(250);
/// How long a connection may take to open.
const OPEN_WITHIN: Duration = Duration::from_secs(5);

/// The addresses of a server, the best first.
///
/// A name such as `localhost` may have an address of each family, and a server that listens on one
/// of them. The first that accepts a connection is kept for the whole run, by every clone of this,
/// so that all requests go to one server. A server of one address is asked nothing.
#[derive(Clone, Debug)]
pub struct Addresses {
    all: Vec<SocketAddr>,
    chosen: Arc<OnceLock<SocketAddr>>,
}

impl Addresses {
    /// These addresses; `None` for an empty list.
    pub fn new(all: Vec<SocketAddr>) -> Option<Self> {
        (!all.is_empty()).then(|| Self { all, chosen: Arc::default() })
    }

    /// The addresses of a host, an IPv6 address without its brackets.
    ///
    /// # Errors
    /// `Target` when its name has none.
    pub fn of(host: &str, port: u16) -> Result<Self> {
        let all = (host, port).to_socket_addrs().ok();
        all.and_then(|all| Self::new(all.collect()))
            .ok_or_else(|| Error::Target(format!("the host `{host}` has no address")))
    }

    /// The one that is spoken to. Where none accepts a connection it is the first, so that a load
    /// says how that failed.
    pub fn chosen(&self) -> SocketAddr {
        if let [only] = self.all[..] {
            return only;
        }
        *self.chosen.get_or_init(|| first_to_accept(&self.all).unwrap_or(self.all[0]))
    }
}

fn first_to_accept(all: &[SocketAddr]) -> Option<SocketAddr> {
    let (tell, heard) = mpsc::channel();
    let mut pending = 0;
    for &address in all {
        let tell = tell.clone();
        thread::spawn(move || {
            let accepts = TcpStream::connect_timeout(&address, OPEN_WITHIN).is_ok();
            // The receiver is gone when another address was faster.
            let _ = tell.send((address, accepts));
        });
        pending += 1;
        match heard.recv_timeout(HEAD_START) {
            Ok((address, true)) => return Some(address),
            Ok(_) => pending -= 1,
            Err(_) => {}
        }
    }
    let rest = heard.iter().take(pending);
    rest.filter(|(_, accepts)| *accepts).map(|(address, _)| address).next()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_first_address_that_accepts_is_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = listener.local_addr().unwrap();
        let deaf = SocketAddr::from(([127, 0, 0, 2], there.port()));
        let addresses = Addresses::new(vec![deaf, there]).unwrap();
        let other = addresses.clone();
        assert_eq!(addresses.chosen(), there);
        drop(listener);
        assert_eq!(other.chosen(), there, "remembered by every clone");
        assert_eq!(Addresses::new(vec![deaf, there]).unwrap().chosen(), deaf, "neither accepts");
        assert!(Addresses::new(vec![]).is_none());
    }
}

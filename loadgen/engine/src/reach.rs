//! Which address of a server is spoken to, where its name has several.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::journey::Script;
use crate::transport::Place;

/// How long an address has before the next is tried as well (RFC 8305, 5).
const HEAD_START: Duration = Duration::from_millis(250);
/// How long a connection may take to open.
const OPEN_WITHIN: Duration = Duration::from_secs(5);

/// Bytes that the path of a Unix socket may have (unix(7)).
const UNIX_PATH_MAX: usize = 107;

/// The addresses of a server, the best first.
///
/// A name such as `localhost` may have an address of each family, and a server that listens on one
/// of them. The first that accepts a connection is kept for the whole run, by every clone of this,
/// so that all requests go to one server. A server of one address is asked nothing.
#[derive(Clone, Debug)]
pub struct Addresses {
    all: All,
    chosen: Arc<OnceLock<SocketAddr>>,
}

#[derive(Clone, Debug)]
enum All {
    Tcp(Vec<SocketAddr>),
    Unix(Arc<Path>),
}

impl Addresses {
    /// These addresses; `None` for an empty list.
    pub fn new(all: Vec<SocketAddr>) -> Option<Self> {
        (!all.is_empty()).then(|| Self { all: All::Tcp(all), chosen: Arc::default() })
    }

    /// The Unix socket at this path, where nothing may be as long as the server does not run.
    ///
    /// # Errors
    /// `Config` when something else is there, or the path is too long for a socket.
    pub fn unix(path: &Path) -> Result<Self> {
        let refuse = |found: String| {
            Err(Error::Config(format!(
                "expected the path of a Unix socket, found {found}: {}",
                path.display()
            )))
        };
        if path.as_os_str().len() > UNIX_PATH_MAX {
            return refuse(format!("one of more than {UNIX_PATH_MAX} bytes"));
        }
        match std::fs::metadata(path).map(|found| found.file_type()) {
            Ok(found) if found.is_dir() => refuse("a folder".into()),
            Ok(found) if !found.is_socket() => refuse("another kind of file".into()),
            _ => Ok(Self { all: All::Unix(path.into()), chosen: Arc::default() }),
        }
    }

    /// Where a target is: at its Unix socket if it has one, else at its host.
    ///
    /// # Errors
    /// As [`Addresses::unix`] and [`Addresses::of`].
    pub fn of_target(script: &Script) -> Result<Self> {
        let (host, port) = script.host_and_port();
        script.unix_socket.as_deref().map_or_else(|| Self::of(host, port), Self::unix)
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
    pub fn chosen(&self) -> Place {
        let all = match &self.all {
            All::Unix(path) => return Place::Socket(Arc::clone(path)),
            All::Tcp(all) => all,
        };
        let address = || first_to_accept(all).unwrap_or(all[0]);
        Place::Address(if let [only] = all[..] { only } else { *self.chosen.get_or_init(address) })
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
        let place = Place::Address;
        assert_eq!(addresses.chosen(), place(there));
        drop(listener);
        assert_eq!(other.chosen(), place(there), "remembered by every clone");
        let neither = Addresses::new(vec![deaf, there]).unwrap();
        assert_eq!(neither.chosen(), place(deaf), "neither accepts");
        assert!(Addresses::new(vec![]).is_none());
    }
}

//! Sockets that connect without waiting, from as many loopback addresses as they need.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    self, AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt,
};

use super::Place;

/// Source addresses that are tried, the system's choice and 127.0.0.2 onwards.
const SOURCES_MAX: u8 = 250;

/// A socket of any family that is connecting or connected.
pub(super) struct Socket(OwnedFd);

impl Socket {
    /// Why it could not connect, where it could not.
    pub(super) fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(sockopt::socket_error(&self.0)?.err().map(io::Error::from))
    }

    /// Whether it is connected by now.
    pub(super) fn is_connected(&self) -> io::Result<bool> {
        match net::getpeername(&self.0) {
            Ok(_) => Ok(true),
            Err(Errno::NOTCONN) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Ok(net::recv(&self.0, into, RecvFlags::empty())?.0)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(net::send(&self.0, bytes, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How long a server with a full backlog may take to accept a connection on a Unix socket, which
/// knows no connecting without waiting.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(1);

/// Opens connections to one place.
///
/// A connection is told apart by both addresses and both ports, so one source address has as many
/// connections to a server as there are local ports. On loopback all of 127.0.0.0/8 is ours: when
/// the ports of one address run out, the next address is taken.
pub(super) struct Dialer {
    place: Place,
    /// How many loopback addresses have run out of ports.
    exhausted: u8,
}

impl Dialer {
    pub(super) const fn new(place: Place) -> Self {
        Self { place, exhausted: 0 }
    }

    /// A socket that is connecting.
    pub(super) fn dial(&mut self) -> io::Result<Socket> {
        loop {
            let dialled = match &self.place {
                Place::Address(address) => self.dial_from_current(*address),
                Place::Socket(path) => dial_path(path),
            };
            match dialled {
                Err(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE) if self.has_another() => {
                    self.exhausted += 1;
                }
                result => return Ok(result?),
            }
        }
    }

    fn has_another(&self) -> bool {
        let Place::Address(address) = &self.place else { return false };
        self.exhausted < SOURCES_MAX && matches!(address.ip(), IpAddr::V4(ip) if ip.is_loopback())
    }

    fn dial_from_current(&self, address: SocketAddr) -> Result<Socket, Errno> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
        // Without it a request in two writes would wait for the server's delayed acknowledgement.
        sockopt::set_tcp_nodelay(&socket, true)?;
        if address.ip().is_loopback() {
            // Nothing is congested there, and a system's choice may cost more for every segment, as
            // one that paces does. Where it is refused, the system's remains.
            let _ = sockopt::set_tcp_congestion(&socket, "reno");
        }
        if self.exhausted > 0 {
            let source = Ipv4Addr::new(127, 0, 0, 1 + self.exhausted);
            net::bind(&socket, &SocketAddr::from((source, 0)))?;
        }
        match net::connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(Socket(socket)),
            Err(error) => Err(error),
        }
    }
}

/// A connection to the server that listens at a path.
fn dial_path(path: &Path) -> Result<Socket, Errno> {
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::CLOEXEC;
    let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let within = Some(ACCEPTED_WITHIN);
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, within)?;
    net::connect(&socket, &address)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(Socket(socket))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Fault 5: another source has ports of its own.
    #[test]
    fn when_ports_run_out_the_next_loopback_address_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut dialer = Dialer::new(Place::Address(listener.local_addr().unwrap()));
        let mut source_of_next = || {
            let _ours = dialer.dial().unwrap();
            dialer.exhausted += 1;
            listener.accept().unwrap().1.ip().to_string()
        };
        assert_eq!(source_of_next(), "127.0.0.1");
        assert_eq!(source_of_next(), "127.0.0.2");
        assert_eq!(source_of_next(), "127.0.0.3");
    }

    #[test]
    fn on_loopback_congestion_control_is_the_simplest() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut dialer = Dialer::new(Place::Address(listener.local_addr().unwrap()));
        let socket = dialer.dial().unwrap();
        assert_eq!(sockopt::tcp_congestion(&socket).unwrap(), "reno");
    }

    /// Fault 5: elsewhere there is no other source.
    #[test]
    fn beyond_loopback_there_is_one_address() {
        let place = |text: &str| Place::Address(text.parse().unwrap());
        let mut dialer = Dialer::new(place("127.0.0.1:1"));
        assert!(dialer.has_another());
        dialer.exhausted = SOURCES_MAX;
        assert!(!dialer.has_another());
        for other in ["192.0.2.1:80", "[::1]:80"] {
            assert!(!Dialer::new(place(other)).has_another(), "{other}");
        }
        assert!(!Dialer::new(Place::Socket(Path::new("/s").into())).has_another());
    }
}

//! Sockets that connect without waiting, from as many loopback addresses as they need.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};

/// Source addresses that are tried, the system's choice and 127.0.0.2 onwards.
const SOURCES_MAX: u8 = 250;

/// Opens connections to one address.
///
/// A connection is told apart by both addresses and both ports, so one source address has as many
/// connections to a server as there are local ports. On loopback all of 127.0.0.0/8 is ours: when
/// the ports of one address run out, the next address is taken.
pub(super) struct Dialer {
    address: SocketAddr,
    /// How many loopback addresses have run out of ports.
    exhausted: u8,
}

impl Dialer {
    pub(super) const fn new(address: SocketAddr) -> Self {
        Self { address, exhausted: 0 }
    }

    /// A socket that is connecting.
    pub(super) fn dial(&mut self) -> io::Result<TcpStream> {
        loop {
            match self.dial_from_current() {
                Err(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE) if self.has_another() => {
                    self.exhausted += 1;
                }
                result => return Ok(result?),
            }
        }
    }

    fn has_another(&self) -> bool {
        self.exhausted < SOURCES_MAX
            && matches!(self.address.ip(), IpAddr::V4(ip) if ip.is_loopback())
    }

    fn dial_from_current(&self) -> Result<TcpStream, Errno> {
        let family = match self.address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
        // Without it a request in two writes would wait for the server's delayed acknowledgement.
        sockopt::set_tcp_nodelay(&socket, true)?;
        if self.exhausted > 0 {
            let source = Ipv4Addr::new(127, 0, 0, 1 + self.exhausted);
            net::bind(&socket, &SocketAddr::from((source, 0)))?;
        }
        match net::connect(&socket, &self.address) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Fault 5: another source has ports of its own.
    #[test]
    fn when_ports_run_out_the_next_loopback_address_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut dialer = Dialer::new(listener.local_addr().unwrap());
        let mut source_of_next = || {
            let _ours = dialer.dial().unwrap();
            dialer.exhausted += 1;
            listener.accept().unwrap().1.ip().to_string()
        };
        assert_eq!(source_of_next(), "127.0.0.1");
        assert_eq!(source_of_next(), "127.0.0.2");
        assert_eq!(source_of_next(), "127.0.0.3");
    }

    /// Fault 5: elsewhere there is no other source.
    #[test]
    fn beyond_loopback_there_is_one_address() {
        let mut dialer = Dialer::new("127.0.0.1:1".parse().unwrap());
        assert!(dialer.has_another());
        dialer.exhausted = SOURCES_MAX;
        assert!(!dialer.has_another());
        for other in ["192.0.2.1:80", "[::1]:80"] {
            assert!(!Dialer::new(other.parse().unwrap()).has_another(), "{other}");
        }
    }
}

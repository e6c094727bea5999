//! Ports of the host, held by sockets that nobody listens on: so no program of the host gets a port that is published, and none that a
//! program has is published.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, socket_with, sockopt};

use crate::ports::{PortMapping, Protocol};

/// Why a port cannot be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotHeld {
    /// Somebody has it.
    InUse,
    /// The host has no such address.
    NoAddress,
    /// Something else.
    Failed(sys::Errno),
}

/// Binds the port, and nothing more. None for a protocol that this kernel has no sockets of: then nobody has it.
pub(crate) fn hold(port: &PortMapping) -> Result<Option<OwnedFd>, NotHeld> {
    let address = port.host_ip.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    let outcome = match hold_at(port, address) {
        // A kernel without IPv6, or with IPv6 switched off.
        Err(rustix::io::Errno::AFNOSUPPORT | rustix::io::Errno::ADDRNOTAVAIL) if port.host_ip.is_none() => {
            hold_at(port, IpAddr::V4(Ipv4Addr::UNSPECIFIED))
        }
        outcome => outcome,
    };
    outcome.or_else(|errno| match errno {
        rustix::io::Errno::PROTONOSUPPORT | rustix::io::Errno::SOCKTNOSUPPORT => Ok(None),
        rustix::io::Errno::ADDRINUSE => Err(NotHeld::InUse),
        rustix::io::Errno::ADDRNOTAVAIL => Err(NotHeld::NoAddress),
        errno => Err(NotHeld::Failed(errno.into())),
    })
}

fn hold_at(port: &PortMapping, address: IpAddr) -> Result<Option<OwnedFd>, rustix::io::Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let (kind, protocol) = match port.protocol {
        Protocol::Tcp => (SocketType::STREAM, None),
        Protocol::Udp => (SocketType::DGRAM, None),
        Protocol::Sctp => (SocketType::STREAM, Some(ipproto::SCTP)),
    };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, protocol)?;
    if !address.is_ipv4() {
        // Without an address of its own it is for IPv4, too.
        sockopt::set_ipv6_v6only(&socket, port.host_ip.is_some())?;
    }
    let place = SocketAddr::new(address, port.host_port);
    match bind(&socket, &place) {
        // Connections that are over keep their ports for a minute, which is nobody's use. For UDP the option means something else.
        Err(rustix::io::Errno::ADDRINUSE) if port.protocol == Protocol::Tcp => {
            sockopt::set_socket_reuseaddr(&socket, true)?;
            bind(&socket, &place)?;
        }
        outcome => outcome?,
    }
    Ok(Some(socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_somebody_listens_on_is_not_held() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = |host_ip: Option<&str>, protocol| PortMapping {
            host_ip: host_ip.map(|address| address.parse().unwrap()),
            host_port: listener.local_addr().unwrap().port(),
            container_port: 1,
            protocol,
        };
        assert_eq!(hold(&port(Some("127.0.0.1"), Protocol::Tcp)).unwrap_err(), NotHeld::InUse);
        assert_eq!(hold(&port(None, Protocol::Tcp)).unwrap_err(), NotHeld::InUse);
        assert_eq!(hold(&port(Some("192.0.2.77"), Protocol::Tcp)).unwrap_err(), NotHeld::NoAddress);
        let held = hold(&port(Some("127.0.0.2"), Protocol::Tcp)).unwrap();
        assert!(held.is_some(), "another address has its own ports");
        drop(held);
        drop(hold(&port(Some("127.0.0.1"), Protocol::Sctp)).unwrap());
    }
}

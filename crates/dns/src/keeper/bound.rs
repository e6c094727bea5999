//! Port 53 of a network's gateway.

use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{set_ip_freebind, set_ipv6_freebind, set_ipv6_v6only, set_socket_reuseaddr};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};
use sys::SyscallError;
use sys::datagrams::bind_to_device;

use crate::Error;
use crate::table::Network;

const PORT: u16 = 53;
const BACKLOG: i32 = 128;
/// A server that just ended may have the port for a moment.
const ATTEMPTS: u32 = 5;

/// A network's sockets, UDP and TCP for each address.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) network: String,
    /// Each with whether it is for TCP.
    pub(super) sockets: Vec<(OwnedFd, bool)>,
    /// Locked while the answerer has them.
    pub(super) lock: Option<File>,
}

impl Bound {
    pub(super) fn new(network: &Network) -> Result<Self, Error> {
        let mut sockets = Vec::new();
        for gateway in &network.gateways {
            for stream in [false, true] {
                let socket = patient(*gateway, &network.device, stream).map_err(|cause| Error::Bind {
                    network: network.name.clone(),
                    address: SocketAddr::new(*gateway, PORT).to_string(),
                    cause,
                })?;
                sockets.push((socket, stream));
            }
        }
        Ok(Self { network: network.name.clone(), sockets, lock: None })
    }
}

fn patient(gateway: IpAddr, device: &str, stream: bool) -> Result<OwnedFd, SyscallError> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match socket(gateway, device, stream) {
            Err(error) if error.errno == sys::Errno::ADDRINUSE && attempt < ATTEMPTS => {
                std::thread::sleep(Duration::from_millis(20));
            }
            outcome => return outcome,
        }
    }
}

fn socket(gateway: IpAddr, device: &str, stream: bool) -> Result<OwnedFd, SyscallError> {
    let failed = |call: &'static str| move |errno: Errno| SyscallError::new(call, gateway.to_string(), errno);
    let family = if gateway.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let kind = if stream { SocketType::STREAM } else { SocketType::DGRAM };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, kind, flags, None).map_err(failed("socket"))?;
    set_socket_reuseaddr(&socket, true).map_err(failed("setsockopt"))?;
    // A new IPv6 address is not the host's yet while the link is asked whether somebody else has it.
    if gateway.is_ipv4() {
        set_ip_freebind(&socket, true).map_err(failed("setsockopt"))?;
    } else {
        set_ipv6_freebind(&socket, true).map_err(failed("setsockopt"))?;
        set_ipv6_v6only(&socket, true).map_err(failed("setsockopt"))?;
    }
    // What comes from another link never gets here, whatever address it says that it is for.
    bind_to_device(&socket, device)?;
    bind(&socket, &SocketAddr::new(gateway, PORT)).map_err(failed("bind"))?;
    if stream {
        listen(&socket, BACKLOG).map_err(failed("listen"))?;
    }
    Ok(socket)
}

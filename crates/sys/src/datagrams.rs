//! Datagrams of internet sockets, many in one call (recvmmsg(2), sendmmsg(2)).
//!
//! A [`Batch`] receives some, gets an answer to some of them, and sends those back to where they came from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::os::fd::AsFd;

use crate::raw::{self, Fd, MANY, RawAddress};
use crate::{Errno, SyscallError};

/// Room for [`MANY`] datagrams and the answers to them.
#[derive(Debug)]
pub struct Batch {
    buffer: Vec<u8>,
    size: usize,
    lengths: [usize; MANY],
    senders: [RawAddress; MANY],
    answers: Vec<u8>,
    pending: Vec<(Range<usize>, RawAddress)>,
}

impl Batch {
    /// For datagrams of up to `size` bytes; longer ones are received as empty.
    pub fn new(size: usize) -> Self {
        Self {
            buffer: vec![0; size * MANY],
            size,
            lengths: [0; MANY],
            senders: [RawAddress::NONE; MANY],
            answers: Vec::new(),
            pending: Vec::with_capacity(MANY),
        }
    }

    /// Receives what is there, at most [`MANY`], without waiting; 0 when there is nothing.
    ///
    /// # Errors
    /// Those of recvmmsg(2), and what the network reported to the socket.
    pub fn receive(&mut self, socket: impl AsFd) -> Result<usize, Errno> {
        let fd = Fd::from(&socket.as_fd());
        match raw::receive_many(fd, &mut self.buffer, self.size, &mut self.lengths, &mut self.senders) {
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            outcome => outcome,
        }
    }

    /// The datagram with this index and its sender.
    pub fn get(&self, index: usize) -> Option<(&[u8], SocketAddr)> {
        let sender = socket_address(self.senders.get(index)?)?;
        let start = index * self.size;
        Some((self.buffer.get(start..start + self.lengths[index])?, sender))
    }

    /// Keeps an answer to the datagram with this index.
    pub fn answer(&mut self, index: usize, bytes: &[u8]) {
        let Some(sender) = self.senders.get(index) else { return };
        let start = self.answers.len();
        self.answers.extend_from_slice(bytes);
        self.pending.push((start..self.answers.len(), *sender));
    }

    /// Sends the answers. One that cannot be sent now is dropped, as the network may drop it at any place.
    pub fn send(&mut self, socket: impl AsFd) {
        let fd = Fd::from(&socket.as_fd());
        let mut rest = self.pending.as_slice();
        while !rest.is_empty() {
            match raw::send_many(fd, &self.answers, rest) {
                Ok(sent) => rest = &rest[sent.clamp(1, rest.len())..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN | Errno::NOBUFS) => break,
                // This one has no way; the others may.
                Err(_) => rest = &rest[1..],
            }
        }
        self.pending.clear();
        self.answers.clear();
    }
}

/// Sends one datagram to `to` without waiting.
///
/// # Errors
/// Those of sendmsg(2).
pub fn send_to(socket: impl AsFd, bytes: &[u8], to: SocketAddr) -> Result<(), Errno> {
    raw::send_many(Fd::from(&socket.as_fd()), bytes, &[(0..bytes.len(), raw_address(to))]).map(drop)
}

/// Ties a socket to a network device (`SO_BINDTODEVICE`, socket(7)).
///
/// # Errors
/// `ENODEV` when there is no such device.
pub fn bind_to_device(socket: impl AsFd, device: &str) -> Result<(), SyscallError> {
    raw::bind_to_device(Fd::from(&socket.as_fd()), device.as_bytes())
        .map_err(|errno| SyscallError::new("setsockopt", format!("SO_BINDTODEVICE, {device}"), errno))
}

fn socket_address(raw: &RawAddress) -> Option<SocketAddr> {
    let bytes = &raw.0;
    let port = u16::from_be_bytes([bytes[2], bytes[3]]);
    match raw.family() {
        RawAddress::V4 => {
            Some((IpAddr::from(Ipv4Addr::new(bytes[4], bytes[5], bytes[6], bytes[7])), port).into())
        }
        RawAddress::V6 => {
            let address: [u8; 16] = bytes[8..24].try_into().ok()?;
            Some((IpAddr::from(Ipv6Addr::from(address)), port).into())
        }
        _ => None,
    }
}

fn raw_address(address: SocketAddr) -> RawAddress {
    let mut raw = RawAddress::NONE;
    raw.0[2..4].copy_from_slice(&address.port().to_be_bytes());
    match address.ip() {
        IpAddr::V4(ip) => {
            raw.0[..2].copy_from_slice(&RawAddress::V4.to_ne_bytes());
            raw.0[4..8].copy_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            raw.0[..2].copy_from_slice(&RawAddress::V6.to_ne_bytes());
            raw.0[8..24].copy_from_slice(&ip.octets());
        }
    }
    raw
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn datagrams_are_answered_to_where_they_came_from() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(server) = UdpSocket::bind(host) else {
                eprintln!("SKIPPED datagrams_are_answered_to_where_they_came_from: no {host}");
                continue;
            };
            let to = server.local_addr().unwrap();
            let clients: Vec<UdpSocket> = (0..3).map(|_| UdpSocket::bind(host).unwrap()).collect();
            for (index, client) in clients.iter().enumerate() {
                send_to(client, &[index as u8; 4], to).unwrap();
            }
            clients[0].send_to(&[9; 65], to).unwrap();
            let mut batch = Batch::new(64);
            let count = batch.receive(&server).unwrap();
            assert_eq!(count, 4);
            for index in 0..count {
                let (bytes, sender) =
                    batch.get(index).map(|(bytes, sender)| (bytes.to_vec(), sender)).unwrap();
                if index == 3 {
                    assert!(bytes.is_empty(), "one that is too long counts as empty");
                    continue;
                }
                assert_eq!(sender, clients[usize::from(bytes[0])].local_addr().unwrap());
                batch.answer(index, &[bytes[0], 7]);
            }
            batch.send(&server);
            for (index, client) in clients.iter().enumerate() {
                let mut answer = [0; 8];
                assert_eq!(client.recv(&mut answer).unwrap(), 2);
                assert_eq!(answer[..2], [index as u8, 7]);
            }
            assert_eq!(batch.receive(&server).unwrap(), 0);
        }
    }
}

//! Netlink sockets on owned descriptors. What goes through them is the business of the crate `netlink`.

use std::os::fd::{AsFd, OwnedFd};

use crate::raw::{self, Fd};
use crate::{Errno, SyscallError, owned};

/// Opens a socket of `protocol` (the numbers of linux/netlink.h).
///
/// # Errors
/// `EPROTONOSUPPORT` when the kernel has no such protocol.
pub fn open(protocol: i32) -> Result<OwnedFd, SyscallError> {
    owned(raw::netlink_socket(protocol))
        .map_err(|errno| SyscallError::new("socket", format!("AF_NETLINK, {protocol}"), errno))
}

/// Sets an option of level `SOL_NETLINK`.
pub fn set_option(socket: impl AsFd, option: u32, value: u32) -> Result<(), Errno> {
    raw::set_netlink_option(Fd::from(&socket.as_fd()), option, value)
}

/// Gives a socket an address that the kernel chooses, as the first datagram that is sent would.
pub fn bind(socket: impl AsFd) -> Result<(), Errno> {
    raw::bind_netlink(Fd::from(&socket.as_fd()))
}

/// Sends one datagram whole, again when a signal came between.
pub fn send(socket: impl AsFd, bytes: &[u8]) -> Result<(), Errno> {
    let fd = Fd::from(&socket.as_fd());
    loop {
        match raw::send(fd, bytes) {
            Err(Errno::INTR) => {}
            outcome => return outcome.map(drop),
        }
    }
}

/// Receives one datagram and returns its length, which exceeds `buffer` when it was cut off.
///
/// # Errors
/// `ENOBUFS` when the kernel had to drop something for this socket; `EAGAIN` when nothing is there and `wait` is false.
pub fn receive(socket: impl AsFd, buffer: &mut [u8], wait: bool) -> Result<usize, Errno> {
    let fd = Fd::from(&socket.as_fd());
    loop {
        match raw::receive(fd, buffer, wait) {
            Err(Errno::INTR) => {}
            outcome => return outcome,
        }
    }
}

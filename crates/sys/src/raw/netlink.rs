//! Sockets to the kernel itself (netlink(7)).

use super::{Fd, as_fd, nr, syscall};
use crate::Errno;

/// Opens a netlink socket of one protocol (`NETLINK_ROUTE` and its like), close-on-exec.
pub fn netlink_socket(protocol: i32) -> Result<Fd, Errno> {
    const AF_NETLINK: usize = 16;
    const SOCK_RAW_CLOEXEC: usize = 3 | 0o2000000;
    // SAFETY: integers.
    unsafe { syscall!(nr::SOCKET, AF_NETLINK, SOCK_RAW_CLOEXEC, protocol as usize) }.map(as_fd)
}

/// Gives a netlink socket an address that the kernel chooses.
pub fn bind_netlink(socket: Fd) -> Result<(), Errno> {
    // `struct sockaddr_nl`: family and padding, of two bytes each, port and groups.
    let mut address = [0u8; 12];
    address[..2].copy_from_slice(&16u16.to_ne_bytes());
    // SAFETY: the kernel reads twelve bytes.
    unsafe { syscall!(nr::BIND, socket.arg(), address.as_ptr(), address.len()) }.map(drop)
}

/// Sets an option of level `SOL_NETLINK` that is an integer.
pub fn set_netlink_option(socket: Fd, option: u32, value: u32) -> Result<(), Errno> {
    const SOL_NETLINK: usize = 270;
    // SAFETY: the kernel reads four bytes.
    unsafe { syscall!(nr::SETSOCKOPT, socket.arg(), SOL_NETLINK, option, &raw const value, 4usize) }.map(drop)
}

/// Sends one datagram.
pub fn send(socket: Fd, bytes: &[u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel reads the bytes; there is no address.
    unsafe { syscall!(nr::SENDTO, socket.arg(), bytes.as_ptr(), bytes.len(), 0usize, 0usize, 0usize) }
}

/// Receives one datagram and returns how long it was, which is more than `buffer` holds when it was cut off.
pub fn receive(socket: Fd, buffer: &mut [u8], wait: bool) -> Result<usize, Errno> {
    const MSG_TRUNC: usize = 0x20;
    const MSG_DONTWAIT: usize = 0x40;
    let flags = if wait { MSG_TRUNC } else { MSG_TRUNC | MSG_DONTWAIT };
    // SAFETY: the kernel writes at most the buffer's length; no address is asked for.
    unsafe { syscall!(nr::RECVFROM, socket.arg(), buffer.as_mut_ptr(), buffer.len(), flags, 0usize, 0usize) }
}

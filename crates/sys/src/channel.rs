//! A pair of connected sockets that keep messages apart and carry descriptors.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::raw::{self, Fd, MAX_FDS};
use crate::{SyscallError, owned};

/// Two connected sockets (`SOCK_SEQPACKET`, unix(7)), both close-on-exec.
pub fn pair() -> Result<(OwnedFd, OwnedFd), SyscallError> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(|errno| SyscallError::new("socketpair", "seqpacket", errno))
}

/// Sends one message with at most [`MAX_FDS`] descriptors.
///
/// # Errors
/// `EPIPE` when the other side is gone.
pub fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), SyscallError> {
    let fds: Vec<Fd> = fds.iter().map(Fd::from).collect();
    raw::send_with_fds(Fd::from(&socket.as_fd()), bytes, &fds)
        .map_err(|errno| SyscallError::new("sendmsg", "channel", errno))
}

/// Receives one message: its length (0 when the other side is gone) and its descriptors.
pub fn receive(socket: impl AsFd, bytes: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), SyscallError> {
    let mut fds = [Fd::NONE; MAX_FDS];
    let (len, count) = raw::receive_with_fds(Fd::from(&socket.as_fd()), bytes, &mut fds)
        .map_err(|errno| SyscallError::new("recvmsg", "channel", errno))?;
    Ok((len, fds[..count].iter().filter_map(|fd| owned(Ok(*fd)).ok()).collect()))
}

//! Connected sockets that keep messages apart and carry descriptors.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with, socketpair,
};

use crate::raw::{self, Fd, MAX_FDS};
use crate::{SyscallError, owned};

/// Two connected sockets (`SOCK_SEQPACKET`, unix(7)), both close-on-exec.
pub fn pair() -> Result<(OwnedFd, OwnedFd), SyscallError> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(|errno| SyscallError::new("socketpair", "seqpacket", errno))
}

/// A listening socket (`SOCK_SEQPACKET`) with this name in a directory, which may be the handle of any: the kernel takes no more than
/// 107 bytes of path (unix(7)), and a handle's is short. At most one connection waits.
///
/// # Errors
/// `EADDRINUSE` when the name is there.
pub fn listen_in(dir: impl AsFd, name: &str) -> Result<OwnedFd, SyscallError> {
    let failed = |call| move |errno: rustix::io::Errno| SyscallError::new(call, name, errno);
    let socket = unconnected(name)?;
    bind(&socket, &address(dir.as_fd(), name)?).map_err(failed("bind"))?;
    listen(&socket, 1).map_err(failed("listen"))?;
    Ok(socket)
}

/// A socket for datagrams (`SOCK_DGRAM`) with this name in a directory, as for [`listen_in`].
///
/// # Errors
/// `EADDRINUSE` when the name is there.
pub fn datagrams_in(dir: impl AsFd, name: &str) -> Result<OwnedFd, SyscallError> {
    let failed = |call| move |errno: rustix::io::Errno| SyscallError::new(call, name, errno);
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .map_err(failed("socket"))?;
    bind(&socket, &address(dir.as_fd(), name)?).map_err(failed("bind"))?;
    Ok(socket)
}

/// Connects to a socket that [`listen_in`] made.
///
/// # Errors
/// `ENOENT` when the name is not there, `ECONNREFUSED` when nobody listens any more.
pub fn connect_in(dir: impl AsFd, name: &str) -> Result<OwnedFd, SyscallError> {
    let socket = unconnected(name)?;
    connect(&socket, &address(dir.as_fd(), name)?)
        .map_err(|errno| SyscallError::new("connect", name, errno))?;
    Ok(socket)
}

fn unconnected(name: &str) -> Result<OwnedFd, SyscallError> {
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(|errno| SyscallError::new("socket", name, errno))
}

fn address(dir: BorrowedFd<'_>, name: &str) -> Result<SocketAddrUnix, SyscallError> {
    SocketAddrUnix::new(format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()))
        .map_err(|errno| SyscallError::new("bind", name, errno))
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

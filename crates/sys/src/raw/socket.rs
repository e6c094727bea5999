//! Sockets: messages with descriptors, and the loopback interface.

use core::mem::size_of;

use super::{Fd, as_fd, nr, syscall};
use crate::Errno;

/// How many descriptors one message carries at most.
pub const MAX_FDS: usize = 32;

/// `struct msghdr` with one piece of data.
#[repr(C)]
struct Message {
    name: usize,
    name_len: u32,
    pieces: *mut Piece,
    piece_count: usize,
    control: *mut Control,
    control_len: usize,
    flags: i32,
}

/// `struct iovec`.
#[repr(C)]
struct Piece {
    base: *mut u8,
    len: usize,
}

/// `struct cmsghdr` and the descriptors behind it.
#[repr(C)]
struct Control {
    len: usize,
    level: i32,
    kind: i32,
    fds: [i32; MAX_FDS],
}

const SOL_SOCKET: i32 = 1;
const SCM_RIGHTS: i32 = 1;
const HEADER: usize = 16;

/// Sends `bytes` with `fds` (sendmsg(2), `SCM_RIGHTS`); a reader that is gone gives `EPIPE` and no signal.
pub fn send_with_fds(socket: Fd, bytes: &[u8], fds: &[Fd]) -> Result<(), Errno> {
    const MSG_NOSIGNAL: usize = 0x4000;
    if fds.len() > MAX_FDS {
        return Err(Errno::INVAL);
    }
    let mut control =
        Control { len: HEADER + fds.len() * 4, level: SOL_SOCKET, kind: SCM_RIGHTS, fds: [-1; MAX_FDS] };
    for (place, fd) in control.fds.iter_mut().zip(fds) {
        *place = fd.0;
    }
    let mut piece = Piece { base: bytes.as_ptr().cast_mut(), len: bytes.len() };
    let control_len = if fds.is_empty() { 0 } else { control.len.next_multiple_of(8) };
    let message = Message {
        name: 0,
        name_len: 0,
        pieces: &raw mut piece,
        piece_count: 1,
        control: if fds.is_empty() { core::ptr::null_mut() } else { &raw mut control },
        control_len,
        flags: 0,
    };
    // SAFETY: the kernel reads the header, the piece and the control data, all alive on this stack.
    unsafe { syscall!(nr::SENDMSG, socket.arg(), &raw const message, MSG_NOSIGNAL) }.map(drop)
}

/// Receives into `bytes` and `fds` (recvmsg(2)): how many of each arrived. Descriptors are close-on-exec.
pub fn receive_with_fds(
    socket: Fd,
    bytes: &mut [u8],
    fds: &mut [Fd; MAX_FDS],
) -> Result<(usize, usize), Errno> {
    const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
    let mut control = Control { len: 0, level: 0, kind: 0, fds: [-1; MAX_FDS] };
    let mut piece = Piece { base: bytes.as_mut_ptr(), len: bytes.len() };
    let mut message = Message {
        name: 0,
        name_len: 0,
        pieces: &raw mut piece,
        piece_count: 1,
        control: &raw mut control,
        control_len: size_of::<Control>(),
        flags: 0,
    };
    // SAFETY: the kernel writes at most the lengths given, into memory alive on this stack.
    let received = unsafe { syscall!(nr::RECVMSG, socket.arg(), &raw mut message, MSG_CMSG_CLOEXEC)? };
    let mut count = 0;
    if message.control_len >= HEADER && control.level == SOL_SOCKET && control.kind == SCM_RIGHTS {
        count = (control.len.saturating_sub(HEADER) / 4).min(MAX_FDS);
        for (place, fd) in fds.iter_mut().zip(control.fds.iter().take(count)) {
            *place = Fd(*fd);
        }
    }
    Ok((received, count))
}

/// Takes one connection of a listening socket (accept4(2)); the descriptor is close-on-exec.
pub fn accept(socket: Fd) -> Result<Fd, Errno> {
    const SOCK_CLOEXEC: usize = 0o2000000;
    loop {
        // SAFETY: integers; the peer's address is not asked for.
        match unsafe { syscall!(nr::ACCEPT4, socket.arg(), 0usize, 0usize, SOCK_CLOEXEC) } {
            // As after a stop and a continuation.
            Err(Errno::INTR) => {}
            outcome => return outcome.map(as_fd),
        }
    }
}

/// A handle of the calling thread's network namespace, without a look into /proc (`SIOCGSKNS`, Linux 4.9).
pub fn own_network() -> Result<Fd, Errno> {
    const AF_UNIX: usize = 1;
    const SOCK_DGRAM_CLOEXEC: usize = 2 | 0o2000000;
    const SIOCGSKNS: usize = 0x894c;
    // SAFETY: integers.
    let socket = unsafe { syscall!(nr::SOCKET, AF_UNIX, SOCK_DGRAM_CLOEXEC, 0usize) }.map(as_fd)?;
    // SAFETY: integers.
    let namespace = unsafe { syscall!(nr::IOCTL, socket.arg(), SIOCGSKNS) }.map(as_fd);
    let _ = super::close(socket);
    namespace
}

/// Sets the loopback interface of this network namespace up (netdevice(7)).
pub fn loopback_up() -> Result<(), Errno> {
    const AF_UNIX: usize = 1;
    const SOCK_DGRAM_CLOEXEC: usize = 2 | 0o2000000;
    const SIOCSIFFLAGS: usize = 0x8914;
    const IFF_UP: u16 = 1;
    /// `struct ifreq`: a name of 16 bytes, then the flags.
    #[repr(C, align(8))]
    struct Request {
        name: [u8; 16],
        flags: u16,
        rest: [u8; 22],
    }
    let mut name = [0; 16];
    name[..2].copy_from_slice(b"lo");
    let request = Request { name, flags: IFF_UP, rest: [0; 22] };
    // A unix socket serves the interface requests as well as any and costs the least to make.
    // SAFETY: integers.
    let socket = unsafe { syscall!(nr::SOCKET, AF_UNIX, SOCK_DGRAM_CLOEXEC, 0usize) }.map(as_fd)?;
    // A new loopback interface has only IFF_LOOPBACK set, which cannot be changed: no need to read it first.
    // SAFETY: the kernel reads a `struct ifreq`.
    let outcome = unsafe { syscall!(nr::IOCTL, socket.arg(), SIOCSIFFLAGS, &raw const request) }.map(drop);
    let _ = super::close(socket);
    outcome
}

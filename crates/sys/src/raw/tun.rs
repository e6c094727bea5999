//! Interfaces whose other end is a program (linux/if_tun.h): the requests that rtnetlink does not serve.

use super::{Fd, nr, syscall};
use crate::Errno;

/// `struct ifreq` as `TUNSETIFF` reads it.
#[repr(C, align(8))]
struct Request {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// Attaches an opened `/dev/net/tun` to the interface `name`, which is made if it is not there (`TUNSETIFF`).
pub fn tun_attach(tun: Fd, name: &[u8; 16], flags: u16) -> Result<(), Errno> {
    const TUNSETIFF: usize = 0x4004_54ca;
    let mut request = Request { name: *name, flags, rest: [0; 22] };
    // SAFETY: the kernel reads and writes a `struct ifreq`.
    unsafe { syscall!(nr::IOCTL, tun.arg(), TUNSETIFF, &raw mut request) }.map(drop)
}

/// Whether the interface stays when nobody holds it (`TUNSETPERSIST`).
pub fn tun_persist(tun: Fd, on: bool) -> Result<(), Errno> {
    const TUNSETPERSIST: usize = 0x4004_54cb;
    // SAFETY: integers.
    unsafe { syscall!(nr::IOCTL, tun.arg(), TUNSETPERSIST, usize::from(on)) }.map(drop)
}

/// The user who may attach to the interface (`TUNSETOWNER`).
pub fn tun_owner(tun: Fd, uid: u32) -> Result<(), Errno> {
    const TUNSETOWNER: usize = 0x4004_54cc;
    // SAFETY: integers.
    unsafe { syscall!(nr::IOCTL, tun.arg(), TUNSETOWNER, uid) }.map(drop)
}

/// The group that may attach to the interface (`TUNSETGROUP`).
pub fn tun_group(tun: Fd, gid: u32) -> Result<(), Errno> {
    const TUNSETGROUP: usize = 0x4004_54ce;
    // SAFETY: integers.
    unsafe { syscall!(nr::IOCTL, tun.arg(), TUNSETGROUP, gid) }.map(drop)
}

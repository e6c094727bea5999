//! Interfaces whose other end is a program: made and removed through `/dev/net/tun`.

use std::os::fd::OwnedFd;

use crate::raw::{self, Fd};
use crate::{Errno, SyscallError, owned};

/// An interface of type tun or tap, attached.
#[derive(Debug)]
pub struct Tun {
    fd: OwnedFd,
    name: String,
}

impl Tun {
    /// Attaches to `name`, making it if need be; `flags` are those of linux/if_tun.h (`IFF_TUN`, `IFF_TAP`, …).
    ///
    /// # Errors
    /// `ENOENT` without `/dev/net/tun`; `EINVAL` when an interface of that name is of another type; `EPERM` without `CAP_NET_ADMIN`.
    pub fn attach(name: &str, flags: u16) -> Result<Self, SyscallError> {
        let mut field = [0; 16];
        if name.len() >= field.len() {
            return Err(SyscallError::new("ioctl(TUNSETIFF)", name, Errno::NAMETOOLONG));
        }
        field[..name.len()].copy_from_slice(name.as_bytes());
        let open = raw::openat(Fd::CWD, c"/dev/net/tun", raw::O_RDWR | raw::O_CLOEXEC, 0);
        let fd = owned(open).map_err(|errno| SyscallError::new("openat", "/dev/net/tun", errno))?;
        raw::tun_attach(Fd::from(&fd), &field, flags)
            .map_err(|errno| SyscallError::new("ioctl(TUNSETIFF)", name, errno))?;
        Ok(Self { fd, name: name.to_owned() })
    }

    /// Lets the interface stay when nobody holds it, or go.
    pub fn persist(&self, on: bool) -> Result<(), SyscallError> {
        self.named("ioctl(TUNSETPERSIST)", raw::tun_persist(Fd::from(&self.fd), on))
    }

    /// Allows a user to attach to it.
    pub fn set_owner(&self, uid: u32) -> Result<(), SyscallError> {
        self.named("ioctl(TUNSETOWNER)", raw::tun_owner(Fd::from(&self.fd), uid))
    }

    /// Allows a group to attach to it.
    pub fn set_group(&self, gid: u32) -> Result<(), SyscallError> {
        self.named("ioctl(TUNSETGROUP)", raw::tun_group(Fd::from(&self.fd), gid))
    }

    fn named(&self, call: &'static str, outcome: Result<(), Errno>) -> Result<(), SyscallError> {
        outcome.map_err(|errno| SyscallError::new(call, self.name.as_str(), errno))
    }
}

//! Namespaces by descriptor: of which kind one is, who owns it, what lies above it (ioctl_ns(2)), making and
//! joining them.
//!
//! ```no_run
//! let blue = std::os::fd::OwnedFd::from(std::fs::File::open("/run/netns/blue")?);
//! let owner = sys::ns::owner(&blue)?;
//! assert_eq!(sys::ns::kind(&owner)?, sys::clone::CLONE_NEWUSER);
//! sys::ns::join(&blue, sys::clone::CLONE_NEWNET)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use crate::raw::{self, Fd, nr, syscall};
use crate::{Errno, SyscallError, owned};

const NS_GET_USERNS: usize = 0xb701;
const NS_GET_PARENT: usize = 0xb702;
const NS_GET_NSTYPE: usize = 0xb703;
const NS_GET_OWNER_UID: usize = 0xb704;

/// `CLONE_NEW*` of the namespace that `ns` is.
///
/// # Errors
/// `ENOTTY` when it is no namespace.
///
/// # Kernel
/// Linux 4.11.
pub fn kind(ns: &impl AsFd) -> Result<u64, SyscallError> {
    // SAFETY: integers.
    unsafe { syscall!(nr::IOCTL, number(ns), NS_GET_NSTYPE) }
        .map(|kind| kind as u64)
        .map_err(|errno| SyscallError::new("ioctl", "NS_GET_NSTYPE", errno))
}

/// The user namespace that owns `ns`; of a user namespace the one above it.
///
/// # Errors
/// `EPERM` when it lies above this process's own.
///
/// # Kernel
/// Linux 4.9.
pub fn owner(ns: &impl AsFd) -> Result<OwnedFd, SyscallError> {
    related(ns, NS_GET_USERNS, "NS_GET_USERNS")
}

/// The namespace above `ns`, which is a pid or user namespace.
///
/// # Errors
/// `EINVAL` for other kinds; `EPERM` when it lies above this process's own, or there is none.
///
/// # Kernel
/// Linux 4.9.
pub fn parent(ns: &impl AsFd) -> Result<OwnedFd, SyscallError> {
    related(ns, NS_GET_PARENT, "NS_GET_PARENT")
}

/// The user who made the user namespace `ns`, as this process's user namespace numbers users.
///
/// # Errors
/// `EINVAL` for other kinds.
///
/// # Kernel
/// Linux 4.11.
pub fn owner_uid(ns: &impl AsFd) -> Result<u32, SyscallError> {
    let mut uid = 0u32;
    // SAFETY: the kernel writes one integer.
    unsafe { syscall!(nr::IOCTL, number(ns), NS_GET_OWNER_UID, &raw mut uid) }
        .map(|_| uid)
        .map_err(|errno| SyscallError::new("ioctl", "NS_GET_OWNER_UID", errno))
}

/// Moves the calling thread into `ns`, which has to be of `kind` (`CLONE_NEW*`); of a pid namespace only its
/// children.
///
/// # Errors
/// `EPERM` without the capabilities that setns(2) lists; `EINVAL` for another kind, and for joining a user
/// or time namespace with several threads.
///
/// # Kernel
/// Linux 3.0; the last kind, time, 5.8.
pub fn join(ns: &impl AsFd, kind: u64) -> Result<(), SyscallError> {
    raw::setns(Fd::from(ns), kind)
        .map_err(|errno| SyscallError::new("setns", crate::clone::names_of(kind), errno))
}

/// Moves the calling thread into new namespaces of these `kinds` (`CLONE_NEW*`); of a pid or time namespace only
/// its children.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN` when there is no user namespace among them; `ENOSPC` when a limit in
/// `/proc/sys/user` is reached.
pub fn make(kinds: u64) -> Result<(), SyscallError> {
    raw::unshare(kinds).map_err(|errno| SyscallError::new("unshare", crate::clone::names_of(kinds), errno))
}

fn related(ns: &impl AsFd, request: usize, name: &'static str) -> Result<OwnedFd, SyscallError> {
    // SAFETY: integers; the kernel opens a descriptor, which is close-on-exec.
    let result: Result<usize, Errno> = unsafe { syscall!(nr::IOCTL, number(ns), request) };
    owned(result.map(|fd| Fd(fd as i32))).map_err(|errno| SyscallError::new("ioctl", name, errno))
}

fn number(fd: &impl AsFd) -> usize {
    fd.as_fd().as_raw_fd() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clone::{CLONE_NEWNET, CLONE_NEWUSER};

    #[test]
    fn a_namespace_tells_its_kind_and_owner() {
        let net = std::fs::File::open("/proc/self/ns/net").unwrap();
        assert_eq!(kind(&net).unwrap(), CLONE_NEWNET);
        if let Ok(owner) = owner(&net) {
            assert_eq!(kind(&owner).unwrap(), CLONE_NEWUSER);
            owner_uid(&owner).unwrap();
        }
        assert_eq!(owner_uid(&net).unwrap_err().errno, Errno::INVAL);
        assert_eq!(parent(&net).unwrap_err().errno, Errno::INVAL);
        let file = std::fs::File::open("/proc/self/status").unwrap();
        assert!(kind(&file).is_err());
    }
}

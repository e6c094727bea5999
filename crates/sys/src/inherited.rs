//! Descriptors that came through execve(2), known by their numbers only.

#![allow(unsafe_code)]

use std::os::fd::{FromRawFd, OwnedFd};

use crate::raw::{self, Fd};
use crate::{Errno, SyscallError};

/// Takes the descriptor of that number, which is close-on-exec from here on.
///
/// Only one that is not close-on-exec is taken. Everything that this workspace and the standard library open is close-on-exec, so that one
/// was there when the program began, and nobody owns it; once taken it is not taken again.
///
/// # Errors
/// BADF where there is no such descriptor.
pub fn take(number: i32) -> Result<OwnedFd, SyscallError> {
    let failed = |errno| SyscallError::new("fcntl", format!("descriptor {number}"), errno);
    if number < 3 || raw::is_close_on_exec(Fd(number)).map_err(failed)? {
        return Err(failed(Errno::BADF));
    }
    raw::set_close_on_exec(Fd(number), true).map_err(failed)?;
    // SAFETY: it is open, as the calls have shown, and by the argument above nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Lets a descriptor through the next execve(2), after which [`take`] finds it under the number that is returned. It stays open here.
///
/// # Errors
/// Those of fcntl(2).
pub fn pass(fd: OwnedFd) -> Result<i32, SyscallError> {
    use std::os::fd::IntoRawFd as _;
    let number = fd.into_raw_fd();
    raw::set_close_on_exec(Fd(number), false)
        .map_err(|errno| SyscallError::new("fcntl", format!("descriptor {number}"), errno))?;
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_can_be_taken_once() {
        let (ours, _theirs) = crate::channel::pair().unwrap();
        let number = pass(rustix::io::fcntl_dupfd_cloexec(&ours, 100).unwrap()).unwrap();
        let taken = take(number).unwrap();
        assert!(take(number).is_err(), "it has an owner");
        drop(taken);
        assert!(take(number).is_err(), "it is closed");
    }
}

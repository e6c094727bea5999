//! From the numbers of [`crate::raw`] to owners.

#![allow(unsafe_code)]

use std::os::fd::{FromRawFd, OwnedFd};

use crate::Errno;
use crate::raw::Fd;

/// The owner of a descriptor that a call of [`crate::raw`] has just opened.
pub(crate) fn owned(result: Result<Fd, Errno>) -> Result<OwnedFd, Errno> {
    // SAFETY: this function is for results of calls that open a descriptor, passed on at once: nobody else knows the number.
    result.map(|fd| unsafe { OwnedFd::from_raw_fd(fd.0) })
}

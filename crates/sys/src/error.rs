//! A system call that failed, with its subject.

use std::fmt;

use report::{Explain, Kind};

use crate::Errno;

/// A system call that failed: which call, on what, why. Reads like a line of strace:
/// `openat2(/etc/passwd): no such file or directory (ENOENT)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyscallError {
    /// The call's name.
    pub call: &'static str,
    /// What it was called on, as a person would name it; may be empty.
    pub subject: String,
    /// Why it failed.
    pub errno: Errno,
}

impl SyscallError {
    /// A failure of `call` on `subject`.
    pub fn new(call: &'static str, subject: impl Into<String>, errno: impl Into<Errno>) -> Self {
        Self { call, subject: subject.into(), errno: errno.into() }
    }
}

impl fmt::Display for SyscallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({}): {}", self.call, self.subject, self.errno)
    }
}

impl std::error::Error for SyscallError {}

impl Explain for SyscallError {
    fn kind(&self) -> Kind {
        kind_of(self.errno)
    }
}

/// The kind of failure that an error number usually means.
pub fn kind_of(errno: Errno) -> Kind {
    match errno {
        Errno::NOENT | Errno::SRCH | Errno::NXIO | Errno::NODEV => Kind::NotFound,
        Errno::EXIST => Kind::AlreadyExists,
        Errno::PERM | Errno::ACCES | Errno::ROFS => Kind::PermissionDenied,
        Errno::NOSYS | Errno::OPNOTSUPP => Kind::Unsupported,
        Errno::BUSY | Errno::TXTBSY | Errno::AGAIN | Errno::ADDRINUSE => Kind::Busy,
        Errno::NOMEM | Errno::NOSPC | Errno::MFILE | Errno::NFILE | Errno::DQUOT | Errno::USERS => {
            Kind::ResourceExhausted
        }
        Errno::INVAL | Errno::NAMETOOLONG | Errno::NOTDIR | Errno::ISDIR | Errno::LOOP | Errno::RANGE => {
            Kind::InvalidInput
        }
        _ => Kind::Io,
    }
}

impl From<rustix::io::Errno> for Errno {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::from_raw(errno.raw_os_error())
    }
}

impl From<std::io::Error> for Errno {
    fn from(error: std::io::Error) -> Self {
        Self::from_raw(error.raw_os_error().unwrap_or(Errno::IO.raw()))
    }
}

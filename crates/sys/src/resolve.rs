//! [`crate::below`] for owners of descriptors.

use std::ffi::CString;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::below::{self, Links};
use crate::raw::{self, Fd, OpenHow};
use crate::{Errno, SyscallError, owned};

/// Opens `path` below `root` with open(2)'s `flags`, as [`below::open`] does, with openat2(2) where the kernel has it.
pub fn open_below(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: u64,
    links: Links,
) -> Result<OwnedFd, SyscallError> {
    let failed = |errno| SyscallError::new("openat2", path.display().to_string(), errno);
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| failed(Errno::INVAL))?;
    let root = Fd::from(&root);
    let outcome = match below::open(root, &name, flags, links, true) {
        Err(Errno::NOSYS) => below::open(root, &name, flags, links, false),
        outcome => outcome,
    };
    owned(outcome).map_err(failed)
}

/// Opens what lies at `path` below `root` as a place (`O_PATH`), and makes what is missing, as [`below::ensure`] does: an empty file at its
/// end if `file`, otherwise a directory.
///
/// # Errors
/// As [`open_below`], and those of mkdirat(2) and mknodat(2).
pub fn ensure_below(
    root: BorrowedFd<'_>,
    path: &Path,
    file: bool,
    links: Links,
) -> Result<OwnedFd, SyscallError> {
    let failed = |errno| SyscallError::new("openat2", path.display().to_string(), errno);
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| failed(Errno::INVAL))?;
    let leaf = if file { below::Leaf::File } else { below::Leaf::Directory };
    owned(below::ensure(Fd::from(&root), &name, leaf, links, has_openat2())).map_err(failed)
}

/// Whether the kernel has openat2(2) (Linux 5.6) and lets this process use it.
pub fn has_openat2() -> bool {
    raw::openat2(Fd::NONE, c"x", &OpenHow::default()) != Err(Errno::NOSYS)
}

//! Files of the kernel that are a word long.

use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::SyscallError;

/// What a file begins with, as far as one read(2) into `buffer` gives it. `std::fs::read` makes twice as many calls, to learn how long a
/// file is and that it has come to its end.
///
/// # Errors
/// Those of open(2) and read(2).
pub fn read<'a>(path: &Path, buffer: &'a mut [u8]) -> Result<&'a [u8], SyscallError> {
    let failed = |call, errno| SyscallError::new(call, path.display().to_string(), errno);
    let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = openat(CWD, path, flags, Mode::empty()).map_err(|errno| failed("openat", errno))?;
    let len = rustix::io::read(&file, &mut *buffer).map_err(|errno| failed("read", errno))?;
    Ok(buffer.get(..len).unwrap_or(&[]))
}

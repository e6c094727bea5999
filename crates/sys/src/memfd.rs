//! Sealed files in memory.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use crate::raw::{self, Fd};
use crate::{Errno, SyscallError, owned};

/// A file without a name that holds `parts` one after the other and can never be changed (memfd_create(2), Linux 3.17).
///
/// # Errors
/// `EACCES` for an executable one where the host forbids them (`vm.memfd_noexec` = 2, Linux 6.3).
pub fn sealed(name: &CStr, executable: bool, parts: &[&[u8]]) -> Result<OwnedFd, SyscallError> {
    let failed = |call, errno| SyscallError::new(call, name.to_string_lossy(), errno);
    let file = owned(raw::memfd_create(name, executable)).map_err(|errno| failed("memfd_create", errno))?;
    for part in parts {
        let mut rest = *part;
        while !rest.is_empty() {
            match raw::write(Fd::from(&file), rest) {
                Ok(0) => return Err(failed("write", Errno::NOSPC)),
                Ok(written) => rest = &rest[written..],
                Err(errno) => return Err(failed("write", errno)),
            }
        }
    }
    raw::seal(Fd::from(&file)).map_err(|errno| failed("fcntl F_ADD_SEALS", errno))?;
    Ok(file)
}

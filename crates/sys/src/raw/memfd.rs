//! Files without a name, sealed once they are written.

use core::ffi::CStr;

use super::{Fd, as_fd, nr, syscall, text};
use crate::Errno;

/// memfd_create(2), close-on-exec and sealable; `executable` files keep their permission where the host's default is
/// otherwise (`MFD_EXEC`, Linux 6.3; not asked for on older kernels).
pub fn memfd_create(name: &CStr, executable: bool) -> Result<Fd, Errno> {
    const MFD_CLOEXEC: usize = 1;
    const MFD_ALLOW_SEALING: usize = 2;
    const MFD_NOEXEC_SEAL: usize = 8;
    const MFD_EXEC: usize = 0x10;
    let plain = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    let wish = plain | if executable { MFD_EXEC } else { MFD_NOEXEC_SEAL };
    // SAFETY: the kernel reads a terminated string.
    match unsafe { syscall!(nr::MEMFD_CREATE, text(name), wish) } {
        // SAFETY: as above.
        Err(Errno::INVAL) => unsafe { syscall!(nr::MEMFD_CREATE, text(name), plain) },
        outcome => outcome,
    }
    .map(as_fd)
}

/// Forbids every later change of a file that [`memfd_create`] made: its bytes, its length, its seals (fcntl(2), `F_ADD_SEALS`).
pub fn seal(file: Fd) -> Result<(), Errno> {
    const F_ADD_SEALS: usize = 1033;
    /// `F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE`
    const ALL: usize = 1 | 2 | 4 | 8;
    // SAFETY: integers.
    unsafe { syscall!(nr::FCNTL, file.arg(), F_ADD_SEALS, ALL) }.map(drop)
}

//! Locks on single bytes of a file that belong to an open file description (fcntl(2), "Open file description
//! locks", Linux 3.15): they end with the last descriptor, so also with a process that is killed.

#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd};

use crate::raw::{nr, syscall};
use crate::{Errno, SyscallError};

const F_OFD_GETLK: usize = 36;
const F_OFD_SETLK: usize = 37;
const F_RDLCK: i16 = 0;
const F_WRLCK: i16 = 1;
const F_UNLCK: i16 = 2;

/// `struct flock` of 64-bit kernels.
#[repr(C)]
struct Flock {
    kind: i16,
    whence: i16,
    start: i64,
    len: i64,
    pid: i32,
}

/// Locks byte `index` of `file` for writing unless somebody else has it; tells whether it is ours now. The
/// file may be shorter. It has to be open for writing.
///
/// # Errors
/// Those of fcntl(2).
pub fn try_lock_byte(file: impl AsFd, index: u32) -> Result<bool, SyscallError> {
    let lock = Flock { kind: F_WRLCK, whence: 0, start: index.into(), len: 1, pid: 0 };
    // SAFETY: the kernel reads one `struct flock`.
    match unsafe { syscall!(nr::FCNTL, file.as_fd().as_raw_fd(), F_OFD_SETLK, &raw const lock) } {
        Ok(_) => Ok(true),
        Err(Errno::AGAIN | Errno::ACCES) => Ok(false),
        Err(errno) => Err(SyscallError::new("fcntl", format!("F_OFD_SETLK, byte {index}"), errno)),
    }
}

/// Gives back the lock on byte `index`; without one nothing happens.
///
/// # Errors
/// Those of fcntl(2).
pub fn unlock_byte(file: impl AsFd, index: u32) -> Result<(), SyscallError> {
    let lock = Flock { kind: F_UNLCK, whence: 0, start: index.into(), len: 1, pid: 0 };
    // SAFETY: the kernel reads one `struct flock`.
    unsafe { syscall!(nr::FCNTL, file.as_fd().as_raw_fd(), F_OFD_SETLK, &raw const lock) }
        .map(drop)
        .map_err(|errno| SyscallError::new("fcntl", format!("F_OFD_SETLK, byte {index}"), errno))
}

/// Whether somebody has byte `index` locked through another open file description. The file has to be open for reading.
///
/// # Errors
/// Those of fcntl(2).
pub fn is_byte_locked(file: impl AsFd, index: u32) -> Result<bool, SyscallError> {
    let mut lock = Flock { kind: F_RDLCK, whence: 0, start: index.into(), len: 1, pid: 0 };
    // SAFETY: the kernel reads and writes one `struct flock`.
    unsafe { syscall!(nr::FCNTL, file.as_fd().as_raw_fd(), F_OFD_GETLK, &raw mut lock) }
        .map_err(|errno| SyscallError::new("fcntl", format!("F_OFD_GETLK, byte {index}"), errno))?;
    Ok(lock.kind != F_UNLCK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn open(path: &std::path::Path) -> File {
        File::options().create(true).truncate(false).read(true).write(true).open(path).unwrap()
    }

    #[test]
    fn a_byte_has_one_owner_until_its_descriptor_is_closed() {
        let path = std::env::temp_dir().join(format!("holm-lock-{}", std::process::id()));
        let (one, two) = (open(&path), open(&path));
        std::fs::remove_file(&path).unwrap();
        assert!(try_lock_byte(&one, 3).unwrap());
        assert!(!try_lock_byte(&two, 3).unwrap());
        assert!(try_lock_byte(&two, 4).unwrap());
        assert!(is_byte_locked(&two, 3).unwrap() && !is_byte_locked(&two, 4).unwrap());
        unlock_byte(&two, 4).unwrap();
        assert!(!is_byte_locked(&one, 4).unwrap());
        drop(one);
        assert!(!is_byte_locked(&two, 3).unwrap());
        assert!(try_lock_byte(&two, 3).unwrap());
    }
}

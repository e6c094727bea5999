//! Loop devices: files as block devices (loop(4)).

#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::raw::{nr, syscall};
use crate::{Errno, SyscallError};

const LOOP_CTL_GET_FREE: usize = 0x4c82;
const LOOP_CONFIGURE: usize = 0x4c0a;
const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
/// How often another process may be faster with a free device.
const ATTEMPTS: u32 = 64;

/// A loop device that is ours. The kernel gives it back when the last user is gone: this handle, or a mount of it.
#[derive(Debug)]
pub struct LoopDevice {
    /// Its name: `/dev/loop0`.
    pub path: String,
    _device: OwnedFd,
}

/// `struct loop_config` with its `struct loop_info64` (linux/loop.h).
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    /// `lo_device` to `lo_sizelimit`
    numbers: [u64; 5],
    /// `lo_number`, `lo_encrypt_type`, `lo_encrypt_key_size`, `lo_flags`
    words: [u32; 4],
    /// `lo_file_name`, `lo_crypt_name`, `lo_encrypt_key`
    texts: [u8; 64 + 64 + 32],
    init: [u64; 2],
    reserved: [u64; 8],
}

/// A read-only loop device over a file; [`attach_writable`] is the other kind.
///
/// # Errors
/// `ENOENT` where there is no `/dev/loop-control`; `EACCES` for others than root.
///
/// # Kernel
/// Linux 5.8.
pub fn attach(file: BorrowedFd<'_>) -> Result<LoopDevice, SyscallError> {
    attach_with(file, LO_FLAGS_READ_ONLY)
}

/// A loop device that can be written to.
///
/// # Errors
/// As [`attach`].
pub fn attach_writable(file: BorrowedFd<'_>) -> Result<LoopDevice, SyscallError> {
    attach_with(file, 0)
}

/// The loop device that serves a file already, if one does; held, it stays.
///
/// # Errors
/// Those of opening it, but for one that was given back meanwhile.
pub fn serving(file: &Path) -> Result<Option<LoopDevice>, SyscallError> {
    let Ok(file) = std::fs::canonicalize(file) else { return Ok(None) };
    let serves = |name: &str| {
        let backing = std::fs::read(format!("/sys/block/{name}/loop/backing_file")).unwrap_or_default();
        backing.strip_suffix(b"\n").unwrap_or(&backing) == file.as_os_str().as_encoded_bytes()
    };
    for entry in std::fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !name.starts_with("loop") || !serves(&name) {
            continue;
        }
        let path = format!("/dev/{name}");
        let device = match openat(CWD, &path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()) {
            Err(rustix::io::Errno::NXIO | rustix::io::Errno::NOENT) => continue,
            outcome => outcome.map_err(|errno| SyscallError::new("openat", path.as_str(), errno))?,
        };
        // It may have been given back, and to somebody else, before it was opened.
        if serves(&name) {
            return Ok(Some(LoopDevice { path, _device: device }));
        }
    }
    Ok(None)
}

fn attach_with(file: BorrowedFd<'_>, flags: u32) -> Result<LoopDevice, SyscallError> {
    const CONTROL: &str = "/dev/loop-control";
    let open = |path: &str| {
        let access = if flags & LO_FLAGS_READ_ONLY != 0 { OFlags::RDONLY } else { OFlags::RDWR };
        openat(CWD, path, access | OFlags::CLOEXEC, Mode::empty())
    };
    let control = openat(CWD, CONTROL, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| SyscallError::new("openat", CONTROL, errno))?;
    for _ in 0..ATTEMPTS {
        // SAFETY: the kernel takes no argument.
        let number = unsafe { syscall!(nr::IOCTL, control.as_raw_fd(), LOOP_CTL_GET_FREE) }
            .map_err(|errno| SyscallError::new("ioctl", "LOOP_CTL_GET_FREE", errno))?;
        let path = format!("/dev/loop{number}");
        let device = open(&path).map_err(|errno| SyscallError::new("openat", path.as_str(), errno))?;
        let config = Config {
            fd: file.as_raw_fd() as u32,
            block_size: 0,
            numbers: [0; 5],
            words: [0, 0, 0, flags | LO_FLAGS_AUTOCLEAR],
            texts: [0; 160],
            init: [0; 2],
            reserved: [0; 8],
        };
        // SAFETY: the kernel reads a `struct loop_config`, whose layout `Config` has.
        match unsafe { syscall!(nr::IOCTL, device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) } {
            Ok(_) => return Ok(LoopDevice { path, _device: device }),
            Err(Errno::BUSY) => {}
            Err(errno) => return Err(SyscallError::new("ioctl", format!("LOOP_CONFIGURE, {path}"), errno)),
        }
    }
    Err(SyscallError::new("ioctl", "LOOP_CONFIGURE", Errno::BUSY))
}

// `struct loop_config` has 304 bytes.
const _: () = assert!(size_of::<Config>() == 304);

//! Project quotas: how much the files below a directory may take (quotactl_fd(2), Linux 5.14).

#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::SyscallError;
use crate::raw::{nr, syscall};

const FS_IOC_FSGETXATTR: usize = 0x801c_581f;
const FS_IOC_FSSETXATTR: usize = 0x401c_5820;
const FS_XFLAG_PROJINHERIT: u32 = 0x200;
/// `QCMD(Q_SETQUOTA, PRJQUOTA)`
const SET_PROJECT_QUOTA: usize = 0x80_0008 << 8 | 2;
const QUOTACTL_FD: usize = 443;
const QIF_BLIMITS: u32 = 1;
/// Limits are counted in blocks of this size.
const QUOTA_BLOCK: u64 = 1024;

/// `struct fsxattr` (linux/fs.h).
#[repr(C)]
#[derive(Default)]
struct FsXattr {
    xflags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    cow_extent_size: u32,
    pad: [u8; 8],
}

/// `struct if_dqblk` (linux/quota.h).
#[repr(C)]
#[derive(Default)]
struct Limits {
    blocks_hard: u64,
    blocks_soft: u64,
    space: u64,
    inodes_hard: u64,
    inodes_soft: u64,
    inodes: u64,
    block_time: u64,
    inode_time: u64,
    valid: u32,
}

/// Counts a directory, and all that is made in it from now on, as this project, and limits that to so many bytes.
///
/// # Errors
/// `ENOTTY`, `EOPNOTSUPP` or `ESRCH` where the filesystem counts no projects, or is not mounted with `prjquota`.
pub fn limit_project(directory: BorrowedFd<'_>, project: u32, bytes: u64) -> Result<(), SyscallError> {
    let failed = |what: &'static str| move |errno| SyscallError::new("ioctl", what, errno);
    let fd = directory.as_raw_fd();
    let limits = Limits { blocks_hard: bytes.div_ceil(QUOTA_BLOCK), valid: QIF_BLIMITS, ..Limits::default() };
    // First the limit: where it cannot be set nothing is changed.
    // SAFETY: the kernel reads a `struct if_dqblk`.
    unsafe { syscall!(QUOTACTL_FD, fd, SET_PROJECT_QUOTA, project, &raw const limits) }
        .map_err(|errno| SyscallError::new("quotactl_fd", format!("project {project}"), errno))?;
    let mut attributes = FsXattr::default();
    // SAFETY: the kernel writes a `struct fsxattr`.
    unsafe { syscall!(nr::IOCTL, fd, FS_IOC_FSGETXATTR, &raw mut attributes) }
        .map_err(failed("FS_IOC_FSGETXATTR"))?;
    attributes.project = project;
    attributes.xflags |= FS_XFLAG_PROJINHERIT;
    // SAFETY: the kernel reads a `struct fsxattr`.
    unsafe { syscall!(nr::IOCTL, fd, FS_IOC_FSSETXATTR, &raw const attributes) }
        .map(drop)
        .map_err(failed("FS_IOC_FSSETXATTR"))
}

// Sizes of the kernel's structures.
const _: () = assert!(size_of::<FsXattr>() == 28 && size_of::<Limits>() == 72);

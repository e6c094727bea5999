//! The mounts of this process's namespace, asked for one by one (statmount(2), listmount(2), Linux 6.8).

use core::ffi::CStr;
use core::mem::size_of;

use super::{nr, syscall};
use crate::Errno;

/// `struct mnt_id_req`, its first version.
#[repr(C)]
struct Request {
    size: u32,
    spare: u32,
    id: u64,
    param: u64,
}

impl Request {
    fn new(id: u64, param: u64) -> Self {
        Self { size: size_of::<Self>() as u32, spare: 0, id, param }
    }
}

/// The ids of mounts after `last` (0 for the first ones), in ascending order: how many of `ids` were filled.
///
/// # Errors
/// `ENOSYS` before Linux 6.8.
pub fn listmount(last: u64, ids: &mut [u64]) -> Result<usize, Errno> {
    /// `LSMT_ROOT`: all mounts below this process's root.
    const ROOT: u64 = u64::MAX;
    let request = Request::new(ROOT, last);
    // SAFETY: the kernel reads a request of the size that it tells, and writes at most `ids.len()` numbers.
    unsafe { syscall!(nr::LISTMOUNT, &raw const request, ids.as_mut_ptr(), ids.len(), 0usize) }
}

/// Asks for type and flags: `STATMOUNT_SB_BASIC`, and with them nothing that takes time.
pub const STATMOUNT_SB_BASIC: u64 = 1;
/// Asks for the mount's own attributes: `STATMOUNT_MNT_BASIC`.
pub const STATMOUNT_MNT_BASIC: u64 = 2;
/// Asks for the directory of the filesystem that is mounted: `STATMOUNT_MNT_ROOT`.
pub const STATMOUNT_MNT_ROOT: u64 = 8;
/// Asks for where it is mounted: `STATMOUNT_MNT_POINT`.
pub const STATMOUNT_MNT_POINT: u64 = 0x10;
/// Asks for the filesystem's options: `STATMOUNT_MNT_OPTS`, Linux 6.11.
pub const STATMOUNT_MNT_OPTS: u64 = 0x80;

/// What statmount(2) tells of a mount.
#[repr(C, align(8))]
#[derive(Debug)]
pub struct MountStatus {
    bytes: [u8; Self::SIZE],
}

impl MountStatus {
    /// 512 bytes of numbers, and room for three texts: longer paths are rare, and a larger buffer would be pages to fault in.
    const SIZE: usize = 2048;
    const TEXTS: usize = 512;

    /// Nothing yet.
    pub const fn new() -> Self {
        Self { bytes: [0; Self::SIZE] }
    }

    fn u32_at(&self, at: usize) -> u32 {
        self.bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes)
    }

    fn u64_at(&self, at: usize) -> u64 {
        self.bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes)
    }

    fn text(&self, wanted: u64, offset_at: usize) -> Option<&CStr> {
        if self.u64_at(8) & wanted == 0 {
            return None;
        }
        let start = Self::TEXTS.checked_add(self.u32_at(offset_at) as usize)?;
        CStr::from_bytes_until_nul(self.bytes.get(start..)?).ok()
    }

    /// The filesystem's type as a number (`f_type` of statfs(2)).
    pub fn filesystem_type(&self) -> u64 {
        self.u64_at(24)
    }

    /// Whether the filesystem as a whole is read-only (`MS_RDONLY`).
    pub fn filesystem_is_read_only(&self) -> bool {
        self.u32_at(32) & 1 != 0
    }

    /// The mount's attributes: `MOUNT_ATTR_*`.
    pub fn attributes(&self) -> u64 {
        self.u64_at(64)
    }

    /// The id that statx(2) tells as well ([`super::Status::mount_id`]).
    pub fn short_id(&self) -> u64 {
        self.u32_at(56).into()
    }

    /// The filesystem's options, separated by commas.
    pub fn options(&self) -> Option<&CStr> {
        self.text(STATMOUNT_MNT_OPTS, 4)
    }

    /// The directory of the filesystem that is mounted.
    pub fn root(&self) -> Option<&CStr> {
        self.text(STATMOUNT_MNT_ROOT, 104)
    }

    /// Where it is mounted.
    pub fn point(&self) -> Option<&CStr> {
        self.text(STATMOUNT_MNT_POINT, 108)
    }
}

impl Default for MountStatus {
    fn default() -> Self {
        Self::new()
    }
}

/// What is `wanted` (`STATMOUNT_*`) of the mount `id`. What the kernel does not tell is left empty.
///
/// # Errors
/// `ENOENT` when it is gone; `EPERM` when this process may not see it; `EOVERFLOW` for texts longer than 1,536 bytes together; `ENOSYS` before
/// Linux 6.8.
pub fn statmount(id: u64, wanted: u64, status: &mut MountStatus) -> Result<(), Errno> {
    let request = Request::new(id, wanted);
    // SAFETY: the kernel reads a request of the size that it tells, and writes at most the structure's size.
    unsafe {
        syscall!(nr::STATMOUNT, &raw const request, status.bytes.as_mut_ptr(), status.bytes.len(), 0usize)
    }
    .map(drop)
}

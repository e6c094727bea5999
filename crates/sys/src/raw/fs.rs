//! Files and directories, each named below a directory's descriptor.

use core::ffi::CStr;
use core::mem::size_of;

use super::{Fd, as_fd, nr, syscall, text};
use crate::Errno;

/// `open_how` of openat2(2).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenHow {
    /// `O_*`
    pub flags: u64,
    /// Permission bits of a file that is made.
    pub mode: u64,
    /// `RESOLVE_*`
    pub resolve: u64,
}

/// `O_RDONLY`
pub const O_RDONLY: u64 = 0;
/// `O_WRONLY`
pub const O_WRONLY: u64 = 1;
/// `O_RDWR`
pub const O_RDWR: u64 = 2;
/// `O_CREAT`
pub const O_CREAT: u64 = 0o100;
/// `O_EXCL`
pub const O_EXCL: u64 = 0o200;
/// `O_NONBLOCK`
pub const O_NONBLOCK: u64 = 0o4000;
/// `O_NOCTTY`
pub const O_NOCTTY: u64 = 0o400;
/// `O_TRUNC`
pub const O_TRUNC: u64 = 0o1000;
/// `O_CLOEXEC`
pub const O_CLOEXEC: u64 = 0o2000000;
/// `O_PATH`
pub const O_PATH: u64 = 0o10000000;
/// `O_DIRECTORY`
#[cfg(target_arch = "x86_64")]
pub const O_DIRECTORY: u64 = 0o200000;
/// `O_NOFOLLOW`
#[cfg(target_arch = "x86_64")]
pub const O_NOFOLLOW: u64 = 0o400000;
/// `O_DIRECTORY`
#[cfg(target_arch = "aarch64")]
pub const O_DIRECTORY: u64 = 0o40000;
/// `O_NOFOLLOW`
#[cfg(target_arch = "aarch64")]
pub const O_NOFOLLOW: u64 = 0o100000;

/// `RESOLVE_NO_XDEV`
pub const RESOLVE_NO_XDEV: u64 = 1;
/// `RESOLVE_NO_MAGICLINKS`
pub const RESOLVE_NO_MAGICLINKS: u64 = 2;
/// `RESOLVE_NO_SYMLINKS`
pub const RESOLVE_NO_SYMLINKS: u64 = 4;
/// `RESOLVE_BENEATH`
pub const RESOLVE_BENEATH: u64 = 8;
/// `RESOLVE_IN_ROOT`
pub const RESOLVE_IN_ROOT: u64 = 16;

/// `AT_EMPTY_PATH`
pub const AT_EMPTY_PATH: u64 = 0x1000;
/// `AT_SYMLINK_NOFOLLOW`
pub const AT_SYMLINK_NOFOLLOW: u64 = 0x100;
/// `AT_RECURSIVE`
pub const AT_RECURSIVE: u64 = 0x8000;

/// `S_IFMT`: the bits of a mode that tell the type.
pub const S_IFMT: u32 = 0o170000;
/// `S_IFDIR`
pub const S_IFDIR: u32 = 0o040000;
/// `S_IFLNK`
pub const S_IFLNK: u32 = 0o120000;
/// `S_IFREG`
pub const S_IFREG: u32 = 0o100000;
/// `S_IFCHR`
pub const S_IFCHR: u32 = 0o020000;

/// openat2(2), Linux 5.6.
pub fn openat2(dir: Fd, name: &CStr, how: &OpenHow) -> Result<Fd, Errno> {
    // SAFETY: the kernel reads a terminated string and `size_of::<OpenHow>()` bytes.
    unsafe { syscall!(nr::OPENAT2, dir.arg(), text(name), how as *const OpenHow, size_of::<OpenHow>()) }
        .map(as_fd)
}

/// openat(2).
pub fn openat(dir: Fd, name: &CStr, flags: u64, mode: u32) -> Result<Fd, Errno> {
    // SAFETY: the kernel reads a terminated string.
    unsafe { syscall!(nr::OPENAT, dir.arg(), text(name), flags, mode) }.map(as_fd)
}

/// close(2). The number must not be in use by an owner elsewhere in this program.
pub fn close(fd: Fd) -> Result<(), Errno> {
    // SAFETY: an integer.
    unsafe { syscall!(nr::CLOSE, fd.arg()) }.map(drop)
}

/// close_range(2), Linux 5.9, with `CLOSE_RANGE_CLOEXEC`, Linux 5.11: marks, closes nothing.
pub fn mark_range_close_on_exec(first: u32, last: u32) -> Result<(), Errno> {
    const CLOSE_RANGE_CLOEXEC: usize = 4;
    // SAFETY: integers, and nothing is closed.
    unsafe { syscall!(nr::CLOSE_RANGE, first, last, CLOSE_RANGE_CLOEXEC) }.map(drop)
}

/// close_range(2), Linux 5.9. Only for processes whose descriptors no owner tracks: the stage.
pub fn close_range(first: u32, last: u32) -> Result<(), Errno> {
    // SAFETY: integers.
    unsafe { syscall!(nr::CLOSE_RANGE, first, last, 0usize) }.map(drop)
}

/// Whether this process, by its effective ids and capabilities, may execute what a path names (faccessat2(2), `AT_EACCESS`, Linux 5.8).
pub fn may_execute(path: &CStr) -> Result<(), Errno> {
    const X_OK: usize = 1;
    const AT_EACCESS: usize = 0x200;
    // SAFETY: the kernel reads a terminated string.
    unsafe { syscall!(nr::FACCESSAT2, Fd::CWD.arg(), text(path), X_OK, AT_EACCESS) }.map(drop)
}

/// Sets or clears `FD_CLOEXEC` (fcntl(2), `F_SETFD`).
pub fn set_close_on_exec(fd: Fd, on: bool) -> Result<(), Errno> {
    const F_SETFD: usize = 2;
    // SAFETY: integers.
    unsafe { syscall!(nr::FCNTL, fd.arg(), F_SETFD, on) }.map(drop)
}

/// Whether a descriptor is close-on-exec (fcntl(2), `F_GETFD`); `EBADF` for a number that is none.
pub fn is_close_on_exec(fd: Fd) -> Result<bool, Errno> {
    const F_GETFD: usize = 1;
    // SAFETY: integers.
    unsafe { syscall!(nr::FCNTL, fd.arg(), F_GETFD) }.map(|flags| flags & 1 != 0)
}

/// dup3(2); `new` is replaced, without close-on-exec.
pub fn dup3(old: Fd, new: Fd) -> Result<(), Errno> {
    // SAFETY: integers.
    unsafe { syscall!(nr::DUP3, old.arg(), new.arg(), 0usize) }.map(drop)
}

/// read(2).
pub fn read(fd: Fd, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most the buffer's length.
    unsafe { syscall!(nr::READ, fd.arg(), buffer.as_mut_ptr(), buffer.len()) }
}

/// write(2).
pub fn write(fd: Fd, bytes: &[u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel reads the slice.
    unsafe { syscall!(nr::WRITE, fd.arg(), bytes.as_ptr(), bytes.len()) }
}

/// mkdirat(2).
pub fn mkdirat(dir: Fd, name: &CStr, mode: u32) -> Result<(), Errno> {
    // SAFETY: the kernel reads a terminated string.
    unsafe { syscall!(nr::MKDIRAT, dir.arg(), text(name), mode) }.map(drop)
}

/// mknodat(2); `device` as [`makedev`] makes it, 0 for regular files and pipes.
pub fn mknodat(dir: Fd, name: &CStr, mode: u32, device: u64) -> Result<(), Errno> {
    // SAFETY: the kernel reads a terminated string.
    unsafe { syscall!(nr::MKNODAT, dir.arg(), text(name), mode, device) }.map(drop)
}

/// A device number as mknod(2) takes it (makedev(3)).
pub const fn makedev(major: u32, minor: u32) -> u64 {
    let (major, minor) = (major as u64, minor as u64);
    ((major & 0xffff_f000) << 32) | ((major & 0xfff) << 8) | ((minor & 0xffff_ff00) << 12) | (minor & 0xff)
}

/// symlinkat(2).
pub fn symlinkat(target: &CStr, dir: Fd, name: &CStr) -> Result<(), Errno> {
    // SAFETY: the kernel reads two terminated strings.
    unsafe { syscall!(nr::SYMLINKAT, text(target), dir.arg(), text(name)) }.map(drop)
}

/// readlinkat(2): how many bytes of `buffer` were filled; an empty name reads the link that `dir` is.
pub fn readlinkat(dir: Fd, name: &CStr, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel reads a terminated string and writes at most the buffer's length.
    unsafe { syscall!(nr::READLINKAT, dir.arg(), text(name), buffer.as_mut_ptr(), buffer.len()) }
}

/// fchownat(2) that follows no link; an empty name means `dir` itself.
pub fn fchownat(dir: Fd, name: &CStr, uid: u32, gid: u32) -> Result<(), Errno> {
    let flags = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW;
    // SAFETY: the kernel reads a terminated string.
    unsafe { syscall!(nr::FCHOWNAT, dir.arg(), text(name), uid, gid, flags) }.map(drop)
}

/// fchmodat(2), which follows a link: use it only below directories that no one else writes to.
pub fn fchmodat(dir: Fd, name: &CStr, mode: u32) -> Result<(), Errno> {
    // SAFETY: the kernel reads a terminated string.
    unsafe { syscall!(nr::FCHMODAT, dir.arg(), text(name), mode) }.map(drop)
}

/// getdents64(2): how many bytes of `buffer` were filled with `struct linux_dirent64`; 0 at the end.
pub fn getdents64(dir: Fd, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most the buffer's length.
    unsafe { syscall!(nr::GETDENTS64, dir.arg(), buffer.as_mut_ptr(), buffer.len()) }
}

/// What statx(2) tells of a file, as far as it is needed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Type and permission bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The device that a device node stands for: major, minor.
    pub device: (u32, u32),
    /// Inode number.
    pub inode: u64,
    /// The mount's id (Linux 5.8), 0 where the kernel does not tell.
    pub mount_id: u64,
    /// Whether it is the topmost place of its mount (Linux 5.8); none where the kernel does not tell.
    pub is_mount_root: Option<bool>,
}

/// statx(2), Linux 4.11, following no link; an empty name means `dir` itself.
pub fn status(dir: Fd, name: &CStr) -> Result<Status, Errno> {
    const BASIC_STATS: usize = 0x7ff;
    const MNT_ID: usize = 0x1000;
    const ATTR_MOUNT_ROOT: u64 = 0x2000;
    /// `struct statx` is 256 bytes of naturally aligned integers.
    #[repr(C, align(8))]
    struct Statx([u8; 256]);
    let mut out = Statx([0; 256]);
    let flags = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW;
    // SAFETY: the kernel reads a terminated string and writes a `struct statx`.
    unsafe {
        syscall!(nr::STATX, dir.arg(), text(name), flags, BASIC_STATS | MNT_ID, &raw mut out)?;
    }
    let bytes = &out.0;
    let u32_at = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let u64_at = |at: usize| {
        let mut value = [0; 8];
        value.copy_from_slice(&bytes[at..at + 8]);
        u64::from_ne_bytes(value)
    };
    Ok(Status {
        mode: u16::from_ne_bytes([bytes[28], bytes[29]]).into(),
        uid: u32_at(20),
        gid: u32_at(24),
        inode: u64_at(32),
        device: (u32_at(128), u32_at(132)),
        mount_id: if u32_at(0) as usize & MNT_ID != 0 { u64_at(144) } else { 0 },
        is_mount_root: (u64_at(56) & ATTR_MOUNT_ROOT != 0).then(|| u64_at(8) & ATTR_MOUNT_ROOT != 0),
    })
}

/// The type of the filesystem that `fd` is on (`f_type` of fstatfs(2)).
pub fn filesystem_type(fd: Fd) -> Result<u64, Errno> {
    /// `struct statfs` is 120 bytes; room to spare.
    #[repr(C, align(8))]
    struct Statfs([u64; 32]);
    let mut out = Statfs([0; 32]);
    // SAFETY: the kernel writes a `struct statfs`, which is smaller than the buffer.
    unsafe { syscall!(nr::FSTATFS, fd.arg(), &raw mut out)? };
    Ok(out.0[0])
}

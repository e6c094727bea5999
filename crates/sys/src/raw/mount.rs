//! Mounts: the descriptor-based calls of Linux 5.2, and the older ones where those are missing.

use core::ffi::CStr;
use core::mem::size_of;

use super::{AT_EMPTY_PATH, Fd, as_fd, nr, optional_text, syscall, text};
use crate::Errno;

/// `MOUNT_ATTR_RDONLY`
pub const MOUNT_ATTR_RDONLY: u64 = 0x1;
/// `MOUNT_ATTR_NOSUID`
pub const MOUNT_ATTR_NOSUID: u64 = 0x2;
/// `MOUNT_ATTR_NODEV`
pub const MOUNT_ATTR_NODEV: u64 = 0x4;
/// `MOUNT_ATTR_NOEXEC`
pub const MOUNT_ATTR_NOEXEC: u64 = 0x8;
/// `MOUNT_ATTR__ATIME`: the field of the three access time modes.
pub const MOUNT_ATTR_ATIME: u64 = 0x70;
/// `MOUNT_ATTR_NOATIME`
pub const MOUNT_ATTR_NOATIME: u64 = 0x10;
/// `MOUNT_ATTR_STRICTATIME`
pub const MOUNT_ATTR_STRICTATIME: u64 = 0x20;
/// `MOUNT_ATTR_NODIRATIME`
pub const MOUNT_ATTR_NODIRATIME: u64 = 0x80;
/// `MOUNT_ATTR_IDMAP`, Linux 5.12.
pub const MOUNT_ATTR_IDMAP: u64 = 0x100000;
/// `MOUNT_ATTR_NOSYMFOLLOW`, Linux 5.14.
pub const MOUNT_ATTR_NOSYMFOLLOW: u64 = 0x200000;

/// `OPEN_TREE_CLONE`
pub const OPEN_TREE_CLONE: u64 = 1;

/// `MS_RDONLY`
pub const MS_RDONLY: u64 = 1;
/// `MS_NOSUID`
pub const MS_NOSUID: u64 = 2;
/// `MS_NODEV`
pub const MS_NODEV: u64 = 4;
/// `MS_NOEXEC`
pub const MS_NOEXEC: u64 = 8;
/// `MS_REMOUNT`
pub const MS_REMOUNT: u64 = 32;
/// `MS_NOSYMFOLLOW`
pub const MS_NOSYMFOLLOW: u64 = 256;
/// `MS_NOATIME`
pub const MS_NOATIME: u64 = 1024;
/// `MS_NODIRATIME`
pub const MS_NODIRATIME: u64 = 2048;
/// `MS_BIND`
pub const MS_BIND: u64 = 4096;
/// `MS_MOVE`
pub const MS_MOVE: u64 = 8192;
/// `MS_REC`
pub const MS_REC: u64 = 16384;
/// `MS_UNBINDABLE`
pub const MS_UNBINDABLE: u64 = 1 << 17;
/// `MS_PRIVATE`
pub const MS_PRIVATE: u64 = 1 << 18;
/// `MS_SLAVE`
pub const MS_SLAVE: u64 = 1 << 19;
/// `MS_SHARED`
pub const MS_SHARED: u64 = 1 << 20;
/// `MS_RELATIME`
pub const MS_RELATIME: u64 = 1 << 21;
/// `MS_STRICTATIME`
pub const MS_STRICTATIME: u64 = 1 << 24;

/// fsopen(2), Linux 5.2: a configuration context for a new filesystem.
pub fn fsopen(fstype: &CStr) -> Result<Fd, Errno> {
    const FSOPEN_CLOEXEC: usize = 1;
    // SAFETY: the kernel reads a terminated string.
    unsafe { syscall!(nr::FSOPEN, text(fstype), FSOPEN_CLOEXEC) }.map(as_fd)
}

/// fsconfig(2) with `FSCONFIG_SET_FLAG`.
pub fn fsconfig_flag(context: Fd, key: &CStr) -> Result<(), Errno> {
    // SAFETY: the kernel reads a terminated string.
    unsafe { syscall!(nr::FSCONFIG, context.arg(), 0usize, text(key)) }.map(drop)
}

/// fsconfig(2) with `FSCONFIG_SET_STRING`; the value is at most 255 bytes long.
pub fn fsconfig_string(context: Fd, key: &CStr, value: &CStr) -> Result<(), Errno> {
    // SAFETY: the kernel reads two terminated strings.
    unsafe { syscall!(nr::FSCONFIG, context.arg(), 1usize, text(key), text(value)) }.map(drop)
}

/// fsconfig(2) with `FSCONFIG_SET_FD`.
pub fn fsconfig_fd(context: Fd, key: &CStr, value: Fd) -> Result<(), Errno> {
    // SAFETY: the kernel reads a terminated string.
    unsafe { syscall!(nr::FSCONFIG, context.arg(), 5usize, text(key), 0usize, value.arg()) }.map(drop)
}

/// fsconfig(2) with `FSCONFIG_CMD_CREATE`: makes (or finds) the superblock.
pub fn fsconfig_create(context: Fd) -> Result<(), Errno> {
    // SAFETY: integers.
    unsafe { syscall!(nr::FSCONFIG, context.arg(), 6usize) }.map(drop)
}

/// fsmount(2), Linux 5.2: a detached mount with these `MOUNT_ATTR_*`.
pub fn fsmount(context: Fd, attributes: u64) -> Result<Fd, Errno> {
    const FSMOUNT_CLOEXEC: usize = 1;
    // SAFETY: integers.
    unsafe { syscall!(nr::FSMOUNT, context.arg(), FSMOUNT_CLOEXEC, attributes) }.map(as_fd)
}

/// open_tree(2), Linux 5.2; with [`OPEN_TREE_CLONE`] a detached copy. `flags` also takes `AT_*`.
pub fn open_tree(dir: Fd, name: &CStr, flags: u64) -> Result<Fd, Errno> {
    const OPEN_TREE_CLOEXEC: u64 = super::O_CLOEXEC;
    // SAFETY: the kernel reads a terminated string.
    unsafe { syscall!(nr::OPEN_TREE, dir.arg(), text(name), flags | OPEN_TREE_CLOEXEC) }.map(as_fd)
}

/// open_tree_attr(2), Linux 6.15: open_tree(2), and mount_setattr(2) on what it yields, in one.
pub fn open_tree_attr(dir: Fd, name: &CStr, flags: u64, attr: &MountAttr) -> Result<Fd, Errno> {
    const OPEN_TREE_CLOEXEC: u64 = super::O_CLOEXEC;
    let (flags, size) = (flags | OPEN_TREE_CLOEXEC, size_of::<MountAttr>());
    // SAFETY: the kernel reads a terminated string and a `struct mount_attr`.
    unsafe { syscall!(nr::OPEN_TREE_ATTR, dir.arg(), text(name), flags, attr as *const MountAttr, size) }
        .map(as_fd)
}

/// move_mount(2), Linux 5.2: attaches the mount that `from` is at `name` below `to`, following no link at its end;
/// an empty name means `to` itself.
pub fn move_mount(from: Fd, to: Fd, name: &CStr) -> Result<(), Errno> {
    const F_EMPTY_PATH: usize = 0x4;
    const T_EMPTY_PATH: usize = 0x40;
    // SAFETY: the kernel reads two terminated strings.
    unsafe {
        syscall!(
            nr::MOVE_MOUNT,
            from.arg(),
            text(c""),
            to.arg(),
            text(name),
            F_EMPTY_PATH | if name.is_empty() { T_EMPTY_PATH } else { 0 }
        )
    }
    .map(drop)
}

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct MountAttr {
    /// `MOUNT_ATTR_*` to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` to clear.
    pub clear: u64,
    /// One of `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`, `MS_UNBINDABLE`, or 0.
    pub propagation: u64,
    /// With [`MOUNT_ATTR_IDMAP`]: the user namespace whose mapping the mount takes.
    pub userns: u64,
}

/// mount_setattr(2), Linux 5.12, on the mount that `mount` is in.
pub fn mount_setattr(mount: Fd, recursive: bool, attr: &MountAttr) -> Result<(), Errno> {
    let flags = AT_EMPTY_PATH | if recursive { super::AT_RECURSIVE } else { 0 };
    let size = size_of::<MountAttr>();
    // SAFETY: the kernel reads a terminated string and a `struct mount_attr`.
    unsafe { syscall!(nr::MOUNT_SETATTR, mount.arg(), text(c""), flags, attr as *const MountAttr, size) }
        .map(drop)
}

/// mount(2), the older call: by name.
pub fn mount(
    source: Option<&CStr>,
    target: &CStr,
    fstype: Option<&CStr>,
    flags: u64,
    data: Option<&CStr>,
) -> Result<(), Errno> {
    let (source, fstype, data) = (optional_text(source), optional_text(fstype), optional_text(data));
    // SAFETY: the kernel reads terminated strings, or gets null where it takes null.
    unsafe { syscall!(nr::MOUNT, source, text(target), fstype, flags, data) }.map(drop)
}

/// Detaches the mount at `target` and all below it (umount2(2), `MNT_DETACH`).
pub fn detach_mount(target: &CStr) -> Result<(), Errno> {
    const MNT_DETACH: usize = 2;
    // SAFETY: the kernel reads a terminated string.
    unsafe { syscall!(nr::UMOUNT2, text(target), MNT_DETACH) }.map(drop)
}

/// pivot_root(2) with both names ".": the working directory becomes the root and the old root lies over it.
pub fn pivot_root_here() -> Result<(), Errno> {
    // SAFETY: the kernel reads two terminated strings.
    unsafe { syscall!(nr::PIVOT_ROOT, text(c"."), text(c".")) }.map(drop)
}

/// chroot(2) to the working directory.
pub fn chroot_here() -> Result<(), Errno> {
    // SAFETY: the kernel reads a terminated string.
    unsafe { syscall!(nr::CHROOT, text(c".")) }.map(drop)
}

/// fchdir(2).
pub fn fchdir(dir: Fd) -> Result<(), Errno> {
    // SAFETY: an integer.
    unsafe { syscall!(nr::FCHDIR, dir.arg()) }.map(drop)
}

/// getcwd(2): how many bytes of `buffer` were filled, the terminator included.
pub fn getcwd(buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most the buffer's length.
    unsafe { syscall!(nr::GETCWD, buffer.as_mut_ptr(), buffer.len()) }
}

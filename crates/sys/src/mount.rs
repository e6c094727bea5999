//! Mounts by descriptor, made detached: nothing is attached anywhere until it is moved there (Linux 5.2).

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::raw::{self, Fd, MountAttr};
use crate::{Errno, SyscallError, owned};

/// A filesystem that is being configured (fsopen(2), Linux 5.2).
#[derive(Debug)]
pub struct Context {
    fd: OwnedFd,
    fstype: &'static str,
}

impl Context {
    /// A new filesystem of this type.
    ///
    /// # Errors
    /// `ENODEV` when the kernel has no such type; `EPERM` without `CAP_SYS_ADMIN` over the mount namespace.
    pub fn new(fstype: &'static str) -> Result<Self, SyscallError> {
        let name = c_string("fsopen", fstype.as_bytes())?;
        let fd = owned(raw::fsopen(&name)).map_err(|errno| SyscallError::new("fsopen", fstype, errno))?;
        Ok(Self { fd, fstype })
    }

    /// Sets a parameter that has a value, at most 255 bytes long.
    pub fn set(&self, key: &str, value: &str) -> Result<(), SyscallError> {
        let (name, text) = (c_string("fsconfig", key.as_bytes())?, c_string("fsconfig", value.as_bytes())?);
        raw::fsconfig_string(Fd::from(&self.fd), &name, &text)
            .map_err(|errno| self.failed(&format!("{key}={value}"), errno))
    }

    /// Sets a parameter that has no value.
    pub fn flag(&self, key: &str) -> Result<(), SyscallError> {
        let name = c_string("fsconfig", key.as_bytes())?;
        raw::fsconfig_flag(Fd::from(&self.fd), &name).map_err(|errno| self.failed(key, errno))
    }

    /// Sets a parameter that is a descriptor.
    pub fn set_fd(&self, key: &str, value: BorrowedFd<'_>) -> Result<(), SyscallError> {
        let name = c_string("fsconfig", key.as_bytes())?;
        raw::fsconfig_fd(Fd::from(&self.fd), &name, Fd::from(&value)).map_err(|errno| self.failed(key, errno))
    }

    /// Makes the filesystem and a detached mount of it with these `MOUNT_ATTR_*`.
    pub fn mount(self, attributes: u64) -> Result<OwnedFd, SyscallError> {
        raw::fsconfig_create(Fd::from(&self.fd)).map_err(|errno| self.failed("create", errno))?;
        owned(raw::fsmount(Fd::from(&self.fd), attributes))
            .map_err(|errno| SyscallError::new("fsmount", self.fstype, errno))
    }

    fn failed(&self, what: &str, errno: Errno) -> SyscallError {
        SyscallError::new("fsconfig", format!("{}, {what}", self.fstype), errno)
    }
}

/// A detached copy of the mount at `path`, of all below it too if `recursive`.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN` over the mount namespace; `EINVAL` when mounts below are locked and would be left out.
pub fn clone_tree(path: &Path, recursive: bool) -> Result<OwnedFd, SyscallError> {
    let name = c_string("open_tree", path.as_os_str().as_bytes())?;
    let flags = raw::OPEN_TREE_CLONE | if recursive { raw::AT_RECURSIVE } else { 0 };
    owned(raw::open_tree(Fd::CWD, &name, flags))
        .map_err(|errno| SyscallError::new("open_tree", path.display().to_string(), errno))
}

/// Attaches a detached mount at a name below a directory, and follows no link there.
///
/// # Errors
/// `EINVAL` when the directory is in a detached mount itself, before Linux 6.15.
pub fn attach(mount: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &str) -> Result<(), SyscallError> {
    let text = c_string("move_mount", name.as_bytes())?;
    raw::move_mount(Fd::from(&mount), Fd::from(&to), &text)
        .map_err(|errno| SyscallError::new("move_mount", name, errno))
}

/// A detached copy of the mount that `place` is in, from there on and without what is mounted in it.
///
/// # Errors
/// `EINVAL` when it is no mount of this process's mount namespace, or mounts in it are locked.
pub fn clone_bare(place: BorrowedFd<'_>, subject: &str) -> Result<OwnedFd, SyscallError> {
    owned(raw::open_tree(Fd::from(&place), c"", raw::OPEN_TREE_CLONE | raw::AT_EMPTY_PATH))
        .map_err(|errno| SyscallError::new("open_tree", subject, errno))
}

/// Changes attributes of a mount (mount_setattr(2), Linux 5.12). `subject` names it in an error.
pub fn set_attributes(
    mount: BorrowedFd<'_>,
    recursive: bool,
    attr: &MountAttr,
    subject: &str,
) -> Result<(), SyscallError> {
    raw::mount_setattr(Fd::from(&mount), recursive, attr)
        .map_err(|errno| SyscallError::new("mount_setattr", subject, errno))
}

/// Gives a detached mount, and all below it if `recursive`, the id mapping of a user namespace (`MOUNT_ATTR_IDMAP`, Linux 5.12).
///
/// # Errors
/// `EINVAL` when the filesystem does not support it, or the mount has a mapping already.
pub fn map_ids(
    mount: BorrowedFd<'_>,
    recursive: bool,
    userns: &impl AsFd,
    subject: &str,
) -> Result<(), SyscallError> {
    let userns = Fd::from(&userns.as_fd()).0 as u64;
    let attr = MountAttr { set: raw::MOUNT_ATTR_IDMAP, userns, ..MountAttr::default() };
    set_attributes(mount, recursive, &attr, subject)
}

/// Gives the calling thread a mount namespace of its own, from which nothing comes back. Other threads stay; there is no way back,
/// so this is for a thread that ends soon.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`.
pub fn enter_private_namespace() -> Result<(), SyscallError> {
    const CLONE_NEWNS: u64 = 0x2_0000;
    raw::unshare(CLONE_NEWNS).map_err(|errno| SyscallError::new("unshare", "the mount namespace", errno))?;
    raw::mount(None, c"/", None, raw::MS_REC | raw::MS_PRIVATE, None)
        .map_err(|errno| SyscallError::new("mount", "/, private", errno))
}

/// Attaches a detached mount over `/`, where no path leads to it: it then belongs to the mount namespace.
pub fn attach_over_root(mount: BorrowedFd<'_>, subject: &str) -> Result<(), SyscallError> {
    raw::move_mount(Fd::from(&mount), Fd::CWD, c"/")
        .map_err(|errno| SyscallError::new("move_mount", format!("{subject}, over /"), errno))
}

fn c_string(call: &'static str, bytes: &[u8]) -> Result<CString, SyscallError> {
    CString::new(bytes).map_err(|_| SyscallError::new(call, String::from_utf8_lossy(bytes), Errno::INVAL))
}

/// A handle of a procfs instance of this process's pid namespace that is mounted nowhere, so that nothing can be mounted over parts of
/// it (CVE-2019-16884 and its successors). Falls back to /proc, checked to be procfs, where it cannot be made.
pub fn private_procfs() -> Result<OwnedFd, SyscallError> {
    const PROC_SUPER_MAGIC: u64 = 0x9fa0;
    if let Ok(proc) = Context::new("proc").and_then(|context| context.mount(0)) {
        return Ok(proc);
    }
    let flags = raw::O_PATH | raw::O_DIRECTORY | raw::O_NOFOLLOW | raw::O_CLOEXEC;
    let name: &CStr = c"/proc";
    let proc = owned(raw::openat(Fd::CWD, name, flags, 0))
        .map_err(|errno| SyscallError::new("openat", "/proc", errno))?;
    match raw::filesystem_type(Fd::from(&proc)) {
        Ok(PROC_SUPER_MAGIC) => Ok(proc),
        Ok(_) => Err(SyscallError::new("fstatfs", "/proc, which is no procfs", Errno::XDEV)),
        Err(errno) => Err(SyscallError::new("fstatfs", "/proc", errno)),
    }
}

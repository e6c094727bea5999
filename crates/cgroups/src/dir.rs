//! A group's directory: files below a handle of the mounted hierarchy.
//!
//! A [`Dir`] is a handle of the hierarchy's mount and a path below it that a [`crate::CgroupPath`] or the kernel
//! itself provided: it has no `..`, and cgroupfs has no symbolic links, so it leads nowhere else. Every call
//! costs one system call on that pair; no handle per group has to be opened.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno as Failure;
use sys::SyscallError;

use crate::error::Error;
use crate::layout::Version;

/// `f_type` of a v1 hierarchy (linux/magic.h).
pub(crate) const CGROUP_SUPER_MAGIC: u64 = 0x0027_e0eb;
/// `f_type` of the v2 hierarchy.
pub(crate) const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;

/// A directory of a hierarchy.
#[derive(Debug, Clone)]
pub(crate) struct Dir {
    mount: Arc<OwnedFd>,
    mount_path: Arc<Path>,
    below: PathBuf,
}

impl Dir {
    /// Opens the directory where a hierarchy is mounted.
    pub(crate) fn open_mount(path: &Path) -> Result<Self, Error> {
        let fd = rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let fd = fd.map_err(|errno| Error::Use {
            group: path.to_path_buf(),
            cause: SyscallError::new("open", path.display().to_string(), errno),
        })?;
        Ok(Self { mount: Arc::new(fd), mount_path: path.into(), below: PathBuf::new() })
    }

    /// The directory at `below`, relative to the mount.
    pub(crate) fn at(&self, below: impl Into<PathBuf>) -> Self {
        Self { below: below.into(), ..self.clone() }
    }

    /// A child.
    pub(crate) fn child(&self, name: &OsStr) -> Self {
        self.at(self.below.join(name))
    }

    /// The parent, unless this is the mount itself.
    pub(crate) fn parent(&self) -> Option<Self> {
        self.below.parent().map(|parent| self.at(parent))
    }

    /// Where this is, for people and records.
    pub(crate) fn path(&self) -> PathBuf {
        if self.is_mount() { self.mount_path.to_path_buf() } else { self.mount_path.join(&self.below) }
    }

    /// The path below the mount.
    pub(crate) fn below(&self) -> &Path {
        &self.below
    }

    /// Where the hierarchy is mounted.
    pub(crate) fn mount_path(&self) -> PathBuf {
        self.mount_path.to_path_buf()
    }

    /// Whether the directory is there.
    pub(crate) fn exists(&self) -> bool {
        rustix::fs::accessat(self.fd(), &self.below, rustix::fs::Access::EXISTS, AtFlags::empty()).is_ok()
    }

    /// Whether this process may make groups in it.
    pub(crate) fn is_writable(&self) -> bool {
        let path = if self.is_mount() { Path::new(".") } else { &self.below };
        rustix::fs::accessat(self.fd(), path, rustix::fs::Access::WRITE_OK, AtFlags::EACCESS).is_ok()
    }

    /// Makes sure that a hierarchy of `version` is mounted here: the path comes from a record.
    pub(crate) fn verify(&self, version: Version) -> Result<(), Error> {
        let wanted = match version {
            Version::V1 => CGROUP_SUPER_MAGIC,
            Version::V2 => CGROUP2_SUPER_MAGIC,
        };
        let found = rustix::fs::fstatfs(self.fd()).map_err(|errno| self.failed("fstatfs", "", errno))?;
        if found.f_type as u64 == wanted {
            return Ok(());
        }
        let what = format!("no cgroup {version:?} hierarchy is mounted there");
        Err(Error::Unreadable { file: self.mount_path(), what })
    }

    pub(crate) fn is_mount(&self) -> bool {
        self.below.as_os_str().is_empty()
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.mount.as_fd()
    }

    /// Makes the directory.
    pub(crate) fn make(&self) -> Result<(), Failure> {
        rustix::fs::mkdirat(self.fd(), &self.below, Mode::from_raw_mode(0o755))
    }

    /// Removes the directory.
    pub(crate) fn unmake(&self) -> Result<(), Failure> {
        rustix::fs::unlinkat(self.fd(), &self.below, AtFlags::REMOVEDIR)
    }

    /// Opens a file in it.
    pub(crate) fn open_file(&self, file: &str, flags: OFlags) -> Result<OwnedFd, Failure> {
        rustix::fs::openat(self.fd(), self.below.join(file), flags | OFlags::CLOEXEC, Mode::empty())
    }

    /// Opens the directory itself for reading; what `CLONE_INTO_CGROUP` and bpf(2) take.
    pub(crate) fn open_self(&self) -> Result<OwnedFd, Failure> {
        let path = if self.is_mount() { Path::new(".") } else { &self.below };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(self.fd(), path, flags, Mode::empty())
    }

    /// Reads a whole file.
    pub(crate) fn read(&self, file: &str) -> Result<Vec<u8>, Failure> {
        read_to_end(&self.open_file(file, OFlags::RDONLY)?)
    }

    /// Writes a value in one call, as cgroupfs wants it.
    pub(crate) fn write(&self, file: &str, value: &[u8]) -> Result<(), Failure> {
        write_once(&self.open_file(file, OFlags::WRONLY)?, value)
    }

    /// The names of the directories in it.
    pub(crate) fn children(&self) -> Result<Vec<OsString>, Failure> {
        self.entries(|kind| kind == FileType::Directory)
    }

    /// The names of the files in it.
    pub(crate) fn files(&self) -> Result<Vec<String>, Failure> {
        let names = self.entries(|kind| kind == FileType::RegularFile)?;
        Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    fn entries(&self, wanted: impl Fn(FileType) -> bool) -> Result<Vec<OsString>, Failure> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(self.open_self()?)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if wanted(entry.file_type()) && name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_os_string());
            }
        }
        Ok(names)
    }

    /// An error about a file of this group.
    pub(crate) fn failed(&self, call: &'static str, file: &str, errno: Failure) -> Error {
        let subject = self.path().join(file).display().to_string();
        Error::Use { group: self.path(), cause: SyscallError::new(call, subject, errno) }
    }
}

/// A whole file of /proc or cgroupfs by its path, in as few calls as its size allows.
pub(crate) fn read_path(path: &Path) -> Result<Vec<u8>, SyscallError> {
    let failed = |call, errno: Failure| SyscallError::new(call, path.display().to_string(), errno);
    let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let fd = fd.map_err(|errno| failed("open", errno))?;
    read_to_end(&fd).map_err(|errno| failed("read", errno))
}

/// Everything that can be read from a file of /proc or cgroupfs.
pub(crate) fn read_to_end(fd: &impl AsFd) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::with_capacity(4096);
    loop {
        let mut chunk = [0u8; 4096];
        match rustix::io::read(fd, &mut chunk) {
            Ok(0) => return Ok(bytes),
            Ok(length) => bytes.extend_from_slice(&chunk[..length]),
            Err(Failure::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// One write(2) with the whole value: every write is a command of its own to cgroupfs.
pub(crate) fn write_once(fd: &impl AsFd, value: &[u8]) -> Result<(), Failure> {
    loop {
        match rustix::io::write(fd, value) {
            Ok(_) => return Ok(()),
            Err(Failure::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

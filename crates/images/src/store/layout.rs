//! Where things lie in the store, and how files come to be in it: whole, or not at all.
//!
//! ```text
//! blobs/sha256/HEX     content, named by its digest
//! layers/HEX/          what was made of a plain archive: `index.erofs`, or `tree`
//! refs/HEX.json        names of images, from which the database can be made anew
//! snapshots/ID/        what containers changed
//! locks/               who is at work: a file each, locked as long as its process lives
//! tmp/                 what is on its way in or out
//! holm.db              the table of contents
//! ```

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, CWD, Mode, OFlags};
use sys::SyscallError;

use crate::Error;
use crate::digest::Digest;

/// The directories of a store.
const DIRECTORIES: [&str; 8] =
    ["", "blobs", "blobs/sha256", "blobs/sha512", "layers", "refs", "snapshots", "locks"];
/// What is on its way.
const TMP: &str = "tmp";

/// The paths of a store.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The store at `root`, whose directories are made if missing, for the owner alone: programs with set-user-id bits lie in it
    /// (CVE-2021-41091).
    ///
    /// # Errors
    /// What cannot be made.
    pub fn make(root: &Path) -> Result<Self, Error> {
        for name in DIRECTORIES.iter().chain([&TMP]) {
            let path = root.join(name);
            if path.is_dir() {
                continue;
            }
            std::fs::DirBuilder::new()
                .recursive(true)
                .create(&path)
                .and_then(|()| {
                    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700))
                })
                .map_err(|error| step("make the image store", "mkdir", &path, error))?;
        }
        Ok(Self { root: root.to_owned() })
    }

    /// Where it lies.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.root.join("holm.db")
    }

    /// Content by its digest.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    /// The directory of what was made of a plain archive.
    pub fn layer(&self, diff_id: &Digest) -> PathBuf {
        self.root.join("layers").join(diff_id.hex())
    }

    /// The index over a plain archive.
    pub fn index(&self, diff_id: &Digest) -> PathBuf {
        self.layer(diff_id).join("index.erofs")
    }

    /// The extracted files of a plain archive.
    pub fn tree(&self, diff_id: &Digest) -> PathBuf {
        self.layer(diff_id).join("tree")
    }

    /// The file that remembers a name.
    pub fn reference(&self, name: &str) -> PathBuf {
        self.root.join("refs").join(format!("{}.json", &Digest::of(name.as_bytes()).hex()[..40]))
    }

    /// The directory of a container's changes.
    pub fn snapshot(&self, id: &str) -> PathBuf {
        self.root.join("snapshots").join(id)
    }

    /// The lock of a lease.
    pub fn lock(&self, name: &str) -> PathBuf {
        self.root.join("locks").join(name)
    }

    /// What is on its way.
    pub fn tmp(&self) -> PathBuf {
        self.root.join(TMP)
    }

    /// Writes a small file of the store: the old content or the new one is there at any moment.
    ///
    /// # Errors
    /// What failed; the old content is then still there.
    pub fn replace(&self, path: &Path, content: &[u8]) -> Result<(), Error> {
        let new = self.tmp().join(format!("new-{}", random_name()));
        let write = || -> io::Result<()> {
            let mut file = File::options().write(true).create_new(true).open(&new)?;
            file.write_all(content)?;
            file.sync_data()?;
            std::fs::rename(&new, path)
        };
        let outcome = write().map_err(|error| step("write to the image store", "write", path, error));
        match &outcome {
            Ok(()) => path.parent().map_or(Ok(()), sync_directory),
            Err(_) => {
                let _ = std::fs::remove_file(&new);
                outcome
            }
        }
    }
}

/// A file on its way into the store. Nobody sees it before [`Incoming::link`]; without that nothing is left of it.
#[derive(Debug)]
pub struct Incoming {
    file: File,
    /// Its name, where the filesystem has no unnamed files (`O_TMPFILE`).
    named: Option<PathBuf>,
}

impl Incoming {
    /// An empty file in the store's `tmp`.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn new(layout: &Layout) -> Result<Self, Error> {
        let tmp = layout.tmp();
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match fs::openat(CWD, &tmp, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => return Ok(Self { file: file.into(), named: None }),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::INVAL) => {}
            Err(errno) => return Err(step("write to the image store", "openat", &tmp, errno)),
        }
        let path = tmp.join(format!("incoming-{}", random_name()));
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|error| step("write to the image store", "openat", &path, error))?;
        Ok(Self { file, named: Some(path) })
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The file by another descriptor, for reading only: of its own position.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn reader(&self) -> Result<OwnedFd, Error> {
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        fs::openat(CWD, &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| step("read what was just written", "openat", Path::new(&path), errno))
    }

    /// Makes its content survive a power cut.
    ///
    /// # Errors
    /// Those of fdatasync(2): also what could not be written before.
    pub fn sync(&self) -> Result<(), Error> {
        fs::fdatasync(&self.file).map_err(|errno| Error::call("write to the image store", "fdatasync", errno))
    }

    /// Gives it its name, from which what was there before is gone in the same moment.
    ///
    /// # Errors
    /// Those of linkat(2) and rename(2).
    pub fn replace(self, layout: &Layout, to: &Path) -> Result<(), Error> {
        let new = layout.tmp().join(format!("new-{}", random_name()));
        self.link(&new)?;
        std::fs::rename(&new, to).map_err(|error| {
            let _ = std::fs::remove_file(&new);
            step("keep what was written", "rename", to, error)
        })
    }

    /// Gives it its name. One that is there already stays: content has the same name only if it is the same.
    ///
    /// # Errors
    /// Those of linkat(2).
    pub fn link(mut self, to: &Path) -> Result<(), Error> {
        let outcome = match self.named.take() {
            None => {
                let from = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                fs::linkat(CWD, &from, CWD, to, AtFlags::SYMLINK_FOLLOW)
            }
            Some(from) => {
                let outcome = fs::linkat(CWD, &from, CWD, to, AtFlags::empty());
                let _ = std::fs::remove_file(&from);
                outcome
            }
        };
        match outcome {
            Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
            Err(errno) => Err(step("keep what was written", "linkat", to, errno)),
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(path) = &self.named {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Makes the names in a directory survive a power cut.
///
/// # Errors
/// Those of fsync(2).
pub fn sync_directory(path: &Path) -> Result<(), Error> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(|error| step("write to the image store", "fsync", path, error))
}

/// Reads a small file, at most `limit` bytes.
///
/// # Errors
/// What failed, or that there is more.
pub fn read_small(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let file = File::open(path).map_err(|error| step("read from the image store", "open", path, error))?;
    let length = file.metadata().map_or(0, |meta| meta.len()).min(limit);
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1);
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| step("read from the image store", "read", path, error))?;
    if bytes.len() as u64 > limit {
        return Err(Error::Limit {
            what: path.display().to_string(),
            limit: format!("{limit} bytes"),
            flag: None,
        });
    }
    Ok(bytes)
}

/// 16 hexadecimal digits that nobody else has.
pub fn random_name() -> String {
    let mut bytes = [0u8; 8];
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => break,
        }
    }
    format!("{:016x}", u64::from_ne_bytes(bytes))
}

/// Which start of the machine this is: what is not synced is certain to be whole only until the next one.
pub fn boot_id() -> String {
    static BOOT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let read =
        || std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
    BOOT.get_or_init(read).clone()
}

pub(crate) fn step(what: &str, call: &'static str, path: &Path, error: impl Into<sys::Errno>) -> Error {
    Error::step(what, SyscallError::new(call, path.display().to_string(), error))
}

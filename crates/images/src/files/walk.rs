//! A walk through a tree, each directory before what is in it, names in order.
//!
//! Every entry is opened from the root on without following links (`RESOLVE_NO_SYMLINKS` or its like), so that a directory that somebody
//! swaps for a link leads nowhere, and so that depth costs no descriptors.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{CWD, Dir, Mode, OFlags, Stat, fstat, openat};
use sys::below::Links;
use sys::raw;

use crate::layer::index::{S_IFDIR, S_IFMT, S_IFREG};
use crate::layer::limits::MAX_XATTR_BYTES;

/// This process's descriptors, by which a file that was looked at is opened: that one, and no other that has its name by now. Take it
/// before the root changes.
#[derive(Debug)]
pub struct Reopener(OwnedFd);

impl Reopener {
    /// Opens `/proc/self/fd`.
    ///
    /// # Errors
    /// Where there is no procfs.
    pub fn new() -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(openat(CWD, "/proc/self/fd", flags, Mode::empty())?))
    }

    pub(super) fn directory(&self) -> &OwnedFd {
        &self.0
    }

    /// Opens for reading what `place` is, which has to be a regular file or a directory.
    ///
    /// # Errors
    /// Those of open(2); `EINVAL` for what is neither: opening a device does things.
    pub fn read(&self, place: BorrowedFd<'_>) -> io::Result<OwnedFd> {
        match fstat(place)?.st_mode & S_IFMT {
            S_IFREG | S_IFDIR => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                Ok(openat(&self.0, place.as_raw_fd().to_string(), flags, Mode::empty())?)
            }
            _ => Err(rustix::io::Errno::INVAL.into()),
        }
    }
}

/// Something that a walk came across.
#[derive(Debug)]
pub struct Found {
    /// Its path below the root.
    pub path: Vec<u8>,
    /// What it is.
    pub status: Stat,
    /// It, as a place (`O_PATH`).
    pub place: OwnedFd,
}

impl Found {
    /// The bits of the mode that tell what it is.
    pub fn kind(&self) -> u32 {
        self.status.st_mode & S_IFMT
    }

    /// Its last component.
    pub fn name(&self) -> &[u8] {
        self.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
    }
}

/// A directory on the way: what of it is still to come, the last first.
struct Level {
    names: Vec<Vec<u8>>,
    path_len: usize,
}

/// A walk.
pub struct Walk<'r> {
    root: BorrowedFd<'r>,
    levels: Vec<Level>,
    path: Vec<u8>,
    /// The directory that was found last, which is gone into next.
    next: Option<OwnedFd>,
}

impl<'r> Walk<'r> {
    /// Begins below `root`, a directory; the root itself is not part of it.
    ///
    /// # Errors
    /// Those of reading it.
    pub fn new(root: BorrowedFd<'r>) -> io::Result<Self> {
        let names = names(root)?;
        Ok(Self { root, levels: vec![Level { names, path_len: 0 }], path: Vec::new(), next: None })
    }

    /// Does not go into the directory that was found last.
    pub fn leave_out(&mut self) {
        self.next = None;
    }

    /// The next entry; none at the end. What goes away meanwhile is as if it had never been there.
    ///
    /// # Errors
    /// Those of the calls.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> io::Result<Option<Found>> {
        if let Some(directory) = self.next.take() {
            match names(directory.as_fd()) {
                Ok(names) => self.levels.push(Level { names, path_len: self.path.len() }),
                Err(error) if has_gone(&error) => {}
                Err(error) => return Err(error),
            }
        }
        loop {
            let Some(level) = self.levels.last_mut() else { return Ok(None) };
            let Some(name) = level.names.pop() else {
                self.levels.pop();
                continue;
            };
            self.path.truncate(level.path_len);
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(&name);
            let place = match place(self.root, &self.path) {
                Ok(place) => place,
                Err(error) if has_gone(&error) => continue,
                Err(error) => return Err(error),
            };
            let status = fstat(&place)?;
            if status.st_mode & S_IFMT == S_IFDIR {
                self.next = Some(place.try_clone()?);
            }
            return Ok(Some(Found { path: self.path.clone(), status, place }));
        }
    }
}

/// What lies at `path` below `root`, as a place; no link is followed, the last component's neither.
///
/// # Errors
/// Those of openat2(2): `ELOOP` for a link on the way.
pub fn place(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    sys::resolve::open_below(root, path, raw::O_PATH | raw::O_NOFOLLOW, Links::Refused)
        .map_err(|error| io::Error::from_raw_os_error(error.errno.raw()))
}

/// Whether something was taken away, or became something else, while it was looked at.
pub(super) fn has_gone(error: &io::Error) -> bool {
    const GONE: [rustix::io::Errno; 3] =
        [rustix::io::Errno::NOENT, rustix::io::Errno::NOTDIR, rustix::io::Errno::LOOP];
    GONE.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// The names in a directory, the last one first.
fn names(directory: BorrowedFd<'_>) -> io::Result<Vec<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(directory, ".", flags, Mode::empty())?;
    let mut names = Vec::new();
    for entry in Dir::new(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable_by(|one, other| other.cmp(one));
    Ok(names)
}

/// The extended attributes of an open file that `keep` wants, in order of names.
///
/// # Errors
/// Those of the calls; a file system without attributes has none.
pub fn attributes(file: impl AsFd, keep: fn(&[u8]) -> bool) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut names = vec![0; 512];
    let len = match rustix::fs::flistxattr(&file, &mut names[..]) {
        Err(rustix::io::Errno::RANGE) => {
            names.resize(MAX_XATTR_BYTES, 0);
            rustix::fs::flistxattr(&file, &mut names[..])
        }
        outcome => outcome,
    };
    let len = match len {
        Ok(len) => len,
        Err(rustix::io::Errno::OPNOTSUPP) => 0,
        Err(errno) => return Err(errno.into()),
    };
    for name in names[..len].split(|byte| *byte == 0).filter(|name| !name.is_empty() && keep(name)) {
        let mut value = vec![0; MAX_XATTR_BYTES];
        match rustix::fs::fgetxattr(&file, std::ffi::OsStr::from_bytes(name), &mut value[..]) {
            Ok(len) => value.truncate(len),
            Err(rustix::io::Errno::NODATA) => continue,
            Err(errno) => return Err(errno.into()),
        }
        found.push((name.to_vec(), value));
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn scene(name: &str) -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(format!("holm-walk-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn open(path: &Path) -> OwnedFd {
        crate::transfer::write::open_directory(path).unwrap()
    }

    #[test]
    fn directories_come_before_what_is_in_them_and_links_are_not_followed() {
        let dir = scene("order");
        fs::create_dir_all(dir.join("b/deep/er")).unwrap();
        fs::write(dir.join("b/deep/file"), "").unwrap();
        fs::write(dir.join("a"), "").unwrap();
        symlink("/etc", dir.join("c")).unwrap();
        let root = open(&dir);
        let mut walk = Walk::new(root.as_fd()).unwrap();
        let mut seen = Vec::new();
        while let Some(found) = walk.next().unwrap() {
            seen.push(String::from_utf8(found.path.clone()).unwrap());
        }
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(seen, ["a", "b", "b/deep", "b/deep/er", "b/deep/file", "c"]);
    }

    #[test]
    fn a_directory_that_becomes_a_link_is_as_if_it_were_gone() {
        let dir = scene("swap");
        fs::create_dir_all(dir.join("d/inner")).unwrap();
        fs::write(dir.join("d/inner/x"), "").unwrap();
        fs::write(dir.join("e"), "").unwrap();
        let root = open(&dir);
        let mut walk = Walk::new(root.as_fd()).unwrap();
        let mut seen = Vec::new();
        while let Some(found) = walk.next().unwrap() {
            if found.path == b"d" {
                fs::rename(dir.join("d"), dir.join("z")).unwrap();
                symlink("/etc", dir.join("d")).unwrap();
            }
            seen.push(String::from_utf8(found.path.clone()).unwrap());
        }
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(seen, ["d", "e"]);
    }

    #[test]
    fn depth_takes_no_descriptors() {
        let dir = scene("deep");
        let mut here = open(&dir);
        for _ in 0..1100 {
            rustix::fs::mkdirat(&here, "d", Mode::RWXU).unwrap();
            here = openat(&here, "d", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        let root = open(&dir);
        let mut walk = Walk::new(root.as_fd()).unwrap();
        let mut count = 0;
        while walk.next().unwrap().is_some() {
            count += 1;
        }
        assert_eq!(count, 1100);
        // The path is longer than some programs that remove trees can take.
        for _ in 0..1100 {
            here = openat(&here, "..", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
            rustix::fs::unlinkat(&here, "d", rustix::fs::AtFlags::REMOVEDIR).unwrap();
        }
        fs::remove_dir(&dir).unwrap();
    }

    #[test]
    fn attributes_are_found_however_many_there_are() {
        let path = scene("attributes").join("file");
        fs::write(&path, "").unwrap();
        let file = fs::File::open(&path).unwrap();
        let set = |name: &str| rustix::fs::fsetxattr(&file, name, b"value", rustix::fs::XattrFlags::empty());
        if set("user.one").is_ok() {
            assert_eq!(attributes(&file, |_| true).unwrap(), [(b"user.one".to_vec(), b"value".to_vec())]);
            for number in 0..40 {
                set(&format!("user.a-rather-long-name-{number:02}")).unwrap();
            }
            assert_eq!(attributes(&file, |name| name.starts_with(b"user.a")).unwrap().len(), 40);
        } else {
            eprintln!(
                "SKIPPED attributes_are_found_however_many_there_are: no attributes on this file system"
            );
        }
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn only_files_and_directories_are_opened() {
        let reopener = Reopener::new().unwrap();
        let null = openat(CWD, "/dev/null", OFlags::PATH, Mode::empty()).unwrap();
        assert!(reopener.read(null.as_fd()).is_err());
        let file = openat(CWD, "/etc/passwd", OFlags::PATH, Mode::empty()).unwrap();
        assert!(reopener.read(file.as_fd()).is_ok());
    }
}

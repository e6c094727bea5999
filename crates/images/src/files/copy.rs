//! Copying trees: files, directories, links and the rest, with owners, modes, times, holes and attributes.
//!
//! [`layers`] makes one tree of several layers, as overlayfs would show them. Both sides are reached by descriptors and no link is
//! followed: neither a hostile image nor somebody who has the place in his container meanwhile can make a file appear, or change its
//! owner, anywhere else. Depth costs no descriptors. Content is shared with the original where the file system can (`FICLONE`), and copied by the kernel
//! elsewhere (copy_file_range(2)).

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, SeekFrom, Stat, Timespec, Timestamps, Uid, XattrFlags,
    chmodat, chownat, copy_file_range, fchmod, fchown, fsetxattr, fstat, ftruncate, futimens, ioctl_ficlone,
    linkat, mkdirat, mknodat, openat, readlinkat, seek, statat, symlinkat, utimensat,
};
use rustix::io::Errno;
use sys::SyscallError;
use sys::below::Links;

use super::walk;

/// What is copied in one piece where the kernel does not do it.
const CHUNK: usize = 128 << 10;
/// The mark of a directory that hides what layers below have there, in layers of root's and of others'.
const OPAQUE: [&[u8]; 2] = [b"trusted.overlay.opaque", b"user.overlay.opaque"];

/// The attributes of a file that belong to it wherever it is: labels of SELinux belong to places, and attributes of overlayfs to layers.
pub fn of_files(name: &[u8]) -> bool {
    let is_kept = name.starts_with(b"user.")
        || name.starts_with(b"security.capability")
        || name.starts_with(b"system.posix_acl_");
    is_kept && !name.starts_with(b"user.overlay.")
}

/// Copies what `from` show, the topmost first, into the directory `to`, which becomes like the root of the topmost. What is mounted in one
/// of them is no part of it; what is in the way in `to` is an error.
///
/// # Errors
/// The first call that failed; what was copied until then is there.
pub fn layers(from: &[BorrowedFd<'_>], to: BorrowedFd<'_>) -> Result<(), SyscallError> {
    let mut copy = Copy {
        from,
        to,
        may_give: rustix::process::geteuid().is_root(),
        may_clone: true,
        links: HashMap::new(),
        buffer: Vec::new(),
    };
    let Some(topmost) = from.first() else { return Ok(()) };
    let like = fstat(topmost).map_err(|errno| SyscallError::new("fstat", "a layer", errno))?;
    let mut todo =
        vec![Work::Fill(Directory { path: PathBuf::new(), layers: (0..from.len()).collect(), like })];
    while let Some(work) = todo.pop() {
        match work {
            Work::Fill(directory) => {
                let inner = copy.fill(&directory)?;
                // At last: what is made in a directory changes its time, and one that is read-only takes no more.
                todo.push(Work::Finish(directory));
                todo.extend(inner.into_iter().map(Work::Fill));
            }
            Work::Finish(directory) => copy.finish_directory(&directory)?,
        }
    }
    Ok(())
}

enum Work {
    Fill(Directory),
    Finish(Directory),
}

/// A directory, and the layers whose directories of this path are seen in it, the topmost first.
struct Directory {
    path: PathBuf,
    layers: Vec<usize>,
    like: Stat,
}

/// A name in a directory.
struct Entry {
    layers: Vec<usize>,
    like: Stat,
    /// Lower layers add nothing.
    closed: bool,
    /// There is nothing of this name.
    hidden: bool,
}

struct Copy<'f> {
    from: &'f [BorrowedFd<'f>],
    to: BorrowedFd<'f>,
    /// Whether files can be given to others.
    may_give: bool,
    /// Whether content can be shared, as far as is known.
    may_clone: bool,
    /// Where the first copy is of a file that has several names.
    links: HashMap<(u64, u64), PathBuf>,
    buffer: Vec<u8>,
}

fn failed(call: &'static str, path: &Path) -> impl Fn(Errno) -> SyscallError {
    let path = path.to_owned();
    move |errno| SyscallError::new(call, path.display().to_string(), errno)
}

/// Opens a directory below another one.
fn directory(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, SyscallError> {
    let flags = sys::raw::O_RDONLY | sys::raw::O_DIRECTORY;
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    sys::resolve::open_below(root, path, flags, Links::Refused)
}

impl Copy<'_> {
    /// Copies what is in a directory; directories in it are made and returned, to be gone through.
    fn fill(&mut self, into: &Directory) -> Result<Vec<Directory>, SyscallError> {
        let mut opened: HashMap<usize, OwnedFd> = HashMap::new();
        let mut entries: BTreeMap<Vec<u8>, Entry> = BTreeMap::new();
        for layer in &into.layers {
            let from = directory(self.from[*layer], &into.path)?;
            merge(&mut entries, *layer, &from, &into.path)?;
            let is_opaque = is_opaque(&from)
                .map_err(|error| SyscallError::new("fgetxattr", into.path.display().to_string(), error))?;
            opened.insert(*layer, from);
            if is_opaque {
                break;
            }
        }
        let to = directory(self.to, &into.path)?;
        let mut inner = Vec::new();
        for (name, Entry { layers, like, hidden, .. }) in entries {
            let Some(from) = layers.first().and_then(|layer| opened.get(layer)).filter(|_| !hidden) else {
                continue;
            };
            let name = OsStr::from_bytes(&name);
            let path = into.path.join(name);
            if FileType::from_raw_mode(like.st_mode) == FileType::Directory {
                mkdirat(&to, name, Mode::RWXU).map_err(failed("mkdirat", &path))?;
                inner.push(Directory { path, layers, like });
            } else {
                self.entry(from, &to, name, &like, &path)?;
            }
        }
        Ok(inner)
    }

    /// Copies one entry that is no directory.
    fn entry(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        name: &OsStr,
        like: &Stat,
        path: &Path,
    ) -> Result<(), SyscallError> {
        let kind = FileType::from_raw_mode(like.st_mode);
        if like.st_nlink > 1 && self.link(like, to, name, path)? {
            return Ok(());
        }
        match kind {
            FileType::RegularFile => {
                // A file that was put there in place of this one is waited for by nobody.
                let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let source = openat(from, name, read, Mode::empty()).map_err(failed("openat", path))?;
                let write = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let target =
                    openat(to, name, write, Mode::RUSR | Mode::WUSR).map_err(failed("openat", path))?;
                let (source, target) = (File::from(source), File::from(target));
                self.content(&source, &target, like.st_size as u64).map_err(failed("write", path))?;
                self.finish(source.as_fd(), target.as_fd(), like, path)
            }
            FileType::Symlink => {
                let target = readlinkat(from, name, Vec::new()).map_err(failed("readlinkat", path))?;
                symlinkat(&target, to, name).map_err(failed("symlinkat", path))?;
                self.own(like, |uid, gid| chownat(to, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW))
                    .map_err(failed("fchownat", path))?;
                utimensat(to, name, &times(like), AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(failed("utimensat", path))
            }
            _ => match mknodat(to, name, kind, Mode::RUSR | Mode::WUSR, like.st_rdev) {
                // Nobody but root makes devices; there are none in what he can see either.
                Err(Errno::PERM) if !self.may_give => Ok(()),
                outcome => {
                    outcome.map_err(failed("mknodat", path))?;
                    self.finish_node(to, name, kind, like).map_err(failed("fchmodat", path))
                }
            },
        }
    }

    /// Another name of a file that was copied already. False for the first one, which is to be copied.
    fn link(&mut self, like: &Stat, to: &OwnedFd, name: &OsStr, path: &Path) -> Result<bool, SyscallError> {
        let Some(first) = self.links.get(&(like.st_dev, like.st_ino)) else {
            self.links.insert((like.st_dev, like.st_ino), path.to_owned());
            return Ok(false);
        };
        let flags = sys::raw::O_PATH | sys::raw::O_NOFOLLOW;
        // Below the directory that is copied to, whatever somebody has made of the way there.
        let file = match sys::resolve::open_below(self.to, first, flags, Links::Refused) {
            // A link of a link cannot be opened so: it becomes a copy.
            Err(error) if error.errno == sys::Errno::LOOP => return Ok(false),
            outcome => outcome?,
        };
        linkat(CWD, magic(&file), to, name, AtFlags::SYMLINK_FOLLOW).map_err(failed("linkat", path))?;
        Ok(true)
    }

    /// The content of a file, without its holes.
    fn content(&mut self, source: &File, target: &File, len: u64) -> Result<(), Errno> {
        if len == 0 {
            return Ok(());
        }
        if self.may_clone {
            match ioctl_ficlone(target, source) {
                Ok(()) => return Ok(()),
                Err(_) => self.may_clone = false,
            }
        }
        let mut at = 0;
        while at < len {
            let data = match seek(source, SeekFrom::Data(at)) {
                Ok(data) => data,
                // Nothing but a hole is left.
                Err(Errno::NXIO) => break,
                Err(_) => at,
            };
            let end = seek(source, SeekFrom::Hole(data)).unwrap_or(len).clamp(data, len);
            self.range(source, target, data, end)?;
            at = end.max(data + 1);
        }
        ftruncate(target, len)
    }

    fn range(&mut self, source: &File, target: &File, from: u64, to: u64) -> Result<(), Errno> {
        let (mut read, mut written) = (from, from);
        while written < to {
            let rest = usize::try_from(to - written).unwrap_or(usize::MAX).min(1 << 30);
            match copy_file_range(source, Some(&mut read), target, Some(&mut written), rest) {
                Ok(0) | Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                    break;
                }
                Ok(_) => {}
                Err(errno) => return Err(errno),
            }
        }
        self.buffer.resize(CHUNK, 0);
        while written < to {
            let rest = usize::try_from(to - written).unwrap_or(CHUNK).min(CHUNK);
            let code = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
            match source.read_at(&mut self.buffer[..rest], written).map_err(code)? {
                // It became shorter.
                0 => break,
                count => {
                    target.write_all_at(&self.buffer[..count], written).map_err(code)?;
                    written += count as u64;
                }
            }
        }
        Ok(())
    }

    fn own(
        &self,
        like: &Stat,
        chown: impl FnOnce(Option<Uid>, Option<Gid>) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        match self.may_give {
            true => chown(Some(Uid::from_raw(like.st_uid)), Some(Gid::from_raw(like.st_gid))),
            false => Ok(()),
        }
    }

    fn finish_directory(&self, done: &Directory) -> Result<(), SyscallError> {
        let topmost = done.layers.first().map_or(self.to, |layer| self.from[*layer]);
        let (from, to) = (directory(topmost, &done.path)?, directory(self.to, &done.path)?);
        self.finish(from.as_fd(), to.as_fd(), &done.like, &done.path)
    }

    /// Owner, attributes, mode and times, in this order: a new owner takes set-user-ID bits and capabilities away.
    fn finish(
        &self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        like: &Stat,
        path: &Path,
    ) -> Result<(), SyscallError> {
        self.own(like, |uid, gid| fchown(to, uid, gid)).map_err(failed("fchown", path))?;
        let attributes = walk::attributes(from, of_files)
            .map_err(|error| SyscallError::new("fgetxattr", path.display().to_string(), error))?;
        for (name, value) in attributes {
            match fsetxattr(to, OsStr::from_bytes(&name), &value, XattrFlags::empty()) {
                // The file system has no such attributes; what only root may set is not set by others.
                Err(Errno::NOTSUP) => {}
                Err(Errno::PERM) if !self.may_give => {}
                outcome => outcome.map_err(failed("fsetxattr", path))?,
            }
        }
        fchmod(to, mode(like)).map_err(failed("fchmod", path))?;
        futimens(to, &times(like)).map_err(failed("utimensat", path))
    }

    /// The same for what cannot be opened. `name` may be something else by now: then it is left as it is.
    fn finish_node(&self, to: &OwnedFd, name: &OsStr, kind: FileType, like: &Stat) -> Result<(), Errno> {
        let node = openat(to, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        if FileType::from_raw_mode(fstat(&node)?.st_mode) != kind {
            return Ok(());
        }
        self.own(like, |uid, gid| chownat(&node, c"", uid, gid, AtFlags::EMPTY_PATH))?;
        chmodat(CWD, magic(&node), mode(like), AtFlags::empty())?;
        utimensat(CWD, magic(&node), &times(like), AtFlags::empty())
    }
}

/// Adds what a layer has in a directory to what the layers above have.
fn merge(
    entries: &mut BTreeMap<Vec<u8>, Entry>,
    layer: usize,
    from: &OwnedFd,
    path: &Path,
) -> Result<(), SyscallError> {
    let device = fstat(from).map_err(failed("fstat", path))?.st_dev;
    for entry in Dir::read_from(from).map_err(failed("openat", path))? {
        let entry = entry.map_err(failed("getdents64", path))?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." || entries.get(name).is_some_and(|above| above.closed) {
            continue;
        }
        let like = match statat(from, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            outcome => outcome.map_err(failed("fstatat", &path.join(OsStr::from_bytes(name))))?,
        };
        let is_directory = FileType::from_raw_mode(like.st_mode) == FileType::Directory;
        let is_foreign = is_directory && like.st_dev != device;
        let is_whiteout =
            FileType::from_raw_mode(like.st_mode) == FileType::CharacterDevice && like.st_rdev == 0;
        match entries.get_mut(name) {
            Some(above) if is_directory && !is_foreign => above.layers.push(layer),
            Some(above) => above.closed = true,
            None => {
                let hidden = is_whiteout || is_foreign;
                let new = Entry { layers: vec![layer], like, closed: !is_directory || hidden, hidden };
                entries.insert(name.to_vec(), new);
            }
        }
    }
    Ok(())
}

fn is_opaque(directory: &OwnedFd) -> std::io::Result<bool> {
    let marks = walk::attributes(directory, |name| OPAQUE.contains(&name))?;
    Ok(marks.iter().any(|(_, value)| value == b"y"))
}

/// What a descriptor is open on, as a path.
fn magic(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

fn mode(like: &Stat) -> Mode {
    Mode::from_raw_mode(like.st_mode & 0o7777)
}

fn times(like: &Stat) -> Timestamps {
    let time = |seconds, nanoseconds: u64| Timespec { tv_sec: seconds, tv_nsec: nanoseconds as _ };
    Timestamps {
        last_access: time(like.st_atime, like.st_atime_nsec),
        last_modification: time(like.st_mtime, like.st_mtime_nsec),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::write::open_directory;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    struct Scratch(PathBuf);

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn scratch(name: &str) -> Scratch {
        let base = std::env::temp_dir().join(format!("holm-copy-{}-{name}", std::process::id()));
        std::fs::create_dir_all(base.join("from")).unwrap();
        std::fs::create_dir_all(base.join("to")).unwrap();
        Scratch(base)
    }

    fn copy(scratch: &Scratch) -> Result<(), SyscallError> {
        let open = |name| open_directory(&scratch.0.join(name)).unwrap();
        layers(&[open("from").as_fd()], open("to").as_fd())
    }

    #[test]
    fn a_tree_is_copied_as_it_is() {
        let scratch = scratch("whole");
        let (from, to) = (scratch.0.join("from"), scratch.0.join("to"));
        std::fs::create_dir(from.join("a")).unwrap();
        std::fs::write(from.join("a/file"), vec![7; 100_000]).unwrap();
        std::fs::hard_link(from.join("a/file"), from.join("again")).unwrap();
        symlink("/etc/passwd", from.join("link")).unwrap();
        mknodat(CWD, from.join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        fsetxattr(File::open(from.join("a/file")).unwrap(), "user.note", b"x", XattrFlags::empty()).unwrap();
        for (path, mode) in [("a/file", 0o4711), ("a", 0o500), ("pipe", 0o640), ("", 0o2750)] {
            std::fs::set_permissions(from.join(path), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        copy(&scratch).unwrap();
        for path in ["", "a", "a/file", "again", "link", "pipe"] {
            let (one, two) =
                (from.join(path).symlink_metadata().unwrap(), to.join(path).symlink_metadata().unwrap());
            assert_eq!((one.mode(), one.uid(), one.gid()), (two.mode(), two.uid(), two.gid()), "{path}");
            assert_eq!((one.mtime(), one.mtime_nsec()), (two.mtime(), two.mtime_nsec()), "{path}");
        }
        assert_eq!(std::fs::read(to.join("again")).unwrap(), vec![7; 100_000]);
        assert_eq!(to.join("again").metadata().unwrap().ino(), to.join("a/file").metadata().unwrap().ino());
        assert_eq!(std::fs::read_link(to.join("link")).unwrap(), Path::new("/etc/passwd"));
        let file = File::open(to.join("a/file")).unwrap();
        let notes = walk::attributes(&file, |name| name == b"user.note").unwrap();
        assert_eq!(notes, [(b"user.note".to_vec(), b"x".to_vec())]);
    }

    #[test]
    fn holes_stay_holes() {
        let scratch = scratch("holes");
        let file = File::create(scratch.0.join("from/file")).unwrap();
        file.write_all_at(&[7; 8192], 1 << 30).unwrap();
        file.set_len(4 << 30).unwrap();
        copy(&scratch).unwrap();
        let copied = File::open(scratch.0.join("to/file")).unwrap();
        let mut bytes = [0; 8192];
        copied.read_exact_at(&mut bytes, 1 << 30).unwrap();
        let about = copied.metadata().unwrap();
        assert_eq!((bytes, about.len()), ([7; 8192], 4 << 30));
        assert!(about.blocks() * 512 < 1 << 20, "{} blocks", about.blocks());
    }

    #[test]
    fn a_link_in_the_way_is_not_followed() {
        let scratch = scratch("links");
        std::fs::create_dir_all(scratch.0.join("from/sub")).unwrap();
        std::fs::write(scratch.0.join("from/sub/file"), "inside").unwrap();
        std::fs::create_dir(scratch.0.join("outside")).unwrap();
        symlink("../outside", scratch.0.join("to/sub")).unwrap();
        assert_eq!(copy(&scratch).unwrap_err().errno, sys::Errno::EXIST);
        assert_eq!(std::fs::read_dir(scratch.0.join("outside")).unwrap().count(), 0);
    }

    #[test]
    fn depth_takes_no_descriptors() {
        let scratch = scratch("deep");
        let deep: PathBuf = std::iter::repeat_n("d", 400).collect();
        std::fs::create_dir_all(scratch.0.join("from").join(&deep)).unwrap();
        copy(&scratch).unwrap();
        assert!(scratch.0.join("to").join(&deep).is_dir());
    }
}

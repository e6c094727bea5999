//! Copying a tree into a volume: files, directories, links and the rest, with owners, modes, times and attributes.
//!
//! Both sides are walked on descriptors and no link is followed: neither a hostile image nor somebody who has the volume in his container
//! meanwhile can make a file appear, or change its owner, anywhere else.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags, chmodat,
    chownat, fchmod, fchown, fgetxattr, flistxattr, fsetxattr, fstat, futimens, linkat, mkdirat, mknodat,
    openat, readlinkat, statat, symlinkat, utimensat,
};
use rustix::io::Errno;
use sys::SyscallError;
use sys::below::Links;

/// How deep directories may be nested; each level takes three descriptors.
const MAX_DEPTH: usize = 200;
/// The longest list of attributes, and value of one, that the kernel has (xattr(7)).
const MAX_ATTRIBUTE: usize = 64 << 10;

/// Whether a directory has nothing in it.
pub(super) fn is_empty(directory: BorrowedFd<'_>) -> Result<bool, SyscallError> {
    let failed = |errno| SyscallError::new("getdents64", "the volume", errno);
    for entry in Dir::read_from(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name() != c"." && entry.file_name() != c".." {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A directory on both sides.
struct Level {
    from: OwnedFd,
    to: OwnedFd,
    entries: Dir,
    /// What the directory is like.
    like: Stat,
    /// Where it is below the top.
    path: PathBuf,
}

/// Copies what is in `from` into `to`, which becomes like it. What is in the way in `to` is an error.
///
/// # Errors
/// The first call that failed; what was copied until then is there.
pub(super) fn tree(from: OwnedFd, to: OwnedFd) -> Result<(), SyscallError> {
    let top = to.try_clone().map_err(|error| SyscallError::new("fcntl", "the volume", error))?;
    let may_give = rustix::process::geteuid().is_root();
    let mut copy = Copy { top, may_give, links: HashMap::new() };
    let mut levels = vec![level(from, to, PathBuf::new())?];
    while let Some(current) = levels.last_mut() {
        let Some(entry) = current.entries.next() else {
            if let Some(done) = levels.pop() {
                // At last: what is made in a directory changes its time, and one that is read-only takes no more.
                copy.finish(done.from.as_fd(), done.to.as_fd(), &done.like, &done.path)?;
            }
            continue;
        };
        let path = current.path.clone();
        let entry =
            entry.map_err(|errno| SyscallError::new("getdents64", path.display().to_string(), errno))?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        if let Some((from, to, path)) = copy.entry(current, name)? {
            if levels.len() == MAX_DEPTH {
                return Err(SyscallError::new("openat", path.display().to_string(), sys::Errno::LOOP));
            }
            levels.push(level(from, to, path)?);
        }
    }
    Ok(())
}

fn level(from: OwnedFd, to: OwnedFd, path: PathBuf) -> Result<Level, SyscallError> {
    let failed = |call| {
        let path = path.display().to_string();
        move |errno: Errno| SyscallError::new(call, path, errno)
    };
    let like = fstat(&from).map_err(failed("fstat"))?;
    let entries = Dir::read_from(&from).map_err(failed("openat"))?;
    Ok(Level { from, to, entries, like, path })
}

struct Copy {
    top: OwnedFd,
    /// Whether files can be given to others.
    may_give: bool,
    /// Where the first copy is of a file that has several names.
    links: HashMap<(u64, u64), PathBuf>,
}

impl Copy {
    /// Copies one entry; a directory is made and returned, to be gone through.
    fn entry(
        &mut self,
        level: &Level,
        name: &CStr,
    ) -> Result<Option<(OwnedFd, OwnedFd, PathBuf)>, SyscallError> {
        let path = level.path.join(Path::new(std::ffi::OsStr::from_bytes(name.to_bytes())));
        let failed = |call| {
            let path = path.display().to_string();
            move |errno: Errno| SyscallError::new(call, path, errno)
        };
        let like = statat(&level.from, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed("fstatat"))?;
        let kind = FileType::from_raw_mode(like.st_mode);
        let (from, to) = (&level.from, &level.to);
        match kind {
            // What is mounted in the tree is no part of it.
            FileType::Directory if like.st_dev != level.like.st_dev => {}
            FileType::Directory => {
                mkdirat(to, name, Mode::RWXU).map_err(failed("mkdirat"))?;
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let inner = openat(from, name, flags, Mode::empty()).map_err(failed("openat"))?;
                let made = openat(to, name, flags, Mode::empty()).map_err(failed("openat"))?;
                return Ok(Some((inner, made, path)));
            }
            _ if like.st_nlink > 1 && self.link(&like, to, name, &path)? => {}
            FileType::RegularFile => {
                // A file that was put there in place of this one is waited for by nobody.
                let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let source = openat(from, name, read, Mode::empty()).map_err(failed("openat"))?;
                let write = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let target = openat(to, name, write, Mode::RUSR | Mode::WUSR).map_err(failed("openat"))?;
                let (mut source, mut target) = (File::from(source), File::from(target));
                std::io::copy(&mut source, &mut target)
                    .map_err(|error| SyscallError::new("write", path.display().to_string(), error))?;
                self.finish(source.as_fd(), target.as_fd(), &like, &path)?;
            }
            FileType::Symlink => {
                let target = readlinkat(from, name, Vec::new()).map_err(failed("readlinkat"))?;
                symlinkat(&target, to, name).map_err(failed("symlinkat"))?;
                self.own(&like, |uid, gid| chownat(to, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW))
                    .map_err(failed("fchownat"))?;
                utimensat(to, name, &times(&like), AtFlags::SYMLINK_NOFOLLOW).map_err(failed("utimensat"))?;
            }
            _ => match mknodat(to, name, kind, Mode::RUSR | Mode::WUSR, like.st_rdev) {
                // Nobody but root makes devices; there are none in what he can see either.
                Err(Errno::PERM) if !self.may_give => {}
                outcome => {
                    outcome.map_err(failed("mknodat"))?;
                    self.finish_node(to, name, kind, &like).map_err(failed("fchmodat"))?;
                }
            },
        }
        Ok(None)
    }

    /// Another name of a file that was copied already. False for the first one, which is to be copied.
    fn link(&mut self, like: &Stat, to: &OwnedFd, name: &CStr, path: &Path) -> Result<bool, SyscallError> {
        let failed = |call| {
            let path = path.display().to_string();
            move |errno: Errno| SyscallError::new(call, path, errno)
        };
        let Some(first) = self.links.get(&(like.st_dev, like.st_ino)) else {
            self.links.insert((like.st_dev, like.st_ino), path.to_owned());
            return Ok(false);
        };
        let flags = sys::raw::O_PATH | sys::raw::O_NOFOLLOW;
        // Below the volume's own directory, whatever somebody has made of the way there.
        let file = sys::resolve::open_below(self.top.as_fd(), first, flags, Links::Refused);
        let file = match file {
            // A link of a link cannot be opened so: it becomes a copy.
            Err(error) if error.errno == sys::Errno::LOOP => return Ok(false),
            outcome => outcome?,
        };
        linkat(CWD, magic(&file), to, name, AtFlags::SYMLINK_FOLLOW).map_err(failed("linkat"))?;
        Ok(true)
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

    /// Owner, attributes, mode and times, in this order: a new owner takes set-user-ID bits and capabilities away.
    fn finish(
        &self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        like: &Stat,
        path: &Path,
    ) -> Result<(), SyscallError> {
        let failed = |call| {
            let path = path.display().to_string();
            move |errno: Errno| SyscallError::new(call, path, errno)
        };
        self.own(like, |uid, gid| fchown(to, uid, gid)).map_err(failed("fchown"))?;
        self.attributes(from, to).map_err(failed("fsetxattr"))?;
        fchmod(to, mode(like)).map_err(failed("fchmod"))?;
        futimens(to, &times(like)).map_err(failed("utimensat"))
    }

    /// The same for what cannot be opened. `name` may be something else by now: then it is left as it is.
    fn finish_node(&self, to: &OwnedFd, name: &CStr, kind: FileType, like: &Stat) -> Result<(), Errno> {
        let node = openat(to, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        if FileType::from_raw_mode(fstat(&node)?.st_mode) != kind {
            return Ok(());
        }
        self.own(like, |uid, gid| chownat(&node, c"", uid, gid, AtFlags::EMPTY_PATH))?;
        chmodat(CWD, magic(&node), mode(like), AtFlags::empty())?;
        utimensat(CWD, magic(&node), &times(like), AtFlags::empty())
    }

    fn attributes(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
        let mut names = Vec::with_capacity(MAX_ATTRIBUTE);
        match flistxattr(from, rustix::buffer::spare_capacity(&mut names)) {
            Err(Errno::NOTSUP) => return Ok(()),
            outcome => outcome.map(drop)?,
        }
        for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            // Labels of SELinux belong to places, and attributes of overlayfs to layers.
            let kept = [&b"user."[..], b"security.capability", b"system.posix_acl_"];
            let overlay = name.starts_with(b"user.overlay.");
            if overlay || !kept.iter().any(|prefix| name.starts_with(prefix)) {
                continue;
            }
            let Ok(name) = CString::new(name) else { continue };
            let mut value = Vec::with_capacity(MAX_ATTRIBUTE);
            match fgetxattr(from, &name, rustix::buffer::spare_capacity(&mut value)) {
                // It went meanwhile.
                Err(Errno::NODATA) => continue,
                outcome => outcome.map(drop)?,
            }
            match fsetxattr(to, &name, &value, XattrFlags::empty()) {
                // The volume's file system has no such attributes; what only root may set is not set by others.
                Err(Errno::NOTSUP) => {}
                Err(Errno::PERM) if !self.may_give => {}
                outcome => outcome?,
            }
        }
        Ok(())
    }
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
        let open = |name| monitor::exit::open_directory(&scratch.0.join(name)).unwrap();
        tree(open("from"), open("to"))
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
        let mut value = Vec::with_capacity(16);
        fgetxattr(
            File::open(to.join("a/file")).unwrap(),
            "user.note",
            rustix::buffer::spare_capacity(&mut value),
        )
        .unwrap();
        assert_eq!(value, b"x");
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
    fn nesting_has_an_end() {
        let scratch = scratch("deep");
        let deep: PathBuf = std::iter::repeat_n("d", MAX_DEPTH + 5).collect();
        std::fs::create_dir_all(scratch.0.join("from").join(deep)).unwrap();
        assert_eq!(copy(&scratch).unwrap_err().errno, sys::Errno::LOOP);
    }
}

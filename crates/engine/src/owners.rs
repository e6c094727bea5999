//! Giving the files of a volume to the container's user: the option `U` of `--volume`, as podman has it.
//!
//! The tree is walked on descriptors and no link is followed, so that what lies outside of it keeps its owner whatever is in it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use report::{Explain, Hint, Kind};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid, chownat, fstat, openat, statat};
use sys::SyscallError;

/// A tree that changes hands before the container starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gift {
    /// Its topmost file or directory, without symlinks in it.
    pub path: PathBuf,
    /// The new owner, as the host's file system has it.
    pub uid: u32,
    /// The new group.
    pub gid: u32,
}

/// Files cannot be given away.
#[derive(Debug, thiserror::Error)]
#[error("cannot give {} to user {} and group {}", gift.path.display(), gift.uid, gift.gid)]
pub struct NotGiven {
    gift: Gift,
    #[source]
    cause: SyscallError,
}

impl Explain for NotGiven {
    fn below(&self) -> Option<&dyn Explain> {
        Some(&self.cause)
    }

    fn hint(&self) -> Option<Hint> {
        match self.cause.kind() {
            Kind::PermissionDenied => Some(Hint::new(
                "only root can give files away; without `U` the volume is used with the owners that it has",
            )),
            _ => None,
        }
    }
}

/// How deep directories may be nested; each level takes a descriptor.
const MAX_DEPTH: usize = 512;

impl Gift {
    /// Changes the owner of everything in the tree, on its file system. Set-user-ID bits go with the former owner (chown(2)).
    ///
    /// # Errors
    /// The first file that the kernel does not give away, one nested too deep (`ELOOP`) included.
    pub fn give(&self) -> Result<(), NotGiven> {
        self.walk().map_err(|cause| NotGiven { gift: self.clone(), cause })
    }

    fn walk(&self) -> Result<(), SyscallError> {
        let failed = |call, name: &str, errno: rustix::io::Errno| SyscallError::new(call, name, errno);
        let shown = self.path.to_string_lossy();
        let mut flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if self.path.starts_with("/proc/self/fd") {
            // A descriptor of ours: the link is the way to what it is open on.
            flags.remove(OFlags::NOFOLLOW);
        }
        let top =
            openat(CWD, &self.path, flags, Mode::empty()).map_err(|errno| failed("openat", &shown, errno))?;
        let status = fstat(&top).map_err(|errno| failed("fstat", &shown, errno))?;
        self.own(&top, "", AtFlags::EMPTY_PATH)?;
        if FileType::from_raw_mode(status.st_mode) != FileType::Directory {
            return Ok(());
        }
        let mut levels = vec![list(&top, ".")?];
        loop {
            let depth = levels.len();
            let Some((directory, entries)) = levels.last_mut() else { return Ok(()) };
            let Some(entry) = entries.next() else {
                levels.pop();
                continue;
            };
            let entry = entry.map_err(|errno| failed("getdents64", &shown, errno))?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let shown = name.to_string_lossy();
            let found = match statat(&*directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(rustix::io::Errno::NOENT) => continue,
                outcome => outcome.map_err(|errno| failed("fstatat", &shown, errno))?,
            };
            // What is mounted in the tree is somebody else's.
            if found.st_dev != status.st_dev {
                continue;
            }
            self.own(&*directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
                if depth == MAX_DEPTH {
                    return Err(SyscallError::new("openat", shown.into_owned(), sys::Errno::LOOP));
                }
                let below = list(&*directory, name)?;
                levels.push(below);
            }
        }
    }

    fn own(
        &self,
        at: impl AsFd,
        name: impl rustix::path::Arg + Copy,
        flags: AtFlags,
    ) -> Result<(), SyscallError> {
        let shown = name.to_string_lossy().into_owned();
        chownat(at, name, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)), flags)
            .map_err(|errno| SyscallError::new("fchownat", shown, errno))
    }
}

fn list(at: impl AsFd, name: impl rustix::path::Arg + Copy) -> Result<(OwnedFd, Dir), SyscallError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let shown = name.to_string_lossy().into_owned();
    let failed = |call, errno: rustix::io::Errno| SyscallError::new(call, shown.clone(), errno);
    let directory = openat(at, name, flags, Mode::empty()).map_err(|errno| failed("openat", errno))?;
    let entries = Dir::read_from(&directory).map_err(|errno| failed("openat", errno))?;
    Ok((directory, entries))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    #[test]
    fn a_tree_changes_hands_and_what_its_links_point_to_does_not() {
        if !rustix::process::geteuid().is_root() {
            eprintln!(
                "SKIPPED a_tree_changes_hands_and_what_its_links_point_to_does_not: only root can give files away"
            );
            return;
        }
        let base = std::env::temp_dir().join(format!("holm-owners-{}", std::process::id()));
        let tree = base.join("tree");
        std::fs::create_dir_all(tree.join("a/b")).unwrap();
        std::fs::write(tree.join("a/b/file"), "").unwrap();
        std::fs::write(base.join("outside"), "").unwrap();
        symlink("../outside", tree.join("link")).unwrap();
        symlink("/", tree.join("a/root")).unwrap();
        let given = Gift { path: tree.clone(), uid: 4711, gid: 4712 }.give();
        let owner = |path: &str| {
            let status = std::fs::symlink_metadata(base.join(path)).unwrap();
            (status.uid(), status.gid())
        };
        let inside = ["tree", "tree/a", "tree/a/b", "tree/a/b/file", "tree/link", "tree/a/root"].map(owner);
        let outside = owner("outside");
        std::fs::remove_dir_all(&base).unwrap();
        given.unwrap();
        assert_eq!(inside, [(4711, 4712); 6]);
        assert_eq!(outside, (0, 0));
    }

    #[test]
    fn a_tree_that_is_missing_is_told_by_name() {
        let gift = Gift { path: "/nonexistent/tree".into(), uid: 1, gid: 1 };
        let error = gift.give().unwrap_err();
        assert_eq!(error.to_string(), "cannot give /nonexistent/tree to user 1 and group 1");
    }
}

//! Taking away a directory with everything in it, whatever a container has made of it.
//!
//! Nothing is followed that leads elsewhere. Directories may lie in each other deeper than a process may open files: what lies deeper than
//! [`DEPTH`] is moved up first.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, openat, renameat_with, unlinkat};
use rustix::io::Errno;

/// How many directories are open at once.
const DEPTH: usize = 32;

/// Removes what is at `path`. What is not there is fine.
///
/// # Errors
/// Those of the calls; `ENOTEMPTY` when somebody puts something in meanwhile.
pub(super) fn remove(path: &Path) -> Result<(), Errno> {
    match rmdir(CWD, path) {
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        Err(Errno::NOTDIR) => return unlinkat(CWD, path, AtFlags::empty()),
        outcome => return outcome,
    }
    let top = match openat(CWD, path, DIRECTORY, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        outcome => outcome?,
    };
    let mut moved = 0;
    loop {
        let before = moved;
        empty(top.as_fd(), top.as_fd(), 0, &mut moved)?;
        match rmdir(CWD, path) {
            // What was moved up may have been met already, and may not.
            Err(Errno::NOTEMPTY | Errno::EXIST) if moved > before => {}
            outcome => return outcome,
        }
    }
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn rmdir(dir: impl AsFd, name: impl rustix::path::Arg) -> Result<(), Errno> {
    match unlinkat(dir, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOENT) => Ok(()),
        outcome => outcome,
    }
}

fn empty(top: BorrowedFd<'_>, dir: BorrowedFd<'_>, depth: usize, moved: &mut usize) -> Result<(), Errno> {
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if entry.file_type() != FileType::Directory {
            match unlinkat(dir, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => continue,
                // The file system does not tell in its lists what is a directory.
                Err(Errno::ISDIR | Errno::PERM) if entry.file_type() == FileType::Unknown => {}
                Err(errno) => return Err(errno),
            }
        }
        // Most that a container leaves are empty, and then that was all.
        match rmdir(dir, name) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            outcome => {
                outcome?;
                continue;
            }
        }
        if depth >= DEPTH {
            move_up(top, dir, name, moved)?;
            continue;
        }
        let inside = openat(dir, name, DIRECTORY, Mode::empty())?;
        empty(top, inside.as_fd(), depth + 1, moved)?;
        rmdir(dir, name)?;
    }
    Ok(())
}

fn move_up(
    top: BorrowedFd<'_>,
    dir: BorrowedFd<'_>,
    name: &std::ffi::CStr,
    moved: &mut usize,
) -> Result<(), Errno> {
    loop {
        *moved += 1;
        match renameat_with(dir, name, top, format!(".moved-{moved}"), RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{mkdirat, symlinkat};

    struct Scratch(std::path::PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("holm-tree-{name}-{}", std::process::id()));
            std::fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = remove(&self.0);
        }
    }

    #[test]
    fn links_are_taken_away_and_what_they_lead_to_is_not() {
        let scratch = Scratch::new("links");
        let (kept, tree) = (scratch.0.join("kept"), scratch.0.join("tree"));
        std::fs::create_dir_all(tree.join("a/b")).unwrap();
        std::fs::create_dir(&kept).unwrap();
        std::fs::write(kept.join("file"), "x").unwrap();
        std::fs::write(tree.join("a/file"), "x").unwrap();
        symlinkat("../../kept", CWD, tree.join("a/link")).unwrap();
        symlinkat("/", CWD, tree.join("root")).unwrap();
        remove(&tree).unwrap();
        assert!(!tree.exists() && kept.join("file").exists());
        remove(&tree).unwrap();
        remove(&kept.join("file")).unwrap();
        assert!(!kept.join("file").exists());
    }

    #[test]
    fn no_tree_is_too_deep() {
        let scratch = Scratch::new("deep");
        let tree = scratch.0.join("tree");
        std::fs::create_dir(&tree).unwrap();
        let mut inner = openat(CWD, &tree, DIRECTORY, Mode::empty()).unwrap();
        // Deeper than descriptors, and longer than a path may be.
        for _ in 0..3000 {
            for name in ["x", ".moved-1"] {
                mkdirat(&inner, name, Mode::RWXU).unwrap();
            }
            inner = openat(&inner, "x", DIRECTORY, Mode::empty()).unwrap();
        }
        drop(inner);
        remove(&tree).unwrap();
        assert!(!tree.exists());
    }
}

//! Following a path below a root directory, whatever is in it: a symlink or `..` cannot lead out.
//!
//! [`open`] follows, [`ensure`] also makes what is missing. Where the kernel has openat2(2) it does the work
//! (`RESOLVE_IN_ROOT`); elsewhere, and where something has to be made, `Walk` goes component by component over
//! descriptors. Neither allocates. The result is always a descriptor: nothing is looked up twice.

use core::ffi::CStr;

use crate::Errno;
use crate::raw::{self, Fd, OpenHow};

/// How links on the way are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// Followed, below the root: `/` in a link is the root. Links of procfs that jump elsewhere are refused.
    InRoot,
    /// Refused with `ELOOP`, anywhere on the path.
    Refused,
}

/// What [`ensure`] makes where nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaf {
    /// A directory.
    Directory,
    /// An empty file; the directories above it are made too.
    File,
}

/// Opens `path` below `root` with open(2)'s `flags` (close-on-exec is added).
///
/// `with_openat2` tells whether the kernel has openat2(2); it is only tried then.
///
/// # Errors
/// Those of openat2(2); `ELOOP` also after more than 40 links and `ENAMETOOLONG` for what leads to over 4,095 bytes.
pub fn open(root: Fd, path: &CStr, flags: u64, links: Links, with_openat2: bool) -> Result<Fd, Errno> {
    if !with_openat2 {
        return Walk::new(root, path, links)?.finish(flags, None);
    }
    let refuse = if links == Links::Refused { raw::RESOLVE_NO_SYMLINKS } else { 0 };
    let how = OpenHow {
        flags: flags | raw::O_CLOEXEC,
        mode: 0,
        resolve: raw::RESOLVE_IN_ROOT | raw::RESOLVE_NO_MAGICLINKS | refuse,
    };
    // A rename anywhere on the host while `..` is followed gives EAGAIN: try again, but not for ever (openat2(2)).
    for _ in 0..32 {
        match raw::openat2(root, path, &how) {
            Err(Errno::AGAIN) => {}
            outcome => return outcome,
        }
    }
    Err(Errno::AGAIN)
}

/// Opens `path` below `root` as a place (`O_PATH`), and makes what is missing of it: directories of mode 0755, a file of
/// mode 0644. A link that leads nowhere is followed and its target made, below `root`.
///
/// # Errors
/// As [`open`], and those of mkdirat(2) and mknodat(2).
pub fn ensure(root: Fd, path: &CStr, leaf: Leaf, links: Links, with_openat2: bool) -> Result<Fd, Errno> {
    let flags = raw::O_PATH | if leaf == Leaf::Directory { raw::O_DIRECTORY } else { 0 };
    match open(root, path, flags, links, with_openat2) {
        Err(Errno::NOENT) => Walk::new(root, path, links)?.finish(flags, Some(leaf)),
        outcome => outcome,
    }
}

const PATH_MAX: usize = 4096;
const NAME_MAX: usize = 255;
const MAX_DEPTH: usize = 128;
const MAX_LINKS: u32 = 40;

/// A walk from the root, component by component. Directories passed stay open, so that `..` needs no look-up.
struct Walk {
    root: Fd,
    /// What is still to walk: a suffix of the buffer.
    rest: [u8; PATH_MAX],
    start: usize,
    /// The directories below the root on the way here.
    passed: [Fd; MAX_DEPTH],
    depth: usize,
    links: Links,
    followed: u32,
}

impl Walk {
    fn new(root: Fd, path: &CStr, links: Links) -> Result<Self, Errno> {
        let mut walk = Self {
            root,
            rest: [0; PATH_MAX],
            start: PATH_MAX,
            passed: [Fd::NONE; MAX_DEPTH],
            depth: 0,
            links,
            followed: 0,
        };
        walk.prepend(path.to_bytes())?;
        Ok(walk)
    }

    /// Puts `path` before what is still to walk.
    fn prepend(&mut self, path: &[u8]) -> Result<(), Errno> {
        let separated = path.len() + 1;
        let start = self.start.checked_sub(separated).ok_or(Errno::NAMETOOLONG)?;
        let place = self.rest.get_mut(start..self.start).ok_or(Errno::NAMETOOLONG)?;
        if let Some((last, front)) = place.split_last_mut() {
            front.copy_from_slice(path);
            *last = b'/';
        }
        self.start = start;
        Ok(())
    }

    /// Takes the next component, terminated; none at the end of the path.
    fn next(&mut self, name: &mut [u8; NAME_MAX + 1]) -> Result<Option<usize>, Errno> {
        let rest = self.rest.get(self.start..).unwrap_or(&[]);
        let skipped = rest.iter().take_while(|byte| **byte == b'/').count();
        let component = rest.get(skipped..).unwrap_or(&[]);
        let len = component.iter().take_while(|byte| **byte != b'/').count();
        if len > NAME_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        if let (Some(to), Some(from)) = (name.get_mut(..len), component.get(..len)) {
            to.copy_from_slice(from);
        }
        if let Some(end) = name.get_mut(len) {
            *end = 0;
        }
        self.start += skipped + len;
        Ok((len > 0).then_some(len))
    }

    fn is_at_end(&self) -> bool {
        self.rest.get(self.start..).unwrap_or(&[]).iter().all(|byte| *byte == b'/')
    }

    fn here(&self) -> Fd {
        self.depth.checked_sub(1).and_then(|top| self.passed.get(top).copied()).unwrap_or(self.root)
    }

    fn enter(&mut self, directory: Fd) -> Result<(), Errno> {
        match self.passed.get_mut(self.depth) {
            Some(place) => {
                *place = directory;
                self.depth += 1;
                Ok(())
            }
            None => {
                let _ = raw::close(directory);
                Err(Errno::NAMETOOLONG)
            }
        }
    }

    fn leave(&mut self) {
        if let Some(top) = self.depth.checked_sub(1) {
            if let Some(fd) = self.passed.get(top) {
                let _ = raw::close(*fd);
            }
            self.depth = top;
        }
    }

    /// Walks to the end and opens what is there with `flags`; makes what is missing if `leaf` is given.
    fn finish(mut self, flags: u64, leaf: Option<Leaf>) -> Result<Fd, Errno> {
        const PLACE: u64 = raw::O_PATH | raw::O_NOFOLLOW | raw::O_CLOEXEC;
        let mut buffer = [0; NAME_MAX + 1];
        while self.next(&mut buffer)?.is_some() {
            let name = CStr::from_bytes_until_nul(&buffer).map_err(|_| Errno::INVAL)?;
            match name.to_bytes() {
                b"." => continue,
                b".." => {
                    self.leave();
                    continue;
                }
                _ => {}
            }
            let last = self.is_at_end();
            let place = match raw::openat(self.here(), name, PLACE, 0) {
                Err(Errno::NOENT) if leaf.is_some() => {
                    let wanted = if last { leaf } else { Some(Leaf::Directory) };
                    let made = match wanted {
                        Some(Leaf::File) => raw::mknodat(self.here(), name, raw::S_IFREG | 0o644, 0),
                        _ => raw::mkdirat(self.here(), name, 0o755),
                    };
                    // Somebody else may have made it meanwhile: what counts is what is there.
                    match made {
                        Ok(()) | Err(Errno::EXIST) => raw::openat(self.here(), name, PLACE, 0)?,
                        Err(errno) => return Err(errno),
                    }
                }
                outcome => outcome?,
            };
            let kind = raw::status(place, c"")?.mode & raw::S_IFMT;
            if kind == raw::S_IFLNK {
                let outcome = self.follow(place);
                let _ = raw::close(place);
                outcome?;
            } else if last {
                return self.open_place(place, name, kind, flags);
            } else if kind == raw::S_IFDIR {
                self.enter(place)?;
            } else {
                let _ = raw::close(place);
                return Err(Errno::NOTDIR);
            }
        }
        // The path led to a directory already passed: `/`, or something that ends in `..`.
        raw::openat(self.here(), c".", flags | raw::O_CLOEXEC, 0)
    }

    /// Opens for `flags` what `place` is; `place` itself when no more is asked for.
    fn open_place(&self, place: Fd, name: &CStr, kind: u32, flags: u64) -> Result<Fd, Errno> {
        if flags & raw::O_DIRECTORY != 0 && kind != raw::S_IFDIR {
            let _ = raw::close(place);
            return Err(Errno::NOTDIR);
        }
        if flags & raw::O_PATH != 0 {
            return Ok(place);
        }
        let _ = raw::close(place);
        raw::openat(self.here(), name, flags | raw::O_NOFOLLOW | raw::O_CLOEXEC, 0)
    }

    fn follow(&mut self, link: Fd) -> Result<(), Errno> {
        self.followed += 1;
        if self.links == Links::Refused || self.followed > MAX_LINKS {
            return Err(Errno::LOOP);
        }
        let mut target = [0; PATH_MAX];
        let len = raw::readlinkat(link, c"", &mut target)?;
        let target = target.get(..len).ok_or(Errno::NAMETOOLONG)?;
        if jumps(link, target)? {
            return Err(Errno::LOOP);
        }
        if target.first() == Some(&b'/') {
            while self.depth > 0 {
                self.leave();
            }
        }
        self.prepend(target)
    }
}

/// Whether a link is one of procfs that leads to an open file or a place, whatever its text says: what `RESOLVE_NO_MAGICLINKS`
/// refuses. The ordinary links of procfs (`self`, `mounts`, `net`) are relative.
fn jumps(link: Fd, target: &[u8]) -> Result<bool, Errno> {
    const PROC_SUPER_MAGIC: u64 = 0x9fa0;
    let is_ordinary = target.first() != Some(&b'/') && !target.contains(&b':');
    Ok(!is_ordinary && raw::filesystem_type(link)? == PROC_SUPER_MAGIC)
}

impl Drop for Walk {
    fn drop(&mut self) {
        while self.depth > 0 {
            self.leave();
        }
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use std::fs;
    use std::os::fd::{FromRawFd, OwnedFd};
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::path::{Path, PathBuf};

    /// A directory of the test's own with an `outside` and a `root` beside each other.
    struct Scene(PathBuf);

    impl Scene {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("holm-below-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(dir.join("root/etc")).unwrap();
            fs::create_dir_all(dir.join("outside")).unwrap();
            fs::write(dir.join("root/etc/passwd"), "inside").unwrap();
            fs::write(dir.join("outside/passwd"), "outside").unwrap();
            Self(dir)
        }

        fn root(&self) -> fs::File {
            fs::File::open(self.0.join("root")).unwrap()
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join("root").join(name)
        }
    }

    impl Drop for Scene {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn c(path: &str) -> std::ffi::CString {
        std::ffi::CString::new(path).unwrap()
    }

    fn inode(fd: Fd) -> u64 {
        // SAFETY: the descriptor was just opened for this test.
        #[allow(unsafe_code)]
        let file = fs::File::from(unsafe { OwnedFd::from_raw_fd(fd.0) });
        file.metadata().unwrap().ino()
    }

    /// Runs a check with the kernel's resolver and with the walk.
    fn both_ways(check: impl Fn(bool)) {
        if crate::resolve::has_openat2() {
            check(true);
        }
        check(false);
    }

    fn opened(scene: &Scene, path: &str, links: Links, with: bool) -> Result<u64, Errno> {
        open(Fd::from(&scene.root()), &c(path), raw::O_PATH, links, with).map(inode)
    }

    fn inode_of(path: &Path) -> u64 {
        fs::metadata(path).unwrap().ino()
    }

    #[test]
    fn dot_dot_stops_at_the_root() {
        let scene = Scene::new("dotdot");
        both_ways(|with| {
            let found = opened(&scene, "../../../etc/../../etc/passwd", Links::InRoot, with);
            assert_eq!(found, Ok(inode_of(&scene.path("etc/passwd"))));
            assert_eq!(opened(&scene, "..", Links::InRoot, with), Ok(inode_of(&scene.path("."))));
        });
    }

    #[test]
    fn an_absolute_link_starts_at_the_root() {
        let scene = Scene::new("absolute");
        symlink("/etc", scene.path("link")).unwrap();
        symlink("../../outside", scene.path("out")).unwrap();
        both_ways(|with| {
            let found = opened(&scene, "/link/passwd", Links::InRoot, with);
            assert_eq!(found, Ok(inode_of(&scene.path("etc/passwd"))));
            assert_eq!(opened(&scene, "/out/passwd", Links::InRoot, with), Err(Errno::NOENT));
        });
    }

    #[test]
    fn links_can_be_refused_anywhere_on_the_path() {
        let scene = Scene::new("refused");
        symlink("/etc", scene.path("link")).unwrap();
        both_ways(|with| {
            assert_eq!(opened(&scene, "link/passwd", Links::Refused, with), Err(Errno::LOOP));
            assert_eq!(opened(&scene, "link", Links::Refused, with), Err(Errno::LOOP));
            assert!(opened(&scene, "etc/passwd", Links::Refused, with).is_ok());
        });
    }

    #[test]
    fn a_circle_of_links_ends() {
        let scene = Scene::new("circle");
        symlink("b", scene.path("a")).unwrap();
        symlink("a", scene.path("b")).unwrap();
        both_ways(|with| assert_eq!(opened(&scene, "a/x", Links::InRoot, with), Err(Errno::LOOP)));
    }

    #[test]
    fn a_link_of_procfs_does_not_jump() {
        let scene = Scene::new("magic");
        let here = fs::File::open("/proc/self").unwrap();
        both_ways(|with| {
            let found = open(Fd::from(&here), c"cwd", raw::O_PATH, Links::InRoot, with);
            assert!(found.is_err(), "{found:?}");
        });
        drop(scene);
    }

    #[test]
    fn what_is_missing_is_made_below_the_root() {
        both_ways(|with| {
            let scene = Scene::new(if with { "make1" } else { "make2" });
            symlink("/../../outside/made", scene.path("dangling")).unwrap();
            let root = scene.root();
            let root = Fd::from(&root);
            let dir = ensure(root, c"/a/b/c", Leaf::Directory, Links::InRoot, with).map(inode);
            assert_eq!(dir, Ok(inode_of(&scene.path("a/b/c"))));
            let file = ensure(root, c"/a/x/file", Leaf::File, Links::InRoot, with).map(inode);
            assert_eq!(file, Ok(inode_of(&scene.path("a/x/file"))));
            let led = ensure(root, c"dangling", Leaf::File, Links::InRoot, with).map(inode);
            assert_eq!(led, Ok(inode_of(&scene.path("outside/made"))));
            assert!(!scene.0.join("outside/made").exists());
            let refused = ensure(root, c"etc/passwd/x", Leaf::File, Links::InRoot, with);
            assert_eq!(refused, Err(Errno::NOTDIR));
        });
    }

    #[test]
    fn overlong_input_is_an_error() {
        let scene = Scene::new("long");
        both_ways(|with| {
            let long_name = "x".repeat(300);
            assert_eq!(opened(&scene, &long_name, Links::InRoot, with), Err(Errno::NAMETOOLONG));
            let long_path = "x/".repeat(3000);
            assert_eq!(opened(&scene, &long_path, Links::InRoot, with), Err(Errno::NAMETOOLONG));
        });
    }
}

//! One side of a copy, in the process that may touch it: the host's files, or, in a process of its own, a container's.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use images::files::send::Sender;
use images::files::take::{Rules, Taker};
use images::files::walk::{Found, Reopener};
use images::layer::Bad;
use images::transfer::write::Writer;
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat, readlinkat};
use serde::{Deserialize, Serialize};
use sys::SyscallError;
use sys::below::Links;
use sys::raw;

use super::rules::{Into, There};

/// Where paths begin.
#[derive(Debug)]
pub(super) enum Root {
    /// As this process sees them: the caller's own files.
    Own,
    /// Below this directory, whatever links say.
    Below(OwnedFd),
}

/// The most links of a path (path_resolution(7)).
const MAX_LINKS: u32 = 40;

impl Root {
    fn open(&self, path: &[u8], flags: u64) -> Result<OwnedFd, SyscallError> {
        let path = Path::new(OsStr::from_bytes(if path.is_empty() { b"." } else { path }));
        match self {
            Self::Below(root) => sys::resolve::open_below(root.as_fd(), path, flags, Links::InRoot),
            Self::Own => {
                let flags = OFlags::from_bits_retain(flags as u32) | OFlags::CLOEXEC;
                openat(CWD, path, flags, Mode::empty())
                    .map_err(|errno| SyscallError::new("openat", path.display().to_string(), errno))
            }
        }
    }
}

/// What was looked at, and stays what it is: nobody looks twice.
#[derive(Debug)]
pub(super) struct Seen {
    place: Option<OwnedFd>,
    parent: Option<OwnedFd>,
}

/// What somebody who is not there is told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// What is there.
    pub there: There,
    /// The name in its directory.
    pub name: String,
}

/// A side.
#[derive(Debug)]
pub(super) struct Side {
    /// Where its paths begin.
    pub(super) root: Root,
    /// This process's descriptors.
    pub(super) reopener: Reopener,
}

impl Side {
    /// Looks at `path`; with `follow` a link at its end is followed.
    ///
    /// # Errors
    /// Those of looking, beside that nothing is there.
    pub(super) fn look(&self, path: &str, follow: bool) -> Result<(Seen, Look), SyscallError> {
        let mut path = path.as_bytes().to_vec();
        let ends_as_directory = |path: &[u8]| path.ends_with(b"/") || path.ends_with(b"/.");
        let mut followed = 0;
        loop {
            let nofollow = if ends_as_directory(&path) { 0 } else { raw::O_NOFOLLOW };
            let place = match self.root.open(&path, raw::O_PATH | nofollow) {
                Ok(place) => Some(place),
                Err(error) if error.errno == sys::Errno::NOENT => None,
                // `FILE/`: what it ends in says that it is wrong.
                Err(error) if error.errno == sys::Errno::NOTDIR && ends_as_directory(&path) => None,
                Err(error) => return Err(error),
            };
            let kind = match &place {
                Some(place) => {
                    let status =
                        fstat(place).map_err(|errno| SyscallError::new("fstat", shown(&path), errno))?;
                    Some(FileType::from_raw_mode(status.st_mode))
                }
                None => None,
            };
            let (parent, name) = split(&path);
            if kind == Some(FileType::Symlink) && follow {
                followed += 1;
                if followed > MAX_LINKS {
                    return Err(SyscallError::new("openat2", shown(&path), sys::Errno::LOOP));
                }
                let link = place.as_ref().map(|place| readlinkat(place, "", Vec::new()));
                let target = link
                    .transpose()
                    .map_err(|errno| SyscallError::new("readlinkat", shown(&path), errno))?
                    .unwrap_or_default();
                let target = target.to_bytes();
                path = match target.first() {
                    Some(b'/') => target.to_vec(),
                    _ => [parent, b"/", target].concat(),
                };
                continue;
            }
            let directory = self.root.open(parent, raw::O_PATH | raw::O_DIRECTORY).ok();
            let there = match (kind, &directory) {
                (Some(FileType::Directory), _) => There::Directory,
                (Some(_), _) => There::Other,
                // Behind `FILE/` there may be a file all the same.
                (None, Some(_)) if ends_as_directory(&path) && self.is_there(&path) => There::Other,
                (None, Some(_)) => There::Nothing,
                (None, None) => There::NoDirectory,
            };
            let name = String::from_utf8_lossy(name).into_owned();
            return Ok((Seen { place, parent: directory }, Look { there, name }));
        }
    }

    fn is_there(&self, path: &[u8]) -> bool {
        let end = path.iter().rposition(|byte| !b"/.".contains(byte)).map_or(0, |at| at + 1);
        self.root.open(&path[..end], raw::O_PATH | raw::O_NOFOLLOW).is_ok()
    }

    /// Writes what was seen to an archive, called `name`. Yields remarks.
    ///
    /// # Errors
    /// Those of reading and writing.
    pub(super) fn send(&self, seen: Seen, name: &str, out: impl Write) -> io::Result<Vec<String>> {
        let place = seen.place.ok_or(io::ErrorKind::NotFound)?;
        let found = Found { path: name.as_bytes().to_vec(), status: fstat(&place)?, place };
        let mut writer = Writer::new(io::BufWriter::with_capacity(256 << 10, out));
        let mut sender = Sender::new(&mut writer, &self.reopener);
        sender.tree(&found, name.as_bytes())?;
        let remarks = sender.remarks;
        writer.finish()?;
        Ok(remarks)
    }

    /// Takes an archive where what was seen is, or beside it. Yields how many entries it had, and remarks.
    ///
    /// # Errors
    /// What is wrong with the archive, or what the disk says.
    pub(super) fn take(
        &self,
        seen: Seen,
        into: Into,
        rules: Rules,
        input: impl Read,
    ) -> Result<(u64, Vec<String>), Bad> {
        let directory = match into {
            Into::Directory => seen.place,
            Into::Parent => seen.parent,
        };
        let missing = || Bad::Io { doing: "open a directory", cause: io::ErrorKind::NotFound.into() };
        let directory = directory.ok_or_else(missing)?;
        Taker::new(directory.as_fd(), &self.reopener, rules).archive(input)
    }
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// The directory of a path and its last component, as text.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let mut path = path;
    loop {
        let len = path.len();
        path = path.strip_suffix(b"/.").unwrap_or(path);
        if path.len() > 1 {
            path = path.strip_suffix(b"/").unwrap_or(path);
        }
        if path.len() == len {
            break;
        }
    }
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(0) => (b"/", &path[1..]),
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b".", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_path_has_a_directory_and_a_name() {
        for (path, directory, name) in [
            ("/a/b", "/a", "b"),
            ("/a/", "/", "a"),
            ("a", ".", "a"),
            ("a/b/.", "a", "b"),
            ("/", "/", ""),
            ("a//", ".", "a"),
        ] {
            let found = split(path.as_bytes());
            assert_eq!(found, (directory.as_bytes(), name.as_bytes()), "{path}");
        }
    }

    #[test]
    fn links_end_below_the_root_whatever_they_say() {
        let dir = std::env::temp_dir().join(format!("holm-side-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("root/data")).unwrap();
        fs::create_dir_all(dir.join("out")).unwrap();
        fs::write(dir.join("out/secret"), "").unwrap();
        fs::write(dir.join("root/data/file"), "").unwrap();
        for (link, target) in [
            ("abs", "/data/file"),
            ("up", "../../out/secret"),
            ("dir", "/data"),
            ("new", "/data/made"),
            ("loop", "/loop"),
            ("host", "/etc/passwd"),
        ] {
            symlink(target, dir.join("root").join(link)).unwrap();
        }
        let root = images::transfer::write::open_directory(&dir.join("root")).unwrap();
        let side = Side { root: Root::Below(root), reopener: Reopener::new().unwrap() };
        let look = |path: &str, follow| side.look(path, follow).map(|(_, look)| look);
        let is = |there, name: &str| Ok(Look { there, name: name.to_owned() });
        let outcomes = [
            (look("/abs", true), is(There::Other, "file")),
            (look("/abs", false), is(There::Other, "abs")),
            (look("/up", true), is(There::NoDirectory, "secret")),
            (look("/dir", true), is(There::Directory, "data")),
            (look("dir/", false), is(There::Directory, "dir")),
            (look("/new", true), is(There::Nothing, "made")),
            (look("/host", true), is(There::NoDirectory, "passwd")),
            (look("/data/file/", true), is(There::Other, "file")),
            (look("/data/none/", true), is(There::Nothing, "none")),
            (look("/x/y", true), is(There::NoDirectory, "y")),
        ];
        let circle = look("/loop", true);
        fs::remove_dir_all(&dir).unwrap();
        for (found, expected) in outcomes {
            assert_eq!(found.map_err(|error| error.to_string()), expected);
        }
        assert_eq!(circle.unwrap_err().errno, sys::Errno::LOOP);
    }
}

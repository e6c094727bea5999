//! What differs between a tree and the one that it was made from, and that as a layer.
//!
//! [`of_upper`] reads it from the upper directory of an overlay: what is there was made or changed, marks tell what is gone. Where there
//! is no such directory, [`by_comparing`] looks at both trees. [`layer`] writes what either found.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Stat, fstat};

use super::send::{Ids, Sender};
use super::walk::{Found, Reopener, Walk, attributes, has_gone, place};
use crate::layer::index::{S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG};
use crate::transfer::write::Writer;

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Something else is there, or it has changed; of a directory also that something in it has.
    Changed,
    /// It is new.
    Added,
    /// It is gone.
    Deleted,
}

impl What {
    /// The letter that `docker diff` has for it.
    pub fn letter(self) -> char {
        match self {
            Self::Changed => 'C',
            Self::Added => 'A',
            Self::Deleted => 'D',
        }
    }

    /// The number that the Docker API has for it.
    pub fn number(self) -> u8 {
        match self {
            Self::Changed => 0,
            Self::Added => 1,
            Self::Deleted => 2,
        }
    }
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The path, from the root on without its `/`.
    pub path: Vec<u8>,
    /// What happened to it.
    pub what: What,
}

/// What is marked in the upper directory of an overlay, with the prefix of attributes that root's overlays have or others'.
const OPAQUE: [&str; 2] = ["trusted.overlay.opaque", "user.overlay.opaque"];
const ELSEWHERE: [&[u8]; 4] = [
    b"trusted.overlay.redirect",
    b"user.overlay.redirect",
    b"trusted.overlay.metacopy",
    b"user.overlay.metacopy",
];

/// The kind of what lies at a path, if anything does.
fn kind_at(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<Option<u32>> {
    match place(root, path) {
        Ok(place) => Ok(Some(fstat(place)?.st_mode & S_IFMT)),
        Err(error) if has_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The changes in `upper`, the upper directory of an overlay over `lower`, in order of paths.
///
/// # Errors
/// Those of reading; `InvalidData` where the overlay keeps in its attributes where content really is (`redirect_dir`, `metacopy`).
pub fn of_upper(
    upper: BorrowedFd<'_>,
    lower: BorrowedFd<'_>,
    reopener: &Reopener,
) -> io::Result<Vec<Change>> {
    let mut changes = Vec::new();
    let mut walk = Walk::new(upper)?;
    while let Some(found) = walk.next()? {
        if found.kind() == S_IFCHR && found.status.st_rdev == 0 {
            changes.push(Change { path: found.path, what: What::Deleted });
            continue;
        }
        let before = kind_at(lower, &found.path)?;
        let what = if before.is_some() { What::Changed } else { What::Added };
        if matches!(found.kind(), S_IFREG | S_IFDIR) {
            let marks = marks(&found, reopener)?;
            if marks.elsewhere {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!(
                        "the overlay keeps elsewhere what {} is (redirect_dir or metacopy)",
                        crate::layer::show(&found.path)
                    ),
                ));
            }
            if found.kind() == S_IFDIR && marks.opaque && before == Some(S_IFDIR) {
                hidden(upper, lower, &found.path, &mut changes)?;
            }
        }
        changes.push(Change { path: found.path, what });
    }
    changes.sort();
    Ok(changes)
}

#[derive(Default)]
struct Marks {
    opaque: bool,
    elsewhere: bool,
}

fn marks(found: &Found, reopener: &Reopener) -> io::Result<Marks> {
    let file = match reopener.read(found.place.as_fd()) {
        Ok(file) => file,
        Err(error) if has_gone(&error) => return Ok(Marks::default()),
        Err(error) => return Err(error),
    };
    let all = attributes(&file, |name| {
        name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
    })?;
    let is_opaque = |(name, value): &(Vec<u8>, Vec<u8>)| {
        OPAQUE.iter().any(|mark| mark.as_bytes() == name) && value == b"y"
    };
    Ok(Marks {
        opaque: all.iter().any(is_opaque),
        elsewhere: all.iter().any(|(name, _)| ELSEWHERE.contains(&name.as_slice())),
    })
}

/// What an opaque directory hides of the one below it, and does not have itself.
fn hidden(
    upper: BorrowedFd<'_>,
    lower: BorrowedFd<'_>,
    path: &[u8],
    changes: &mut Vec<Change>,
) -> io::Result<()> {
    let below = place(lower, path)?;
    let mut walk = Walk::new(below.as_fd())?;
    while let Some(found) = walk.next()? {
        walk.leave_out();
        let full = [path, b"/", &found.path].concat();
        if kind_at(upper, &full)?.is_none() {
            changes.push(Change { path: full, what: What::Deleted });
        }
    }
    Ok(())
}

/// The changes from `before` to `now`, whose owners have these ids, in order of paths, as far as metadata tells: kind, mode, owner, length,
/// time of change, target.
///
/// # Errors
/// Those of reading.
pub fn by_comparing(before: BorrowedFd<'_>, now: BorrowedFd<'_>, ids: &Ids) -> io::Result<Vec<Change>> {
    let mut changes = std::collections::BTreeMap::new();
    let mut walk = Walk::new(now)?;
    while let Some(found) = walk.next()? {
        let old = match place(before, &found.path) {
            Ok(old) => old,
            Err(error) if has_gone(&error) => {
                changes.insert(found.path, What::Added);
                continue;
            }
            Err(error) => return Err(error),
        };
        if differs(&old, &fstat(&old)?, &found, ids)? {
            changes.insert(found.path, What::Changed);
        }
    }
    let mut walk = Walk::new(before)?;
    while let Some(found) = walk.next()? {
        if kind_at(now, &found.path)?.is_none() {
            walk.leave_out();
            changes.insert(found.path, What::Deleted);
        }
    }
    // A directory in which something was made has changed as well, as an upper directory shows it.
    let paths: Vec<Vec<u8>> = changes.keys().cloned().collect();
    for path in paths {
        for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            changes.entry(path[..at].to_vec()).or_insert(What::Changed);
        }
    }
    Ok(changes.into_iter().map(|(path, what)| Change { path, what }).collect())
}

fn differs(old: &OwnedFd, was: &Stat, found: &Found, ids: &Ids) -> io::Result<bool> {
    let is = &found.status;
    let same = (was.st_mode, (was.st_uid, was.st_gid), was.st_rdev)
        == (is.st_mode, ids.inside((is.st_uid, is.st_gid)), is.st_rdev);
    if !same || found.kind() == S_IFDIR {
        return Ok(!same);
    }
    if found.kind() == S_IFLNK {
        let target = |place: &OwnedFd| rustix::fs::readlinkat(place, "", Vec::new());
        return Ok(target(old)? != target(&found.place)?);
    }
    Ok((was.st_size, was.st_mtime, was.st_mtime_nsec) != (is.st_size, is.st_mtime, is.st_mtime_nsec))
}

/// Writes `changes` of the tree `now` as a layer. What went away since they were found is left out. Yields remarks, a line each.
///
/// # Errors
/// Those of reading and writing, and `InvalidData` for a name that in a layer means that something is gone.
pub fn layer<W: Write>(
    writer: &mut Writer<W>,
    now: BorrowedFd<'_>,
    changes: &[Change],
    reopener: &Reopener,
    ids: &Ids,
) -> io::Result<Vec<String>> {
    let mut sender = Sender::new(writer, reopener);
    sender.ids = ids.clone();
    for change in changes {
        if change.what == What::Deleted {
            sender.whiteout(&change.path)?;
            continue;
        }
        let place = match place(now, &change.path) {
            Ok(place) => place,
            Err(error) if has_gone(&error) => continue,
            Err(error) => return Err(error),
        };
        let found = Found { path: change.path.clone(), status: fstat(&place)?, place };
        if found.name().starts_with(b".wh.") {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "{} has a name that in a layer means that another file is gone",
                    crate::layer::show(&found.path)
                ),
            ));
        }
        sender.entry(&found, &found.path)?;
    }
    Ok(sender.remarks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::write::open_directory;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn letters(changes: &[Change]) -> Vec<String> {
        changes
            .iter()
            .map(|change| format!("{} {}", change.what.letter(), String::from_utf8_lossy(&change.path)))
            .collect()
    }

    #[test]
    fn two_trees_are_compared_by_what_their_files_say_of_themselves() {
        let dir = std::env::temp_dir().join(format!("holm-changes-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        for tree in ["a", "b"] {
            fs::create_dir_all(dir.join(tree).join("same/deep")).unwrap();
            fs::write(dir.join(tree).join("same/deep/file"), "x").unwrap();
            symlink("x", dir.join(tree).join("link")).unwrap();
        }
        let time = fs::metadata(dir.join("a/same/deep/file")).unwrap().modified().unwrap();
        fs::File::options()
            .write(true)
            .open(dir.join("b/same/deep/file"))
            .unwrap()
            .set_modified(time)
            .unwrap();
        fs::create_dir_all(dir.join("a/gone/inner")).unwrap();
        fs::create_dir_all(dir.join("b/new")).unwrap();
        fs::write(dir.join("b/new/file"), "").unwrap();
        fs::write(dir.join("b/same/other"), "").unwrap();
        fs::remove_file(dir.join("b/link")).unwrap();
        symlink("y", dir.join("b/link")).unwrap();
        let (a, b) = (open_directory(&dir.join("a")).unwrap(), open_directory(&dir.join("b")).unwrap());
        let changes = by_comparing(a.as_fd(), b.as_fd(), &Ids::default()).unwrap();
        let mut bytes = Writer::new(Vec::new());
        layer(&mut bytes, b.as_fd(), &changes, &Reopener::new().unwrap(), &Ids::default()).unwrap();
        let bytes = bytes.finish().unwrap();
        fs::remove_dir_all(&dir).unwrap();
        let found = letters(&changes);
        assert_eq!(found, ["D gone", "C link", "A new", "A new/file", "C same", "A same/other"]);
        let mut archive = crate::layer::tar::Archive::new(&bytes[..]);
        let mut names = Vec::new();
        while let Some(entry) = archive.next().unwrap() {
            names.push(String::from_utf8(entry.path).unwrap());
        }
        assert_eq!(names, [".wh.gone", "link", "new/", "new/file", "same/", "same/other"]);
    }
}

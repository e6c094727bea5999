//! Copying a directory's content to another filesystem, for a tmpfs that starts with what it covers.
//!
//! [`tree`] keeps types, permission bits, owners and links as they are; times and extended attributes are not kept. It neither
//! allocates nor follows a link.

use core::ffi::CStr;

use sys::Errno;
use sys::raw::{self, Fd};

/// How deep directories may be nested. Each level takes two descriptors and some stack.
const DEEPEST: u32 = 128;

/// Copies what is in the directory `from` to the directory `to`, in which nothing may be yet.
pub(crate) fn tree(from: Fd, to: Fd) -> Result<(), Errno> {
    let opened = open(from, c".")?;
    let outcome = directory(opened, to, DEEPEST);
    raw::close(opened).and(outcome)
}

fn open(dir: Fd, name: &CStr) -> Result<Fd, Errno> {
    raw::openat(dir, name, raw::O_RDONLY | raw::O_DIRECTORY | raw::O_NOFOLLOW | raw::O_CLOEXEC, 0)
}

fn directory(from: Fd, to: Fd, deeper: u32) -> Result<(), Errno> {
    let deeper = deeper.checked_sub(1).ok_or(Errno::LOOP)?;
    let mut buffer = [0; 2048];
    loop {
        let len = raw::getdents64(from, &mut buffer)?;
        let mut rest = buffer.get(..len).unwrap_or(&[]);
        if rest.is_empty() {
            return Ok(());
        }
        // `struct linux_dirent64`: inode and offset, the length of the record, the type, the name.
        while let &[_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, low, high, ..] = rest {
            let len = usize::from(u16::from_ne_bytes([low, high]));
            let (record, after) = rest.split_at_checked(len).ok_or(Errno::IO)?;
            let name = record.get(19..).and_then(|name| CStr::from_bytes_until_nul(name).ok());
            let name = name.ok_or(Errno::IO)?;
            if !matches!(name.to_bytes(), b"." | b"..") {
                entry(from, to, name, deeper)?;
            }
            rest = after;
        }
    }
}

fn entry(from: Fd, to: Fd, name: &CStr, deeper: u32) -> Result<(), Errno> {
    let status = raw::status(from, name)?;
    let kind = status.mode & raw::S_IFMT;
    match kind {
        raw::S_IFDIR => {
            raw::mkdirat(to, name, 0o700)?;
            let below = open(from, name)?;
            let outcome = open(to, name).and_then(|copy| {
                let outcome = directory(below, copy, deeper);
                raw::close(copy).and(outcome)
            });
            raw::close(below).and(outcome)?;
        }
        raw::S_IFREG => {
            let flags = raw::O_RDONLY | raw::O_NOFOLLOW | raw::O_CLOEXEC;
            let source = raw::openat(from, name, flags, 0)?;
            let flags = raw::O_WRONLY | raw::O_CREAT | raw::O_EXCL | raw::O_CLOEXEC;
            let outcome = raw::openat(to, name, flags, 0o600).and_then(|copy| {
                let outcome = content(source, copy);
                raw::close(copy).and(outcome)
            });
            raw::close(source).and(outcome)?;
        }
        raw::S_IFLNK => link(from, to, name)?,
        _ => {
            let (major, minor) = status.device;
            raw::mknodat(to, name, kind | 0o600, raw::makedev(major, minor))?;
        }
    }
    match raw::fchownat(to, name, status.uid, status.gid) {
        // An owner that the user namespace has no id for stays the stage's.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(errno) => return Err(errno),
    }
    // After the owner: a change of owner takes the set-user-ID bit away (chown(2)). A link has no bits of its own.
    if kind == raw::S_IFLNK { Ok(()) } else { raw::fchmodat(to, name, status.mode & 0o7777) }
}

fn content(from: Fd, to: Fd) -> Result<(), Errno> {
    let mut buffer = [0; 8192];
    loop {
        let len = raw::read(from, &mut buffer)?;
        let mut rest = buffer.get(..len).unwrap_or(&[]);
        if rest.is_empty() {
            return Ok(());
        }
        while !rest.is_empty() {
            let written = raw::write(to, rest)?;
            rest = rest.get(written.max(1)..).unwrap_or(&[]);
        }
    }
}

fn link(from: Fd, to: Fd, name: &CStr) -> Result<(), Errno> {
    // PATH_MAX, and room for the end of the string.
    let mut target = [0; 4097];
    let len = raw::readlinkat(from, name, target.get_mut(..4096).unwrap_or(&mut []))?;
    let target = target.get(..len.saturating_add(1)).unwrap_or(&[]);
    let target = CStr::from_bytes_until_nul(target).map_err(|_| Errno::NAMETOOLONG)?;
    raw::symlinkat(target, to, name)
}

//! Files to an archive.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Stat, readlinkat};

use super::walk::{Found, Reopener, Walk, attributes, has_gone};
use crate::layer::index::{S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG};
use crate::layer::name::keeps_attribute;
use crate::transfer::write::{Head, Writer};

/// An archive that gets files of a tree that somebody may be changing.
pub struct Sender<'s, W> {
    writer: &'s mut Writer<W>,
    reopener: &'s Reopener,
    /// Where files with several names were written first, by device and inode.
    links: HashMap<(u64, u64), Vec<u8>>,
    /// Sockets, and files that became shorter while they were read: a line each.
    pub remarks: Vec<String>,
    /// How owners are called in the archive.
    pub ids: Ids,
}

/// A range of a user namespace: its first id inside, that on the host, and how many there are.
pub type Range = (u32, u32, u32);

/// How owners of files are called inside of a user namespace; without ranges as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ids {
    /// For users.
    pub uids: Vec<Range>,
    /// For groups.
    pub gids: Vec<Range>,
}

/// What the kernel calls somebody who does not exist in a namespace (`/proc/sys/kernel/overflowuid`).
const NOBODY: u32 = 65_534;

impl Ids {
    /// User and group of the host as they are called inside.
    pub fn inside(&self, (uid, gid): (u32, u32)) -> (u32, u32) {
        let translate = |ranges: &[Range], id: u32| {
            if ranges.is_empty() {
                return id;
            }
            let range =
                ranges.iter().find(|(_, host, size)| id.checked_sub(*host).is_some_and(|at| at < *size));
            range.map_or(NOBODY, |(inside, host, _)| inside + (id - host))
        };
        (translate(&self.uids, uid), translate(&self.gids, gid))
    }

    /// Reads `/proc/PID/uid_map` and `gid_map`.
    pub fn parse(uid_map: &str, gid_map: &str) -> Self {
        let ranges = |text: &str| {
            let line = |line: &str| {
                let mut numbers = line.split_whitespace().map(str::parse::<u32>);
                Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
            };
            text.lines().filter_map(line).collect()
        };
        Self { uids: ranges(uid_map), gids: ranges(gid_map) }
    }
}

/// Bytes, and zeros where a file became shorter than it was.
struct Padded<R> {
    from: R,
    ended: bool,
}

impl<R: Read> Read for Padded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.ended {
            match self.from.read(buffer)? {
                0 => self.ended = true,
                count => return Ok(count),
            }
        }
        buffer.fill(0);
        Ok(buffer.len())
    }
}

impl<'s, W: Write> Sender<'s, W> {
    /// Goes on in `writer`.
    pub fn new(writer: &'s mut Writer<W>, reopener: &'s Reopener) -> Self {
        Self { writer, reopener, links: HashMap::new(), remarks: Vec::new(), ids: Ids::default() }
    }

    /// Writes `top`, which is called `name`, and everything below it. With an empty name a directory is not an entry itself.
    ///
    /// # Errors
    /// Those of reading and writing.
    pub fn tree(&mut self, top: &Found, name: &[u8]) -> io::Result<()> {
        if top.kind() != S_IFDIR || !name.is_empty() {
            self.entry(top, name)?;
        }
        if top.kind() != S_IFDIR {
            return Ok(());
        }
        let root = self.reopener.read(top.place.as_fd())?;
        let mut walk = Walk::new(root.as_fd())?;
        while let Some(found) = walk.next()? {
            let mut full = name.to_vec();
            if !full.is_empty() {
                full.push(b'/');
            }
            full.extend_from_slice(&found.path);
            self.entry(&found, &full)?;
        }
        Ok(())
    }

    /// Writes one entry under this name.
    ///
    /// # Errors
    /// Those of reading and writing.
    pub fn entry(&mut self, found: &Found, name: &[u8]) -> io::Result<()> {
        let status = &found.status;
        let mut head = Head {
            name,
            mode: status.st_mode & 0o7777,
            owner: self.ids.inside((status.st_uid, status.st_gid)),
            mtime: (status.st_mtime, status.st_mtime_nsec as u32),
            ..Head::default()
        };
        if found.kind() != S_IFDIR && status.st_nlink > 1 {
            let inode = (status.st_dev, status.st_ino);
            if let Some(first) = self.links.get(&inode) {
                return self.writer.head(&Head { kind: b'1', link: first, ..head });
            }
            self.links.insert(inode, name.to_vec());
        }
        match found.kind() {
            S_IFREG => return self.file(found.place.as_fd(), head),
            S_IFDIR => {
                let mut name = name.to_vec();
                name.push(b'/');
                let xattrs = self
                    .reopener
                    .read(found.place.as_fd())
                    .and_then(|directory| attributes(directory, keeps_attribute))
                    .or_else(|error| if has_gone(&error) { Ok(Vec::new()) } else { Err(error) })?;
                return self.writer.head(&Head { kind: b'5', name: &name, xattrs: &xattrs, ..head });
            }
            S_IFLNK => {
                let target = readlinkat(&found.place, "", Vec::new())?;
                return self.writer.head(&Head { kind: b'2', link: target.to_bytes(), mode: 0o777, ..head });
            }
            S_IFCHR => head.kind = b'3',
            S_IFBLK => head.kind = b'4',
            S_IFIFO => head.kind = b'6',
            _ => {
                self.remarks.push(format!(
                    "{} is a socket, which means nothing without its process: left out",
                    crate::layer::show(name)
                ));
                return Ok(());
            }
        }
        head.device = device(status);
        self.writer.head(&head)
    }

    fn file(&mut self, place: BorrowedFd<'_>, head: Head<'_>) -> io::Result<()> {
        let file = std::fs::File::from(self.reopener.read(place)?);
        let xattrs = attributes(&file, keeps_attribute)?;
        // As long as it is now: what is appended while it is read is not of this moment any more.
        let head = Head { kind: b'0', size: file.metadata()?.len(), xattrs: &xattrs, ..head };
        self.writer.head(&head)?;
        let mut content = Padded { from: file, ended: false };
        self.writer.content(&mut content, head.size)?;
        if content.ended && head.size > 0 {
            self.remarks.push(format!(
                "{} became shorter while it was read: zeros were put in the place of what was missing",
                crate::layer::show(head.name)
            ));
        }
        Ok(())
    }

    /// Notes that a layer takes `path` away.
    ///
    /// # Errors
    /// Those of writing.
    pub fn whiteout(&mut self, path: &[u8]) -> io::Result<()> {
        let at = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let name = [&path[..at], b".wh.", &path[at..]].concat();
        self.writer.head(&Head { name: &name, kind: b'0', mode: 0o600, ..Head::default() })
    }
}

fn device(status: &Stat) -> (u32, u32) {
    (rustix::fs::major(status.st_rdev), rustix::fs::minor(status.st_rdev))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_called_as_they_are_inside() {
        let ids = Ids::parse("         0     524288      65536\n  70000 1000 1\n", "0 0 4294967295\n");
        assert_eq!(ids.inside((524_321, 33)), (33, 33));
        assert_eq!(ids.inside((1000, 0)), (70_000, 0));
        assert_eq!(ids.inside((999, 0)), (65_534, 0));
        assert_eq!(Ids::default().inside((1, 2)), (1, 2));
    }
}

//! Writing archives: of blobs, and of whole directories.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, openat, readlinkat, statat};

use crate::layer::index::{S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG};
use crate::layer::limits::MAX_XATTR_BYTES;
use crate::layer::name::keeps_attribute;
use crate::layer::tar::BLOCK;

/// What a header says.
#[derive(Debug, Clone, Default)]
pub struct Head<'a> {
    /// The name; directories end in `/`.
    pub name: &'a [u8],
    /// `0` a file, `1` a hard link, `2` a symbolic link, `3` and `4` devices, `5` a directory, `6` a pipe.
    pub kind: u8,
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Length of the content.
    pub size: u64,
    /// Seconds since 1970 and nanoseconds.
    pub mtime: (i64, u32),
    /// The target of a link.
    pub link: &'a [u8],
    /// A device's numbers.
    pub device: (u32, u32),
    /// Extended attributes.
    pub xattrs: &'a [(Vec<u8>, Vec<u8>)],
}

/// An archive that is being written, in the PAX format where ustar does not do.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
}

impl<W: Write> Writer<W> {
    /// An archive that goes to `out`.
    pub fn new(out: W) -> Self {
        Self { out }
    }

    /// A file with this content, of root's.
    ///
    /// # Errors
    /// Those of writing.
    pub fn file(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let size = content.len() as u64;
        self.head(&Head { name: name.as_bytes(), kind: b'0', mode: 0o644, size, ..Head::default() })?;
        self.content(&mut &content[..], size)
    }

    /// The headers of an entry.
    ///
    /// # Errors
    /// Those of writing.
    pub fn head(&mut self, head: &Head<'_>) -> io::Result<()> {
        let mut records = Vec::new();
        let mut add = |key: &[u8], value: &[u8]| record(&mut records, key, value);
        if head.name.len() > 100 || !head.name.is_ascii() {
            add(b"path", head.name);
        }
        if head.link.len() > 100 || !head.link.is_ascii() {
            add(b"linkpath", head.link);
        }
        if head.size > MAX_OCTAL_11 {
            add(b"size", head.size.to_string().as_bytes());
        }
        for (key, id) in [(&b"uid"[..], head.owner.0), (b"gid", head.owner.1)] {
            if u64::from(id) > MAX_OCTAL_7 {
                add(key, id.to_string().as_bytes());
            }
        }
        if head.mtime.1 != 0 || head.mtime.0 < 0 || head.mtime.0 as u64 > MAX_OCTAL_11 {
            add(b"mtime", time(head.mtime).as_bytes());
        }
        for (name, value) in head.xattrs {
            add(&[b"SCHILY.xattr.", &name[..]].concat(), value);
        }
        if !records.is_empty() {
            let size = records.len() as u64;
            let extra =
                Head { name: b"PaxHeaders.0/entry", kind: b'x', mode: 0o644, size, ..Head::default() };
            self.out.write_all(&header(&extra))?;
            self.content(&mut &records[..], size)?;
        }
        self.out.write_all(&header(head))
    }

    /// The content of the entry whose headers were written last, and what fills its last block.
    ///
    /// # Errors
    /// Those of reading and writing, or that there is not as much as was said.
    pub fn content(&mut self, from: &mut dyn Read, size: u64) -> io::Result<()> {
        let copied = io::copy(&mut from.take(size), &mut self.out)?;
        if copied != size {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "a file became shorter while it was read",
            ));
        }
        let rest = size.next_multiple_of(BLOCK) - size;
        self.out.write_all(&vec![0; rest as usize])
    }

    /// The end of the archive.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK as usize])?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// All of a directory, in the order of names, so that the same tree is the same archive. With `clamp` no time is later.
    ///
    /// # Errors
    /// Those of reading and writing, or a name that would mean something else in a layer.
    pub fn tree(&mut self, root: impl AsFd, clamp: Option<i64>) -> io::Result<()> {
        let root = openat(root, ".", DIRECTORY, Mode::empty())?;
        let mut walk = Walk { writer: self, links: HashMap::new(), clamp };
        let status = rustix::fs::fstat(&root)?;
        walk.entry(&root, b".", &mut b"./".to_vec(), &status, S_IFDIR)?;
        walk.directory(root, &mut Vec::new())
    }
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const MAX_OCTAL_7: u64 = 0o7_777_777;
const MAX_OCTAL_11: u64 = 0o77_777_777_777;

struct Walk<'w, W> {
    writer: &'w mut Writer<W>,
    /// Where files with several names were written first, by device and inode.
    links: HashMap<(u64, u64), Vec<u8>>,
    clamp: Option<i64>,
}

impl<W: Write> Walk<'_, W> {
    fn directory(&mut self, directory: OwnedFd, path: &mut Vec<u8>) -> io::Result<()> {
        let mut names: Vec<Vec<u8>> = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
        }
        names.sort();
        for name in names {
            if name.starts_with(b".wh.") {
                let name = crate::layer::show(&name);
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("a file is called `{name}`, which in a layer means that another one is gone"),
                ));
            }
            let before = path.len();
            path.extend_from_slice(&name);
            let name = std::ffi::OsStr::from_bytes(&name);
            let status = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
            let kind = status.st_mode & S_IFMT;
            if kind == S_IFDIR {
                path.push(b'/');
                let inner = openat(&directory, name, DIRECTORY, Mode::empty())?;
                self.entry(&directory, name.as_bytes(), path, &status, kind)?;
                self.directory(inner, path)?;
            } else {
                self.entry(&directory, name.as_bytes(), path, &status, kind)?;
            }
            path.truncate(before);
        }
        Ok(())
    }

    fn entry(
        &mut self,
        directory: &OwnedFd,
        name: &[u8],
        path: &mut Vec<u8>,
        status: &rustix::fs::Stat,
        kind: u32,
    ) -> io::Result<()> {
        let at = std::ffi::OsStr::from_bytes(name);
        let seconds = status.st_mtime;
        let mtime = match self.clamp {
            Some(most) if seconds >= most => (most, 0),
            _ => (seconds, status.st_mtime_nsec as u32),
        };
        let mut head = Head {
            name: path,
            mode: status.st_mode & 0o7777,
            owner: (status.st_uid, status.st_gid),
            mtime,
            ..Head::default()
        };
        if kind != S_IFDIR && status.st_nlink > 1 {
            let inode = (status.st_dev, status.st_ino);
            if let Some(first) = self.links.get(&inode) {
                let first = first.clone();
                return self.writer.head(&Head { kind: b'1', link: &first, ..head });
            }
            self.links.insert(inode, path.clone());
        }
        match kind {
            S_IFREG => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let mut file = std::fs::File::from(openat(directory, at, flags, Mode::empty())?);
                let xattrs = attributes(&file)?;
                head.kind = b'0';
                head.size = status.st_size as u64;
                head.xattrs = &xattrs;
                self.writer.head(&head)?;
                self.writer.content(&mut file, head.size)
            }
            S_IFDIR => {
                let xattrs = attributes(openat(directory, at, DIRECTORY, Mode::empty())?)?;
                self.writer.head(&Head { kind: b'5', xattrs: &xattrs, ..head })
            }
            S_IFLNK => {
                let target = readlinkat(directory, at, Vec::new())?;
                self.writer.head(&Head { kind: b'2', link: target.to_bytes(), mode: 0o777, ..head })
            }
            S_IFCHR | S_IFBLK => {
                let device = (rustix::fs::major(status.st_rdev), rustix::fs::minor(status.st_rdev));
                let kind = if kind == S_IFCHR { b'3' } else { b'4' };
                self.writer.head(&Head { kind, device, ..head })
            }
            S_IFIFO => self.writer.head(&Head { kind: b'6', ..head }),
            // Sockets mean nothing without the process that made them.
            _ => Ok(()),
        }
    }
}

/// The attributes of a file that layers keep.
fn attributes(file: impl AsFd) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut names = vec![0; MAX_XATTR_BYTES];
    let len = match rustix::fs::flistxattr(&file, &mut names[..]) {
        Ok(len) => len,
        Err(rustix::io::Errno::OPNOTSUPP) => 0,
        Err(errno) => return Err(errno.into()),
    };
    let mut found = Vec::new();
    for name in names[..len].split(|byte| *byte == 0).filter(|name| keeps_attribute(name)) {
        let mut value = vec![0; MAX_XATTR_BYTES];
        let len = rustix::fs::fgetxattr(&file, std::ffi::OsStr::from_bytes(name), &mut value[..])?;
        value.truncate(len);
        found.push((name.to_vec(), value));
    }
    found.sort();
    Ok(found)
}

/// A directory of the host, opened.
///
/// # Errors
/// Those of open(2).
pub fn open_directory(path: &std::path::Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(CWD, path, flags, Mode::empty())?)
}

fn header(head: &Head<'_>) -> [u8; BLOCK as usize] {
    let mut block = [0u8; BLOCK as usize];
    let mut put = |at: usize, most: usize, bytes: &[u8]| {
        let len = bytes.len().min(most);
        block[at..at + len].copy_from_slice(&bytes[..len]);
    };
    let octal7 = |value: u64| format!("{:07o}", if value > MAX_OCTAL_7 { 0 } else { value });
    let octal11 = |value: u64| format!("{:011o}", if value > MAX_OCTAL_11 { 0 } else { value });
    put(0, 100, head.name);
    put(100, 8, octal7(head.mode.into()).as_bytes());
    put(108, 8, octal7(head.owner.0.into()).as_bytes());
    put(116, 8, octal7(head.owner.1.into()).as_bytes());
    put(124, 12, octal11(head.size).as_bytes());
    put(136, 12, octal11(u64::try_from(head.mtime.0).unwrap_or(0)).as_bytes());
    put(148, 8, b"        ");
    put(156, 1, &[head.kind]);
    put(157, 100, head.link);
    put(257, 8, b"ustar\x0000");
    put(329, 8, octal7(head.device.0.into()).as_bytes());
    put(337, 8, octal7(head.device.1.into()).as_bytes());
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    records.extend_from_slice(format!("{len} ").as_bytes());
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn time((seconds, nanoseconds): (i64, u32)) -> String {
    match (seconds < 0, nanoseconds) {
        (true, 1..) => format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanoseconds),
        (_, 0) => seconds.to_string(),
        _ => format!("{seconds}.{nanoseconds:09}"),
    }
}

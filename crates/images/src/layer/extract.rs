//! Files made of an archive: the second form of a layer.
//!
//! Content goes to numbered files in `data` while the archive passes ([`Staging`]); names are made at the end, from the same [`Tree`]
//! that an index is written from ([`build`]). So both forms are the same by construction, and no link of an archive is ever there
//! while something is made: nothing can be led astray by it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, chownat, fchmod, fchown,
    fsetxattr, futimens, linkat, mkdirat, mknodat, openat, renameat, symlinkat, unlinkat, utimensat,
};

use super::index::{
    Attributes, Inode, ROOT, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, Sorted, Tree,
};
use super::{Bad, show};

/// Where content waits for its name, and where the tree is made: both below the directory to unpack into.
pub const DATA: &str = "data";
/// The tree.
pub const TREE: &str = "tree";

/// How files are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct How {
    /// As somebody who may not make devices: they are left out, and marks for overlayfs are attributes of users.
    pub rootless: bool,
    /// Only one id exists: everything belongs to it.
    pub single_id: bool,
}

/// Content on its way.
#[derive(Debug)]
pub struct Staging {
    data: OwnedFd,
    buffer: Vec<u8>,
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const CHUNK: usize = 128 << 10;

fn failed(doing: &'static str) -> impl Fn(rustix::io::Errno) -> Bad {
    move |errno| Bad::Io { doing, cause: errno.into() }
}

impl Staging {
    /// Begins, in an empty directory.
    ///
    /// # Errors
    /// What the disk says.
    pub fn new(directory: BorrowedFd<'_>) -> Result<Self, Bad> {
        for name in [DATA, TREE] {
            mkdirat(directory, name, Mode::RWXU).map_err(failed("make a directory"))?;
        }
        let data = openat(directory, DATA, DIRECTORY, Mode::empty()).map_err(failed("open a directory"))?;
        Ok(Self { data, buffer: vec![0; CHUNK] })
    }

    /// Takes the content of the file with this inode, whose pieces are as given.
    ///
    /// # Errors
    /// What the archive or the disk says.
    pub fn take(
        &mut self,
        inode: u32,
        size: u64,
        pieces: Option<&[(u64, u64)]>,
        mut content: impl FnMut(&mut [u8]) -> Result<usize, Bad>,
    ) -> Result<(), Bad> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file: File = openat(&self.data, inode.to_string(), flags, Mode::RUSR | Mode::WUSR)
            .map_err(failed("make a file"))?
            .into();
        let whole = [(0, size)];
        for (offset, len) in pieces.unwrap_or(&whole) {
            let mut at = 0;
            while at < *len {
                let wanted = usize::try_from(len - at).unwrap_or(CHUNK).min(CHUNK);
                let count = content(&mut self.buffer[..wanted])?;
                if count == 0 {
                    return Err(Bad::Io {
                        doing: "read the archive",
                        cause: std::io::ErrorKind::UnexpectedEof.into(),
                    });
                }
                file.write_all_at(&self.buffer[..count], offset + at).map_err(Bad::io("write a file"))?;
                at += count as u64;
            }
        }
        if pieces.is_some() {
            file.set_len(size).map_err(Bad::io("write a file"))?;
        }
        Ok(())
    }
}

/// Makes the tree, from content that [`Staging`] took, and takes away what had no name in the end. Yields how many devices were left out.
///
/// # Errors
/// What the disk says.
pub fn build(directory: BorrowedFd<'_>, tree: &Tree, how: How) -> Result<u64, Bad> {
    let open = |name| openat(directory, name, DIRECTORY, Mode::empty()).map_err(failed("open a directory"));
    let mut builder = Builder {
        tree,
        sorted: tree.sorted(),
        how,
        data: open(DATA)?,
        root: open(TREE)?,
        first: vec![None; tree.inodes()],
        left_out: 0,
    };
    let root = builder.root.try_clone().map_err(Bad::io("open a directory"))?;
    builder.fill(root)?;
    // What a later entry replaced has no name.
    for inode in 0..tree.inodes() as u32 {
        if builder.tree.inode(inode).mode & S_IFMT == S_IFREG && builder.first[inode as usize].is_none() {
            match unlinkat(&builder.data, inode.to_string(), AtFlags::empty()) {
                Ok(()) | Err(rustix::io::Errno::NOENT) => {}
                Err(errno) => return Err(failed("take away a file")(errno)),
            }
        }
    }
    unlinkat(directory, DATA, AtFlags::REMOVEDIR).map_err(failed("take away a directory"))?;
    Ok(builder.left_out)
}

struct Builder<'t> {
    tree: &'t Tree,
    sorted: Sorted,
    how: How,
    data: OwnedFd,
    root: OwnedFd,
    /// The path of an inode's first name, for hard links.
    first: Vec<Option<OsString>>,
    left_out: u64,
}

/// A directory that is being filled: its inode, and how many of its names are done.
struct Level {
    inode: u32,
    done: usize,
    path_len: usize,
}

impl Builder<'_> {
    /// Goes through the tree with one descriptor, whatever its depth.
    fn fill(&mut self, root: OwnedFd) -> Result<(), Bad> {
        let mut here = root;
        let mut path: Vec<u8> = Vec::new();
        let mut levels = vec![Level { inode: ROOT, done: 0, path_len: 0 }];
        while let Some(level) = levels.last_mut() {
            let names = self.sorted.of(self.tree, level.inode);
            let Some(dentry) = names.get(level.done).copied() else {
                let inode = level.inode;
                self.finish_directory(&here, inode)?;
                path.truncate(level.path_len);
                levels.pop();
                if !levels.is_empty() {
                    here =
                        openat(&here, "..", DIRECTORY, Mode::empty()).map_err(failed("open a directory"))?;
                }
                continue;
            };
            level.done += 1;
            let inode = self.tree.inode_of(dentry);
            let name = OsStr::from_bytes(self.tree.name_of(dentry));
            if self.tree.inode(inode).mode & S_IFMT == S_IFDIR {
                mkdirat(&here, name, Mode::RWXU).map_err(failed("make a directory"))?;
                here = openat(&here, name, DIRECTORY, Mode::empty()).map_err(failed("open a directory"))?;
                levels.push(Level { inode, done: 0, path_len: path.len() });
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(name.as_bytes());
            } else {
                self.make(&here, &path, name, inode)?;
            }
        }
        Ok(())
    }

    fn make(&mut self, here: &OwnedFd, path: &[u8], name: &OsStr, inode: u32) -> Result<(), Bad> {
        if let Some(first) = &self.first[inode as usize] {
            return linkat(&self.root, first, here, name, AtFlags::empty())
                .map_err(failed("make a hard link"));
        }
        let node = self.tree.inode(inode);
        let rdev = rustix::fs::makedev(
            ((node.place >> 8) & 0xfff) as u32,
            ((node.place & 0xff) | (node.place >> 12 & 0xfff00)) as u32,
        );
        match node.mode & S_IFMT {
            S_IFREG => {
                let file = openat(
                    &self.data,
                    inode.to_string(),
                    OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                    Mode::empty(),
                )
                .map_err(failed("open a file"))?;
                self.finish_file(file.as_fd(), inode)?;
                renameat(&self.data, inode.to_string(), here, name).map_err(failed("name a file"))?;
            }
            S_IFLNK => {
                let target = OsStr::from_bytes(self.tree.target_of(inode));
                symlinkat(target, here, name).map_err(failed("make a symbolic link"))?;
                self.finish_name(here, name, node)?;
            }
            kind @ (S_IFCHR | S_IFBLK | S_IFIFO) => {
                let file_type = match kind {
                    S_IFCHR => FileType::CharacterDevice,
                    S_IFBLK => FileType::BlockDevice,
                    _ => FileType::Fifo,
                };
                let whiteout = self.tree.is_whiteout(inode);
                if self.how.rootless && kind != S_IFIFO && !whiteout {
                    self.left_out += 1;
                    return Ok(());
                }
                // A umask is not asked: the process that unpacks has none.
                let mode = Mode::from_raw_mode(node.mode & 0o7777);
                mknodat(here, name, file_type, mode, rdev).map_err(failed("make a device"))?;
                self.finish_name(here, name, node)?;
                if !whiteout {
                    rustix::fs::chmodat(here, name, mode, AtFlags::empty()).map_err(failed("set a mode"))?;
                }
            }
            _ => {}
        }
        let mut own = path.to_vec();
        if !own.is_empty() {
            own.push(b'/');
        }
        own.extend_from_slice(name.as_bytes());
        // Only those with several names are looked for again, but every one with content has to be known as named.
        if node.links > 1 || node.mode & S_IFMT == S_IFREG {
            self.first[inode as usize] = Some(OsStr::from_bytes(&own).to_owned());
        }
        Ok(())
    }

    fn owner(&self, node: &Inode) -> (Uid, Gid) {
        match self.how.single_id {
            true => (Uid::ROOT, Gid::ROOT),
            false => (Uid::from_raw(node.uid), Gid::from_raw(node.gid)),
        }
    }

    fn finish_file(&self, file: BorrowedFd<'_>, inode: u32) -> Result<(), Bad> {
        let node = self.tree.inode(inode);
        let (uid, gid) = self.owner(node);
        // The order counts: chown(2) takes set-user-id bits and capabilities away.
        fchown(file, Some(uid), Some(gid)).map_err(failed("give a file to its owner"))?;
        fchmod(file, Mode::from_raw_mode(node.mode & 0o7777)).map_err(failed("set a mode"))?;
        if let Some(extra) = self.tree.extra_of(inode) {
            set_attributes(file, &extra.xattrs)?;
        }
        futimens(file, &times(node)).map_err(failed("set a time"))
    }

    fn finish_directory(&self, directory: &OwnedFd, inode: u32) -> Result<(), Bad> {
        if self.tree.inode(inode).opaque {
            let name = if self.how.rootless { "user.overlay.opaque" } else { "trusted.overlay.opaque" };
            fsetxattr(directory, name, b"y", XattrFlags::empty())
                .map_err(failed("mark a directory as opaque"))?;
        }
        self.finish_file(directory.as_fd(), inode)
    }

    fn finish_name(&self, here: &OwnedFd, name: &OsStr, node: &Inode) -> Result<(), Bad> {
        let (uid, gid) = self.owner(node);
        chownat(here, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(failed("give a file to its owner"))?;
        utimensat(here, name, &times(node), AtFlags::SYMLINK_NOFOLLOW).map_err(failed("set a time"))
    }
}

fn set_attributes(file: BorrowedFd<'_>, attributes: &Attributes) -> Result<(), Bad> {
    for (name, value) in attributes {
        fsetxattr(file, OsStr::from_bytes(name), value, XattrFlags::empty()).map_err(|errno| Bad::Io {
            doing: "set an extended attribute",
            cause: std::io::Error::new(
                std::io::Error::from(errno).kind(),
                format!("{}: {}", show(name), std::io::Error::from(errno)),
            ),
        })?;
    }
    Ok(())
}

fn times(node: &Inode) -> Timestamps {
    let time = Timespec { tv_sec: node.seconds, tv_nsec: node.nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}

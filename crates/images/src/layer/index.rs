//! The tree that an archive's entries make, in memory: small, and the same whatever order the entries came in.
//!
//! [`Tree::add`] takes one entry after the other with the rules of layers: a later entry replaces an earlier one, what lies below
//! something that is no directory is refused, whiteouts concern lower layers alone.

use std::hash::{BuildHasher, RandomState};

use super::limits::{MAX_INDEX_BYTES, MAX_XATTR_BYTES};
use super::name::{self, Name};
use super::tar::{BLOCK, Entry, Kind};
use super::{Bad, Limits, show};

/// `S_IFMT` and its values, as stat(2) has them.
pub const S_IFMT: u32 = 0o170_000;
/// A directory.
pub const S_IFDIR: u32 = 0o040_000;
/// A regular file.
pub const S_IFREG: u32 = 0o100_000;
/// A symbolic link.
pub const S_IFLNK: u32 = 0o120_000;
/// A character device.
pub const S_IFCHR: u32 = 0o020_000;
/// A block device.
pub const S_IFBLK: u32 = 0o060_000;
/// A named pipe.
pub const S_IFIFO: u32 = 0o010_000;

/// Extended attributes: names and values.
pub type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

/// An inode.
#[derive(Debug, Clone, Default)]
pub struct Inode {
    /// Type and permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970.
    pub seconds: i64,
    /// And nanoseconds.
    pub nanoseconds: u32,
    /// Length in bytes; of a symbolic link its target's.
    pub size: u64,
    /// Of a file where its content lies in the archive; of a symbolic link where its target lies in the tree's names; of a device its
    /// number.
    pub place: u64,
    /// How many names it has.
    pub links: u32,
    /// What lower layers have in this directory is gone.
    pub opaque: bool,
    /// A directory that no entry described.
    pub implicit: bool,
    /// One more than its place in [`Tree::extras`]; 0 is none.
    extra: u32,
}

/// What few inodes have.
#[derive(Debug, Clone, Default)]
pub struct Extra {
    /// Extended attributes, sorted by name.
    pub xattrs: Attributes,
    /// The pieces of a sparse file: place in the file, length.
    pub pieces: Option<Vec<(u64, u64)>>,
}

/// A name in a directory.
#[derive(Debug, Clone, Copy)]
pub struct Dentry {
    /// The directory's inode.
    pub parent: u32,
    /// The inode that it names.
    pub inode: u32,
    name: u32,
    len: u8,
}

/// What the entries of an archive make.
#[derive(Debug)]
pub struct Tree {
    inodes: Vec<Inode>,
    extras: Vec<Extra>,
    dentries: Vec<Dentry>,
    names: Vec<u8>,
    /// Numbers of dentries by parent and name; `u32::MAX` is free. As long as a power of two.
    table: Vec<u32>,
    hasher: RandomState,
    extra_bytes: usize,
    /// How many entries the archive had.
    pub entries: u64,
    /// How many extended attributes were left out.
    pub dropped: u64,
    /// How many whiteouts and opaque directories there are.
    pub whiteouts: u64,
    /// Why an index cannot hold it, if so.
    pub unindexable: Option<String>,
}

/// The inode of the root.
pub const ROOT: u32 = 0;
const FREE: u32 = u32::MAX;

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// An empty root.
    pub fn new() -> Self {
        let root = Inode { mode: S_IFDIR | 0o755, implicit: true, links: 2, ..Inode::default() };
        Self {
            inodes: vec![root],
            extras: Vec::new(),
            dentries: Vec::new(),
            names: Vec::new(),
            table: vec![FREE; 1024],
            hasher: RandomState::new(),
            extra_bytes: 0,
            entries: 0,
            dropped: 0,
            whiteouts: 0,
            unindexable: None,
        }
    }

    /// Takes an entry.
    ///
    /// # Errors
    /// What is refused.
    pub fn add(&mut self, entry: Entry, limits: &Limits) -> Result<(), Bad> {
        self.entries += 1;
        if self.entries > limits.entries {
            return Err(Bad::Limit {
                limit: format!("{} entries in a layer", limits.entries),
                flag: "--max-layer-entries",
            });
        }
        let held = self.names.len()
            + self.extra_bytes
            + self.inodes.len() * size_of::<Inode>()
            + self.dentries.len() * size_of::<Dentry>();
        if held > MAX_INDEX_BYTES {
            return Err(Bad::Limit {
                limit: format!("{MAX_INDEX_BYTES} bytes of names and attributes"),
                flag: "--max-layer-entries",
            });
        }
        match name::parse(&entry.path, limits.absolute_names)? {
            Name::Ignored => Ok(()),
            Name::Root => match entry.kind {
                Kind::Directory => {
                    self.describe(ROOT, &entry);
                    Ok(())
                }
                _ => Err(Bad::entry(&entry.path, "would replace the root")),
            },
            Name::Opaque(path) => {
                let directory = self.directory(&path, &entry, true)?;
                self.make_opaque(directory);
                Ok(())
            }
            Name::Whiteout(path) => self.whiteout(&path, &entry),
            Name::Entry(path) => self.insert(&path, entry, limits),
        }
    }

    fn whiteout(&mut self, path: &[u8], entry: &Entry) -> Result<(), Bad> {
        let (parent, name) = self.parent(path, entry)?;
        match self.find(parent, name) {
            // What the layer itself has there stays, and what lower ones have does not show through.
            Some(dentry) => {
                let inode = self.dentries[dentry as usize].inode;
                if self.inodes[inode as usize].mode & S_IFMT == S_IFDIR {
                    self.make_opaque(inode);
                }
            }
            None => {
                let inode = Inode {
                    mode: S_IFCHR,
                    seconds: entry.mtime.0,
                    nanoseconds: entry.mtime.1,
                    links: 1,
                    ..Inode::default()
                };
                self.whiteouts += 1;
                self.link(parent, name, inode);
            }
        }
        Ok(())
    }

    fn insert(&mut self, path: &[u8], entry: Entry, limits: &Limits) -> Result<(), Bad> {
        let (parent, name) = self.parent(path, &entry)?;
        let there = self.find(parent, name);
        let existing = there.map(|dentry| self.dentries[dentry as usize].inode);
        let hides = existing.is_some_and(|inode| self.is_whiteout(inode));
        let inode = match &entry.kind {
            Kind::Directory => {
                if let Some(inode) = existing
                    && self.is_directory(inode)
                {
                    self.describe(inode, &entry);
                    return Ok(());
                }
                let inode = self.new_inode(S_IFDIR, 0, 0, &entry);
                if hides {
                    self.make_opaque(inode);
                }
                inode
            }
            Kind::HardLink(target) => {
                let target = self.hard_link_target(target, &entry, limits)?;
                if existing == Some(target) {
                    return Ok(());
                }
                self.inodes[target as usize].links += 1;
                target
            }
            Kind::SymLink(target) => {
                if target.is_empty() || target.contains(&0) || target.len() >= super::limits::MAX_PATH {
                    return Err(Bad::entry(&entry.path, "is a symbolic link with an impossible target"));
                }
                let place = self.names.len() as u64;
                self.names.extend_from_slice(target);
                self.new_inode(S_IFLNK, target.len() as u64, place, &entry)
            }
            Kind::CharDevice(0, 0) => {
                return Err(Bad::entry(
                    &entry.path,
                    "is the device 0:0, with which overlayfs marks what is gone: layers do that with `.wh.` names",
                ));
            }
            Kind::CharDevice(major, minor) => self.new_inode(S_IFCHR, 0, device(*major, *minor), &entry),
            Kind::BlockDevice(major, minor) => self.new_inode(S_IFBLK, 0, device(*major, *minor), &entry),
            Kind::Fifo => self.new_inode(S_IFIFO, 0, 0, &entry),
            Kind::File => {
                let inode = self.new_inode(S_IFREG, entry.size, entry.offset, &entry);
                if let Some(pieces) = entry.pieces {
                    let aligned = pieces.iter().enumerate().all(|(number, (offset, len))| {
                        let last = number + 1 == pieces.len() && offset + len == entry.size;
                        offset % BLOCK == 0 && (len % BLOCK == 0 || last)
                    });
                    if !aligned {
                        self.unindexable.get_or_insert_with(|| {
                            format!(
                                "`{}` is a sparse file whose pieces are no whole blocks",
                                show(&entry.path)
                            )
                        });
                    }
                    self.extra_bytes += pieces.len() * 16;
                    self.extra(inode).pieces = Some(pieces);
                }
                inode
            }
        };
        match there {
            Some(dentry) => {
                if let Some(old) = existing {
                    let old = &mut self.inodes[old as usize];
                    old.links = old.links.saturating_sub(1);
                }
                self.dentries[dentry as usize].inode = inode;
            }
            None => self.name(parent, name, inode),
        }
        Ok(())
    }

    /// The inode that a hard link names: an entry before, of this layer, and no directory.
    fn hard_link_target(&self, target: &[u8], entry: &Entry, limits: &Limits) -> Result<u32, Bad> {
        let bad = |problem: &str| Bad::entry(&entry.path, problem);
        let path = match name::parse(target, limits.absolute_names) {
            Ok(Name::Entry(path)) => path,
            _ => {
                return Err(bad(&format!(
                    "is a hard link to `{}`, which is no file of the layer",
                    show(target)
                )));
            }
        };
        let mut inode = ROOT;
        for component in path.split(|byte| *byte == b'/') {
            let found = self.find(inode, component);
            let found = found.map(|dentry| self.dentries[dentry as usize].inode);
            inode = found.ok_or_else(|| {
                bad(&format!("is a hard link to `{}`, which the layer does not have", show(target)))
            })?;
        }
        if self.is_directory(inode) || self.is_whiteout(inode) {
            return Err(bad(&format!("is a hard link to `{}`, which is no file", show(target))));
        }
        Ok(inode)
    }

    /// The directory that `path` lies in, made if it is missing, and the last component.
    fn parent<'p>(&mut self, path: &'p [u8], entry: &Entry) -> Result<(u32, &'p [u8]), Bad> {
        match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => Ok((self.directory(&path[..slash], entry, false)?, &path[slash + 1..])),
            None => Ok((ROOT, path)),
        }
    }

    /// The directory at `path`, made where it is missing.
    fn directory(&mut self, path: &[u8], entry: &Entry, whole: bool) -> Result<u32, Bad> {
        let mut inode = ROOT;
        for component in path.split(|byte| *byte == b'/').filter(|component| !component.is_empty()) {
            let new = |opaque| Inode {
                mode: S_IFDIR | 0o755,
                seconds: entry.mtime.0,
                nanoseconds: entry.mtime.1,
                links: 1,
                implicit: true,
                opaque,
                ..Inode::default()
            };
            inode = match self.find(inode, component) {
                None => self.link(inode, component, new(false)),
                Some(dentry) => {
                    let there = self.dentries[dentry as usize].inode;
                    if self.is_directory(there) {
                        there
                    } else if self.is_whiteout(there) {
                        self.inodes.push(new(true));
                        let made = (self.inodes.len() - 1) as u32;
                        self.dentries[dentry as usize].inode = made;
                        made
                    } else {
                        let what =
                            if whole { "makes something opaque that" } else { "lies below something that" };
                        return Err(Bad::entry(
                            &entry.path,
                            format!(
                                "{what} is no directory (`{}`): a link there could lead out",
                                show(component)
                            ),
                        ));
                    }
                }
            };
        }
        Ok(inode)
    }

    fn new_inode(&mut self, kind: u32, size: u64, place: u64, entry: &Entry) -> u32 {
        self.inodes.push(Inode { mode: kind, size, place, links: 1, ..Inode::default() });
        let inode = (self.inodes.len() - 1) as u32;
        self.describe(inode, entry);
        inode
    }

    /// Sets what an entry says about an inode.
    fn describe(&mut self, inode: u32, entry: &Entry) {
        let mut kept: Attributes = Vec::new();
        // The kernel has user attributes for files and directories alone, and so have both forms.
        let kind = self.inodes[inode as usize].mode & S_IFMT;
        for (name, value) in &entry.xattrs {
            if name::keeps_attribute(name) && matches!(kind, S_IFREG | S_IFDIR) {
                kept.push((name.clone(), value.clone()));
            } else {
                self.dropped += 1;
            }
        }
        kept.sort();
        let node = &mut self.inodes[inode as usize];
        node.mode = (node.mode & S_IFMT) | entry.mode;
        // A link has no permissions of its own: everybody may follow it.
        if node.mode & S_IFMT == S_IFLNK {
            node.mode = S_IFLNK | 0o777;
        }
        node.uid = entry.uid;
        node.gid = entry.gid;
        (node.seconds, node.nanoseconds) = entry.mtime;
        node.implicit = false;
        if !kept.is_empty() || node.extra != 0 {
            self.extra_bytes += kept.iter().map(|(name, value)| name.len() + value.len() + 48).sum::<usize>();
            self.extra(inode).xattrs = kept;
        }
    }

    fn make_opaque(&mut self, inode: u32) {
        if !std::mem::replace(&mut self.inodes[inode as usize].opaque, true) {
            self.whiteouts += 1;
        }
    }

    fn extra(&mut self, inode: u32) -> &mut Extra {
        let node = &mut self.inodes[inode as usize];
        if node.extra == 0 {
            self.extras.push(Extra::default());
            node.extra = self.extras.len() as u32;
        }
        &mut self.extras[node.extra as usize - 1]
    }

    fn is_directory(&self, inode: u32) -> bool {
        self.inodes[inode as usize].mode & S_IFMT == S_IFDIR
    }

    /// Whether it stands for something that is gone: the device 0:0, which no entry can be.
    pub fn is_whiteout(&self, inode: u32) -> bool {
        let inode = &self.inodes[inode as usize];
        inode.mode & S_IFMT == S_IFCHR && inode.place == 0
    }

    fn link(&mut self, parent: u32, name: &[u8], inode: Inode) -> u32 {
        self.inodes.push(inode);
        let made = (self.inodes.len() - 1) as u32;
        self.name(parent, name, made);
        made
    }

    fn name(&mut self, parent: u32, name: &[u8], inode: u32) {
        let place = self.names.len() as u32;
        self.names.extend_from_slice(name);
        self.dentries.push(Dentry { parent, inode, name: place, len: name.len() as u8 });
        if (self.dentries.len() + 1) * 2 > self.table.len() {
            let len = self.table.len() * 2;
            self.table = vec![FREE; len];
            for dentry in 0..self.dentries.len() as u32 {
                let slot = self.slot(self.dentries[dentry as usize].parent, self.name_of(dentry));
                self.table[slot] = dentry;
            }
        } else {
            let slot = self.slot(parent, name);
            self.table[slot] = self.dentries.len() as u32 - 1;
        }
    }

    fn find(&self, parent: u32, name: &[u8]) -> Option<u32> {
        match self.table[self.slot(parent, name)] {
            FREE => None,
            dentry => Some(dentry),
        }
    }

    /// Where a name is in the table, or would be.
    fn slot(&self, parent: u32, name: &[u8]) -> usize {
        let mask = self.table.len() - 1;
        let mut slot = self.hasher.hash_one((parent, name)) as usize & mask;
        loop {
            match self.table[slot] {
                FREE => return slot,
                dentry if self.dentries[dentry as usize].parent == parent && self.name_of(dentry) == name => {
                    return slot;
                }
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    /// A name.
    pub fn name_of(&self, dentry: u32) -> &[u8] {
        let dentry = &self.dentries[dentry as usize];
        &self.names[dentry.name as usize..][..usize::from(dentry.len)]
    }

    /// The target of a symbolic link.
    pub fn target_of(&self, inode: u32) -> &[u8] {
        let inode = &self.inodes[inode as usize];
        &self.names[inode.place as usize..][..inode.size as usize]
    }

    /// An inode.
    pub fn inode(&self, inode: u32) -> &Inode {
        &self.inodes[inode as usize]
    }

    /// How many inodes there are, those that were replaced included.
    pub fn inodes(&self) -> usize {
        self.inodes.len()
    }

    /// What few inodes have.
    pub fn extra_of(&self, inode: u32) -> Option<&Extra> {
        let extra = self.inodes[inode as usize].extra;
        extra.checked_sub(1).map(|place| &self.extras[place as usize])
    }

    /// All names, ordered by directory and then by their bytes: the content of each directory lies together.
    pub fn sorted(&self) -> Sorted {
        let mut order: Vec<u32> = (0..self.dentries.len() as u32).collect();
        order.sort_unstable_by(|left, right| {
            let parent = |dentry: u32| self.dentries[dentry as usize].parent;
            parent(*left).cmp(&parent(*right)).then_with(|| self.name_of(*left).cmp(self.name_of(*right)))
        });
        Sorted { order }
    }

    /// The inode of a name.
    pub fn inode_of(&self, dentry: u32) -> u32 {
        self.dentries[dentry as usize].inode
    }
}

/// The names of a tree in order.
#[derive(Debug)]
pub struct Sorted {
    order: Vec<u32>,
}

impl Sorted {
    /// The names in a directory.
    pub fn of<'s>(&'s self, tree: &Tree, directory: u32) -> &'s [u32] {
        let parent = |dentry: &u32| tree.dentries[*dentry as usize].parent;
        let start = self.order.partition_point(|dentry| parent(dentry) < directory);
        let len = self.order[start..].partition_point(|dentry| parent(dentry) == directory);
        &self.order[start..start + len]
    }
}

/// A device's number as the kernel encodes it for filesystems (`new_encode_dev`, kdev_t.h).
pub fn device(major: u32, minor: u32) -> u64 {
    u64::from((minor & 0xff) | (major << 8) | ((minor & !0xff) << 12))
}

// An entry has no more attributes than an inode of EROFS can hold: 4 bytes times a 16-bit number.
const _: () = assert!(MAX_XATTR_BYTES * 2 < 4 * u16::MAX as usize);

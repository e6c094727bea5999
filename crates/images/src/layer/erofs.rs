//! Our writer of EROFS: an index over a plain archive, without content of its own.
//!
//! The archive is the filesystem's second device. Content of files begins at whole blocks of 512 bytes there, so with blocks of that
//! size (Linux 6.4) a file is one extent: a chunk with the archive's device number and a block's number. Everything else, that is
//! inodes, directories, links and attributes, is written here. Sources: the kernel's fs/erofs/erofs_fs.h and
//! Documentation/filesystems/erofs.rst. See docs/design/images.md for the layout.

use std::io::{self, Write};

use super::Bad;
use super::index::{ROOT, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, Sorted, Tree};

/// Blocks have 512 bytes, as those of archives.
const BLOCK_BITS: u32 = 9;
const BLOCK: u64 = 1 << BLOCK_BITS;
/// The superblock's place and magic number.
const SUPER_OFFSET: usize = 1024;
const SUPER_MAGIC: u32 = 0xe0f5_e1e2;
/// Where the device table lies: behind the superblock. In units of its entries of 128 bytes.
const DEVICES_AT: usize = 1152;
/// Where inodes begin. The root has to be among the first 65,536 places of 32 bytes.
const INODES_AT: u64 = 1536;
const INODE_UNIT: u64 = 32;
const INODE_SIZE: u64 = 64;

const FEATURE_CHUNKED_FILE: u32 = 0x4;
const FEATURE_DEVICE_TABLE: u32 = 0x8;
const FEATURE_MTIME: u32 = 0x2;

const LAYOUT_PLAIN: u16 = 0;
const LAYOUT_INLINE: u16 = 2;
const LAYOUT_CHUNKED: u16 = 4;
const CHUNK_INDEXES: u32 = 0x20;
/// The largest chunk: 2^31 blocks.
const MAX_CHUNK_BITS: u32 = 31;
const HOLE: u32 = u32::MAX;
/// The archive's device number.
const ARCHIVE: u16 = 1;
/// The most chunks of a sparse file; above, files are extracted.
const MAX_CHUNKS: u64 = 1 << 20;

/// What marks an opaque directory, for overlayfs mounted by root.
const OPAQUE: (&[u8], &[u8]) = (b"trusted.overlay.opaque", b"y");

/// Where an inode goes, decided in the first pass.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// Its offset; 0 is not placed.
    at: u64,
    /// Its attributes' bytes.
    xattrs: u32,
    layout: u16,
    /// The first block of its own content, counted from the end of the inodes.
    block: u64,
}

/// Writes the index of `tree` over an archive of `archive_bytes`. Yields how many bytes it has.
///
/// # Errors
/// [`Bad::Unindexable`] for what the format cannot hold, or what `out` says.
pub fn write(tree: &Tree, archive_bytes: u64, uuid: [u8; 16], out: &mut impl Write) -> Result<u64, Bad> {
    if let Some(reason) = &tree.unindexable {
        return Err(Bad::Unindexable(reason.clone()));
    }
    let archive_blocks = archive_bytes.div_ceil(BLOCK);
    if archive_blocks >= u64::from(HOLE) / 2 {
        return Err(Bad::Unindexable("the archive is larger than 1 TiB".to_owned()));
    }
    let writer = Writer::plan(tree)?;
    writer.write(archive_blocks, uuid, out).map_err(Bad::io("write the index"))
}

struct Writer<'t> {
    tree: &'t Tree,
    sorted: Sorted,
    /// Inodes in the order in which they are written.
    order: Vec<u32>,
    /// The directory that each of `order` lies in; used for directories.
    parents: Vec<u32>,
    places: Vec<Place>,
    /// Where the inodes end: a whole block.
    inodes_end: u64,
    /// How many blocks of content follow.
    blocks: u64,
}

impl<'t> Writer<'t> {
    /// The first pass: which inodes are reached, and where each goes.
    fn plan(tree: &'t Tree) -> Result<Self, Bad> {
        let mut writer = Writer {
            tree,
            sorted: tree.sorted(),
            order: vec![ROOT],
            parents: vec![ROOT],
            places: vec![Place::default(); tree.inodes()],
            inodes_end: 0,
            blocks: 0,
        };
        let mut at = INODES_AT;
        at = writer.place(ROOT, at)?;
        let mut next = 0;
        while let Some(inode) = writer.order.get(next).copied() {
            next += 1;
            if tree.inode(inode).mode & S_IFMT != S_IFDIR {
                continue;
            }
            for number in 0..writer.sorted.of(tree, inode).len() {
                let child = tree.inode_of(writer.sorted.of(tree, inode)[number]);
                if writer.places[child as usize].at == 0 {
                    at = writer.place(child, at)?;
                    writer.order.push(child);
                    writer.parents.push(inode);
                }
            }
        }
        writer.inodes_end = at.next_multiple_of(BLOCK);
        Ok(writer)
    }

    /// Finds a place for an inode at or after `at`; yields where it ends.
    fn place(&mut self, inode: u32, at: u64) -> Result<u64, Bad> {
        let node = self.tree.inode(inode);
        let xattrs = xattr_bytes(&self.xattrs(inode));
        let head = INODE_SIZE + xattrs;
        let mut at = at.next_multiple_of(INODE_UNIT);
        // An inode's fixed part never crosses a block.
        if at % BLOCK + INODE_SIZE > BLOCK {
            at = at.next_multiple_of(BLOCK);
        }
        let mut block = 0;
        let (layout, tail) = match node.mode & S_IFMT {
            S_IFREG if node.size > 0 => {
                let chunks = self.chunks(inode)?.1;
                // Entries of the chunk table lie at whole multiples of their size.
                (LAYOUT_CHUNKED, (at + head).next_multiple_of(8) - (at + head) + chunks * 8)
            }
            kind @ (S_IFDIR | S_IFLNK) => {
                let len = if kind == S_IFDIR { self.directory_bytes(inode) } else { node.size };
                let tail = len % BLOCK;
                // What is left after whole blocks lies behind the inode if it fits into the same block.
                let fits = |at: u64| tail > 0 && (at + head) % BLOCK + tail <= BLOCK;
                if !fits(at) && fits(at.next_multiple_of(BLOCK)) {
                    at = at.next_multiple_of(BLOCK);
                }
                let inline = fits(at);
                block = self.blocks;
                self.blocks += if inline { len / BLOCK } else { len.div_ceil(BLOCK) };
                if inline { (LAYOUT_INLINE, tail) } else { (LAYOUT_PLAIN, 0) }
            }
            _ => (LAYOUT_PLAIN, 0),
        };
        self.places[inode as usize] = Place { at, xattrs: xattrs as u32, layout, block };
        Ok(at + head + tail)
    }

    /// The chunk size of a file, as a power of two of blocks, and how many chunks it has.
    fn chunks(&self, inode: u32) -> Result<(u32, u64), Bad> {
        let node = self.tree.inode(inode);
        let blocks = node.size.div_ceil(BLOCK);
        let whole = blocks.next_power_of_two().trailing_zeros();
        let pieces = self.tree.extra_of(inode).and_then(|extra| extra.pieces.as_deref());
        let bits = match pieces {
            None | Some([]) => whole,
            // Every chunk is a hole or lies in one piece.
            Some(pieces) => {
                let end = |(offset, len): &(u64, u64)| (offset + len).div_ceil(BLOCK);
                let marks = pieces.iter().flat_map(|piece| [piece.0 / BLOCK, end(piece)]);
                let inner = marks.filter(|mark| *mark < blocks).fold(0, |bits, mark| bits | mark);
                if inner == 0 { whole } else { inner.trailing_zeros().min(whole) }
            }
        };
        let bits = bits.min(MAX_CHUNK_BITS);
        let chunks = blocks.div_ceil(1 << bits);
        if chunks > MAX_CHUNKS {
            return Err(Bad::Unindexable(format!("a sparse file has {chunks} chunks")));
        }
        Ok((bits, chunks))
    }

    /// What is written of an inode's attributes.
    fn xattrs(&self, inode: u32) -> Vec<(u8, &'t [u8], &'t [u8])> {
        let own = self.tree.extra_of(inode).map(|extra| extra.xattrs.as_slice()).unwrap_or_default();
        let mut found: Vec<_> = own
            .iter()
            .filter_map(|(name, value)| prefixed(name).map(|(index, name)| (index, name, value.as_slice())))
            .collect();
        if self.tree.inode(inode).opaque
            && let Some((index, name)) = prefixed(OPAQUE.0)
        {
            found.push((index, name, OPAQUE.1));
        }
        found
    }

    /// Calls `each` with every name of a directory, in the order of their bytes, `.` and `..` among them.
    fn names(&self, inode: u32, parent: u32, mut each: impl FnMut(&[u8], u32)) {
        let mut own = [(&b"."[..], inode), (&b".."[..], parent)].into_iter().peekable();
        for dentry in self.sorted.of(self.tree, inode) {
            let name = self.tree.name_of(*dentry);
            while let Some((special, inode)) = own.next_if(|(special, _)| *special < name) {
                each(special, inode);
            }
            each(name, self.tree.inode_of(*dentry));
        }
        own.for_each(|(special, inode)| each(special, inode));
    }

    /// How many bytes a directory has: whole blocks, but for the last.
    fn directory_bytes(&self, inode: u32) -> u64 {
        let (mut blocks, mut used) = (0, 0);
        self.names(inode, inode, |name, _| {
            let len = DIRENT + name.len() as u64;
            if used + len > BLOCK {
                blocks += 1;
                used = 0;
            }
            used += len;
        });
        blocks * BLOCK + used
    }

    /// A directory's content.
    fn directory(&self, inode: u32, parent: u32) -> Vec<u8> {
        let mut content = Vec::new();
        let (mut heads, mut names): (Vec<(u64, u8, usize)>, Vec<u8>) = (Vec::new(), Vec::new());
        let mut flush = |heads: &mut Vec<(u64, u8, usize)>, names: &mut Vec<u8>, last: bool| {
            let start = content.len();
            let first_name = heads.len() * DIRENT as usize;
            for (nid, kind, name) in heads.drain(..) {
                content.extend_from_slice(&nid.to_le_bytes());
                content.extend_from_slice(&((first_name + name) as u16).to_le_bytes());
                content.extend_from_slice(&[kind, 0]);
            }
            content.append(names);
            if !last {
                content.resize(start + BLOCK as usize, 0);
            }
        };
        self.names(inode, parent, |name, target| {
            if (heads.len() + 1) * DIRENT as usize + names.len() + name.len() > BLOCK as usize {
                flush(&mut heads, &mut names, false);
            }
            let nid = self.places[target as usize].at / INODE_UNIT;
            heads.push((nid, file_type(self.tree.inode(target).mode), names.len()));
            names.extend_from_slice(name);
        });
        flush(&mut heads, &mut names, true);
        content
    }

    /// The second pass.
    fn write(&self, archive_blocks: u64, uuid: [u8; 16], out: &mut impl Write) -> io::Result<u64> {
        let content_at = self.inodes_end / BLOCK;
        let total_blocks = content_at + self.blocks;
        let mut out = Counted { out, at: 0 };
        out.put(&self.superblock(total_blocks, archive_blocks, uuid))?;
        // Content of directories and links that does not fit behind their inodes, in the order of `Place::block`.
        let mut behind: Vec<u8> = Vec::new();
        for (number, (inode, parent)) in self.order.iter().zip(&self.parents).enumerate() {
            let place = self.places[*inode as usize];
            out.fill_to(place.at)?;
            let node = self.tree.inode(*inode);
            let kind = node.mode & S_IFMT;
            let content = match kind {
                S_IFDIR => self.directory(*inode, *parent),
                S_IFLNK => self.tree.target_of(*inode).to_vec(),
                _ => Vec::new(),
            };
            let (bits, chunks) = match place.layout {
                LAYOUT_CHUNKED => self.chunks(*inode).unwrap_or_default(),
                _ => (0, 0),
            };
            let union = match (kind, place.layout) {
                (S_IFCHR | S_IFBLK, _) => node.place as u32,
                (_, LAYOUT_CHUNKED) => bits | CHUNK_INDEXES,
                (S_IFDIR | S_IFLNK, _) => (content_at + place.block) as u32,
                _ => 0,
            };
            let size = if kind == S_IFDIR { content.len() as u64 } else { node.size };
            let size = if matches!(kind, S_IFREG | S_IFDIR | S_IFLNK) { size } else { 0 };
            let links = if kind == S_IFDIR { 2 + self.subdirectories(*inode) } else { node.links.max(1) };
            let xattr_count = if place.xattrs == 0 { 0 } else { (place.xattrs - 12) / 4 + 1 };
            let mut head = Vec::with_capacity(64);
            head.extend_from_slice(&(1 | place.layout << 1).to_le_bytes());
            head.extend_from_slice(&(xattr_count as u16).to_le_bytes());
            head.extend_from_slice(&(node.mode as u16).to_le_bytes());
            head.extend_from_slice(&0u16.to_le_bytes());
            head.extend_from_slice(&size.to_le_bytes());
            head.extend_from_slice(&union.to_le_bytes());
            head.extend_from_slice(&(number as u32 + 1).to_le_bytes());
            head.extend_from_slice(&node.uid.to_le_bytes());
            head.extend_from_slice(&node.gid.to_le_bytes());
            head.extend_from_slice(&node.seconds.to_le_bytes());
            head.extend_from_slice(&node.nanoseconds.to_le_bytes());
            head.extend_from_slice(&links.to_le_bytes());
            head.resize(INODE_SIZE as usize, 0);
            out.put(&head)?;
            out.put(&xattr_block(&self.xattrs(*inode)))?;
            match place.layout {
                LAYOUT_CHUNKED => {
                    let at = out.at.next_multiple_of(8);
                    out.fill_to(at)?;
                    out.put(&self.chunk_table(*inode, bits, chunks))?;
                }
                LAYOUT_INLINE => {
                    let whole = content.len() / BLOCK as usize * BLOCK as usize;
                    behind.extend_from_slice(&content[..whole]);
                    out.put(&content[whole..])?;
                }
                _ => {
                    behind.extend_from_slice(&content);
                    behind.resize(behind.len().next_multiple_of(BLOCK as usize), 0);
                }
            }
        }
        out.fill_to(self.inodes_end)?;
        out.put(&behind)?;
        Ok(out.at)
    }

    fn superblock(&self, blocks: u64, archive_blocks: u64, uuid: [u8; 16]) -> Vec<u8> {
        let mut image = vec![0; INODES_AT as usize];
        let mut put =
            |at: usize, bytes: &[u8]| image[SUPER_OFFSET + at..][..bytes.len()].copy_from_slice(bytes);
        put(0, &SUPER_MAGIC.to_le_bytes());
        put(8, &FEATURE_MTIME.to_le_bytes());
        put(12, &[BLOCK_BITS as u8, 0]);
        put(14, &((self.places[ROOT as usize].at / INODE_UNIT) as u16).to_le_bytes());
        put(16, &(self.order.len() as u64).to_le_bytes());
        put(36, &(blocks as u32).to_le_bytes());
        put(48, &uuid);
        put(80, &(FEATURE_CHUNKED_FILE | FEATURE_DEVICE_TABLE).to_le_bytes());
        put(86, &1u16.to_le_bytes());
        put(88, &((DEVICES_AT / 128) as u16).to_le_bytes());
        let device = DEVICES_AT - SUPER_OFFSET;
        put(device + 64, &(archive_blocks as u32).to_le_bytes());
        put(device + 68, &(blocks as u32).to_le_bytes());
        image
    }

    fn chunk_table(&self, inode: u32, bits: u32, chunks: u64) -> Vec<u8> {
        let node = self.tree.inode(inode);
        let first = node.place / BLOCK;
        let whole = [(0, node.size)];
        let pieces = self.tree.extra_of(inode).and_then(|extra| extra.pieces.as_deref()).unwrap_or(&whole);
        let mut table = Vec::with_capacity(chunks as usize * 8);
        let mut pieces = pieces.iter().map(|(offset, len)| (offset / BLOCK, len.div_ceil(BLOCK))).peekable();
        let mut stored = 0;
        for chunk in 0..chunks {
            let block = chunk << bits;
            while let Some((_, len)) = pieces.next_if(|(offset, len)| offset + len <= block) {
                stored += len;
            }
            let place = match pieces.peek() {
                Some((offset, _)) if *offset <= block => Some(first + stored + (block - offset)),
                _ => None,
            };
            table.extend_from_slice(&0u16.to_le_bytes());
            table.extend_from_slice(&place.map_or(0, |_| ARCHIVE).to_le_bytes());
            table.extend_from_slice(&place.map_or(HOLE, |block| block as u32).to_le_bytes());
        }
        table
    }

    fn subdirectories(&self, inode: u32) -> u32 {
        let children = self.sorted.of(self.tree, inode).iter();
        children
            .filter(|dentry| self.tree.inode(self.tree.inode_of(**dentry)).mode & S_IFMT == S_IFDIR)
            .count() as u32
    }
}

const DIRENT: u64 = 12;

/// Writes, and knows where it is.
struct Counted<'o, W> {
    out: &'o mut W,
    at: u64,
}

impl<W: Write> Counted<'_, W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn fill_to(&mut self, at: u64) -> io::Result<()> {
        const ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];
        while self.at < at {
            let len = (at - self.at).min(BLOCK) as usize;
            self.put(&ZEROS[..len])?;
        }
        Ok(())
    }
}

/// The number that EROFS has for a prefix of an attribute's name, and the rest.
fn prefixed(name: &[u8]) -> Option<(u8, &[u8])> {
    match name {
        b"system.posix_acl_access" => Some((2, b"")),
        b"system.posix_acl_default" => Some((3, b"")),
        _ => [(&b"user."[..], 1), (b"trusted.", 4), (b"security.", 6)]
            .into_iter()
            .find_map(|(prefix, index)| name.strip_prefix(prefix).map(|rest| (index, rest))),
    }
}

fn xattr_bytes(xattrs: &[(u8, &[u8], &[u8])]) -> u64 {
    if xattrs.is_empty() {
        return 0;
    }
    let entry =
        |(_, name, value): &(u8, &[u8], &[u8])| (4 + name.len() + value.len()).next_multiple_of(4) as u64;
    12 + xattrs.iter().map(entry).sum::<u64>()
}

fn xattr_block(xattrs: &[(u8, &[u8], &[u8])]) -> Vec<u8> {
    if xattrs.is_empty() {
        return Vec::new();
    }
    let mut block = vec![0; 12];
    for (index, name, value) in xattrs {
        block.extend_from_slice(&[name.len() as u8, *index]);
        block.extend_from_slice(&(value.len() as u16).to_le_bytes());
        block.extend_from_slice(name);
        block.extend_from_slice(value);
        block.resize(block.len().next_multiple_of(4), 0);
    }
    block
}

fn file_type(mode: u32) -> u8 {
    match mode & S_IFMT {
        S_IFREG => 1,
        S_IFDIR => 2,
        S_IFCHR => 3,
        S_IFBLK => 4,
        S_IFIFO => 5,
        S_IFLNK => 7,
        _ => 0,
    }
}

//! Archives: ustar, PAX, GNU and the sparse files of both.
//!
//! [`Archive::next`] yields one entry after the other with everything decoded, and where its content lies in the archive;
//! [`Archive::content`] reads it. Everything is checked, nothing is believed: checksums, lengths, numbers.

use std::io::{self, BufRead};

use super::limits::{MAX_PATH, MAX_PAX_BYTES, MAX_SPARSE, MAX_XATTR_BYTES};
use super::{Bad, pax};

/// The unit of everything in an archive.
pub const BLOCK: u64 = 512;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// Another name of an entry before.
    HardLink(Vec<u8>),
    /// A symbolic link with this target.
    SymLink(Vec<u8>),
    /// A character device.
    CharDevice(u32, u32),
    /// A block device.
    BlockDevice(u32, u32),
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

/// An entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name as it stands there.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, with set-user-id and the like.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// When it was changed: seconds since 1970 and nanoseconds.
    pub mtime: (i64, u32),
    /// The file's length, holes included.
    pub size: u64,
    /// Extended attributes, as they stand there.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where its content begins in the archive.
    pub offset: u64,
    /// How many bytes of content the archive has.
    pub stored: u64,
    /// The pieces of a sparse file, in order: place in the file and length. They lie one after the other in the archive.
    pub pieces: Option<Vec<(u64, u64)>>,
}

/// What PAX headers say about the next entry, or about all that follow.
#[derive(Debug, Clone, Default)]
struct Attributes {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    sparse_name: Option<Vec<u8>>,
    sparse_size: Option<u64>,
    sparse_major: Option<u64>,
    sparse_minor: Option<u64>,
    /// Of format 0.0 and 0.1: numbers, offset and length in turn.
    sparse_map: Vec<u64>,
}

/// An archive that is read from its beginning to its end.
#[derive(Debug)]
pub struct Archive<R> {
    input: R,
    /// How many bytes have been read.
    at: u64,
    /// Content of the last entry that has not been read, and the filling after it.
    left: u64,
    filling: u64,
    global: Attributes,
    ended: bool,
}

type Header = [u8; BLOCK as usize];

impl<R: BufRead> Archive<R> {
    /// The archive that `input` yields.
    pub fn new(input: R) -> Self {
        Self { input, at: 0, left: 0, filling: 0, global: Attributes::default(), ended: false }
    }

    /// How many bytes have been read.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// The input, to read what comes after the archive's end.
    pub fn into_input(self) -> R {
        self.input
    }

    /// The next entry; none at the end. Content of the last one that was not read is skipped.
    ///
    /// # Errors
    /// What is wrong with the archive.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Entry>, Bad> {
        self.skip(self.left + self.filling)?;
        (self.left, self.filling) = (0, 0);
        if self.ended {
            return Ok(None);
        }
        let mut own = self.global.clone();
        let (mut long_name, mut long_link) = (None, None);
        loop {
            let Some(header) = self.header()? else {
                if long_name.is_some() || long_link.is_some() {
                    return Err(self.bad("it ends where an entry should follow"));
                }
                self.ended = true;
                return Ok(None);
            };
            let size = self.number(&header[124..136], "size")?;
            match header[156] {
                b'x' | b'X' => {
                    let bytes = self.small(size, MAX_PAX_BYTES)?;
                    self.attributes(&bytes, &mut own)?;
                }
                b'g' => {
                    let bytes = self.small(size, MAX_PAX_BYTES)?;
                    let mut global = std::mem::take(&mut self.global);
                    self.attributes(&bytes, &mut global)?;
                    // What was said about the next entry already counts more; git's comment is the usual content.
                    self.global = global;
                    own = Attributes { xattrs: own.xattrs.clone(), ..own };
                }
                b'L' => long_name = Some(trimmed(self.small(size, MAX_PATH as u64 + 1)?)),
                b'K' => long_link = Some(trimmed(self.small(size, MAX_PATH as u64 + 1)?)),
                b'V' => self.skip(filled(size))?,
                _ => return self.entry(&header, size, own, long_name, long_link).map(Some),
            }
        }
    }

    /// Reads the content of the entry that [`Archive::next`] yielded last, as it lies there: of a sparse file the pieces alone.
    ///
    /// # Errors
    /// Those of the input.
    pub fn content(&mut self, buffer: &mut [u8]) -> Result<usize, Bad> {
        let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if len == 0 {
            return Ok(0);
        }
        let count = self.input.read(&mut buffer[..len]).map_err(Bad::io("read the archive"))?;
        if count == 0 {
            return Err(self.bad("it ends in the middle of a file"));
        }
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }

    /// Decodes a header of an entry, and of a sparse file what follows it.
    fn entry(
        &mut self,
        header: &Header,
        size: u64,
        own: Attributes,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<Entry, Bad> {
        let gnu = &header[257..265] == b"ustar  \0";
        let ustar = &header[257..262] == b"ustar" && !gnu;
        let own_name = text(&header[..100]);
        let name = match long_name {
            Some(name) => name,
            None if ustar && header[345] != 0 => {
                let mut name = text(&header[345..500]).to_vec();
                name.push(b'/');
                name.extend_from_slice(own_name);
                name
            }
            None => own_name.to_vec(),
        };
        let path = own.sparse_name.or(own.path).unwrap_or(name);
        let link = own.link.or(long_link).unwrap_or_else(|| text(&header[157..257]).to_vec());
        let id = |given: Option<u64>, field: &[u8], what: &str| -> Result<u32, Bad> {
            let id = match given {
                Some(id) => id,
                None => self.number(field, what)?,
            };
            // 4294967295 means "nobody" to chown(2), and larger ones wrap around to another user.
            u32::try_from(id)
                .ok()
                .filter(|id| *id != u32::MAX)
                .ok_or_else(|| Bad::entry(&path, format!("has the {what} {id}, which no user can have")))
        };
        let uid = id(own.uid, &header[108..116], "uid")?;
        let gid = id(own.gid, &header[116..124], "gid")?;
        let mtime = match own.mtime {
            Some(time) => time,
            None => (self.time(&header[136..148])?, 0),
        };
        let mode = (self.number(&header[100..108], "mode")? & 0o7777) as u32;
        let device = || -> Result<(u32, u32), Bad> {
            let major = self.number(&header[329..337], "major device number")?;
            let minor = self.number(&header[337..345], "minor device number")?;
            // What the kernel's numbers hold (kdev_t.h).
            match (u32::try_from(major), u32::try_from(minor)) {
                (Ok(major), Ok(minor)) if major < 1 << 12 && minor < 1 << 20 => Ok((major, minor)),
                _ => Err(Bad::entry(&path, "is a device with impossible numbers")),
            }
        };
        let kind = match header[156] {
            0 if path.ends_with(b"/") => Kind::Directory,
            b'0' | 0 | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink(link),
            b'2' => Kind::SymLink(link),
            b'3' => device().map(|(major, minor)| Kind::CharDevice(major, minor))?,
            b'4' => device().map(|(major, minor)| Kind::BlockDevice(major, minor))?,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => {
                return Err(Bad::entry(&path, format!("is of the unknown type `{}`", show_type(other))));
            }
        };
        // A size in a header of something without content is nonsense that some writers leave there; old ones mean it for hard links.
        let mut stored = match kind {
            Kind::File => own.size.unwrap_or(size),
            _ => 0,
        };
        let mut length = stored;
        let mut pieces = None;
        if kind == Kind::File {
            if header[156] == b'S' {
                if !gnu {
                    return Err(Bad::entry(&path, "is a sparse file of an unknown format"));
                }
                length = self.number(&header[483..495], "real size")?;
                pieces = Some(self.gnu_pieces(header)?);
            } else if own.sparse_major == Some(1) {
                length =
                    own.sparse_size.ok_or_else(|| Bad::entry(&path, "is a sparse file without a size"))?;
                if own.sparse_minor != Some(0) {
                    return Err(Bad::entry(&path, "is a sparse file of an unknown format"));
                }
                let (map, taken) = self.leading_map(&path, stored)?;
                pieces = Some(map);
                stored -= taken;
            } else if !own.sparse_map.is_empty() || (own.sparse_size.is_some() && own.sparse_major.is_none())
            {
                length =
                    own.sparse_size.ok_or_else(|| Bad::entry(&path, "is a sparse file without a size"))?;
                let pairs = own.sparse_map.chunks(2).map(|pair| match pair {
                    [offset, len] => Ok((*offset, *len)),
                    _ => Err(Bad::entry(&path, "is a sparse file with half a piece")),
                });
                pieces = Some(pairs.collect::<Result<_, _>>()?);
            }
        }
        if let Some(pieces) = &mut pieces {
            check_pieces(pieces, length, stored).map_err(|problem| Bad::entry(&path, problem))?;
        }
        if length > i64::MAX as u64 || stored > i64::MAX as u64 - BLOCK {
            return Err(Bad::entry(&path, "has an impossible size"));
        }
        self.left = stored;
        self.filling = filled(stored) - stored;
        Ok(Entry {
            path,
            kind,
            mode,
            uid,
            gid,
            mtime,
            size: length,
            xattrs: own.xattrs,
            offset: self.at,
            stored,
            pieces,
        })
    }

    /// The pieces of an old GNU sparse file: four in the header, more in blocks after it.
    fn gnu_pieces(&mut self, header: &Header) -> Result<Vec<(u64, u64)>, Bad> {
        let mut pieces = Vec::new();
        let mut take = |archive: &Self, bytes: &[u8]| -> Result<(), Bad> {
            for pair in bytes.chunks_exact(24) {
                if pair[0] == 0 && pair[12] == 0 {
                    continue;
                }
                pieces.push((
                    archive.number(&pair[..12], "offset of a piece")?,
                    archive.number(&pair[12..], "length of a piece")?,
                ));
                if pieces.len() > MAX_SPARSE {
                    return Err(archive.bad("a sparse file has too many pieces"));
                }
            }
            Ok(())
        };
        take(self, &header[386..482])?;
        let mut more = header[482] != 0;
        while more {
            let mut block = [0; BLOCK as usize];
            self.fill(&mut block)?;
            take(self, &block[..504])?;
            more = block[504] != 0;
        }
        Ok(pieces)
    }

    /// The pieces that PAX format 1.0 puts before the content, in whole blocks. Yields how many bytes they take.
    fn leading_map(&mut self, path: &[u8], stored: u64) -> Result<(Vec<(u64, u64)>, u64), Bad> {
        let bad = || Bad::entry(path, "is a sparse file with a broken map");
        let mut block = [0; BLOCK as usize];
        let (mut place, mut taken) = (BLOCK as usize, 0);
        let mut next = |archive: &mut Self| -> Result<u64, Bad> {
            let mut digits = Vec::new();
            loop {
                if place == block.len() {
                    if taken + BLOCK > stored {
                        return Err(bad());
                    }
                    archive.fill(&mut block)?;
                    (place, taken) = (0, taken + BLOCK);
                }
                let byte = block[place];
                place += 1;
                match byte {
                    b'\n' => return pax::number(&digits).ok_or_else(bad),
                    _ if digits.len() < 20 => digits.push(byte),
                    _ => return Err(bad()),
                }
            }
        };
        let count = next(self)?;
        if count > MAX_SPARSE as u64 {
            return Err(Bad::entry(path, "is a sparse file with too many pieces"));
        }
        let mut pieces = Vec::new();
        for _ in 0..count {
            pieces.push((next(self)?, next(self)?));
        }
        Ok((pieces, taken))
    }

    fn attributes(&self, bytes: &[u8], into: &mut Attributes) -> Result<(), Bad> {
        let number =
            |value: &[u8]| pax::number(value).ok_or_else(|| self.bad("a PAX header has a broken number"));
        for (key, value) in pax::records(bytes, self.at)? {
            match key {
                b"path" => {
                    into.path = Some(path_value(value).ok_or_else(|| self.bad("a PAX path is too long"))?)
                }
                b"linkpath" => {
                    into.link = Some(path_value(value).ok_or_else(|| self.bad("a PAX path is too long"))?)
                }
                b"size" => into.size = Some(number(value)?),
                b"uid" => into.uid = Some(number(value)?),
                b"gid" => into.gid = Some(number(value)?),
                b"mtime" => {
                    into.mtime =
                        Some(pax::time(value).ok_or_else(|| self.bad("a PAX header has a broken time"))?);
                }
                b"GNU.sparse.name" => {
                    into.sparse_name =
                        Some(path_value(value).ok_or_else(|| self.bad("a PAX path is too long"))?);
                }
                b"GNU.sparse.realsize" | b"GNU.sparse.size" => into.sparse_size = Some(number(value)?),
                b"GNU.sparse.major" => into.sparse_major = Some(number(value)?),
                b"GNU.sparse.minor" => into.sparse_minor = Some(number(value)?),
                b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => into.sparse_map.push(number(value)?),
                b"GNU.sparse.map" => {
                    for part in value.split(|byte| *byte == b',').filter(|part| !part.is_empty()) {
                        into.sparse_map.push(number(part)?);
                    }
                }
                _ => {
                    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                        into.xattrs.retain(|(other, _)| other != name);
                        into.xattrs.push((name.to_vec(), value.to_vec()));
                    }
                }
            }
            if into.sparse_map.len() > MAX_SPARSE * 2 {
                return Err(self.bad("a sparse file has too many pieces"));
            }
            if into.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
                > MAX_XATTR_BYTES
            {
                return Err(self.bad("an entry has more than 64 KiB of extended attributes"));
            }
        }
        Ok(())
    }

    /// The next header; none at the end of the archive, which is two blocks of zeros, or the end of the input between two entries.
    fn header(&mut self) -> Result<Option<Header>, Bad> {
        let mut header = [0; BLOCK as usize];
        if !self.fill_or_end(&mut header)? {
            return Ok(None);
        }
        if header.iter().all(|byte| *byte == 0) {
            let mut second = [0; BLOCK as usize];
            if self.fill_or_end(&mut second)? && second.iter().any(|byte| *byte != 0) {
                return Err(self.bad("an empty block lies between two entries"));
            }
            return Ok(None);
        }
        const WRONG: &str = "the checksum of a header is wrong: it is no tar archive, or damaged";
        let said = self.number(&header[148..156], "checksum").map_err(|_| self.bad(WRONG))?;
        let blank = |place: usize| (148..156).contains(&place);
        let sum = |byte: fn(u8) -> i64| -> i64 {
            header
                .iter()
                .enumerate()
                .map(|(place, value)| byte(if blank(place) { b' ' } else { *value }))
                .sum()
        };
        // Some old writers took bytes as signed.
        if said as i64 != sum(i64::from) && said as i64 != sum(|byte| i64::from(byte as i8)) {
            return Err(self.bad(WRONG));
        }
        Ok(Some(header))
    }

    /// A number: octal digits, or GNU's binary form.
    fn number(&self, field: &[u8], what: &str) -> Result<u64, Bad> {
        let value = match field.first() {
            Some(first) if first & 0x80 != 0 => binary(field).and_then(|value| u64::try_from(value).ok()),
            _ => octal(field),
        };
        value.ok_or_else(|| self.bad(&format!("a header has a {what} that is no number")))
    }

    fn time(&self, field: &[u8]) -> Result<i64, Bad> {
        let value = match field.first() {
            Some(first) if first & 0x80 != 0 => binary(field),
            _ => octal(field).and_then(|value| i64::try_from(value).ok()),
        };
        value.ok_or_else(|| self.bad("a header has a time that is no number"))
    }

    fn small(&mut self, size: u64, most: u64) -> Result<Vec<u8>, Bad> {
        if size > most {
            return Err(self.bad("a header of names or attributes is too long"));
        }
        let mut bytes = vec![0; size as usize];
        self.fill(&mut bytes)?;
        self.skip(filled(size) - size)?;
        Ok(bytes)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Bad> {
        match self.fill_or_end(buffer)? {
            true => Ok(()),
            false => Err(self.bad("it ends in the middle of an entry")),
        }
    }

    /// Fills the buffer; `false` if there is nothing at all.
    fn fill_or_end(&mut self, buffer: &mut [u8]) -> Result<bool, Bad> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.input.read(&mut buffer[filled..]) {
                Ok(0) if filled == 0 => return Ok(buffer.is_empty()),
                Ok(0) => return Err(self.bad("it ends in the middle of a block")),
                Ok(count) => {
                    filled += count;
                    self.at += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Bad::io("read the archive")(error)),
            }
        }
        Ok(true)
    }

    fn skip(&mut self, mut count: u64) -> Result<(), Bad> {
        while count > 0 {
            let available = self.input.fill_buf().map_err(Bad::io("read the archive"))?.len();
            if available == 0 {
                return Err(self.bad("it ends in the middle of a file"));
            }
            let taken = usize::try_from(count).unwrap_or(usize::MAX).min(available);
            self.input.consume(taken);
            self.at += taken as u64;
            count -= taken as u64;
        }
        Ok(())
    }

    fn bad(&self, problem: &str) -> Bad {
        Bad::Archive { at: self.at, problem: problem.to_owned() }
    }
}

/// Checks that pieces are in order, lie in the file, and are as long together as what the archive has; empty ones are left out.
fn check_pieces(pieces: &mut Vec<(u64, u64)>, length: u64, stored: u64) -> Result<(), &'static str> {
    let (mut end, mut sum) = (0u64, 0u64);
    for (offset, len) in pieces.iter() {
        if *offset < end {
            return Err("is a sparse file with pieces over each other");
        }
        end = offset.checked_add(*len).ok_or("is a sparse file with an impossible piece")?;
        sum = sum.checked_add(*len).ok_or("is a sparse file with an impossible piece")?;
        if end > length {
            return Err("is a sparse file with a piece beyond its end");
        }
    }
    if sum != stored {
        return Err("is a sparse file whose pieces are not what the archive has");
    }
    pieces.retain(|(_, len)| *len > 0);
    Ok(())
}

/// Rounded up to whole blocks.
pub fn filled(size: u64) -> u64 {
    size.div_ceil(BLOCK).saturating_mul(BLOCK)
}

fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    &field[..end]
}

fn trimmed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(text(&bytes).len());
    bytes
}

fn path_value(value: &[u8]) -> Option<Vec<u8>> {
    (value.len() <= MAX_PATH).then(|| value.to_vec())
}

fn octal(field: &[u8]) -> Option<u64> {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let digits = field[..end].trim_ascii();
    digits.iter().try_fold(0u64, |value, byte| match byte {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

/// GNU's binary form: a two's complement number of all bits but the first.
fn binary(field: &[u8]) -> Option<i64> {
    let negative = field[0] & 0x40 != 0;
    let mut value: i128 = if negative { -1 } else { 0 };
    for (place, byte) in field.iter().enumerate() {
        let byte = match (place, negative) {
            (0, false) => byte & 0x7f,
            _ => *byte,
        };
        value = value.checked_mul(256)?.checked_add(i128::from(byte))?;
    }
    i64::try_from(value).ok()
}

fn show_type(byte: u8) -> char {
    if byte.is_ascii_graphic() { char::from(byte) } else { '?' }
}

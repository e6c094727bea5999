//! Archives for tests, written here byte by byte: an archiver would refuse to write most of them.

#![allow(dead_code, reason = "each test program uses a part")]

/// An entry.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: u8,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) mtime: (i64, u32),
    pub(crate) link: Vec<u8>,
    pub(crate) device: (u32, u32),
    pub(crate) content: Vec<u8>,
    pub(crate) xattrs: Vec<(String, Vec<u8>)>,
    /// Records of a PAX header besides those that are needed.
    pub(crate) records: Vec<(String, Vec<u8>)>,
    /// The size that the header says, if it is not the content's.
    pub(crate) said_size: Option<u64>,
}

impl Entry {
    pub(crate) fn new(name: &[u8], kind: u8) -> Self {
        Self {
            name: name.to_vec(),
            kind,
            mode: if kind == b'5' { 0o755 } else { 0o644 },
            uid: 0,
            gid: 0,
            mtime: (1_700_000_000, 0),
            link: Vec::new(),
            device: (0, 0),
            content: Vec::new(),
            xattrs: Vec::new(),
            records: Vec::new(),
            said_size: None,
        }
    }
    pub(crate) fn file(name: &str, content: &[u8]) -> Self {
        Self::file_bytes(name.as_bytes(), content)
    }
    pub(crate) fn file_bytes(name: &[u8], content: &[u8]) -> Self {
        Self { content: content.to_vec(), ..Self::new(name, b'0') }
    }
    pub(crate) fn directory(name: &str) -> Self {
        Self::new(name.as_bytes(), b'5')
    }
    pub(crate) fn link(name: &str, target: &str) -> Self {
        Self { link: target.as_bytes().to_vec(), ..Self::new(name.as_bytes(), b'1') }
    }
    pub(crate) fn symlink(name: &str, target: &str) -> Self {
        Self { link: target.as_bytes().to_vec(), ..Self::new(name.as_bytes(), b'2') }
    }
    pub(crate) fn device(name: &str, kind: u8, major: u32, minor: u32) -> Self {
        Self { device: (major, minor), ..Self::new(name.as_bytes(), kind) }
    }
    /// A sparse file in PAX format 1.0.
    pub(crate) fn sparse(name: &str, size: u64, pieces: &[(u64, Vec<u8>)]) -> Self {
        let mut map = format!("{}\n", pieces.len());
        for (offset, content) in pieces {
            map.push_str(&format!("{offset}\n{}\n", content.len()));
        }
        let mut content = map.into_bytes();
        content.resize(content.len().next_multiple_of(512), 0);
        for (_, piece) in pieces {
            content.extend_from_slice(piece);
        }
        let mut entry = Self { content, ..Self::new(name.as_bytes(), b'0') };
        for (key, value) in [
            ("GNU.sparse.major", "1".to_owned()),
            ("GNU.sparse.minor", "0".to_owned()),
            ("GNU.sparse.name", name.to_owned()),
            ("GNU.sparse.realsize", size.to_string()),
        ] {
            entry.records.push((key.to_owned(), value.into_bytes()));
        }
        entry
    }
    pub(crate) fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }
    pub(crate) fn owner(self, uid: u64, gid: u64) -> Self {
        Self { uid, gid, ..self }
    }
    pub(crate) fn time(self, seconds: i64, nanoseconds: u32) -> Self {
        Self { mtime: (seconds, nanoseconds), ..self }
    }
    pub(crate) fn xattr(mut self, name: &str, value: &[u8]) -> Self {
        self.xattrs.push((name.to_owned(), value.to_vec()));
        self
    }
    pub(crate) fn record(mut self, key: &str, value: &[u8]) -> Self {
        self.records.push((key.to_owned(), value.to_vec()));
        self
    }
    pub(crate) fn said_size(self, size: u64) -> Self {
        Self { said_size: Some(size), ..self }
    }
}

/// An archive that is being written.
#[derive(Default)]
pub(crate) struct Tar {
    bytes: Vec<u8>,
}

impl Tar {
    pub(crate) fn of(entries: impl IntoIterator<Item = Entry>) -> Vec<u8> {
        let mut tar = Self::default();
        entries.into_iter().for_each(|entry| tar.add(entry));
        tar.finish()
    }

    pub(crate) fn add(&mut self, entry: Entry) {
        let mut records = entry.records.clone();
        if entry.name.len() > 100 || !entry.name.is_ascii() {
            records.push(("path".to_owned(), entry.name.clone()));
        }
        if entry.link.len() > 100 {
            records.push(("linkpath".to_owned(), entry.link.clone()));
        }
        for (key, id) in [("uid", entry.uid), ("gid", entry.gid)] {
            if id > 0o7_777_777 {
                records.push((key.to_owned(), id.to_string().into_bytes()));
            }
        }
        if entry.mtime.1 != 0 || entry.mtime.0 < 0 {
            let text = if entry.mtime.0 < 0 && entry.mtime.1 != 0 {
                format!("-{}.{:09}", -(entry.mtime.0 + 1), 1_000_000_000 - entry.mtime.1)
            } else {
                format!("{}.{:09}", entry.mtime.0, entry.mtime.1)
            };
            records.push(("mtime".to_owned(), text.into_bytes()));
        }
        for (name, value) in &entry.xattrs {
            records.push((format!("SCHILY.xattr.{name}"), value.clone()));
        }
        if !records.is_empty() {
            let text: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
            self.header(&Entry { content: text.clone(), ..Entry::new(b"PaxHeaders/x", b'x') });
            self.padded(&text);
        }
        self.header(&entry);
        self.padded(&entry.content);
    }

    /// The bytes of one header, with a right checksum.
    pub(crate) fn header(&mut self, entry: &Entry) {
        let mut header = [0u8; 512];
        let mut put = |at: usize, bytes: &[u8], most: usize| {
            let len = bytes.len().min(most);
            header[at..at + len].copy_from_slice(&bytes[..len]);
        };
        put(0, &entry.name, 100);
        put(100, format!("{:07o}", entry.mode).as_bytes(), 8);
        put(108, format!("{:07o}", entry.uid & 0o7_777_777).as_bytes(), 8);
        put(116, format!("{:07o}", entry.gid & 0o7_777_777).as_bytes(), 8);
        let size = entry.said_size.unwrap_or(entry.content.len() as u64);
        put(124, format!("{size:011o}").as_bytes(), 12);
        put(136, format!("{:011o}", entry.mtime.0.max(0)).as_bytes(), 12);
        put(148, b"        ", 8);
        put(156, &[entry.kind], 1);
        put(157, &entry.link, 100);
        put(257, b"ustar\x0000", 8);
        put(329, format!("{:07o}", entry.device.0).as_bytes(), 8);
        put(337, format!("{:07o}", entry.device.1).as_bytes(), 8);
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        self.bytes.extend_from_slice(&header);
    }

    pub(crate) fn padded(&mut self, content: &[u8]) {
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 1024, 0);
        self.bytes
    }
}

fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    let mut bytes = format!("{len} {key}=").into_bytes();
    bytes.extend_from_slice(value);
    bytes.push(b'\n');
    bytes
}

//! A store for a test, in a mount namespace of the test's own: nothing is left on the host, whatever happens.

#![allow(dead_code, reason = "each test program uses a part")]

use std::ffi::OsString;
use std::io::Write;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use images::digest::Digest;
use images::layer::{Form, Limits};
use images::manifest::{Descriptor, layer_media_type};
use images::media::Compression;
use images::store::{Options, ReadyLayer, Store};

/// A store that is taken away with its mounts.
pub(crate) struct Kept {
    store: Store,
    directory: PathBuf,
}

impl Deref for Kept {
    type Target = Store;
    fn deref(&self) -> &Store {
        &self.store
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let run = self.directory.join("run");
        for mount in mounts_below(&run) {
            let _ = rustix::mount::unmount(&mount, rustix::mount::UnmountFlags::DETACH);
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn mounts_below(directory: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = text.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    points.filter(|point| point.starts_with(directory)).collect()
}

/// How a test's store is used.
pub(crate) fn options(directory: &Path, form: Option<Form>) -> Options {
    Options {
        root: directory.join("store"),
        run: directory.join("run"),
        unpacker: vec![OsString::from(env!("CARGO_BIN_EXE_holm-unpack"))],
        form,
        limits: Limits::default(),
    }
}

/// A store whose layers have this form; nothing, with a word about it, where this host cannot do that.
pub(crate) fn store(name: &str, form: Form) -> Option<Kept> {
    if form == Form::Erofs
        && let Err(reason) = images::mount::support()
    {
        println!("SKIPPED {name}: {reason}");
        return None;
    }
    store_with(name, Some(form))
}

pub(crate) fn store_with(name: &str, form: Option<Form>) -> Option<Kept> {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED {name}: needs root");
        return None;
    }
    let directory = std::env::temp_dir().join(format!("holm-images-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    let store = Store::open(options(&directory, form)).unwrap();
    Some(Kept { store, directory })
}

impl Kept {
    /// Another, empty store beside this one.
    pub(crate) fn fresh(&self, name: &str) -> Self {
        store_with(name, self.options().form).unwrap()
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The same store, as another process would open it.
    pub(crate) fn again(&self) -> Store {
        Store::open(self.store.options().clone()).unwrap()
    }

    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        let path = self.directory.join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    pub(crate) fn add_layer(&self, bytes: &[u8]) -> ReadyLayer {
        self.try_layer(bytes).unwrap_or_else(|error| panic!("{}", report::one_line(&error)))
    }

    pub(crate) fn try_layer(&self, bytes: &[u8]) -> Result<ReadyLayer, images::Error> {
        let lease = self.lease()?;
        let compression = Compression::of_content(bytes);
        let descriptor =
            Descriptor::new(layer_media_type(compression), Digest::of(bytes), bytes.len() as u64);
        let mut writer = self.write_layer(&lease, &descriptor, None)?;
        for piece in bytes.chunks(100_000) {
            writer.push(piece)?;
        }
        writer.finish()
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The same in two members, as parallel compressors write it.
pub(crate) fn gzip_members(bytes: &[u8]) -> Vec<u8> {
    let (left, right) = bytes.split_at(bytes.len() / 2);
    [gzip(left), gzip(right)].concat()
}

/// A program of the host, if it is installed.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let found = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"]
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.exists());
    if found.is_none() {
        println!("SKIPPED: {name} is not installed");
    }
    found
}

/// A tree in words: a line for each name with all that the kernel says about it, and a digest of the content.
pub(crate) fn listing(root: &Path) -> Vec<String> {
    let mut lines = vec![line(root, root)];
    walk(root, root, &mut lines);
    lines
}

/// Compares two listings and tells the first differences.
pub(crate) fn same(left: &[String], right: &[String]) {
    let cut = |line: &String| line.chars().take(300).collect::<String>();
    let only = |these: &[String], others: &[String]| -> Vec<String> {
        these.iter().filter(|line| !others.contains(line)).take(5).map(cut).collect()
    };
    assert!(left == right, "only left: {:#?}\nonly right: {:#?}", only(left, right), only(right, left));
}

fn walk(root: &Path, directory: &Path, lines: &mut Vec<String>) {
    let mut names: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    for path in names {
        lines.push(line(root, &path));
        if std::fs::symlink_metadata(&path).unwrap().is_dir() {
            walk(root, &path, lines);
        }
    }
}

fn line(root: &Path, path: &Path) -> String {
    let meta = std::fs::symlink_metadata(path).unwrap();
    let kind = meta.file_type();
    let device = || (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
    let what = if path == root || kind.is_dir() {
        "dir".to_owned()
    } else if kind.is_file() {
        "file".to_owned()
    } else if kind.is_symlink() {
        format!("link {:?}", std::fs::read_link(path).unwrap())
    } else if kind.is_char_device() {
        format!("char {}:{}", device().0, device().1)
    } else if kind.is_block_device() {
        format!("block {}:{}", device().0, device().1)
    } else {
        "fifo".to_owned()
    };
    let content = if kind.is_file() {
        format!(" {} {}", meta.len(), Digest::of(&std::fs::read(path).unwrap()).short())
    } else {
        String::new()
    };
    let links = if kind.is_dir() { 0 } else { meta.nlink() };
    let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().escape_ascii().to_string();
    let mode = if kind.is_symlink() { 0o777 } else { meta.mode() & 0o7777 };
    format!(
        "{name} {what} {mode:04o} {}:{} {}.{:09} links {links}{content}{}",
        meta.uid(),
        meta.gid(),
        meta.mtime(),
        meta.mtime_nsec(),
        attributes(path),
    )
}

fn attributes(path: &Path) -> String {
    let mut buffer = vec![0; 64 << 10];
    let len = rustix::fs::llistxattr(path, &mut buffer[..]).unwrap_or(0);
    let mut names: Vec<Vec<u8>> =
        buffer[..len].split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect();
    names.sort();
    let mut text = String::new();
    for name in names {
        let key = std::ffi::OsStr::from_bytes(&name);
        let mut value = vec![0; 64 << 10];
        let len = rustix::fs::lgetxattr(path, key, &mut value[..]).unwrap();
        text.push_str(&format!(" {}={}", key.to_string_lossy(), value[..len].escape_ascii()));
    }
    text
}

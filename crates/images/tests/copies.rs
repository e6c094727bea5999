//! Layers copied into one tree, for where there is no overlay: the same tree as an overlay shows, file by file.

mod archive;
mod common;
mod image;

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use archive::{Entry, Tar};
use images::files::copy;
use images::layer::Form;

/// Archives of three layers, in which whatever can become of a name does.
fn archives() -> Vec<Vec<u8>> {
    let first = Tar::of([
        Entry::directory("./").mode(0o751),
        Entry::directory("etc/").mode(0o750).owner(7, 8).time(1_600_000_000, 123_456_789),
        Entry::file("etc/passwd", b"old"),
        Entry::file("etc/kept", b"kept").mode(0o640).owner(70_000, 4_000_000_000),
        Entry::file("bin/ping", &[7; 5000])
            .mode(0o4755)
            .xattr("security.capability", &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        Entry::link("bin/pong", "bin/ping"),
        Entry::file("bin/noted", b"x").xattr("user.note", b"kept"),
        Entry::symlink("sbin", "bin"),
        Entry::device("dev/null", b'3', 1, 3).mode(0o666),
        Entry::device("dev/fifo", b'6', 0, 0).mode(0o622),
        Entry::file("gone/file", b"gone"),
        Entry::file("opaque/below", b"hidden"),
        Entry::file("swapped/file", b"a directory that becomes a file"),
        Entry::file("file", b"a file that becomes a directory"),
        Entry::sparse("sparse", 1 << 20, &[(0, b"begin".repeat(1024)), (512 << 10, b"middle".repeat(256))]),
        Entry::file("twice/first", b"1"),
    ]);
    let second = Tar::of([
        Entry::file("etc/passwd", b"new").mode(0o600),
        Entry::file(".wh.gone", b""),
        Entry::directory("opaque/").mode(0o711),
        Entry::file("opaque/.wh..wh..opq", b""),
        Entry::file("opaque/own", b"own"),
        Entry::file("swapped", b"a file"),
        Entry::directory("file/"),
        Entry::file("file/inner", b"inner"),
        Entry::file("twice/.wh.first", b""),
        Entry::file("twice/second", b"2"),
    ]);
    let third = Tar::of([
        Entry::directory("etc/").mode(0o755).owner(9, 9).time(1_700_000_000, 5),
        Entry::directory("gone/"),
        Entry::file("gone/again", b"new"),
        Entry::directory("swapped/"),
        Entry::file("swapped/new", b"new"),
        Entry::file("opaque/more", b"more"),
        Entry::file("twice/first", b"3"),
    ]);
    vec![first, second, third]
}

fn at(root: &OwnedFd) -> String {
    format!("/proc/self/fd/{}/.", root.as_raw_fd())
}

/// Attributes of overlayfs are no part of a tree.
fn listing(path: &Path) -> Vec<String> {
    common::listing(path).iter().map(|line| line.replace(" trusted.overlay.opaque=y", "")).collect()
}

fn check(name: &str, form: Form) {
    let Some(store) = common::store(name, form) else { return };
    let image = image::put(&store, "app:1", &archives());
    let layers: Vec<OwnedFd> = store
        .lower_directories(&image)
        .unwrap()
        .iter()
        .map(|path| std::fs::File::open(path).unwrap().into())
        .collect();
    let to = store.scratch("copy");
    let borrowed: Vec<_> = layers.iter().map(AsFd::as_fd).collect();
    copy::layers(&borrowed, std::fs::File::open(&to).unwrap().as_fd()).unwrap();
    let overlay = store.mount_image(&image).unwrap();
    common::same(&listing(Path::new(&at(&overlay))), &listing(&to));
    let sparse = std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(to.join("sparse")).unwrap());
    assert!(sparse * 512 < 1 << 20, "{sparse} blocks");
}

#[test]
fn extracted_layers_are_copied_as_an_overlay_shows_them() {
    check("copies-tree", Form::Tree);
}

#[test]
fn indexed_layers_are_copied_as_an_overlay_shows_them() {
    check("copies-erofs", Form::Erofs);
}

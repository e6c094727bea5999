//! Hostile layers: each is refused in one clear line, leaves nothing behind, and the store goes on as before.

mod archive;
mod common;

use archive::{Entry, Tar};
use common::{Kept, store_with};
use images::digest::together::Together;
use images::layer::{Form, Limits};
use images::store::{Store, What};

/// Both forms refuse it, with these words, and neither leaves anything.
fn refused(name: &str, bytes: &[u8], words: &str) {
    for form in [Form::Erofs, Form::Tree] {
        let Some(store) = store_with(&format!("attack-{name}-{form}"), Some(form)) else { return };
        let before = everything_in(&store);
        let error = match store.try_layer(bytes) {
            Err(error) => report::one_line(&error),
            Ok(ready) => panic!("{name} was accepted: {ready:?}"),
        };
        assert!(error.contains(words), "{name}: {error}");
        assert!(!error.contains('\n'), "{error}");
        store.prune(What::Leftovers).unwrap();
        assert_eq!(everything_in(&store), before, "{name}");
    }
}

fn everything_in(store: &Kept) -> Vec<String> {
    let list = common::listing(store.layout().root()).into_iter();
    let names = list.map(|line| line.split(' ').next().unwrap_or_default().to_owned());
    names.filter(|name| !name.starts_with("holm.db") && !name.starts_with("locks/")).collect()
}

fn one(entry: Entry) -> Vec<u8> {
    Tar::of([entry])
}

#[test]
fn names_that_lead_out_are_refused() {
    refused("dotdot", &one(Entry::file("../escape", b"x")), "leads out of the layer");
    refused("dotdot-inside", &one(Entry::file("a/../../escape", b"x")), "leads out of the layer");
    refused("absolute", &one(Entry::file("/etc/cron.d/x", b"x")), "absolute name");
    refused("root", &one(Entry::symlink("./", "/etc")), "would replace the root");
    refused("pax-path", &one(Entry::file("fine", b"x").record("path", b"../../x")), "leads out of the layer");
    refused(
        "sparse-name",
        &one(Entry::file("fine", b"")
            .record("GNU.sparse.name", b"/etc/x")
            .record("GNU.sparse.realsize", b"0")),
        "absolute name",
    );
}

#[test]
fn what_lies_below_a_link_is_refused() {
    let through = |target: &str| Tar::of([Entry::symlink("a", target), Entry::file("a/passwd", b"x")]);
    refused("symlink-absolute", &through("/etc"), "a link there could lead out");
    refused("symlink-up", &through("../../.."), "a link there could lead out");
    refused("symlink-dot", &through("."), "a link there could lead out");
    let opaque = Tar::of([Entry::symlink("a", "/"), Entry::file("a/.wh..wh..opq", b"")]);
    refused("opaque-through-link", &opaque, "makes something opaque that is no directory");
    let whiteout = Tar::of([Entry::symlink("a", "/etc"), Entry::file("a/.wh.passwd", b"")]);
    refused("whiteout-through-link", &whiteout, "a link there could lead out");
    // Replacing a directory by a link between two entries changes nothing: what is below the link is refused.
    let swapped = Tar::of([
        Entry::directory("d/"),
        Entry::file("d/one", b"1"),
        Entry::symlink("d", "/tmp"),
        Entry::file("d/two", b"2"),
    ]);
    refused("swapped", &swapped, "a link there could lead out");
}

#[test]
fn hard_links_out_of_the_layer_are_refused() {
    refused("hardlink-absolute", &one(Entry::link("a", "/etc/shadow")), "is a hard link to");
    refused("hardlink-up", &one(Entry::link("a", "../../etc/shadow")), "is a hard link to");
    refused("hardlink-missing", &one(Entry::link("a", "etc/shadow")), "which the layer does not have");
    let directory = Tar::of([Entry::directory("d/"), Entry::link("a", "d")]);
    refused("hardlink-directory", &directory, "which is no file");
    let through = Tar::of([Entry::symlink("l", "/etc"), Entry::link("a", "l/shadow")]);
    refused("hardlink-through-link", &through, "which the layer does not have");
}

#[test]
fn marks_of_overlayfs_cannot_be_forged() {
    refused("forged-whiteout", &one(Entry::device("gone", b'3', 0, 0)), "the device 0:0");
    for name in [".wh.", ".wh..", ".wh..."] {
        refused("whiteout-of-nothing", &one(Entry::file(name, b"")), "is a whiteout of nothing");
    }
    refused("below-whiteout", &one(Entry::file(".wh.a/b", b"")), "lies below a whiteout");
    let Some(store) = store_with("attack-xattrs", Some(Form::Tree)) else { return };
    let ready = store.add_layer(&Tar::of([Entry::directory("d/")
        .xattr("trusted.overlay.opaque", b"y")
        .xattr("trusted.overlay.redirect", b"/etc")
        .xattr("user.overlay.metacopy", b"")
        .xattr("security.selinux", b"x")
        .xattr("user.kept", b"1")]));
    assert_eq!(ready.dropped, 4);
    let shown = common::listing(&store.layer_directory(&ready).unwrap()).join("\n");
    assert!(
        shown.contains("user.kept=1") && !shown.contains("overlay") && !shown.contains("selinux"),
        "{shown}"
    );
}

#[test]
fn forged_sizes_are_refused() {
    refused("longer", &one(Entry::file("a", b"x").said_size(1 << 20)), "ends in the middle of");
    refused("huge", &one(Entry::file("a", b"x").record("size", b"9223372036854775807")), "impossible size");
    refused(
        "overflow",
        &one(Entry::file("a", b"x").record("size", b"99999999999999999999999")),
        "broken number",
    );
    let pieces = |map: &str, size: &str| {
        one(Entry::file("a", &[0; 1024])
            .record("GNU.sparse.map", map.as_bytes())
            .record("GNU.sparse.size", size.as_bytes()))
    };
    refused("sparse-overlap", &pieces("0,512,100,512", "2000"), "pieces over each other");
    refused("sparse-beyond", &pieces("0,512,4096,512", "100"), "a piece beyond its end");
    refused("sparse-sum", &pieces("0,512", "2000"), "not what the archive has");
    refused("sparse-wrap", &pieces("18446744073709551615,512", "18446744073709551615"), "impossible piece");
    refused("sparse-half", &pieces("0,1024,5", "2000"), "half a piece");
    // A map that says it has a thousand million pieces (CVE-2025-58183).
    let mut entry = Entry::sparse("a", 10, &[]);
    entry.content[..10].copy_from_slice(b"999999999\n");
    refused("sparse-count", &one(entry), "too many pieces");
}

#[test]
fn nonsense_is_refused() {
    refused(
        "text",
        b"this is no archive at all, but long enough for a block".repeat(20).as_slice(),
        "no tar archive",
    );
    let mut damaged = one(Entry::file("a", b"x"));
    damaged[0] ^= 1;
    refused("checksum", &damaged, "checksum");
    refused("truncated", &one(Entry::file("a", &[1; 4096]))[..2000], "ends in the middle");
    refused("type", &one(Entry::new(b"a", b'Z')), "unknown type");
    refused("uid", &one(Entry::file("a", b"").record("uid", b"4294967295")), "which no user can have");
    refused("uid-wraps", &one(Entry::file("a", b"").record("uid", b"4294967296")), "which no user can have");
    refused("device", &one(Entry::device("a", b'4', 0o7_777_777, 1)), "impossible numbers");
    refused("long-name", &one(Entry::file(&"a".repeat(256), b"")), "more than 255 bytes");
    refused("long-path", &one(Entry::file(&"a/".repeat(2100), b"")), "too long");
    refused("nul", &one(Entry::file("a", b"").record("path", b"a\0b")), "NUL");
    refused(
        "pax",
        &one(Entry { content: b"999 path=x\n".to_vec(), ..Entry::new(b"x", b'x') }),
        "longer than itself",
    );
    refused(
        "xattrs",
        &one(Entry::file("a", b"").xattr("user.x", &vec![0; 70_000])),
        "64 KiB of extended attributes",
    );
    let mut gzip = common::gzip(&one(Entry::file("a", &[7; 100_000])));
    let middle = gzip.len() / 2;
    gzip[middle] ^= 0xff;
    refused("damaged-gzip", &gzip, "inflate the layer");
    let gzip = common::gzip(&one(Entry::file("a", &[7; 100_000])));
    refused("short-gzip", &gzip[..gzip.len() - 20], "inflate the layer");
}

#[test]
fn limits_end_what_is_too_large_and_name_their_flags() {
    let bytes = Tar::of((0..100).map(|number| Entry::file(&format!("f{number}"), &[0; 10_000])));
    for (limits, flag) in [
        (Limits { entries: 99, ..Limits::default() }, "--max-layer-entries"),
        (Limits { layer_bytes: 500_000, ..Limits::default() }, "--max-layer-size"),
    ] {
        for form in [Form::Erofs, Form::Tree] {
            let Some(store) = store_with(&format!("attack-limit-{form}"), Some(form)) else { return };
            let mut options = store.options().clone();
            options.limits = limits.clone();
            let limited = common::kept(Store::open(options).unwrap(), &store);
            let error = limited.try_layer(&common::gzip(&bytes)).unwrap_err();
            let hint = report::first_hint(&error).unwrap();
            assert!(hint.text().contains(flag), "{error}: {hint:?}");
        }
    }
    let limits = Limits { absolute_names: true, ..Limits::default() };
    let Some(store) = store_with("attack-absolute-allowed", Some(Form::Tree)) else { return };
    let mut options = store.options().clone();
    options.limits = limits;
    let allowed = common::kept(Store::open(options).unwrap(), &store);
    let ready = allowed.add_layer(&one(Entry::file("/cnb/x", b"x")));
    assert!(allowed.layer_directory(&ready).unwrap().join("cnb/x").exists());
}

#[test]
fn a_bomb_is_ended_long_before_it_has_gone_off() {
    let Some(store) = common::store("attack-bomb", Form::Erofs) else { return };
    // 1.2 GiB of zeros in a few MiB; what is read of it is little more than what any layer may have.
    let mut tar = Tar::default();
    tar.header(&Entry::file("zeros", b"").said_size(1200 << 20));
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    use std::io::Write as _;
    encoder.write_all(&tar.finish()[..512]).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..1200 {
        encoder.write_all(&zeros).unwrap();
    }
    let error = store.try_layer(&encoder.finish().unwrap()).unwrap_err();
    assert!(report::one_line(&error).contains("it may be a bomb"), "{error}");
}

#[test]
fn what_does_not_have_its_digest_is_refused() {
    let Some(store) = store_with("attack-digest", Some(Form::Erofs)) else { return };
    let bytes = one(Entry::file("a", b"x"));
    let gzip = common::gzip(&bytes);
    let (right, other) = (images::Digest::of(&bytes), images::Digest::of(b"other"));
    let lease = store.lease().unwrap();
    let side_by_side = sys::sha256::Vectors::all().into_iter().map(Together::with);
    for together in std::iter::once(None).chain(side_by_side) {
        let write = |content: &[u8], digest, plain| {
            let size = content.len() as u64;
            let announced = images::Descriptor::new(images::media::OCI_LAYER, digest, size);
            let mut writer = store.write_layer_with(&lease, &announced, plain, together.as_ref()).unwrap();
            writer.push(content).unwrap();
            writer.finish()
        };
        let error = write(&bytes[..], other, None).unwrap_err().to_string();
        assert!(error.contains("does not have the digest"), "{error}");
        let error = report::one_line(&write(&gzip, images::Digest::of(&gzip), Some(other)).unwrap_err());
        assert!(error.contains("the plain content of the layer"), "{error}");
        // What is cut short, or no archive, is told as that, whoever computes digests.
        for (broken, told) in [(&gzip[..gzip.len() - 9], "the layer"), (&b"no archive"[..], "the layer")] {
            let error = write(broken, images::Digest::of(broken), Some(right)).unwrap_err();
            assert!(report::one_line(&error).contains(told), "{error}");
        }
        assert!(store.ready_layer(&right).unwrap().is_none());
    }
    let announced = images::Descriptor::new(images::media::OCI_LAYER, right, bytes.len() as u64 - 1);
    assert!(store.write_layer(&lease, &announced, None).unwrap().push(&bytes).is_err());
}

/// Layers that come side by side have the forms and digests that they have alone.
#[test]
fn layers_whose_digests_are_computed_together_are_whole() {
    for vectors in sys::sha256::Vectors::all() {
        let Some(store) = store_with(&format!("together-{vectors:?}"), Some(Form::Erofs)) else { return };
        let together = Together::with(vectors);
        let archives: Vec<Vec<u8>> = (0..10usize)
            .map(|number| {
                let content: Vec<u8> = (0..number * 20_000).map(|at| (at * number / 7) as u8).collect();
                one(Entry::file("a", &content))
            })
            .collect();
        let lease = store.lease().unwrap();
        let mut writers: Vec<_> = archives
            .iter()
            .map(|bytes| {
                let gzip = common::gzip(bytes);
                let (digest, plain) = (images::Digest::of(&gzip), images::Digest::of(bytes));
                let announced = images::Descriptor::new(images::media::OCI_LAYER, digest, gzip.len() as u64);
                let mut writer =
                    store.write_layer_with(&lease, &announced, Some(plain), together.as_ref()).unwrap();
                writer.push(&gzip).unwrap();
                (writer, plain, bytes.len() as u64)
            })
            .collect();
        writers.rotate_left(3);
        for (writer, plain, size) in writers {
            let ready = writer.finish().unwrap();
            assert_eq!((ready.diff_id, ready.size), (plain, size), "{vectors:?}");
            assert!(store.ready_layer(&plain).unwrap().is_some());
        }
    }
}

//! Both forms of a layer show the same tree, file by file: what an archive says, from the kernel's own mouth.

mod archive;
mod common;

use std::path::Path;

use archive::{Entry, Tar};
use common::{Kept, store};
use images::layer::Form;

/// An archive with everything in it that a layer can have.
fn everything() -> Tar {
    let mut tar = Tar::default();
    tar.add(Entry::directory("./").mode(0o755));
    tar.add(Entry::directory("etc/").mode(0o750).owner(7, 8).time(1_600_000_000, 123_456_789));
    tar.add(Entry::file("etc/passwd", b"root:x:0:0::/:/bin/sh\n").mode(0o644));
    tar.add(Entry::file("etc/empty", b"").mode(0o600).owner(70_000, 4_000_000_000));
    tar.add(
        Entry::file("bin/ping", &[7; 5000])
            .mode(0o4755)
            .xattr("security.capability", &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    );
    tar.add(Entry::file("bin/noted", b"x").xattr("user.note", b"kept").xattr("trusted.overlay.opaque", b"y"));
    tar.add(Entry::link("bin/pong", "bin/ping"));
    tar.add(Entry::symlink("sbin", "bin"));
    tar.add(Entry::symlink("long", &"x/".repeat(400)));
    tar.add(Entry::symlink("absolute", "/etc/passwd"));
    tar.add(Entry::device("dev/null", b'3', 1, 3).mode(0o666));
    tar.add(Entry::device("dev/sda", b'4', 8, 0x12345));
    tar.add(Entry::device("dev/fifo", b'6', 0, 0).mode(0o622));
    tar.add(Entry::file_bytes(b"not-utf8-\xff\xfe", b"bytes"));
    tar.add(Entry::file(&format!("deep/{}end", "directory-with-a-name/".repeat(60)), b"deep"));
    tar.add(Entry::file(&"n".repeat(255), b"long name"));
    for number in 0..700 {
        tar.add(Entry::file(&format!("many/file-{number:04}"), format!("{number}").as_bytes()));
    }
    tar.add(Entry::sparse(
        "sparse",
        1 << 20,
        &[(0, b"begin".repeat(1024)), (512 << 10, b"middle".repeat(256))],
    ));
    tar.add(Entry::sparse("hole", 3 << 20, &[]));
    tar.add(Entry::file("replaced", b"old"));
    tar.add(Entry::file("replaced", b"new content").mode(0o640));
    tar.add(Entry::directory("was-directory/"));
    tar.add(Entry::file("was-directory/below", b"gone"));
    tar.add(Entry::file("was-directory", b"now a file"));
    tar.add(Entry::directory("opaque/"));
    tar.add(Entry::file("opaque/.wh..wh..opq", b""));
    tar.add(Entry::file("opaque/own", b"own"));
    tar.add(Entry::file("etc/.wh.shadow", b""));
    tar.add(Entry::file(".wh.gone", b""));
    tar.add(Entry::file("negative", b"before 1970").time(-86_400, 250_000_000));
    tar.add(Entry::file("implicit/parents/file", b"x"));
    tar
}

fn tree_of(form: Form, tar: &[u8], name: &str) -> Option<Vec<String>> {
    let store = store(name, form)?;
    let ready = store.add_layer(tar);
    assert_eq!(ready.form, form, "{}", ready.reason);
    let directory = store.layer_directory(&ready).unwrap();
    Some(common::listing(&directory))
}

#[test]
fn an_index_and_extracted_files_show_the_same_tree() {
    let tar = everything().finish();
    let Some(files) = tree_of(Form::Tree, &tar, "forms-tree") else { return };
    let Some(index) = tree_of(Form::Erofs, &tar, "forms-erofs") else { return };
    common::same(&files, &index);
    let has = |text: &str| assert!(files.iter().any(|line| line.contains(text)), "{text}");
    has("etc dir 0750 7:8 1600000000.123456789");
    has("etc/empty file 0600 70000:4000000000");
    has("bin/ping file 4755");
    has("security.capability=");
    has("user.note=kept");
    has("dev/sda block 8:74565");
    has("etc/shadow char 0:0");
    has("trusted.overlay.opaque=y");
    has("negative file 0644 0:0 -86400.250000000");
    assert!(!files.iter().any(|line| line.contains("was-directory/below")));
}

#[test]
fn real_archives_of_gnu_tar_are_understood() {
    let Some(store) = store("forms-gnu", Form::Erofs) else { return };
    let Some(tar) = common::program("tar") else { return };
    let from = store.scratch("tree");
    std::fs::create_dir_all(from.join("a/b")).unwrap();
    std::fs::write(from.join("a/b/file"), b"content").unwrap();
    std::fs::write(from.join(format!("a/{}", "l".repeat(200))), b"long").unwrap();
    let hole = std::fs::File::create(from.join("a/sparse")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&hole, &[9; 8192], 1 << 20).unwrap();
    hole.set_len(4 << 20).unwrap();
    let plain = common::listing(&from);
    for arguments in [
        &["--format=gnu", "--sparse"][..],
        &["--format=pax", "--sparse"],
        &["--format=pax", "--sparse", "--sparse-version=0.0"],
        &["--format=pax", "--sparse", "--sparse-version=0.1"],
        &["--format=ustar", "--exclude=*lll*"],
        &["--format=v7", "--exclude=*lll*"],
    ] {
        let output = std::process::Command::new(&tar)
            .args(arguments)
            .args(["--numeric-owner", "-cf", "-", "-C"])
            .arg(&from)
            .arg(".")
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}");
        let ready = store.add_layer(&output.stdout);
        let shown = common::listing(&store.layer_directory(&ready).unwrap());
        let whole = |list: &[String]| -> Vec<String> {
            let kept = list.iter().filter(|line| {
                arguments.len() < 2 || !line.contains("lll") || !arguments[1].contains("exclude")
            });
            // These formats have whole seconds alone.
            kept.map(|line| {
                line.split_whitespace().filter(|word| !word.contains('.')).collect::<Vec<_>>().join(" ")
            })
            .collect()
        };
        println!("{arguments:?}");
        common::same(&whole(&plain), &whole(&shown));
    }
}

#[test]
fn the_index_may_lie_on_loop_devices() {
    let Some(store) = store("forms-loop", Form::Erofs) else { return };
    if !Path::new("/dev/loop-control").exists() {
        println!("SKIPPED the_index_may_lie_on_loop_devices: no /dev/loop-control");
        return;
    }
    let ready = store.add_layer(&everything().finish());
    let open = |path| std::fs::File::open(path).unwrap();
    let index = open(store.layout().index(&ready.diff_id));
    let blob = open(store.layout().blob(&ready.diff_id));
    use std::os::fd::AsFd as _;
    let mounted = match images::mount::erofs(index.as_fd(), blob.as_fd(), images::mount::Way::Loop) {
        Ok(mounted) => mounted,
        Err(cause) => panic!("{cause}"),
    };
    let path = format!("/proc/self/fd/{}/.", std::os::fd::AsRawFd::as_raw_fd(&mounted));
    let by_file = common::listing(&store.layer_directory(&ready).unwrap());
    common::same(&common::listing(Path::new(&path)), &by_file);
}

#[test]
fn a_layer_that_no_index_can_hold_is_extracted() {
    // Where the kernel knows no index, every layer is extracted, for another reason.
    if common::store("forms-odd-index", Form::Erofs).is_none() {
        return;
    }
    let Some(store) = common::store_with("forms-odd", None) else { return };
    let mut tar = Tar::default();
    tar.add(Entry::sparse("odd", 10_000, &[(100, b"unaligned".to_vec()), (5000, b"x".to_vec())]));
    let ready = store.add_layer(&tar.finish());
    assert_eq!(ready.form, Form::Tree);
    assert!(ready.reason.contains("no whole blocks"), "{}", ready.reason);
    let content = std::fs::read(store.layer_directory(&ready).unwrap().join("odd")).unwrap();
    assert_eq!(content.len(), 10_000);
    assert_eq!(&content[100..109], b"unaligned");
    assert!(content[..100].iter().chain(&content[109..5000]).all(|byte| *byte == 0));
}

#[test]
fn compressed_layers_are_recognised_by_their_content() {
    let Some(store) = store("forms-compressed", Form::Erofs) else { return };
    let tar = everything().finish();
    let plain = store.add_layer(&tar);
    for compressed in [common::gzip(&tar), common::gzip_members(&tar), zstd::encode_all(&tar[..], 3).unwrap()]
    {
        let kept: Kept = store.fresh("forms-compressed-other");
        let ready = kept.add_layer(&compressed);
        assert_eq!(ready.diff_id, plain.diff_id);
    }
}

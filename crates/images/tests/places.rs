//! Stores in places and of people that are not root's directory on an ordinary disk.

mod archive;
mod common;
mod image;

use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use archive::{Entry, Tar};
use image::put;
use images::layer::Form;
use images::snapshot::Quota;
use images::store::Store;

/// nobody's, on every host.
const ORDINARY: u32 = 65534;
const DIRECTORY: &str = "HOLM_TEST_ORDINARY";

#[test]
fn a_filesystem_that_counts_projects_needs_no_disk_for_a_limit() {
    let skip = |reason: &str| {
        println!("SKIPPED a_filesystem_that_counts_projects_needs_no_disk_for_a_limit: {reason}");
    };
    let Some(kept) = common::store_with("places-project", None) else { return };
    let Some(mkfs) = common::program("mkfs.ext4") else { return };
    // What is mounted from here on is seen by this thread, and gone with it.
    sys::mount::enter_private_namespace().unwrap();
    let disk = kept.directory().join("disk");
    let file = std::fs::File::options().create_new(true).read(true).write(true).open(&disk).unwrap();
    file.set_len(96 << 20).unwrap();
    let made = Command::new(mkfs).args(["-q", "-F", "-O", "project,quota"]).arg(&disk).output().unwrap();
    if !made.status.success() {
        return skip("mkfs.ext4 knows no projects");
    }
    let Ok(device) = sys::loop_device::attach_writable(file.as_fd()) else { return skip("no loop devices") };
    let context = sys::mount::Context::new("ext4").unwrap();
    context.set("source", &device.path).unwrap();
    let mounted = context.flag("prjquota").and_then(|()| context.mount(0));
    let mounted = match mounted {
        Ok(mounted) => mounted,
        Err(cause) => return skip(&format!("this kernel keeps no quotas of ext4: {cause}")),
    };
    let place = kept.scratch("place");
    let directory = std::fs::File::open(kept.directory()).unwrap();
    sys::mount::attach(mounted.as_fd(), directory.as_fd(), "place").unwrap();
    {
        let store = Store::open(common::options(&place, None)).unwrap();
        let image = put(&store, "app:1", &[Tar::of([Entry::file("file", b"content")])]);
        let snapshot = store.create_snapshot("c1", &image, Some(4 << 20)).unwrap();
        assert_eq!(snapshot.quota, Quota::Project);
        let other = store.create_snapshot("c2", &image, Some(8 << 20)).unwrap();
        // As a container does: whoever has CAP_SYS_RESOURCE on the host is not held by quotas.
        let full = |snapshot: &images::snapshot::Snapshot, megabytes: usize| {
            let path = snapshot.upper.join("upper/file");
            let write = move || {
                let mut capabilities = sys::raw::capget().unwrap();
                capabilities.effective &= !(1 << 24);
                sys::raw::capset(&capabilities).unwrap();
                std::fs::write(path, vec![1; megabytes << 20]).err().and_then(|error| error.raw_os_error())
            };
            std::thread::spawn(write).join().unwrap()
        };
        assert!(matches!(full(&snapshot, 6), Some(28 | 122)));
        assert_eq!(full(&other, 6), None);
        store.remove_snapshot("c1").unwrap();
        // Its number may be another's now: nothing of it counts there.
        let again = store.create_snapshot("c3", &image, Some(4 << 20)).unwrap();
        assert_eq!(full(&again, 2), None);
        for id in ["c2", "c3"] {
            store.remove_snapshot(id).unwrap();
        }
        store.remove(&image, false).unwrap();
    }
    rustix::mount::unmount(&place, rustix::mount::UnmountFlags::DETACH).unwrap();
}

/// Run as a child, by an ordinary user.
#[test]
fn child_that_is_an_ordinary_user() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let directory = Path::new(&directory);
    let mut options = common::options(directory, None);
    options.unpacker = vec![directory.join("unpack").into_os_string()];
    let store = Store::open(options).unwrap();
    let archive = Tar::of([
        Entry::directory("etc/").mode(0o750).owner(7, 8),
        Entry::file("etc/passwd", b"root").owner(3, 4),
        Entry::file("etc/.wh.shadow", b""),
        Entry::directory("locked/").mode(0o500),
        Entry::file("locked/below", b"y"),
        Entry::directory("opaque/"),
        Entry::file("opaque/.wh..wh..opq", b""),
        Entry::file("bin/su", b"z").mode(0o4755),
        Entry::symlink("out", "/etc/shadow"),
        Entry::device("dev/null", b'3', 1, 3),
    ]);
    let image = put(&store, "app:1", &[archive]);
    let layers = store.layers(&image).unwrap();
    assert_eq!(layers[0].form, Form::Tree);
    assert!(layers[0].reason.contains("root"), "{}", layers[0].reason);
    // The device; owners are those of the only id that exists.
    assert_eq!(layers[0].dropped, 1);
    let shown = common::listing(&store.layer_directory(&layers[0]).unwrap());
    let has = |text: &str| assert!(shown.iter().any(|line| line.contains(text)), "{text}: {shown:#?}");
    has(&format!("etc dir 0750 {ORDINARY}:{ORDINARY}"));
    has("etc/shadow char 0:0");
    has("user.overlay.opaque=y");
    has("bin/su file 4755");
    has("out link \"/etc/shadow\"");
    assert!(!shown.iter().any(|line| line.contains("dev/null")));
    assert!(store.verify(std::slice::from_ref(&image), false).unwrap().findings.is_empty());
    store.remove(&image, false).unwrap();
    assert_eq!(std::fs::read_dir(store.layout().root().join("layers")).unwrap().count(), 0);
    std::fs::write(directory.join("passed"), b"").unwrap();
}

#[test]
fn an_ordinary_user_has_layers_too() {
    let Some(kept) = common::store_with("places-ordinary", None) else { return };
    let directory = kept.scratch("ordinary");
    let copy = |from: &Path, name: &str| {
        let to = directory.join(name);
        std::fs::copy(from, &to).unwrap();
        std::fs::set_permissions(&to, PermissionsExt::from_mode(0o755)).unwrap();
        to
    };
    let program = copy(&std::env::current_exe().unwrap(), "program");
    copy(Path::new(env!("CARGO_BIN_EXE_holm-unpack")), "unpack");
    std::os::unix::fs::chown(&directory, Some(ORDINARY), Some(ORDINARY)).unwrap();
    let as_ordinary = |program: &Path| {
        let mut command = Command::new(program);
        command.uid(ORDINARY).gid(ORDINARY).current_dir("/").env(DIRECTORY, &directory);
        command
    };
    let may = common::program("unshare").is_some_and(|unshare| {
        as_ordinary(&unshare).args(["-Urm", "true"]).status().is_ok_and(|status| status.success())
    });
    if !may {
        println!("SKIPPED an_ordinary_user_has_layers_too: ordinary users may make no user namespaces");
        return;
    }
    let output = as_ordinary(&program)
        .args(["child_that_is_an_ordinary_user", "--exact", "--nocapture"])
        .output()
        .unwrap();
    assert!(
        output.status.success() && directory.join("passed").exists(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

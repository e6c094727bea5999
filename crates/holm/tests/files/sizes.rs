//! `--storage-opt size=`: how much a container may change.

use std::path::Path;

use crate::room::Room;

/// Fills a file, and tells how that ends and how large it is.
const FILL: &str = "busybox dd if=/dev/zero of=/srv/big bs=1M count=64 2>&1 | busybox grep -o 'No space.*\\|Disk quota.*'; busybox du -m /srv/big | busybox cut -f1";

/// It ended with an error, and not before `least` MiB.
fn is_full(text: &str, least: u32, most: u32) {
    let (error, size) = text.split_once('\n').unwrap_or_default();
    let size: u32 = size.trim().parse().unwrap_or(0);
    assert!(error.starts_with("No space left") || error.starts_with("Disk quota"), "{text}");
    assert!((least..=most).contains(&size), "{text}");
}

#[test]
fn changes_in_memory_have_a_size() {
    let Some(room) = Room::new("changes_in_memory_have_a_size") else { return };
    let limit = ["run", "--rm", "--storage-opt", "size=4m"];
    is_full(&room.prints(&[&limit[..], &["box:1", "sh", "-c", FILL]].concat()), 3, 4);
    let script =
        "busybox dd if=/dev/zero of=/big bs=1M count=64 2>/dev/null; busybox df -m / | busybox tail -n 1";
    let text = room.prints(&[&limit[..], &["--rootfs", &room.path("rootfs"), "sh", "-c", script]].concat());
    assert!(text.contains("100%"), "{text}");
    for (flags, told) in [
        (&["--storage-opt", "size=x"][..], "size begins"),
        (&["--storage-opt", "dm.x=1"], "not an option"),
        (&["--storage-opt", "size=1g", "--keep-changes", "."], "contradict"),
    ] {
        let error = room.fails(&[&["run", "--rm"][..], flags, &["box:1", "true"]].concat());
        assert!(error.contains(told), "{error}");
    }
    let error = room.fails(&["create", "--storage-opt", "size=1g", "--rootfs", "/", "true"]);
    assert!(error.contains("--storage-opt"), "{error}");
}

fn mounts(room: &Room) -> usize {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    text.lines().filter(|line| line.contains(&room.path("store/snapshots"))).count()
}

#[test]
fn changes_that_stay_have_a_size_and_survive_a_start_of_the_machine() {
    let test = "changes_that_stay_have_a_size_and_survive_a_start_of_the_machine";
    let Some(room) = Room::new(test) else { return };
    if !["/sbin/mkfs.ext4", "/usr/sbin/mkfs.ext4", "/bin/mkfs.ext4"]
        .iter()
        .any(|path| Path::new(path).exists())
        || !Path::new("/dev/loop-control").exists()
    {
        println!("SKIPPED {test}: needs mkfs.ext4 and loop devices");
        return;
    }
    for copies in [false, true] {
        room.copies.set(copies);
        let error = room.fails(&["create", "--storage-opt", "size=4k", "box:1"]);
        assert!(error.contains("too small"), "{error}");
        room.prints(&["run", "-d", "--name", "full", "--storage-opt", "size=32m", "box:1"]);
        is_full(&room.inside("full", FILL), 10, 32);
        // Nothing of what was there is lost.
        assert_eq!(room.inside("full", "rm /srv/big; echo kept >/srv/kept; cat /srv/one"), "one");
        room.prints(&["stop", "--time", "0", "full"]);
        assert!(room.prints(&["diff", "full"]).contains("A /srv/kept"));
        for entry in std::fs::read_dir(room.base.join("store/snapshots")).unwrap() {
            let changes = entry.unwrap().path().join("changes");
            let _ = rustix::mount::unmount(&changes, rustix::mount::UnmountFlags::DETACH);
        }
        assert_eq!(mounts(&room), 0);
        room.prints(&["start", "full"]);
        assert_eq!(room.inside("full", "cat /srv/kept"), "kept");
        room.prints(&["rm", "--force", "full"]);
        assert_eq!(mounts(&room), 0);
        assert_eq!(std::fs::read_dir(room.base.join("store/snapshots")).unwrap().count(), 0);
    }
}

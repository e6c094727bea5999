//! Roots that are plain copies of an image, as where there is no overlay.

use std::time::{Duration, Instant};

use crate::room::Room;

fn room(test: &str) -> Option<Room> {
    let room = Room::new(test)?;
    room.copies.set(true);
    Some(room)
}

/// What the store keeps for containers.
fn kept(room: &Room) -> usize {
    std::fs::read_dir(room.base.join("store/snapshots")).map_or(0, Iterator::count)
}

#[test]
fn a_copy_goes_with_its_container_and_the_image_stays_as_it_is() {
    let Some(room) = room("a_copy_goes_with_its_container_and_the_image_stays_as_it_is") else { return };
    let script = "cat /srv/one; stat -c %u:%g /srv/one; echo x >/srv/new; rm /srv/old/two; stat -f -c %T /";
    let text = room.prints(&["run", "--rm", "box:1", "sh", "-c", script]);
    assert!(text.starts_with("one\n0:0\n") && !text.contains("overlay"), "{text}");
    assert_eq!(kept(&room), 0);
    assert_eq!(room.prints(&["run", "--rm", "--read-only", "box:1", "ls", "/srv"]), "old\none");
    let script = "touch /srv/x 2>&1 || true";
    assert!(room.prints(&["run", "--rm", "--read-only", "box:1", "sh", "-c", script]).contains("Read-only"));
    let error = room.fails(&["run", "--rm", "--keep-changes", "rootfs", "box:1", "true"]);
    assert!(error.contains("plain copy"), "{error}");
    assert!(room.fails(&["run", "--rm", "box:1", "no-such-program"]).contains("no-such-program"));
    assert_eq!(kept(&room), 0);
}

#[test]
fn the_copy_of_a_killed_command_is_swept() {
    let Some(room) = room("the_copy_of_a_killed_command_is_swept") else { return };
    let mut child = room.command(&["run", "--rm", "--name", "killed", "box:1"]).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while room.prints(&["ps", "-q"]).is_empty() {
        assert!(Instant::now() < until, "it does not run");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    while kept(&room) > 0 {
        assert!(Instant::now() < until, "nobody sweeps it");
        room.prints(&["run", "--rm", "box:1", "true"]);
    }
}

#[test]
fn a_container_that_stays_keeps_its_copy() {
    let Some(room) = room("a_container_that_stays_keeps_its_copy") else { return };
    room.prints(&["run", "-d", "--name", "kept", "box:1"]);
    let driver = room.prints(&["inspect", "--format", "{{.GraphDriver.Name}}", "kept"]);
    assert_eq!((driver.as_str(), kept(&room)), ("copy", 1));
    assert!(room.fails(&["image", "remove", "box:1"]).contains("is used by 1 container"));
    room.inside("kept", "echo new >/srv/new; rm /srv/one; chown 12:34 /srv/new");
    let changes = "A /srv/new\nC /srv\nD /srv/one";
    let told = |room: &Room| {
        let text = room.prints(&["diff", "kept"]);
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines.join("\n")
    };
    assert_eq!(told(&room), changes);
    room.prints(&["stop", "--time", "0", "kept"]);
    assert_eq!(told(&room), changes);
    room.prints(&["commit", "kept", "made:1"]);
    // Whoever looks at what a copy became need not copy.
    room.copies.set(false);
    let text = room.prints(&["run", "--rm", "made:1", "sh", "-c", "ls /srv; stat -c %u:%g /srv/new"]);
    assert_eq!(text, "new\nold\n12:34");
    room.prints(&["cp", "kept:/srv/new", "."]);
    assert_eq!(room.read("new"), "new\n");
    room.prints(&["start", "kept"]);
    assert_eq!(room.inside("kept", "cat /srv/new"), "new");
    room.prints(&["rm", "--force", "kept"]);
    assert_eq!(kept(&room), 0);
    room.prints(&["image", "remove", "box:1"]);
}

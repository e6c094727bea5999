//! `mounts add` and `mounts remove`.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::Live;
use crate::kernel::older_than;

fn file(live: &Live, mounts: &Value) -> String {
    let path = live.bundle.dir.join("mounts.json");
    std::fs::write(&path, mounts.to_string()).expect("a file");
    path.display().to_string()
}

/// A directory of the host with a file in it.
fn source(live: &Live) -> PathBuf {
    let dir = live.bundle.dir.join("source");
    std::fs::create_dir_all(&dir).expect("a directory");
    std::fs::write(dir.join("word"), "hello\n").expect("a file");
    dir
}

/// What is mounted in the container, a place a line.
fn mounted(live: &Live) -> Vec<String> {
    let text = live.script(&[], "cat /proc/self/mountinfo").out;
    text.lines().filter_map(|line| line.split(' ').nth(4)).map(str::to_owned).collect()
}

/// What the host has mounted in this test's directory.
fn on_the_host(live: &Live) -> Vec<String> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let dir = live.bundle.dir.display().to_string();
    text.lines().filter(|line| line.contains(&dir)).map(str::to_owned).collect()
}

fn come_and_go(live: &Live) {
    let dir = source(live);
    let before = mounted(live);
    let mounts = json!([
        {"destination": "/new/dir", "source": dir, "options": ["bind", "ro"]},
        {"destination": "/new/file", "source": dir.join("word"), "options": ["bind"]},
        {"destination": "/new/memory", "type": "tmpfs", "source": "tmpfs", "options": ["size=64k", "noexec"]},
        {"destination": "/new/memory/inner", "type": "tmpfs", "options": ["ro"]}
    ]);
    let path = file(live, &mounts);
    live.does(&["mounts", "add", live.id(), &path]);
    let ran = live.script(&[], "cat /new/dir/word /new/file; echo x >/new/memory/x && cat /new/memory/x");
    assert_eq!(ran.out, "hello\nhello\nx\n", "{ran:?}");
    assert_ne!(live.script(&[], "echo x >/new/dir/x").code, Some(0));
    assert_ne!(live.script(&[], "echo x >/new/memory/inner/x").code, Some(0));
    assert_eq!(mounted(live).len(), before.len() + 4);
    assert!(on_the_host(live).is_empty(), "{:?}", on_the_host(live));
    live.does(&["mounts", "remove", live.id(), &path]);
    assert_eq!(mounted(live), before);
    for (place, why) in [("/new/dir", "nothing is mounted exactly there"), ("/new/none", "no such file")] {
        let said =
            live.fails(1, &["mounts", "remove", live.id(), &file(live, &json!([{"destination": place}]))]);
        assert!(said.contains(place) && said.contains(why), "{said}");
    }
}

#[test]
fn mounts_come_and_go_while_the_container_runs() {
    if older_than((5, 12), "mounts_come_and_go_while_the_container_runs") {
        return;
    }
    let Some(live) = Live::start("mounts_live", |_| {}) else { return };
    come_and_go(&live);
}

#[test]
fn mounts_come_and_go_in_a_user_namespace() {
    if older_than((5, 12), "mounts_come_and_go_in_a_user_namespace") {
        return;
    }
    let Some(live) = Live::start("mounts_live_user", |bundle| {
        bundle.config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({"type": "user"}));
        let maps = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
        bundle.config["linux"]["uidMappings"] = maps.clone();
        bundle.config["linux"]["gidMappings"] = maps;
        let root = bundle.rootfs("");
        std::os::unix::fs::chown(&root, Some(100_000), Some(100_000)).expect("chown");
    }) else {
        return;
    };
    come_and_go(&live);
    let path =
        file(&live, &json!([{"destination": "/own", "source": source(&live), "options": ["bind", "idmap"]}]));
    live.does(&["mounts", "add", live.id(), &path]);
    assert_eq!(live.script(&[], "stat -c %u /own/word").out, "0\n");
    live.does(&["mounts", "remove", live.id(), &path]);
}

#[test]
fn mounts_stay_below_the_containers_root() {
    if older_than((5, 12), "mounts_stay_below_the_containers_root") {
        return;
    }
    let Some(live) = Live::start("mounts_live_below", |_| {}) else { return };
    let outside = live.bundle.dir.join("outside");
    std::fs::create_dir(&outside).expect("a directory");
    symlink(&outside, live.bundle.rootfs("link")).expect("a link");
    symlink("../../../../../..", live.bundle.rootfs("up")).expect("a link");
    let path = file(
        &live,
        &json!([
            {"destination": "/link", "source": source(&live), "options": ["bind"]},
            {"destination": format!("/up{}", outside.display()), "type": "tmpfs"}
        ]),
    );
    live.does(&["mounts", "add", live.id(), &path]);
    // What the link says is a path of the container, as it is for every process in there.
    let inside = live.bundle.rootfs(outside.strip_prefix("/").expect("absolute").to_str().expect("text"));
    assert!(inside.is_dir());
    assert!(std::fs::read_dir(&outside).expect("the directory").next().is_none());
    assert!(on_the_host(&live).is_empty(), "{:?}", on_the_host(&live));
    live.does(&["mounts", "remove", live.id(), &path]);
    for place in ["/", "/.", "/up", "/bin/.."] {
        let path = file(&live, &json!([{"destination": place}]));
        let said = live.fails(1, &["mounts", "remove", live.id(), &path]);
        assert!(said.contains("root, which stays"), "{place}: {said}");
    }
    assert_eq!(live.script(&[], "echo alive").out, "alive\n");
}

#[test]
fn of_mounts_that_cannot_all_be_made_none_is() {
    if older_than((5, 12), "of_mounts_that_cannot_all_be_made_none_is") {
        return;
    }
    let Some(live) = Live::start("mounts_live_all", |_| {}) else { return };
    let before = mounted(&live);
    std::fs::write(live.bundle.rootfs("plain"), "").expect("a file");
    let said = live.fails(
        1,
        &[
            "mounts",
            "add",
            live.id(),
            &file(
                &live,
                &json!([
                    {"destination": "/one", "type": "tmpfs"},
                    {"destination": "/one/two", "source": source(&live), "options": ["bind"]},
                    {"destination": "/plain/three", "type": "tmpfs"}
                ]),
            ),
        ],
    );
    assert!(said.contains("mount tmpfs on /plain/three"), "{said}");
    assert_eq!(mounted(&live), before);
    for (mounts, expected) in [
        (json!([{"destination": "/p", "type": "proc"}]), "pid namespace"),
        (json!([{"destination": "/c", "type": "cgroup2"}]), "made with the container"),
        (json!([{"destination": "/n", "source": "/missing/there", "options": ["bind"]}]), "/missing/there"),
        (json!([{"destination": "/t", "type": "tmpfs", "options": ["shiny"]}]), "shiny"),
        (json!([{"destination": 5}]), "destination"),
        (json!({"mounts": []}), "expected a sequence"),
        (json!([{"destination": "", "type": "tmpfs"}]), "mounts[0].destination"),
    ] {
        let said = live.fails(1, &["mounts", "add", live.id(), &file(&live, &mounts)]);
        assert!(said.contains(expected), "{mounts}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    assert_eq!(mounted(&live), before);
    let path = file(&live, &json!([{"destination": "/m", "type": "tmpfs"}]));
    assert!(live.fails(1, &["mounts", "add", "nobody-knows-it", &path]).contains("does not exist"));
    assert!(live.fails(1, &["mounts", "move", live.id(), &path]).contains("move"));
    live.does(&["pause", live.id()]);
    live.does(&["mounts", "add", live.id(), &path]);
    live.does(&["resume", live.id()]);
    assert_eq!(mounted(&live).len(), before.len() + 1);
}

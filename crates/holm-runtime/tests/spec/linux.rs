//! config-linux.md: namespaces, devices, sysctl, paths, time.

use std::fs;
use std::os::unix::fs::FileTypeExt;

use serde_json::{Value, json};

use crate::common::Bundle;
use crate::kernel::older_than;
use crate::{in_mount_namespace, mounts_seen, refused, said, user_namespace};

fn namespaces(bundle: &mut Bundle) -> &mut Vec<Value> {
    bundle.config["linux"]["namespaces"].as_array_mut().expect("a list")
}

#[test]
fn every_kind_of_namespace_is_new_joined_or_the_hosts() {
    let Some(mut bundle) = Bundle::new("every_kind_of_namespace") else { return };
    let own =
        |kind: &str| fs::read_link(format!("/proc/self/ns/{kind}")).expect("a link").display().to_string();
    for (kind, file) in [
        ("ipc", "ipc"),
        ("uts", "uts"),
        ("network", "net"),
        ("cgroup", "cgroup"),
        ("pid", "pid"),
        ("time", "time"),
    ] {
        let config = bundle.config.clone();
        let script = format!("readlink /proc/self/ns/{file}");
        for (entry, is_hosts) in [
            (None, true),
            (Some(json!({ "type": kind })), false),
            (Some(json!({ "type": kind, "path": format!("/proc/{}/ns/{file}", std::process::id()) })), true),
        ] {
            bundle.config = config.clone();
            if kind == "uts" {
                bundle.config.as_object_mut().expect("an object").remove("hostname");
            }
            namespaces(&mut bundle).retain(|namespace| namespace["type"] != kind);
            namespaces(&mut bundle).extend(entry.clone());
            let ran = bundle.script(&script).run();
            if ran.err.contains("6.3 is needed") {
                eprintln!("SKIPPED every_kind_of_namespace_is_new_joined_or_the_hosts: {}", ran.err);
                continue;
            }
            assert_eq!(ran.code, Some(0), "{kind}: {entry:?}: {ran:?}");
            assert_eq!(ran.out.trim() == own(file), is_hosts, "{kind}: {entry:?}");
        }
        bundle.config = config;
    }
}

/// What a process has mounted in this test's directory.
fn mounted_here(bundle: &Bundle) -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let dir = bundle.dir.display().to_string();
    text.lines().filter(|line| line.contains(&dir)).map(str::to_owned).collect()
}

#[test]
fn a_container_in_the_hosts_mount_namespace_leaves_no_mount_there() {
    const NAME: &str = "a_container_in_the_hosts_mount_namespace_leaves_no_mount_there";
    let Some(mut bundle) = Bundle::new("hosts_mount_namespace") else { return };
    namespaces(&mut bundle).retain(|namespace| namespace["type"] != "mount");
    assert!(refused(&bundle).contains("linux.maskedPaths"));
    for list in ["maskedPaths", "readonlyPaths"] {
        bundle.config["linux"].as_object_mut().expect("an object").remove(list);
    }
    let mounts = bundle.config["mounts"].as_array_mut().expect("a list");
    mounts.push(json!({ "destination": "/ro", "type": "tmpfs", "options": ["ro"] }));
    mounts.push(json!({ "destination": "/dir", "source": "src", "options": ["bind"] }));
    fs::create_dir(bundle.dir.join("src")).expect("a directory");
    fs::write(bundle.dir.join("src/word"), "hello\n").expect("a file");
    let script = "readlink /proc/self/ns/mnt; cat /dir/word; [ -c /dev/null ] && echo device; [ -d /proc/1 ] && echo proc
        echo x 2>&- >/ro/x || echo read-only; echo x 2>&- >/x || echo read-only; echo y >/dir/y
        cd /; cd ../../..; ls -d bin; ls /sys/fs/cgroup >&- && echo cgroup";
    let ran = bundle.script(script).run();
    if ran.err.contains("Linux 6.15") {
        return eprintln!("SKIPPED {NAME}: {}", ran.err);
    }
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    let own = fs::read_link("/proc/self/ns/mnt").expect("a link").display().to_string();
    let expected = [own.as_str(), "hello", "device", "proc", "read-only", "read-only", "bin", "cgroup"];
    assert_eq!(ran.out.lines().collect::<Vec<_>>(), expected);
    assert_eq!(fs::read_to_string(bundle.dir.join("src/y")).expect("a file"), "y\n");
    assert_eq!(mounted_here(&bundle), Vec::<String>::new());
}

#[test]
fn a_path_that_is_no_namespace_of_its_type_is_an_error() {
    let Some(mut bundle) = Bundle::new("a_path_that_is_no_namespace") else { return };
    for path in ["/proc/self/ns/uts", "/etc/passwd", "/nowhere"] {
        namespaces(&mut bundle).retain(|namespace| namespace["type"] != "ipc");
        namespaces(&mut bundle).push(json!({ "type": "ipc", "path": path }));
        let err = refused(&bundle);
        assert!(err.contains("join the ipc namespace") || err.contains(path), "{path}: {err}");
    }
}

#[test]
fn ids_are_mapped_as_configured() {
    let Some(mut bundle) = Bundle::new("ids_are_mapped") else { return };
    user_namespace(&mut bundle, 100_000);
    let out = said(&mut bundle, "cat /proc/self/uid_map /proc/self/gid_map; id -u");
    let words: Vec<_> = out.split_whitespace().collect();
    assert_eq!(words, ["0", "100000", "65536", "0", "100000", "65536", "0"]);
    bundle.config["linux"]["uidMappings"] = json!([{ "containerID": 0, "hostID": 1000, "size": 0 }]);
    assert!(refused(&bundle).contains("linux.uidMappings[0].size"));
    bundle.config["linux"]["uidMappings"] = json!([{ "containerID": 0, "hostID": 1000, "size": 9 }, { "containerID": 8, "hostID": 5000, "size": 9 }]);
    assert!(refused(&bundle).contains("linux.uidMappings[1].containerID"));
}

#[test]
fn a_joined_user_namespace_owns_what_is_made_in_it_and_lends_its_mapping() {
    if older_than((5, 12), "a_joined_user_namespace_owns_what_is_made_in_it_and_lends_its_mapping") {
        return;
    }
    let Some(mut bundle) = Bundle::new("a_joined_user_namespace") else { return };
    user_namespace(&mut bundle, 100_000);
    let holder = sys::clone::hold(sys::clone::CLONE_NEWUSER).expect("a user namespace");
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{}/{map}", holder.pid()), "0 100000 65536").expect("a mapping");
    }
    fs::create_dir(bundle.dir.join("src")).expect("a directory");
    for side in ["uidMappings", "gidMappings"] {
        bundle.config["linux"].as_object_mut().expect("an object").remove(side);
    }
    let path = format!("/proc/{}/ns/user", holder.pid());
    let joined = fs::read_link(&path).expect("a link").display().to_string();
    namespaces(&mut bundle).retain(|namespace| namespace["type"] != "user");
    namespaces(&mut bundle).push(json!({ "type": "user", "path": path }));
    let mount = json!({ "destination": "/dev/shm/m", "source": "src", "options": ["bind", "idmap"] });
    bundle.config["mounts"].as_array_mut().expect("a list").push(mount);
    let out = said(
        &mut bundle,
        "readlink /proc/self/ns/user; cat /proc/self/uid_map; stat -c %u /dev/shm/m; cat /proc/1/comm; true",
    );
    let words: Vec<_> = out.split_whitespace().collect();
    assert_eq!(words, [joined.as_str(), "0", "100000", "65536", "0", "sh"]);
}

#[test]
fn namespaces_of_the_hosts_are_joined_together_with_a_new_user_namespace() {
    let Some(mut bundle) = Bundle::new("namespaces_of_the_hosts") else { return };
    user_namespace(&mut bundle, 100_000);
    let holder = sys::clone::hold(sys::clone::CLONE_NEWNET | sys::clone::CLONE_NEWUTS).expect("namespaces");
    // Only an owner of the network namespace may mount its /sys.
    bundle.config["mounts"]
        .as_array_mut()
        .expect("a list")
        .retain(|mount| !mount["destination"].as_str().is_some_and(|path| path.starts_with("/sys")));
    bundle.config.as_object_mut().expect("an object").remove("hostname");
    for (kind, file) in [("network", "net"), ("uts", "uts")] {
        let path = format!("/proc/{}/ns/{file}", holder.pid());
        let link = fs::read_link(&path).expect("a link").display().to_string();
        namespaces(&mut bundle).retain(|namespace| namespace["type"] != kind);
        namespaces(&mut bundle).push(json!({ "type": kind, "path": path }));
        assert_eq!(said(&mut bundle, &format!("readlink /proc/self/ns/{file}")).trim(), link);
    }
}

#[test]
fn clocks_of_a_time_namespace_are_set() {
    let Some(mut bundle) = Bundle::new("clocks_of_a_time_namespace") else { return };
    namespaces(&mut bundle).push(json!({ "type": "time" }));
    bundle.config["linux"]["timeOffsets"] =
        json!({ "monotonic": { "secs": 1_000_000 }, "boottime": { "secs": 5_000_000, "nanosecs": 7 } });
    let ran = bundle.script("cat /proc/uptime /proc/self/timens_offsets").run();
    if ran.err.contains("6.3 is needed") {
        eprintln!("SKIPPED clocks_of_a_time_namespace_are_set: {}", ran.err);
        return;
    }
    let words: Vec<_> = ran.out.split_whitespace().collect();
    let uptime: f64 = words.first().and_then(|word| word.parse().ok()).unwrap_or_default();
    assert!(uptime > 5_000_000.0, "{ran:?}");
    assert_eq!(words[2..], ["monotonic", "1000000", "0", "boottime", "5000000", "7"]);
    bundle.config["linux"]["timeOffsets"] = json!({ "realtime": { "secs": 1 } });
    assert!(refused(&bundle).contains("linux.timeOffsets"));
    bundle.config["linux"]["timeOffsets"] = json!({ "monotonic": { "nanosecs": 1_000_000_000 } });
    assert!(refused(&bundle).contains("linux.timeOffsets.monotonic.nanosecs"));
}

#[test]
fn devices_are_made_anywhere_with_their_mode_and_owner() {
    let Some(mut bundle) = Bundle::new("devices_are_made_anywhere") else { return };
    bundle.config["linux"]["devices"] = json!([
        { "path": "/dev/deep/er/zero", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 3, "gid": 4 },
        { "path": "/dev/pipe", "type": "p", "fileMode": 0o622 },
        { "path": "/dev/block", "type": "b", "major": 7, "minor": 200 },
        { "path": "/dev/unbuffered", "type": "u", "major": 1, "minor": 7 },
        { "path": "/outside", "type": "c", "major": 1, "minor": 3, "fileMode": 0o100_666 },
    ]);
    let script =
        "stat -c '%n %F %a %u %g %t:%T' /dev/deep/er/zero /dev/pipe /dev/block /dev/unbuffered /outside";
    let expected = "/dev/deep/er/zero character special file 640 3 4 1:5\n/dev/pipe fifo 622 0 0 0:0\n\
        /dev/block block special file 666 0 0 7:c8\n/dev/unbuffered character special file 666 0 0 1:7\n\
        /outside character special file 666 0 0 1:3\n";
    assert_eq!(said(&mut bundle, script), expected);
    // What was made before matches, and is taken.
    assert!(fs::metadata(bundle.rootfs("outside")).expect("a device").file_type().is_char_device());
    assert_eq!(said(&mut bundle, script), expected);
}

#[test]
fn a_file_in_the_place_of_a_device_is_an_error() {
    let Some(mut bundle) = Bundle::new("a_file_in_the_place") else { return };
    fs::write(bundle.rootfs("there"), "").expect("a file");
    for device in [
        json!({ "path": "/there", "type": "c", "major": 1, "minor": 3 }),
        json!({ "path": "/there", "type": "b", "major": 7, "minor": 0 }),
        json!({ "path": "/there", "type": "p" }),
    ] {
        bundle.config["linux"]["devices"] = json!([device]);
        let err = refused(&bundle);
        assert!(err.contains("make the device /there"), "{device}: {err}");
    }
    for (device, place) in [
        (json!({ "path": "there", "type": "c", "major": 1, "minor": 3 }), "linux.devices[0].path"),
        (json!({ "path": "/d", "type": "x" }), "linux.devices[0].type"),
        (json!({ "path": "/d", "type": "c", "major": -1, "minor": 3 }), "linux.devices[0].major"),
        (json!({ "path": "/d", "type": "c", "major": 1, "minor": 1 << 20 }), "linux.devices[0].minor"),
    ] {
        bundle.config["linux"]["devices"] = json!([device]);
        let err = refused(&bundle);
        assert!(err.contains(place), "{place}: {err}");
    }
}

#[test]
fn devices_of_the_host_serve_where_a_user_namespace_can_make_none() {
    let Some(mut bundle) = Bundle::new("devices_of_the_host_serve") else { return };
    user_namespace(&mut bundle, 100_000);
    bundle.config["linux"]["devices"] =
        json!([{ "path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11 }]);
    let out = said(
        &mut bundle,
        "stat -c '%F %t:%T' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /dev/kmsg",
    );
    let expected: String = ["1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "1:b"]
        .map(|number| format!("character special file {number}\n"))
        .concat();
    assert_eq!(out, expected);
}

#[test]
fn kernel_parameters_are_set_in_the_containers_namespaces_only() {
    let Some(mut bundle) = Bundle::new("kernel_parameters_are_set") else { return };
    bundle.config["linux"]["sysctl"] = json!({
        "net.ipv4.ip_forward": "1", "net/ipv4/ping_group_range": "0 5", "kernel.msgmax": "12345", "kernel.shm_rmid_forced": "1",
    });
    let host = fs::read_to_string("/proc/sys/kernel/msgmax").expect("procfs");
    let script = "cd /proc/sys; cat net/ipv4/ip_forward net/ipv4/ping_group_range kernel/msgmax kernel/shm_rmid_forced";
    assert_eq!(said(&mut bundle, script), "1\n0\t5\n12345\n1\n");
    assert_eq!(fs::read_to_string("/proc/sys/kernel/msgmax").expect("procfs"), host);
    for key in ["kernel.pid_max", "vm.swappiness", "net..x", "kernel.core_pattern"] {
        bundle.config["linux"]["sysctl"] = json!({ key: "1" });
        let err = refused(&bundle);
        assert!(err.contains(&format!("linux.sysctl[\"{key}\"]")), "{err}");
    }
    bundle.config["linux"]["sysctl"] = json!({ "net.ipv4.no_such_parameter": "1" });
    let err = refused(&bundle);
    assert!(err.contains("set net.ipv4.no_such_parameter to 1"), "{err}");
    namespaces(&mut bundle).retain(|namespace| namespace["type"] != "network");
    bundle.config["linux"]["sysctl"] = json!({ "net.ipv4.ip_forward": "1" });
    assert!(refused(&bundle).contains("needs a `network` namespace"));
}

#[test]
fn the_cgroup_mount_shows_the_containers_own_group() {
    let Some(mut bundle) = Bundle::new("the_cgroup_mount_shows") else { return };
    let script = "cat /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs 2>/dev/null | head -n 1; touch /sys/fs/cgroup/x 2>&1";
    for own_namespace in [true, false] {
        namespaces(&mut bundle).retain(|namespace| namespace["type"] != "cgroup");
        if own_namespace {
            namespaces(&mut bundle).push(json!({ "type": "cgroup" }));
        }
        for fstype in ["cgroup", "cgroup2"] {
            for mount in bundle.config["mounts"].as_array_mut().expect("a list") {
                if mount["destination"] == "/sys/fs/cgroup" {
                    mount["type"] = json!(fstype);
                }
            }
            let ran = bundle.script(script).run();
            assert!(ran.out.starts_with('1') || !own_namespace, "{ran:?}");
            assert!(ran.out.contains("Read-only file system"), "{ran:?}");
        }
    }
}

#[test]
fn a_read_only_root_has_mounts_of_its_own_way() {
    let Some(mut bundle) = Bundle::new("a_read_only_root_has") else { return };
    let seen = mounts_seen(&mut bundle);
    assert!(
        seen.options("/").contains(&"ro".to_owned()) && seen.options("/dev/shm").contains(&"rw".to_owned())
    );
}

#[test]
fn masked_and_read_only_paths_that_are_relative_are_taken_from_the_root_on() {
    let Some(mut bundle) = Bundle::new("masked_and_read_only_paths") else { return };
    bundle.config["root"]["readonly"] = json!(false);
    fs::write(bundle.rootfs("secret"), "secret").expect("a file");
    fs::create_dir(bundle.rootfs("fixed")).expect("a directory");
    // A path that is there twice is hidden once.
    bundle.config["linux"]["maskedPaths"] = json!(["secret", "/secret", "/./secret"]);
    bundle.config["linux"]["readonlyPaths"] = json!(["fixed"]);
    let ran = bundle
        .script("cat secret; grep -c ' /secret ' /proc/self/mounts; touch /fixed/x || echo fixed")
        .run();
    assert_eq!(ran.out, "1\nfixed\n", "{ran:?}");
    bundle.config["linux"]["maskedPaths"] = json!([""]);
    assert!(refused(&bundle).contains("linux.maskedPaths[0]"));
}

#[test]
fn a_mount_on_a_read_only_path_stays_below_it() {
    if older_than((5, 12), "a_mount_on_a_read_only_path_stays_below_it") {
        return;
    }
    let Some(mut bundle) = Bundle::new("a_mount_on_a_read_only_path") else { return };
    fs::create_dir_all(bundle.rootfs("ro/below")).expect("directories");
    bundle.config["root"]["readonly"] = json!(false);
    bundle.config["linux"]["readonlyPaths"] = json!(["/ro"]);
    bundle.script("touch /ro/x 2>&1; touch /ro/below/x 2>&1; touch /rw; ls /ro/below");
    let Some(ran) =
        in_mount_namespace(&bundle, "mount -t tmpfs tmpfs rootfs/ro/below && touch rootfs/ro/below/seen")
    else {
        return;
    };
    assert_eq!(ran.out.matches("Read-only file system").count(), 2, "{ran:?}");
    assert!(ran.out.ends_with("seen\n") && bundle.rootfs("rw").exists(), "{ran:?}");
}

#[test]
fn unknown_properties_are_ignored_and_intel_rdt_is_refused_without_resctrl() {
    let Some(mut bundle) = Bundle::new("unknown_properties") else { return };
    bundle.config["windows"] = json!({ "anything": true });
    bundle.config["linux"]["noSuchProperty"] = json!(5);
    bundle.config["annotations"] = json!({ "org.example.key": "value" });
    assert_eq!(said(&mut bundle, "echo ran"), "ran\n");
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("procfs");
    if !mounts.contains(" - resctrl ") {
        bundle.config["linux"]["intelRdt"] = json!({ "closID": "x" });
        let err = refused(&bundle);
        assert!(err.contains("linux.intelRdt") && err.contains("resctrl"), "{err}");
    }
}

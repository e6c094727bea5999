//! config.md, "Mounts" and "Linux mount options"; config-linux.md, "Rootfs Mount Propagation".

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::common::{Bundle, Ran};
use crate::kernel::older_than;
use crate::{in_mount_namespace, mounts_seen, refused, said, user_namespace};

fn add(bundle: &mut Bundle, mount: Value) {
    bundle.config["mounts"].as_array_mut().expect("a list").push(mount);
}

/// Each option of the table in config.md that is about one mount or its filesystem: what a tmpfs with these options shows in mountinfo,
/// and what it does not.
#[rustfmt::skip]
const OPTIONS: &[(&str, &str, &str)] = &[
    ("async", "rw", "sync"), ("sync async", "rw", "sync"), ("sync", "sync", ""), ("dirsync", "dirsync", ""),
    ("atime", "relatime", "noatime"), ("noatime", "noatime", "relatime"), ("noatime atime", "relatime", "noatime"),
    ("relatime", "relatime", "noatime"), ("norelatime", "rw", "noatime"),
    ("strictatime", "rw", "relatime noatime"), ("nostrictatime", "relatime", ""),
    ("strictatime nostrictatime", "relatime", ""), ("defaults", "rw relatime", "ro nosuid nodev noexec"),
    ("nodev", "nodev", ""), ("nodev dev", "rw", "nodev"), ("nosuid", "nosuid", ""), ("nosuid suid", "rw", "nosuid"),
    ("noexec", "noexec", ""), ("noexec exec", "rw", "noexec"),
    ("nodiratime", "nodiratime", ""), ("nodiratime diratime", "rw", "nodiratime"),
    ("nosymfollow", "nosymfollow", ""), ("nosymfollow symfollow", "rw", "nosymfollow"),
    ("iversion", "rw relatime", ""), ("iversion noexec sync", "noexec sync", ""), ("noiversion", "rw", ""),
    ("lazytime", "lazytime", ""), ("lazytime nolazytime", "rw", "lazytime"),
    ("silent", "rw", ""), ("loud", "rw", ""), ("nomand", "rw", "mand"),
    ("ro", "ro", ""), ("ro rw", "rw", "ro"), ("size=64k", "size=64k", ""), ("mode=1711,size=8k", "mode=1711 size=8k", ""),
    ("private", "", "shared master unbindable"), ("rprivate", "", "shared master unbindable"),
    ("slave", "", "shared unbindable"), ("rslave", "", "shared unbindable"),
    ("shared", "shared", ""), ("rshared", "shared", ""),
    ("unbindable", "unbindable", ""), ("runbindable", "unbindable", ""),
];

#[test]
fn every_mount_option_of_the_specification_shows_in_the_container() {
    if older_than((5, 14), "every_mount_option_of_the_specification_shows_in_the_container") {
        return;
    }
    let Some(mut bundle) = Bundle::new("every_mount_option") else { return };
    let place = |index: usize| format!("/dev/shm/{index}");
    for (index, (options, _, _)) in OPTIONS.iter().enumerate() {
        let options: Vec<_> = options.split(' ').collect();
        add(
            &mut bundle,
            json!({ "destination": place(index), "type": "tmpfs", "source": "tmpfs", "options": options }),
        );
    }
    let seen = mounts_seen(&mut bundle);
    for (index, (options, there, missing)) in OPTIONS.iter().enumerate() {
        let found = seen.options(&place(index));
        let has = |option: &&str| found.iter().any(|found| found == option);
        assert!(
            there.split(' ').filter(|text| !text.is_empty()).all(|option| has(&option)),
            "{options}: {found:?}"
        );
        assert!(!missing.split(' ').any(|option| has(&option)), "{options}: {found:?}");
    }
}

/// Each recursive option: what both the mount and the one below it then show, and do not.
const RECURSIVE: &[(&str, &str, &str)] = &[
    ("rro", "ro", "rw"),
    ("rro rrw", "rw", "ro"),
    ("rnosuid", "nosuid", ""),
    ("rnosuid rsuid", "rw", "nosuid"),
    ("rnodev", "nodev", ""),
    ("rnodev rdev", "rw", "nodev"),
    ("rnoexec", "noexec", ""),
    ("rnoexec rexec", "rw", "noexec"),
    ("rnodiratime", "nodiratime", ""),
    ("rnodiratime rdiratime", "rw", "nodiratime"),
    ("rnoatime", "noatime", ""),
    ("rnoatime ratime", "relatime", "noatime"),
    ("rrelatime", "relatime", ""),
    ("rnorelatime", "rw", ""),
    ("rstrictatime", "rw", "relatime"),
    ("rstrictatime rnostrictatime", "relatime", ""),
    ("rnosymfollow", "nosymfollow", ""),
    ("rnosymfollow rsymfollow", "rw", "nosymfollow"),
    ("rshared", "shared", ""),
    ("rprivate", "rw", "shared"),
    ("runbindable", "unbindable", ""),
    ("rw", "rw", "ro"),
];

#[test]
fn recursive_options_reach_the_mounts_below() {
    if older_than((5, 12), "recursive_options_reach_the_mounts_below") {
        return;
    }
    let Some(mut bundle) = Bundle::new("recursive_options_reach") else { return };
    fs::create_dir_all(bundle.dir.join("src/below")).expect("directories");
    let place = |index: usize| format!("/dev/shm/{index}");
    for (index, (options, _, _)) in RECURSIVE.iter().enumerate() {
        let options: Vec<_> = ["rbind"].into_iter().chain(options.split(' ')).collect();
        // Relative to the bundle.
        add(&mut bundle, json!({ "destination": place(index), "source": "src", "options": options }));
    }
    bundle.script("cat /proc/self/mountinfo");
    let Some(ran) = in_mount_namespace(
        &bundle,
        "mount -t tmpfs tmpfs src && mkdir src/below && mount -t tmpfs tmpfs src/below",
    ) else {
        return;
    };
    let seen = crate::Mounts(ran.out.clone());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for (index, (options, there, missing)) in RECURSIVE.iter().enumerate() {
        for path in [place(index), format!("{}/below", place(index))] {
            let found = seen.options(&path);
            let has = |option: &&str| found.iter().any(|found| found == option);
            assert!(has(there), "{options}: {path}: {found:?}");
            assert!(missing.is_empty() || !has(missing), "{options}: {path}: {found:?}");
        }
    }
}

#[test]
fn a_bind_mount_leaves_out_what_is_mounted_below_and_rbind_takes_it_along() {
    let Some(mut bundle) = Bundle::new("a_bind_mount_leaves_out") else { return };
    fs::create_dir_all(bundle.dir.join("src/below")).expect("directories");
    fs::write(bundle.dir.join("one file"), "content").expect("a file");
    add(&mut bundle, json!({ "destination": "/dev/shm/one", "source": "src", "options": ["bind"] }));
    add(
        &mut bundle,
        json!({ "destination": "/dev/shm/all", "type": "none", "source": "src", "options": ["rbind"] }),
    );
    add(
        &mut bundle,
        json!({ "destination": "dev/shm/file", "type": "bind", "source": "one file", "options": ["bind", "ro"] }),
    );
    bundle
        .script("ls /dev/shm/one/below /dev/shm/all/below; cat /dev/shm/file; echo x > /dev/shm/file; true");
    let Some(ran) = in_mount_namespace(&bundle, "mount -t tmpfs tmpfs src/below && touch src/below/x") else {
        return;
    };
    assert_eq!(ran.out, "/dev/shm/all/below:\nx\n\n/dev/shm/one/below:\ncontent", "{ran:?}");
    assert!(ran.err.contains("Read-only file system"), "{ran:?}");
}

#[test]
fn mounts_are_made_in_the_order_of_the_list() {
    let Some(mut bundle) = Bundle::new("mounts_are_made_in_the_order") else { return };
    for name in ["a", "b"] {
        fs::create_dir(bundle.dir.join(name)).expect("a directory");
        fs::write(bundle.dir.join(name).join("name"), name).expect("a file");
        add(&mut bundle, json!({ "destination": "/dev/shm/it", "source": name, "options": ["bind"] }));
    }
    assert_eq!(said(&mut bundle, "cat /dev/shm/it/name"), "b");
}

#[test]
fn a_remount_changes_what_is_there() {
    let Some(mut bundle) = Bundle::new("a_remount_changes") else { return };
    let tmpfs = json!({ "destination": "/dev/shm/t", "type": "tmpfs", "options": ["size=64k", "noexec"] });
    add(&mut bundle, tmpfs);
    add(
        &mut bundle,
        json!({ "destination": "/dev/shm/t", "options": ["remount", "size=128k", "nodev", "ro"] }),
    );
    let found = mounts_seen(&mut bundle).options("/dev/shm/t");
    for option in ["size=128k", "nodev", "ro"] {
        assert!(found.iter().any(|found| found == option), "{option}: {found:?}");
    }
}

/// A directory with a file, a link and a directory in it, of other owners.
fn furnish(bundle: &Bundle) {
    let dir = bundle.rootfs("data");
    fs::create_dir_all(dir.join("sub/deep")).expect("directories");
    for (name, content) in [("file", "content".repeat(5000)), ("sub/deep/empty", String::new())] {
        fs::write(dir.join(name), content).expect("a file");
    }
    symlink("file", dir.join("link")).expect("a link");
    chown(dir.join("sub"), Some(5), Some(6)).expect("chown");
    for (name, mode) in [("file", 0o4755), ("sub", 0o3711), ("", 0o750)] {
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).expect("chmod");
    }
}

#[test]
fn tmpcopyup_fills_a_tmpfs_with_what_it_covers() {
    let Some(mut bundle) = Bundle::new("tmpcopyup_fills") else { return };
    furnish(&bundle);
    let script = "cd /data; stat -c '%n %a %u %g %s' . file sub sub/deep/empty; readlink link; cat file | wc -c; touch new";
    let expected =
        ". 750 0 0 100\nfile 4755 0 0 35000\nsub 3711 5 6 60\nsub/deep/empty 644 0 0 0\nfile\n35000\n";
    for options in [vec!["tmpcopyup"], vec!["tmpcopyup", "size=1m"]] {
        let mount = json!({ "destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": options });
        add(&mut bundle, mount);
        assert_eq!(said(&mut bundle, script), expected);
        assert!(!bundle.rootfs("data/new").exists());
        bundle.config["mounts"].as_array_mut().expect("a list").pop();
    }
    // Read-only once it is filled; too small is an error of the launch.
    add(
        &mut bundle,
        json!({ "destination": "/data", "type": "tmpfs", "options": ["tmpcopyup", "ro", "mode=700"] }),
    );
    let ran = bundle.script("stat -c %a /data; touch /data/new").run();
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), "700\n"), "{ran:?}");
    add(&mut bundle, json!({ "destination": "/data", "type": "tmpfs", "options": ["tmpcopyup", "size=4k"] }));
    let err = refused(&bundle);
    assert!(err.contains("mount tmpfs on /data") && err.contains("ENOSPC"), "{err}");
}

#[test]
fn a_tmpfs_has_the_mode_of_the_directory_it_covers_unless_it_says_one() {
    let Some(mut bundle) = Bundle::new("a_tmpfs_has_the_mode") else { return };
    fs::create_dir(bundle.rootfs("there")).expect("a directory");
    fs::set_permissions(bundle.rootfs("there"), fs::Permissions::from_mode(0o711)).expect("chmod");
    for (destination, options, mode) in
        [("/there", vec![], "711"), ("/there", vec!["mode=0705"], "705"), ("/dev/shm/new", vec![], "1777")]
    {
        add(&mut bundle, json!({ "destination": destination, "type": "tmpfs", "options": options }));
        assert_eq!(said(&mut bundle, &format!("stat -c %a {destination}")), format!("{mode}\n"));
        bundle.config["mounts"].as_array_mut().expect("a list").pop();
    }
}

#[test]
fn an_id_mapped_mount_takes_its_own_mapping_or_the_containers() {
    if older_than((5, 12), "an_id_mapped_mount_takes_its_own_mapping_or_the_containers") {
        return;
    }
    const TEST: &str = "an_id_mapped_mount_takes";
    let Some(mut bundle) = Bundle::new(TEST) else { return };
    let source = bundle.dir.join("src");
    fs::create_dir(&source).expect("a directory");
    fs::write(source.join("file"), "").expect("a file");
    chown(source.join("file"), Some(7), Some(8)).expect("chown");
    let own = json!([{ "containerID": 0, "hostID": 1000, "size": 100 }]);
    let mount = json!({
        "destination": "/dev/shm/m", "source": "src", "options": ["bind", "idmap"],
        "uidMappings": own, "gidMappings": own,
    });
    add(&mut bundle, mount.clone());
    // As on another place: both take the same mapping.
    add(
        &mut bundle,
        json!({ "destination": "/dev/shm/n", "source": "src", "options": ["rbind", "ridmap"], "uidMappings": own, "gidMappings": own }),
    );
    let script = "stat -c '%u %g' /dev/shm/m/file";
    let ran = bundle.script(script).run();
    if ran.err.contains("mount_setattr") && ran.err.contains("EINVAL") {
        eprintln!("SKIPPED {TEST}: the filesystem of {} cannot be id-mapped", bundle.dir.display());
        return;
    }
    assert_eq!(ran.out, "1007 1008\n", "{ran:?}");
    // With a user namespace that starts at the same id on the host, the files look as they are.
    user_namespace(&mut bundle, 1000);
    assert_eq!(said(&mut bundle, script), "7 8\n");
    let mounts = bundle.config["mounts"].as_array_mut().expect("a list");
    mounts.truncate(mounts.len() - 2);
    mounts.push(json!({ "destination": "/dev/shm/m", "source": "src", "options": ["bind", "idmap"] }));
    assert_eq!(said(&mut bundle, script), "7 8\n");
    // Without either there is no mapping to take.
    bundle.config["linux"]["namespaces"]
        .as_array_mut()
        .expect("a list")
        .retain(|kind| kind["type"] != "user");
    for side in ["uidMappings", "gidMappings"] {
        bundle.config["linux"].as_object_mut().expect("an object").remove(side);
    }
    let err = refused(&bundle);
    assert!(err.contains("mounts[6].options") || err.contains("id-mapped"), "{err}");
}

#[test]
fn ridmap_reaches_the_mounts_below() {
    if older_than((5, 12), "ridmap_reaches_the_mounts_below") {
        return;
    }
    let Some(mut bundle) = Bundle::new("ridmap_reaches") else { return };
    fs::create_dir_all(bundle.dir.join("src")).expect("directories");
    let own = json!([{ "containerID": 0, "hostID": 1000, "size": 100 }]);
    for option in ["idmap", "ridmap"] {
        add(
            &mut bundle,
            json!({
                "destination": format!("/dev/shm/{option}"), "source": "src", "options": ["rbind", option],
                "uidMappings": own, "gidMappings": own,
            }),
        );
    }
    bundle.script("for i in idmap ridmap; do stat -c %u /dev/shm/$i /dev/shm/$i/below; done");
    let script = "mount -t tmpfs tmpfs src && mkdir src/below && mount -t tmpfs tmpfs src/below";
    let Some(ran) = in_mount_namespace(&bundle, script) else { return };
    if ran.err.contains("mount_setattr") && ran.err.contains("EINVAL") {
        eprintln!("SKIPPED ridmap_reaches_the_mounts_below: this kernel cannot id-map a tmpfs");
        return;
    }
    assert_eq!(ran.out, "1000\n0\n1000\n1000\n", "{ran:?}");
}

#[test]
fn the_roots_propagation_is_as_configured() {
    let Some(mut bundle) = Bundle::new("the_roots_propagation") else { return };
    for (propagation, field) in [
        ("private", ""),
        ("rprivate", ""),
        ("slave", "master"),
        ("rslave", "master"),
        ("shared", "shared"),
        ("rshared", "shared"),
        ("unbindable", "unbindable"),
        ("runbindable", "unbindable"),
    ] {
        bundle.config["linux"]["rootfsPropagation"] = json!(propagation);
        bundle.script("cat /proc/self/mountinfo");
        let script = "mount --bind rootfs rootfs && mount --make-shared rootfs";
        let Some(ran) = in_mount_namespace(&bundle, script) else { return };
        assert_eq!(ran.code, Some(0), "{propagation}: {ran:?}");
        let found = crate::Mounts(ran.out.clone()).options("/");
        for known in ["master", "shared", "unbindable"] {
            let there = found.iter().any(|found| found == known);
            assert_eq!(there, known == field, "{propagation}: {found:?}");
        }
    }
}

#[test]
fn what_is_mounted_in_the_container_does_not_show_on_the_host() {
    let Some(mut bundle) = Bundle::new("what_is_mounted_in_the_container") else { return };
    bundle.config["linux"]["rootfsPropagation"] = json!("shared");
    bundle.config["process"]["args"] = json!(["/bin/true"]);
    bundle.write();
    let script = "mount --bind rootfs rootfs && mount --make-shared rootfs && \"$0\" \"$@\" && cat /proc/self/mountinfo";
    let command = bundle.command();
    let mut outer = Command::new("unshare");
    outer.args(["--mount", "--propagation", "private", "sh", "-c", script]).current_dir(&bundle.dir);
    outer.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    let Ok(output) = outer.output() else {
        eprintln!("SKIPPED what_is_mounted_in_the_container_does_not_show_on_the_host: no unshare(1)");
        return;
    };
    let ran = Ran::of(&output);
    let inside = bundle.rootfs("proc").display().to_string();
    assert!(ran.code == Some(0) && !ran.out.contains(&inside), "{ran:?}");
}

#[test]
fn a_mount_option_that_cannot_be_held_is_an_error_with_its_place() {
    let Some(mut bundle) = Bundle::new("a_mount_option_that_cannot") else { return };
    let last = bundle.config["mounts"].as_array().expect("a list").len();
    for (mount, told) in [
        (
            json!({ "destination": "/m", "type": "tmpfs", "options": ["idmap"] }),
            "options[0]: `idmap` is for bind mounts only",
        ),
        (
            json!({ "destination": "/m", "source": "/", "options": ["bind", "tmpcopyup"] }),
            "options[1]: `tmpcopyup` is for",
        ),
        (
            json!({ "destination": "/m", "source": "/", "options": ["bind", "size=1"] }),
            "options[1]: `size=1` is for a filesystem",
        ),
        (json!({ "destination": "/m", "type": "tmpfs", "options": ["no-such-option"] }), "no-such-option"),
        (json!({ "destination": "/m", "options": [] }), "type: is missing"),
        (json!({ "destination": "/m", "options": ["bind"] }), "source: is missing"),
        (
            json!({ "destination": "/m", "source": "/", "options": ["bind"], "uidMappings": [{ "containerID": 0, "hostID": 0, "size": 1 }] }),
            "gidMappings: is missing",
        ),
        (json!({ "destination": "/m", "type": "nofs" }), "fsopen(nofs): no such device"),
    ] {
        add(&mut bundle, mount);
        let err = refused(&bundle);
        let placed = err.contains(&format!("mounts[{last}]")) || err.contains("on /m");
        assert!(placed && err.contains(told), "{told}: {err}");
        bundle.config["mounts"].as_array_mut().expect("a list").pop();
    }
}

#[test]
fn the_source_of_a_mount_may_be_what_an_earlier_one_brought_in() {
    if older_than((5, 12), "the_source_of_a_mount_may_be_what_an_earlier_one_brought_in") {
        return;
    }
    let Some(mut bundle) = Bundle::new("own_sources") else { return };
    for dir in ["a", "b"] {
        let dir = bundle.dir.join("src").join(dir);
        fs::create_dir_all(&dir).expect("a directory");
        fs::write(dir.join("word"), format!("{}\n", dir.display())).expect("a file");
    }
    // Nobody but root of the host may look there.
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(bundle.dir.join("src"), private).expect("chmod");
    let rootfs = bundle.rootfs("").display().to_string();
    let rootfs = rootfs.trim_end_matches('/').to_owned();
    fs::create_dir_all(bundle.rootfs("mnt/x")).expect("a directory");
    fs::create_dir_all(bundle.rootfs("final")).expect("a directory");
    let plain = bundle.config.clone();
    let maps = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
    for (user, mapped) in [(false, false), (true, false), (false, true), (true, true)] {
        bundle.config = plain.clone();
        if user {
            user_namespace(&mut bundle, 100_000);
        }
        let list = bundle.config["mounts"].as_array_mut().expect("a list");
        list.push(json!({ "destination": "/mnt", "source": "src/a", "options": ["bind"] }));
        list.push(json!({ "destination": "/mnt/x", "source": "src/b", "options": ["bind"] }));
        let mut last = json!({ "destination": format!("{rootfs}/final"), "source": format!("{rootfs}/mnt"), "options": ["rbind"] });
        if mapped {
            last["options"] = json!(["rbind", "idmap"]);
            last["uidMappings"] = maps.clone();
            last["gidMappings"] = maps.clone();
        }
        list.push(last);
        fs::create_dir_all(bundle.dir.join("src/a/x")).expect("a directory");
        let out = said(&mut bundle, "cat /final/word /final/x/word; stat -c %u /final /final/x");
        let lines: Vec<&str> = out.lines().collect();
        assert!(lines[0].ends_with("/src/a") && lines[1].ends_with("/src/b"), "{user} {mapped}: {out}");
        // Files of root are nobody's in there, unless they are mapped; outside of a user namespace mapped ones show the mapped id.
        let nobody = "65534";
        let expected = match (user, mapped) {
            (false, false) => ["0", "0"],
            (true, false) => [nobody, nobody],
            (false, true) => ["100000", "0"],
            (true, true) => ["0", nobody],
        };
        assert_eq!(lines[2..], expected, "{user} {mapped}");
    }
}

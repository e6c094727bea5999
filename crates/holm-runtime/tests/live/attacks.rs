//! What a container may try against a program that is started in it, and what an image may have laid out for it.

use std::os::unix::fs::symlink;

use serde_json::json;

use crate::Live;

/// A capability in the sets that a process has.
fn give(live: &mut crate::common::Bundle, name: &str) {
    for set in ["bounding", "effective", "permitted"] {
        let list = live.config["process"]["capabilities"][set].as_array_mut().expect("a list");
        list.push(json!(name));
    }
}

#[test]
fn no_executable_of_the_host_is_ever_seen_inside() {
    // CVE-2019-5736: with CAP_SYS_PTRACE the link is readable for every process in sight.
    let Some(live) = Live::start("attack_exe", |bundle| {
        give(bundle, "CAP_SYS_PTRACE");
        let watch = "while :; do for p in /proc/[0-9]*; do readlink $p/exe; done >>/seen 2>/dev/null; done";
        bundle.script(watch);
    }) else {
        return;
    };
    for _ in 0..50 {
        assert_eq!(live.script(&[], ":").code, Some(0));
    }
    let seen = std::fs::read_to_string(live.bundle.rootfs("seen")).expect("what was seen");
    let mut seen: Vec<&str> = seen.lines().collect();
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.contains(&"/bin/busybox"), "it looked");
    let allowed = ["/bin/busybox", "/memfd:holm-init (deleted)"];
    assert!(seen.iter().all(|path| allowed.contains(path)), "{seen:?}");
}

#[test]
fn a_process_that_appears_inside_has_no_more_capabilities_than_the_program() {
    // CVE-2016-9962: whoever could trace it would have them.
    let Some(live) = Live::start("attack_caps", |bundle| {
        give(bundle, "CAP_SYS_PTRACE");
        let watch = "while :; do cat /proc/[0-9]*/status; done 2>/dev/null | grep CapPrm >/seen";
        bundle.script(watch);
    }) else {
        return;
    };
    for _ in 0..50 {
        assert_eq!(live.script(&[], ":").code, Some(0));
    }
    live.does(&["kill", live.id(), "KILL"]);
    let own = live.bundle.config["process"]["capabilities"]["permitted"].as_array().map_or(0, Vec::len);
    let seen = std::fs::read_to_string(live.bundle.rootfs("seen")).expect("what was seen");
    let mut most = 0;
    for line in seen.lines() {
        let set = line.split_whitespace().nth(1).and_then(|set| u64::from_str_radix(set, 16).ok());
        most = most.max(set.map_or(0, u64::count_ones));
    }
    assert_eq!(most as usize, own);
}

#[test]
fn an_image_cannot_lead_the_working_directory_or_the_terminal_outside() {
    let Some(live) = Live::start("attack_links", |bundle| {
        // CVE-2024-21626: a directory of the host by a leaked descriptor.
        for number in 3..20 {
            let _ = symlink(format!("/proc/self/fd/{number}"), bundle.rootfs(&format!("leak{number}")));
        }
    }) else {
        return;
    };
    for number in 3..20 {
        for cwd in
            [format!("/proc/self/fd/{number}"), format!("/leak{number}"), format!("/leak{number}/../..")]
        {
            let ran = live.call(&["exec", "--cwd", &cwd, live.id(), "/bin/sh", "-c", "ls ../../.. ; pwd"]);
            assert_eq!(ran.code, Some(255), "{cwd}: {ran:?}");
        }
    }
}

#[test]
fn a_list_of_users_that_never_ends_does_not_hold_up() {
    let Some(live) = Live::start("attack_passwd", |bundle| {
        std::fs::create_dir_all(bundle.rootfs("etc")).expect("etc");
        let _ = symlink("/dev/zero", bundle.rootfs("etc/passwd"));
    }) else {
        return;
    };
    assert_eq!(live.script(&[], "echo $HOME").out, "/\n");
    std::fs::remove_file(live.bundle.rootfs("etc/passwd")).expect("the link");
    assert!(live.script(&[], "mkfifo /etc/passwd || busybox mkfifo /etc/passwd").code.is_some());
    assert_eq!(live.script(&[], "echo $HOME").out, "/\n");
}

#[test]
fn the_environment_of_the_caller_and_of_the_container_loads_nothing_into_the_stage() {
    let Some(live) = Live::start("attack_preload", |_| {}) else { return };
    let mut command = live.command(&[
        "exec",
        "--env",
        "LD_PRELOAD=/evil.so",
        live.id(),
        "/bin/sh",
        "-c",
        "echo $LD_PRELOAD",
    ]);
    let output = command.env("LD_PRELOAD", "/nonexistent.so").output().expect("holm-runtime");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "/evil.so\n", "it is the program's, as asked for");
}

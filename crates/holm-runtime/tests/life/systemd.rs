//! `--systemd-cgroup` where systemd is process 1: `cargo xtask vm-test --lane systemd` runs these tests.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::common::{Bundle, Ran};
use serde_json::json;

/// A bundle with limits whose cgroup systemd makes; `None`, with a line that says why, where it cannot.
fn bundle(test: &str) -> Option<Bundle> {
    if !runtime::unit::is_booted() {
        eprintln!("SKIPPED {test}: systemd is not process 1 here");
        return None;
    }
    let mut bundle = Bundle::new(test)?;
    bundle.config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "cgroup"}));
    bundle.config["linux"]["resources"]["memory"] = json!({"limit": 64 << 20});
    bundle.config["linux"]["resources"]["pids"] = json!({"limit": 23});
    bundle.config["linux"]["resources"]["cpu"] = json!({"quota": 30_000, "period": 60_000, "shares": 512});
    Some(bundle)
}

fn command(bundle: &Bundle) -> Command {
    bundle.write();
    let directory = bundle.dir.display().to_string();
    let mut command = bundle.runtime(&["--systemd-cgroup", "run", "--bundle", &directory, &bundle.id]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What systemctl(1) says of a unit.
fn property(unit: &str, name: &str) -> String {
    let output =
        Command::new("systemctl").args(["show", "--value", "-p", name, unit]).output().expect("systemctl");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A container that runs until its standard input ends, or this is dropped.
struct Running(Child);

impl Running {
    fn start(bundle: &mut Bundle, script: &str) -> Self {
        bundle.script(&format!("{script}; echo ready; read line; true"));
        let mut child = command(bundle).stdin(Stdio::piped()).spawn().expect("holm-runtime");
        let mut lines = BufReader::new(child.stdout.as_mut().expect("a pipe")).lines();
        let first = lines.next();
        if first.as_ref().is_none_or(|line| line.as_ref().is_ok_and(|line| line != "ready")) {
            drop(lines);
            let ran = Ran::of(&child.wait_with_output().expect("its end"));
            panic!("{first:?} {ran:?}");
        }
        drop(lines);
        Self(child)
    }

    fn end(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().expect("its end").success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Limits as the container sees them, on either version.
const LIMITS: &str = "cd /sys/fs/cgroup; cat memory.max memory/memory.limit_in_bytes 2>/dev/null; \
                      cat pids.max pids/pids.max 2>/dev/null; cat cpu.max cpu/cpu.cfs_quota_us 2>/dev/null | head -n 1 | sed 's/ .*//'";

#[test]
fn limits_hold_and_the_unit_goes_with_the_container() {
    let Some(mut bundle) = bundle("limits_hold_and_the_unit_goes_with_the_container") else { return };
    std::os::unix::fs::symlink("busybox", bundle.rootfs("bin/sed")).unwrap();
    bundle.script(LIMITS);
    let ran = Ran::of(&command(&bundle).output().expect("holm-runtime"));
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "67108864\n23\n30000\n"), "{ran:?}");
    let unit = format!("holm-{}.scope", bundle.id);
    assert_eq!(property(&unit, "LoadState"), "not-found");
    assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn systemd_knows_the_limits_and_annotations() {
    let Some(mut bundle) = bundle("systemd_knows_the_limits_and_annotations") else { return };
    let name = format!("known-{}", std::process::id());
    bundle.config["linux"]["cgroupsPath"] = json!(format!("holm-tests.slice:box:{name}"));
    bundle.config["annotations"] = json!({"org.systemd.property.TimeoutStopSec": "77"});
    let running = Running::start(&mut bundle, "true");
    let unit = format!("box-{name}.scope");
    let found: Vec<String> = [
        "ActiveState",
        "Slice",
        "MemoryMax",
        "TasksMax",
        "CPUQuotaPerSecUSec",
        "TimeoutStopUSec",
        "Delegate",
        "DevicePolicy",
    ]
    .iter()
    .map(|name| property(&unit, name))
    .collect();
    let group = property(&unit, "ControlGroup");
    running.end();
    let expected = ["active", "holm-tests.slice", "67108864", "23", "500ms", "1min 17s", "yes", "strict"];
    assert_eq!(found, expected);
    assert_eq!(group, format!("/holm.slice/holm-tests.slice/{unit}"));
    assert_eq!(property(&unit, "LoadState"), "not-found");
}

#[test]
fn what_was_set_survives_a_reload_of_systemd() {
    let Some(mut bundle) = bundle("what_was_set_survives_a_reload_of_systemd") else { return };
    let unit = format!("holm-{}.scope", bundle.id);
    let check = "echo x > /dev/null && head -c 1 /dev/zero > /tmp/zero";
    bundle.config["mounts"]
        .as_array_mut()
        .unwrap()
        .push(json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}));
    bundle.script(&format!("{check}; echo ready; read line; {check} && cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null; true"));
    let mut child = command(&bundle).stdin(Stdio::piped()).spawn().expect("holm-runtime");
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    assert!(Command::new("systemctl").arg("daemon-reload").status().unwrap().success());
    assert_eq!(property(&unit, "ActiveState"), "active");
    drop(child.stdin.take());
    line.clear();
    out.read_line(&mut line).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(line, "67108864\n");
}

#[test]
fn two_containers_cannot_have_one_unit() {
    let Some(mut first) = bundle("two_containers_cannot_have_one_unit") else { return };
    let path = format!(":holm-test:twice-{}", std::process::id());
    first.config["linux"]["cgroupsPath"] = json!(path);
    let running = Running::start(&mut first, "true");
    let mut second = bundle("two_containers_cannot_have_one_unit-2").unwrap();
    second.config["linux"]["cgroupsPath"] = json!(path);
    second.script("true");
    let ran = Ran::of(&command(&second).output().expect("holm-runtime"));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("UnitExists"), "{ran:?}");
    let unit = format!("holm-test-twice-{}.scope", std::process::id());
    assert_eq!(property(&unit, "ActiveState"), "active", "the first one goes on");
    running.end();
}

#[test]
fn a_path_of_another_form_is_one_line_that_says_so() {
    let test = "a_path_of_another_form_is_one_line_that_says_so";
    let Some(mut bundle) = Bundle::new(test) else { return };
    bundle.config["linux"]["cgroupsPath"] = json!("/some/path");
    bundle.script("true");
    let ran = Ran::of(&command(&bundle).output().expect("holm-runtime"));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("`/some/path`: below systemd it has to be SLICE:PREFIX:NAME"), "{ran:?}");
}

/// A command on a container of this bundle.
fn on(bundle: &Bundle, arguments: &[&str]) -> Command {
    let mut command = bundle.runtime(&[&["--systemd-cgroup"], arguments].concat());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn a_created_container_is_in_its_unit_and_deleted_with_it() {
    let Some(mut bundle) = bundle("a_created_container_is_in_its_unit_and_deleted_with_it") else { return };
    bundle.script("sleep 100");
    bundle.write();
    let directory = bundle.dir.display().to_string();
    let does = |arguments: &[&str]| on(&bundle, arguments).status().expect("holm-runtime").success();
    assert!(does(&["create", "--bundle", &directory, &bundle.id]));
    let unit = format!("holm-{}.scope", bundle.id);
    assert_eq!(property(&unit, "ActiveState"), "active");
    assert!(does(&["start", &bundle.id]));
    assert_eq!(property(&unit, "TasksMax"), "23");
    assert!(!does(&["delete", &bundle.id]), "it runs");
    assert!(does(&["delete", "--force", &bundle.id]));
    assert_eq!(property(&unit, "LoadState"), "not-found");
    assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn whenever_create_is_killed_delete_leaves_no_unit() {
    let Some(mut bundle) = bundle("whenever_create_is_killed_delete_leaves_no_unit") else { return };
    bundle.script("sleep 100");
    bundle.write();
    let directory = bundle.dir.display().to_string();
    let unit = format!("holm-{}.scope", bundle.id);
    for attempt in 0..12u64 {
        let mut create =
            on(&bundle, &["create", "--bundle", &directory, &bundle.id]).spawn().expect("holm-runtime");
        std::thread::sleep(std::time::Duration::from_millis(attempt * attempt * 2));
        let _ = create.kill();
        let _ = create.wait();
        let _ = on(&bundle, &["delete", "--force", &bundle.id]).status().expect("holm-runtime");
        assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new(), "attempt {attempt}");
        assert_eq!(property(&unit, "LoadState"), "not-found", "attempt {attempt}");
    }
}

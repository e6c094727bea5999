//! Freeze, thaw, kill, move; delegation.

use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::time::Duration;

use crate::room::*;

const BUSY: &str = "while :; do :; done";

#[test]
fn a_frozen_group_makes_no_progress_and_goes_on_when_thawed() {
    let Some(group) = Group::new("freeze", &["pids.max=50"]) else { return };
    let _busy = group.run("while :; do :; done & while :; do :; done");
    wait_until("it runs", || cpu_ns(&group.name) > 10_000_000);
    done(&["freeze", &group.name]);
    let (used, _) = use_within(&[&group.name], Duration::from_millis(500));
    assert_eq!(used[0], 0.0, "a frozen group used processor time");
    done(&["thaw", &group.name]);
    let before = cpu_ns(&group.name);
    wait_until("it goes on", || cpu_ns(&group.name) > before + 10_000_000);
    done(&["freeze", &group.name]);
    // A frozen group can be killed as well.
    done(&["kill", &group.name]);
}

#[test]
fn kill_leaves_no_process_of_a_fork_bomb() {
    let Some(group) = Group::new("kill", &["pids.max=60"]) else { return };
    let mut bomb = group.run(BOMB);
    wait_until("the limit is hit", || group.stat("pids", "limit_hits") > 0);
    // This test is the first one's parent: a dead child that nobody waited for is in its group until then.
    let reaper = std::thread::spawn(move || bomb.0.wait());
    done(&["kill", &group.name]);
    reaper.join().unwrap().unwrap();
    wait_until("nobody is left", || group.stat("pids", "current") == 0);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(group.stat("pids", "current"), 0);
    assert_eq!(done(&["get", &group.name, "pids.max"]), "60\n", "the limit is what it was");
}

#[test]
fn a_signal_reaches_every_process() {
    let Some(group) = Group::new("signal", &[]) else { return };
    let mut child = group.run("trap 'exit 7' TERM; while :; do sleep 0.05; done");
    wait_until("it runs", || cpu_ns(&group.name) > 0);
    std::thread::sleep(Duration::from_millis(200));
    done(&["kill", "--signal", "TERM", &group.name]);
    assert_eq!(child.0.wait().unwrap().code(), Some(7));
}

#[test]
fn processes_are_moved_with_their_limits() {
    let Some(group) = Group::new("move", &[]) else { return };
    let other = group.child("other", &[]);
    let child = run_in(&other, BUSY);
    let pid = child.0.id().to_string();
    let target = group.child("target", &[]);
    wait_until("it runs", || cpu_ns(&other) > 0);
    done(&["move", &target, &pid]);
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert!(groups.lines().all(|line| !line.ends_with("/other")), "{groups}");
    assert!(groups.lines().any(|line| line.ends_with("/target")), "{groups}");
}

#[test]
fn the_events_of_a_group_are_told_as_they_happen() {
    let Some(group) = Group::new("events", &["pids.max=20"]) else { return };
    let _busy = group.run(BUSY);
    let args = ["events", "-j", &group.name, "--until", "empty", "--timeout", "60"];
    let watcher = command(&args).stdout(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(700));
    done(&["freeze", &group.name]);
    std::thread::sleep(Duration::from_millis(400));
    done(&["thaw", &group.name]);
    std::thread::sleep(Duration::from_millis(400));
    let mut busy = _busy;
    let reaper = std::thread::spawn(move || busy.0.wait());
    done(&["kill", &group.name]);
    reaper.join().unwrap().unwrap();
    let output = watcher.wait_with_output().unwrap();
    let told: Vec<String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["event"].as_str().unwrap().to_owned()
        })
        .collect();
    let mut wanted = ["frozen", "thawed", "empty"].iter();
    let mut next = wanted.next();
    for event in &told {
        if next.is_some_and(|next| event == next) {
            next = wanted.next();
        }
    }
    assert!(next.is_none(), "{told:?}");
}

#[test]
fn a_delegated_group_is_its_users_own_and_its_limit_is_not() {
    let Some(group) = Group::new("delegate", &["pids.max=40"]) else { return };
    const USER: u32 = 65_533;
    done(&["delegate", &group.name, &format!("{USER}:{USER}")]);
    // What the user runs has to be readable for him, which a build directory need not be.
    let program = std::path::PathBuf::from(format!("/tmp/{}-holm", group.name));
    crate::copied::copy_holm(&program);
    let _gone = Gone(program.clone());
    let shell = |script: &str| {
        // Root brings the user into the group: from outside, cgroup v2 lets nobody move himself in.
        let inner = format!("{} cgroup \"$@\"", program.display());
        let join = format!("{}/inside", group.name);
        let mut command = command(&["exec", &join, "--", "/bin/sh", "-c", script, "sh"]);
        command.env("HOLM", inner.split(' ').next().unwrap());
        command
    };
    done(&["create", &format!("{}/inside", group.name), "--delegate", &format!("{USER}:{USER}")]);
    let name = &group.name;
    let script = format!(
        "exec \"$HOLM\" ns run --uts -S {USER} -G {USER} -- sh -ec '\
         \"$HOLM\" cgroup create {name}/own pids.max=10; \
         \"$HOLM\" cgroup exec {name}/own -- true; \
         \"$HOLM\" cgroup get {name}/own pids.max; \
         ! \"$HOLM\" cgroup set {name} pids.max=1000 2>/dev/null; \
         \"$HOLM\" cgroup delete {name}/own'"
    );
    let output = shell(&script).process_group(0).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "10\n");
    assert_eq!(done(&["get", name, "pids.max"]), "40\n");
}

/// A file that is removed at the end.
struct Gone(std::path::PathBuf);

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

//! Limit, prioritise, account.

use std::time::Duration;

use cgroups::{Controller, Version};

use crate::room::*;

const BUSY: &str = "while :; do :; done";

#[test]
fn memory_beyond_the_limit_kills_and_the_event_is_told() {
    let Some(group) = Group::new("oom", &["memory.max=16M"]) else { return };
    // Swap would hide the limit; hosts that do not account it have no such file.
    let _ = holm(&["set", &group.name, "memory.swap.max=0"]);
    let args = ["events", &group.name, "--until", "oom-kill", "--until", "oom", "--timeout", "60"];
    let watcher = command(&args).stdout(std::process::Stdio::piped()).spawn().unwrap();
    // The watcher needs a moment; an event before it would be missed.
    std::thread::sleep(Duration::from_millis(700));
    let script = "dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null";
    let mut child = group.run(script);
    assert!(!child.0.wait().unwrap().success());
    assert!(group.stat("memory", "oom_kills") >= 1);
    assert!(group.stat("memory", "limit_hits") >= 1);
    let output = watcher.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.lines().any(|line| line.starts_with("oom")), "{told:?}");
}

#[test]
fn a_fork_bomb_stops_at_pids_max() {
    let Some(group) = Group::new("bomb", &["pids.max=30"]) else { return };
    let _bomb = group.run(BOMB);
    wait_until("the limit is hit", || group.stat("pids", "limit_hits") > 0);
    for _ in 0..20 {
        assert!(group.stat("pids", "current") <= 30);
    }
}

#[test]
fn processor_time_stays_within_five_percent_of_its_limit() {
    // A small part of a processor, and a weight above all others: it is to be had on a busy machine as well.
    let limits = ["cpu.max=0.2", "cpu.weight=10000"];
    let Some(group) = Group::new("quota", &limits) else { return };
    let _busy = group.run(BUSY);
    measured("a fifth of a processor", || a_fifth_of_a_processor(&group));
}

/// Whether a busy group with `cpu.max=0.2` uses that much within five percent. Of time it never gets more; and it gets all of
/// it in each period in which the kernel had to hold it up, which is each one unless others on this machine are in its way.
fn a_fifth_of_a_processor(group: &Group) -> Result<(), String> {
    const QUOTA_NS: f64 = 20e6;
    let look = || ["used_ns", "throttled_periods"].map(|name| group.stat("cpu", name));
    let (before, at) = (look(), std::time::Instant::now());
    std::thread::sleep(Duration::from_secs(4));
    let (after, elapsed) = (look(), at.elapsed());
    let used = (after[0] - before[0]) as f64;
    let held_up = after[1] - before[1];
    let share = used / elapsed.as_nanos() as f64;
    let of_held_up = used / (held_up as f64 * QUOTA_NS);
    let fine = share <= 0.21 && held_up >= 10 && of_held_up >= 0.95;
    fine.then_some(()).ok_or(format!("{share:.4} of a processor is used, {held_up} times it was held up"))
}

#[test]
fn weights_of_one_to_three_share_a_processor_one_to_three() {
    let Some(group) = Group::new("weights", &["cpuset.cpus=0"]) else { return };
    let light = group.child("light", &["cpu.weight=100"]);
    let heavy = group.child("heavy", &["cpu.weight=300"]);
    let _busy = [run_in(&light, BUSY), run_in(&heavy, BUSY)];
    measured("one to three", || {
        let (used, _) = use_within(&[&light, &heavy], Duration::from_secs(3));
        let ratio = used[1] / used[0];
        (2.7..=3.3).contains(&ratio).then_some(()).ok_or(format!("the ratio is {ratio:.3}"))
    });
}

#[test]
fn a_subtree_holds_its_share_under_its_parent() {
    let Some(group) = Group::new("subtree", &["cpuset.cpus=0"]) else { return };
    let one = group.child("one", &["cpu.weight=100"]);
    let two = group.child("two", &["cpu.weight=100"]);
    let below = [group.child("one/a", &["cpu.weight=10000"]), group.child("one/b", &["cpu.weight=10000"])];
    // Two busy groups with great weights below `one` get no more than the one process of `two`.
    let _busy = [run_in(&below[0], BUSY), run_in(&below[1], BUSY), run_in(&two, BUSY)];
    measured("one to one", || {
        let (used, _) = use_within(&[&one, &two], Duration::from_secs(3));
        let ratio = used[0] / used[1];
        (0.9..=1.1).contains(&ratio).then_some(()).ok_or(format!("the ratio is {ratio:.3}"))
    });
    // And a limit above holds for all below together.
    done(&["set", &group.name, "cpu.max=0.2", "cpu.weight=10000"]);
    measured("a fifth of a processor for all", || a_fifth_of_a_processor(&group));
}

#[test]
fn written_bytes_agree_with_what_was_written() {
    let directory = std::path::Path::new("/var/tmp");
    let Ok(status) = rustix::fs::stat(directory) else { return };
    let device = format!("{}:{}", rustix::fs::major(status.st_dev), rustix::fs::minor(status.st_dev));
    if rustix::fs::major(status.st_dev) == 0 {
        return skipped("io", "/var/tmp is on no block device");
    }
    // A limit far above what a disk does: the v1 kernel counts only on devices that have one (Linux 6.10).
    let Some(group) = Group::new("io", &[&format!("io.max={device}:wbps=100G,rbps=100G")]) else { return };
    let file = directory.join(format!("{}.bytes", group.name));
    let script =
        format!("exec dd if=/dev/zero of={} bs=1M count=24 oflag=direct 2>/dev/null", file.display());
    let mut child = group.run(&script);
    let written = child.0.wait().unwrap().success();
    let _ = std::fs::remove_file(&file);
    if !written {
        return skipped("io", "the file system of /var/tmp does not write past the page cache");
    }
    let text = done(&["stat", "-j", &group.name]);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let devices = value["io"].as_array().cloned().unwrap_or_default();
    let counted: u64 = devices.iter().filter_map(|it| it["written_bytes"].as_u64()).sum();
    let ratio = counted as f64 / (24 * MIB) as f64;
    assert!((0.98..=1.02).contains(&ratio), "{counted} bytes are counted: {text}");
}

#[test]
fn weights_of_disks_are_taken_where_a_scheduler_has_them() {
    let limits = ["io.weight=300"];
    let Some(group) = Group::new("ioweight", &limits) else { return };
    assert_eq!(done(&["get", &group.name, "io.weight"]), "300\n");
    done(&["set", &group.name, "io.weight=50"]);
    assert_eq!(done(&["get", &group.name, "io.weight"]), "50\n");
}

#[test]
fn limits_read_back_as_they_were_set() {
    let limits = ["memory.max=64M", "cpu.max=0.5", "cpu.weight=250", "pids.max=77", "cpuset.cpus=0"];
    let Some(group) = Group::new("values", &limits) else { return };
    let read = done(&["get", &group.name]);
    for limit in limits {
        assert!(read.lines().any(|line| line == limit), "{limit} is not in\n{read}");
    }
    // Down, up, and back to none.
    for value in ["32M", "128M", "max"] {
        done(&["set", &group.name, &format!("memory.max={value}")]);
        assert_eq!(done(&["get", &group.name, "memory.max"]), format!("{value}\n"));
    }
    for (value, shown) in [("20ms/50ms", "20000us/50000us"), ("1.5", "1.5"), ("max", "max")] {
        done(&["set", &group.name, &format!("cpu.max={value}")]);
        assert_eq!(done(&["get", &group.name, "cpu.max"]), format!("{shown}\n"));
    }
    if version_of(Controller::Memory) == Some(Version::V1) {
        let told = refused(&["set", &group.name, "cpu.weight=10", "memory.high=5M"]);
        assert!(told.contains("memory.high") && told.contains("cgroup v1"), "{told}");
        assert_eq!(done(&["get", &group.name, "cpu.weight"]), "250\n", "nothing was written");
    }
}

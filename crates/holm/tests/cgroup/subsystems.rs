//! The eight classic subsystems, each where the host has it: cpu, cpuacct, cpuset, devices, freezer, memory, perf_event,
//! net_cls. What `duties` and `control` show of cpu, freezer and memory is not shown again.

use std::process::{Command, Stdio};
use std::time::Duration;

use cgroups::{Controller, Layout, Version};

use crate::room::*;

#[test]
fn cpuset_pins_its_processes() {
    let Some(group) = Group::new("cpuset", &["cpuset.cpus=0"]) else { return };
    let output = command(&["exec", &group.name, "--", "cat", "/proc/self/status"]).output().unwrap();
    let status = String::from_utf8_lossy(&output.stdout).into_owned();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    assert_eq!(allowed.trim(), "0");
}

#[test]
fn cpuacct_counts_by_processor() {
    if version_of(Controller::Cpuacct) != Some(Version::V1) {
        return skipped("cpuacct", "this host has no v1 hierarchy with it");
    }
    let Some(group) = Group::new("cpuacct", &["cpuset.cpus=0"]) else { return };
    let _busy = group.run("while :; do :; done");
    wait_until("it runs", || cpu_ns(&group.name) > 50_000_000);
    let text = done(&["stat", "-j", &group.name]);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let by: Vec<u64> =
        value["cpu_by_processor_ns"].as_array().unwrap().iter().filter_map(|it| it.as_u64()).collect();
    // What joining took, before the processor was pinned, may have been elsewhere.
    assert!(by[1..].iter().all(|&ns| ns < by[0] / 20), "{by:?}");
}

#[test]
fn devices_deny_a_node_that_root_has_made() {
    let Some(group) = Group::new("devices", &["devices=-c:1:5"]) else { return };
    let node = std::path::PathBuf::from(format!("/tmp/{}-zero", group.name));
    let made = Command::new("mknod").arg(&node).args(["c", "1", "5"]).status();
    if !made.is_ok_and(|status| status.success()) {
        return skipped("devices", "no device node can be made here");
    }
    let read = |device: &str| {
        let script = format!("exec dd if={device} of=/dev/null bs=1 count=1 2>/dev/null");
        run_in(&group.name, &script).0.wait().unwrap().success()
    };
    let outside = std::fs::File::open(&node).is_ok();
    let (denied, allowed) = (!read(&node.to_string_lossy()), read("/dev/urandom"));
    done(&["set", &group.name, "devices=+all"]);
    let again = read(&node.to_string_lossy());
    let _ = std::fs::remove_file(&node);
    if !outside {
        return skipped("devices", "/tmp is mounted without devices");
    }
    assert!(denied && allowed && again, "denied {denied}, other allowed {allowed}, allowed again {again}");
}

#[test]
fn perf_events_are_counted_for_the_group_only() {
    let Some(group) = Group::new("perf", &["perf_event", "cpuset.cpus=0", "cpu.weight=1000"]) else { return };
    let idle = group.child("idle", &[]);
    let busy = group.child("busy", &[]);
    let _busy = run_in(&busy, "while :; do :; done");
    wait_until("it runs", || cpu_ns(&busy) > 10_000_000);
    let count = |name: &str| {
        let output = holm(&["stat", "-j", "--perf=1", name]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let value: serde_json::Value = serde_json::from_str(&text).ok()?;
        value["task-clock"].as_u64()
    };
    let (Some(of_idle), Some(of_busy)) = (count(&idle), count(&busy)) else {
        return skipped("perf", "this kernel counts no events for this caller");
    };
    assert_eq!(of_idle, 0);
    assert!(of_busy > 20_000_000, "{of_busy} ns in a second on a processor");
}

#[test]
fn net_cls_marks_packets_that_a_rule_counts() {
    let layout = Layout::read().unwrap();
    // Somebody else may have it together with net_prio, out of sight of this mount namespace.
    let mounts: &[_] = match layout.serving(Controller::NetCls) {
        Some(_) => &[None],
        None => &[Some("net_cls"), Some("net_cls,net_prio")],
    };
    let limits = ["net_cls.classid=10:1"];
    let made = mounts.iter().find_map(|&mount| Some((mount, Group::mounted("netcls", mount, &limits)?)));
    let Some((mount, group)) = made else { return };
    for program in ["nft", "ping"] {
        let asked = Command::new(program).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !asked.is_ok_and(|status| status.success()) {
            return skipped("netcls", &format!("`{program} -V` does not work here"));
        }
    }
    let mounted = mount.map(|mount| format!("--mount {mount}")).unwrap_or_default();
    // In a network namespace of its own: three packets from inside of the group, two from outside.
    let script = format!(
        "ip link set lo up && nft add table ip t && \
         nft 'add chain ip t out {{ type filter hook output priority 0; }}' && \
         nft add rule ip t out icmp type echo-request meta cgroup 0x100001 counter && \
         nft add rule ip t out icmp type echo-request counter && \
         \"$HOLM\" cgroup exec {mounted} {} -- ping -q -c 3 -i 0.1 127.0.0.1 >&2 && \
         ping -q -c 2 -i 0.1 127.0.0.1 >&2 && \
         nft list chain ip t out",
        group.name
    );
    let output = Command::new("unshare")
        .args(["--net", "sh", "-c", &script])
        .env("HOLM", env!("CARGO_BIN_EXE_holm"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let counts: Vec<&str> =
        text.lines().filter_map(|line| line.split("packets ").nth(1)?.split(' ').next()).collect();
    if counts.is_empty() {
        return skipped(
            "netcls",
            &format!("the rules cannot be made: {}", String::from_utf8_lossy(&output.stderr)),
        );
    }
    assert_eq!(counts, ["3", "5"], "{text}");
}

#[test]
fn a_hierarchy_mounted_for_one_command_is_seen_by_no_other() {
    let layout = Layout::read().unwrap();
    if layout.serving(Controller::NetPrio).is_some() {
        return skipped("private", "net_prio is mounted on this host");
    }
    let Some(group) = Group::mounted("private", Some("net_prio"), &["net_prio=lo:3"]) else { return };
    let get = |args: &[&str]| done(args);
    assert_eq!(get(&["get", "--mount", "net_prio", &group.name, "net_prio"]), "lo:3\n");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains("net_prio"), "{mounts}");
    let told = refused(&["set", &group.name, "net_prio=lo:4"]);
    assert!(told.contains("net_prio: this host has no net_prio controller"), "{told}");
}

#[test]
fn top_and_watch_show_a_busy_group() {
    let Some(group) = Group::new("top", &["cpu.weight=1000"]) else { return };
    let _busy = group.run("while :; do :; done");
    wait_until("it runs", || cpu_ns(&group.name) > 10_000_000);
    let percent = |line: &str| line.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
    measured("top shows it", || {
        let text = done(&["top", "--batch", "--delay", "0.5"]);
        let line = text.lines().find(|line| line.ends_with(&format!("/{}", group.name)));
        let line = line.ok_or("it is not in the table")?;
        percent(line).filter(|&percent| percent > 1.0).map(drop).ok_or(format!("{line:?}"))
    });
    let text = done(&["stat", &group.name, "--watch=0.3", "--count", "2"]);
    assert_eq!(text.lines().count(), 3, "{text}");
    let list = done(&["list"]);
    assert!(list.lines().any(|line| line.trim_start().starts_with(&group.name)), "{list}");
    std::thread::sleep(Duration::from_millis(10));
}

//! Containers that are changed, and what comes back after a boot.

use std::path::PathBuf;

use super::house::{House, kill_nine, lives, soon};
use super::monitor::groups;

/// What the first of these files says that one of a container's groups has.
fn kernel(id: &str, names: &[&str]) -> Option<String> {
    let files = groups(id).into_iter().flat_map(|group| names.iter().map(move |name| group.join(name)));
    files
        .collect::<Vec<PathBuf>>()
        .iter()
        .find_map(|file| std::fs::read_to_string(file).ok())
        .map(|text| text.trim().to_owned())
}

#[test]
fn every_limit_of_a_container_that_runs_is_changed_at_once() {
    const TEST: &str = "every_limit_of_a_container_that_runs_is_changed_at_once";
    let Some(house) = House::new(TEST) else { return };
    let id = house.run("c", &["--memory", "64m", "--memory-swap", "64m"], "exec sleep 1000");
    if groups(&id).is_empty() {
        eprintln!("SKIPPED {TEST}: containers have no control groups here");
        return;
    }
    let pid = house.field("c", "{{.State.Pid}}");
    let mut looked = 0;
    for (flags, files, expected) in [
        (
            &["--memory", "96m", "--memory-swap", "128m"][..],
            &["memory.limit_in_bytes", "memory.max"][..],
            &["100663296"][..],
        ),
        (
            &["--memory", "80m", "--memory-swap", "80m"],
            &["memory.limit_in_bytes", "memory.max"],
            &["83886080"],
        ),
        (&["--memory-reservation", "32m"], &["memory.soft_limit_in_bytes", "memory.low"], &["33554432"]),
        (&["--cpus", "0.5"], &["cpu.cfs_quota_us", "cpu.max"], &["50000", "50000 100000"]),
        (&["--cpu-shares", "512"], &["cpu.shares", "cpu.weight"], &["512", "20", "59"]),
        (&["--cpuset-cpus", "0"], &["cpuset.cpus"], &["0"]),
        (&["--cpuset-mems", "0"], &["cpuset.mems"], &["0"]),
        (&["--pids-limit", "77"], &["pids.max"], &["77"]),
        (&["--pids-limit", "-1"], &["pids.max"], &["max"]),
        (
            &["--blkio-weight", "300"],
            &["blkio.weight", "blkio.bfq.weight", "io.weight", "io.bfq.weight"],
            &["300", "default 300", "default 2930"],
        ),
    ] {
        if kernel(&id, files).is_none() {
            eprintln!("{TEST}: this host has none of {files:?}");
            continue;
        }
        let args = [&["update"], flags, &["c"]].concat();
        assert_eq!(house.prints(&args), "c");
        let now = kernel(&id, files).unwrap_or_default();
        assert!(expected.contains(&now.as_str()), "{flags:?}: {now}");
        looked += 1;
    }
    assert!(looked > 0, "no limit could be looked at");
    assert_eq!(house.field("c", "{{.State.Pid}}"), pid, "it is the same process all the time");
    assert_eq!(house.field("c", "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}"), "83886080 500000000");
    // They are the container's from now on.
    house.prints(&["restart", "-t", "0", "c"]);
    assert_eq!(kernel(&id, &["memory.limit_in_bytes", "memory.max"]).as_deref(), Some("83886080"));
    house.prints(&["update", "--restart", "on-failure:4", "--stop-timeout", "1", "c"]);
    let form = "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}} {{.Config.StopTimeout}}";
    assert_eq!(house.field("c", form), "on-failure 4 1");
    assert!(house.fails(&["update", "-e", "A=1", "c"], 125).contains("while it runs"));
    assert!(house.fails(&["update", "c"], 125).contains("nothing to change"));
    house.fails(&["update", "--memory", "1", "c"], 125);
    house.prints(&["rm", "-f", "c"]);
    house.is_empty();
}

/// A disk of this machine, and its number: rates can be had for whole ones only.
fn disk() -> Option<(String, String)> {
    let mut names: Vec<String> = std::fs::read_dir("/sys/block")
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| std::fs::metadata(format!("/dev/{name}")).is_ok())
        .collect();
    names.sort_by_key(|name| (name.starts_with("loop"), name.clone()));
    let name = names.first()?;
    let number = std::fs::read_to_string(format!("/sys/block/{name}/dev")).ok()?;
    Some((format!("/dev/{name}"), number.trim().to_owned()))
}

#[test]
fn rates_of_a_device_change_while_the_container_runs() {
    const TEST: &str = "rates_of_a_device_change_while_the_container_runs";
    let Some(house) = House::new(TEST) else { return };
    let Some((device, number)) = disk() else {
        eprintln!("SKIPPED {TEST}: there is no block device");
        return;
    };
    let id = house.run("c", &[], "exec sleep 1000");
    if kernel(&id, &["blkio.throttle.read_bps_device", "io.max"]).is_none() {
        eprintln!("SKIPPED {TEST}: the kernel bounds no rates of devices here");
        return;
    }
    let pid = house.field("c", "{{.State.Pid}}");
    for (flag, rate, v1, v2) in [
        ("--device-read-bps", "1mb", ("read_bps", "1048576"), "rbps=1048576"),
        ("--device-write-bps", "2mb", ("write_bps", "2097152"), "wbps=2097152"),
        ("--device-read-iops", "30", ("read_iops", "30"), "riops=30"),
        ("--device-write-iops", "40", ("write_iops", "40"), "wiops=40"),
        ("--device-read-bps", "3mb", ("read_bps", "3145728"), "rbps=3145728"),
    ] {
        assert_eq!(house.prints(&["update", flag, &format!("{device}:{rate}"), "c"]), "c");
        match kernel(&id, &["io.max"]) {
            Some(all) => {
                let line = all.lines().find(|line| line.starts_with(&number)).unwrap_or_default();
                assert!(line.split(' ').any(|word| word == v2), "{flag} {rate}: {all}");
            }
            None => {
                let file = format!("blkio.throttle.{}_device", v1.0);
                let now = kernel(&id, &[&file]).unwrap_or_default();
                assert_eq!(now, format!("{number} {}", v1.1), "{flag} {rate}");
            }
        }
    }
    // None of them has taken the place of another.
    let all = ["read_bps", "write_bps", "read_iops", "write_iops"].map(|name| {
        let file = format!("blkio.throttle.{name}_device");
        kernel(&id, &["io.max", &file]).unwrap_or_default().replace("=max", "").replace("default", "")
    });
    assert!(all.iter().all(|text| text.contains(&number) && text.contains(char::is_numeric)), "{all:?}");
    assert_eq!(house.field("c", "{{.State.Pid}}"), pid, "it is the same process all the time");
    let unknown = house.fails(&["update", "--device-read-bps", "/dev/null:1mb", "c"], 125);
    assert!(unknown.contains("/dev/null"), "{unknown}");
    house.prints(&["rm", "-f", "c"]);
    house.is_empty();
}

#[test]
fn a_stop_takes_no_longer_than_the_container_says() {
    let Some(house) = House::new("a_stop_takes_no_longer_than_the_container_says") else { return };
    house.run(
        "deaf",
        &["--stop-timeout", "1", "--stop-signal", "USR1"],
        "trap '' USR1; echo ready; while :; do sleep 0.02; done",
    );
    soon("it is ready", || house.prints(&["logs", "deaf"]) == "ready");
    let begin = std::time::Instant::now();
    house.prints(&["stop", "deaf"]);
    let took = begin.elapsed();
    assert!(
        took >= std::time::Duration::from_secs(1) && took < std::time::Duration::from_secs(9),
        "{took:?}"
    );
    assert_eq!(house.field("deaf", "{{.State.ExitCode}}"), "137");
    house.prints(&["rm", "deaf"]);
    house.is_empty();
}

#[test]
fn after_a_boot_what_is_to_run_runs_again() {
    let Some(house) = House::new("after_a_boot_what_is_to_run_runs_again") else { return };
    let script = "echo begun; exec sleep 1000";
    let ids: Vec<String> = [
        ("always", &["--restart", "always"][..]),
        ("stopped-always", &["--restart", "always"]),
        ("unless", &["--restart", "unless-stopped"]),
        ("stopped-unless", &["--restart", "unless-stopped"]),
        ("failed", &["--restart", "on-failure"]),
        ("never", &[]),
        ("passing", &["--rm"]),
    ]
    .into_iter()
    .map(|(name, flags)| house.run(name, flags, script))
    .collect();
    house.prints(&["stop", "-t", "0", "stopped-always", "stopped-unless"]);
    house.prints(&["create", "--restart", "always", "--rootfs", "/", "--name", "fresh", "--", "true"]);
    // As when the machine loses its power: everything that ran is gone, and what was in memory.
    for id in &ids {
        let Some(monitor) = house.monitor(id) else { continue };
        let pid: u32 = house.field(id, "{{.State.Pid}}").parse().unwrap();
        for one in [monitor, pid] {
            kill_nine(one);
            soon("it is gone", || !lives(one));
        }
    }
    std::fs::remove_dir_all(house.base.join("run")).unwrap();
    for group in ids.iter().flat_map(|id| groups(id)) {
        soon("its group is gone", || std::fs::remove_dir(&group).is_ok() || !group.exists());
    }
    let names = |args: &[&str]| {
        let text = house.prints(&[&["ps", "--format", "{{.Names}}"], args].concat());
        let mut names: Vec<String> = text.lines().map(str::to_owned).collect();
        names.sort();
        names
    };
    assert_eq!(names(&[]), [""; 0]);
    let mut restored: Vec<String> = house.prints(&["system", "restore"]).lines().map(str::to_owned).collect();
    restored.sort();
    assert_eq!(restored, ["always", "failed", "stopped-always", "unless"]);
    assert_eq!(names(&[]), restored);
    assert_eq!(
        names(&["-a"]),
        ["always", "failed", "fresh", "never", "stopped-always", "stopped-unless", "unless"]
    );
    assert_eq!(house.prints(&["system", "restore"]), "", "once is enough");
    soon("it writes again", || house.prints(&["logs", "always"]) == "begun\nbegun");
    assert_eq!(
        house.field("always", "{{.State.Status}} {{.State.MonitorRunning}} {{.RestartCount}}"),
        "running true 0"
    );
    house.prints(&["rm", "-f", "--all"]);
    house.is_empty();
}

//! kill -9 of everything at any moment.

use std::time::Duration;

use super::house::{House, exists, kill_nine, lives, soon};

/// Numbers that look random and are the same each time.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

#[test]
fn a_container_outlives_its_monitor_and_is_told_the_truth_of() {
    let Some(house) = House::new("a_container_outlives_its_monitor_and_is_told_the_truth_of") else { return };
    let id = house.run("m", &[], "i=0; while :; do echo $i; i=$((i + 1)); sleep 0.01; done");
    let pid: u32 = house.field("m", "{{.State.Pid}}").parse().unwrap();
    // The supervisor has told that it runs, and becomes the monitor now.
    soon("there is a monitor", || house.monitor(&id).is_some());
    let monitor = house.monitor(&id).unwrap();
    kill_nine(monitor);
    soon("the monitor is gone", || !lives(monitor));
    std::thread::sleep(Duration::from_millis(100));
    assert!(lives(pid), "the container goes on");
    assert_eq!(house.field("m", "{{.State.Status}} {{.State.MonitorRunning}}"), "running false");
    assert_eq!(house.prints(&["exec", "m", "echo", "still"]), "still");
    house.prints(&["stop", "m"]);
    assert_eq!(house.field("m", "{{.State.Status}}"), "exited");
    house.prints(&["start", "m"]);
    assert_eq!(house.field("m", "{{.State.Status}} {{.State.MonitorRunning}}"), "running true");
    house.prints(&["rm", "-f", "m"]);
    house.is_empty();
}

#[test]
fn whatever_is_killed_while_a_container_is_started_it_can_be_removed() {
    let Some(house) = House::new("whatever_is_killed_while_a_container_is_started_it_can_be_removed") else {
        return;
    };
    let mut dice = Dice(42);
    for round in 0..30 {
        let name = format!("k{round}");
        let mut child = house
            .command(&["run", "-d", "--rootfs", "/", "--name", &name, "--", "sleep", "100"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(dice.below(15_000)));
        if dice.below(2) == 0 {
            let _ = child.kill();
        }
        // The supervisor, wherever it is.
        for pid in ours(&house) {
            if dice.below(2) == 0 {
                kill_nine(pid);
            }
        }
        let _ = child.wait();
        let _ = house.holm(&["rm", "-f", &name]);
        // The name is free, whatever became of the first.
        house.prints(&["create", "--rootfs", "/", "--name", &name, "--", "true"]);
        house.prints(&["rm", "-f", &name]);
    }
    house.prints(&["rm", "-f", "--all"]);
    // What has no definition goes with the next run.
    house.prints(&["run", "--rootfs", "/", "--", "true"]);
    for _ in 0..12 {
        house.prints(&["run", "--rootfs", "/", "--", "true"]);
    }
    house.is_empty();
}

/// Programs of ours that have this house in their environment.
fn ours(house: &House) -> Vec<u32> {
    let base = house.base.display().to_string();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let env = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            String::from_utf8_lossy(&env).contains(&base)
                && String::from_utf8_lossy(&line).contains("--supervise")
        })
        .collect()
}

#[test]
fn a_killed_monitor_of_one_that_goes_with_its_end_leaves_it_to_the_next() {
    let Some(house) = House::new("a_killed_monitor_of_one_that_goes_with_its_end_leaves_it_to_the_next")
    else {
        return;
    };
    let id = house.run("gone", &["--rm"], "exec sleep 1000");
    let pid: u32 = house.field("gone", "{{.State.Pid}}").parse().unwrap();
    // The supervisor has told that it runs, and becomes the monitor now.
    soon("there is a monitor", || house.monitor(&id).is_some());
    kill_nine(house.monitor(&id).unwrap());
    kill_nine(pid);
    soon("it has ended", || house.prints(&["ps", "-q"]).is_empty());
    assert!(exists(&house.base.join("run/containers").join(&id)));
    house.prints(&["run", "--rootfs", "/", "--", "true"]);
    house.is_empty();
}

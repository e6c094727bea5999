//! A monitor that is killed at any moment of its container's life: nothing that was reached is lost, and everything is taken back.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::crash::Dice;
use super::house::{House, kill_nine, lives, soon};

/// Kills the container's monitor as soon as there is one, if it comes so far; what follows a monitor's container under its number too.
fn kill_monitor(house: &House, id: &str) {
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        if let Some(monitor) = house.monitor(id) {
            kill_nine(monitor);
            soon("the monitor is gone", || !lives(monitor));
            return;
        }
        let status = house.holm(&["inspect", "--format", "{{.State.Status}}", id]);
        if !status.status.success() || String::from_utf8_lossy(&status.stdout).starts_with("exited") {
            return;
        }
    }
}

/// The groups that are called after a container, in every hierarchy.
pub(crate) fn groups(id: &str) -> Vec<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points =
        mounts.lines().filter(|line| line.contains(" - cgroup")).filter_map(|line| line.split(' ').nth(4));
    let named = points.map(|point| PathBuf::from(point).join(format!("holm-{id}")));
    named.filter(|path| path.exists()).collect()
}

#[test]
fn whenever_a_monitor_is_killed_its_container_is_told_of_truly_and_mended() {
    let test = "whenever_a_monitor_is_killed_its_container_is_told_of_truly_and_mended";
    let Some(house) = House::new(test) else { return };
    let mut dice = Dice(7);
    for round in 0..14 {
        let name = format!("k{round}");
        let length = dice.below(60);
        let id = house.run(&name, &[], &format!("echo begun; sleep 0.0{length:02}; echo ended; exit 7"));
        std::thread::sleep(Duration::from_millis(dice.below(70)));
        kill_monitor(&house, &id);
        soon("it has ended", || house.field(&name, "{{.State.Status}}") == "exited");
        // Its status is the true one, or it is said that nobody saw it.
        let status = house.field(&name, "{{.State.ExitCode}}");
        let told = house.field(&name, "{{.State.Error}}");
        assert!(status == "7" || (status == "255" && told.contains("nobody saw its end")), "{status} {told}");
        match dice.below(3) {
            0 => drop(house.prints(&["system", "check"])),
            1 => {
                house.prints(&["start", &name]);
                soon("it has ended again", || house.field(&name, "{{.State.Status}}") == "exited");
                assert_eq!(house.field(&name, "{{.State.ExitCode}}"), "7");
            }
            _ => {}
        }
        house.prints(&["rm", &name]);
        assert_eq!(groups(&id), Vec::<PathBuf>::new(), "round {round}");
    }
    house.is_empty();
}

#[test]
fn a_second_monitor_takes_over_and_tells_the_end() {
    let Some(house) = House::new("a_second_monitor_takes_over_and_tells_the_end") else { return };
    let id = house.run("m", &[], "while [ ! -e /tmp/end ]; do echo on; sleep 0.02; done; exit 9");
    soon("there is a monitor", || house.monitor(&id).is_some());
    for _ in 0..3 {
        kill_monitor(&house, &id);
        soon("nobody watches", || house.field("m", "{{.State.MonitorRunning}}") == "false");
        let said = house.prints(&["system", "check"]);
        assert!(said.contains("it has a monitor again"), "{said}");
        soon("somebody watches", || house.field("m", "{{.State.MonitorRunning}}") == "true");
    }
    let lines = house.prints(&["logs", "m"]).lines().count();
    soon("its lines are logged", || house.prints(&["logs", "m"]).lines().count() > lines + 2);
    house.prints(&["exec", "m", "touch", "/tmp/end"]);
    // Its status comes from the kernel where that tells it to whoever is not the parent (Linux 6.15).
    let status = house.prints(&["wait", "m"]);
    assert!(status == "9" || status == "255", "{status}");
    house.prints(&["rm", "m"]);
    assert_eq!(groups(&id), Vec::<PathBuf>::new());
    house.is_empty();
}

#[test]
fn the_range_of_ids_of_a_container_without_a_monitor_is_nobody_elses() {
    let test = "the_range_of_ids_of_a_container_without_a_monitor_is_nobody_elses";
    let Some(house) = House::new(test) else { return };
    let id = house.run("m", &[], "exec sleep 1000");
    soon("there is a monitor", || house.monitor(&id).is_some());
    let pid = house.field("m", "{{.State.Pid}}");
    let map = std::fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap();
    let own = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    if map.split_whitespace().eq(own.split_whitespace()) {
        return eprintln!("SKIPPED {test}: containers have the host's ids here");
    }
    let notes: Vec<_> = std::fs::read_dir(house.base.join("run/ids.of")).unwrap().flatten().collect();
    assert_eq!(notes.len(), 1);
    let noted = std::fs::read_to_string(notes[0].path()).unwrap();
    assert_eq!(noted.split_whitespace().next(), Some(pid.as_str()));
    kill_monitor(&house, &id);
    // Somebody takes the one range there is: all others are locked by this test.
    let slot: u64 = notes[0].file_name().to_str().unwrap().parse().unwrap();
    let file = std::fs::File::options().write(true).open(house.base.join("run/ids")).unwrap();
    assert!(sys::lock::try_lock_byte(&file, slot as u32).unwrap(), "the lock went with the monitor");
    drop(file);
    house.prints(&["system", "check"]);
    let file = std::fs::File::options().write(true).open(house.base.join("run/ids")).unwrap();
    assert!(!sys::lock::try_lock_byte(&file, slot as u32).unwrap(), "the second monitor has it");
    house.prints(&["rm", "-f", "m"]);
    house.is_empty();
}

//! Health, and limits of memory.

use super::house::{House, soon};

#[test]
fn health_is_asked_for_and_acted_on() {
    let Some(house) = House::new("health_is_asked_for_and_acted_on") else { return };
    let flags = [
        "--health-cmd",
        "echo fine; test -e /dev/shm/good",
        "--health-interval",
        "100ms",
        "--health-retries",
        "2",
    ];
    house.run("h", &flags, "touch /dev/shm/good; exec sleep 100");
    soon("it is healthy", || house.field("h", "{{.State.Health.Status}}") == "healthy");
    assert!(house.prints(&["ps"]).contains("(healthy)"));
    assert!(house.field("h", "{{json .State.Health.Log}}").contains("fine"));
    house.prints(&["exec", "h", "rm", "/dev/shm/good"]);
    soon("it is unhealthy", || house.field("h", "{{.State.Health.Status}}") == "unhealthy");
    assert_eq!(house.prints(&["ps", "-q", "--filter", "health=unhealthy"]).len(), 12);
    let flags = ["--health-cmd", "false", "--health-interval", "50ms", "--health-retries", "1"];
    house.run("k", &[&flags[..], &["--health-on-failure", "kill"]].concat(), "exec sleep 100");
    soon("it was killed", || house.field("k", "{{.State.Status}} {{.State.ExitCode}}") == "exited 137");
    house.run("r", &[&flags[..], &["--health-on-failure", "restart"]].concat(), "echo begun; exec sleep 100");
    soon("it was started again", || house.prints(&["logs", "r"]).lines().count() >= 2);
    house.run("s", &[&flags[..], &["--health-on-failure", "stop"]].concat(), "exec sleep 100");
    soon("it was stopped", || house.field("s", "{{.State.Status}}") == "exited");
}

#[test]
fn a_check_that_takes_too_long_is_ended() {
    let Some(house) = House::new("a_check_that_takes_too_long_is_ended") else { return };
    let flags = [
        "--health-cmd",
        "sleep 50",
        "--health-interval",
        "50ms",
        "--health-timeout",
        "200ms",
        "--health-retries",
        "1",
    ];
    house.run("slow", &flags, "exec sleep 100");
    soon("it is unhealthy", || house.field("slow", "{{.State.Health.Status}}") == "unhealthy");
    assert!(house.field("slow", "{{json .State.Health.Log}}").contains("took longer"));
    house.prints(&["rm", "-f", "slow"]);
    house.is_empty();
}

#[test]
fn a_container_that_ran_out_of_memory_says_so() {
    let Some(house) = House::new("a_container_that_ran_out_of_memory_says_so") else { return };
    house.run("oom", &["--memory", "16m", "--memory-swap", "16m"], "tail /dev/zero; exit 9");
    house.prints(&["wait", "oom"]);
    // The shell outlives its child where that alone is killed.
    let told = house.field("oom", "{{.State.ExitCode}} {{.State.OOMKilled}}");
    assert!(told == "9 false" || told == "137 true", "{told}");
    house.prints(&["rm", "oom"]);
    let args = [
        "run",
        "-d",
        "--rootfs",
        "/",
        "--name",
        "all",
        "--memory",
        "16m",
        "--memory-swap",
        "16m",
        "--",
        "tail",
        "/dev/zero",
    ];
    house.prints(&args);
    house.prints(&["wait", "all"]);
    assert_eq!(house.field("all", "{{.State.ExitCode}} {{.State.OOMKilled}}"), "137 true");
}

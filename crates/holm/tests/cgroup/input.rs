//! Input that is wrong gets one clear line and changes nothing.

use crate::room::*;

#[test]
fn a_wrong_request_is_refused_and_makes_nothing() {
    let name = format!("nscg-{}-wrong", std::process::id());
    for (args, part) in [
        (&["create", "../x"][..], "`.` and `..` are not allowed"),
        (&["create", "tasks"], "cgroupfs has a file of that name"),
        (&["create", &name, "memory.max=many"], "memory.max"),
        (&["create", &name, "fly=1"], "this is not a limit"),
        (&["create", &name, "devices=+/dev/nothing"], "there is no such device"),
        (&["create", &name, "io.max=/dev/null:rbps=1M"], "is not a block device"),
        (&["create", &name, "--delegate", "no-such-user"], "there is no user"),
        (&["create", &name, "--mount", "speed"], "name controllers"),
        (&["delete", &name], "there is no cgroup"),
        (&["stat", &name], "there is no cgroup"),
        (&["exec", &name, "--", "true"], "there is no cgroup"),
        (&["kill", "/"], "a name is needed"),
        (&["stat", "/", "--watch=never"], "number of seconds"),
        (&["events", "/", "--until", "doomsday"], "the events are"),
    ] {
        let told = refused(args);
        assert!(told.contains(part), "{args:?}: {told}");
    }
    assert!(refused(&["stat", &name]).contains("there is no cgroup"));
}

#[test]
fn a_group_that_exists_is_not_made_again_and_one_in_use_not_removed() {
    let Some(group) = Group::new("twice", &["pids.max=9"]) else { return };
    assert!(refused(&["create", &group.name, "pids.max=5"]).contains("make cgroup"));
    assert_eq!(done(&["get", &group.name, "pids.max"]), "9\n");
    let _inside = group.run("sleep 60");
    wait_until("it runs", || group.stat("pids", "current") > 0);
    assert!(refused(&["delete", &group.name]).contains("has processes"));
    assert_eq!(group.stat("pids", "max"), 9);
    group.child("below", &[]);
    assert!(refused(&["delete", "--kill", &group.name]).contains("has groups below it"));
}

#[test]
fn what_the_kernel_refuses_leaves_the_limits_before_it() {
    let Some(group) = Group::new("rollback", &["cpu.weight=200", "cpuset.cpus=0"]) else { return };
    let told = refused(&["set", &group.name, "cpu.weight=50", "cpuset.cpus=4000"]);
    assert!(told.contains("cpuset.cpus"), "{told}");
    assert_eq!(done(&["get", &group.name, "cpu.weight"]), "200\n");
    assert_eq!(done(&["get", &group.name, "cpuset.cpus"]), "0\n");
}

#[test]
fn a_program_that_is_not_there_is_told_as_a_shell_tells_it() {
    let Some(group) = Group::new("missing", &[]) else { return };
    let output = holm(&["exec", &group.name, "--", "/no/such/program"]);
    assert_eq!(output.status.code(), Some(127));
    let output = holm(&["exec", &group.name, "--", "/"]);
    assert_eq!(output.status.code(), Some(126));
    let output = holm(&["exec", &group.name, "--", "sh", "-c", "exit 3"]);
    assert_eq!(output.status.code(), Some(3));
}

//! Network namespaces and their names, made by one program and looked at by the other.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

use crate::host::{self, Host, Tool};

/// A child that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for what is to come true, half a minute at most.
#[track_caller]
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(30), "{what}: this does not come true");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A program that sleeps in a namespace, once it is there.
fn sleeper(host: &Host, namespace: &str) -> Running {
    let own = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    let child = host.command(Tool::Holm, &format!("netns exec {namespace} sleep 1000")).spawn().unwrap();
    let running = Running(child);
    let link = format!("/proc/{}/ns/net", running.0.id());
    wait_until("the program is in its namespace", || {
        std::fs::read_link(&link).is_ok_and(|found| found != own)
    });
    running
}

#[test]
fn each_program_sees_the_namespaces_of_the_other() {
    let Some(host) = Host::new("each_program_sees_the_namespaces_of_the_other") else { return };
    host.must(Tool::Holm, "netns add ours");
    host.must(Tool::Iproute, "netns add theirs");
    let list = |tool| host::text(&host.must(tool, "netns list").stdout);
    assert_eq!(list(Tool::Iproute), list(Tool::Holm));
    host.must(Tool::Iproute, "netns exec ours ip link set lo up");
    host.must(Tool::Holm, "-n theirs link set lo up");
    assert!(host::text(&host.must(Tool::Iproute, "-n theirs link").stdout).contains("LOOPBACK,UP"));
    host.must(Tool::Iproute, "netns delete ours");
    host.must(Tool::Holm, "netns delete theirs");
    assert_eq!(list(Tool::Holm), "");
}

#[test]
fn a_program_in_a_namespace_has_its_sys_and_its_files() {
    let Some(host) = Host::new("a_program_in_a_namespace_has_its_sys_and_its_files") else { return };
    host.must(Tool::Holm, "netns add blue");
    host.must(Tool::Holm, "-n blue link add inner type bridge");
    let look = |tool| host::text(&host.must(tool, "netns exec blue ls /sys/class/net").stdout);
    assert_eq!(look(Tool::Holm), look(Tool::Iproute));
    assert!(look(Tool::Holm).contains("inner"));
    let all = |tool| host::text(&host.must(tool, "-all netns exec cat /proc/sys/net/ipv4/ip_forward").stdout);
    assert_eq!(all(Tool::Holm), all(Tool::Iproute));
    assert_eq!(host.run(Tool::Holm, "netns exec blue sh -c exit\\ 7").status.code(), Some(7));
    // Nothing of it is left outside.
    let outside = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    assert!(!outside.contains(" - sysfs blue "));
}

#[test]
fn a_process_is_found_by_the_name_of_its_namespace_and_the_other_way_round() {
    let Some(host) = Host::new("a_process_is_found_by_the_name_of_its_namespace_and_the_other_way_round")
    else {
        return;
    };
    host.must(Tool::Holm, "netns add blue");
    host.must(Tool::Holm, "netns add red");
    let inside = sleeper(&host, "blue");
    let pid = inside.0.id();
    for tool in [Tool::Iproute, Tool::Holm] {
        let says = |line: &str| host::text(&host.must(tool, line).stdout);
        assert_eq!(says("netns pids blue"), format!("{pid}\n"), "{tool:?}");
        assert_eq!(says("netns pids red"), "", "{tool:?}");
        assert_eq!(says(&format!("netns identify {pid}")), "blue\n", "{tool:?}");
        assert_eq!(says(&format!("netns identify {}", std::process::id())), "\n", "{tool:?}");
        assert_eq!(says("netns exec red sh -c 'exec true'"), "", "{tool:?}");
    }
}

#[test]
fn the_namespace_of_a_process_gets_a_name_and_lives_as_long_as_either() {
    let Some(host) = Host::new("the_namespace_of_a_process_gets_a_name_and_lives_as_long_as_either") else {
        return;
    };
    host.must(Tool::Holm, "netns add blue");
    host.must(Tool::Holm, "-n blue link add inner type bridge");
    let inside = sleeper(&host, "blue");
    host.must(Tool::Holm, &format!("netns attach green {}", inside.0.id()));
    host.must(Tool::Holm, "netns delete blue");
    let link = |tool| host::text(&host.must(tool, "-n green -br link show inner").stdout);
    assert!(link(Tool::Holm).starts_with("inner "));
    drop(inside);
    assert_eq!(link(Tool::Iproute), link(Tool::Holm), "the name alone holds it");
    // The id by which the namespace is known here.
    host.must(Tool::Holm, "netns set green 41");
    let list = |tool| host::text(&host.must(tool, "netns list").stdout);
    assert_eq!(
        (list(Tool::Iproute), list(Tool::Holm)),
        ("green (id: 41)\n".to_owned(), "green (id: 41)\n".to_owned())
    );
    let refused = host.run(Tool::Holm, "netns set green 42");
    assert_eq!(refused.status.code(), Some(2), "it has one already");
    host.must(Tool::Iproute, "netns delete green");
}

#[test]
fn a_link_goes_to_the_namespace_of_a_process_and_comes_back() {
    let Some(host) = Host::new("a_link_goes_to_the_namespace_of_a_process_and_comes_back") else { return };
    host.must(Tool::Holm, "netns add blue");
    let inside = sleeper(&host, "blue");
    host.must(Tool::Holm, "link add v0 type veth peer name v1");
    host.must(Tool::Holm, &format!("link set v1 netns {}", inside.0.id()));
    assert_eq!(host.run(Tool::Holm, "link show v1").status.code(), Some(1));
    let shown = |tool| host::text(&host.must(tool, "-n blue link show v1").stdout);
    assert_eq!(shown(Tool::Iproute), shown(Tool::Holm));
    let here = Running(Command::new("sleep").arg("1000").spawn().unwrap());
    host.must(Tool::Holm, &format!("-n blue link set v1 netns {} name back", here.0.id()));
    host.must(Tool::Iproute, "link show back");
    let missing = host.run(Tool::Holm, "link set v0 netns 4194303");
    assert_eq!(missing.status.code(), Some(2));
    let words = host::text(&missing.stderr);
    assert!(words.starts_with("error: cannot change link `v0`"), "{words}");
}

/// What a monitor prints, line by line.
fn monitor(host: &Host, tool: Tool) -> (Running, Receiver<String>) {
    // On a terminal, since iproute2 keeps what it prints to a pipe to itself until it ends.
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let outer = openpt(flags).unwrap();
    grantpt(&outer).unwrap();
    unlockpt(&outer).unwrap();
    let inner = ioctl_tiocgptpeer(&outer, flags).unwrap();
    let child = host.command(tool, "netns monitor").stdout(Stdio::from(inner)).spawn().unwrap();
    let lines = BufReader::new(File::from(outer)).lines();
    let (sender, receiver) = channel();
    // Ends with the monitor.
    std::thread::spawn(move || {
        lines.map_while(Result::ok).try_for_each(|line| sender.send(line.trim_end().to_owned()))
    });
    (Running(child), receiver)
}

#[test]
fn names_that_come_and_go_are_told_by_both_programs_alike() {
    let Some(host) = Host::new("names_that_come_and_go_are_told_by_both_programs_alike") else { return };
    host.must(Tool::Holm, "netns add first");
    let monitors = [Tool::Holm, Tool::Iproute].map(|tool| monitor(&host, tool));
    let wait = Duration::from_secs(30);
    // A monitor that has just begun tells nothing of what was before; each is given names until it tells of one.
    for (_, told) in &monitors {
        let started = Instant::now();
        while told.try_recv().is_err() {
            assert!(started.elapsed() < wait, "the monitor tells nothing");
            host.must(Tool::Holm, "netns add probe");
            host.must(Tool::Holm, "netns delete probe");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    host.must(Tool::Holm, "netns add blue");
    host.must(Tool::Iproute, "netns add red");
    host.must(Tool::Holm, "netns delete red");
    host.must(Tool::Iproute, "netns delete blue");
    for (_, told) in &monitors {
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line| line != "delete blue") {
            lines.push(told.recv_timeout(wait).expect("the monitor goes on"));
        }
        lines.retain(|line| !line.ends_with(" probe"));
        assert_eq!(lines, ["add blue", "add red", "delete red", "delete blue"]);
    }
    assert!(Path::new("/run/netns/first").exists());
}

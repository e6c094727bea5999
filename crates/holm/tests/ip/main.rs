//! `holm ip` beside iproute2: the same words have to print the same bytes, leave the same things in the kernel, and end
//! with the same status. Each test has a host of its own, made of a network and a mount namespace.

mod host;
mod session;

use std::process::Output;

use host::{Host, Tool};

const ZOO: &str = include_str!("zoo.txt");
const SHOWS: &str = include_str!("shows.txt");
const CHANGES: &str = include_str!("changes.txt");

/// A host with links, addresses and routes of every sort that this kernel has.
fn zoo(test: &str) -> Option<Host> {
    let host = Host::new(test)?;
    for line in ZOO.lines() {
        let output = host.run(Tool::Iproute, line);
        if !output.status.success() {
            eprintln!("SKIPPED {test}: `ip {line}`: {}", host::text(&output.stderr).trim());
        }
    }
    host::wait_for_duplicates();
    Some(host)
}

/// What differs from one look to the next: timers.
fn settled(output: &Output) -> String {
    let text = host::text(&output.stdout);
    host::replace_after(&text, "_timer", |rest| {
        rest.find(|next: char| !matches!(next, ' ' | '"' | ':' | '.' | '0'..='9')).unwrap_or(rest.len())
    })
}

#[test]
fn what_is_shown_is_what_iproute2_shows_to_the_byte() {
    let Some(host) = zoo("what_is_shown_is_what_iproute2_shows_to_the_byte") else { return };
    let mut wrong = String::new();
    for line in SHOWS.lines() {
        // Counters and states may change between the two looks.
        let mut differs = None;
        for _ in 0..6 {
            let (theirs, ours) = (host.run(Tool::Iproute, line), host.run(Tool::Holm, line));
            let (left, right) = (settled(&theirs), settled(&ours));
            differs = (left != right || theirs.status.code() != ours.status.code()).then(|| {
                let place = left.lines().zip(right.lines()).find(|(left, right)| left != right);
                format!(
                    "ip {line}: status {:?} and {:?}\n  theirs: {:?}\n  ours:   {:?}\n",
                    theirs.status.code(),
                    ours.status.code(),
                    place.map_or(left.as_str(), |place| place.0),
                    place.map_or(right.as_str(), |place| place.1),
                )
            });
            if differs.is_none() {
                break;
            }
        }
        wrong.extend(differs);
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_same_words_leave_the_same_state_and_the_same_status() {
    let test = "the_same_words_leave_the_same_state_and_the_same_status";
    let walk = |tool: Tool| {
        let host = Host::new(test)?;
        let statuses: Vec<String> = CHANGES
            .lines()
            .map(|line| {
                let output = host.run(tool, line);
                if tool == Tool::Holm && !output.status.success() {
                    one_clear_line(line, &output);
                }
                format!("{:?} {line}", output.status.code().unwrap_or(-1))
            })
            .collect();
        host::wait_for_duplicates();
        Some((statuses, host.state(&["", "-n blue ", "-n red "])))
    };
    // A thread for each, since a host lasts as long as its thread.
    let own = |tool| std::thread::scope(|scope| scope.spawn(|| walk(tool)).join().unwrap());
    let (Some(theirs), Some(ours)) = (own(Tool::Iproute), own(Tool::Holm)) else { return };
    assert_eq!(theirs.0, ours.0);
    let differs: Vec<_> = theirs.1.iter().zip(&ours.1).filter(|(left, right)| left != right).collect();
    assert!(differs.is_empty() && theirs.1.len() == ours.1.len(), "{differs:#?}");
}

/// A refusal is one line, with at most a hint below; programs of `exec` speak for themselves.
fn one_clear_line(line: &str, output: &Output) {
    let text = host::text(&output.stderr);
    let own: Vec<&str> =
        text.lines().filter(|text| !text.starts_with("warning:") && !text.starts_with("note:")).collect();
    let exec = line.starts_with("netns exec blue") && own.is_empty();
    let shape = matches!(own.as_slice(), [first] if first.starts_with("error: "))
        || matches!(own.as_slice(), [first, second] if first.starts_with("error: ") && second.starts_with("  hint:  "));
    assert!(exec || shape, "holm ip {line}:\n{text}");
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
fn flushes_go_round_until_nothing_is_left() {
    let Some(host) = Host::new("flushes_go_round_until_nothing_is_left") else { return };
    let walk = |tool: Tool, name: &str| {
        host.must(Tool::Iproute, &format!("link add {name} type bridge"));
        host.must(Tool::Iproute, &format!("link set {name} up"));
        for number in 1..30 {
            host.must(Tool::Iproute, &format!("addr add 10.3.0.{number}/24 dev {name}"));
        }
        for number in 1..200 {
            host.must(Tool::Iproute, &format!("route add 10.4.{number}.0/24 dev {name} table 99"));
        }
        let said = [
            host.run(tool, &format!("-s addr flush dev {name}")),
            host.run(tool, "-s route flush table 99"),
            host.run(tool, "-s route flush table 99"),
        ];
        let left = host.run(Tool::Iproute, &format!("-4 addr show dev {name}"));
        host.must(Tool::Iproute, &format!("link delete {name}"));
        (said.map(|output| host::text(&output.stdout)), host::text(&left.stdout))
    };
    assert_eq!(walk(Tool::Iproute, "b0"), walk(Tool::Holm, "b0"));
}

#[test]
fn a_name_that_is_watched_is_told_as_it_comes_and_goes() {
    use std::io::{BufRead, BufReader};
    let Some(host) = Host::new("a_name_that_is_watched_is_told_as_it_comes_and_goes") else { return };
    let mut watch =
        host.command(Tool::Holm, "netns monitor").stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    // The directory is made before it is watched; names are made until one is told.
    let mut told = None;
    for number in 0..100 {
        host.must(Tool::Holm, &format!("netns add n{number}"));
        std::thread::sleep(std::time::Duration::from_millis(20));
        if number == 20 {
            told = lines.next().and_then(Result::ok);
            break;
        }
    }
    watch.kill().unwrap();
    watch.wait().unwrap();
    assert!(told.is_some_and(|line| line.starts_with("add n")));
}

#[test]
fn a_kernel_without_a_type_of_links_is_told_clearly() {
    let Some(host) = Host::new("a_kernel_without_a_type_of_links_is_told_clearly") else { return };
    let output = host.run(Tool::Holm, "link add x0 type nonsense");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        host::text(&output.stderr),
        "error: cannot add link `x0` of type nonsense: the kernel refused: Unknown device type: operation not \
         supported (EOPNOTSUPP)\n  hint:  this kernel has no links of type nonsense: the type is unknown, or its module \
         (rtnl-link-nonsense) is not there\n"
    );
}

#[test]
fn a_tap_is_made_by_link_add_as_well() {
    let Some(host) = Host::new("a_tap_is_made_by_link_add_as_well") else { return };
    let output = host.run(Tool::Holm, "link add tap0 type tap user 0");
    if !std::path::Path::new("/dev/net/tun").exists() {
        eprintln!("SKIPPED a_tap_is_made_by_link_add_as_well: there is no /dev/net/tun");
        return;
    }
    assert!(output.status.success(), "{}", host::text(&output.stderr));
    let shown = host::text(&host.must(Tool::Iproute, "-d link show tap0").stdout);
    assert!(shown.contains("tun type tap pi off vnet_hdr off persist on user root"), "{shown}");
    // The kernel tells of the flags in /sys, which has to be that of the namespace.
    host.must(Tool::Holm, "netns add blue");
    host.must(Tool::Iproute, "-n blue tuntap add dev tap9 mode tap user 1 multi_queue");
    host.must(Tool::Iproute, "-n blue tuntap add dev tun9 mode tun pi");
    for look in ["-n blue tuntap", "-n blue -j tuntap"] {
        let shown = |tool| host::text(&host.must(tool, look).stdout);
        assert_eq!(shown(Tool::Holm), shown(Tool::Iproute));
        assert!(shown(Tool::Holm).contains("tap9"));
    }
    let refused = host.run(Tool::Holm, "link add tap1 mtu 1400 type tap");
    assert_eq!(refused.status.code(), Some(1));
}

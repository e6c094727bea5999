//! `holm ip` beside iproute2: the same words have to print the same bytes, leave the same things in the kernel, and end
//! with the same status. Each test has a host of its own, made of a network and a mount namespace.

mod host;
mod names;
mod programs;
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
            // The rest is compared all the same; what one kernel lacks another has.
            eprintln!("{test} goes without `ip {line}`: {}", host::text(&output.stderr).trim());
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
        let mut errors = Vec::new();
        let statuses: Vec<String> = CHANGES
            .lines()
            .map(|line| {
                let output = host.run(tool, line);
                if tool == Tool::Holm && !output.status.success() {
                    one_clear_line(line, &output);
                }
                errors.push(host::text(&output.stderr));
                format!("{:?} {line}", output.status.code().unwrap_or(-1))
            })
            .collect();
        host::wait_for_duplicates();
        Some((statuses, host.state(&["", "-n blue ", "-n red "]), errors))
    };
    // A thread for each, since a host lasts as long as its thread.
    let own = |tool| std::thread::scope(|scope| scope.spawn(|| walk(tool)).join().unwrap());
    let (Some(theirs), Some(ours)) = (own(Tool::Iproute), own(Tool::Holm)) else { return };
    assert_eq!(theirs.0, ours.0);
    for ((line, theirs), ours) in theirs.0.iter().zip(&theirs.2).zip(&ours.2) {
        if let Some(words) = line.starts_with("2 ").then(|| kernel_words(theirs)).flatten() {
            assert!(ours.to_lowercase().contains(&words), "{line}\n{theirs}{ours}");
        }
    }
    let differs: Vec<_> = theirs.1.iter().zip(&ours.1).filter(|(left, right)| left != right).collect();
    assert!(differs.is_empty() && theirs.1.len() == ours.1.len(), "{differs:#?}");
}

/// What the kernel said, in what iproute2 says: its own sentence, or the name of its error.
fn kernel_words(errors: &str) -> Option<String> {
    let sentence = |line: &str| {
        let words = line.strip_prefix("RTNETLINK answers: ").or_else(|| line.strip_prefix("Error: "))?;
        Some(words.trim_end_matches('.').to_lowercase())
    };
    // Of a name that is too long holm says which and how long it may be.
    errors.lines().find_map(sentence).filter(|words| words != "attribute failed policy validation")
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
fn flushes_go_round_until_nothing_is_left() {
    let Some(host) = Host::new("flushes_go_round_until_nothing_is_left") else { return };
    let walk = |tool: Tool, name: &str| {
        let mut lines = format!("link add {name} type bridge\nlink set {name} up\n");
        lines.extend((1..30).map(|number| format!("addr add 10.3.0.{number}/24 dev {name}\n")));
        lines.extend((1..200).map(|number| format!("route add 10.4.{number}.0/24 dev {name} table 99\n")));
        host.batch(&lines);
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

//! Every word of the vocabulary: held and printed as it can be given again, or refused with the reason.

use cgroups::words::WORDS;
use cgroups::{Controller, Layout, Version};

use crate::room::*;

/// A value for each word, and the versions that hold it.
const VALUES: &[(&str, &str, &[Version])] = &[
    ("memory.max", "64M", BOTH),
    ("memory.high", "48M", &[Version::V2]),
    ("memory.low", "8M", BOTH),
    ("memory.min", "4M", &[Version::V2]),
    ("memory.swap.max", "16M", &[]),
    ("memory.swappiness", "30", &[Version::V1]),
    ("cpu.max", "0.5", BOTH),
    ("cpu.burst", "20ms", &[]),
    ("cpu.weight", "300", BOTH),
    ("cpu.idle", "1", &[]),
    ("cpuset.cpus", "0", BOTH),
    ("cpuset.mems", "0", BOTH),
    ("pids.max", "50", BOTH),
    ("io.max", "DISK:rbps=1G", &[]),
    ("io.weight", "300", &[]),
    ("devices", "-all,+/dev/null", BOTH),
    ("hugetlb.2MB.max", "4M", &[]),
    ("net_cls.classid", "10:1", &[Version::V1]),
    ("net_prio", "lo:3", &[Version::V1]),
    ("perf_event", "", &[Version::V1, Version::V2]),
    ("rdma.max", "mlx9_9:hca_handle=1", &[]),
    ("misc.max", "nothing:1", &[]),
];
const BOTH: &[Version] = &[Version::V1, Version::V2];

#[test]
fn every_word_is_held_or_refused_with_the_reason() {
    if Group::new("words", &[]).is_none() {
        return;
    }
    let layout = Layout::read().unwrap();
    let disk = std::fs::read_dir("/sys/block").ok().and_then(|mut entries| entries.next()?.ok());
    let disk = disk.map_or("/dev/sda".into(), |entry| format!("/dev/{}", entry.file_name().display()));
    for word in WORDS {
        let (_, value, holds) = VALUES.iter().find(|(name, ..)| *name == word.name).expect(word.name);
        let value = value.replace("DISK", &disk);
        let assignment =
            if value.is_empty() { word.name.to_owned() } else { format!("{}={value}", word.name) };
        let name = format!("nscg-{}-words-{}", std::process::id(), word.name.replace('.', "-"));
        let output = holm(&["create", &name, &assignment]);
        if output.status.success() {
            let group = Group::made(&name);
            if word.name != "perf_event" && word.name != "devices" {
                let printed = done(&["get", &group.name]);
                let line = printed.lines().find(|line| line.starts_with(&format!("{}=", word.name)));
                let line = line.unwrap_or_else(|| panic!("{assignment} is not in\n{printed}"));
                done(&["set", &group.name, line]);
                assert_eq!(done(&["get", &group.name]), printed, "{assignment}");
            }
            continue;
        }
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let version = layout.serving(word.controller).map(|hierarchy| hierarchy.version);
        let held = version.is_some_and(|version| holds.contains(&version));
        assert!(!held || word.controller == Controller::Devices, "{assignment}: {told}");
        assert_eq!(output.status.code(), Some(125), "{assignment}: {told}");
        let first = told.lines().next().unwrap_or_default();
        assert!(first.starts_with("error: "), "{assignment}: {told}");
        let subject = word.name.split('.').next().unwrap_or_default();
        assert!(told.contains(subject), "the refusal names what it is about: {assignment}: {told}");
        assert!(refused(&["stat", &name]).contains("there is no cgroup"), "{assignment} left a group");
    }
}

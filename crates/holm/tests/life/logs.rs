//! What a container wrote, and where it is.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use super::house::{House, soon};

#[test]
fn lines_are_read_by_end_and_by_time() {
    let Some(house) = House::new("lines_are_read_by_end_and_by_time") else { return };
    house.run(
        "l",
        &[],
        "for i in 1 2 3; do echo line $i; echo bad $i >&2; sleep 0.2; done; printf unfinished",
    );
    house.prints(&["wait", "l"]);
    let output = house.holm(&["logs", "l"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "line 1\nline 2\nline 3\nunfinished");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "bad 1\nbad 2\nbad 3\n");
    assert_eq!(house.prints(&["logs", "-n", "1", "l"]), "unfinished");
    assert_eq!(house.prints(&["logs", "--tail", "0", "l"]), "");
    let stamped = house.prints(&["logs", "-t", "l"]);
    let times: Vec<&str> = stamped.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert!(times.windows(2).all(|pair| pair[0] <= pair[1]), "{times:?}");
    assert_eq!(house.prints(&["logs", "--since", times[1], "l"]).lines().next(), Some("line 2"));
    assert_eq!(house.prints(&["logs", "--until", times[0], "l"]), "line 1");
    assert_eq!(house.prints(&["logs", "--since", "1h", "l"]).lines().count(), 4);
    house.fails(&["logs", "--since", "yesterday", "l"], 125);
    house.fails(&["logs", "--tail", "x", "l"], 125);
}

#[test]
fn a_log_is_followed_over_its_files_to_the_end() {
    let Some(house) = House::new("a_log_is_followed_over_its_files_to_the_end") else { return };
    let flags = ["--log-opt", "max-size=20k", "--log-opt", "max-file=4"];
    house.run(
        "f",
        &flags,
        "i=0; while [ $i -lt 1500 ]; do echo line $i; i=$((i + 1)); [ $((i % 100)) = 0 ] && sleep 0.05; done",
    );
    let mut child = house.command(&["logs", "-f", "f"]).stdout(Stdio::piped()).spawn().unwrap();
    let lines: Vec<String> =
        BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success());
    let expected: Vec<String> = (0..1500).map(|number| format!("line {number}")).collect();
    assert_eq!(lines, expected);
    let directory = house.field("f", "{{.Runtime.Directory}}");
    let mut sizes = Vec::new();
    for entry in std::fs::read_dir(&directory).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("log") {
            sizes.push(entry.metadata().unwrap().len());
        }
    }
    assert!(sizes.len() <= 4 && sizes.iter().all(|size| *size <= 20 << 10), "{sizes:?}");
    let kept = house.prints(&["logs", "f"]);
    assert_eq!(kept.lines().last(), Some("line 1499"));
    let first: usize = kept.lines().next().unwrap()["line ".len()..].parse().unwrap();
    assert_eq!(kept.lines().count(), 1500 - first, "no line is missing in what is kept");
}

#[test]
fn a_flood_is_bounded_in_memory_and_on_disk() {
    let Some(house) = House::new("a_flood_is_bounded_in_memory_and_on_disk") else { return };
    let flags = ["--log-opt", "max-size=1m", "--log-opt", "max-file=2"];
    let id = house.run("flood", &flags, "head -c 100000000 /dev/zero | tr '\\0' x; echo; echo done");
    let monitor = house.monitor(&id);
    let mut most = 0;
    while house.field("flood", "{{.State.Running}}") == "true" {
        if let Some(pid) = monitor {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
            let kib =
                anonymous.and_then(|text| text.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0);
            most = most.max(kib);
        }
    }
    assert!(most < 1024, "the monitor had {most} KiB of its own");
    assert_eq!(house.prints(&["logs", "-n", "1", "flood"]), "done");
    let directory = house.field("flood", "{{.Runtime.Directory}}");
    let sizes: u64 = std::fs::read_dir(&directory)
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("log"))
        .map(|entry| entry.metadata().unwrap().len())
        .sum();
    assert!(sizes <= 2 << 20, "{sizes}");
}

#[test]
fn drivers_keep_lines_where_they_say() {
    let Some(house) = House::new("drivers_keep_lines_where_they_say") else { return };
    house.run("k", &["--log-driver", "k8s-file"], "echo one; echo two >&2");
    house.prints(&["wait", "k"]);
    let text = std::fs::read_to_string(house.field("k", "{{.LogPath}}")).unwrap();
    assert!(text.contains(" stdout F one\n") && text.contains(" stderr F two\n"), "{text}");
    assert_eq!(house.prints(&["logs", "k"]), "one");
    house.run("n", &["--log-driver", "none"], "echo one");
    house.prints(&["wait", "n"]);
    assert!(house.fails(&["logs", "n"], 125).contains("its driver is none"));
    assert_eq!(house.field("n", "{{.LogPath}}"), "");
    soon("everything has ended", || house.prints(&["ps", "-q"]).is_empty());
}

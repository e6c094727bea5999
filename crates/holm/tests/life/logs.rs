//! What a container wrote, and where it is.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

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
    // Over the files' borders: from the end, by time, and on while nothing comes any more.
    let lines: Vec<&str> = kept.lines().collect();
    for wanted in [1, 150, 400, lines.len()] {
        let tail = lines[lines.len().saturating_sub(wanted)..].join("\n");
        assert_eq!(house.prints(&["logs", "--tail", &wanted.to_string(), "f"]), tail);
        assert_eq!(house.prints(&["logs", "-f", "--tail", &wanted.to_string(), "f"]), tail);
    }
    let stamped = house.prints(&["logs", "-t", "f"]);
    let stamps: Vec<&str> = stamped.lines().map(|line| line.split(' ').next().unwrap()).collect();
    for at in [1, lines.len() / 2, lines.len() - 2] {
        let (since, until) = (stamps[at], stamps[at]);
        let behind = stamps.iter().filter(|stamp| **stamp >= since).count();
        let before = stamps.iter().filter(|stamp| **stamp <= until).count();
        assert_eq!(house.prints(&["logs", "--since", since, "f"]), lines[lines.len() - behind..].join("\n"));
        assert_eq!(house.prints(&["logs", "-f", "--until", until, "f"]), lines[..before].join("\n"));
        let both = house.prints(&["logs", "-t", "--since", since, "--until", until, "f"]);
        assert!(both.lines().all(|line| line.starts_with(since)), "{both}");
    }
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

/// How many rounds: a few in the suite; `HOLM_LOG_ROUNDS` for more.
fn rounds() -> usize {
    std::env::var("HOLM_LOG_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(25)
}

#[test]
fn whoever_has_waited_for_the_end_finds_the_last_line() {
    let Some(house) = House::new("whoever_has_waited_for_the_end_finds_the_last_line") else { return };
    let script = "n=$(($(cat /n 2>/dev/null) + 1)); echo $n >/n; head -c 60000 /dev/zero | tr '\\0' x; echo; echo last $n";
    house.prints(&["create", "--rootfs", "/", "--name", "burst", "--", "sh", "-c", script]);
    for round in 1..=rounds() {
        house.prints(&["start", "burst"]);
        assert_eq!(house.prints(&["wait", "burst"]), "0");
        let tail = house.prints(&["logs", "-n", "2", "burst"]);
        assert!(tail.ends_with(&format!("\nlast {round}")), "round {round}: {} bytes", tail.len());
    }
    house.prints(&["rm", "burst"]);
    // The same for one that is made anew each time, and for who looks by other ways than `wait`.
    for round in 0..rounds() {
        house.run("new", &[], "sleep 0.0$(($$ % 3)); seq 1 9000");
        match round % 3 {
            0 => assert_eq!(house.prints(&["wait", "new"]), "0"),
            1 => soon("it has ended", || house.field("new", "{{.State.Status}}") == "exited"),
            _ => soon("it has ended", || house.prints(&["ps", "-q"]).is_empty()),
        }
        assert_eq!(house.prints(&["logs", "-n", "1", "new"]), "9000", "round {round}");
        house.prints(&["rm", "new"]);
    }
    house.is_empty();
}

#[test]
fn a_client_that_does_not_read_keeps_no_line_from_the_log() {
    let Some(house) = House::new("a_client_that_does_not_read_keeps_no_line_from_the_log") else { return };
    let script = "while [ ! -e /dev/shm/go ]; do echo 0; sleep 0.02; done; exec seq 1 100000000";
    let id = house.run("held", &["--log-opt", "max-file=2"], script);
    let mut lazy = house.command(&["attach", "--no-stdin", "held"]).stdout(Stdio::piped()).spawn().unwrap();
    let path = house.field("held", "{{.LogPath}}");
    let mut output = BufReader::new(lazy.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    house.prints(&["exec", "held", "touch", "/dev/shm/go"]);
    let size = || std::fs::metadata(&path).map_or(0, |data| data.len());
    soon("its output is held up", || {
        let before = size();
        std::thread::sleep(Duration::from_millis(100));
        before > 0 && size() == before
    });
    house.prints(&["kill", "held"]);
    assert_eq!(house.prints(&["wait", "held"]), "137");
    let told = house.prints(&["logs", "held"]);
    let _ = lazy.kill();
    let _ = lazy.wait();
    soon("its monitor has ended", || house.monitor(&id).is_none());
    assert_eq!(house.prints(&["logs", "held"]).lines().count(), told.lines().count());
    drop(output);
    house.prints(&["rm", "held"]);
    house.is_empty();
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

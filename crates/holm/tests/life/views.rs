//! What people look at: lists, usage, events, the house as a whole.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;

use super::house::House;
use super::streams::Seat;

/// Each is looked at, and none is left out.
#[test]
fn a_long_list_has_every_container() {
    let Some(house) = House::new("a_long_list_has_every_container") else { return };
    let mut names: Vec<String> = (0..70).map(|number| format!("c{number}")).collect();
    for name in &names {
        house.prints(&["create", "--rootfs", "/", "--name", name, "--", "true"]);
    }
    names.reverse();
    let shown = house.prints(&["ps", "--all", "--format", "{{.Names}}"]);
    assert_eq!(shown.lines().collect::<Vec<_>>(), names);
    house.prints(&["prune", "--force"]);
}

#[test]
fn lists_show_what_is_asked_for() {
    let Some(house) = House::new("lists_show_what_is_asked_for") else { return };
    let cid = house.base.join("cid");
    let old = house.prints(&["create", "--rootfs", "/", "--name", "old", "--label", "tier=db", "--", "true"]);
    let flags = ["--label", "tier=web", "--restart", "unless-stopped", "-v", "/etc:/host:ro", "--cidfile"];
    let one = house.run("one", &[&flags[..], &[cid.to_str().unwrap()]].concat(), "exec sleep 1000");
    assert_eq!(std::fs::read_to_string(&cid).unwrap(), one);
    house.run("two", &["--label", "tier=web", "--label", "beta"], "exit 3");
    house.prints(&["wait", "two"]);
    let names = |args: &str| {
        let words: Vec<&str> = args.split_whitespace().collect();
        let all = [&["ps", "--format", "{{.Names}}"], &words[..]].concat();
        house.prints(&all).replace('\n', " ")
    };
    let filters =
        |keys: &str| names(&keys.split(' ').map(|key| format!("--filter {key} ")).collect::<String>());
    assert_eq!(names(""), "one");
    assert_eq!(names("-a"), "two one old", "the youngest first");
    assert_eq!(names("--latest"), "two");
    assert_eq!(names("-n 2"), "two one");
    for (wanted, expected) in [
        ("name=o", "one"),
        ("status=created", "old"),
        ("status=exited status=created", "two old"),
        ("status=running", "one"),
        ("exited=3", "two"),
        ("exited=0", ""),
        ("before=two", "one old"),
        ("since=old", "two one"),
        ("health=none", "one"),
    ] {
        assert_eq!(filters(wanted), expected, "{wanted}");
    }
    for (wanted, expected) in [
        ("name=^o", "one old"),
        ("name=^two$", "two"),
        ("label=tier=web", "two one"),
        ("label=tier=web label=beta", "two"),
        ("label=tier", "two one old"),
        ("volume=/host", "one"),
        ("volume=/etc", "one"),
        ("network=none", "two one old"),
        ("restart=unless-stopped", "one"),
        ("restart=no", "two old"),
    ] {
        let all: String = wanted.split(' ').map(|key| format!(" --filter {key}")).collect();
        assert_eq!(names(&format!("-a{all}")), expected, "{wanted}");
    }
    assert_eq!(names(&format!("-a --filter id={}", &old[..10])), "old");
    assert_eq!(house.prints(&["ps", "-q", "--no-trunc"]), one);
    assert_eq!(house.prints(&["ps", "-q"]), one[..12]);
    house.fails(&["ps", "--filter", "colour=red"], 125);
    // Forms.
    let table = house.prints(&["ps", "-a", "--format", "table {{.Names}}\\t{{.State}}\\t{{.ExitCode}}"]);
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let expected = [
        &["NAMES", "STATE", "EXIT", "CODE"][..],
        &["two", "exited", "3"],
        &["one", "running", "0"],
        &["old", "created", "0"],
    ];
    assert_eq!(rows, expected);
    let json: Vec<Value> = house
        .prints(&["ps", "-a", "--format", "json"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(json.len(), 3);
    assert_eq!(
        (&json[0]["Names"], &json[1]["State"], &json[2]["Status"]),
        (&"two".into(), &"running".into(), &"Created".into())
    );
    assert_eq!(json[1]["Labels"], "tier=web");
    let form = "{{upper .Names}}|{{if eq .State \"exited\"}}{{.ExitCode}}{{else}}-{{end}}|{{len .ID}}";
    assert_eq!(house.prints(&["ps", "-a", "--format", form]), "TWO|3|12\nONE|-|12\nOLD|-|12");
    let usual = house.prints(&["ps", "-as"]);
    assert!(usual.starts_with("CONTAINER ID"), "{usual}");
    assert!(usual.lines().next().unwrap().ends_with("SIZE"), "{usual}");
    // Commands that take lists.
    assert_eq!(house.prints(&["inspect", "--latest", "--format", "{{.Name}}"]), "/two");
    assert_eq!(house.prints(&["rm", "--filter", "label=beta"]).len(), 64);
    assert_eq!(house.prints(&["stop", "-t", "0", "--all"]), one);
    assert_eq!(house.prints(&["start", "--filter", "name=one"]), one);
    assert_eq!(house.prints(&["restart", "-t", "0", "--latest"]), one);
    house.prints(&["rm", "-f", "--all"]);
    house.is_empty();
}

#[test]
fn usage_is_shown_once_live_and_on_the_whole_screen() {
    let Some(house) = House::new("usage_is_shown_once_live_and_on_the_whole_screen") else { return };
    house.run("busy", &["--memory", "64m", "--pids-limit", "50"], "while :; do :; done");
    house.prints(&["create", "--rootfs", "/", "--name", "idle", "--", "true"]);
    let row: Value =
        serde_json::from_str(&house.prints(&["stats", "--no-stream", "--format", "json"])).unwrap();
    let text = |name: &str| row[name].as_str().unwrap().to_owned();
    assert_eq!((text("Name").as_str(), text("PIDs").as_str()), ("busy", "1"));
    assert!(text("MemUsage").ends_with(" / 64MiB"), "{}", text("MemUsage"));
    let percent: f64 = text("CPUPerc").strip_suffix('%').unwrap().parse().unwrap();
    assert!(percent > 0.0, "{percent}");
    let table = house.prints(&["stats", "--no-stream", "--all", "--format", "table {{.Name}}\\t{{.PIDs}}"]);
    let mut rows: Vec<String> =
        table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    rows[1..].sort();
    assert_eq!(rows, ["NAME PIDS", "busy 1", "idle 0"]);
    let usual = house.prints(&["stats", "--no-stream", "busy"]);
    assert!(usual.starts_with("CONTAINER ID") && usual.lines().count() == 2, "{usual}");
    house.fails(&["stats", "--no-stream", "nobody"], 125);
    house.fails(&["stats", "--interval", "0"], 125);
    let args = ["stats", "--interval", "0.05", "--format", "{{.Name}}"];
    let mut live = house.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let lines: Vec<String> =
        BufReader::new(live.stdout.take().unwrap()).lines().map(Result::unwrap).take(3).collect();
    assert_eq!(lines, ["busy", "busy", "busy"]);
    let _ = live.kill();
    let _ = live.wait();
    // Processes, by columns.
    let usual = house.prints(&["top", "busy"]);
    assert!(usual.starts_with("USER") && usual.contains("while :"), "{usual}");
    let pid = house.field("busy", "{{.State.Pid}}");
    let chosen = house.prints(&["top", "busy", "-o", "pid,comm"]);
    let chosen: Vec<&str> = chosen.split_whitespace().collect();
    assert_eq!(chosen, ["PID", "COMMAND", &pid, "sh"]);
    assert!(house.fails(&["top", "busy", "-o", "colour"], 125).contains("there is no column `colour`"));
    // The whole screen.
    assert!(house.fails(&["top"], 125).contains("needs a terminal"));
    let mut seat = Seat::at(&house, &["top"]);
    seat.shows("holm: 1 containers, by processor");
    seat.shows("MEMORY / LIMIT");
    seat.shows("busy");
    seat.types("n");
    seat.shows("by name");
    seat.types("m");
    seat.shows("by memory");
    seat.types("q");
    assert_eq!(seat.ends(), Some(0));
    house.prints(&["rm", "-f", "--all"]);
    house.is_empty();
}

#[test]
fn what_happens_is_told_as_it_does_and_afterwards() {
    let Some(house) = House::new("what_happens_is_told_as_it_does_and_afterwards") else { return };
    let form = "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}";
    house.prints(&[
        "create", "--rootfs", "/", "--name", "a", "--label", "tier=web", "--", "sh", "-c", "exit 3",
    ]);
    let args = [
        "events",
        "--filter",
        "container=a",
        "--filter",
        "event=start",
        "--filter",
        "event=die",
        "--format",
        "{{.Action}}",
    ];
    let mut live = house.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(live.stdout.take().unwrap());
    // It listens from a moment on that only it knows: so it is given something to tell until it does.
    let told = std::thread::scope(|scope| {
        let told = scope.spawn(|| {
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            line
        });
        while !told.is_finished() {
            house.prints(&["start", "a"]);
            house.prints(&["wait", "a"]);
        }
        told.join().unwrap()
    });
    assert!(told == "start\n" || told == "die\n", "{told}");
    let _ = live.kill();
    let _ = live.wait();
    let (start, end) = (house.field("a", "{{.Created}}"), "0s");
    house.prints(&["rename", "a", "b"]);
    house.prints(&["rm", "b"]);
    let all = |more: &[&str]| house.prints(&[&["events", "--no-stream", "--format", form], more].concat());
    let lines = all(&[]);
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines[..3], ["container create a", "container start a", "container die a"]);
    assert_eq!(lines[lines.len() - 2..], ["container rename b", "container destroy b"]);
    assert_eq!(all(&["--filter", "event=create", "--filter", "label=tier=web"]), "container create a");
    assert_eq!(all(&["--filter", "type=volume"]), "");
    assert_eq!(all(&["--since", &start, "--until", end]).lines().count(), lines.len());
    assert_eq!(all(&["--until", "1h"]), "");
    let die = house.prints(&[
        "events",
        "--no-stream",
        "--filter",
        "event=die",
        "--format",
        "{{.Actor.Attributes.exitCode}}",
    ]);
    assert!(die.lines().all(|code| code == "3"), "{die}");
    let json = house.prints(&["events", "--no-stream", "--filter", "event=create", "--format", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["Type"], &json["Actor"]["Attributes"]["name"]), (&"container".into(), &"a".into()));
    assert!(house.prints(&["events", "--no-stream"]).contains("container create "));
    house.fails(&["events", "--filter", "colour=red"], 125);
    house.is_empty();
}

#[test]
fn the_house_is_told_of_kept_and_emptied() {
    let Some(house) = House::new("the_house_is_told_of_kept_and_emptied") else { return };
    assert_eq!(house.prints(&["version", "--format", "{{.Client.Version}}"]), env!("CARGO_PKG_VERSION"));
    let json: Value = serde_json::from_str(&house.prints(&["version", "--format", "json"])).unwrap();
    assert_eq!(json["Server"]["Version"], env!("CARGO_PKG_VERSION"));
    house.prints(&["create", "--rootfs", "/", "--name", "keep", "--label", "keep", "--", "true"]);
    house.prints(&["create", "--rootfs", "/", "--name", "rest", "-v", "named:/data", "--", "true"]);
    house.run("up", &[], "exec sleep 1000");
    let info = house.prints(&["info"]);
    assert!(info.starts_with("containers:  3 (1 running, 0 paused, 2 stopped)"), "{info}");
    assert_eq!(house.prints(&["info", "--format", "{{.ContainersRunning}} {{.OSType}}"]), "1 linux");
    let json: Value = serde_json::from_str(&house.prints(&["system", "info", "--format", "json"])).unwrap();
    assert_eq!(json["HolmRunDir"], house.base.join("run").to_str().unwrap());
    let room: Vec<Value> = house
        .prints(&["system", "df", "--format", "json"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&room[0]["Type"], &room[0]["TotalCount"], &room[0]["Active"]),
        (&"Containers".into(), &3.into(), &1.into())
    );
    assert_eq!((&room[1]["Type"], &room[1]["TotalCount"]), (&"Local Volumes".into(), &1.into()));
    let each = house.prints(&["system", "df", "-v"]);
    assert!(each.contains("keep") && each.contains("running") && each.contains("VOLUME NAME"), "{each}");
    assert_eq!(house.prints(&["system", "check"]), "everything is as it should be");
    assert_eq!(house.prints(&["system", "check", "--only-look", "--format", "json"]), "[]");
    // Names that lead nowhere, and what a killed `rm` has left.
    std::os::unix::fs::symlink("0".repeat(64), house.base.join("root/names/ghost")).unwrap();
    std::fs::create_dir_all(house.base.join("root/containers").join(format!(".{}", "1".repeat(64)))).unwrap();
    let found = house.prints(&["system", "check"]);
    assert!(
        found.contains("ghost: the name leads to no container that has it (the name is free again)"),
        "{found}"
    );
    assert!(found.contains("a killed process left it behind (taken away)"), "{found}");
    assert_eq!(house.prints(&["system", "check"]), "everything is as it should be");
    let gone = house.prints(&["system", "prune", "--filter", "label!=keep"]);
    assert!(gone.lines().count() == 2 && gone.contains("reclaimed"), "{gone}");
    assert_eq!(house.prints(&["ps", "-a", "--format", "{{.Names}}"]), "up\nkeep");
    assert_eq!(house.prints(&["volume", "ls", "-q"]), "named", "a name protects");
    let said = house.fails(&["system", "reset"], 125);
    assert!(said.contains("every container and every volume, with all that is in them"), "{said}");
    assert_eq!(
        house.prints(&["system", "reset", "--force"]),
        "removed 2 containers and 1 volumes; images and networks stay"
    );
    assert_eq!(house.prints(&["volume", "ls", "-q"]), "");
    house.is_empty();
}

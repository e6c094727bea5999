//! `pause`, `resume`, `update`, `events`, `features`.

use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use crate::{Live, soon};

#[test]
fn a_paused_container_stands_until_it_is_resumed() {
    let Some(live) = Live::start("pause", |_| {}) else { return };
    live.does(&["pause", live.id()]);
    assert_eq!(live.status(), "paused");
    let said = live.fails(1, &["pause", live.id()]);
    assert!(said.contains("which is paused"), "{said}");
    let said = live.fails(255, &["exec", live.id(), "/bin/true"]);
    assert!(said.contains("--ignore-paused"), "{said}");
    let waiting = live.command(&["exec", "--ignore-paused", live.id(), "/bin/sh", "-c", "exit 4"]).spawn();
    live.does(&["resume", live.id()]);
    assert_eq!(waiting.expect("holm-runtime").wait().expect("its end").code(), Some(4));
    assert_eq!(live.status(), "running");
    let said = live.fails(1, &["resume", live.id()]);
    assert!(said.contains("which is running"), "{said}");
}

/// A number of the statistics.
fn stat(live: &Live, path: &str) -> Value {
    let text = live.does(&["events", "--stats", live.id()]);
    let stats: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(stats["type"], "stats");
    assert_eq!(stats["id"], live.id());
    stats.pointer(path).cloned().unwrap_or(Value::Null)
}

#[test]
fn limits_are_changed_by_flags_and_by_a_document() {
    let Some(live) = Live::start("update", |_| {}) else { return };
    if stat(&live, "/data/pids/current").is_null() || stat(&live, "/data/memory/usage/usage") == 0 {
        return eprintln!("SKIPPED limits_are_changed_by_flags_and_by_a_document: no controllers here");
    }
    live.does(&["update", "--pids-limit", "77", "--memory", "64m", live.id()]);
    assert_eq!(stat(&live, "/data/pids/limit"), 77);
    assert_eq!(stat(&live, "/data/memory/usage/limit"), 64 << 20);
    let file = live.bundle.dir.join("limits.json");
    let document = json!({"pids": {"limit": 88}, "memory": {"limit": 96 << 20}});
    std::fs::write(&file, document.to_string()).expect("a file");
    live.does(&["update", "-r", &file.display().to_string(), live.id()]);
    assert_eq!(stat(&live, "/data/pids/limit"), 88);
    assert_eq!(stat(&live, "/data/memory/usage/limit"), 96 << 20);
    let mut command = live.command(&["update", "-r", "-", live.id()]);
    std::fs::write(&file, r#"{"pids": {"limit": -1}}"#).expect("a file");
    command.stdin(std::fs::File::open(&file).expect("a file"));
    assert!(command.status().expect("holm-runtime").success());
    assert!(stat(&live, "/data/pids/limit").is_null());
    // More is in use, and nothing is written.
    let document = json!({"pids": {"limit": 5}, "memory": {"limit": 4096, "checkBeforeUpdate": true}});
    std::fs::write(&file, document.to_string()).expect("a file");
    live.fails(1, &["update", "-r", &file.display().to_string(), live.id()]);
    assert!(stat(&live, "/data/pids/limit").is_null());
}

#[test]
fn limits_that_are_none_are_refused_before_anything_is_written() {
    let Some(live) = Live::start("update_refused", |_| {}) else { return };
    for (arguments, part) in [
        (&["--memory", "much"][..], "--memory much"),
        (&["--cpu-share", "x"], "--cpu-share x"),
        (&["--blkio-weight", "5"], "weight"),
        (&["--l3-cache-schema", "L3:0=f"], "--l3-cache-schema"),
        (&["-r", "/nowhere"], "/nowhere"),
    ] {
        let mut line = vec!["update", "--pids-limit", "9"];
        line.extend(arguments);
        line.push(live.id());
        let said = live.fails(1, &line);
        assert!(said.contains(part), "{arguments:?}: {said}");
    }
    assert!(stat(&live, "/data/pids/limit") != 9);
}

#[test]
fn events_tell_that_memory_ran_out_and_end_with_the_container() {
    let Some(live) = Live::start("events", |bundle| {
        bundle.config["linux"]["resources"]["memory"]["limit"] = json!(16 << 20);
    }) else {
        return;
    };
    if stat(&live, "/data/memory/usage/limit") != 16 << 20 {
        return eprintln!(
            "SKIPPED events_tell_that_memory_ran_out_and_end_with_the_container: no memory controller"
        );
    }
    let mut events =
        live.command(&["events", "--interval", "100ms", live.id()]).spawn().expect("holm-runtime");
    let mut lines = BufReader::new(events.stdout.take().expect("it is piped")).lines();
    let first: Value = serde_json::from_str(&lines.next().expect("a line").expect("text")).expect("JSON");
    assert_eq!(first["type"], "stats");
    // A string of 64 MiB.
    live.script(&[], "x=$(head -c 67108864 /dev/zero | tr '\\0' a); echo ${#x}");
    let ran_out = lines.by_ref().take(100).flatten().any(|line| line.contains(r#""type":"oom""#));
    assert!(ran_out);
    live.does(&["kill", live.id(), "KILL"]);
    soon("the end of events", || events.try_wait().is_ok_and(|status| status.is_some()));
    assert!(events.wait().expect("its end").success());
}

#[test]
fn an_interval_is_a_time() {
    let Some(live) = Live::start("events_interval", |_| {}) else { return };
    for interval in ["0s", "5", "soon"] {
        let said = live.fails(1, &["events", "--interval", interval, live.id()]);
        assert!(said.contains("is no time between two reports"), "{said}");
    }
}

#[test]
fn features_are_a_document_of_the_specification() {
    let Some(live) = Live::start("features", |_| {}) else { return };
    let features: Value = serde_json::from_str(&live.does(&["features"])).expect("JSON");
    assert_eq!(features["ociVersionMax"], "1.3.0");
    assert_eq!(features["linux"]["cgroup"]["v2"], true);
    assert!(features["linux"]["seccomp"]["actions"].as_array().is_some_and(|actions| actions.len() == 9));
    for command in ["checkpoint", "restore"] {
        let said = live.fails(1, &[command, live.id()]);
        assert!(said.contains("not there yet"), "{said}");
    }
}

//! Records that are damaged, and configurations that are wrong.

use std::fs;

use serde_json::{Value, json};

use crate::Container;

/// Makes a running container, does this to its files, and deletes it.
fn survives(test: &str, damage: impl Fn(&std::path::Path, &str)) {
    let Some(mut container) = Container::new(test) else { return };
    container.bundle.script("sleep 1000 & sleep 1000").write();
    for command in ["create", "run"] {
        let arguments: &[&str] = if command == "run" { &["run", "--detach"] } else { &["create"] };
        container.does_all(arguments);
        let pid = container.state()["pid"].to_string();
        damage(&container.bundle.dir.join("state"), container.id());
        // Whatever these say: they neither panic nor hang.
        for command in ["state", "list", "start", "kill", "delete"] {
            let arguments: &[&str] = if command == "list" { &["list"] } else { &[command, container.id()] };
            let ran = container.call(arguments);
            assert!(matches!(ran.code, Some(0 | 1)) && !ran.err.contains("panicked"), "{command}: {ran:?}");
        }
        container.does_all(&["delete", "--force"]);
        container.is_gone();
        assert!(!std::path::Path::new(&format!("/proc/{pid}/exe")).exists(), "{pid} lives");
    }
}

#[test]
fn a_record_that_was_cut_off_is_deleted() {
    for (number, keep) in [0, 1, 40, 200].into_iter().enumerate() {
        survives(&format!("cut_off_{number}"), |state, id| {
            let record = state.join(format!("{id}.json"));
            let text = fs::read(&record).expect("the record");
            fs::write(&record, &text[..keep]).expect("write");
        });
    }
}

#[test]
fn a_record_of_other_bytes_is_deleted() {
    for (number, text) in
        [&b"null\n"[..], b"\xff\0\n\n", b"{\"id\":7}\n{}\n", b"[[[[["].into_iter().enumerate()
    {
        survives(&format!("other_bytes_{number}"), |state, id| {
            fs::write(state.join(format!("{id}.json")), text).expect("write");
        });
    }
}

#[test]
fn a_record_of_which_parts_are_missing_is_deleted() {
    for (number, missing) in [".json", "@config", "@start"].into_iter().enumerate() {
        survives(&format!("missing_{number}"), |state, id| {
            let _ = fs::remove_file(state.join(format!("{id}{missing}")));
        });
    }
}

#[test]
fn a_record_whose_parts_are_all_damaged_is_deleted() {
    survives("all_damaged", |state, id| {
        for part in [".json", "@config"] {
            fs::write(state.join(format!("{id}{part}")), b"").expect("write");
        }
    });
}

#[test]
fn a_process_that_took_over_the_number_is_left_alone() {
    let Some(mut container) = Container::new("other_process") else { return };
    container.bundle.script("sleep 1000").write();
    container.does_all(&["run", "--detach"]);
    // The record now names this process by its number, and another process by its identity.
    let record = container.bundle.dir.join(format!("state/{}.json", container.id()));
    let text = fs::read_to_string(&record).expect("the record");
    let pid = container.state()["pid"].to_string();
    let changed = text.replace(
        &format!("{{\"started\":{{\"pid\":{pid},"),
        &format!("{{\"started\":{{\"pid\":{},", std::process::id()),
    );
    assert_ne!(text, changed);
    fs::write(&record, changed).expect("write");
    assert_eq!(container.status(), "stopped");
    container.does_all(&["delete", "--force"]);
    container.is_gone();
}

#[test]
fn an_invalid_configuration_is_told_with_its_place_and_leaves_nothing() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 14] = [
        ("ociVersion", |config| config["ociVersion"] = json!("x")),
        ("process.args", |config| config["process"]["args"] = json!([])),
        ("process.cwd", |config| config["process"]["cwd"] = json!("relative")),
        ("process.rlimits[0].type", |config| {
            config["process"]["rlimits"] = json!([{"type": "RLIMIT_NONSENSE", "hard": 1, "soft": 1}]);
        }),
        ("process.oomScoreAdj", |config| config["process"]["oomScoreAdj"] = json!(2000)),
        ("process.user.uid", |config| config["process"]["user"]["uid"] = json!(-1)),
        ("process.user.uid", |config| config["process"]["user"]["uid"] = json!(4_294_967_296_u64)),
        ("linux.namespaces[0].type", |config| config["linux"]["namespaces"][0]["type"] = json!("nonsense")),
        ("linux.namespaces", |config| {
            let first = config["linux"]["namespaces"][0].clone();
            config["linux"]["namespaces"].as_array_mut().expect("a list").push(first);
        }),
        ("linux.uidMappings", |config| {
            let map = json!([{"containerID": 0, "hostID": 1000, "size": 10}, {"containerID": 5, "hostID": 2000, "size": 10}]);
            config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({"type": "user"}));
            config["linux"]["uidMappings"] = map.clone();
            config["linux"]["gidMappings"] = map;
        }),
        ("linux.sysctl", |config| config["linux"]["sysctl"] = json!({"kernel.panic": "1"})),
        ("linux.sysctl", |config| {
            config["linux"]["namespaces"]
                .as_array_mut()
                .expect("a list")
                .retain(|one| one["type"] != "network");
            config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
        }),
        ("linux.resources.memory.limit", |config| {
            config["linux"]["resources"]["memory"]["limit"] = json!("many");
        }),
        ("hooks.prestart[0].path", |config| config["hooks"] = json!({"prestart": [{"path": "relative"}]})),
    ];
    for (number, (place, change)) in cases.into_iter().enumerate() {
        let Some(mut container) = Container::new(&format!("invalid_{number}")) else { return };
        change(&mut container.bundle.config);
        container.bundle.write();
        let said = container.fails(&["create", container.id()]);
        let first = said.lines().next().unwrap_or_default();
        assert!(first.starts_with("error: ") && first.contains(place), "{place}: {said}");
        assert!(!said.contains("panicked") && said.lines().count() <= 2, "{place}: {said}");
        container.is_gone();
    }
}

#[test]
fn a_configuration_that_is_no_object_is_told_in_words_of_its_reader() {
    let Some(container) = Container::new("no_object") else { return };
    container.bundle.write();
    for text in ["null", "[]", "7", "\"text\"", "", "{", "{\"ociVersion\":null}"] {
        fs::write(container.bundle.dir.join("config.json"), text).expect("write");
        let said = container.fails(&["create", container.id()]);
        assert!(!said.contains("struct ") && said.starts_with("error: "), "{text}: {said}");
        container.is_gone();
    }
}

#[test]
fn ids_that_are_no_names_are_refused() {
    let Some(container) = Container::new("ids") else { return };
    container.bundle.write();
    for id in ["..", "a/b", "a b", "", "ä", "../x", "a@b"] {
        let said = container.fails(&["create", id]);
        assert!(said.contains("is no container id"), "{id}: {said}");
    }
    let long = "x".repeat(300);
    let said = container.fails(&["create", &long]);
    assert!(said.contains("longer than 255 bytes"), "{said}");
    container.is_gone();
}

#[test]
fn the_log_tells_programs_why_in_json() {
    let Some(container) = Container::new("json_log") else { return };
    let log = container.bundle.dir.join("log.json");
    let log_name = log.to_str().expect("a path");
    container.fails(&["--log", log_name, "--log-format", "json", "state", container.id()]);
    container.fails(&["--log", log_name, "--log-format=json", "nonsense"]);
    let text = fs::read_to_string(&log).expect("the log");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines.iter().all(|line| line["level"] == "error" && line["time"].is_string()), "{text}");
    assert_eq!(lines[0]["msg"], format!("container `{}` does not exist", container.id()));
}

#[test]
fn an_unknown_capability_is_told_and_left_out() {
    let Some(mut container) = Container::new("unknown_capability") else { return };
    container.bundle.config["process"]["capabilities"]["bounding"] = json!(["CAP_OF_TOMORROW"]);
    container.bundle.write();
    let ran = container.call(&["create", container.id()]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.starts_with("warning: ") && ran.err.contains("CAP_OF_TOMORROW"), "{ran:?}");
}

#[test]
fn an_unknown_mount_option_is_an_error_that_names_it() {
    let Some(mut container) = Container::new("mount_option") else { return };
    container.bundle.config["mounts"][0]["options"] = json!(["nonsense"]);
    container.bundle.write();
    let said = container.fails(&["create", container.id()]);
    assert!(said.contains("mount proc on /proc") && said.contains("nonsense"), "{said}");
    container.is_gone();
}

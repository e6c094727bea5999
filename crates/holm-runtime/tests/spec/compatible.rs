//! What other people's suites found: habits of runc that the specification leaves open, and that engines rely on.

use serde_json::json;

use crate::common::Bundle;
use crate::said;

#[test]
fn a_ptmx_among_the_devices_does_not_replace_the_link() {
    let Some(mut bundle) = Bundle::new("a_ptmx_among_the_devices_does_not_replace_the_link") else { return };
    bundle.config["linux"]["devices"] = json!([{ "path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2 }]);
    assert_eq!(said(&mut bundle, "readlink /dev/ptmx"), "pts/ptmx\n");
}

#[test]
fn no_process_at_all_as_a_limit_means_one() {
    let Some(mut bundle) = Bundle::new("no_process_at_all_as_a_limit_means_one") else { return };
    bundle.config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({ "type": "cgroup" }));
    bundle.config["linux"]["resources"] = json!({ "pids": { "limit": 0 } });
    let files = ["/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/pids.max"];
    bundle.config["process"]["args"] = json!([
        "/bin/cat",
        files[usize::from(std::fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap_or(false))]
    ]);
    let ran = bundle.run();
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "1\n"), "{ran:?}");
}

#[test]
fn a_directory_to_start_in_is_made() {
    let Some(mut bundle) = Bundle::new("a_directory_to_start_in_is_made") else { return };
    bundle.config["process"]["cwd"] = json!("/not/there/yet");
    assert_eq!(said(&mut bundle, "pwd"), "/not/there/yet\n");
}

#[test]
fn of_two_entries_of_one_name_the_program_gets_the_last_and_home_is_never_empty() {
    let Some(mut bundle) = Bundle::new("of_two_entries_of_one_name") else { return };
    bundle.config["process"]["env"] = json!(["ONE=1", "PATH=/bin", "HOME=", "ONE=2"]);
    assert_eq!(said(&mut bundle, "env | grep -E '^(ONE|HOME)=' | sort"), "HOME=/\nONE=2\n");
}

#[test]
fn a_hook_in_the_place_of_the_program_has_the_programs_environment() {
    let Some(mut bundle) = Bundle::new("a_hook_in_the_place_of_the_program") else { return };
    bundle.config["process"]["env"] = json!(["ONE=two", "PATH=/bin"]);
    let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", "test \"$ONE\" = two"] });
    bundle.config["hooks"] = json!({ "startContainer": [hook] });
    assert_eq!(said(&mut bundle, "echo ran"), "ran\n");
}

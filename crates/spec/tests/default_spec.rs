//! The default configuration against the one the installed runc prints.

use serde_json::Value;
use spec::{default_spec, to_pretty_json, validate};
use std::path::PathBuf;
use std::process::Command;

#[test]
fn the_default_configuration_is_valid() {
    for rootless in [false, true] {
        let valid = validate(default_spec(rootless)).unwrap();
        assert_eq!(valid.warnings(), []);
        assert_eq!(spec::load(to_pretty_json(&*valid).unwrap().as_bytes()).unwrap(), *valid);
    }
}

#[test]
fn the_default_configuration_is_what_runc_prints() {
    for rootless in [false, true] {
        let Some(theirs) = runc_spec(rootless) else {
            eprintln!("SKIPPED the_default_configuration_is_what_runc_prints: no runc here");
            return;
        };
        assert_eq!(to_pretty_json(&default_spec(rootless)).unwrap(), as_the_newest_would(&theirs));
    }
}

fn runc_spec(rootless: bool) -> Option<String> {
    let bundle = Bundle::new(if rootless { "rootless" } else { "root" });
    let mut runc = Command::new("runc");
    runc.arg("spec").args(rootless.then_some("--rootless")).arg("--bundle").arg(&bundle.0);
    let output = runc.output().ok()?;
    assert!(output.status.success(), "{output:?}");
    Some(std::fs::read_to_string(bundle.0.join("config.json")).unwrap())
}

/// `text` without what differs by version and host: the version itself, ambient capabilities (gone in runc 1.3),
/// the `cgroup` namespace (on cgroup v2 only), the caller's ids. What is left is compared byte by byte.
fn as_the_newest_would(text: &str) -> String {
    let mut document: Value = serde_json::from_str(text).unwrap();
    document["process"]["capabilities"].as_object_mut().unwrap().remove("ambient");
    document["linux"]["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != "cgroup");
    for mappings in ["uidMappings", "gidMappings"] {
        if let Some(mapping) = document["linux"].get_mut(mappings) {
            mapping[0]["hostID"] = 0.into();
        }
    }
    let version = format!("\"ociVersion\": {}", document["ociVersion"]);
    let without: Vec<&str> = ambient_left_out(text);
    let text = without.join("\n").replace(&version, &format!("\"ociVersion\": \"{}\"", spec::OCI_VERSION));
    // The text keeps the order of properties, the value does not; both have to say the same.
    document["ociVersion"] = spec::OCI_VERSION.into();
    let text = caller_left_out(&text);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), document);
    text
}

fn ambient_left_out(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    if let Some(start) = lines.iter().position(|line| line.trim() == "\"ambient\": [") {
        let end = start + lines[start..].iter().position(|line| line.trim() == "]").unwrap();
        lines.drain(start..=end);
        // It was the last of its object: the one before has no comma now.
        lines[start - 1] = lines[start - 1].trim_end_matches(',');
    }
    lines
}

fn caller_left_out(text: &str) -> String {
    let cgroup = ",\n\t\t\t{\n\t\t\t\t\"type\": \"cgroup\"\n\t\t\t}";
    let lines = text.replace(cgroup, "");
    let lines = lines.lines().map(|line| match line.split_once("\"hostID\": ") {
        Some((indent, _)) => format!("{indent}\"hostID\": 0,"),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

struct Bundle(PathBuf);

impl Bundle {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("holm-spec-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

//! `holm image bootstrap`: it fetches a distribution's packages, so it is only done where somebody asks for it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const TEST: &str = "two_bootstraps_of_one_moment_are_one_image";

struct Away(PathBuf);

impl Drop for Away {
    fn drop(&mut self) {
        // A container that has ended leaves the layers of its image mounted for the next one.
        let _ = holm(&self.0, "first", &["image", "unmount", "--all"]);
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn holm(dir: &Path, store: &str, arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_holm"))
        .args(arguments)
        .env("HOLM_IMAGES", dir.join(store))
        .env("HOLM_RUNROOT", dir.join("run"))
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .output()
}

#[test]
fn two_bootstraps_of_one_moment_are_one_image() {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let word = |key: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(key));
        line.map(|word| word.trim_matches('"').to_owned()).unwrap_or_default()
    };
    let (name, suite) = (word("ID="), word("VERSION_CODENAME="));
    let skip = |reason: &str| eprintln!("SKIPPED {TEST}: {reason}");
    if std::env::var_os("HOLM_TEST_BOOTSTRAP").is_none() {
        return skip("it fetches packages from a mirror for minutes; set HOLM_TEST_BOOTSTRAP=1 for it");
    }
    if !rustix::process::geteuid().is_root() {
        return skip("needs root");
    }
    if !Path::new("/usr/bin/mmdebstrap").exists() || !matches!(name.as_str(), "debian" | "ubuntu") {
        return skip("there is no mmdebstrap, or this host is neither Debian nor Ubuntu");
    }
    let dir = Away(std::env::temp_dir().join(format!("holm-bootstrap-{}", std::process::id())));
    let holm = |store: &str, arguments: &[&str]| holm(&dir.0, store, arguments).unwrap();
    let made = |store: &str| {
        let output = holm(store, &["image", "bootstrap", &format!("{name}:{suite}")]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let first = made("first");
    assert!(first.starts_with("sha256:"), "{first}");
    assert_eq!(first, made("second"));
    let shown = holm("first", &["image", "inspect", &format!("{name}:{suite}")]).stdout;
    let shown: serde_json::Value = serde_json::from_slice(&shown).unwrap();
    let labels = &shown[0]["Config"]["Labels"];
    assert_eq!(labels["holm.bootstrap.suite"], suite.as_str());
    assert_eq!(labels["holm.bootstrap.source-date-epoch"], "1700000000");
    assert!(labels["org.opencontainers.image.source"].as_str().is_some_and(|text| text.starts_with("http")));
    let run = holm("first", &["run", "--net", "none", &format!("{name}:{suite}"), "cat", "/etc/os-release"]);
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(
        said.contains(&format!("VERSION_CODENAME={suite}")),
        "{said}{}",
        String::from_utf8_lossy(&run.stderr)
    );
}

//! The second disk: the built programs and test programs where they lie on the host, so that the paths compiled into tests
//! are right, the kernel's modules, and the list of what to run.

use super::apt::output;
use super::disk;
use super::kernel::Kernel;
use super::lane::Lane;
use crate::workspace::{cargo, root, which};
use serde_json::Value;
use std::error::Error;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Packages whose tests say the same on every kernel.
pub(super) const HOST_ONLY: &[&str] = &["xtask", "holm-dns", "holm-report", "holm-spec"];
/// Test programs that compile C programs, or only compute, by package and target.
const HOST_ONLY_PROGRAMS: &[(&str, &str)] = &[
    ("holm-cgroups", "cgroups"),
    ("holm-core", "enter_plans"),
    ("holm-core", "plans"),
    ("holm-engine", "fuzz_smoke"),
    ("holm-images", "registry"),
    ("holm-ip", "ip"),
    ("holm-netlink", "fuzz_smoke"),
    ("holm-network", "fuzz_smoke"),
    ("holm-network", "network"),
    ("holm-seccomp", "compile"),
    ("holm-seccomp", "docker_default"),
    ("holm-seccomp", "explain"),
    ("holm-seccomp", "json"),
    ("holm-seccomp", "kernel"),
    ("holm-seccomp", "libseccomp"),
    ("holm-seccomp", "seccomp"),
    ("holm", "network"),
    ("holm", "usage"),
];

/// A test program that emulation is too slow for: in a guest it runs when its package is asked for (docs/design/vm-test.md).
const NOT_YET: &[(&str, &str)] = &[("holm-netlink", "traffic")];

/// Test programs of which a guest runs these tests, unless their package is asked for: the others take minutes there.
const PARTS: &[(&str, &str, &str)] = &[("holm", "life", "verbs:: checks::")];

/// Something that cargo built.
#[derive(Debug)]
pub(super) struct Program {
    package: String,
    /// The target's name, for people.
    name: String,
    /// Where its tests expect to be.
    directory: PathBuf,
    file: PathBuf,
    is_test: bool,
    /// The tests of it that run where nothing else is said; all if empty.
    tests: &'static str,
}

/// Builds the workspace's programs and tests.
pub(super) fn build(only: &[String]) -> Result<Vec<Program>, Box<dyn Error>> {
    let built = cargo()
        .args([
            "test",
            "--no-run",
            "--workspace",
            "--lib",
            "--bins",
            "--tests",
            "--message-format",
            "json-render-diagnostics",
        ])
        .stderr(Stdio::inherit())
        .output()?;
    if !built.status.success() {
        return Err("the tests do not build".into());
    }
    let text = String::from_utf8_lossy(&built.stdout);
    let built = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|it| program(&it));
    let wanted = |it: &Program| {
        let named = only.is_empty() || only.contains(&it.package);
        let program = (it.package.as_str(), it.name.as_str());
        let here = !HOST_ONLY.contains(&it.package.as_str()) && !HOST_ONLY_PROGRAMS.contains(&program);
        let ready = !only.is_empty() || !NOT_YET.contains(&program);
        !it.is_test || (named && here && ready)
    };
    let part = |it: Program| {
        let found = PARTS.iter().find(|(package, name, _)| (*package, *name) == (&*it.package, &*it.name));
        let tests = found.filter(|_| only.is_empty()).map_or("", |(_, _, tests)| *tests);
        Program { tests, ..it }
    };
    Ok(built.filter(|it| it.package != "xtask" && wanted(it)).map(part).collect())
}

fn program(message: &Value) -> Option<Program> {
    let file = PathBuf::from(message["executable"].as_str()?);
    let directory = Path::new(message["manifest_path"].as_str()?).parent()?.to_path_buf();
    // `path+file:///…/crates/holm#0.1.0`, or `…/crates/runtime#holm-core@0.1.0` where the names differ.
    let id = message["package_id"].as_str()?;
    let package = match id.rsplit('#').next()?.split_once('@') {
        Some((name, _)) => name.to_owned(),
        None => directory.file_name()?.to_string_lossy().into_owned(),
    };
    Some(Program {
        package,
        name: message["target"]["name"].as_str()?.to_owned(),
        directory,
        file,
        is_test: message["profile"]["test"].as_bool()?,
        tests: "",
    })
}

/// Lays out the disk and returns its image.
pub(super) fn lay_out(
    directory: &Path,
    lane: &Lane,
    kernel: &Kernel,
    programs: &[Program],
    filter: &str,
) -> Result<PathBuf, Box<dyn Error>> {
    let tree = directory.join("payload");
    let _ = fs::remove_dir_all(&tree);
    let guest = tree.join("guest");
    fs::create_dir_all(guest.join("modules"))?;
    fs::write(guest.join("run"), include_str!("../../guest/run.sh"))?;
    fs::write(guest.join("smoke"), include_str!("../../guest/smoke.sh"))?;
    // It reads modules.dep as it is; kmod's needs an index of its own.
    symlink(disk::BUSYBOX, guest.join("modprobe"))?;
    // Tests find texts beside their sources, which expect-test looks for below the workspace's manifest.
    for (from, to) in [
        (kernel.modules.clone(), guest.join("modules")),
        (root().join("crates"), tree.clone()),
        (root().join("Cargo.toml"), tree.clone()),
        (root().join("Cargo.lock"), tree.clone()),
    ] {
        output(Command::new("cp").arg("-a").arg(from).arg(to))?;
    }
    // Cargo makes this one for tests that write.
    fs::create_dir_all(tree.join("target").join(triple(programs)).join("tmp"))?;
    let mut list = String::new();
    for program in programs {
        let to = tree.join(program.file.strip_prefix(root())?);
        fs::create_dir_all(to.parent().expect("a program lies in a directory"))?;
        stripped(&program.file, &to)?;
        let inside = tree.join(program.directory.strip_prefix(root())?);
        fs::create_dir_all(inside)?;
        let runs = lane.packages.is_empty() || lane.packages.contains(&program.package.as_str());
        if program.is_test && runs {
            let (directory, file) = (program.directory.display(), program.file.display());
            let filter = if filter.is_empty() { program.tests } else { filter };
            list.push_str(&format!("{}/{} {directory} {file} {filter}\n", program.package, program.name));
        }
    }
    fs::write(guest.join("list"), list)?;
    disk::image(&tree, &directory.join("payload.ext4"), 3072)
}

/// `x86_64-unknown-linux-gnu`, where cargo put the programs below that.
fn triple(programs: &[Program]) -> PathBuf {
    let target = root().join("target");
    let below = programs.iter().find_map(|it| it.file.strip_prefix(&target).ok()?.iter().next());
    below.map(PathBuf::from).unwrap_or_default()
}

/// Without its symbols a program is a quarter as large; where there is no strip(1) it goes as it is.
fn stripped(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    if which("strip").is_some() && Command::new("strip").arg("-o").arg(to).arg(from).status()?.success() {
        return Ok(());
    }
    fs::copy(from, to)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_package_is_called_as_in_its_manifest() {
        let message = |id: &str| {
            json!({"executable": "/w/target/a", "manifest_path": "/w/crates/holm/Cargo.toml", "package_id": id,
                   "target": {"name": "run"}, "profile": {"test": true}})
        };
        let name = |id: &str| program(&message(id)).unwrap().package;
        assert_eq!(name("path+file:///w/crates/runtime#holm-core@0.1.0"), "holm-core");
        assert_eq!(name("path+file:///w/crates/holm#0.1.0"), "holm");
    }
}

//! podman, docker and containerd run a Debian container with this runtime (`cargo xtask engines` says what is asked of each).

#[path = "common/path.rs"]
mod path;

use std::path::Path;
use std::process::{Command, Stdio};

fn with(engine: &str, programs: &[&str]) {
    let test = format!("{engine}_works_with_this_runtime");
    if !rustix::process::geteuid().is_root() {
        return eprintln!("SKIPPED {test}: it needs root");
    }
    if let Some(missing) = programs.iter().find(|program| !path::has(program)) {
        return eprintln!("SKIPPED {test}: it needs {missing} (`cargo xtask engines --install` gets it)");
    }
    let runtime = Path::new(env!("CARGO_BIN_EXE_holm-runtime"));
    let xtask = runtime.with_file_name("xtask");
    if !xtask.exists() {
        return eprintln!("SKIPPED {test}: it needs {} (`cargo build -p xtask`)", xtask.display());
    }
    let mut command = Command::new(xtask);
    command.args(["engines", "--engine", engine, "--runtime"]).arg(runtime).stdin(Stdio::null());
    let output = command.output().expect("xtask");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("ok 1 - "), "{out}{err}");
    if let Some(skipped) = out.lines().find(|line| line.starts_with("SKIPPED")) {
        panic!("{skipped}");
    }
}

#[test]
fn podman_works_with_this_runtime() {
    with("podman", &["podman", "conmon"]);
}

#[test]
fn docker_works_with_this_runtime() {
    with("docker", &["dockerd"]);
}

#[test]
fn containerd_works_with_this_runtime() {
    with("containerd", &["containerd", "ctr"]);
}

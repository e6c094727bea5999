//! Slurm runs a step with this runtime, which its oci.conf names.

#[path = "common/path.rs"]
mod path;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TEST: &str = "a_step_of_slurm_runs_in_a_container_and_goes_when_it_is_cancelled";

/// A directory that goes when this does.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_step_of_slurm_runs_in_a_container_and_goes_when_it_is_cancelled() {
    for (program, package) in
        [("slurmctld", "slurmctld"), ("slurmd", "slurmd"), ("srun", "slurm-client"), ("munged", "munge")]
    {
        if !path::has(program) {
            return eprintln!("SKIPPED {TEST}: it needs {program} (Debian: `apt-get install {package}`)");
        }
    }
    if !rustix::process::geteuid().is_root() || !Path::new("/bin/busybox").exists() {
        return eprintln!("SKIPPED {TEST}: it needs root and /bin/busybox");
    }
    let dir = Directory(std::env::temp_dir().join(format!("holm-{}-slurm", std::process::id())));
    std::fs::create_dir(&dir.0).expect("a directory");
    let script = dir.0.join("inside.sh");
    std::fs::write(&script, include_str!("slurm/inside.sh")).expect("the script");
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", "180", "unshare", "--mount", "--propagation=private", "--pid", "--fork"]);
    command.args(["--kill-child", "--mount-proc", "--net", "--uts", "--ipc", "sh"]).arg(&script);
    command.arg(env!("CARGO_BIN_EXE_holm-runtime")).arg(&dir.0).stdin(Stdio::null());
    let output = command.output().expect("timeout(1)");
    let out = String::from_utf8_lossy(&output.stdout);
    let said: Vec<&str> = out.lines().filter(|line| !line.starts_with('#')).collect();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said, ["step runc 1", "status 7", "running node.2.0.0", "left <>"], "{out}{err}");
    // Its containers have the names of steps.
    for name in ["node.1.0.0", "node.2.0.0"] {
        let left = Command::new("find").args(["/sys/fs/cgroup", "-name", name]).output().expect("find");
        assert!(left.stdout.is_empty(), "{left:?}");
    }
}

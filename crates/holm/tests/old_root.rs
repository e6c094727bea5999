//! What a container keeps of the mounts it was set up among: nothing.

use std::process::Command;

/// The mount points of a container that runs with `flags`.
fn mount_points(flags: &[&str]) -> Option<Vec<String>> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holm"));
    command.args(["run", "--rootfs", "/"]).args(flags).args(["--", "cat", "/proc/self/mountinfo"]);
    let output = command.output().expect("holm is there");
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        eprintln!("SKIPPED the_old_root_is_gone: no container here: {}", reason.trim());
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.lines().filter_map(|line| line.split(' ').nth(4)).map(str::to_owned).collect())
}

/// Mounts for the container's files and masks lie over the old root while it is set up; letting go of the topmost only would
/// leave the host's tree below it.
#[test]
fn the_old_root_is_gone_and_so_are_the_mounts_that_lay_on_it() {
    for flags in [&[][..], &["--userns", "host"], &["--security-opt", "systempaths=unconfined"]] {
        let Some(points) = mount_points(flags) else { continue };
        let roots = points.iter().filter(|point| *point == "/").count();
        assert_eq!(roots, 1, "with {flags:?} these are mounted: {points:?}");
    }
}

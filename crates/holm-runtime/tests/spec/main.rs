//! Clauses of the OCI runtime specification, each run for real through `holm-runtime run`. `docs/reference/oci-spec.md` names the test
//! of every clause.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/kernel.rs"]
mod kernel;

mod compatible;
mod landlock;
mod linux;
mod mounts;
mod net_devices;
mod process;
mod resources;
mod seccomp;

use std::process::{Command, Stdio};

use common::{Bundle, Ran};
use serde_json::json;

/// What a script prints, which has to succeed.
fn said(bundle: &mut Bundle, script: &str) -> String {
    let ran = bundle.script(script).run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.out
}

/// What a launch that has to fail tells.
fn refused(bundle: &Bundle) -> String {
    let ran = bundle.run();
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    ran.err
}

/// A user namespace of 65536 ids, from `first` on the host. Its root cannot make directories in a root filesystem of the host's root.
fn user_namespace(bundle: &mut Bundle, first: u32) {
    for name in ["dev", "proc", "sys"] {
        std::fs::create_dir_all(bundle.rootfs(name)).expect("a directory");
    }
    let map = json!([{ "containerID": 0, "hostID": first, "size": 65536 }]);
    bundle.config["linux"]["uidMappings"] = map.clone();
    bundle.config["linux"]["gidMappings"] = map;
    let namespaces = bundle.config["linux"]["namespaces"].as_array_mut().expect("a list");
    namespaces.push(json!({ "type": "user" }));
}

/// Runs the bundle in a mount namespace of its own, after a script in the bundle's directory. None, with a line that says why, where
/// that cannot be had.
fn in_mount_namespace(bundle: &Bundle, script: &str) -> Option<Ran> {
    let command = bundle.command();
    let mut outer = Command::new("unshare");
    outer.args([
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        &format!("{script} && exec \"$0\" \"$@\""),
    ]);
    outer.arg(command.get_program()).args(command.get_args()).current_dir(&bundle.dir).stdin(Stdio::null());
    match outer.output() {
        Ok(output) => {
            assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new(), "left behind");
            Some(Ran::of(&output))
        }
        Err(error) => {
            eprintln!("SKIPPED {}: unshare(1): {error}", bundle.id);
            None
        }
    }
}

/// The text of a mountinfo.
struct Mounts(String);

impl Mounts {
    /// The options and optional fields of the topmost mount at `path`.
    fn options(&self, path: &str) -> Vec<String> {
        let line = self.0.lines().rfind(|line| line.split(' ').nth(4) == Some(path));
        let line = line.unwrap_or_else(|| panic!("nothing at {path} in {}", self.0));
        let (mount, superblock) = line.split_once(" - ").expect("a line of mountinfo");
        // The mount's own options win: a superblock says `rw` also where the mount is read-only.
        let of_superblock = superblock.split(' ').nth(2).unwrap_or_default().split(',');
        let of_superblock = of_superblock.filter(|option| !matches!(*option, "rw" | "ro"));
        let of_mount = mount.split(' ').nth(5).unwrap_or_default().split(',');
        let fields = mount.split(' ').skip(6).map(|field| field.split(':').next().unwrap_or_default());
        of_mount.chain(of_superblock).chain(fields).map(String::from).collect()
    }
}

/// The container's mounts.
fn mounts_seen(bundle: &mut Bundle) -> Mounts {
    Mounts(said(bundle, "cat /proc/self/mountinfo"))
}

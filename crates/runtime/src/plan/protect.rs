//! What is set, hidden and made read-only in /proc and /sys.
//!
//! Writes go through a handle of a procfs of the container's own, beneath it and over no link: there is no path that somebody could
//! redirect (CVE-2025-52881).

use std::path::Path;

use init::ops::{Op, Slot};
use sys::{Errno, raw};

use super::mounts::{self, Tree};
use super::{Builder, PlanError, namespaces};

/// The container's procfs: the one it sees, or one that nobody ever sees.
fn proc(plan: &mut Builder<'_>, tree: &mut Tree) -> Slot {
    if let Some(proc) = tree.proc {
        return proc;
    }
    let proc = plan.ops.slot();
    mounts::filesystem(plan, "proc", &[], 0, proc);
    tree.proc = Some(proc);
    proc
}

pub(crate) fn sysctls(plan: &mut Builder<'_>, tree: &mut Tree) -> Result<(), PlanError> {
    let launch = plan.launch;
    for (key, value) in &launch.spec.linux.sysctl {
        plan.stage(
            format!("set {key} to {value}"),
            "as the specification asks, in the container's namespaces",
        );
        let root = proc(plan, tree);
        let Some(below) = spec::sysctl_path(key) else {
            return Err(PlanError::invalid(format!("sysctl {key}"), "it is no name of a kernel parameter"));
        };
        let path = plan.ops.text(format!("sys/{below}"));
        let bytes = plan.ops.blob(value.as_bytes());
        plan.push(Op::WriteBelow { root, path, bytes });
    }
    Ok(())
}

/// Settings of the process itself that are files of procfs.
pub(crate) fn own_settings(plan: &mut Builder<'_>, tree: &mut Tree) -> Result<(), PlanError> {
    let launch = plan.launch;
    let offsets = namespaces::time_offsets(plan);
    if !offsets.is_empty() {
        plan.stage("set the clocks of the time namespace", "before a process is in it (time_namespaces(7))");
        write_own(plan, tree, "timens_offsets", offsets.as_bytes());
    }
    if let Some(wish) = launch.spec.process.oom_score_adj {
        let possible =
            if plan.facts.can_raise_limits() { wish } else { wish.max(plan.facts.on_demand.oom_score_adj()) };
        if possible != wish {
            plan.note(format!(
                "the OOM score adjustment is {possible}, not {wish}: lowering it takes CAP_SYS_RESOURCE"
            ));
        }
        plan.stage(format!("set the OOM score adjustment to {possible}"), "as the specification asks");
        write_own(plan, tree, "oom_score_adj", possible.to_string().as_bytes());
    }
    labels(plan, tree)
}

/// AppArmor's profile and SELinux's label of the program, which take effect with execve (apparmor(7), proc_pid_attr(5)).
fn labels(plan: &mut Builder<'_>, tree: &mut Tree) -> Result<(), PlanError> {
    let launch = plan.launch;
    let process = &launch.spec.process;
    let profile = &process.apparmor_profile;
    if !profile.is_empty() {
        if !plan.facts.on_demand.apparmor() {
            return Err(PlanError::unsupported(
                format!("process.apparmorProfile `{profile}`"),
                "AppArmor is not active on this host",
            )
            .with_hint(
                "start the container without a profile, or boot with `apparmor=1 security=apparmor`",
            ));
        }
        plan.stage(format!("take the AppArmor profile {profile}"), "with execve");
        // A directory of its own since Linux 5.8; before, and where that is not built in, LSMs share one file.
        let name = if plan.facts.kernel >= (5, 8) { "attr/apparmor/exec" } else { "attr/exec" };
        write_own(plan, tree, name, format!("exec {profile}").as_bytes());
    }
    let label = &process.selinux_label;
    let mount_label = &launch.spec.linux.mount_label;
    for (property, label) in [("process.selinuxLabel", label), ("linux.mountLabel", mount_label)] {
        if !label.is_empty() && !plan.facts.on_demand.selinux() {
            return Err(PlanError::unsupported(
                format!("{property} `{label}`"),
                "SELinux is not active on this host",
            ));
        }
    }
    if !label.is_empty() {
        plan.stage(format!("take the SELinux label {label}"), "with execve; keys made until then get it too");
        write_own(plan, tree, "attr/exec", label.as_bytes());
        write_own(plan, tree, "attr/keycreate", label.as_bytes());
    }
    Ok(())
}

fn write_own(plan: &mut Builder<'_>, tree: &mut Tree, name: &str, bytes: &[u8]) {
    let proc = proc(plan, tree);
    let name = plan.ops.text(name);
    let bytes = plan.ops.blob(bytes);
    plan.push(Op::WriteOwn { proc, name, bytes });
}

/// Masked and read-only paths.
pub(crate) fn paths(plan: &mut Builder<'_>, tree: &mut Tree) -> Result<(), PlanError> {
    let launch = plan.launch;
    let linux = &launch.spec.linux;
    if !linux.readonly_paths.is_empty() {
        let list = linux.readonly_paths.join(" ");
        plan.stage(format!("make read-only: {list}"), "they are the host's as well");
        for path in distinct(&linux.readonly_paths) {
            readonly(plan, tree, &path);
        }
    }
    if !linux.masked_paths.is_empty() {
        plan.stage(
            format!("hide: {}", linux.masked_paths.join(" ")),
            "they tell about the host, or change it",
        );
        let null = null(plan, tree);
        let empty = tree.scratch.empty.unwrap_or(Slot::NONE);
        for path in distinct(&linux.masked_paths) {
            let (root, below) = below_proc(tree, &path);
            // Names directly in procfs are the kernel's own.
            let direct = tree.proc == Some(root) && is_plain_name(below);
            let path = plan.ops.text(below);
            plan.push(Op::Mask { root, path, null, empty, direct });
        }
        plan.ops.close(null);
        plan.ops.close(empty);
    }
    Ok(())
}

/// Each place once, from the root on: two mounts on one place hide no more than one.
fn distinct(paths: &[String]) -> Vec<String> {
    let mut seen: Vec<String> = Vec::with_capacity(paths.len());
    for path in paths {
        let normal = mounts::normal(path).to_string_lossy().into_owned();
        if !seen.contains(&normal) {
            seen.push(normal);
        }
    }
    seen
}

/// A null device that the root's maker had no hand in (CVE-2025-31133).
fn null(plan: &mut Builder<'_>, tree: &Tree) -> Slot {
    let null = plan.ops.slot();
    match tree.dev {
        Some(dev) => {
            let name = plan.ops.text("null");
            plan.push(Op::OpenTree { dir: dev, name, flags: 0, out: null });
        }
        None => {
            let name = plan.ops.text("/dev/null");
            plan.push(Op::OpenTree { dir: Slot::CWD, name, flags: 0, out: null });
        }
    }
    plan.push(Op::CheckDevice { fd: null, major: 1, minor: 3 });
    null
}

/// A path as one below the container's own procfs if it leads there, or below the root.
fn below_proc<'a>(tree: &Tree, path: &'a str) -> (Slot, &'a str) {
    let in_proc = Path::new(path).strip_prefix("/proc").ok().and_then(Path::to_str);
    match (tree.proc, in_proc) {
        (Some(proc), Some(name)) if !name.is_empty() => (proc, name),
        _ => (tree.root, path),
    }
}

fn readonly(plan: &mut Builder<'_>, tree: &Tree, path: &str) {
    let copy = plan.ops.slot();
    let in_proc = Path::new(path).strip_prefix("/proc").ok().and_then(Path::to_str);
    // Names directly in procfs are the kernel's: they are no links, and there is nothing to follow.
    let kernels_own = in_proc.filter(|name| is_plain_name(name));
    if let (Some(proc), Some(name), true) = (tree.proc, kernels_own, plan.facts.calls.mount_setattr) {
        let name = plan.ops.text(name);
        // Where it does not exist there is nothing to protect.
        let flags = raw::OPEN_TREE_CLONE | raw::AT_RECURSIVE;
        let absent = Errno::NOENT.raw() as u32;
        if plan.facts.calls.open_tree_attr {
            plan.push(Op::Tolerate { errno: absent, skip: 2 });
            plan.push(Op::OpenTreeAttr { dir: proc, name, flags, set: raw::MOUNT_ATTR_RDONLY, out: copy });
        } else {
            plan.push(Op::Tolerate { errno: absent, skip: 3 });
            plan.push(Op::OpenTree { dir: proc, name, flags, out: copy });
            set_readonly(plan, copy);
        }
        plan.push(Op::MoveMount { from: copy, to: proc, name });
        plan.ops.close(copy);
        return;
    }
    let place = plan.ops.slot();
    let (root, name) = below_proc(tree, path);
    let name = plan.ops.text(name);
    let flags = raw::OPEN_TREE_CLONE | raw::AT_RECURSIVE | raw::AT_EMPTY_PATH;
    plan.push(Op::Tolerate { errno: Errno::NOENT.raw() as u32, skip: 5 });
    plan.push(Op::OpenBelow { root, path: name, flags: raw::O_PATH, no_links: false, out: place });
    let empty = plan.ops.text("");
    plan.push(Op::OpenTree { dir: place, name: empty, flags, out: copy });
    if plan.facts.calls.mount_setattr {
        set_readonly(plan, copy);
        plan.push(Op::MoveMount { from: copy, to: place, name: empty });
    } else {
        plan.push(Op::MoveMount { from: copy, to: place, name: empty });
        let flags = raw::MS_RDONLY | raw::MS_NOSUID | raw::MS_NODEV | raw::MS_NOEXEC;
        plan.push(Op::MountByFd { mount: copy, flags: raw::MS_REMOUNT | raw::MS_BIND | flags });
    }
    plan.ops.close(place);
    plan.ops.close(copy);
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('/') && name != "." && name != ".."
}

fn set_readonly(plan: &mut Builder<'_>, mount: Slot) {
    let set = raw::MOUNT_ATTR_RDONLY;
    plan.push(Op::MountAttr { mount, recursive: true, set, clear: 0, propagation: 0, userns: Slot::NONE });
}

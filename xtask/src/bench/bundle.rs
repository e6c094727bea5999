//! The container that is launched: a root filesystem with nothing but `/bin/true`, and its configuration.

use super::scenario::Scenario;
use crate::workspace::{must, which};
use seccomp::{Action, Arch, Op, Profile};
use serde_json::{Value, json};
use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes the root filesystem below `scratch`.
pub(super) fn rootfs(scratch: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let rootfs = scratch.join("rootfs");
    for directory in ["bin", "dev", "proc", "sys"] {
        fs::create_dir_all(rootfs.join(directory))?;
    }
    let program = rootfs.join("bin/true");
    match which("busybox").filter(|busybox| is_static(busybox)) {
        Some(busybox) => drop(fs::copy(busybox, &program)?),
        None => {
            let source = scratch.join("true.c");
            fs::write(&source, "int main(void) { return 0; }\n")?;
            must(Command::new("cc").args(["-O2", "-static", "-o"]).args([&program, &source]))?;
        }
    }
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    // The root of a user namespace is an ordinary user on the way here.
    for directory in rootfs.ancestors() {
        let mode = fs::metadata(directory)?.permissions().mode();
        if mode & 0o001 == 0 {
            eprintln!(
                "note: {} is closed to others; launches with a user namespace may fail",
                directory.display()
            );
        }
    }
    Ok(rootfs)
}

/// A dynamic one would not start in a root filesystem without libraries.
fn is_static(program: &Path) -> bool {
    fs::read(program).is_ok_and(|bytes| !bytes.windows(8).any(|window| window == b"/ld-linu"))
}

/// What `runc spec` writes, for `/bin/true` without a terminal and with a cgroup namespace.
pub(super) fn config(scenario: &Scenario, rootfs: &Path) -> Value {
    let kept = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    let mut namespaces = vec!["pid", "ipc", "uts", "mount", "cgroup"];
    namespaces.extend(scenario.network.then_some("network"));
    namespaces.extend(scenario.user.then_some("user"));
    let namespaces: Vec<Value> = namespaces.into_iter().map(|kind| json!({ "type": kind })).collect();
    let mut linux = json!({
        "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
        "namespaces": namespaces,
        "maskedPaths": [
            "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
            "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"
        ],
        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
    });
    if scenario.user {
        let ids = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
        linux["uidMappings"] = ids.clone();
        linux["gidMappings"] = ids;
    }
    if scenario.seccomp {
        linux["seccomp"] = oci_seccomp(&default_profile());
    }
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": ["/bin/true"],
            "env": ["PATH=/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": { "bounding": kept, "effective": kept, "permitted": kept },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
            "noNewPrivileges": true
        },
        "root": { "path": rootfs, "readonly": true },
        "hostname": "bench",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
              "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
            { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
              "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] },
            { "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
              "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"] },
            { "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
              "options": ["nosuid", "noexec", "nodev"] },
            { "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"] },
            { "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
              "options": ["nosuid", "noexec", "nodev", "relatime", "ro"] }
        ],
        "linux": linux
    })
}

/// Docker's default profile for the capabilities of [`config`].
fn default_profile() -> Profile {
    let kept = 1 << 29 | 1 << 5 | 1 << 10;
    seccomp::default_profile(kept, (6, 0), Arch::X86_64)
}

/// The filter our compiler makes of it, for the floor.
pub(super) fn default_filter() -> Result<Vec<u8>, Box<dyn Error>> {
    Ok(seccomp::compile(&default_profile(), Arch::X86_64)?.to_bytes())
}

/// A profile as `linux.seccomp`, for the runtimes.
fn oci_seccomp(profile: &Profile) -> Value {
    let calls = profile.rules.iter().map(|rule| {
        let (action, errno) = oci_action(rule.action);
        let args: Vec<Value> = rule
            .args
            .iter()
            .map(|arg| json!({ "index": arg.index(), "value": arg.value, "valueTwo": arg.value_two, "op": oci_op(arg.op) }))
            .collect();
        let mut call = json!({ "names": rule.names, "action": action });
        if let Some(errno) = errno {
            call["errnoRet"] = errno.into();
        }
        if !args.is_empty() {
            call["args"] = args.into();
        }
        call
    });
    let (action, errno) = oci_action(profile.default_action);
    json!({
        "defaultAction": action,
        "defaultErrnoRet": errno,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": calls.collect::<Vec<_>>()
    })
}

fn oci_action(action: Action) -> (&'static str, Option<u32>) {
    match action {
        Action::Allow => ("SCMP_ACT_ALLOW", None),
        Action::Errno(errno) => ("SCMP_ACT_ERRNO", Some(errno.into())),
        Action::Log => ("SCMP_ACT_LOG", None),
        Action::Trap => ("SCMP_ACT_TRAP", None),
        Action::Trace(_) => ("SCMP_ACT_TRACE", None),
        Action::Notify => ("SCMP_ACT_NOTIFY", None),
        Action::KillThread => ("SCMP_ACT_KILL_THREAD", None),
        Action::KillProcess => ("SCMP_ACT_KILL_PROCESS", None),
    }
}

fn oci_op(op: Op) -> &'static str {
    match op {
        Op::Ne => "SCMP_CMP_NE",
        Op::Lt => "SCMP_CMP_LT",
        Op::Le => "SCMP_CMP_LE",
        Op::Eq => "SCMP_CMP_EQ",
        Op::Ge => "SCMP_CMP_GE",
        Op::Gt => "SCMP_CMP_GT",
        Op::MaskedEq => "SCMP_CMP_MASKED_EQ",
    }
}

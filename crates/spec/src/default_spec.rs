//! The configuration to start from, as `runc spec` prints it.

use crate::config::{Mount, Root, Spec};
use crate::id_map::IdMapping;
use crate::linux::{Linux, Namespace, NamespaceType};
use crate::process::{Capabilities, Process};
use crate::resources::{DeviceRule, Resources};
use crate::rlimit::{Resource, Rlimit};

/// The configuration runc starts from: a shell with a terminal, a read-only root and three capabilities.
///
/// With `rootless` it is one for a user namespace of one id, with the host's network. Its mappings stand for host
/// id 0: whoever knows the caller sets `host_id` to the caller's own, and adds a `cgroup` namespace on cgroup v2,
/// as runc does.
pub fn default_spec(rootless: bool) -> Spec {
    let capabilities = strings(&["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    Spec {
        oci_version: crate::OCI_VERSION.to_owned(),
        process: Process {
            terminal: true,
            args: strings(&["sh"]),
            env: strings(&[
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "TERM=xterm",
            ]),
            cwd: "/".to_owned(),
            capabilities: Capabilities {
                bounding: capabilities.clone(),
                effective: capabilities.clone(),
                permitted: capabilities,
                ..Capabilities::default()
            },
            rlimits: vec![Rlimit { resource: Resource::Nofile, hard: 1024, soft: 1024 }],
            no_new_privileges: true,
            ..Process::default()
        },
        root: Root { path: "rootfs".to_owned(), readonly: true },
        hostname: "runc".to_owned(),
        mounts: mounts(rootless),
        linux: linux(rootless),
        ..Spec::default()
    }
}

fn mounts(rootless: bool) -> Vec<Mount> {
    let mount = |destination: &str, fstype: &str, source: &str, options: &[&str]| Mount {
        destination: destination.to_owned(),
        fstype: fstype.to_owned(),
        source: source.to_owned(),
        options: strings(options),
        ..Mount::default()
    };
    // Group 5 (tty) does not exist in a namespace of one id.
    let pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"];
    vec![
        mount("/proc", "proc", "proc", &[]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("/dev/pts", "devpts", "devpts", if rootless { &pts[..5] } else { &pts }),
        mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        if rootless {
            // A new sysfs needs a network namespace of one's own.
            mount("/sys", "none", "/sys", &["rbind", "nosuid", "noexec", "nodev", "ro"])
        } else {
            mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"])
        },
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
    ]
}

fn linux(rootless: bool) -> Linux {
    use NamespaceType::{Ipc, Mount, Network, Pid, User, Uts};
    let kinds = if rootless { [Pid, Ipc, Uts, Mount, User] } else { [Pid, Network, Ipc, Uts, Mount] };
    let mappings =
        if rootless { vec![IdMapping { container_id: 0, host_id: 0, size: 1 }] } else { Vec::new() };
    let deny_all = DeviceRule { allow: false, access: "rwm".to_owned(), ..DeviceRule::default() };
    Linux {
        uid_mappings: mappings.clone(),
        gid_mappings: mappings,
        resources: Resources {
            devices: if rootless { Vec::new() } else { vec![deny_all] },
            ..Resources::default()
        },
        namespaces: kinds.map(|kind| Namespace { kind, path: String::new() }).to_vec(),
        masked_paths: strings(&[
            "/proc/acpi",
            "/proc/asound",
            "/proc/kcore",
            "/proc/keys",
            "/proc/latency_stats",
            "/proc/timer_list",
            "/proc/timer_stats",
            "/proc/sched_debug",
            "/sys/firmware",
            "/proc/scsi",
        ]),
        readonly_paths: strings(&["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]),
        ..Linux::default()
    }
}

fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

/// A document as runc writes it: indented with tabs, without a line break at the end.
///
/// # Errors
/// Those of the document's own `Serialize`; the documents of this crate have none.
pub fn to_pretty_json(document: &impl serde::Serialize) -> Result<String, serde_json::Error> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    document.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

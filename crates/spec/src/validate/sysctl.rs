//! Which kernel parameters a container may set: those that belong to one of its own namespaces.

use super::Findings;
use crate::config::Spec;
use crate::json_path::Key;
use crate::linux::NamespaceType;

/// The file of a parameter below `/proc/sys`: `net/ipv4/conf/eth0.100/forwarding`.
///
/// Both ways of sysctl(8) to write one are taken: names separated by `.` in which `/` stands for a dot, or the
/// other way round; the first separator tells which. `None` for a name that would lead out of its directory.
pub fn path(key: &str) -> Option<String> {
    let separator = key.find(['.', '/'])?;
    let path: String = if key.as_bytes()[separator] == b'/' {
        key.to_owned()
    } else {
        key.chars()
            .map(|character| match character {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect()
    };
    let safe = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
    path.split('/').all(safe).then_some(path)
}

/// The namespace a parameter belongs to.
fn owner(path: &str) -> Option<NamespaceType> {
    match path {
        // ipc/ipc_sysctl.c
        "kernel/msgmax"
        | "kernel/msgmnb"
        | "kernel/msgmni"
        | "kernel/auto_msgmni"
        | "kernel/sem"
        | "kernel/shmall"
        | "kernel/shmmax"
        | "kernel/shmmni"
        | "kernel/shm_rmid_forced"
        | "kernel/msg_next_id"
        | "kernel/sem_next_id"
        | "kernel/shm_next_id" => Some(NamespaceType::Ipc),
        "kernel/hostname" | "kernel/domainname" => Some(NamespaceType::Uts),
        _ if path.starts_with("fs/mqueue/") => Some(NamespaceType::Ipc),
        _ if path.starts_with("net/") => Some(NamespaceType::Network),
        // kernel/ucount.c
        _ if path.starts_with("user/") => Some(NamespaceType::User),
        _ => None,
    }
}

pub(super) fn check(spec: &Spec, findings: &mut Findings) {
    let mut paths: Vec<String> = Vec::new();
    for (key, value) in &spec.linux.sysctl {
        let at = format_args!("linux.sysctl{}", Key(key));
        let Some(path) = path(key) else {
            findings.wrong(at, "is not a name such as `net.ipv4.ip_forward`");
            continue;
        };
        match owner(&path) {
            None => findings.wrong(
                at,
                "belongs to no namespace; allowed are net.*, fs.mqueue.*, user.*, kernel.domainname, \
                 kernel.hostname and the kernel.msg*, kernel.sem* and kernel.shm* of System V IPC",
            ),
            Some(kind) if spec.linux.namespace(kind).is_none() => {
                findings.wrong(at, format!("needs a `{kind}` namespace; it would be set on the host"));
            }
            Some(_) => {}
        }
        for (file, property, name) in [
            ("kernel/hostname", "hostname", &spec.hostname),
            ("kernel/domainname", "domainname", &spec.domainname),
        ] {
            if path == file && !name.is_empty() && name != value {
                findings.wrong(at, format!("contradicts `{property}`, which is `{name}`"));
            }
        }
        if paths.contains(&path) {
            findings.wrong(at, format!("names /proc/sys/{path} a second time"));
        }
        paths.push(path);
    }
}

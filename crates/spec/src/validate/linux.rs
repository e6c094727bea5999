//! Rules of the `linux` section.

use super::{Findings, ids, resources, seccomp, sysctl};
use crate::config::Spec;
use crate::cpu_list;
use crate::json_path::Key;
use crate::linux::{Device, DeviceType, Linux, MemoryPolicyFlag, MemoryPolicyMode, NamespaceType};

pub(super) fn check(spec: &Spec, findings: &mut Findings) {
    let linux = &spec.linux;
    mappings(linux, findings);
    sysctl::check(spec, findings);
    resources::check(&linux.resources, "linux.resources.", findings);
    if linux.cgroups_path.split('/').any(|part| part == "..") {
        findings.wrong(
            format_args!("linux.cgroupsPath"),
            "has a `..` in it; it has to stay below the cgroup root",
        );
    }
    namespaces(linux, findings);
    for (at, device) in linux.devices.iter().enumerate() {
        self::device(at, device, findings);
    }
    net_devices(linux, findings);
    if let Some(seccomp) = &linux.seccomp {
        seccomp::check(seccomp, findings);
    }
    for (property, paths) in [("maskedPaths", &linux.masked_paths), ("readonlyPaths", &linux.readonly_paths)]
    {
        for (at, path) in paths.iter().enumerate() {
            // One that is not absolute is taken from the root on, as with runc.
            if path.is_empty() {
                findings
                    .wrong(format_args!("linux.{property}[{at}]"), "is empty; it has to be an absolute path");
            }
        }
        if !paths.is_empty() && linux.namespace(NamespaceType::Mount).is_none() {
            let wrong = "needs a `mount` namespace; it would be done on the host";
            findings.wrong(format_args!("linux.{property}"), wrong);
        }
    }
    intel_rdt(linux, findings);
    memory_policy(linux, findings);
    if linux.personality.as_ref().is_some_and(|personality| !personality.flags.is_empty()) {
        let path = format_args!("linux.personality.flags");
        findings.warn(path, "is left out: the specification has no flag yet");
    }
    time_offsets(linux, findings);
}

fn mappings(linux: &Linux, findings: &mut Findings) {
    let user = linux.namespace(NamespaceType::User);
    for (property, mappings) in [("uidMappings", &linux.uid_mappings), ("gidMappings", &linux.gid_mappings)] {
        let path = format_args!("linux.{property}");
        match user {
            None if !mappings.is_empty() => {
                findings.wrong(path, "needs a `user` namespace in linux.namespaces")
            }
            // containerd and CRI-O write both; whether they agree is for the one who opens the namespace.
            Some(user) if !user.is_new() && !mappings.is_empty() => {
                findings.warn(path, format!("is of no effect: {} has its own mappings", user.path));
            }
            Some(user) if user.is_new() && mappings.is_empty() => {
                findings.wrong(path, "is missing; a new `user` namespace needs it");
            }
            _ => {}
        }
        ids::check(path, mappings, findings);
    }
}

fn namespaces(linux: &Linux, findings: &mut Findings) {
    for (at, namespace) in linux.namespaces.iter().enumerate() {
        if linux.namespaces[..at].iter().any(|earlier| earlier.kind == namespace.kind) {
            findings.wrong(
                format_args!("linux.namespaces[{at}].type"),
                format!("`{}` comes twice", namespace.kind),
            );
        }
        if !namespace.is_new() {
            findings.absolute(format_args!("linux.namespaces[{at}].path"), &namespace.path);
        }
    }
}

fn device(at: usize, device: &Device, findings: &mut Findings) {
    findings.absolute(format_args!("linux.devices[{at}].path"), &device.path);
    if device.kind != DeviceType::Fifo {
        // MINORBITS, include/linux/kdev_t.h.
        findings.range(format_args!("linux.devices[{at}].major"), device.major, 0, (1 << 12) - 1);
        findings.range(format_args!("linux.devices[{at}].minor"), device.minor, 0, (1 << 20) - 1);
    }
    // The type may be part of the mode, as in st_mode; other runtimes take it out as well.
    if let Some(mode) = device.file_mode.filter(|mode| *mode & !0o177_777 != 0) {
        let wrong = format!("{mode} is out of range; allowed are 0 to 4095 (0o7777)");
        findings.wrong(format_args!("linux.devices[{at}].fileMode"), wrong);
    }
    for (property, id) in [("uid", device.uid), ("gid", device.gid)] {
        if id == Some(u32::MAX) {
            let wrong = "4294967295 is no id; allowed are 0 to 4294967294";
            findings.wrong(format_args!("linux.devices[{at}].{property}"), wrong);
        }
    }
}

fn net_devices(linux: &Linux, findings: &mut Findings) {
    if !linux.net_devices.is_empty() && linux.namespace(NamespaceType::Network).is_none() {
        findings.wrong(format_args!("linux.netDevices"), "needs a `network` namespace to move devices to");
    }
    let mut taken: Vec<&str> = Vec::new();
    for (name, device) in &linux.net_devices {
        if !is_interface_name(name) {
            findings.wrong(format_args!("linux.netDevices{}", Key(name)), INTERFACE_NAME);
        }
        let inside = if device.name.is_empty() { name } else { &device.name };
        let template = inside.contains('%');
        if !is_interface_name(inside)
            || template && (inside.matches('%').count() != 1 || !inside.contains("%d"))
        {
            findings.wrong(format_args!("linux.netDevices{}.name", Key(name)), INTERFACE_NAME);
        } else if !template && taken.contains(&inside.as_str()) {
            let wrong = format!("`{inside}` is the name of another device already");
            findings.wrong(format_args!("linux.netDevices{}.name", Key(name)), wrong);
        }
        taken.push(inside);
    }
}

const INTERFACE_NAME: &str = "is no name of a network device: 1 to 15 bytes without `/`, `:` and spaces, at most one `%d` in a new name";

/// `dev_valid_name()`, net/core/dev.c; IFNAMSIZ includes the terminating NUL byte.
pub(super) fn is_interface_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.len() < 16
        && !name
            .bytes()
            .any(|byte| matches!(byte, b'/' | b':' | 0) || byte.is_ascii_whitespace() || byte == 0x0b)
}

fn intel_rdt(linux: &Linux, findings: &mut Findings) {
    let Some(rdt) = &linux.intel_rdt else { return };
    let id = rdt.clos_id.as_str();
    if matches!(id, "." | "..") || id.len() > 1 && id.contains('/') {
        let wrong = format!("`{id}` is not the name of a directory, nor `/` for the default class");
        findings.wrong(format_args!("linux.intelRdt.closID"), wrong);
    }
    for (at, line) in rdt.schemata.iter().enumerate() {
        one_line(format_args!("linux.intelRdt.schemata[{at}]"), line, findings);
    }
    one_line(format_args!("linux.intelRdt.l3CacheSchema"), &rdt.l3_cache_schema, findings);
    if !rdt.l3_cache_schema.is_empty() && !rdt.l3_cache_schema.starts_with("L3:") {
        findings.warn(format_args!("linux.intelRdt.l3CacheSchema"), "should start with `L3:`");
    }
    one_line(format_args!("linux.intelRdt.memBwSchema"), &rdt.mem_bw_schema, findings);
    if !rdt.mem_bw_schema.is_empty() && !rdt.mem_bw_schema.starts_with("MB:") {
        findings.wrong(format_args!("linux.intelRdt.memBwSchema"), "has to start with `MB:`");
    }
}

/// A line break would make two lines of a file out of one.
fn one_line(path: std::fmt::Arguments<'_>, line: &str, findings: &mut Findings) {
    if line.contains('\n') {
        findings.wrong(path, "has a line break in it; it has to be one line");
    }
}

/// The rules of set_mempolicy(2).
fn memory_policy(linux: &Linux, findings: &mut Findings) {
    let Some(policy) = &linux.memory_policy else { return };
    let path = format_args!("linux.memoryPolicy.nodes");
    match cpu_list::parse(&policy.nodes) {
        None => {
            let wrong =
                format!("invalid memory policy nodes: `{}` is not a list such as `0-3,7`", policy.nodes);
            findings.wrong(path, wrong);
        }
        Some(nodes) => match policy.mode {
            MemoryPolicyMode::Default | MemoryPolicyMode::Local if !nodes.is_empty() => {
                let count = cpu_list::count(&nodes);
                findings.wrong(path, format!("{} mode requires 0 nodes but got {count}", policy.mode));
            }
            MemoryPolicyMode::Bind
            | MemoryPolicyMode::Interleave
            | MemoryPolicyMode::WeightedInterleave
            | MemoryPolicyMode::PreferredMany
                if nodes.is_empty() =>
            {
                findings.wrong(path, format!("is empty; {} needs at least one node", policy.mode));
            }
            _ => {}
        },
    }
    let has = |flag| policy.flags.contains(&flag);
    if has(MemoryPolicyFlag::StaticNodes) && has(MemoryPolicyFlag::RelativeNodes) {
        let wrong = "has both MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES; only one of them is allowed";
        findings.wrong(format_args!("linux.memoryPolicy.flags"), wrong);
    }
}

fn time_offsets(linux: &Linux, findings: &mut Findings) {
    let offsets = &linux.time_offsets;
    for (clock, offset) in [("monotonic", offsets.monotonic), ("boottime", offsets.boottime)] {
        let Some(offset) = offset else { continue };
        // timens_set_offset: `KTIME_SEC_MAX`, and less than a second of nanoseconds.
        findings.range(
            format_args!("linux.timeOffsets.{clock}.secs"),
            offset.secs,
            -9_223_372_036,
            9_223_372_036,
        );
        let path = format_args!("linux.timeOffsets.{clock}.nanosecs");
        findings.range(path, offset.nanosecs.into(), 0, 999_999_999);
        match linux.namespace(NamespaceType::Time) {
            Some(time) if time.is_new() => {}
            Some(_) => findings.wrong(
                format_args!("linux.timeOffsets.{clock}"),
                "cannot be set in a `time` namespace that is joined; only in a new one",
            ),
            None => findings.wrong(
                format_args!("linux.timeOffsets.{clock}"),
                "needs a new `time` namespace in linux.namespaces",
            ),
        }
    }
}

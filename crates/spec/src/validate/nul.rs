//! Strings that the kernel, or a program that is executed, sees up to their first NUL byte.
//!
//! A check that reads the whole string and a kernel that reads half of it do not judge the same thing.
//! Annotations are not among them: they travel as JSON.

use crate::config::Spec;
use crate::json_path::Key;
use std::fmt::Arguments;

/// Calls `found` for every string of `spec` with a NUL byte in it.
pub(crate) fn check(spec: &Spec, found: &mut dyn FnMut(Arguments<'_>, &str)) {
    let mut text = |path: Arguments<'_>, value: &str| {
        if value.as_bytes().contains(&0) {
            found(path, value);
        }
    };
    let process = &spec.process;
    list(&mut text, "process.args", &process.args);
    list(&mut text, "process.env", &process.env);
    text(format_args!("process.cwd"), &process.cwd);
    text(format_args!("process.apparmorProfile"), &process.apparmor_profile);
    text(format_args!("process.selinuxLabel"), &process.selinux_label);
    text(format_args!("root.path"), &spec.root.path);
    text(format_args!("hostname"), &spec.hostname);
    text(format_args!("domainname"), &spec.domainname);
    for (at, mount) in spec.mounts.iter().enumerate() {
        text(format_args!("mounts[{at}].destination"), &mount.destination);
        text(format_args!("mounts[{at}].type"), &mount.fstype);
        text(format_args!("mounts[{at}].source"), &mount.source);
        for (option, value) in mount.options.iter().enumerate() {
            text(format_args!("mounts[{at}].options[{option}]"), value);
        }
    }
    for (kind, hooks) in spec.hooks.by_kind() {
        for (at, hook) in hooks.iter().enumerate() {
            text(format_args!("hooks.{kind}[{at}].path"), &hook.path);
            for (arg, value) in hook.args.iter().enumerate() {
                text(format_args!("hooks.{kind}[{at}].args[{arg}]"), value);
            }
            for (variable, value) in hook.env.iter().enumerate() {
                text(format_args!("hooks.{kind}[{at}].env[{variable}]"), value);
            }
        }
    }
    linux(spec, &mut text);
}

fn linux(spec: &Spec, text: &mut dyn FnMut(Arguments<'_>, &str)) {
    let linux = &spec.linux;
    for (key, value) in &linux.sysctl {
        text(format_args!("linux.sysctl"), key);
        text(format_args!("linux.sysctl{}", Key(key)), value);
    }
    let resources = &linux.resources;
    text(format_args!("linux.resources.cpu.cpus"), &resources.cpu.cpus);
    text(format_args!("linux.resources.cpu.mems"), &resources.cpu.mems);
    for (at, limit) in resources.hugepage_limits.iter().enumerate() {
        text(format_args!("linux.resources.hugepageLimits[{at}].pageSize"), &limit.page_size);
    }
    for (at, priority) in resources.network.priorities.iter().enumerate() {
        text(format_args!("linux.resources.network.priorities[{at}].name"), &priority.name);
    }
    for name in resources.rdma.keys() {
        text(format_args!("linux.resources.rdma"), name);
    }
    for (key, value) in &resources.unified {
        text(format_args!("linux.resources.unified"), key);
        text(format_args!("linux.resources.unified{}", Key(key)), value);
    }
    text(format_args!("linux.cgroupsPath"), &linux.cgroups_path);
    for (at, namespace) in linux.namespaces.iter().enumerate() {
        text(format_args!("linux.namespaces[{at}].path"), &namespace.path);
    }
    for (at, device) in linux.devices.iter().enumerate() {
        text(format_args!("linux.devices[{at}].path"), &device.path);
    }
    for (name, device) in &linux.net_devices {
        text(format_args!("linux.netDevices"), name);
        text(format_args!("linux.netDevices{}.name", Key(name)), &device.name);
    }
    if let Some(seccomp) = &linux.seccomp {
        text(format_args!("linux.seccomp.listenerPath"), &seccomp.listener_path);
    }
    list(text, "linux.maskedPaths", &linux.masked_paths);
    list(text, "linux.readonlyPaths", &linux.readonly_paths);
    text(format_args!("linux.mountLabel"), &linux.mount_label);
    if let Some(rdt) = &linux.intel_rdt {
        text(format_args!("linux.intelRdt.closID"), &rdt.clos_id);
        list(text, "linux.intelRdt.schemata", &rdt.schemata);
        text(format_args!("linux.intelRdt.l3CacheSchema"), &rdt.l3_cache_schema);
        text(format_args!("linux.intelRdt.memBwSchema"), &rdt.mem_bw_schema);
    }
}

fn list(text: &mut dyn FnMut(Arguments<'_>, &str), path: &str, values: &[String]) {
    for (at, value) in values.iter().enumerate() {
        text(format_args!("{path}[{at}]"), value);
    }
}

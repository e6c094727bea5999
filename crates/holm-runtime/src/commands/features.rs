//! `features`: what this runtime can do, in the words of the specification (features.md, features-linux.md).
//!
//! Lists are those that the parsers of a configuration and the compiler of filters themselves go by.

use std::process::ExitCode;

use spec::features::{
    CgroupFeatures, Enabled, IntelRdtFeatures, LinuxFeatures, MemoryPolicyFeatures, MountExtensions,
    SeccompFeatures,
};
use spec::linux::{MemoryPolicyFlag, MemoryPolicyMode};
use spec::seccomp::{Action, Flag, Operator};
use spec::{Capability, Features, Hooks, NamespaceType};
use sys::SyscallError;

use crate::cli;
use crate::failure::Outcome;

pub(super) fn run() -> Outcome {
    let text = spec::to_pretty_json(&features())
        .map_err(|error| SyscallError::new("write", "standard output", std::io::Error::from(error)))?;
    cli::print(&format!("{text}\n"));
    Ok(ExitCode::SUCCESS)
}

fn features() -> Features {
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    let sorted = |list: &[&str]| {
        let mut list = list.to_vec();
        list.sort_unstable();
        names(&list)
    };
    let enabled = |enabled: bool| Some(Enabled { enabled: Some(enabled) });
    let seccomp = seccomp::Arch::native().is_some();
    Features {
        oci_version_min: "1.0.0".to_owned(),
        oci_version_max: "1.3.0".to_owned(),
        hooks: names(&Hooks::default().by_kind().map(|(name, _)| name)),
        mount_options: names(spec::mount_options::KNOWN),
        linux: Some(LinuxFeatures {
            namespaces: sorted(NamespaceType::NAMES),
            capabilities: names(Capability::NAMES),
            cgroup: Some(CgroupFeatures {
                v1: Some(true),
                v2: Some(true),
                systemd: Some(false),
                systemd_user: Some(false),
                rdma: Some(true),
            }),
            seccomp: Some(SeccompFeatures {
                enabled: Some(seccomp),
                actions: sorted(Action::NAMES),
                operators: sorted(Operator::NAMES),
                archs: sorted(&seccomp::Arch::ALL.map(seccomp::Arch::oci_name)),
                known_flags: sorted(Flag::NAMES),
                supported_flags: sorted(Flag::NAMES),
            }),
            apparmor: enabled(false),
            selinux: enabled(false),
            intel_rdt: Some(IntelRdtFeatures {
                enabled: Some(false),
                schemata: Some(false),
                monitoring: Some(false),
            }),
            memory_policy: Some(MemoryPolicyFeatures {
                modes: sorted(MemoryPolicyMode::NAMES),
                flags: sorted(MemoryPolicyFlag::NAMES),
            }),
            mount_extensions: Some(MountExtensions { idmap: enabled(true) }),
            net_devices: enabled(false),
        }),
        annotations: std::iter::once(("dev.holm.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()))
            .collect(),
        potentially_unsafe_config_annotations: Some(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_namespace_and_every_mount_option_is_told() {
        let features = features();
        let linux = features.linux.unwrap();
        assert_eq!(
            linux.namespaces.unwrap(),
            ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"]
        );
        assert!(features.mount_options.unwrap().contains(&"rro".to_owned()));
        assert_eq!(linux.capabilities.unwrap().len(), 41);
        assert_eq!(features.hooks.unwrap().len(), 6);
    }
}

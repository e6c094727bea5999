//! What a runtime can do, as `features` prints it.
//!
//! Lists are names and not enums: a document of a newer runtime has to be readable. An absent list or flag
//! means "unknown", an empty one "none", so every property is an `Option`.
//! Source: features.md and features-linux.md of the OCI runtime specification 1.3.

use crate::optional::{Map, optional_properties};

optional_properties! {
    /// What a runtime can do.
    pub struct Features {
        /// The oldest version of the specification the runtime takes.
        pub oci_version_min: String,
        /// The newest one.
        pub oci_version_max: String,
        /// The kinds of hooks.
        pub hooks: Option<Vec<String>>,
        /// Mount options that do not go to the filesystem.
        pub mount_options: Option<Vec<String>>,
        /// What is particular to Linux.
        pub linux: Option<LinuxFeatures>,
        /// What the specification has no property for.
        pub annotations: Map<String>,
        /// Annotations of a configuration that change what the runtime does; a trailing `.` makes a prefix.
        pub potentially_unsafe_config_annotations: Option<Vec<String>>,
    }
}

optional_properties! {
    /// What a runtime can do on Linux.
    pub struct LinuxFeatures {
        /// The kinds of namespaces.
        pub namespaces: Option<Vec<String>>,
        /// The capabilities.
        pub capabilities: Option<Vec<String>>,
        /// How cgroups are managed.
        pub cgroup: Option<CgroupFeatures>,
        /// System call filters.
        pub seccomp: Option<SeccompFeatures>,
        /// AppArmor.
        pub apparmor: Option<Enabled>,
        /// SELinux.
        pub selinux: Option<Enabled>,
        /// Intel RDT.
        pub intel_rdt: Option<IntelRdtFeatures>,
        /// NUMA memory policies.
        pub memory_policy: Option<MemoryPolicyFeatures>,
        /// Mounts beyond mount(8).
        pub mount_extensions: Option<MountExtensions>,
        /// Moving network devices.
        pub net_devices: Option<Enabled>,
    }
}

optional_properties! {
    /// Whether something is compiled in, whatever the host offers.
    pub struct Enabled {
        /// Whether it is.
        pub enabled: Option<bool>,
    }
}

optional_properties! {
    /// How cgroups are managed.
    pub struct CgroupFeatures {
        /// cgroup v1.
        pub v1: Option<bool>,
        /// cgroup v2.
        pub v2: Option<bool>,
        /// Through the system's systemd.
        pub systemd: Option<bool>,
        /// Through a user's systemd.
        pub systemd_user: Option<bool>,
        /// The RDMA controller.
        pub rdma: Option<bool>,
    }
}

optional_properties! {
    /// System call filters.
    pub struct SeccompFeatures {
        /// Whether they are compiled in.
        pub enabled: Option<bool>,
        /// The actions, `SCMP_ACT_…`.
        pub actions: Option<Vec<String>>,
        /// The comparisons, `SCMP_CMP_…`.
        pub operators: Option<Vec<String>>,
        /// The architectures, `SCMP_ARCH_…`.
        pub archs: Option<Vec<String>>,
        /// The flags the runtime knows.
        pub known_flags: Option<Vec<String>>,
        /// The flags the runtime and the host know.
        pub supported_flags: Option<Vec<String>>,
    }
}

optional_properties! {
    /// Intel RDT.
    pub struct IntelRdtFeatures {
        /// Whether it is compiled in.
        pub enabled: Option<bool>,
        /// Whether `schemata` is understood.
        pub schemata: Option<bool>,
        /// Whether `enableMonitoring` is understood.
        pub monitoring: Option<bool>,
    }
}

optional_properties! {
    /// NUMA memory policies.
    pub struct MemoryPolicyFeatures {
        /// The modes, `MPOL_…`.
        pub modes: Option<Vec<String>>,
        /// The flags, `MPOL_F_…`.
        pub flags: Option<Vec<String>>,
    }
}

optional_properties! {
    /// Mounts beyond mount(8).
    pub struct MountExtensions {
        /// Id-mapped mounts.
        pub idmap: Option<Enabled>,
    }
}

//! What only Linux has: namespaces, ids, devices, paths to hide, and the rest of the `linux` section.
//!
//! Start reading in [`Linux`]. Limits are in [`crate::resources`], the filter in [`crate::seccomp`].
//! Source: config-linux.md of the OCI runtime specification 1.3.

use crate::id_map::IdMapping;
use crate::names::names;
use crate::optional::{Map, blank, empty, map, null, optional_properties};
use crate::resources::Resources;
use crate::seccomp::Seccomp;
use serde::{Deserialize, Serialize};

/// The `linux` section.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Linux {
    /// User ids of a new user namespace.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub uid_mappings: Vec<IdMapping>,
    /// Group ids of a new user namespace.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub gid_mappings: Vec<IdMapping>,
    /// Kernel parameters to set, such as `net.ipv4.ip_forward`.
    #[serde(default, deserialize_with = "map", skip_serializing_if = "empty")]
    pub sysctl: Map<String>,
    /// Limits of the container's cgroup.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub resources: Resources,
    /// Where the container's cgroup is; empty leaves it to the runtime.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub cgroups_path: String,
    /// The namespaces that are not the runtime's own.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub namespaces: Vec<Namespace>,
    /// Device nodes to make besides the default ones.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub devices: Vec<Device>,
    /// Network devices of the host to move into the container, by their name on the host.
    #[serde(default, deserialize_with = "map", skip_serializing_if = "empty")]
    pub net_devices: Map<NetDevice>,
    /// The system call filter.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub seccomp: Option<Seccomp>,
    /// How mounts propagate into and out of the root filesystem.
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "empty")]
    pub rootfs_propagation: Option<Propagation>,
    /// Absolute paths in the container that cannot be read.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub masked_paths: Vec<String>,
    /// Absolute paths in the container that cannot be written.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub readonly_paths: Vec<String>,
    /// The SELinux context of the container's mounts; empty for none.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub mount_label: String,
    /// Cache and memory bandwidth allocation (resctrl).
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub intel_rdt: Option<IntelRdt>,
    /// The NUMA memory policy.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub memory_policy: Option<MemoryPolicy>,
    /// The execution domain.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub personality: Option<Personality>,
    /// Clock offsets of a new time namespace.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub time_offsets: TimeOffsets,
}

impl Linux {
    /// The entry for that kind of namespace; `None` means the runtime's own.
    pub fn namespace(&self, kind: NamespaceType) -> Option<&Namespace> {
        self.namespaces.iter().find(|namespace| namespace.kind == kind)
    }
}

/// A namespace that is made or joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Namespace {
    /// Which kind.
    #[serde(rename = "type")]
    pub kind: NamespaceType,
    /// The namespace to join, an absolute path on the host; empty makes a new one.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub path: String,
}

impl Namespace {
    /// Whether it is made for the container, as opposed to joined.
    pub fn is_new(&self) -> bool {
        self.path.is_empty()
    }
}

names! {
    /// A kind of namespace (namespaces(7)).
    #[allow(missing_docs)]
    pub enum NamespaceType {
        Pid = "pid",
        Network = "network",
        Mount = "mount",
        Ipc = "ipc",
        Uts = "uts",
        User = "user",
        Cgroup = "cgroup",
        Time = "time",
    }
}

impl NamespaceType {
    /// The flag of clone3(2), unshare(2) and setns(2).
    pub const fn clone_flag(self) -> u64 {
        match self {
            Self::Time => 0x0000_0080,
            Self::Mount => 0x0002_0000,
            Self::Cgroup => 0x0200_0000,
            Self::Uts => 0x0400_0000,
            Self::Ipc => 0x0800_0000,
            Self::User => 0x1000_0000,
            Self::Pid => 0x2000_0000,
            Self::Network => 0x4000_0000,
        }
    }

    /// Its file in `/proc/<pid>/ns`.
    pub const fn proc_name(self) -> &'static str {
        match self {
            Self::Pid => "pid",
            Self::Network => "net",
            Self::Mount => "mnt",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::User => "user",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
        }
    }
}

/// A device node to make in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Device {
    /// Where, in the container, absolute.
    pub path: String,
    /// Which kind of node.
    #[serde(rename = "type")]
    pub kind: DeviceType,
    /// The major number; of no meaning for a FIFO.
    #[serde(default, deserialize_with = "null")]
    pub major: i64,
    /// The minor number; of no meaning for a FIFO.
    #[serde(default, deserialize_with = "null")]
    pub minor: i64,
    /// The permission bits; absent leaves the choice to the runtime.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub file_mode: Option<u32>,
    /// The owner in the container.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub uid: Option<u32>,
    /// The group in the container.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub gid: Option<u32>,
}

names! {
    /// A kind of device node (mknod(1)).
    pub enum DeviceType {
        /// Block device.
        Block = "b",
        /// Character device.
        Character = "c",
        /// Character device, by the older name.
        Unbuffered = "u",
        /// FIFO.
        Fifo = "p",
    }
}

optional_properties! {
    /// A network device to move into the container.
    pub struct NetDevice {
        /// Its name in the container; empty keeps the name. `%d` in it is filled in by the kernel.
        pub name: String,
    }
}

names! {
    /// How mounts propagate (mount_namespaces(7), "Shared subtrees").
    #[allow(missing_docs)]
    pub enum Propagation {
        Private = "private",
        Rprivate = "rprivate",
        Slave = "slave",
        Rslave = "rslave",
        Shared = "shared",
        Rshared = "rshared",
        Unbindable = "unbindable",
        Runbindable = "runbindable",
    }
}

impl Propagation {
    /// The flag of mount(2) and of `mount_attr.propagation` (mount_setattr(2)), without recursion.
    pub const fn flag(self) -> u64 {
        match self {
            Self::Unbindable | Self::Runbindable => 1 << 17,
            Self::Private | Self::Rprivate => 1 << 18,
            Self::Slave | Self::Rslave => 1 << 19,
            Self::Shared | Self::Rshared => 1 << 20,
        }
    }

    /// Whether mounts below are changed as well.
    pub const fn is_recursive(self) -> bool {
        matches!(self, Self::Rprivate | Self::Rslave | Self::Rshared | Self::Runbindable)
    }
}

optional_properties! {
    /// Cache and memory bandwidth allocation (Intel RDT, `Documentation/filesystems/resctrl.rst`).
    pub struct IntelRdt {
        /// The class of service; `/` is the default class, empty means one of the container's own.
        #[serde(rename = "closID")]
        pub clos_id: String,
        /// Lines for the `schemata` file, written after the two below.
        pub schemata: Vec<String>,
        /// A line for L3 cache, written first.
        pub l3_cache_schema: String,
        /// A line for memory bandwidth, written second.
        pub mem_bw_schema: String,
        /// Whether the container gets a monitoring group.
        pub enable_monitoring: bool,
    }
}

/// The NUMA memory policy (set_mempolicy(2)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct MemoryPolicy {
    /// The mode.
    pub mode: MemoryPolicyMode,
    /// The nodes, a list such as `0-3,7`.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub nodes: String,
    /// Flags of the mode.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub flags: Vec<MemoryPolicyFlag>,
}

names! {
    /// A mode of set_mempolicy(2).
    #[allow(missing_docs)]
    pub enum MemoryPolicyMode {
        Default = "MPOL_DEFAULT",
        Preferred = "MPOL_PREFERRED",
        Bind = "MPOL_BIND",
        Interleave = "MPOL_INTERLEAVE",
        Local = "MPOL_LOCAL",
        /// Linux 5.15.
        PreferredMany = "MPOL_PREFERRED_MANY",
        /// Linux 6.9.
        WeightedInterleave = "MPOL_WEIGHTED_INTERLEAVE",
    }
}

impl MemoryPolicyMode {
    /// The kernel's number, `include/uapi/linux/mempolicy.h`.
    pub const fn number(self) -> u32 {
        self as u32
    }
}

names! {
    /// A mode flag of set_mempolicy(2).
    #[allow(missing_docs)]
    pub enum MemoryPolicyFlag {
        /// Linux 5.12.
        NumaBalancing = "MPOL_F_NUMA_BALANCING",
        RelativeNodes = "MPOL_F_RELATIVE_NODES",
        StaticNodes = "MPOL_F_STATIC_NODES",
    }
}

impl MemoryPolicyFlag {
    /// The kernel's bit, `include/uapi/linux/mempolicy.h`.
    pub const fn bit(self) -> u32 {
        match self {
            Self::NumaBalancing => 1 << 13,
            Self::RelativeNodes => 1 << 14,
            Self::StaticNodes => 1 << 15,
        }
    }
}

/// The execution domain (personality(2)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Personality {
    /// The domain.
    pub domain: PersonalityDomain,
    /// Reserved: the specification has no flag yet.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub flags: Vec<String>,
}

names! {
    /// An execution domain (personality(2)).
    #[allow(missing_docs)]
    pub enum PersonalityDomain {
        Linux = "LINUX",
        Linux32 = "LINUX32",
    }
}

impl PersonalityDomain {
    /// The kernel's number, `include/uapi/linux/personality.h`.
    pub const fn number(self) -> u32 {
        match self {
            Self::Linux => 0,
            Self::Linux32 => 8,
        }
    }
}

/// Clock offsets of a new time namespace (time_namespaces(7), Linux 5.6). Other clocks have none, so another
/// key is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct TimeOffsets {
    /// `CLOCK_MONOTONIC`.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub monotonic: Option<TimeOffset>,
    /// `CLOCK_BOOTTIME`.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub boottime: Option<TimeOffset>,
}

/// The offset of a clock: the sum of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct TimeOffset {
    /// Seconds.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub secs: i64,
    /// Nanoseconds on top.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub nanosecs: u32,
}

crate::optional::objects!(Linux, Namespace, Device, MemoryPolicy, Personality, TimeOffsets, TimeOffset);

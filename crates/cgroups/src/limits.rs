//! What a group may use: plain data, every unit in the name.
//!
//! [`Limits`] covers every resource of the OCI runtime specification (1.3) and the few the kernel has
//! beyond it. `None` and empty lists mean "as the kernel makes a new group". Whoever has a specification maps
//! it to this; how a field becomes a file is the business of [`crate::controller`].

use std::fmt;

/// An amount that may be unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// No limit; the kernel's `max` or `-1`.
    Unlimited,
    /// At most this much, in the unit of the field.
    At(u64),
}

impl Limit {
    /// The OCI reading of a signed number: negative is unlimited.
    pub fn from_oci(value: i64) -> Self {
        u64::try_from(value).map_or(Self::Unlimited, Self::At)
    }

    /// As version 1 files take it: `-1` for unlimited.
    pub fn v1(self) -> String {
        match self {
            Self::Unlimited => "-1".to_owned(),
            Self::At(amount) => amount.to_string(),
        }
    }

    /// As version 2 files take it: `max` for unlimited.
    pub fn v2(self) -> String {
        match self {
            Self::Unlimited => "max".to_owned(),
            Self::At(amount) => amount.to_string(),
        }
    }
}

/// What a group may use.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limits {
    /// Processor time.
    pub cpu: CpuLimits,
    /// Which processors and memory nodes.
    pub cpuset: CpusetLimits,
    /// Memory and swap.
    pub memory: MemoryLimits,
    /// Processes and threads; negative OCI values are unlimited.
    pub pids_max: Option<Limit>,
    /// Block devices' bandwidth and weight.
    pub io: IoLimits,
    /// Huge pages, one entry a page size.
    pub hugepages: Vec<HugepageLimit>,
    /// Marks on network packets (version 1 only).
    pub network: NetworkLimits,
    /// RDMA adapters.
    pub rdma: Vec<RdmaLimit>,
    /// Scalar resources of the `misc` controller: name and limit (`sev_es`, 10).
    pub misc: Vec<(String, Limit)>,
    /// Device rules in order; the last that matches decides, and what none matches is denied. `None`
    /// leaves devices as the parent group has them.
    pub devices: Option<Vec<DeviceRule>>,
    /// Raw files of cgroup v2: name and value; several lines are written one by one.
    pub unified: Vec<(String, String)>,
}

/// Processor time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuLimits {
    /// Relative share, 2 to 262144, 1024 by default; becomes a weight on v2.
    pub shares: Option<u64>,
    /// Relative weight of v2, 1 to 10000, 100 by default; wins over `shares` there.
    pub weight: Option<u64>,
    /// Processor time per period, in microseconds.
    pub quota_us: Option<Limit>,
    /// The period, in microseconds; 100000 by default.
    pub period_us: Option<u64>,
    /// Unused time that may be saved up, in microseconds (Linux 5.14).
    pub burst_us: Option<u64>,
    /// Realtime processor time per realtime period, in microseconds (v1 only).
    pub realtime_runtime_us: Option<i64>,
    /// The realtime period, in microseconds (v1 only).
    pub realtime_period_us: Option<u64>,
    /// Run only when nobody else wants to (`SCHED_IDLE` for the group, Linux 5.15).
    pub idle: Option<bool>,
}

/// Which processors and memory nodes, as lists (`0-3,8`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpusetLimits {
    /// Processors.
    pub cpus: Option<String>,
    /// Memory nodes.
    pub mems: Option<String>,
}

/// Memory and swap, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryLimits {
    /// The hard limit.
    pub max_bytes: Option<Limit>,
    /// Protected from reclaim while others use more (`memory.low`, v1 soft limit; OCI "reservation").
    pub low_bytes: Option<Limit>,
    /// Where throttling begins (v2 only).
    pub high_bytes: Option<Limit>,
    /// Memory and swap together, as the OCI documents count it on both versions.
    pub memory_and_swap_max_bytes: Option<Limit>,
    /// Kernel memory; withdrawn by the kernel (5.16) and the specification, so it is noted and not written.
    pub kernel_max_bytes: Option<Limit>,
    /// Kernel memory of TCP buffers (v1 only).
    pub kernel_tcp_max_bytes: Option<Limit>,
    /// Eagerness to swap, 0 to 100 (v1 only).
    pub swappiness_percent: Option<u64>,
    /// Let a group at its limit wait and not be killed (v1 only).
    pub oom_kill_disabled: Option<bool>,
    /// Account children to their parent; always so since Linux 5.11.
    pub use_hierarchy: Option<bool>,
    /// On an update, refuse a limit below what is used now.
    pub check_before_update: bool,
}

/// Block devices' bandwidth and weight.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IoLimits {
    /// Relative weight, 10 to 1000.
    pub weight: Option<u16>,
    /// The weight of the group's own tasks against its children's (v1 with CFQ only, before Linux 5.0).
    pub leaf_weight: Option<u16>,
    /// Weights of single devices.
    pub device_weights: Vec<DeviceWeight>,
    /// Weights on the scale of v2, for all devices or for one; written as they are, so that proportions stay.
    pub fair_weights: Vec<FairWeight>,
    /// Bandwidth limits of single devices.
    pub throttles: Vec<Throttle>,
}

/// A block device's major and minor number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceNumber {
    /// The driver.
    pub major: u32,
    /// The device.
    pub minor: u32,
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// The weight of one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceWeight {
    /// The device.
    pub device: DeviceNumber,
    /// Relative weight, 10 to 1000.
    pub weight: Option<u16>,
    /// As [`IoLimits::leaf_weight`].
    pub leaf_weight: Option<u16>,
}

/// A weight on the scale of v2: 1 to 10000, 100 by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FairWeight {
    /// The device; `None` for all that have no weight of their own.
    pub device: Option<DeviceNumber>,
    /// The weight. bfq, the only scheduler with weights on v1, goes to 1000.
    pub weight: u16,
}

/// One bandwidth limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    /// The device.
    pub device: DeviceNumber,
    /// What is limited.
    pub rate: Rate,
    /// How much a second: bytes or operations; 0 is unlimited.
    pub per_second: u64,
}

/// What a [`Throttle`] limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rate {
    /// Bytes read.
    ReadBytes,
    /// Bytes written.
    WriteBytes,
    /// Read operations.
    ReadOperations,
    /// Write operations.
    WriteOperations,
}

/// A limit on huge pages of one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HugepageLimit {
    /// The size as the kernel spells it: `64KB`, `2MB`, `1GB`.
    pub page_size: String,
    /// The most bytes of them.
    pub max_bytes: u64,
}

/// Marks on network packets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkLimits {
    /// The class that `tc` and netfilter see (`0xAAAABBBB`).
    pub class_id: Option<u32>,
    /// Priority per interface.
    pub priorities: Vec<(String, u32)>,
}

/// A limit on one RDMA adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RdmaLimit {
    /// The adapter: `mlx5_1`.
    pub device: String,
    /// The most handles.
    pub hca_handles: Option<u32>,
    /// The most objects.
    pub hca_objects: Option<u32>,
}

/// A rule on devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceRule {
    /// Allowed, or denied.
    pub allow: bool,
    /// Which devices.
    pub kind: DeviceKind,
    /// The major number, or any.
    pub major: Option<u32>,
    /// The minor number, or any.
    pub minor: Option<u32>,
    /// Which ways of access.
    pub access: DeviceAccess,
}

/// Which sort of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceKind {
    /// Character and block devices; major and minor number are then ignored by v1 kernels.
    Any,
    /// Character devices.
    Char,
    /// Block devices.
    Block,
}

/// Ways of access to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceAccess {
    /// Open for reading.
    pub read: bool,
    /// Open for writing.
    pub write: bool,
    /// Make the node.
    pub mknod: bool,
}

impl DeviceAccess {
    /// All three.
    pub const ALL: Self = Self { read: true, write: true, mknod: true };

    /// From the letters `r`, `w` and `m`; `None` if another letter is there or none at all.
    pub fn parse(letters: &str) -> Option<Self> {
        let mut access = Self { read: false, write: false, mknod: false };
        for letter in letters.chars() {
            match letter {
                'r' => access.read = true,
                'w' => access.write = true,
                'm' => access.mknod = true,
                _ => return None,
            }
        }
        (!letters.is_empty()).then_some(access)
    }
}

impl fmt::Display for DeviceAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (set, letter) in [(self.read, "r"), (self.write, "w"), (self.mknod, "m")] {
            if set {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

//! Limits of a container's cgroup.
//!
//! The same types serve `config.json` and the document of `update`. Start reading in [`Resources`].
//! Source: config-linux.md of the OCI runtime specification 1.3, "Control groups".

use crate::names::names;
use crate::optional::{Map, blank, empty, map, null, optional_properties};
use serde::{Deserialize, Serialize};

/// The `resources` section. What is `None` or empty is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Resources {
    /// Which devices may be used; later rules win over earlier ones.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub devices: Vec<DeviceRule>,
    /// Memory.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub memory: Memory,
    /// CPU time.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub cpu: Cpu,
    /// The number of tasks.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub pids: Pids,
    /// Block devices.
    #[serde(rename = "blockIO", default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub block_io: BlockIo,
    /// Huge pages, by page size.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub hugepage_limits: Vec<HugepageLimit>,
    /// Network packets (cgroup v1).
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub network: Network,
    /// RDMA devices, by name.
    #[serde(default, deserialize_with = "map", skip_serializing_if = "empty")]
    pub rdma: Map<Rdma>,
    /// Files of cgroup v2 and what to write to them.
    #[serde(default, deserialize_with = "map", skip_serializing_if = "empty")]
    pub unified: Map<String>,
}

/// One rule of the device cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct DeviceRule {
    /// Whether the rule allows or denies.
    pub allow: bool,
    /// Which kind of device; absent means all.
    #[serde(rename = "type", default, deserialize_with = "blank", skip_serializing_if = "empty")]
    pub kind: Option<DeviceRuleType>,
    /// The major number; absent or -1 means all.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub major: Option<i64>,
    /// The minor number; absent or -1 means all.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub minor: Option<i64>,
    /// Any of `r`, `w` and `m` (mknod); empty means all three.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub access: String,
}

names! {
    /// Which devices a rule is about.
    pub enum DeviceRuleType {
        /// All, whatever their numbers.
        All = "a",
        /// Block devices.
        Block = "b",
        /// Character devices.
        Character = "c",
    }
}

optional_properties! {
    /// Memory limits, in bytes; -1 means unlimited.
    pub struct Memory {
        /// What may be used.
        pub limit: Option<i64>,
        /// The soft limit.
        pub reservation: Option<i64>,
        /// Memory and swap together.
        pub swap: Option<i64>,
        /// Kernel memory (cgroup v1; the kernel ignores it since 5.16).
        pub kernel: Option<i64>,
        /// TCP buffers (cgroup v1).
        #[serde(rename = "kernelTCP")]
        pub kernel_tcp: Option<i64>,
        /// How eager the kernel is to swap, 0 to 100 (cgroup v1).
        pub swappiness: Option<u64>,
        /// Whether tasks wait instead of being killed (cgroup v1).
        #[serde(rename = "disableOOMKiller")]
        pub disable_oom_killer: Option<bool>,
        /// Whether child cgroups are charged to this one (cgroup v1).
        pub use_hierarchy: Option<bool>,
        /// Whether an update first makes sure that the new limit is above what is in use.
        pub check_before_update: Option<bool>,
    }
}

optional_properties! {
    /// CPU limits; times are in microseconds.
    pub struct Cpu {
        /// The share of CPU time relative to other cgroups, 2 to 262144 (cgroup v1 scale).
        pub shares: Option<u64>,
        /// CPU time in each period; -1 means unlimited.
        pub quota: Option<i64>,
        /// CPU time that may be saved up from earlier periods (Linux 5.14).
        pub burst: Option<u64>,
        /// The period of [`quota`](Self::quota).
        pub period: Option<u64>,
        /// Real-time CPU time in each real-time period (cgroup v1).
        pub realtime_runtime: Option<i64>,
        /// The period of [`realtime_runtime`](Self::realtime_runtime) (cgroup v1).
        pub realtime_period: Option<u64>,
        /// The CPUs to run on, a list such as `0-3,7`.
        pub cpus: String,
        /// The memory nodes to use, a list such as `0-1`.
        pub mems: String,
        /// 1 schedules the cgroup as `SCHED_IDLE` (Linux 5.15), 0 does not.
        pub idle: Option<i64>,
    }
}

optional_properties! {
    /// The limit on tasks.
    pub struct Pids {
        /// How many; -1 means unlimited.
        pub limit: Option<i64>,
    }
}

optional_properties! {
    /// Block device limits.
    pub struct BlockIo {
        /// The share of I/O relative to other cgroups, 10 to 1000.
        pub weight: Option<u16>,
        /// The same for the cgroup's own tasks against its child cgroups (cgroup v1, CFQ).
        pub leaf_weight: Option<u16>,
        /// Weights by device.
        pub weight_device: Vec<WeightDevice>,
        /// Bytes read per second.
        pub throttle_read_bps_device: Vec<ThrottleDevice>,
        /// Bytes written per second.
        pub throttle_write_bps_device: Vec<ThrottleDevice>,
        /// Reads per second.
        #[serde(rename = "throttleReadIOPSDevice")]
        pub throttle_read_iops_device: Vec<ThrottleDevice>,
        /// Writes per second.
        #[serde(rename = "throttleWriteIOPSDevice")]
        pub throttle_write_iops_device: Vec<ThrottleDevice>,
    }
}

/// The weight of one block device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct WeightDevice {
    /// The device's major number.
    pub major: i64,
    /// The device's minor number.
    pub minor: i64,
    /// The share of I/O relative to other cgroups, 10 to 1000.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub weight: Option<u16>,
    /// The same for the cgroup's own tasks against its child cgroups (cgroup v1, CFQ).
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub leaf_weight: Option<u16>,
}

/// The rate of one block device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct ThrottleDevice {
    /// The device's major number.
    pub major: i64,
    /// The device's minor number.
    pub minor: i64,
    /// Bytes or operations per second.
    pub rate: u64,
}

/// The limit on huge pages of one size.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct HugepageLimit {
    /// The page size, such as `2MB`: a number and `KB`, `MB` or `GB`.
    pub page_size: String,
    /// Bytes.
    pub limit: u64,
}

optional_properties! {
    /// Tags and priorities of network packets (cgroup v1).
    pub struct Network {
        /// The class of the packets (`net_cls`).
        #[serde(rename = "classID")]
        pub class_id: Option<u32>,
        /// Priorities by interface (`net_prio`).
        pub priorities: Vec<InterfacePriority>,
    }
}

/// The priority of packets on one interface.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct InterfacePriority {
    /// The interface's name in the runtime's network namespace.
    pub name: String,
    /// The priority.
    pub priority: u32,
}

optional_properties! {
    /// Limits of one RDMA device.
    pub struct Rdma {
        /// Handles of the host channel adapter.
        pub hca_handles: Option<u32>,
        /// Objects of the host channel adapter.
        pub hca_objects: Option<u32>,
    }
}

crate::optional::objects!(
    Resources,
    DeviceRule,
    WeightDevice,
    ThrottleDevice,
    HugepageLimit,
    InterfacePriority
);

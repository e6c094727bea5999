//! From the `resources` of the specification to cgroup limits.

use cgroups::limits::{
    CpuLimits, CpusetLimits, DeviceAccess, DeviceKind, DeviceNumber, DeviceRule, DeviceWeight, HugepageLimit,
    IoLimits, Limit, MemoryLimits, NetworkLimits, Rate, RdmaLimit, Throttle,
};
use cgroups::{Limits, Refused};
use spec::Resources;
use spec::resources::{self, DeviceRuleType};

use super::PlanError;

/// The limits that `resources` asks for.
///
/// # Errors
/// For numbers that are no device's, and the like.
pub fn of(resources: &Resources) -> Result<Limits, PlanError> {
    let filled = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let Resources { memory, cpu, pids, block_io, hugepage_limits, network, rdma, unified, .. } = resources;
    Ok(Limits {
        cpu: CpuLimits {
            shares: cpu.shares,
            weight: None,
            quota_us: cpu.quota.map(Limit::from_oci),
            period_us: cpu.period,
            burst_us: cpu.burst,
            realtime_runtime_us: cpu.realtime_runtime,
            realtime_period_us: cpu.realtime_period,
            idle: cpu.idle.map(|idle| idle != 0),
        },
        cpuset: CpusetLimits { cpus: filled(&cpu.cpus), mems: filled(&cpu.mems) },
        memory: MemoryLimits {
            max_bytes: memory.limit.map(Limit::from_oci),
            low_bytes: memory.reservation.map(Limit::from_oci),
            high_bytes: None,
            memory_and_swap_max_bytes: memory.swap.map(Limit::from_oci),
            kernel_max_bytes: memory.kernel.map(Limit::from_oci),
            kernel_tcp_max_bytes: memory.kernel_tcp.map(Limit::from_oci),
            swappiness_percent: memory.swappiness,
            oom_kill_disabled: memory.disable_oom_killer,
            use_hierarchy: memory.use_hierarchy,
            check_before_update: memory.check_before_update.unwrap_or(false),
        },
        // None at all would be a group in which nothing starts; other runtimes take it for the least that makes sense.
        pids_max: pids.limit.map(|limit| Limit::from_oci(if limit == 0 { 1 } else { limit })),
        io: io(block_io)?,
        hugepages: hugepage_limits
            .iter()
            .map(|limit| HugepageLimit { page_size: limit.page_size.clone(), max_bytes: limit.limit })
            .collect(),
        network: NetworkLimits {
            class_id: network.class_id,
            priorities: network.priorities.iter().map(|entry| (entry.name.clone(), entry.priority)).collect(),
        },
        rdma: rdma
            .iter()
            .map(|(device, limit)| RdmaLimit {
                device: device.clone(),
                hca_handles: limit.hca_handles,
                hca_objects: limit.hca_objects,
            })
            .collect(),
        misc: Vec::new(),
        devices: devices(&resources.devices)?,
        unified: unified.iter().map(|(file, value)| (file.clone(), value.clone())).collect(),
    })
}

/// What every container may use, whatever the rules of the specification say: the default devices, pseudoterminals, and making
/// nodes (which gives no access). The same as runc and crun allow.
const ALWAYS_ALLOWED: [(DeviceKind, Option<u32>, Option<u32>, &str); 10] = [
    (DeviceKind::Char, None, None, "m"),
    (DeviceKind::Block, None, None, "m"),
    (DeviceKind::Char, Some(1), Some(3), "rwm"),
    (DeviceKind::Char, Some(1), Some(8), "rwm"),
    (DeviceKind::Char, Some(1), Some(7), "rwm"),
    (DeviceKind::Char, Some(5), Some(0), "rwm"),
    (DeviceKind::Char, Some(1), Some(5), "rwm"),
    (DeviceKind::Char, Some(1), Some(9), "rwm"),
    (DeviceKind::Char, Some(136), None, "rwm"),
    (DeviceKind::Char, Some(5), Some(2), "rwm"),
];

fn devices(rules: &[resources::DeviceRule]) -> Result<Option<Vec<DeviceRule>>, PlanError> {
    if rules.is_empty() {
        return Ok(None);
    }
    let mut all = Vec::with_capacity(rules.len() + ALWAYS_ALLOWED.len());
    for rule in rules {
        let access = if rule.access.is_empty() {
            DeviceAccess::ALL
        } else {
            let known: String = rule.access.chars().filter(|access| "rwm".contains(*access)).collect();
            DeviceAccess::parse(&known)
                .ok_or_else(|| refused("device rule", "access is made of r, w and m"))?
        };
        all.push(DeviceRule {
            allow: rule.allow,
            kind: match rule.kind {
                None | Some(DeviceRuleType::All) => DeviceKind::Any,
                Some(DeviceRuleType::Block) => DeviceKind::Block,
                Some(DeviceRuleType::Character) => DeviceKind::Char,
            },
            major: number(rule.major)?,
            minor: number(rule.minor)?,
            access,
        });
    }
    for (kind, major, minor, access) in ALWAYS_ALLOWED {
        let access = DeviceAccess::parse(access).unwrap_or(DeviceAccess::ALL);
        all.push(DeviceRule { allow: true, kind, major, minor, access });
    }
    Ok(Some(all))
}

fn number(number: Option<i64>) -> Result<Option<u32>, PlanError> {
    match number {
        None | Some(-1) => Ok(None),
        Some(number) => u32::try_from(number)
            .map(Some)
            .map_err(|_| refused("device rule", "a device number is 0 to 4294967295, or -1 for any")),
    }
}

fn device(major: i64, minor: i64) -> Result<DeviceNumber, PlanError> {
    match (u32::try_from(major), u32::try_from(minor)) {
        (Ok(major), Ok(minor)) => Ok(DeviceNumber { major, minor }),
        _ => Err(refused("block device", "a device number is 0 to 4294967295")),
    }
}

fn io(block: &resources::BlockIo) -> Result<IoLimits, PlanError> {
    let mut device_weights = Vec::with_capacity(block.weight_device.len());
    for entry in &block.weight_device {
        let (weight, leaf_weight) = (entry.weight, entry.leaf_weight);
        device_weights.push(DeviceWeight { device: device(entry.major, entry.minor)?, weight, leaf_weight });
    }
    let mut throttles = Vec::new();
    for (rate, entries) in [
        (Rate::ReadBytes, &block.throttle_read_bps_device),
        (Rate::WriteBytes, &block.throttle_write_bps_device),
        (Rate::ReadOperations, &block.throttle_read_iops_device),
        (Rate::WriteOperations, &block.throttle_write_iops_device),
    ] {
        for entry in entries {
            let device = device(entry.major, entry.minor)?;
            throttles.push(Throttle { device, rate, per_second: entry.rate });
        }
    }
    Ok(IoLimits {
        weight: block.weight,
        leaf_weight: block.leaf_weight,
        device_weights,
        throttles,
        ..IoLimits::default()
    })
}

fn refused(what: &str, why: &str) -> PlanError {
    PlanError::Limit(Refused::value(what, why))
}

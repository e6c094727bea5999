//! Rules of the `resources` section. Whether a controller is there, and which version, is the host's matter.

use super::Findings;
use super::linux::is_interface_name;
use crate::json_path::Key;
use crate::resources::{BlockIo, Cpu, Memory, Resources};

/// `at` is what comes before the property: nothing, or `linux.resources.`.
pub(super) fn check(resources: &Resources, at: &str, findings: &mut Findings) {
    for (index, rule) in resources.devices.iter().enumerate() {
        for (property, number) in [("major", rule.major), ("minor", rule.minor)] {
            let path = format_args!("{at}devices[{index}].{property}");
            findings.range(path, number.unwrap_or(-1), -1, u32::MAX.into());
        }
        if rule.access.bytes().any(|access| !b"rwm".contains(&access)) {
            let path = format_args!("{at}devices[{index}].access");
            if rule.access.bytes().any(|access| b"rwm".contains(&access)) {
                let wrong = format!("`{}` holds more than `r`, `w` and `m`, which is left out", rule.access);
                findings.warn(path, wrong);
            } else {
                findings.wrong(path, format!("`{}` is not made of `r`, `w` and `m`", rule.access));
            }
        }
    }
    memory(&resources.memory, at, findings);
    cpu(&resources.cpu, at, findings);
    block_io(&resources.block_io, at, findings);
    for (index, limit) in resources.hugepage_limits.iter().enumerate() {
        if !is_page_size(&limit.page_size) {
            let wrong = format!("`{}` is not a page size such as `64KB`, `2MB` or `1GB`", limit.page_size);
            findings.wrong(format_args!("{at}hugepageLimits[{index}].pageSize"), wrong);
        }
        if resources.hugepage_limits[..index].iter().any(|earlier| earlier.page_size == limit.page_size) {
            let wrong = format!("`{}` comes twice", limit.page_size);
            findings.wrong(format_args!("{at}hugepageLimits[{index}].pageSize"), wrong);
        }
    }
    for (index, priority) in resources.network.priorities.iter().enumerate() {
        if !is_interface_name(&priority.name) {
            let wrong = format!("`{}` is no name of a network device", priority.name);
            findings.wrong(format_args!("{at}network.priorities[{index}].name"), wrong);
        }
    }
    for name in resources.rdma.keys().filter(|name| name.is_empty() || name.contains(char::is_whitespace)) {
        findings.wrong(format_args!("{at}rdma{}", Key(name)), "is no name of an RDMA device");
    }
    for (name, limit) in &resources.rdma {
        if limit.hca_handles.is_none() && limit.hca_objects.is_none() {
            let wrong = "limits nothing; it needs `hcaHandles` or `hcaObjects`";
            findings.wrong(format_args!("{at}rdma{}", Key(name)), wrong);
        }
    }
    for name in resources.unified.keys() {
        if name.contains('/') || name.starts_with('.') || !name.contains('.') {
            let wrong =
                "is not the name of a cgroup file such as `memory.high`: CONTROLLER.PARAMETER, no slash";
            findings.wrong(format_args!("{at}unified{}", Key(name)), wrong);
        }
    }
}

fn memory(memory: &Memory, at: &str, findings: &mut Findings) {
    for (property, bytes) in [
        ("limit", memory.limit),
        ("reservation", memory.reservation),
        ("swap", memory.swap),
        ("kernel", memory.kernel),
        ("kernelTCP", memory.kernel_tcp),
    ] {
        let path = format_args!("{at}memory.{property}");
        findings.range(path, bytes.unwrap_or(0), -1, i64::MAX);
    }
    if let (Some(limit), Some(swap)) = (memory.limit, memory.swap)
        && swap > 0
        && (limit > swap || limit == -1)
    {
        let wrong =
            format!("{swap} is below the memory limit, {limit}: it is the sum of memory and swap, or -1");
        findings.wrong(format_args!("{at}memory.swap"), wrong);
    }
    if let Some(swappiness) = memory.swappiness.filter(|swappiness| *swappiness > 100) {
        let wrong = format!("{swappiness} is out of range; allowed are 0 to 100");
        findings.wrong(format_args!("{at}memory.swappiness"), wrong);
    }
}

fn cpu(cpu: &Cpu, at: &str, findings: &mut Findings) {
    if let (Some(burst), Some(quota)) = (cpu.burst, cpu.quota)
        && quota > 0
        && burst > quota.unsigned_abs()
    {
        // tg_set_cfs_bandwidth(), kernel/sched/core.c
        findings.wrong(format_args!("{at}cpu.burst"), format!("{burst} is above the quota, {quota}"));
    }
    for (property, list) in [("cpus", &cpu.cpus), ("mems", &cpu.mems)] {
        // The kernel's lists know more than ranges (`0-31:2/8`, `all`), and only it knows how much more.
        if !list.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-,:/ ".contains(&byte)) {
            let wrong = format!("{list:?} is not a list such as `0-3,7`");
            findings.wrong(format_args!("{at}cpu.{property}"), wrong);
        }
    }
    findings.range(format_args!("{at}cpu.idle"), cpu.idle.unwrap_or(0), 0, 1);
}

fn block_io(io: &BlockIo, at: &str, findings: &mut Findings) {
    let mut weight = |path: std::fmt::Arguments<'_>, weight: Option<u16>| {
        // 0 means "none" to other runtimes, and "take it away" for a device.
        findings.range(path, weight.filter(|weight| *weight != 0).unwrap_or(10).into(), 10, 1000);
    };
    weight(format_args!("{at}blockIO.weight"), io.weight);
    weight(format_args!("{at}blockIO.leafWeight"), io.leaf_weight);
    for (index, device) in io.weight_device.iter().enumerate() {
        weight(format_args!("{at}blockIO.weightDevice[{index}].weight"), device.weight);
        weight(format_args!("{at}blockIO.weightDevice[{index}].leafWeight"), device.leaf_weight);
    }
    for (index, device) in io.weight_device.iter().enumerate() {
        if device.weight.is_none() && device.leaf_weight.is_none() {
            let wrong = "has no weight; it needs `weight` or `leafWeight`";
            findings.wrong(format_args!("{at}blockIO.weightDevice[{index}]"), wrong);
        }
    }
    let weights = io.weight_device.iter().map(|device| (device.major, device.minor));
    numbers("weightDevice", weights, at, findings);
    for (property, devices) in [
        ("throttleReadBpsDevice", &io.throttle_read_bps_device),
        ("throttleWriteBpsDevice", &io.throttle_write_bps_device),
        ("throttleReadIOPSDevice", &io.throttle_read_iops_device),
        ("throttleWriteIOPSDevice", &io.throttle_write_iops_device),
    ] {
        numbers(property, devices.iter().map(|device| (device.major, device.minor)), at, findings);
    }
}

fn numbers(property: &str, devices: impl Iterator<Item = (i64, i64)>, at: &str, findings: &mut Findings) {
    for (index, (major, minor)) in devices.enumerate() {
        findings.range(format_args!("{at}blockIO.{property}[{index}].major"), major, 0, (1 << 12) - 1);
        findings.range(format_args!("{at}blockIO.{property}[{index}].minor"), minor, 0, (1 << 20) - 1);
    }
}

/// A number and `KB`, `MB` or `GB`, as the files of the hugetlb controller are named.
fn is_page_size(text: &str) -> bool {
    ["KB", "MB", "GB"].iter().any(|unit| {
        text.strip_suffix(unit).is_some_and(|number| {
            !number.starts_with('0') && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    })
}

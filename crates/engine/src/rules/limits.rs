//! The limits of the container's cgroup.

use std::path::Path;

use report::Kind;
use spec::Resources;
use spec::resources::{ThrottleDevice, WeightDevice};

use super::{Facts, Refused, refused};
use crate::flags::cpu::Cpus;
use crate::flags::io::{BytesPerSecond, OperationsPerSecond};
use crate::flags::number::PidsLimit;
use crate::flags::size::Limit;
use crate::request::RunRequest;

/// The `resources` section, without the devices.
pub(super) fn resources(request: &RunRequest, facts: &Facts) -> Result<Resources, Refused> {
    let limits = &request.limits;
    let mut resources = Resources::default();

    let bytes = |bytes: u64| bytes as i64;
    resources.memory.limit = limits.memory.map(|limit| bytes(limit.get()));
    resources.memory.reservation = limits.memory_reservation.map(|limit| bytes(limit.get()));
    resources.memory.swap = match (limits.memory_swap, limits.memory) {
        (Some(Limit::Bytes(limit)), _) => Some(bytes(limit)),
        (Some(Limit::Unlimited), _) => Some(-1),
        // As much swap as memory, as in docker.
        (None, Some(memory)) => Some(bytes(memory.get()).saturating_mul(2)),
        (None, None) => None,
    };

    if let Some(cpus) = limits.cpus {
        resources.cpu.quota = Some(cpus.quota_us() as i64);
        resources.cpu.period = Some(Cpus::PERIOD_US);
    }
    resources.cpu.shares = limits.cpu_shares.map(|shares| shares.get());
    if let Some(weight) = limits.cpu_weight {
        if facts.cpu_on_v2 {
            resources.unified.insert("cpu.weight".to_owned(), weight.get().to_string());
        } else {
            // 1024 shares and a weight of 100 are what everybody has.
            resources.cpu.shares = Some((weight.get() * 1024 / 100).max(2));
        }
    }
    let list =
        |set: &Option<crate::flags::cpu::CpuSet>| set.as_ref().map(|set| set.to_list()).unwrap_or_default();
    resources.cpu.cpus = list(&limits.cpuset_cpus);
    resources.cpu.mems = list(&limits.cpuset_mems);

    resources.pids.limit = limits.pids.map(|limit| match limit {
        PidsLimit::Max(max) => max as i64,
        PidsLimit::Unlimited => -1,
    });

    let io = &mut resources.block_io;
    io.weight = limits.blkio_weight.map(|weight| weight.get() as u16);
    for asked in &limits.blkio_weight_device {
        let (major, minor) = number(facts, "--blkio-weight-device", &asked.device)?;
        io.weight_device.push(WeightDevice { major, minor, weight: Some(asked.weight), leaf_weight: None });
    }
    let bps = |flag, list: &[BytesPerSecond]| -> Result<Vec<_>, Refused> {
        list.iter().map(|asked| throttle(facts, flag, &asked.device, asked.rate)).collect()
    };
    let iops = |flag, list: &[OperationsPerSecond]| -> Result<Vec<_>, Refused> {
        list.iter().map(|asked| throttle(facts, flag, &asked.device, asked.rate)).collect()
    };
    io.throttle_read_bps_device = bps("--device-read-bps", &limits.device_read_bps)?;
    io.throttle_write_bps_device = bps("--device-write-bps", &limits.device_write_bps)?;
    io.throttle_read_iops_device = iops("--device-read-iops", &limits.device_read_iops)?;
    io.throttle_write_iops_device = iops("--device-write-iops", &limits.device_write_iops)?;
    Ok(resources)
}

fn throttle(facts: &Facts, flag: &str, device: &Path, rate: u64) -> Result<ThrottleDevice, Refused> {
    let (major, minor) = number(facts, flag, device)?;
    Ok(ThrottleDevice { major, minor, rate })
}

fn number(facts: &Facts, flag: &str, device: &Path) -> Result<(i64, i64), Refused> {
    match facts.block_devices.get(device) {
        Some((major, minor)) => Ok(((*major).into(), (*minor).into())),
        None => refused(
            format!("{flag} {}", device.display()),
            "there is no such block device",
            "lsblk -p lists them",
            Kind::NotFound,
        ),
    }
}

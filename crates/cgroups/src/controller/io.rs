//! Block devices: the `blkio` controller of v1, `io` of v2.

use crate::error::{Refused, Why};
use crate::layout::{Controller, Version};
use crate::limits::{DeviceNumber, FairWeight, IoLimits, Rate, Throttle};
use crate::write::Write;

/// What to write.
///
/// Weights need an I/O scheduler that knows them. On v1 that is bfq today (`blkio.bfq.weight`) and was CFQ
/// before Linux 5.0 (`blkio.weight`); on v2 bfq (`io.bfq.weight`) or the iocost model (`io.weight`).
///
/// # Errors
/// Weights outside 10 to 1000, and leaf weights on v2.
pub fn writes(limits: &IoLimits, version: Version) -> Result<Vec<Write>, Refused> {
    let device_weights = limits.device_weights.iter();
    let weights = device_weights.clone().flat_map(|device| [device.weight, device.leaf_weight]);
    for weight in weights.chain([limits.weight, limits.leaf_weight]).flatten() {
        if weight != 0 && !(10..=1000).contains(&weight) {
            return Err(Refused::value("blockIO.weight", format!("{weight} is not between 10 and 1000")));
        }
    }
    let leaf =
        limits.leaf_weight.is_some() || device_weights.clone().any(|device| device.leaf_weight.is_some());
    if leaf && version == Version::V2 {
        return Err(Refused::new("blockIO.leafWeight", Why::OnlyV1(Controller::Io)));
    }
    for FairWeight { weight, .. } in &limits.fair_weights {
        let most = if version == Version::V1 { 1000 } else { 10_000 };
        if !(1..=most).contains(weight) {
            return Err(Refused::value("io.weight", format!("{weight} is not between 1 and {most}")));
        }
    }
    Ok(match version {
        Version::V1 => v1(limits),
        Version::V2 => v2(limits),
    })
}

fn v1(limits: &IoLimits) -> Vec<Write> {
    let mut writes = Vec::new();
    if let Some(weight) = set(limits.weight) {
        writes.push(Write::new("blkio.weight", weight).or_instead(Write::new("blkio.bfq.weight", weight)));
    }
    if let Some(weight) = set(limits.leaf_weight) {
        writes.push(Write::new("blkio.leaf_weight", weight));
    }
    for device in &limits.device_weights {
        if let Some(weight) = set(device.weight) {
            let value = format!("{} {weight}", device.device);
            let bfq = Write::new("blkio.bfq.weight_device", &value);
            writes.push(Write::new("blkio.weight_device", value).or_instead(bfq));
        }
        if let Some(weight) = set(device.leaf_weight) {
            writes.push(Write::new("blkio.leaf_weight_device", format!("{} {weight}", device.device)));
        }
    }
    for FairWeight { device, weight } in &limits.fair_weights {
        let (bfq, cfq, value) = match device {
            None => ("blkio.bfq.weight", "blkio.weight", weight.to_string()),
            Some(device) => ("blkio.bfq.weight_device", "blkio.weight_device", format!("{device} {weight}")),
        };
        writes.push(Write::new(bfq, &value).or_instead(Write::new(cfq, value)));
    }
    for Throttle { device, rate, per_second } in &limits.throttles {
        let file = match rate {
            Rate::ReadBytes => "blkio.throttle.read_bps_device",
            Rate::WriteBytes => "blkio.throttle.write_bps_device",
            Rate::ReadOperations => "blkio.throttle.read_iops_device",
            Rate::WriteOperations => "blkio.throttle.write_iops_device",
        };
        writes.push(Write::new(file, format!("{device} {per_second}")));
    }
    writes
}

fn v2(limits: &IoLimits) -> Vec<Write> {
    let mut writes = Vec::new();
    if let Some(weight) = set(limits.weight) {
        let iocost = Write::new("io.weight", format!("default {}", weight_from_blkio(weight)));
        writes.push(Write::new("io.bfq.weight", weight).or_instead(iocost));
    }
    for device in &limits.device_weights {
        if let Some(weight) = set(device.weight) {
            let iocost = Write::new("io.weight", format!("{} {}", device.device, weight_from_blkio(weight)));
            writes
                .push(Write::new("io.bfq.weight", format!("{} {weight}", device.device)).or_instead(iocost));
        }
    }
    for FairWeight { device, weight } in &limits.fair_weights {
        let value = match device {
            None => format!("default {weight}"),
            Some(device) => format!("{device} {weight}"),
        };
        // Which of the two counts depends on each disk's scheduler, so both are told.
        let iocost = Write::new("io.weight", &value);
        if *weight <= 1000 {
            writes.push(Write::new("io.bfq.weight", value).or_instead(iocost.clone()));
            writes.push(iocost.or_skip());
        } else {
            writes.push(iocost);
        }
    }
    for device in devices_in_order(&limits.throttles) {
        let mut value = device.to_string();
        for throttle in limits.throttles.iter().filter(|throttle| throttle.device == device) {
            let key = match throttle.rate {
                Rate::ReadBytes => "rbps",
                Rate::WriteBytes => "wbps",
                Rate::ReadOperations => "riops",
                Rate::WriteOperations => "wiops",
            };
            // io.max has no 0: it says max for "no limit".
            let amount = match throttle.per_second {
                0 => "max".to_owned(),
                amount => amount.to_string(),
            };
            value.push_str(&format!(" {key}={amount}"));
        }
        writes.push(Write::new("io.max", value));
    }
    writes
}

/// A weight of 0 means "not set" in the OCI documents.
fn set(weight: Option<u16>) -> Option<u16> {
    weight.filter(|&weight| weight != 0)
}

fn devices_in_order(throttles: &[Throttle]) -> Vec<DeviceNumber> {
    let mut devices = Vec::new();
    for throttle in throttles {
        if !devices.contains(&throttle.device) {
            devices.push(throttle.device);
        }
    }
    devices
}

/// `io.weight` (1 to 10000) for a `blkio.weight` (10 to 1000), linear as in runc and crun.
pub fn weight_from_blkio(weight: u16) -> u64 {
    1 + (u64::from(weight.clamp(10, 1000)) - 10) * 9999 / 990
}

/// What was read and written on one device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeviceStats {
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Bytes discarded.
    pub discarded_bytes: u64,
    /// Read operations.
    pub reads: u64,
    /// Write operations.
    pub writes: u64,
    /// Discard operations.
    pub discards: u64,
}

/// Parses `io.stat` of v2.
pub fn parse_stat(text: &str) -> Vec<(DeviceNumber, DeviceStats)> {
    crate::parse::nested(text)
        .filter_map(|(device, pairs)| {
            let mut stats = DeviceStats::default();
            for (name, value) in pairs {
                match name {
                    "rbytes" => stats.read_bytes = value,
                    "wbytes" => stats.written_bytes = value,
                    "dbytes" => stats.discarded_bytes = value,
                    "rios" => stats.reads = value,
                    "wios" => stats.writes = value,
                    "dios" => stats.discards = value,
                    _ => {}
                }
            }
            Some((parse_device(device)?, stats))
        })
        .collect()
}

/// Parses two v1 files, `blkio.throttle.io_service_bytes` and `blkio.throttle.io_serviced` (or their bfq
/// cousins): lines such as `8:0 Read 4096`.
pub fn parse_v1(bytes: &str, operations: &str) -> Vec<(DeviceNumber, DeviceStats)> {
    let mut devices: Vec<(DeviceNumber, DeviceStats)> = Vec::new();
    for (text, is_bytes) in [(bytes, true), (operations, false)] {
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some(device), Some(what), Some(value)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            let (Some(device), Some(value)) = (parse_device(device), crate::parse::number(value)) else {
                continue;
            };
            let index = devices.iter().position(|(known, _)| *known == device).unwrap_or_else(|| {
                devices.push((device, DeviceStats::default()));
                devices.len() - 1
            });
            let stats = &mut devices[index].1;
            match (what, is_bytes) {
                ("Read", true) => stats.read_bytes = value,
                ("Write", true) => stats.written_bytes = value,
                ("Discard", true) => stats.discarded_bytes = value,
                ("Read", false) => stats.reads = value,
                ("Write", false) => stats.writes = value,
                ("Discard", false) => stats.discards = value,
                _ => {}
            }
        }
    }
    devices
}

fn parse_device(text: &str) -> Option<DeviceNumber> {
    let (major, minor) = text.split_once(':')?;
    Some(DeviceNumber { major: major.parse().ok()?, minor: minor.parse().ok()? })
}

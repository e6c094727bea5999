//! One vocabulary of limits for both versions, as people type it: `memory.max=256M cpu.max=1.5 pids.max=100`.
//!
//! The names are those of cgroup v2; [`WORDS`] lists them. [`Wish::add`] reads one assignment, [`Wish::limits`] makes
//! [`Limits`] of all of them for the versions that serve the controllers here. What a host cannot hold is refused
//! there or in planning, with the reason. Pure, but for the device names that [`Wish::add`] is given a
//! function for.

use crate::controller::{cpuset, hugetlb};
use crate::error::{Refused, Why};
use crate::layout::{Controller, Layout, Version};
use crate::limits::{
    DeviceAccess, DeviceKind, DeviceNumber, DeviceRule, FairWeight, HugepageLimit, Limit, Limits, Rate,
    RdmaLimit, Throttle,
};
use crate::units;

/// A word of the vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// Its name.
    pub name: &'static str,
    /// What its value looks like; empty where it has none.
    pub value: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Which controller serves it.
    pub controller: Controller,
}

const fn word(name: &'static str, value: &'static str, controller: Controller, about: &'static str) -> Word {
    Word { name, value, about, controller }
}

/// The vocabulary, in the order of the help.
pub const WORDS: &[Word] = &[
    word("memory.max", "SIZE|max", Controller::Memory, "the most memory; beyond it processes are killed"),
    word("memory.high", "SIZE|max", Controller::Memory, "where processes are slowed down and memory is taken back (v2)"),
    word("memory.low", "SIZE", Controller::Memory, "what is taken back last when memory is short"),
    word("memory.min", "SIZE", Controller::Memory, "what is never taken back (v2)"),
    word("memory.swap.max", "SIZE|max", Controller::Memory, "the most swap; on v1 it needs memory.max"),
    word("memory.swappiness", "PERCENT", Controller::Memory, "eagerness to swap (v1)"),
    word("cpu.max", "CPUS|TIME/PERIOD|max", Controller::Cpu, "the most processor time: 1.5 processors, 20ms/100ms"),
    word("cpu.burst", "TIME", Controller::Cpu, "unused time that may be saved up"),
    word("cpu.weight", "1-10000", Controller::Cpu, "the share of processor time when it is short; 100 is usual"),
    word("cpu.idle", "0|1", Controller::Cpu, "run only when nobody else wants to"),
    word("cpuset.cpus", "LIST", Controller::Cpuset, "the processors to run on: 0-3,8"),
    word("cpuset.mems", "LIST", Controller::Cpuset, "the memory nodes to use"),
    word("pids.max", "NUMBER|max", Controller::Pids, "the most processes and threads"),
    word(
        "io.max",
        "DEVICE:rbps=SIZE,wbps=…,riops=N,wiops=…",
        Controller::Io,
        "the most a second on a device: bytes or operations, read or written",
    ),
    word("io.weight", "[DEVICE:]1-10000", Controller::Io, "the share of disk time; 100 is usual"),
    word(
        "devices",
        "RULE[,RULE]…",
        Controller::Devices,
        "access to devices: -all,+/dev/null,+c:1:5:r; + allows, - denies, the last that matches counts",
    ),
    word("hugetlb.2MB.max", "SIZE", Controller::Hugetlb, "the most huge pages of a size, in bytes"),
    word("net_cls.classid", "MAJOR:MINOR|NUMBER", Controller::NetCls, "the class that tc and netfilter see (v1)"),
    word("net_prio", "INTERFACE:NUMBER", Controller::NetPrio, "the priority of packets by interface (v1)"),
    word("perf_event", "", Controller::PerfEvent, "be counted by perf(1) as a group; it has no value"),
    word("rdma.max", "DEVICE:hca_handle=N,hca_object=N", Controller::Rdma, "the most of an RDMA adapter"),
    word("misc.max", "RESOURCE:NUMBER|max", Controller::Misc, "the most of a scalar resource"),
];

/// What was asked for, word by word.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wish {
    limits: Limits,
    swap: Option<Limit>,
    low: Option<u64>,
    min: Option<u64>,
    membership: Vec<Controller>,
}

/// What a group's memory limits are now: on v1 the kernel limits memory and swap together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryNow {
    /// `memory.max`
    pub max: Limit,
}

impl Wish {
    /// Whether nothing was asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads one assignment. `device` finds the number of a device node by its path.
    ///
    /// # Errors
    /// A word that is none, and a value that is wrong.
    pub fn add(
        &mut self,
        text: &str,
        device: DeviceLookup<'_>,
    ) -> Result<(), Refused> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        if value.is_empty() && name != "perf_event" {
            let why = match WORDS.iter().find(|word| word.name == name) {
                Some(word) => format!("it needs a value: {name}={}", word.value),
                None => return Err(unknown(name)),
            };
            return Err(Refused::value(name.escape_debug().to_string(), why));
        }
        let named = |refused: Refused| Refused::value(name, format!("{}: {}", refused.limit, refused.why));
        let size = |text: &str| units::parse_bytes(text).map_err(named);
        let limit = |text: &str| match text {
            "max" => Ok(Limit::Unlimited),
            amount => size(amount).map(Limit::At),
        };
        let wrong = |what: &str| Refused::value(name, format!("`{}` is not {what}", value.escape_debug()));
        let limits = &mut self.limits;
        match name {
            "memory.max" => limits.memory.max_bytes = Some(at_least_one(limit(value)?, name)?),
            "memory.high" => limits.memory.high_bytes = Some(limit(value)?),
            "memory.low" => self.low = Some(size(value)?),
            "memory.min" => self.min = Some(size(value)?),
            "memory.swap.max" => self.swap = Some(limit(value)?),
            "memory.swappiness" => {
                let percent = value.parse().ok().filter(|&percent| percent <= 100);
                limits.memory.swappiness_percent = Some(percent.ok_or_else(|| wrong("0 to 100"))?);
            }
            "cpu.max" => {
                let (quota, period) = cpu_max(value).map_err(named)?;
                limits.cpu.quota_us = Some(quota);
                limits.cpu.period_us = Some(period);
            }
            "cpu.burst" => limits.cpu.burst_us = Some(units::parse_time_us(value).map_err(named)?),
            "cpu.weight" => {
                let weight = value.parse().ok().filter(|weight| (1..=10_000).contains(weight));
                let weight: u64 = weight.ok_or_else(|| wrong("1 to 10000"))?;
                limits.cpu.weight = Some(weight);
                limits.cpu.shares = Some(shares_from_weight(weight));
            }
            "cpu.idle" => {
                limits.cpu.idle = Some(match value {
                    "0" => false,
                    "1" => true,
                    _ => return Err(wrong("0 or 1")),
                });
            }
            "cpuset.cpus" | "cpuset.mems" => {
                let ranges = cpuset::parse_list(value).filter(|ranges| !ranges.is_empty());
                ranges.ok_or_else(|| wrong("a list such as 0-3,8"))?;
                let list = Some(value.to_owned());
                if name == "cpuset.cpus" { limits.cpuset.cpus = list } else { limits.cpuset.mems = list }
            }
            "pids.max" => {
                limits.pids_max = Some(match value {
                    "max" => Limit::Unlimited,
                    number => Limit::At(parse_number(number).ok_or_else(|| wrong("a number or max"))?),
                });
            }
            "io.max" => io_max(name, value, device, &mut limits.io.throttles)?,
            "io.weight" => limits.io.fair_weights.push(io_weight(name, value, device)?),
            "devices" => limits.devices = Some(device_rules(name, value, device)?),
            "net_cls.classid" => {
                limits.network.class_id = Some(class_id(value).ok_or_else(|| {
                    wrong("a class such as 10:1, in hexadecimal as tc writes it, or 0x100001")
                })?);
            }
            "net_prio" => {
                let (interface, priority) = value.rsplit_once(':').ok_or_else(|| wrong("INTERFACE:NUMBER"))?;
                let priority = parse_number(priority).and_then(|it| u32::try_from(it).ok());
                let priority = priority.ok_or_else(|| wrong("INTERFACE:NUMBER"))?;
                limits.network.priorities.push((interface.to_owned(), priority));
            }
            "perf_event" if value.is_empty() => self.membership.push(Controller::PerfEvent),
            "perf_event" => return Err(Refused::value(name, "it has no value: being a member is all")),
            "rdma.max" => limits.rdma.push(rdma(value).ok_or_else(|| wrong("DEVICE:hca_handle=N,hca_object=N"))?),
            "misc.max" => {
                let (resource, max) = value.rsplit_once(':').ok_or_else(|| wrong("RESOURCE:NUMBER"))?;
                let max = match max {
                    "max" => Limit::Unlimited,
                    number => Limit::At(parse_number(number).ok_or_else(|| wrong("RESOURCE:NUMBER"))?),
                };
                limits.misc.push((resource.to_owned(), max));
            }
            _ => match name.strip_prefix("hugetlb.").and_then(|rest| rest.strip_suffix(".max")) {
                Some(page_size) if hugetlb::is_page_size(page_size) => {
                    let max_bytes = match limit(value)? {
                        Limit::At(bytes) => bytes,
                        Limit::Unlimited => i64::MAX as u64 & !0xffff,
                    };
                    limits.hugepages.push(HugepageLimit { page_size: page_size.to_owned(), max_bytes });
                }
                Some(_) => return Err(Refused::value(name, "page sizes are written as 64KB, 2MB or 1GB")),
                None => return Err(unknown(name)),
            },
        }
        Ok(())
    }

    /// The limits for a host of this `layout`; `now` is `None` for a group that is yet to be made.
    ///
    /// # Errors
    /// What needs the other version, and membership in a hierarchy that this host does not have.
    pub fn limits(self, layout: &Layout, now: Option<MemoryNow>) -> Result<Limits, Refused> {
        let Self { mut limits, swap, low, min, membership } = self;
        if let Some(&missing) = membership.iter().find(|&&controller| layout.serving(controller).is_none()) {
            return Err(Refused::new(missing.name(), Why::NoController(missing)));
        }
        let memory = layout.serving(Controller::Memory).map(|hierarchy| hierarchy.version);
        if let Some(low) = low {
            match (memory, low) {
                // The kernel's "nothing is protected" is no limit in v1 and 0 in v2.
                (Some(Version::V1), 0) => limits.memory.low_bytes = Some(Limit::Unlimited),
                (Some(Version::V2), 0) => limits.unified.push(("memory.low".to_owned(), "0".to_owned())),
                _ => limits.memory.low_bytes = Some(Limit::At(low)),
            }
        }
        if let Some(min) = min {
            match memory {
                Some(Version::V1) => return Err(Refused::new("memory.min", Why::OnlyV2(Controller::Memory))),
                _ => limits.unified.push(("memory.min".to_owned(), min.to_string())),
            }
        }
        if let Some(swap) = swap {
            let max = limits.memory.max_bytes.or(now.map(|now| now.max)).unwrap_or(Limit::Unlimited);
            limits.memory.memory_and_swap_max_bytes = Some(match (max, swap, memory) {
                (_, Limit::Unlimited, _) => Limit::Unlimited,
                (Limit::At(max), Limit::At(swap), _) => Limit::At(max.saturating_add(swap)),
                (Limit::Unlimited, Limit::At(swap), Some(Version::V2)) => {
                    limits.unified.push(("memory.swap.max".to_owned(), swap.to_string()));
                    return Ok(limits);
                }
                (Limit::Unlimited, Limit::At(_), _) => {
                    let why = "cgroup v1 limits memory and swap together, so it needs memory.max as well";
                    return Err(Refused::value("memory.swap.max", why));
                }
            });
        }
        Ok(limits)
    }
}

/// The same refusal in the words of this vocabulary: planning speaks those of the OCI documents.
pub fn named(refused: Refused) -> Refused {
    let limit = match refused.limit.as_str() {
        "network.classID" => "net_cls.classid",
        "network.priorities" => "net_prio",
        "pids.limit" => "pids.max",
        "memory.swap" => "memory.swap.max",
        "blockIO" | "blockIO.weight" => "io",
        "cpu.cpus" => "cpuset.cpus",
        "cpu.mems" => "cpuset.mems",
        "unified" => "this limit",
        other if other.starts_with("hugepageLimits") => "hugetlb",
        other => other.strip_prefix("unified.").unwrap_or(other),
    };
    Refused { limit: limit.to_owned(), ..refused }
}

/// `cpu.shares` for a weight of v2, so that shares keep their proportions: what the scheduler itself computes
/// (`sched_weight_from_cgroup`).
pub fn shares_from_weight(weight: u64) -> u64 {
    ((weight * 1024 + 50) / 100).max(2)
}

/// The weight of v2 that `cpu.shares` amounts to.
pub fn weight_from_shares(shares: u64) -> u64 {
    ((shares * 100 + 512) / 1024).clamp(1, 10_000)
}

fn unknown(name: &str) -> Refused {
    let similar = WORDS.iter().map(|word| word.name).find(|known| {
        let tail = known.rsplit('.').next().unwrap_or(known);
        name.eq_ignore_ascii_case(known) || name == tail || name.replace('_', ".") == *known
    });
    let why = match similar {
        Some(similar) => format!("this is not a limit; did you mean {similar}?"),
        None => "this is not a limit; `holm cgroup set --help` lists them".to_owned(),
    };
    Refused::value(name.escape_debug().to_string(), why)
}

fn at_least_one(limit: Limit, name: &str) -> Result<Limit, Refused> {
    match limit {
        Limit::At(0) => Err(Refused::value(name, "no process can live with no memory at all")),
        other => Ok(other),
    }
}

fn parse_number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|&number| i64::try_from(number).is_ok())
}

/// `1.5`, `20ms/100ms` or `max`, as quota and period in microseconds.
fn cpu_max(text: &str) -> Result<(Limit, u64), Refused> {
    let usual = units::CpuTime::PERIOD_US;
    match text.split_once('/') {
        None if text == "max" => Ok((Limit::Unlimited, usual)),
        None => units::parse_cpus(text).map(|time| (Limit::At(time.quota_us), time.period_us)),
        Some((quota, period)) => {
            let period = units::parse_time_us(period)?;
            let refuse = |why: &str| Err(Refused::value(format!("`{}`", text.escape_debug()), why));
            if !(1000..=1_000_000).contains(&period) {
                return refuse("the kernel takes periods from 1ms to 1s");
            }
            match quota {
                "max" => Ok((Limit::Unlimited, period)),
                quota => match units::parse_time_us(quota)? {
                    quota if quota < 1000 => refuse("the kernel takes times from 1ms on"),
                    quota => Ok((Limit::At(quota), period)),
                },
            }
        }
    }
}

/// Finds sort and number of a device by its name: [`device_number`] on a live host.
pub type DeviceLookup<'a> = &'a dyn Fn(&str) -> Result<(DeviceKind, DeviceNumber), Refused>;

fn block_device(name: &str, text: &str, device: DeviceLookup<'_>) -> Result<DeviceNumber, Refused> {
    match device(text)? {
        (DeviceKind::Block, number) => Ok(number),
        _ => Err(Refused::value(name, format!("{} is not a block device", text.escape_debug()))),
    }
}

/// `8:0` or a path, before the first `:` behind it.
fn split_device(text: &str) -> Option<(&str, &str)> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (first, rest) = text.split_once(':')?;
    if digits(first) {
        let (minor, rest) = rest.split_once(':').unwrap_or((rest, ""));
        digits(minor).then(|| (&text[..first.len() + 1 + minor.len()], rest))
    } else {
        text.rsplit_once(':')
    }
}

fn io_max(
    name: &str,
    value: &str,
    device: DeviceLookup<'_>,
    throttles: &mut Vec<Throttle>,
) -> Result<(), Refused> {
    let wrong = || {
        let what = format!("`{}` is not DEVICE:rbps=SIZE,wbps=SIZE,riops=NUMBER,wiops=NUMBER", value.escape_debug());
        Refused::value(name, what)
    };
    let (path, rates) = split_device(value).filter(|(_, rates)| !rates.is_empty()).ok_or_else(wrong)?;
    let device = block_device(name, path, device)?;
    for rate in rates.split(',') {
        let (key, amount) = rate.split_once('=').ok_or_else(wrong)?;
        let (rate, is_bytes) = match key {
            "rbps" => (Rate::ReadBytes, true),
            "wbps" => (Rate::WriteBytes, true),
            "riops" => (Rate::ReadOperations, false),
            "wiops" => (Rate::WriteOperations, false),
            _ => return Err(wrong()),
        };
        let per_second = match amount {
            "max" => 0,
            amount => {
                let parsed = if is_bytes { units::parse_bytes(amount).ok() } else { parse_number(amount) };
                parsed.filter(|&amount| amount > 0).ok_or_else(wrong)?
            }
        };
        throttles.push(Throttle { device, rate, per_second });
    }
    Ok(())
}

fn io_weight(name: &str, value: &str, device: DeviceLookup<'_>) -> Result<FairWeight, Refused> {
    let wrong = || Refused::value(name, format!("`{}` is not [DEVICE:]1-10000", value.escape_debug()));
    let (path, weight) = match value.rsplit_once(':') {
        Some((path, weight)) => (Some(path), weight),
        None => (None, value),
    };
    let weight = parse_number(weight).filter(|weight| (1..=10_000).contains(weight)).ok_or_else(wrong)?;
    let device = path.map(|path| block_device(name, path, device)).transpose()?;
    Ok(FairWeight { device, weight: weight as u16 })
}

/// The rules in their order. Without a word about all devices first, those before the first rule are what it makes an
/// exception from.
fn device_rules(name: &str, value: &str, device: DeviceLookup<'_>) -> Result<Vec<DeviceRule>, Refused> {
    let mut rules = Vec::new();
    for text in value.split(',') {
        let wrong = || {
            let what = format!("`{}` is not a rule such as -all, +/dev/null:rw or +c:1:5:r", text.escape_debug());
            Refused::value(name, what)
        };
        let allow = match text.as_bytes().first() {
            Some(b'+') => true,
            Some(b'-') => false,
            _ => return Err(wrong()),
        };
        let rest = &text[1..];
        let rule = |kind, major, minor, access| DeviceRule { allow, kind, major, minor, access };
        let parsed = if rest == "all" {
            rule(DeviceKind::Any, None, None, DeviceAccess::ALL)
        } else if rest.starts_with('/') {
            let (path, access) = match rest.rsplit_once(':') {
                Some((path, letters)) => (path, DeviceAccess::parse(letters).ok_or_else(wrong)?),
                None => (rest, DeviceAccess::ALL),
            };
            let (kind, number) = device(path)?;
            rule(kind, Some(number.major), Some(number.minor), access)
        } else {
            let parts: Vec<_> = rest.split(':').collect();
            let kind = match parts.first() {
                Some(&"c") => DeviceKind::Char,
                Some(&"b") => DeviceKind::Block,
                _ => return Err(wrong()),
            };
            let number = |text: Option<&&str>| match text {
                Some(&"*") => Ok(None),
                Some(number) => {
                    let number = parse_number(number).and_then(|it| u32::try_from(it).ok());
                    number.map(Some).ok_or_else(wrong)
                }
                None => Err(wrong()),
            };
            let access = match parts.get(3) {
                Some(letters) => DeviceAccess::parse(letters).ok_or_else(wrong)?,
                None => DeviceAccess::ALL,
            };
            if parts.len() > 4 {
                return Err(wrong());
            }
            rule(kind, number(parts.get(1))?, number(parts.get(2))?, access)
        };
        let is_all = parsed.kind == DeviceKind::Any;
        if rules.is_empty() && !is_all {
            let allow = !parsed.allow;
            let (kind, access) = (DeviceKind::Any, DeviceAccess::ALL);
            rules.push(DeviceRule { allow, kind, major: None, minor: None, access });
        }
        rules.push(parsed);
    }
    Ok(rules)
}

/// `10:1` in hexadecimal as tc(8) writes classes, or a number, which may be hexadecimal (`0x100001`).
fn class_id(text: &str) -> Option<u32> {
    let hex = |text: &str, most: usize| {
        let fine = !text.is_empty() && text.len() <= most && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        fine.then(|| u32::from_str_radix(text, 16).ok()).flatten()
    };
    match (text.split_once(':'), text.strip_prefix("0x")) {
        (Some((major, minor)), _) => Some(hex(major, 4)? << 16 | hex(minor, 4)?),
        (None, Some(digits)) => hex(digits, 8),
        (None, None) => parse_number(text).and_then(|number| u32::try_from(number).ok()),
    }
}

fn rdma(text: &str) -> Option<RdmaLimit> {
    let (device, pairs) = text.split_once(':')?;
    let mut limit = RdmaLimit { device: device.to_owned(), hca_handles: None, hca_objects: None };
    for pair in pairs.split(',') {
        let (key, number) = pair.split_once('=')?;
        let number = parse_number(number).and_then(|it| u32::try_from(it).ok())?;
        match key {
            "hca_handle" => limit.hca_handles = Some(number),
            "hca_object" => limit.hca_objects = Some(number),
            _ => return None,
        }
    }
    Some(limit)
}

/// The number of a device: `8:0` as a block device, or the node at a path.
///
/// # Errors
/// When there is no such node.
pub fn device_number(text: &str) -> Result<(DeviceKind, DeviceNumber), Refused> {
    if let Some((major, minor)) = text.split_once(':')
        && let (Some(major), Some(minor)) = (parse_number(major), parse_number(minor))
        && let (Ok(major), Ok(minor)) = (u32::try_from(major), u32::try_from(minor))
    {
        return Ok((DeviceKind::Block, DeviceNumber { major, minor }));
    }
    let refuse = |why: &str| Err(Refused::value(text.escape_debug().to_string(), why));
    let Ok(status) = rustix::fs::stat(text) else { return refuse("there is no such device") };
    let kind = match rustix::fs::FileType::from_raw_mode(status.st_mode) {
        rustix::fs::FileType::BlockDevice => DeviceKind::Block,
        rustix::fs::FileType::CharacterDevice => DeviceKind::Char,
        _ => return refuse("this is not a device"),
    };
    let (major, minor) = (rustix::fs::major(status.st_rdev), rustix::fs::minor(status.st_rdev));
    Ok((kind, DeviceNumber { major, minor }))
}

#[cfg(test)]
mod tests;

//! Processor time: the `cpu` controller.

use crate::error::{Refused, Why};
use crate::layout::{Controller, Version};
use crate::limits::{CpuLimits, Limit};
use crate::write::Write;

/// What to write, in the order the kernel accepts.
///
/// # Errors
/// Realtime limits on v2, and values outside of what the kernel documents.
pub fn writes(limits: &CpuLimits, version: Version) -> Result<Vec<Write>, Refused> {
    if let Some(weight) = limits.weight
        && !(1..=10_000).contains(&weight)
    {
        return Err(Refused::value("cpu.weight", format!("{weight} is not between 1 and 10000")));
    }
    match version {
        Version::V1 => v1(limits),
        Version::V2 => v2(limits),
    }
}

fn v1(limits: &CpuLimits) -> Result<Vec<Write>, Refused> {
    let mut writes = Vec::new();
    if limits.weight.is_some() && limits.shares.is_none() {
        return Err(Refused::new("cpu.weight", Why::OnlyV2(Controller::Cpu)));
    }
    // Realtime comes first: a group without realtime bandwidth does not take a realtime process.
    if let Some(period) = limits.realtime_period_us {
        writes.push(Write::new("cpu.rt_period_us", period).or_last());
    }
    if let Some(runtime) = limits.realtime_runtime_us {
        writes.push(Write::new("cpu.rt_runtime_us", runtime));
    }
    // Shares of an idle group cannot be set, so it has to leave that state before and enter it after.
    let idle = limits.idle.map(|idle| Write::new("cpu.idle", u8::from(idle)));
    let (idle_before, idle_after) = if limits.idle == Some(true) { (None, idle) } else { (idle, None) };
    // A kernel before 5.15 has no cpu.idle, and not being idle is what it does.
    writes.extend(idle_before.map(Write::or_skip));
    if let Some(shares) = limits.shares.filter(|&shares| shares != 0) {
        writes.push(Write::new("cpu.shares", shares));
    }
    // The kernel compares quota / period with the parent's and burst with quota at each write, so what is
    // refused while the old quota holds may be accepted after the new one.
    if let Some(period) = limits.period_us.filter(|&period| period != 0) {
        writes.push(Write::new("cpu.cfs_period_us", period).or_last());
    }
    if let Some(burst) = limits.burst_us {
        writes.push(burst_write("cpu.cfs_burst_us", burst));
    }
    if let Some(quota) = limits.quota_us.filter(|&quota| quota != Limit::At(0)) {
        writes.push(Write::new("cpu.cfs_quota_us", quota.v1()));
    }
    writes.extend(idle_after);
    Ok(writes)
}

fn v2(limits: &CpuLimits) -> Result<Vec<Write>, Refused> {
    let mut writes = Vec::new();
    for (limit, asked) in [
        ("cpu.realtimeRuntime", limits.realtime_runtime_us.is_some_and(|runtime| runtime != 0)),
        ("cpu.realtimePeriod", limits.realtime_period_us.is_some_and(|period| period != 0)),
    ] {
        super::only_v1(limit, asked, Controller::Cpu, Version::V2)?;
    }
    let weight = limits.weight.or_else(|| limits.shares.and_then(weight_from_shares));
    match limits.idle {
        // The weight of an idle group cannot be set, and means nothing.
        Some(true) => writes.push(Write::new("cpu.idle", 1)),
        other => {
            writes.extend(other.map(|_| Write::new("cpu.idle", 0).or_skip()));
            writes.extend(weight.map(|weight| Write::new("cpu.weight", weight)));
        }
    }
    if let Some(burst) = limits.burst_us {
        writes.push(burst_write("cpu.max.burst", burst));
    }
    let quota = limits.quota_us.filter(|&quota| quota != Limit::At(0));
    let period = limits.period_us.filter(|&period| period != 0);
    match (quota, period) {
        (None, None) => {}
        (Some(quota), None) => writes.push(Write::new("cpu.max", quota.v2())),
        (quota, Some(period)) => {
            let quota = quota.unwrap_or(Limit::Unlimited);
            writes.push(Write::new("cpu.max", format!("{} {period}", quota.v2())));
        }
    }
    Ok(writes)
}

/// A burst of nothing is what a kernel without the file does (before 5.14).
fn burst_write(file: &'static str, burst_us: u64) -> Write {
    let write = Write::new(file, burst_us).or_last();
    if burst_us == 0 { write.or_skip() } else { write }
}

/// The v2 weight for v1 shares; `None` for 0, which means "not set".
///
/// The formula that runc 1.3.2, crun 1.23 and systemd-based engines share since 2025: a quadratic in log2(shares)
/// which maps the smallest, the default and the largest shares to the smallest, the default and the largest
/// weight (2, 1024, 262144 to 1, 100, 10000). The linear one before it mapped 1024 to 39, so that a container
/// with default shares lost against every other group.
pub fn weight_from_shares(shares: u64) -> Option<u64> {
    let weight = match shares {
        0 => return None,
        1..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let log = (shares as f64).log2();
            let exact = 10f64.powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0);
            // Rounded up, except that 100.000000001 is 100.
            (exact - 1e-6).ceil() as u64
        }
    };
    Some(weight)
}

/// Processor time used and withheld.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuStats {
    /// Time used, in nanoseconds.
    pub used_ns: u64,
    /// Of that in user mode.
    pub user_ns: u64,
    /// Of that in the kernel.
    pub system_ns: u64,
    /// Periods in which the group wanted to run.
    pub periods: u64,
    /// Periods in which it used up its quota.
    pub throttled_periods: u64,
    /// How long its processors were withheld, in nanoseconds.
    pub throttled_ns: u64,
    /// Periods in which saved time was used (Linux 5.15).
    pub bursts: u64,
    /// How much saved time was used, in nanoseconds.
    pub burst_ns: u64,
}

impl CpuStats {
    /// Takes in `cpu.stat` of v2, in microseconds there.
    pub fn parse_v2(text: &str) -> Self {
        let mut stats = Self::default();
        for (key, value) in crate::parse::flat(text) {
            let ns = value.saturating_mul(1000);
            match key {
                "usage_usec" => stats.used_ns = ns,
                "user_usec" => stats.user_ns = ns,
                "system_usec" => stats.system_ns = ns,
                "nr_periods" => stats.periods = value,
                "nr_throttled" => stats.throttled_periods = value,
                "throttled_usec" => stats.throttled_ns = ns,
                "nr_bursts" => stats.bursts = value,
                "burst_usec" => stats.burst_ns = ns,
                _ => {}
            }
        }
        stats
    }

    /// Takes in `cpu.stat` of v1, in nanoseconds there; it tells of throttling only.
    pub fn parse_v1(text: &str) -> Self {
        let mut stats = Self::default();
        for (key, value) in crate::parse::flat(text) {
            match key {
                "nr_periods" => stats.periods = value,
                "nr_throttled" => stats.throttled_periods = value,
                "throttled_time" => stats.throttled_ns = value,
                "nr_bursts" => stats.bursts = value,
                "burst_time" => stats.burst_ns = value,
                _ => {}
            }
        }
        stats
    }
}

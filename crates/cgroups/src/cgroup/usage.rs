//! What a group uses, in the few numbers that lists and live views show: cheap to read for every group of a host.

use super::Cgroup;
use crate::controller::io;
use crate::error::Error;
use crate::layout::{Controller, Version};
use crate::parse;

/// What a group uses. What the host does not count is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time since the group exists.
    pub cpu_ns: Option<u64>,
    /// Periods in which its processor quota was used up.
    pub throttled_periods: Option<u64>,
    /// Memory in use, page cache included.
    pub memory_bytes: Option<u64>,
    /// The limit on memory.
    pub memory_max_bytes: Option<u64>,
    /// Processes and threads.
    pub tasks: Option<u64>,
    /// Bytes read from block devices.
    pub read_bytes: Option<u64>,
    /// Bytes written to block devices.
    pub written_bytes: Option<u64>,
}

impl Cgroup {
    /// Reads it. Groups below it are included.
    ///
    /// # Errors
    /// When a file that is there cannot be read.
    pub fn usage(&self) -> Result<Usage, Error> {
        let mut usage = Usage::default();
        let v1 = |controller| self.serving(controller).filter(|group| group.version == Version::V1);
        usage.cpu_ns = match v1(Controller::Cpuacct) {
            Some(group) => group.number("cpuacct.usage")?,
            None => match self.v2() {
                Some(group) => {
                    let text = group.text("cpu.stat")?.unwrap_or_default();
                    parse::flat_value(&text, "usage_usec").map(|us| us.saturating_mul(1000))
                }
                None => None,
            },
        };
        if let Some(group) = self.serving(Controller::Cpu) {
            let text = group.text("cpu.stat")?.unwrap_or_default();
            usage.throttled_periods = parse::flat_value(&text, "nr_throttled");
        }
        if let Some(group) = self.serving(Controller::Memory) {
            let (current, max) = match group.version {
                Version::V1 => ("memory.usage_in_bytes", "memory.limit_in_bytes"),
                Version::V2 => ("memory.current", "memory.max"),
            };
            usage.memory_bytes = group.number(current)?;
            usage.memory_max_bytes = group.limit(max)?;
        }
        if let Some(group) = self.serving(Controller::Pids) {
            usage.tasks = group.number("pids.current")?;
        }
        if let Some(group) = self.serving(Controller::Io) {
            let devices = match group.version {
                Version::V2 => io::parse_stat(&group.text("io.stat")?.unwrap_or_default()),
                Version::V1 => self.io_stats()?,
            };
            let total = |count: fn(&io::DeviceStats) -> u64| devices.iter().map(|(_, stats)| count(stats)).sum();
            usage.read_bytes = Some(total(|stats| stats.read_bytes));
            usage.written_bytes = Some(total(|stats| stats.written_bytes));
        }
        Ok(usage)
    }
}

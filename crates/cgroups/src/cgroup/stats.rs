//! Reading what a group used. What a host does not have is `None`, not zero.

use crate::controller::cpu::CpuStats;
use crate::controller::cpuacct::CpuacctStats;
use crate::controller::hugetlb::{self, HugetlbStats};
use crate::controller::io::{self, DeviceStats};
use crate::controller::memory::MemoryStats;
use crate::controller::misc;
use crate::controller::pids::PidsStats;
use crate::controller::rdma::{self, RdmaStats};
use crate::error::Error;
use crate::layout::{Controller, Version};
use crate::limits::DeviceNumber;
use crate::parse;
use crate::pressure::{Pressure, Resource};

use super::{Cgroup, Group};

/// Everything that can be told about a group.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// Processor time.
    pub cpu: Option<CpuStats>,
    /// Processor time by processor (v1).
    pub cpuacct: Option<CpuacctStats>,
    /// Memory.
    pub memory: Option<MemoryStats>,
    /// Processes.
    pub pids: Option<PidsStats>,
    /// Block devices.
    pub io: Vec<(DeviceNumber, DeviceStats)>,
    /// Huge pages.
    pub hugetlb: Vec<HugetlbStats>,
    /// RDMA adapters.
    pub rdma: Vec<RdmaStats>,
    /// Scalar resources.
    pub misc: Vec<(String, u64)>,
    /// Waiting for processors (v2).
    pub cpu_pressure: Option<Pressure>,
    /// Waiting for memory (v2).
    pub memory_pressure: Option<Pressure>,
    /// Waiting for block devices (v2).
    pub io_pressure: Option<Pressure>,
}

impl Cgroup {
    /// Reads all statistics.
    ///
    /// # Errors
    /// When a file that is there cannot be read.
    pub fn stats(&self) -> Result<Stats, Error> {
        let mut stats = Stats {
            cpu: self.cpu_stats()?,
            cpuacct: self.cpuacct_stats()?,
            memory: self.memory_stats()?,
            pids: self.pids_stats()?,
            io: self.io_stats()?,
            hugetlb: self.hugetlb_stats()?,
            cpu_pressure: self.pressure(Resource::Cpu)?,
            memory_pressure: self.pressure(Resource::Memory)?,
            io_pressure: self.pressure(Resource::Io)?,
            ..Stats::default()
        };
        if let Some(text) = self.text_of(Controller::Rdma, "rdma.current")? {
            stats.rdma = rdma::parse(&text);
        }
        if let Some(text) = self.text_of(Controller::Misc, "misc.current")? {
            stats.misc = misc::parse(&text);
        }
        Ok(stats)
    }

    /// Processor time. On v1 the times come from `cpuacct`, throttling from `cpu`; on v2 `cpu.stat` is in every
    /// group and tells of throttling where the controller is enabled.
    ///
    /// # Errors
    /// When a file that is there cannot be read.
    pub fn cpu_stats(&self) -> Result<Option<CpuStats>, Error> {
        let throttling = self.serving(Controller::Cpu);
        let mut stats = match throttling {
            Some(group) => match group.version {
                Version::V1 => group.text("cpu.stat")?.map(|text| CpuStats::parse_v1(&text)),
                Version::V2 => group.text("cpu.stat")?.map(|text| CpuStats::parse_v2(&text)),
            },
            None => None,
        };
        if throttling.is_none_or(|group| group.version == Version::V1) {
            if let Some(used) = self.cpuacct_stats()? {
                let stats = stats.get_or_insert_default();
                (stats.used_ns, stats.user_ns, stats.system_ns) =
                    (used.used_ns, used.user_ns, used.system_ns);
            } else if let Some(group) = self.v2()
                && let Some(text) = group.text("cpu.stat")?
            {
                let used = CpuStats::parse_v2(&text);
                let stats = stats.get_or_insert_default();
                (stats.used_ns, stats.user_ns, stats.system_ns) =
                    (used.used_ns, used.user_ns, used.system_ns);
            }
        }
        Ok(stats)
    }

    /// Processor time as v1 tells it; `None` on v2.
    ///
    /// # Errors
    /// When a file that is there cannot be read.
    pub fn cpuacct_stats(&self) -> Result<Option<CpuacctStats>, Error> {
        let Some(group) = self.serving(Controller::Cpuacct).filter(|group| group.version == Version::V1)
        else {
            return Ok(None);
        };
        let per_cpu = group.text("cpuacct.usage_percpu")?.unwrap_or_default();
        Ok(Some(CpuacctStats {
            used_ns: group.number("cpuacct.usage")?.unwrap_or(0),
            user_ns: group.number("cpuacct.usage_user")?.unwrap_or(0),
            system_ns: group.number("cpuacct.usage_sys")?.unwrap_or(0),
            per_cpu_ns: CpuacctStats::parse_per_cpu(&per_cpu),
        }))
    }

    /// Memory.
    ///
    /// # Errors
    /// When a file that is there cannot be read.
    pub fn memory_stats(&self) -> Result<Option<MemoryStats>, Error> {
        let Some(group) = self.serving(Controller::Memory) else { return Ok(None) };
        let mut stats = MemoryStats::default();
        if let Some(text) = group.text("memory.stat")? {
            stats.parse_stat(&text, group.version);
        }
        match group.version {
            Version::V1 => {
                stats.used_bytes = group.number("memory.usage_in_bytes")?.unwrap_or(0);
                stats.peak_bytes = group.number("memory.max_usage_in_bytes")?;
                stats.max_bytes = group.limit("memory.limit_in_bytes")?;
                // Whichever of the two limits is reached first counts the hit.
                let hits = |file: &str| Ok::<_, Error>(group.number(file)?.unwrap_or(0));
                stats.limit_hits = hits("memory.failcnt")? + hits("memory.memsw.failcnt")?;
                stats.kernel_bytes = group.number("memory.kmem.usage_in_bytes")?.unwrap_or(0);
                let oom = group.text("memory.oom_control")?.unwrap_or_default();
                stats.oom_kills = parse::flat_value(&oom, "oom_kill").unwrap_or(0);
                let both = group.number("memory.memsw.usage_in_bytes")?;
                stats.swap_used_bytes = both.map(|both| both.saturating_sub(stats.used_bytes));
                stats.swap_max_bytes = group.limit("memory.memsw.limit_in_bytes")?;
            }
            Version::V2 => {
                stats.used_bytes = group.number("memory.current")?.unwrap_or(0);
                stats.peak_bytes = group.number("memory.peak")?;
                stats.max_bytes = group.limit("memory.max")?;
                stats.swap_used_bytes = group.number("memory.swap.current")?;
                stats.swap_max_bytes = group.limit("memory.swap.max")?;
                stats.parse_events(&group.text("memory.events")?.unwrap_or_default());
            }
        }
        Ok(Some(stats))
    }

    /// Processes killed because memory ran out; `None` without a memory controller.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn oom_kills(&self) -> Result<Option<u64>, Error> {
        let Some(group) = self.serving(Controller::Memory) else { return Ok(None) };
        let file = match group.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        Ok(group.text(file)?.and_then(|text| parse::flat_value(&text, "oom_kill")))
    }

    /// Processes and threads.
    ///
    /// # Errors
    /// When a file that is there cannot be read.
    pub fn pids_stats(&self) -> Result<Option<PidsStats>, Error> {
        let Some(group) = self.serving(Controller::Pids) else { return Ok(None) };
        let events = group.text("pids.events")?.unwrap_or_default();
        Ok(Some(PidsStats {
            current: group.number("pids.current")?.unwrap_or(0),
            max: group.limit("pids.max")?,
            peak: group.number("pids.peak")?,
            limit_hits: parse::flat_value(&events, "max").unwrap_or(0),
        }))
    }

    /// Block devices. On v1 the throttling layer counts, since Linux 6.10 only on devices that have a throttle
    /// somewhere: an empty list does not mean that nothing was read.
    ///
    /// # Errors
    /// When a file that is there cannot be read.
    pub fn io_stats(&self) -> Result<Vec<(DeviceNumber, DeviceStats)>, Error> {
        let Some(group) = self.serving(Controller::Io) else { return Ok(Vec::new()) };
        match group.version {
            Version::V2 => Ok(io::parse_stat(&group.text("io.stat")?.unwrap_or_default())),
            Version::V1 => {
                // bfq counts only what passes its scheduler; the throttling layer sees all, where it was built in.
                for prefix in ["blkio.throttle.io", "blkio.bfq.io", "blkio.io"] {
                    let bytes = group.text(&format!("{prefix}_service_bytes_recursive"))?;
                    let operations = group.text(&format!("{prefix}_serviced_recursive"))?;
                    if let (Some(bytes), Some(operations)) = (bytes, operations) {
                        return Ok(io::parse_v1(&bytes, &operations));
                    }
                }
                Ok(Vec::new())
            }
        }
    }

    /// Huge pages, one entry a size.
    ///
    /// # Errors
    /// When a file that is there cannot be read.
    pub fn hugetlb_stats(&self) -> Result<Vec<HugetlbStats>, Error> {
        let Some(group) = self.serving(Controller::Hugetlb) else { return Ok(Vec::new()) };
        let files = group.dir.files().map_err(|errno| group.dir.failed("getdents", "", errno))?;
        let sizes = files.iter().filter_map(|file| hugetlb::page_size_in(file));
        sizes
            .map(|size| {
                let file = |name: &str| format!("hugetlb.{size}.{name}");
                let (used, max) = match group.version {
                    Version::V1 => ("usage_in_bytes", "limit_in_bytes"),
                    Version::V2 => ("current", "max"),
                };
                let hits = match group.version {
                    Version::V1 => group.number(&file("failcnt"))?.unwrap_or(0),
                    Version::V2 => {
                        let events = group.text(&file("events"))?.unwrap_or_default();
                        parse::flat_value(&events, "max").unwrap_or(0)
                    }
                };
                Ok(HugetlbStats {
                    page_size: size.to_owned(),
                    used_bytes: group.number(&file(used))?.unwrap_or(0),
                    peak_bytes: group.number(&file("max_usage_in_bytes"))?,
                    max_bytes: group.limit(&file(max))?,
                    limit_hits: hits,
                })
            })
            .collect()
    }

    /// How long the group waits for a resource; `None` on v1 and without PSI.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn pressure(&self, resource: Resource) -> Result<Option<Pressure>, Error> {
        let Some(group) = self.v2() else { return Ok(None) };
        Ok(group.text(resource.file())?.as_deref().and_then(Pressure::parse))
    }

    fn text_of(&self, controller: Controller, file: &str) -> Result<Option<String>, Error> {
        self.serving(controller).map_or(Ok(None), |group| group.text(file))
    }
}

impl Group {
    /// A file's text; `None` if this kernel does not have it, or has it switched off.
    pub(super) fn text(&self, file: &str) -> Result<Option<String>, Error> {
        use rustix::io::Errno as Failure;
        match self.dir.read(file) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(Failure::NOENT | Failure::OPNOTSUPP) => Ok(None),
            Err(errno) => Err(self.dir.failed("read", file, errno)),
        }
    }

    pub(super) fn number(&self, file: &str) -> Result<Option<u64>, Error> {
        Ok(self.text(file)?.as_deref().and_then(parse::number))
    }

    pub(super) fn limit(&self, file: &str) -> Result<Option<u64>, Error> {
        Ok(self.text(file)?.as_deref().and_then(parse::limit))
    }
}

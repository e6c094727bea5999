//! What containers use, as their cgroups and the kernel tell it.

use report::BoxedExplain;
use runtime::state::StateRoot;
use serde_json::{Value, json};

use super::home::{Home, Places};
use super::state;
use crate::host::boxed;
use crate::view::units::{binary, decimal};

/// A look at one container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    /// When, in nanoseconds of the clock that never goes back.
    pub at_ns: u64,
    /// Processor time, in nanoseconds.
    pub cpu_ns: u64,
    /// Memory without what can be dropped at once, in bytes.
    pub memory_bytes: u64,
    /// The most memory; what the host has without a limit.
    pub memory_limit_bytes: u64,
    /// Bytes that came over its own network interfaces.
    pub received_bytes: u64,
    /// Bytes that went.
    pub sent_bytes: u64,
    /// Bytes read from block devices.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// How many processes and threads.
    pub pids: u64,
    /// Of the last ten seconds, how much some of it waited for a processor, for memory, for a disk, in percent; v2 only.
    pub pressure: [Option<f64>; 3],
}

/// Takes a look; none for a container that does not run.
///
/// # Errors
/// When its cgroup cannot be read.
pub fn sample(records: &StateRoot, home: &Home) -> Result<Option<Sample>, BoxedExplain> {
    let state = state::of(home, records);
    let (true, Some(container)) = (state.status.is_alive(), &state.container) else { return Ok(None) };
    let cgroup = container.cgroup().map_err(boxed)?;
    let stats = cgroup.stats().map_err(boxed)?;
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let mut sample =
        Sample { at_ns: now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64, ..Sample::default() };
    fill(&mut sample, &stats);
    let total = host_memory();
    if sample.memory_limit_bytes == 0 || sample.memory_limit_bytes > total {
        sample.memory_limit_bytes = total;
    }
    (sample.received_bytes, sample.sent_bytes) = network(state.pid);
    Ok(Some(sample))
}

/// The same, for who has no records open.
///
/// # Errors
/// As [`sample`].
pub fn look(places: &Places, home: &Home) -> Result<Option<Sample>, BoxedExplain> {
    sample(&StateRoot::open(&places.records()).map_err(boxed)?, home)
}

fn host_memory() -> u64 {
    let text = crate::host::read("/proc/meminfo");
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Bytes received and sent over the interfaces of a process's network namespace, but for loopback; nothing of the host's own.
fn network(pid: i32) -> (u64, u64) {
    let link = |path: String| std::fs::read_link(path).ok();
    if link(format!("/proc/{pid}/ns/net")) == link("/proc/self/ns/net".to_owned()) {
        return (0, 0);
    }
    let text = crate::host::read(&format!("/proc/{pid}/net/dev"));
    let lines = text.lines().filter_map(|line| line.split_once(':')).filter(|(name, _)| name.trim() != "lo");
    lines.fold((0, 0), |(received, sent), (_, rest)| {
        let mut fields = rest.split_ascii_whitespace().map(|text| text.parse::<u64>().unwrap_or(0));
        (received + fields.next().unwrap_or(0), sent + fields.nth(7).unwrap_or(0))
    })
}

/// Processor time between two looks, in percent of one processor.
pub fn cpu_percent(before: &Sample, now: &Sample) -> f64 {
    let passed = now.at_ns.saturating_sub(before.at_ns);
    if passed == 0 {
        return 0.0;
    }
    100.0 * now.cpu_ns.saturating_sub(before.cpu_ns) as f64 / passed as f64
}

impl Sample {
    /// The fields of a row, as docker names them.
    pub fn row(&self, home: &Home, name: &str, cpu_percent: f64, whole: bool) -> Value {
        let memory = match self.memory_limit_bytes {
            0 => 0.0,
            limit => 100.0 * self.memory_bytes as f64 / limit as f64,
        };
        let pressure = |index: usize| {
            self.pressure[index].map_or_else(|| "--".to_owned(), |share| format!("{share:.1}%"))
        };
        json!({
            "ID": if whole { &home.id } else { home.short() },
            "Container": if whole { &home.id } else { home.short() },
            "Name": name,
            "CPUPerc": format!("{cpu_percent:.2}%"),
            "MemUsage": format!("{} / {}", binary(self.memory_bytes), binary(self.memory_limit_bytes)),
            "MemPerc": format!("{memory:.2}%"),
            "NetIO": format!("{} / {}", decimal(self.received_bytes), decimal(self.sent_bytes)),
            "BlockIO": format!("{} / {}", decimal(self.read_bytes), decimal(self.written_bytes)),
            "PIDs": self.pids.to_string(),
            "CPUPressure": pressure(0),
            "MemPressure": pressure(1),
            "IOPressure": pressure(2),
        })
    }
}

fn fill(sample: &mut Sample, stats: &cgroups::cgroup::Stats) {
    sample.cpu_ns = match (&stats.cpuacct, &stats.cpu) {
        (Some(account), _) => account.used_ns,
        (None, Some(cpu)) => cpu.used_ns,
        (None, None) => 0,
    };
    if let Some(memory) = &stats.memory {
        // What was read from files and not used for long can be dropped at once: it is not what people mean.
        sample.memory_bytes = memory.used_bytes.saturating_sub(memory.inactive_file_bytes);
        sample.memory_limit_bytes = memory.max_bytes.unwrap_or(0);
    }
    sample.pids = stats.pids.as_ref().map_or(0, |pids| pids.current);
    for (_, device) in &stats.io {
        sample.read_bytes += device.read_bytes;
        sample.written_bytes += device.written_bytes;
    }
    let pressures = [&stats.cpu_pressure, &stats.memory_pressure, &stats.io_pressure];
    sample.pressure = pressures.map(|pressure| pressure.as_ref().map(|pressure| pressure.some.avg10_percent));
}

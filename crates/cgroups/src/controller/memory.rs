//! Memory and swap: the `memory` controller.

use crate::error::{Refused, Why};
use crate::layout::{Controller, Version};
use crate::limits::{Limit, MemoryLimits};
use crate::plan::Note;
use crate::write::Write;

/// What a group has now; an update needs it, because the kernel compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Current {
    /// The memory limit.
    pub max: Limit,
    /// Memory and swap together (on v2 the sum of both limits).
    pub memory_and_swap_max: Limit,
    /// Bytes in use.
    pub used_bytes: u64,
}

impl Current {
    /// A group that was just made.
    pub const NEW: Self =
        Self { max: Limit::Unlimited, memory_and_swap_max: Limit::Unlimited, used_bytes: 0 };
}

/// What to write, in the order the kernel accepts; `current` is `None` for a new group.
///
/// # Errors
/// Swap below memory, swap without memory, and what the version does not have.
pub fn writes(
    limits: &MemoryLimits,
    version: Version,
    current: Option<Current>,
) -> Result<Vec<Write>, Refused> {
    if limits.use_hierarchy == Some(false) {
        let why = "children are always accounted to their parent since Linux 5.11";
        return Err(Refused::value("memory.useHierarchy", why));
    }
    let now = current.unwrap_or(Current::NEW);
    let max = limits.max_bytes.filter(|&max| max != Limit::At(0));
    let both = limits.memory_and_swap_max_bytes.filter(|&both| both != Limit::At(0));
    let both_after = both.or(match max {
        // Without a memory limit one on memory and swap makes no sense, and the kernel would refuse.
        Some(Limit::Unlimited) => Some(Limit::Unlimited),
        _ => None,
    });
    match (max.unwrap_or(now.max), both) {
        (Limit::Unlimited, Some(Limit::At(_))) => {
            return Err(Refused::value("memory.swap", "a limit on memory and swap needs one on memory"));
        }
        (Limit::At(max), Some(Limit::At(both))) if both < max => {
            let why = format!("{both} bytes of memory and swap together are less than {max} bytes of memory");
            return Err(Refused::value("memory.swap", why));
        }
        _ => {}
    }
    match version {
        Version::V1 => v1(limits, now, max, both, both_after, current.is_some()),
        Version::V2 => v2(limits, now, max, both),
    }
}

fn v1(
    limits: &MemoryLimits,
    now: Current,
    max: Option<Limit>,
    both: Option<Limit>,
    both_after: Option<Limit>,
    update: bool,
) -> Result<Vec<Write>, Refused> {
    let mut writes = Vec::new();
    if limits.high_bytes.is_some() {
        return Err(Refused::new("memory.high", Why::OnlyV2(Controller::Memory)));
    }
    let max_write = max.map(|max| Write::new("memory.limit_in_bytes", max.v1()));
    let both_write = both_after.map(|limit| {
        let write = Write::new("memory.memsw.limit_in_bytes", limit.v1());
        // Without swap accounting nothing limits swap.
        if limit == Limit::Unlimited || both.is_none() { write.or_skip() } else { write }
    });
    // At every moment the kernel wants memory <= memory and swap: when the sum grows it goes first, when it
    // shrinks the memory limit does.
    if both_after.is_some_and(|both| exceeds(both, now.memory_and_swap_max)) {
        writes.extend(both_write);
        writes.extend(max_write);
    } else {
        writes.extend(max_write);
        writes.extend(both_write);
    }
    if let Some(low) = limits.low_bytes.filter(|&low| low != Limit::At(0)) {
        writes.push(Write::new("memory.soft_limit_in_bytes", low.v1()));
    }
    if let Some(tcp) = limits.kernel_tcp_max_bytes.filter(|&tcp| tcp != Limit::At(0)) {
        writes.push(Write::new("memory.kmem.tcp.limit_in_bytes", tcp.v1()));
    }
    if let Some(percent) = limits.swappiness_percent {
        if percent > 100 {
            return Err(Refused::value("memory.swappiness", format!("{percent} is not between 0 and 100")));
        }
        writes.push(Write::new("memory.swappiness", percent));
    }
    match limits.oom_kill_disabled {
        Some(true) => writes.push(Write::new("memory.oom_control", 1)),
        Some(false) if update => writes.push(Write::new("memory.oom_control", 0)),
        _ => {}
    }
    Ok(writes)
}

fn v2(
    limits: &MemoryLimits,
    now: Current,
    max: Option<Limit>,
    both: Option<Limit>,
) -> Result<Vec<Write>, Refused> {
    let mut writes = Vec::new();
    for (limit, asked) in [
        ("memory.kernelTCP", limits.kernel_tcp_max_bytes.is_some_and(|tcp| tcp != Limit::At(0))),
        ("memory.swappiness", limits.swappiness_percent.is_some()),
        ("memory.disableOOMKiller", limits.oom_kill_disabled == Some(true)),
    ] {
        super::only_v1(limit, asked, Controller::Memory, Version::V2)?;
    }
    let swap = match (both, max) {
        (Some(both), max) => Some(swap_beyond_memory(both, max.unwrap_or(now.max))),
        (None, Some(Limit::Unlimited)) => Some(Limit::Unlimited),
        (None, _) => None,
    };
    if let Some(swap) = swap {
        let write = Write::new("memory.swap.max", swap.v2());
        // Without swap accounting the file is missing; then none of the group's swap can be limited, and
        // "no limit" is what there is.
        writes.push(if swap == Limit::Unlimited { write.or_skip() } else { write });
    }
    if let Some(low) = limits.low_bytes.filter(|&low| low != Limit::At(0)) {
        writes.push(Write::new("memory.low", low.v2()));
    }
    // Lowering memory.max first can kill what memory.high would only have throttled.
    if let Some(high) = limits.high_bytes {
        writes.push(Write::new("memory.high", high.v2()));
    }
    if let Some(max) = max {
        writes.push(Write::new("memory.max", max.v2()));
    }
    Ok(writes)
}

/// What v2 calls swap: the OCI documents count memory and swap together.
fn swap_beyond_memory(both: Limit, max: Limit) -> Limit {
    match (both, max) {
        (Limit::At(both), Limit::At(max)) => Limit::At(both.saturating_sub(max)),
        _ => Limit::Unlimited,
    }
}

fn exceeds(one: Limit, other: Limit) -> bool {
    match (one, other) {
        (_, Limit::Unlimited) => false,
        (Limit::Unlimited, Limit::At(_)) => true,
        (Limit::At(one), Limit::At(other)) => one > other,
    }
}

/// What is left out: a limit on kernel memory, which the specification calls deprecated and the kernel no
/// longer takes (5.16).
pub fn note(limits: &MemoryLimits) -> Option<Note> {
    limits.kernel_max_bytes.filter(|&kernel| kernel != Limit::At(0)).map(|_| Note {
        limit: "memory.kernel",
        why: "left out: kernel memory has no limit of its own since Linux 5.16, it counts as memory"
            .to_owned(),
    })
}

/// Memory in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// Bytes in use, page cache included.
    pub used_bytes: u64,
    /// The most there was (v2: Linux 5.19).
    pub peak_bytes: Option<u64>,
    /// The limit; `None` if there is none.
    pub max_bytes: Option<u64>,
    /// How often the limit was hit.
    pub limit_hits: u64,
    /// Processes killed because memory ran out (v1: Linux 4.13).
    pub oom_kills: u64,
    /// Swap in use: on v1 what exceeds memory in the sum; `None` without swap accounting.
    pub swap_used_bytes: Option<u64>,
    /// The limit on swap; on v1 the one on memory and swap together.
    pub swap_max_bytes: Option<u64>,
    /// Not backed by a file.
    pub anonymous_bytes: u64,
    /// Page cache.
    pub file_bytes: u64,
    /// Page cache that was not used lately: what `docker stats` takes off the usage.
    pub inactive_file_bytes: u64,
    /// Shared memory and tmpfs.
    pub shared_bytes: u64,
    /// The kernel's own.
    pub kernel_bytes: u64,
    /// Page faults.
    pub faults: u64,
    /// Page faults that waited for a device.
    pub major_faults: u64,
    /// Every line of `memory.stat`, for those who want more.
    pub stat: Vec<(String, u64)>,
}

impl MemoryStats {
    /// Takes in `memory.stat` of either version. On v1 the `total_` lines include the groups below, as all numbers
    /// do on v2.
    pub fn parse_stat(&mut self, text: &str, version: Version) {
        for (key, value) in crate::parse::flat(text) {
            let into = match (version, key) {
                (Version::V2, "anon") | (Version::V1, "total_rss") => &mut self.anonymous_bytes,
                (Version::V2, "file") | (Version::V1, "total_cache") => &mut self.file_bytes,
                (Version::V2, "inactive_file") | (Version::V1, "total_inactive_file") => {
                    &mut self.inactive_file_bytes
                }
                (Version::V2, "shmem") | (Version::V1, "total_shmem") => &mut self.shared_bytes,
                (Version::V2, "kernel") => &mut self.kernel_bytes,
                (Version::V2, "pgfault") | (Version::V1, "total_pgfault") => &mut self.faults,
                (Version::V2, "pgmajfault") | (Version::V1, "total_pgmajfault") => &mut self.major_faults,
                _ => {
                    self.stat.push((key.to_owned(), value));
                    continue;
                }
            };
            *into = value;
            self.stat.push((key.to_owned(), value));
        }
    }

    /// Takes in `memory.events` of v2.
    pub fn parse_events(&mut self, text: &str) {
        self.limit_hits = crate::parse::flat_value(text, "max").unwrap_or(0);
        self.oom_kills = crate::parse::flat_value(text, "oom_kill").unwrap_or(0);
    }
}

//! Resource limits of a process.

use crate::names::names;
use serde::{Deserialize, Serialize};

/// No limit: `RLIM_INFINITY`, as the kernel has it on 64-bit machines.
pub const UNLIMITED: u64 = u64::MAX;

/// A resource limit of a process (getrlimit(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Rlimit {
    /// Which resource.
    #[serde(rename = "type")]
    pub resource: Resource,
    /// The ceiling of the soft limit.
    pub hard: u64,
    /// What the kernel enforces.
    pub soft: u64,
}

names! {
    /// A resource that can be limited (getrlimit(2)). The order is that of the kernel's numbers.
    #[allow(missing_docs)]
    pub enum Resource {
        Cpu = "RLIMIT_CPU",
        Fsize = "RLIMIT_FSIZE",
        Data = "RLIMIT_DATA",
        Stack = "RLIMIT_STACK",
        Core = "RLIMIT_CORE",
        Rss = "RLIMIT_RSS",
        Nproc = "RLIMIT_NPROC",
        Nofile = "RLIMIT_NOFILE",
        Memlock = "RLIMIT_MEMLOCK",
        As = "RLIMIT_AS",
        Locks = "RLIMIT_LOCKS",
        Sigpending = "RLIMIT_SIGPENDING",
        Msgqueue = "RLIMIT_MSGQUEUE",
        Nice = "RLIMIT_NICE",
        Rtprio = "RLIMIT_RTPRIO",
        Rttime = "RLIMIT_RTTIME",
    }
}

impl Resource {
    /// The kernel's number, `include/uapi/asm-generic/resource.h`. Alpha, MIPS and SPARC, which number
    /// five of them differently, are not supported.
    pub const fn number(self) -> u32 {
        self as u32
    }
}

crate::optional::objects!(Rlimit);

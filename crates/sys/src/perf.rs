//! Counters of the kernel's performance events by control group (perf_event_open(2)).
//!
//! [`Counter::open`] counts for the processes of a group on one processor, [`Counter::read`] tells how much so far.

#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use crate::raw::{Fd, syscall};
use crate::{SyscallError, owned};

#[cfg(target_arch = "x86_64")]
const PERF_EVENT_OPEN: usize = 298;
#[cfg(target_arch = "aarch64")]
const PERF_EVENT_OPEN: usize = 241;

const PERF_FLAG_PID_CGROUP: usize = 1 << 2;
const PERF_FLAG_FD_CLOEXEC: usize = 1 << 3;
const PERF_TYPE_SOFTWARE: u32 = 1;

/// An event that the kernel itself counts, so that every machine has it (`PERF_COUNT_SW_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Time on the processor, in nanoseconds.
    TaskClock,
    /// Page faults.
    PageFaults,
    /// Changes from one task to another.
    ContextSwitches,
    /// Changes from one processor to another.
    Migrations,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::TaskClock, Self::PageFaults, Self::ContextSwitches, Self::Migrations];

    /// The name that perf(1) has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::TaskClock => "task-clock",
            Self::PageFaults => "page-faults",
            Self::ContextSwitches => "context-switches",
            Self::Migrations => "cpu-migrations",
        }
    }

    fn config(self) -> u64 {
        match self {
            Self::TaskClock => 1,
            Self::PageFaults => 2,
            Self::ContextSwitches => 3,
            Self::Migrations => 4,
        }
    }
}

/// `struct perf_event_attr`, its first version of 64 bytes.
#[repr(C)]
#[derive(Default)]
struct Attr {
    kind: u32,
    size: u32,
    config: u64,
    rest: [u64; 6],
}

/// A counter of one event for one group on one processor.
#[derive(Debug)]
pub struct Counter(OwnedFd);

impl Counter {
    /// Begins to count. `group` is a directory of the hierarchy that serves `perf_event`: on v2 any group.
    ///
    /// # Errors
    /// `EPERM` without `CAP_PERFMON` where perf_event_paranoid asks for it; `ENODEV` for a processor that is offline.
    ///
    /// # Kernel
    /// Linux 2.6.39.
    pub fn open(group: &impl AsFd, processor: u32, event: Event) -> Result<Self, SyscallError> {
        let attr = Attr {
            kind: PERF_TYPE_SOFTWARE,
            size: size_of::<Attr>() as u32,
            config: event.config(),
            ..Attr::default()
        };
        let flags = PERF_FLAG_PID_CGROUP | PERF_FLAG_FD_CLOEXEC;
        let group = group.as_fd().as_raw_fd();
        // SAFETY: the kernel reads as many bytes as the structure says it has.
        let fd =
            unsafe { syscall!(PERF_EVENT_OPEN, &raw const attr, group as usize, processor, -1isize, flags) };
        owned(fd.map(|fd| Fd(fd as i32)))
            .map(Self)
            .map_err(|errno| SyscallError::new("perf_event_open", event.name(), errno))
    }

    /// How much has been counted.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn read(&self) -> Result<u64, SyscallError> {
        let mut value = [0u8; 8];
        match crate::raw::read(Fd::from(&self.0), &mut value) {
            Ok(_) => Ok(u64::from_ne_bytes(value)),
            Err(errno) => Err(SyscallError::new("read", "a performance counter", errno)),
        }
    }
}

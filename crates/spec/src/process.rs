//! The program a container runs, and as whom.
//!
//! Start reading in [`Process`]. Capabilities stay names here, because the specification wants unknown
//! ones warned about and not refused; [`Capabilities::sets`] turns them into sets.

use crate::names::names;
use crate::optional::{empty, null, optional_properties};
use crate::rlimit::Rlimit;
use serde::{Deserialize, Serialize};

/// The program to run and everything set up for it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Process {
    /// Whether it gets a pseudoterminal.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub terminal: bool,
    /// The terminal's size; ignored without [`terminal`](Self::terminal).
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub console_size: Option<ConsoleSize>,
    /// As whom.
    #[serde(default, deserialize_with = "null")]
    pub user: User,
    /// The program and its arguments; at least one.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub args: Vec<String>,
    /// The environment, `NAME=value` each.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub env: Vec<String>,
    /// The working directory in the container, absolute.
    pub cwd: String,
    /// The capabilities; absent means none.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub capabilities: Capabilities,
    /// Resource limits of the process.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub rlimits: Vec<Rlimit>,
    /// Whether `no_new_privs` is set (prctl(2), Linux 3.5).
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub no_new_privileges: bool,
    /// The AppArmor profile; empty for none.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub apparmor_profile: String,
    /// `/proc/self/oom_score_adj`, -1000 to 1000; absent leaves it alone.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub oom_score_adj: Option<i32>,
    /// The CPU scheduling policy; absent leaves it alone.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub scheduler: Option<Scheduler>,
    /// The SELinux label; empty for none.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub selinux_label: String,
    /// The I/O scheduling class; absent leaves it alone.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub io_priority: Option<IoPriority>,
    /// CPUs for processes that join the container later; of no meaning for its first process.
    #[serde(rename = "execCPUAffinity", default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub exec_cpu_affinity: CpuAffinity,
}

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct ConsoleSize {
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
}

/// As whom a process runs; ids are those of the container's user namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct User {
    /// The user id.
    #[serde(default, deserialize_with = "null")]
    pub uid: u32,
    /// The group id.
    #[serde(default, deserialize_with = "null")]
    pub gid: u32,
    /// The file creation mask; absent leaves it alone.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub umask: Option<u32>,
    /// Supplementary groups.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub additional_gids: Vec<u32>,
    /// The user's name; used on Windows only, kept for whoever reads the document next.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub username: String,
}

optional_properties! {
    /// The five capability sets, by name (capabilities(7)).
    pub struct Capabilities {
        /// What execve(2) can ever give.
        pub bounding: Vec<String>,
        /// What the kernel checks.
        pub effective: Vec<String>,
        /// What survives execve(2) of a file with the same inheritable capability.
        pub inheritable: Vec<String>,
        /// What may become effective.
        pub permitted: Vec<String>,
        /// What survives execve(2) of an ordinary file (Linux 4.3).
        pub ambient: Vec<String>,
    }
}

/// The CPU scheduling policy of a process (sched_setattr(2), Linux 3.14).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Scheduler {
    /// The policy.
    pub policy: SchedulerPolicy,
    /// The nice value, -20 to 19, for `SCHED_OTHER` and `SCHED_BATCH`.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub nice: i32,
    /// The static priority, 1 to 99, for `SCHED_FIFO` and `SCHED_RR`.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub priority: i32,
    /// Flags.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub flags: Vec<SchedulerFlag>,
    /// `SCHED_DEADLINE`: nanoseconds of run time in each period.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub runtime: u64,
    /// `SCHED_DEADLINE`: nanoseconds from the start of a period to the deadline.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub deadline: u64,
    /// `SCHED_DEADLINE`: the period in nanoseconds.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub period: u64,
}

names! {
    /// A CPU scheduling policy (sched(7)).
    #[allow(missing_docs)]
    pub enum SchedulerPolicy {
        Other = "SCHED_OTHER",
        Fifo = "SCHED_FIFO",
        Rr = "SCHED_RR",
        Batch = "SCHED_BATCH",
        /// Reserved in the kernel's headers and never implemented; the specification lists it.
        Iso = "SCHED_ISO",
        Idle = "SCHED_IDLE",
        Deadline = "SCHED_DEADLINE",
    }
}

impl SchedulerPolicy {
    /// The kernel's number, `include/uapi/linux/sched.h`.
    pub const fn number(self) -> u32 {
        match self {
            Self::Other => 0,
            Self::Fifo => 1,
            Self::Rr => 2,
            Self::Batch => 3,
            Self::Iso => 4,
            Self::Idle => 5,
            Self::Deadline => 6,
        }
    }
}

names! {
    /// A flag of sched_setattr(2).
    #[allow(missing_docs)]
    pub enum SchedulerFlag {
        ResetOnFork = "SCHED_FLAG_RESET_ON_FORK",
        Reclaim = "SCHED_FLAG_RECLAIM",
        DlOverrun = "SCHED_FLAG_DL_OVERRUN",
        KeepPolicy = "SCHED_FLAG_KEEP_POLICY",
        KeepParams = "SCHED_FLAG_KEEP_PARAMS",
        UtilClampMin = "SCHED_FLAG_UTIL_CLAMP_MIN",
        UtilClampMax = "SCHED_FLAG_UTIL_CLAMP_MAX",
    }
}

impl SchedulerFlag {
    /// The kernel's bit, `include/uapi/linux/sched.h`.
    pub const fn bit(self) -> u64 {
        1 << self as u32
    }
}

/// The I/O scheduling class and level of a process (ioprio_set(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct IoPriority {
    /// The class.
    pub class: IoPriorityClass,
    /// The level in the class, 0 (highest) to 7.
    #[serde(default, deserialize_with = "null")]
    pub priority: i32,
}

names! {
    /// An I/O scheduling class (ioprio_set(2)).
    #[allow(missing_docs)]
    pub enum IoPriorityClass {
        RealTime = "IOPRIO_CLASS_RT",
        BestEffort = "IOPRIO_CLASS_BE",
        Idle = "IOPRIO_CLASS_IDLE",
    }
}

impl IoPriorityClass {
    /// The kernel's number, `include/uapi/linux/ioprio.h`.
    pub const fn number(self) -> u32 {
        self as u32 + 1
    }
}

optional_properties! {
    /// CPUs for a process that joins the container (`runc exec`), as lists such as `0-3,7`.
    pub struct CpuAffinity {
        /// Before it enters the container's cgroup; empty leaves it alone.
        pub initial: String,
        /// After it has entered; empty leaves it to the kernel.
        pub r#final: String,
    }
}

crate::optional::objects!(Process, ConsoleSize, User, Scheduler, IoPriority);

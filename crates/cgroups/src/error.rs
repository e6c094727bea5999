//! What can go wrong with cgroups.
//!
//! [`Refused`] comes from planning: the host cannot hold a limit, so nothing is touched. [`Error`] comes from
//! acting.

use std::path::PathBuf;

use report::{Explain, Hint, Kind};
use sys::{Errno, SyscallError};

use crate::layout::Controller;

/// A limit that this host cannot hold, or a request that makes no sense. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{limit}: {why}")]
pub struct Refused {
    /// What was asked for, in the words of the OCI documents: `memory.limit`.
    pub limit: String,
    /// Why it cannot be had.
    pub why: Why,
}

impl Refused {
    /// `limit` is refused because of `why`.
    pub fn new(limit: impl Into<String>, why: Why) -> Self {
        Self { limit: limit.into(), why }
    }

    /// `limit` has a value that cannot work.
    pub fn value(limit: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(limit, Why::Value(why.into()))
    }
}

/// Why a limit is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// No mounted hierarchy has the controller.
    #[error("this host has no {0} controller")]
    NoController(Controller),
    /// The kernel offers this in version 1 only, and version 2 serves the controller here.
    #[error(
        "invalid configuration for cgroup v2, which serves {0} on this host and does not have this limit"
    )]
    OnlyV1(Controller),
    /// The kernel offers this in version 2 only, and version 1 serves the controller here.
    #[error(
        "invalid configuration for cgroup v1, which serves {0} on this host and does not have this limit"
    )]
    OnlyV2(Controller),
    /// The hierarchy is mounted read-only.
    #[error("{} is mounted read-only", .0.display())]
    ReadOnly(PathBuf),
    /// The place is not below the part of the hierarchy that is mounted here.
    #[error("the group of this process is not below what is mounted at {}", .0.display())]
    OutsideMount(PathBuf),
    /// There is no cgroup at all for this container.
    #[error("this container has no cgroup of its own ({0})")]
    NoCgroup(String),
    /// The value is wrong.
    #[error("{0}")]
    Value(String),
}

impl Explain for Refused {
    fn kind(&self) -> Kind {
        match self.why {
            Why::Value(_) => Kind::InvalidInput,
            _ => Kind::Unsupported,
        }
    }

    fn hint(&self) -> Option<Hint> {
        match &self.why {
            Why::NoController(Controller::Memory) => Some(Hint::new(
                "some kernels are started without the memory controller; add `cgroup_enable=memory` to the kernel's \
                 command line",
            )),
            Why::NoController(_) => {
                Some(Hint::new("/proc/cgroups and cgroup.controllers list what this kernel offers"))
            }
            Why::ReadOnly(mount) => Some(Hint::new(format!(
                "inside a container: start the outer one with a writable cgroup mount at {}",
                mount.display()
            ))),
            Why::OutsideMount(_) => Some(Hint::new(
                "mount the cgroup file system anew in this cgroup namespace, or name an absolute place",
            )),
            Why::NoCgroup(_) => Some(Hint::new(
                "have a group delegated: a systemd user session with `Delegate=yes`, or run as root",
            )),
            Why::OnlyV1(_) | Why::OnlyV2(_) | Why::Value(_) => None,
        }
    }
}

/// Something done to a cgroup failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A file or directory could not be used.
    #[error("use cgroup {}", group.display())]
    Use {
        /// The group's directory.
        group: PathBuf,
        /// What failed.
        #[source]
        cause: SyscallError,
    },
    /// The directory could not be made.
    #[error("make cgroup {}", group.display())]
    Make {
        /// The group's directory.
        group: PathBuf,
        /// What failed.
        #[source]
        cause: SyscallError,
    },
    /// A value was not accepted.
    #[error("set {file} to `{value}` in cgroup {}", group.display())]
    Set {
        /// The group's directory.
        group: PathBuf,
        /// The file in it.
        file: String,
        /// The value that was written.
        value: String,
        /// What failed.
        #[source]
        cause: SyscallError,
    },
    /// The group exists already and is in use by somebody.
    #[error("cgroup {} exists already and {what}", group.display())]
    InUse {
        /// The group's directory.
        group: PathBuf,
        /// What shows that it is in use.
        what: &'static str,
    },
    /// Controllers cannot be given to a group's children.
    #[error("enable {controllers} for the children of cgroup {}", group.display())]
    Enable {
        /// The group whose `cgroup.subtree_control` was written.
        group: PathBuf,
        /// The controllers, as written.
        controllers: String,
        /// What failed.
        #[source]
        cause: SyscallError,
    },
    /// Controllers cannot be given to a group's children, because processes are in the group itself.
    #[error("enable {controllers} for the children of cgroup {}, which holds processes itself", group.display())]
    HoldsProcesses {
        /// The group.
        group: PathBuf,
        /// The controllers.
        controllers: String,
    },
    /// The program that holds the device rules was refused.
    #[error("attach device rules to cgroup {}", group.display())]
    DeviceProgram {
        /// The group's directory.
        group: PathBuf,
        /// What failed.
        #[source]
        cause: SyscallError,
        /// What the verifier said, if it said something.
        verifier_log: String,
    },
    /// The group was not in the wanted state in time.
    #[error("cgroup {} is not {wanted} after {waited_ms} ms", group.display())]
    TimedOut {
        /// The group's directory.
        group: PathBuf,
        /// The state waited for: `frozen`, `empty`, `removed`.
        wanted: &'static str,
        /// How long was waited.
        waited_ms: u64,
    },
    /// A new limit lies below what is used now, and the request asked to check that.
    #[error("limit memory of cgroup {} to {max_bytes} bytes: {used_bytes} bytes are in use", group.display())]
    BelowUsage {
        /// The group's directory.
        group: PathBuf,
        /// The wanted limit.
        max_bytes: u64,
        /// What is in use.
        used_bytes: u64,
    },
    /// A file of the kernel does not read as it should.
    #[error("understand {}: {what}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The group has no hierarchy with what is asked for.
    #[error("{what}: this cgroup has no {needs}")]
    Missing {
        /// The verb.
        what: &'static str,
        /// Which controller or hierarchy is needed.
        needs: &'static str,
    },
    /// There is no group of this name in any hierarchy.
    #[error("there is no cgroup `{path}`")]
    NoSuch {
        /// The name, relative to where the hierarchies are mounted.
        path: String,
    },
    /// A limit is refused; nothing was written.
    #[error("hold a limit")]
    Refused(#[source] Refused),
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl Explain for Error {
    fn below(&self) -> Option<&dyn Explain> {
        match self {
            Self::Use { cause, .. }
            | Self::Make { cause, .. }
            | Self::Set { cause, .. }
            | Self::Enable { cause, .. }
            | Self::DeviceProgram { cause, .. } => Some(cause),
            Self::Refused(refused) => Some(refused),
            Self::InUse { .. }
            | Self::HoldsProcesses { .. }
            | Self::TimedOut { .. }
            | Self::BelowUsage { .. }
            | Self::Unreadable { .. }
            | Self::Missing { .. }
            | Self::NoSuch { .. } => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::InUse { .. } | Self::HoldsProcesses { .. } => Kind::StateConflict,
            Self::TimedOut { .. } => Kind::Busy,
            Self::BelowUsage { .. } => Kind::ResourceExhausted,
            Self::Unreadable { .. } => Kind::Io,
            Self::NoSuch { .. } => Kind::NotFound,
            Self::Missing { .. } => Kind::Unsupported,
            Self::Use { cause, .. }
            | Self::Make { cause, .. }
            | Self::Set { cause, .. }
            | Self::Enable { cause, .. }
            | Self::DeviceProgram { cause, .. } => cause.kind(),
            Self::Refused(refused) => refused.kind(),
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Make { cause, .. } => match cause.errno {
                Errno::AGAIN => {
                    Some(Hint::new("cgroup.max.descendants or cgroup.max.depth of a parent is reached"))
                }
                Errno::ACCES | Errno::PERM => {
                    Some(Hint::new("the parent group is not delegated to this user (cgroups(7), delegation)"))
                }
                Errno::ROFS => Some(Hint::new("the cgroup file system is mounted read-only here")),
                _ => None,
            },
            Self::Set { file, cause, .. } => hint_on_set(file, cause.errno),
            Self::Enable { cause, .. } => match cause.errno {
                Errno::BUSY => Some(Hint::new(INTERNAL_PROCESSES)),
                Errno::NOENT | Errno::INVAL => Some(Hint::new(
                    "the parent's cgroup.controllers does not list them: nobody delegated them to here",
                )),
                Errno::OPNOTSUPP => {
                    Some(Hint::new("the group is threaded; domain controllers cannot be enabled in it"))
                }
                _ => None,
            },
            Self::InUse { .. } => {
                Some(Hint::new("choose another cgroup path, or remove the group if it is a leftover"))
            }
            _ => None,
        }
    }
}

const INTERNAL_PROCESSES: &str = "cgroup v2 wants a group's processes in a child group before controllers are \
     handed down (cgroups(7), no internal processes)";

/// What a refused write means, where the kernel's documentation says so.
fn hint_on_set(file: &str, errno: Errno) -> Option<Hint> {
    let text = match (file, errno) {
        ("memory.memsw.limit_in_bytes" | "memory.swap.max", Errno::NOENT) => {
            "the kernel does not account swap; start it with `swapaccount=1`"
        }
        ("memory.limit_in_bytes" | "memory.max", Errno::BUSY) => "more is in use and could not be reclaimed",
        ("memory.limit_in_bytes", Errno::INVAL) => "the limit is above the limit of memory and swap together",
        ("memory.memsw.limit_in_bytes", Errno::INVAL) => {
            "memory and swap together lie below the memory limit"
        }
        ("cpuset.cpus" | "cpuset.mems", Errno::INVAL | Errno::ACCES | Errno::NODEV | Errno::RANGE) => {
            "not all of them exist, or the parent group does not have them"
        }
        ("cpu.rt_runtime_us", Errno::INVAL) => "the parent group has less realtime bandwidth than that",
        ("cpu.shares" | "cpu.weight", Errno::INVAL) => "the group is idle (cpu.idle)",
        ("cpu.cfs_quota_us" | "cpu.max", Errno::INVAL) => {
            "the kernel takes quotas from 1 ms and periods from 1 ms to 1 s, within the parent's share"
        }
        ("devices.allow", Errno::PERM) => "the parent group does not allow this device",
        ("blkio.weight" | "io.weight", Errno::NOENT | Errno::OPNOTSUPP) => {
            "no I/O scheduler with weights (bfq, iocost) is active"
        }
        ("io.max", Errno::NODEV) | ("blkio.throttle.read_bps_device", Errno::NODEV) => {
            "there is no such block device"
        }
        (_, Errno::NOENT) => "this kernel does not have the file",
        _ => return None,
    };
    Some(Hint::new(text))
}

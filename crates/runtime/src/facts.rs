//! What this host and this process can do, looked up once: the input that makes plans testable anywhere.

mod on_demand;

use cgroups::Layout;
use report::{Explain, Kind};
use sys::raw::{self, Fd, MountAttr, OpenHow};
use sys::{Errno, SyscallError};

pub use on_demand::OnDemand;

/// What a plan depends on besides the launch itself.
#[derive(Debug, Clone)]
pub struct HostFacts {
    /// Linux version: major, minor.
    pub kernel: (u32, u32),
    /// This process's effective user id.
    pub uid: u32,
    /// This process's effective group id.
    pub gid: u32,
    /// This process's effective capabilities, bit n for capability n.
    pub capabilities: u64,
    /// System calls that are not in every kernel that holm runs on, or that a filter may hide.
    pub calls: Calls,
    /// Which cgroup hierarchy serves what, and where this process is.
    pub cgroups: Layout,
    /// Resource limits of this process, which bound what a container can get without `CAP_SYS_RESOURCE`: hard limits by number.
    pub hard_limits: [u64; 16],
    /// The soft limits that go with them.
    pub soft_limits: [u64; 16],
    /// Whether a network namespace is on its way already, for the container to join ([`crate::ahead::Network`]).
    pub network_ahead: bool,
    /// What few launches ask.
    pub on_demand: OnDemand,
}

/// System calls and abilities of system calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calls {
    /// openat2(2), Linux 5.6.
    pub openat2: bool,
    /// close_range(2) with `CLOSE_RANGE_CLOEXEC`, Linux 5.11.
    pub close_range: bool,
    /// mount_setattr(2), Linux 5.12.
    pub mount_setattr: bool,
    /// clone3(2) with `CLONE_INTO_CGROUP`, Linux 5.7.
    pub clone_into_cgroup: bool,
    /// open_tree(2) with `OPEN_TREE_CLONE` of a detached mount, Linux 6.15.
    pub clone_detached: bool,
    /// fsconfig(2) takes overlay layers by descriptor, Linux 6.13.
    pub overlay_by_fd: bool,
    /// A time namespace takes effect with execve(2), Linux 6.3.
    pub time_namespace_at_exec: bool,
    /// setns(2) takes a process and joins several namespaces of it at once, Linux 5.8.
    pub setns_pidfd: bool,
    /// open_tree_attr(2), Linux 6.15.
    pub open_tree_attr: bool,
}

impl Calls {
    /// A kernel that has them all.
    pub const ALL: Self = Self {
        openat2: true,
        close_range: true,
        mount_setattr: true,
        clone_into_cgroup: true,
        clone_detached: true,
        overlay_by_fd: true,
        time_namespace_at_exec: true,
        setns_pidfd: true,
        open_tree_attr: true,
    };

    /// What a kernel of this version has, as far as the version tells.
    pub fn of_version(kernel: (u32, u32)) -> Self {
        Self {
            openat2: kernel >= (5, 6),
            close_range: kernel >= (5, 11),
            mount_setattr: kernel >= (5, 12),
            clone_into_cgroup: kernel >= (5, 7),
            clone_detached: kernel >= (6, 15),
            overlay_by_fd: kernel >= (6, 13),
            time_namespace_at_exec: kernel >= (6, 3),
            setns_pidfd: kernel >= (5, 8),
            open_tree_attr: kernel >= (6, 15),
        }
    }

    /// Asks the kernel, with calls that do nothing: a filter can hide what the version promises.
    fn probe(kernel: (u32, u32)) -> Self {
        let has = |outcome: Option<Errno>| outcome != Some(Errno::NOSYS);
        let promised = Self::of_version(kernel);
        let nothing = MountAttr::default();
        Self {
            openat2: has(raw::openat2(Fd::NONE, c"x", &OpenHow::default()).err()),
            close_range: raw::mark_range_close_on_exec(u32::MAX, u32::MAX).is_ok(),
            mount_setattr: has(raw::mount_setattr(Fd::NONE, false, &nothing).err()),
            // With nothing to be set it is open_tree(2), which does not take this descriptor.
            open_tree_attr: promised.open_tree_attr
                && raw::open_tree_attr(Fd::NONE, c"x", 0, &nothing).err() == Some(Errno::BADF),
            ..promised
        }
    }
}

/// `CAP_SYS_ADMIN`
const SYS_ADMIN: u64 = 1 << 21;
/// `CAP_SYS_RESOURCE`
const SYS_RESOURCE: u64 = 1 << 24;

impl HostFacts {
    /// Looks at this host.
    ///
    /// # Errors
    /// When the kernel's own files cannot be read: no /proc, or not the kernel's.
    pub fn read() -> Result<Self, FactsError> {
        Ok(Self { cgroups: Layout::read().map_err(FactsError::Cgroups)?, ..Self::of_this_process()? })
    }

    /// Looks at this process alone: what entering a container takes, whose cgroups are known.
    ///
    /// # Errors
    /// As [`HostFacts::read`].
    pub fn of_this_process() -> Result<Self, FactsError> {
        let kernel = sys::kernel::version();
        let capabilities = raw::capget()
            .map_err(|errno| FactsError::Call(SyscallError::new("capget", "this process", errno)))?;
        let (mut hard_limits, mut soft_limits) = ([u64::MAX; 16], [u64::MAX; 16]);
        for (resource, (hard, soft)) in hard_limits.iter_mut().zip(&mut soft_limits).enumerate() {
            if let Ok(limits) = raw::rlimit(resource as u32) {
                (*soft, *hard) = limits;
            }
        }
        Ok(Self {
            kernel,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            capabilities: capabilities.effective,
            calls: Calls::probe(kernel),
            cgroups: Layout::default(),
            hard_limits,
            soft_limits,
            network_ahead: false,
            on_demand: OnDemand::default(),
        })
    }

    /// Whether this process can mount, make namespaces and so on without a user namespace of its own.
    pub fn is_privileged(&self) -> bool {
        self.capabilities & SYS_ADMIN != 0
    }

    /// Whether this process can raise limits and lower its OOM score.
    pub fn can_raise_limits(&self) -> bool {
        self.capabilities & SYS_RESOURCE != 0
    }
}

/// The host could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// The cgroup layout could not be read.
    #[error("read the host's cgroup layout")]
    Cgroups(#[source] SyscallError),
    /// A system call failed that cannot fail.
    #[error("look at this process")]
    Call(#[source] SyscallError),
}

impl Explain for FactsError {
    fn below(&self) -> Option<&dyn Explain> {
        match self {
            Self::Cgroups(cause) => Some(cause),
            Self::Call(cause) => Some(cause),
        }
    }
    fn kind(&self) -> Kind {
        Kind::Unsupported
    }
}

//! The container that a command is about.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::cli::Arguments;
use cgroups::{Cgroup, Recorded, Version};
use report::{Explain, Kind};
use runtime::{Container, ContainerId};
use rustix::fs::{CWD, Mode, OFlags, openat};
use spec::{Spec, Status};
use sys::SyscallError;

use crate::context::Context;
use crate::failure::Failure;

/// The container has no process any more.
#[derive(Debug, thiserror::Error)]
#[error("container `{id}` is not running")]
struct NotRunning {
    id: String,
}

impl Explain for NotRunning {
    fn kind(&self) -> Kind {
        Kind::StateConflict
    }
}

/// A container whose first process lives.
pub(super) struct Live {
    pub(super) container: Container,
    pid: i32,
    pidfd: OwnedFd,
}

impl Live {
    /// The container that a command line names.
    ///
    /// # Errors
    /// When it has ended.
    pub(super) fn find(context: &Context, arguments: &Arguments) -> Result<Self, Failure> {
        let container = super::container(context, arguments)?;
        let gone = || NotRunning { id: container.id().to_string() };
        let (pid, pidfd) = container.process().ok_or_else(gone)?;
        Ok(Self { pid, pidfd, container })
    }

    pub(super) fn id(&self) -> &ContainerId {
        self.container.id()
    }

    /// Its first process, which was alive when the handle was made.
    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    pub(super) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    pub(super) fn status(&self) -> Status {
        self.container.status_of(true)
    }

    pub(super) fn cgroup(&self) -> Result<Cgroup, Failure> {
        Ok(self.container.cgroup()?)
    }

    /// The configuration that it was made from, to be judged once it is changed.
    pub(super) fn spec(&self) -> Result<Spec, Failure> {
        Ok(self.container.spec_unjudged()?)
    }

    /// A handle of its root.
    pub(super) fn root(&self) -> Result<OwnedFd, SyscallError> {
        let path = format!("/proc/{}/root", self.pid);
        openat(CWD, &path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| SyscallError::new("openat", path, errno))
    }

    /// The cgroups that another process of it joins. On v2 no process can be in a group that hands controllers down
    /// (cgroups(7), "no internal processes"): there it goes where the first process went.
    pub(super) fn cgroups(&self) -> Result<Vec<Recorded>, Failure> {
        let mut groups = self.container.recorded_cgroups();
        for group in groups.iter_mut().filter(|group| group.version == Version::V2) {
            let file = group.mount.join(&group.path).join("cgroup.subtree_control");
            let mut buffer = [0; 16];
            let handed_down = sys::short::read(&file, &mut buffer);
            if handed_down.is_ok_and(|controllers| !controllers.trim_ascii().is_empty()) {
                let now = runtime::enter::cgroups_of(self.pid)?;
                if let Some(now) = now.into_iter().find(|now| now.version == Version::V2) {
                    group.path = now.path;
                }
            }
        }
        Ok(groups)
    }
}

//! A container that runs.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::process::{Signal, pidfd_send_signal};
use sys::SyscallError;

use super::{Cause, Made, Stage, Stamp, undo};
use crate::inputs::{ContainerId, Launch};

/// A container whose program was started. Dropping it leaves the container alone; [`Running::wait`] is how it ends well.
#[derive(Debug)]
pub struct Running {
    id: ContainerId,
    made: Vec<Made>,
    terminal: Option<OwnedFd>,
    stamps: Vec<Stamp>,
}

/// How a container's first process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this status.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Exit {
    /// One number for both, as shells have it: 128 and the signal.
    pub fn status(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

impl Running {
    pub(crate) fn new(
        launch: &Launch,
        made: Vec<Made>,
        terminal: Option<OwnedFd>,
        stamps: Vec<Stamp>,
    ) -> Self {
        Self { id: launch.id.clone(), made, terminal, stamps }
    }

    /// When the steps of the launch began, if the plan was [stamped](crate::Plan::stamped).
    pub fn stamps(&self) -> &[Stamp] {
        &self.stamps
    }

    /// The socket that its program says something of itself to, if it was to have one and was not to wait for its start.
    pub fn notifications(&self) -> Option<BorrowedFd<'_>> {
        self.made.iter().find_map(|made| match made {
            Made::Record(claim) => claim.notifications(),
            _ => None,
        })
    }

    /// The container's id.
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    fn stage(&self) -> Result<&Stage, SyscallError> {
        let stage = self.made.iter().find_map(|made| match made {
            Made::Stage(stage) => Some(stage),
            _ => None,
        });
        stage.ok_or_else(|| SyscallError::new("waitid", "the container", sys::Errno::SRCH))
    }

    /// The process id of its first process, as seen here.
    pub fn pid(&self) -> i32 {
        self.stage().map_or(0, Stage::pid)
    }

    /// A handle of its first process that becomes readable when that ends.
    ///
    /// # Errors
    /// When there is no process any more.
    pub fn pidfd(&self) -> Result<BorrowedFd<'_>, SyscallError> {
        self.stage().map(Stage::pidfd)
    }

    /// The caller's end of its terminal, if it has one.
    pub fn terminal(&self) -> Option<BorrowedFd<'_>> {
        self.terminal.as_ref().map(AsFd::as_fd)
    }

    /// Sends a signal to its first process. One that has ended takes none, and that is no error.
    ///
    /// # Errors
    /// When the kernel refuses the signal.
    pub fn signal(&self, signal: Signal) -> Result<(), SyscallError> {
        match pidfd_send_signal(self.stage()?.pidfd(), signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(errno) => Err(SyscallError::new("pidfd_send_signal", self.id.as_str(), errno)),
        }
    }

    /// Waits until its first process has ended, then takes away all that was made for it. Returns how it ended, and what could not be
    /// taken away.
    ///
    /// # Errors
    /// When the process cannot be waited for.
    pub fn wait(self) -> Result<(Exit, Vec<Cause>), SyscallError> {
        let exit = self.exit()?;
        Ok((exit, self.take_away()))
    }

    /// Takes away all that was made for a container whose first process has ended and was waited for ([`Running::exit`]). Returns what
    /// could not be taken away.
    pub fn take_away(mut self) -> Vec<Cause> {
        self.made.retain(|made| !matches!(made, Made::Stage(_)));
        undo(self.made)
    }

    /// How many of its processes the kernel has killed because its memory limit was used up; 0 where nobody counts.
    pub fn oom_kills(&self) -> u64 {
        let count = |made: &Made| match made {
            Made::Cgroup { cgroup, .. } => cgroup.oom_kills().ok().flatten(),
            _ => None,
        };
        self.made.iter().filter_map(count).max().unwrap_or(0)
    }

    /// Waits until its first process has ended, and leaves everything else to others: a container that is kept is taken away by its
    /// record, as anybody may have done meanwhile.
    ///
    /// # Errors
    /// When the process cannot be waited for.
    pub fn exit(&self) -> Result<Exit, SyscallError> {
        let status = self.stage()?.wait()?;
        Ok(match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Code(255),
        })
    }

    /// Ends a container that is kept and cannot be used after all, and takes it away. Returns what could not be.
    pub fn abandon(self) -> Vec<Cause> {
        undo(self.made)
    }
}

//! The end of a container: signals, and taking it away.
//!
//! [`Container::delete`] needs nothing but the id. What the record does not tell, because it was cut off, damaged or never written, is
//! looked for where it would be.

use std::time::Duration;

use cgroups::plan::CgroupPath;
use cgroups::{Cgroup, Layout, Place, Recorded};
use rustix::process::{Signal as KernelSignal, pidfd_send_signal};
use spec::{Signal, Status};
use sys::SyscallError;

use crate::act::{Cause, PATIENCE, hooks};
use crate::container::{Container, ContainerError};
use crate::record::{RecordedGroup, freezer, has_ended};
use crate::state::{config_name, record_name, remove_notify, start_name};

/// How long to wait for a live creator before its container is taken from it.
const CREATOR_PATIENCE: Duration = Duration::from_secs(3);
/// How long a program that ends by itself is waited for when its container is to be deleted.
const END_PATIENCE: Duration = Duration::from_millis(100);
/// How long a killed process may take to die.
const DEATH_PATIENCE: Duration = Duration::from_secs(10);

impl Container {
    /// Sends a signal to its first process; none only looks whether there is one.
    ///
    /// # Errors
    /// [`ContainerError::NotRunning`] when that has ended.
    pub fn kill(&self, signal: Option<Signal>) -> Result<(), ContainerError> {
        let not_running =
            || ContainerError::NotRunning { id: self.id().to_string(), status: Status::Stopped };
        if signal == Some(Signal::KILL) && self.intent().is_some_and(|intent| !intent.own_pids) {
            // No pid namespace takes the others along when the first process dies.
            return self.kill_whole(not_running);
        }
        let pidfd = self.pidfd().ok_or_else(not_running)?;
        let number = signal.map_or(0, |signal| signal.number() as i32);
        // Every number from 1 to 64 is one to the kernel, those of the C library's own use as well.
        match sys::raw::pidfd_send_signal(sys::raw::Fd::from(&pidfd), number) {
            Ok(()) => {}
            Err(sys::Errno::SRCH) => return Err(not_running()),
            Err(errno) => return Err(self.call("send a signal to", "pidfd_send_signal", errno)),
        }
        // What a v1 freezer holds does not even die.
        if signal == Some(Signal::KILL)
            && let Some(group) = self.intent().and_then(|intent| freezer(&intent.cgroups))
            && !group.v2
            && group.is_frozen()
        {
            self.cgroup()?.thaw(PATIENCE).map_err(|cause| self.cgroup_error(cause))?;
        }
        Ok(())
    }

    /// Kills everything in its cgroup and its first process, wherever that is.
    fn kill_whole(&self, not_running: impl Fn() -> ContainerError) -> Result<(), ContainerError> {
        let (cgroup, first) = (self.groups(), self.pidfd());
        let others = cgroup.processes().map_err(|cause| self.cgroup_error(cause))?;
        if first.is_none() && others.is_empty() {
            return Err(not_running());
        }
        if let Some(first) = first {
            let _ = pidfd_send_signal(&first, KernelSignal::KILL);
        }
        cgroup.kill(PATIENCE).map_err(|cause| self.cgroup_error(cause))
    }

    /// Sends a signal to every process of its cgroup, whether its first one is there or not.
    ///
    /// # Errors
    /// When the cgroup cannot be read.
    pub fn kill_all(&self, signal: Signal) -> Result<(), ContainerError> {
        let cgroup = self.cgroup()?;
        if signal == Signal::KILL {
            return cgroup.send_kill().map_err(|cause| self.cgroup_error(cause));
        }
        for process in cgroup.processes().map_err(|cause| self.cgroup_error(cause))? {
            let _ = sys::raw::kill(process as i32, signal.number() as i32);
        }
        Ok(())
    }

    /// Takes it away: its processes, cgroup and record; then runs its `poststop` hooks. Returns what did not stop that and should be
    /// known.
    ///
    /// A container that runs is killed with `force` only; one that was never started is killed in any case.
    ///
    /// # Errors
    /// When it runs, or when something of it cannot be taken away: the record then stays, and deleting can be tried again.
    pub fn delete(mut self, force: bool) -> Result<Vec<Cause>, ContainerError> {
        if force {
            // Not even a process that hangs with the lock is in the way.
            self.lock_within(CREATOR_PATIENCE);
            self.confirm()?;
            self.reread()?;
        } else {
            self.lock()?;
        }
        if !force {
            // One that is just ending is not in the way.
            if let Some(pidfd) = self.pidfd().filter(|_| self.status() == Status::Running) {
                has_ended(std::os::fd::AsFd::as_fd(&pidfd), END_PATIENCE);
            }
            match self.status() {
                Status::Stopped | Status::Created => {}
                status => return Err(self.conflict("delete", format!("is {status}, not stopped"))),
            }
        }
        self.take_away()
    }

    /// Takes it away in whatever state it is.
    pub(crate) fn take_away(&mut self) -> Result<Vec<Cause>, ContainerError> {
        self.end_processes()?;
        let state = self.state_as(Status::Stopped);
        let failed = hooks::poststop(self.hooks(), &state);
        // A unit goes with its cgroup. What a failed one leaves is cleared, if systemd can be reached.
        let unit = self.intent().and_then(|intent| intent.unit.as_ref());
        let unit = unit.and_then(|unit| unit.stop().err()).map(Cause::Unit);
        let id = self.id().as_str();
        if self.intent().is_none_or(|intent| intent.notify) {
            remove_notify(&self.root().dir, id).map_err(|errno| self.root().failed("unlinkat", id, errno))?;
        }
        self.root().remove(&start_name(id))?;
        self.root().remove(&config_name(id))?;
        // Last what the id is claimed by.
        self.root().remove(&record_name(id))?;
        Ok(failed.into_iter().map(|failed| Cause::Hook(Box::new(failed))).chain(unit).collect())
    }

    fn end_processes(&self) -> Result<(), ContainerError> {
        // With a first process that has ended all of its pid namespace has.
        let mut dead = self.has_started();
        if let Some(pidfd) = self.pidfd() {
            let _ = pidfd_send_signal(&pidfd, KernelSignal::KILL);
            let frozen = self.is_frozen();
            if frozen {
                // Both freezers hold others than the first process until they are told.
                let _ = self.groups().kill(PATIENCE);
            }
            dead = has_ended(std::os::fd::AsFd::as_fd(&pidfd), DEATH_PATIENCE);
        }
        let cgroup = self.groups();
        // A pid namespace of its own takes all its processes with it. One on the way into it may still be in the cgroup.
        let left_alone = dead && self.intent().is_some_and(|intent| intent.own_pids);
        if !(left_alone && cgroup.remove(Duration::ZERO).is_ok()) {
            cgroup.kill(PATIENCE).map_err(|cause| self.cgroup_error(cause))?;
            if let Err(mut errors) = cgroup.remove(PATIENCE) {
                return Err(self.cgroup_error(errors.swap_remove(0)));
            }
        }
        for parent in self.intent().iter().flat_map(|intent| intent.parents.iter().rev()) {
            // Somebody else may be in there by now.
            let _ = std::fs::remove_dir(parent.mount.join(&parent.path));
        }
        Ok(())
    }

    /// The cgroup as far as it can be found.
    fn groups(&self) -> Cgroup {
        let recorded: Vec<Recorded> = match self.intent() {
            Some(intent) => intent.cgroups.iter().map(RecordedGroup::to_recorded).collect(),
            None => self.guess(),
        };
        Cgroup::open(&recorded).unwrap_or_else(|_| {
            // A hierarchy is gone; the others are not.
            let there = |one: &Recorded| Cgroup::open(std::slice::from_ref(one)).is_ok();
            let there: Vec<_> = recorded.into_iter().filter(there).collect();
            Cgroup::open(&there).unwrap_or_else(|_| Cgroup::nowhere())
        })
    }

    /// Where the cgroup of a container goes whose configuration does not say.
    fn guess(&self) -> Vec<Recorded> {
        let (Ok(layout), Ok(path)) = (Layout::read(), CgroupPath::parse(self.id().as_str())) else {
            return Vec::new();
        };
        let place = Place::Own(path);
        let limits = cgroups::Limits::default();
        let wanted =
            cgroups::plan::Wanted { place: &place, limits: &limits, which: cgroups::plan::Which::All };
        let groups = cgroups::plan(&layout, &wanted).map(|plan| plan.groups).unwrap_or_default();
        groups.iter().map(|group| RecordedGroup::of(group).to_recorded()).collect()
    }

    fn call(&self, what: &'static str, call: &'static str, errno: sys::Errno) -> ContainerError {
        let id = self.id().to_string();
        ContainerError::Call { what, cause: SyscallError::new(call, id.as_str(), errno), id }
    }

    fn cgroup_error(&self, cause: cgroups::Error) -> ContainerError {
        ContainerError::Cgroup { id: self.id().to_string(), cause: Box::new(cause) }
    }
}

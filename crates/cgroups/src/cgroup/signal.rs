//! A signal for every process of a group.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::Cgroup;
use crate::error::Error;

impl Cgroup {
    /// Sends `signal` to each process in the group and below it, in any hierarchy, and returns how many got it. A process
    /// that is forked meanwhile may be missed; [`Cgroup::kill`] misses none.
    ///
    /// # Errors
    /// When the group cannot be read.
    pub fn signal(&self, signal: Signal) -> Result<usize, Error> {
        let listed = self.processes_anywhere()?;
        let handle = |&number: &u32| {
            let pid = i32::try_from(number).ok().and_then(Pid::from_raw)?;
            Some((number, pidfd_open(pid, PidfdFlags::empty()).ok()?))
        };
        let handles: Vec<_> = listed.iter().filter_map(handle).collect();
        // A number may be taken by another process between reading it and opening it.
        let still = self.processes_anywhere()?;
        let members = handles.iter().filter(|(number, _)| still.binary_search(number).is_ok());
        Ok(members.filter(|(_, handle)| pidfd_send_signal(handle, signal).is_ok()).count())
    }

    /// Kills every process of the group in whichever hierarchy it is: other tools move processes in single ones.
    ///
    /// # Errors
    /// As [`Cgroup::kill`].
    pub fn kill_anywhere(&self, patience: std::time::Duration) -> Result<(), Error> {
        self.kill(patience)?;
        for alone in self.apart() {
            if !alone.processes_anywhere()?.is_empty() {
                alone.kill(patience)?;
            }
        }
        Ok(())
    }
}

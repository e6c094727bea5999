//! Killing everybody in a group.
//!
//! With `cgroup.kill` (v2, Linux 5.14) the kernel does it at once and also catches forks under way. Otherwise the
//! group is kept from growing, by `pids.max` 0 and by freezing it, and is then killed by list; neither is
//! outrun by a fork bomb.

use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::io::Errno as Failure;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::freeze::wait_for_change;
use super::{Cgroup, Group};
use crate::dir::read_to_end;
use crate::error::Error;
use crate::layout::{Controller, Version};
use crate::parse::flat_value;

impl Cgroup {
    /// Sends SIGKILL to every process in the group and below it and waits until they are gone, at most
    /// `patience`. A frozen group is thawed for it. Before Linux 5.2 a dead process counts until its parent has
    /// waited for it, so a caller with children there waits for them meanwhile.
    ///
    /// # Errors
    /// [`Error::TimedOut`] when some process does not die: it hangs in the kernel.
    pub fn kill(&self, patience: Duration) -> Result<(), Error> {
        let until = Instant::now() + patience;
        let Some(tracking) = self.tracking() else { return Ok(()) };
        let at_once = self.v2().is_some_and(|group| group.dir.write("cgroup.kill", b"1").is_ok());
        if !at_once {
            return self.kill_by_list(tracking, until, patience);
        }
        // What a v1 freezer holds does not die; SIGKILL is pending now, so no instruction of the group's runs.
        self.thaw_v1();
        self.wait_empty(tracking, until, patience)
    }

    /// Sends SIGKILL without waiting for the end. The way for a caller that reaps the processes itself.
    ///
    /// # Errors
    /// When the group cannot be read.
    pub fn send_kill(&self) -> Result<(), Error> {
        if self.v2().is_some_and(|group| group.dir.write("cgroup.kill", b"1").is_ok()) {
            self.thaw_v1();
            return Ok(());
        }
        let Some(tracking) = self.tracking() else { return Ok(()) };
        let held = self.hold();
        let killed = self.kill_once(tracking);
        self.release(held);
        killed.map(|_| ())
    }

    fn kill_by_list(&self, tracking: &Group, until: Instant, patience: Duration) -> Result<(), Error> {
        let mut pause = Duration::from_micros(200);
        let held = self.hold();
        let outcome = loop {
            match self.kill_once(tracking) {
                Ok(0) => break Ok(()),
                Ok(_) if Instant::now() >= until => break tracking.timed_out("empty", patience),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
            // The freezer holds the dying, too.
            self.thaw_v1();
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
            self.freeze_briefly();
        };
        self.release(held);
        outcome
    }

    /// Keeps the group from growing; returns the limit to put back.
    fn hold(&self) -> Option<String> {
        let group = self.serving(Controller::Pids);
        let before = group.and_then(|group| {
            let before = group.text("pids.max").ok().flatten()?;
            group.dir.write("pids.max", b"0").ok()?;
            Some(before)
        });
        self.freeze_briefly();
        before
    }

    fn release(&self, pids_max: Option<String>) {
        self.thaw_v1();
        if let (Some(group), Some(before)) = (self.serving(Controller::Pids), pids_max) {
            let _ = group.dir.write("pids.max", before.trim().as_bytes());
        }
    }

    /// Not all of the processes have to stand: those that do cannot fork, and the loop comes again.
    fn freeze_briefly(&self) {
        if let Some(group) = self.serving(Controller::Freezer) {
            let _ = group.freeze(Duration::from_millis(10));
        }
    }

    /// Lets a frozen group go on without waiting. A frozen v2 group does not need it: there SIGKILL wakes.
    fn thaw_v1(&self) {
        if let Some(group) = self.serving(Controller::Freezer) {
            match group.version {
                Version::V1 => {
                    if group.is_frozen(true).unwrap_or(true) {
                        let _ = group.set_frozen(false);
                    }
                }
                Version::V2 => {
                    let _ = group.dir.write("cgroup.freeze", b"0");
                }
            }
        }
    }

    /// Kills those in the list; returns how many there were. A number may be taken by another process between
    /// reading it and killing it, so only those are killed that are in the group while we hold a handle of them.
    fn kill_once(&self, tracking: &Group) -> Result<usize, Error> {
        let listed = super::processes::members(&tracking.dir, "cgroup.procs")?;
        let mut handles = Vec::with_capacity(listed.len());
        for &number in &listed {
            let pid = i32::try_from(number).ok().and_then(Pid::from_raw);
            // ESRCH: gone. EMFILE: the next round has the rest.
            let Some(pid) = pid else { continue };
            match pidfd_open(pid, PidfdFlags::empty()) {
                Ok(handle) => handles.push((number, handle)),
                Err(Failure::MFILE | Failure::NFILE) => break,
                Err(_) => {}
            }
        }
        let still = super::processes::members(&tracking.dir, "cgroup.procs")?;
        for (_, handle) in handles.iter().filter(|(number, _)| still.binary_search(number).is_ok()) {
            let _ = pidfd_send_signal(handle, Signal::KILL);
        }
        Ok(still.len())
    }

    fn wait_empty(&self, tracking: &Group, until: Instant, patience: Duration) -> Result<(), Error> {
        let file = "cgroup.events";
        let failed = |call, errno| tracking.dir.failed(call, file, errno);
        let events = match tracking.dir.open_file(file, OFlags::RDONLY) {
            Ok(events) => events,
            Err(Failure::NOENT) => return Ok(()),
            Err(errno) => return Err(failed("openat", errno)),
        };
        loop {
            rustix::fs::seek(&events, rustix::fs::SeekFrom::Start(0))
                .map_err(|errno| failed("lseek", errno))?;
            match read_to_end(&events) {
                Ok(text) if flat_value(&String::from_utf8_lossy(&text), "populated") == Some(1) => {}
                Ok(_) | Err(Failure::NODEV) => return Ok(()),
                Err(errno) => return Err(failed("read", errno)),
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return tracking.timed_out("empty", patience);
            }
            wait_for_change(&events, left).map_err(|errno| failed("poll", errno))?;
        }
    }
}

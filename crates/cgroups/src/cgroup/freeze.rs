//! Freezing and thawing.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use super::{Cgroup, Group};
use crate::controller::freezer;
use crate::dir::read_to_end;
use crate::error::Error;
use crate::layout::{Controller, Version};
use crate::parse::flat_value;

impl Cgroup {
    /// Stops every process of the group and waits until all of them stand, at most `patience`. When the time is
    /// up the group is thawed again. A group that is frozen already is fine.
    ///
    /// # Errors
    /// [`Error::TimedOut`]; [`Error::Missing`] on v1 without a freezer.
    ///
    /// # Kernel
    /// v1: 2.6.28. v2: 5.2.
    pub fn freeze(&self, patience: Duration) -> Result<(), Error> {
        let group = self.freezer("freeze")?;
        let frozen = group.freeze(patience);
        if frozen.is_err() {
            let _ = group.set_frozen(false);
        }
        frozen
    }

    /// Lets the group's processes go on and waits until the kernel says so, at most `patience`.
    ///
    /// # Errors
    /// As [`Cgroup::freeze`].
    pub fn thaw(&self, patience: Duration) -> Result<(), Error> {
        let group = self.freezer("thaw")?;
        group.set_frozen(false)?;
        group.wait_frozen(false, patience)
    }

    /// Whether the group is frozen, or about to be.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn is_frozen(&self) -> Result<bool, Error> {
        match self.serving(Controller::Freezer) {
            Some(group) => group.is_frozen(true),
            None => Ok(false),
        }
    }

    fn freezer(&self, what: &'static str) -> Result<&Group, Error> {
        self.serving(Controller::Freezer).ok_or(Error::Missing { what, needs: "freezer" })
    }
}

impl Group {
    pub(super) fn freeze(&self, patience: Duration) -> Result<(), Error> {
        if self.version == Version::V2 {
            self.set_frozen(true)?;
            return self.wait_frozen(true, patience);
        }
        let until = Instant::now() + patience;
        let mut pause = Duration::from_micros(50);
        for round in 1u32.. {
            // Each write lets the kernel go through the tasks again: it misses one that was forked, or that was
            // in vfork or ptrace at the time. A group that freezes for ever was seen to do so after it was
            // thawed for a moment (runc's experience, too).
            self.set_frozen(true)?;
            if self.is_frozen(false)? {
                return Ok(());
            }
            if Instant::now() >= until {
                break;
            }
            if round.is_multiple_of(50) {
                self.set_frozen(false)?;
                std::thread::sleep(pause);
                continue;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        }
        self.timed_out("frozen", patience)
    }

    /// Asks the kernel; it does the rest in the background.
    pub(super) fn set_frozen(&self, frozen: bool) -> Result<(), Error> {
        super::create::apply(&self.dir, &[freezer::write(frozen, self.version)])
    }

    /// Whether it is frozen; with `or_soon` also whether it was asked to be.
    pub(super) fn is_frozen(&self, or_soon: bool) -> Result<bool, Error> {
        let text = match (self.version, or_soon) {
            (Version::V1, _) => self.text("freezer.state")?.unwrap_or_default(),
            (Version::V2, true) => self.text("cgroup.freeze")?.unwrap_or_default(),
            (Version::V2, false) => self.text("cgroup.events")?.unwrap_or_default(),
        };
        Ok(match (self.version, text.trim()) {
            (Version::V1, state) => state == "FROZEN" || (or_soon && state == "FREEZING"),
            (Version::V2, "1") => true,
            (Version::V2, events) => flat_value(events, "frozen") == Some(1),
        })
    }

    fn wait_frozen(&self, wanted: bool, patience: Duration) -> Result<(), Error> {
        let until = Instant::now() + patience;
        let name = if wanted { "frozen" } else { "thawed" };
        if self.version == Version::V1 {
            let mut pause = Duration::from_micros(50);
            while self.is_frozen(true)? != wanted {
                if Instant::now() >= until {
                    return self.timed_out(name, patience);
                }
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(5));
            }
            return Ok(());
        }
        let file = "cgroup.events";
        let failed = |call, errno| self.dir.failed(call, file, errno);
        let events = self.dir.open_file(file, OFlags::RDONLY).map_err(|errno| failed("openat", errno))?;
        loop {
            rustix::fs::seek(&events, rustix::fs::SeekFrom::Start(0))
                .map_err(|errno| failed("lseek", errno))?;
            let text = read_to_end(&events).map_err(|errno| failed("read", errno))?;
            if flat_value(&String::from_utf8_lossy(&text), "frozen") == Some(u64::from(wanted)) {
                return Ok(());
            }
            // An ancestor's freezing holds this group as well.
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return self.timed_out(name, patience);
            }
            wait_for_change(&events, left).map_err(|errno| failed("poll", errno))?;
        }
    }

    pub(super) fn timed_out(&self, wanted: &'static str, patience: Duration) -> Result<(), Error> {
        Err(Error::TimedOut { group: self.dir.path(), wanted, waited_ms: patience.as_millis() as u64 })
    }
}

/// Waits until a file of v2 that was read to its end changes, or the time is up.
pub(super) fn wait_for_change(file: &impl AsFd, at_most: Duration) -> Result<(), rustix::io::Errno> {
    let timeout =
        Timespec { tv_sec: at_most.as_secs() as i64, tv_nsec: i64::from(at_most.subsec_nanos()) as _ };
    match poll(&mut [PollFd::new(file, PollFlags::PRI)], Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}

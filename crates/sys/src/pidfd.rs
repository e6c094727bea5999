//! What a process's handle tells: after its end how that was, and whether a process of a number is still the one that was noted.

#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::raw::{self, Fd, nr, syscall};

/// `PIDFD_GET_INFO` (linux/pidfd.h): `_IOWR(0xff, 11, struct pidfd_info)` with the structure's first size.
const PIDFD_GET_INFO: usize = (3 << 30) | (64 << 16) | (0xff << 8) | 11;
/// The mask's bit that asks for how it ended.
const PIDFD_INFO_EXIT: u64 = 1 << 3;

#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    numbers: [u32; 11],
    exit_code: i32,
}

/// How a process ended, as wait(2) has it, from a handle of it that was open when it was reaped, by whomever. None before, and where
/// the kernel does not tell.
///
/// # Kernel
/// Linux 6.15.
pub fn exit_status(pidfd: impl AsFd) -> Option<i32> {
    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
    // SAFETY: the kernel reads and writes one structure of the size that is part of the request's number.
    let outcome = unsafe { syscall!(nr::IOCTL, pidfd.as_fd().as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
    (outcome.is_ok() && info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code)
}

/// A process, as it is noted for others: its number alone may be another's by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The number.
    pub pid: i32,
    /// The inode of its handle, which no other process gets until the next boot (Linux 6.9); 0 before.
    pub handle: u64,
    /// Where there is no such inode, when it was started, in ticks since the boot.
    pub start: u64,
}

impl Identity {
    /// The process of this number and handle.
    pub fn of(pid: i32, pidfd: BorrowedFd<'_>) -> Self {
        const PIDFS_MAGIC: u64 = 0x5049_4446;
        // Before pidfs all handles share one inode.
        let handle = match raw::filesystem_type(Fd::from(&pidfd)) {
            Ok(PIDFS_MAGIC) => rustix::fs::fstat(pidfd).map_or(0, |status| status.st_ino),
            _ => 0,
        };
        Self { pid, handle, start: if handle == 0 { start_time(pid) } else { 0 } }
    }

    /// Whether it still runs: one that nobody has waited for yet does not.
    pub fn lives(&self) -> bool {
        let Some(pidfd) = Pid::from_raw(self.pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
        else {
            return false;
        };
        let now = Self::of(self.pid, pidfd.as_fd());
        let ended = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&Timespec::default()));
        *self == now && matches!(ended, Ok(0))
    }
}

/// As it is written down: three numbers.
impl std::fmt::Display for Identity {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {} {}", self.pid, self.handle, self.start)
    }
}

/// What was written down, if it is whole.
impl std::str::FromStr for Identity {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split_whitespace();
        let mut next = || words.next().unwrap_or_default();
        Ok(Self { pid: next().parse()?, handle: next().parse()?, start: next().parse()? })
    }
}

/// Field 22 of `/proc/PID/stat`; the second is a name in parentheses, which may hold anything.
fn start_time(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let behind = text.rsplit_once(')').map_or("", |(_, behind)| behind);
    behind.split_whitespace().nth(19).and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_handle_tells_the_end_of_a_process_that_was_reaped() {
        let mut child = Command::new("sh").args(["-c", "exit 42"]).spawn().unwrap();
        let pid = Pid::from_raw(child.id() as i32).unwrap();
        let handle = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        child.wait().unwrap();
        match exit_status(&handle) {
            Some(status) => assert_eq!(status, 42 << 8),
            None => eprintln!(
                "SKIPPED a_handle_tells_the_end_of_a_process_that_was_reaped: the kernel does not tell (Linux 6.15)"
            ),
        }
    }

    #[test]
    fn a_process_is_itself_as_long_as_it_runs() {
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let pid = child.id() as i32;
        let handle = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
        let noted = Identity::of(pid, handle.as_fd());
        assert!(noted.lives());
        assert_eq!(noted.to_string().parse(), Ok(noted));
        assert!("17 4".parse::<Identity>().is_err() && "".parse::<Identity>().is_err());
        assert!(!Identity { handle: noted.handle + 1, start: noted.start + 1, ..noted }.lives());
        child.kill().unwrap();
        rustix::event::poll(&mut [PollFd::new(&handle, PollFlags::IN)], None).unwrap();
        assert!(!noted.lives(), "a zombie does not run");
        child.wait().unwrap();
        assert!(!noted.lives());
    }

    #[test]
    fn a_living_process_has_no_end() {
        let own = Pid::from_raw(std::process::id() as i32).unwrap();
        assert_eq!(exit_status(pidfd_open(own, PidfdFlags::empty()).unwrap()), None);
    }
}

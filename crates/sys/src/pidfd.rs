//! What a process's handle tells after its end.

#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd};

use crate::raw::{nr, syscall};

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

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
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
    fn a_living_process_has_no_end() {
        let own = Pid::from_raw(std::process::id() as i32).unwrap();
        assert_eq!(exit_status(pidfd_open(own, PidfdFlags::empty()).unwrap()), None);
    }
}

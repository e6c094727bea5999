//! The program that runs in the end: who it is, how it is executed, and waiting for it.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Gid;
use sys::raw::{self, Capabilities};
use sys::signal::{SignalSet, Signals};
use sys::{Errno, SyscallError};

use crate::error::Error;

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGQUIT: i32 = 3;
const SIGUSR1: i32 = 10;
const SIGUSR2: i32 = 12;
const SIGTERM: i32 = 15;
const SIGCHLD: i32 = 17;
const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;
/// The kernel itself sent the signal: a key of the terminal, whose whole foreground group got it.
const SI_KERNEL: i32 = 0x80;
const WNOHANG: u32 = 1;
const WUNTRACED: u32 = 2;

/// Who the program runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Identity {
    /// The user id, as the entered user namespace numbers users; `None` leaves it.
    pub uid: Option<u32>,
    /// The group id.
    pub gid: Option<u32>,
    /// Drop the supplementary groups; where the user namespace forbids setgroups(2) they stay.
    pub clear_groups: bool,
    /// Keep the capabilities over the change and the program's execution, as ambient ones.
    pub keep_capabilities: bool,
}

impl Identity {
    /// Becomes it.
    ///
    /// # Errors
    /// When an id has no mapping, or the caller may not.
    pub fn assume(&self) -> Result<(), Error> {
        let failed = |call, subject: String, errno: Errno| {
            let hint = match errno {
                Errno::INVAL => Some("the id has no mapping in this user namespace: see /proc/self/uid_map"),
                Errno::PERM => Some("that takes CAP_SETUID and CAP_SETGID in this user namespace"),
                _ => None,
            };
            Error::step_with("change the user", SyscallError::new(call, subject, errno), hint)
        };
        if self.keep_capabilities && self.uid.is_some() {
            raw::prctl(raw::PR_SET_KEEPCAPS, 1, 0)
                .map_err(|errno| failed("prctl", "PR_SET_KEEPCAPS".into(), errno))?;
        }
        if self.clear_groups {
            let none: &[Gid] = &[];
            match rustix::thread::set_thread_groups(none) {
                Ok(()) | Err(rustix::io::Errno::PERM) => {}
                Err(errno) => return Err(failed("setgroups", String::new(), errno.into())),
            }
        }
        if let Some(gid) = self.gid {
            raw::set_gid(gid).map_err(|errno| failed("setresgid", gid.to_string(), errno))?;
        }
        if let Some(uid) = self.uid {
            raw::set_uid(uid).map_err(|errno| failed("setresuid", uid.to_string(), errno))?;
        }
        if self.keep_capabilities {
            make_ambient().map_err(|errno| failed("prctl", "PR_CAP_AMBIENT_RAISE".into(), errno))?;
        }
        Ok(())
    }
}

/// Permitted capabilities become ambient ones, which stay over execve(2) (capabilities(7)).
fn make_ambient() -> Result<(), Errno> {
    let sets = raw::capget()?;
    raw::capset(&Capabilities { effective: sets.permitted, inheritable: sets.permitted, ..sets })?;
    for capability in (0..64).filter(|capability| sets.permitted & 1 << capability != 0) {
        raw::prctl(raw::PR_CAP_AMBIENT, raw::PR_CAP_AMBIENT_RAISE, capability)?;
    }
    Ok(())
}

/// Executes the program in the place of this one; returns only when that fails.
pub fn execute(words: &[OsString]) -> Error {
    let shell = [shell()];
    let words = if words.is_empty() { &shell } else { words };
    let error = Command::new(&words[0]).args(&words[1..]).exec();
    let program = words[0].to_string_lossy().into_owned();
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or(Errno::INVAL.raw()));
    Error::Program { cause: SyscallError::new("execve", program.clone(), errno), program }
}

/// What runs when no program is named: the caller's shell.
fn shell() -> OsString {
    std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into())
}

/// Runs `child` in a new process and waits for its end: the result is the exit status that a shell would give it.
/// Signals that others send to this process are passed on. `meanwhile` runs here once the child is there.
///
/// In the child this function returns the failure, as if there had been no fork: the caller reports it and ends.
///
/// # Errors
/// When no process can be made; and, in the child, when `child` fails.
pub fn in_child(
    death_signal: Option<i32>,
    child: impl FnOnce() -> Result<Infallible, Error>,
    meanwhile: impl FnOnce() -> Result<(), Error>,
) -> Result<u8, Error> {
    let failed = |cause| Error::step("start a process", cause);
    let caught = [SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM, SIGCHLD];
    let signals = Signals::catch(SignalSet::of(&caught)).map_err(failed)?;
    let (alive, kept) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|errno| failed(SyscallError::new("pipe2", "", errno)))?;
    match raw::fork() {
        Err(errno) => Err(Error::step_with(
            "start a process",
            SyscallError::new("fork", "", errno),
            (errno == Errno::NOMEM)
                .then_some("the first process of this pid namespace has ended, so nobody can be born in it"),
        )),
        Ok(0) => {
            drop((signals, kept));
            if let Some(signal) = death_signal {
                Dying { signal, alive }.arrange()?;
            }
            match child()? {}
        }
        Ok(pid) => {
            drop(alive);
            let outcome = meanwhile();
            if outcome.is_err() {
                let _ = raw::kill(pid, 9);
            }
            let status = attend(pid, &signals).map_err(|cause| Error::step("wait for the program", cause));
            drop(kept);
            outcome.and(status)
        }
    }
}

/// A child that is to die with its parent.
struct Dying {
    signal: i32,
    alive: OwnedFd,
}

impl Dying {
    fn arrange(&self) -> Result<(), Error> {
        raw::prctl(raw::PR_SET_PDEATHSIG, self.signal as u64, 0).map_err(|errno| {
            Error::step(
                "let the child die with its parent",
                SyscallError::new("prctl", "PR_SET_PDEATHSIG", errno),
            )
        })?;
        // The parent may have gone before the call. Its number says nothing in another pid namespace; the pipe does.
        let mut polled = [PollFd::new(&self.alive, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut polled, Some(&now)).is_ok_and(|ready| ready > 0) {
            raw::exit(128 + self.signal);
        }
        Ok(())
    }
}

/// Waits for the child's end and passes signals on.
fn attend(pid: i32, signals: &Signals) -> Result<u8, SyscallError> {
    loop {
        match raw::wait4(pid, WNOHANG | WUNTRACED) {
            Ok((0, _)) | Err(Errno::INTR) => {}
            // Stopped (job control): this process stops as well, and both go on together.
            Ok((_, status)) if status & 0xff == 0x7f => {
                sys::signal::raise(SIGSTOP)?;
                let _ = raw::kill(pid, SIGCONT);
            }
            Ok((_, status)) => return Ok(shell_status(status)),
            Err(errno) => return Err(SyscallError::new("wait4", pid.to_string(), errno)),
        }
        let mut polled = [PollFd::new(signals, PollFlags::IN)];
        match poll(&mut polled, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(SyscallError::new("poll", "signals", errno)),
        }
        while let Some(arrived) = signals.next()? {
            if arrived.signal != SIGCHLD && arrived.code != SI_KERNEL {
                let _ = raw::kill(pid, arrived.signal);
            }
        }
    }
}

/// The status a shell gives: 128 + n for signal n.
fn shell_status(status: i32) -> u8 {
    match status & 0x7f {
        0 => (status >> 8) as u8,
        signal => 128u8.wrapping_add(signal as u8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_what_a_shell_would_say() {
        assert_eq!(shell_status(0), 0);
        assert_eq!(shell_status(7 << 8), 7);
        assert_eq!(shell_status(9), 137);
        assert_eq!(shell_status(0x80 | 11), 139);
    }
}

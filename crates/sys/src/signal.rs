//! Signals as something to read: a set is blocked, and a descriptor hands out what arrives (signalfd(2)).
//!
//! ```
//! use sys::signal::{SignalSet, Signals};
//! let signals = Signals::catch(SignalSet::of(&[1, 15]))?;
//! assert_eq!(signals.next()?, None);
//! # Ok::<(), sys::SyscallError>(())
//! ```

#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::raw::{nr, syscall};
use crate::{Errno, SyscallError};

#[cfg(target_arch = "x86_64")]
const SIGNALFD4: usize = 289;
#[cfg(target_arch = "aarch64")]
const SIGNALFD4: usize = 74;

const SFD_CLOEXEC: usize = 0o2000000;
const SFD_NONBLOCK: usize = 0o4000;
const SIG_SETMASK: usize = 2;
/// The size of the kernel's signal set in bytes.
const SET_SIZE: usize = 8;
/// The size of `struct signalfd_siginfo`.
const INFO_SIZE: usize = 128;

/// A set of signals: bit *n* - 1 stands for signal *n*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SignalSet(pub u64);

impl SignalSet {
    /// These signals; numbers outside 1 to 64 are left out.
    pub fn of(signals: &[i32]) -> Self {
        let bit = |signal: &i32| u32::try_from(signal - 1).ok().and_then(|shift| 1u64.checked_shl(shift));
        Self(signals.iter().filter_map(bit).fold(0, |set, bit| set | bit))
    }

    /// Every signal except these. SIGKILL and SIGSTOP cannot be blocked in any case.
    pub fn all_but(signals: &[i32]) -> Self {
        Self(!Self::of(signals).0)
    }

    /// Whether `signal` is in it.
    pub fn contains(self, signal: i32) -> bool {
        self.0 & Self::of(&[signal]).0 != 0
    }
}

/// Makes `set` the blocked signals of the calling thread and returns those before (rt_sigprocmask(2)).
///
/// # Errors
/// None that the kernel documents.
pub fn set_blocked(set: SignalSet) -> Result<SignalSet, SyscallError> {
    let mut before = SignalSet::default();
    // SAFETY: the kernel reads one set of SET_SIZE bytes and writes another; both live through the call.
    unsafe { syscall!(nr::RT_SIGPROCMASK, SIG_SETMASK, &raw const set.0, &raw mut before.0, SET_SIZE) }
        .map_err(|errno| SyscallError::new("rt_sigprocmask", "", errno))?;
    Ok(before)
}

/// A signal that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived {
    /// Its number.
    pub signal: i32,
    /// Why it was sent (`si_code`, sigaction(2)): 0 and negative codes come from another process.
    pub code: i32,
    /// Who sent it, where a process did.
    pub sender: u32,
}

/// Signals that are blocked and read from a descriptor, as long as it lives. Only for the thread that made
/// it, so a program that has others makes it before them.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
    before: SignalSet,
}

impl Signals {
    /// Blocks `set` beside what is blocked already.
    ///
    /// # Errors
    /// Those of signalfd(2).
    ///
    /// # Kernel
    /// Linux 2.6.27.
    pub fn catch(set: SignalSet) -> Result<Self, SyscallError> {
        // SAFETY: the kernel reads one set of SET_SIZE bytes.
        let fd =
            unsafe { syscall!(SIGNALFD4, -1isize, &raw const set.0, SET_SIZE, SFD_CLOEXEC | SFD_NONBLOCK) }
                .map_err(|errno| SyscallError::new("signalfd4", "", errno))?;
        // SAFETY: the kernel has just made this descriptor and nobody else knows it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        let before = set_blocked(SignalSet(u64::MAX))?;
        set_blocked(SignalSet(before.0 | set.0))?;
        Ok(Self { fd, before })
    }

    /// What was blocked before: a program that is started gets this set back.
    pub fn before(&self) -> SignalSet {
        self.before
    }

    /// The next signal that has arrived; none when there is none yet.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn next(&self) -> Result<Option<Arrived>, SyscallError> {
        let mut info = [0u8; INFO_SIZE];
        // SAFETY: the kernel writes at most INFO_SIZE bytes into the array.
        let outcome = unsafe { syscall!(nr::READ, self.fd.as_raw_fd(), info.as_mut_ptr(), INFO_SIZE) };
        match outcome {
            Ok(INFO_SIZE) => {
                let word =
                    |at: usize| u32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
                Ok(Some(Arrived { signal: word(0) as i32, code: word(8) as i32, sender: word(12) }))
            }
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(errno) => Err(SyscallError::new("read", "signalfd", errno)),
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What had been blocked before is blocked again, and nothing else.
impl Drop for Signals {
    fn drop(&mut self) {
        let _ = set_blocked(self.before);
    }
}

/// Sends `signal`, a number from 1 to 64, to the process that `pidfd` stands for (pidfd_send_signal(2)). A process that has ended takes
/// none, and that is no error.
///
/// # Errors
/// `EPERM`, and `EINVAL` for what is no signal.
///
/// # Kernel
/// Linux 5.1.
pub fn send(pidfd: BorrowedFd<'_>, signal: i32) -> Result<(), SyscallError> {
    // SAFETY: integers, and no `siginfo_t`.
    match unsafe { syscall!(nr::PIDFD_SEND_SIGNAL, pidfd.as_raw_fd(), signal, 0usize, 0usize) } {
        Ok(_) | Err(Errno::SRCH) => Ok(()),
        Err(errno) => Err(SyscallError::new("pidfd_send_signal", signal.to_string(), errno)),
    }
}

/// Sends `signal` to the calling thread's own process: how a program stops itself.
///
/// # Errors
/// Those of kill(2).
pub fn raise(signal: i32) -> Result<(), SyscallError> {
    // SAFETY: integers.
    unsafe { syscall!(nr::KILL, std::process::id(), signal) }
        .map(drop)
        .map_err(|errno| SyscallError::new("kill", signal.to_string(), errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USR1: i32 = 10;
    const USR2: i32 = 12;
    const TGKILL: usize = if cfg!(target_arch = "x86_64") { 234 } else { 131 };

    #[test]
    fn a_caught_signal_is_read_and_not_delivered() {
        let signals = Signals::catch(SignalSet::of(&[USR1])).unwrap();
        assert_eq!(signals.next().unwrap(), None);
        // To this thread only: the test's other threads have not blocked it.
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        // SAFETY: integers.
        unsafe { syscall!(TGKILL, std::process::id(), thread, USR1) }.unwrap();
        let arrived = signals.next().unwrap().unwrap();
        assert_eq!((arrived.signal, arrived.sender), (USR1, std::process::id()));
        assert_eq!(signals.next().unwrap(), None);
    }

    #[test]
    fn what_was_blocked_before_is_blocked_again() {
        let before = set_blocked(SignalSet::of(&[USR2])).unwrap();
        drop(Signals::catch(SignalSet::of(&[USR1])).unwrap());
        assert_eq!(set_blocked(before).unwrap(), SignalSet::of(&[USR2]));
    }

    #[test]
    fn a_set_holds_the_signals_it_is_made_of() {
        let set = SignalSet::of(&[1, 64, 0, 65, -3]);
        assert_eq!(set, SignalSet(1 | 1 << 63));
        assert!(set.contains(1) && set.contains(64) && !set.contains(2) && !set.contains(0));
        assert!(!SignalSet::all_but(&[17]).contains(17));
    }
}

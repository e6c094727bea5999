//! Starting a process that is born in namespaces which its parent cannot join and leave again.
//!
//! Who joins a user namespace cannot come back, and what belongs to it (a pid namespace above all) has to be made by somebody in it. So a
//! process in between joins, starts the real one as its own sibling (`CLONE_PARENT`) and ends. It shares memory and descriptors with this
//! one, which sleeps meanwhile (`CLONE_VFORK`).

use std::fs;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;

use super::{CLONE_NEWUSER, CloneArgs, STACK_WORDS, Spawn, Spawned, clone_into, names_of, with_arguments};
use crate::raw::{self, Fd};
use crate::{Errno, SyscallError};

/// What the process in between needs, in memory that both share.
#[repr(C, align(16))]
struct Between {
    stack: [u64; STACK_WORDS],
    /// Namespaces with their kinds, and whether they have been joined.
    joins: Vec<(Fd, u64, bool)>,
    args: CloneArgs,
    trampoline: *mut super::Trampoline,
    /// The kind that could not be joined; 0 for the start itself.
    at: u64,
    errno: Option<Errno>,
}

/// Starts a process as [`spawn`](super::spawn) does, in existing namespaces of these kinds (`CLONE_NEW*`) as well: the new ones belong to the
/// user namespace among them. Namespaces are joined with the rights of this process if it has them, else with those over the user namespace.
///
/// # Errors
/// Those of setns(2) and clone3(2).
///
/// # Kernel
/// As [`spawn`](super::spawn).
pub fn spawn_joined(spawn: Spawn<'_>, namespaces: &[(BorrowedFd<'_>, u64)]) -> Result<Spawned, SyscallError> {
    const CLONE_VM: u64 = 0x100;
    const CLONE_FILES: u64 = 0x400;
    const CLONE_VFORK: u64 = 0x4000;
    const CLONE_PARENT: u64 = 0x8000;
    const SIGCHLD: u64 = 17;

    let kinds = spawn.namespaces;
    let joins_user = namespaces.iter().any(|(_, kind)| *kind == CLONE_NEWUSER);
    let spawned = with_arguments(spawn, joins_user, |mut args, trampoline| {
        // Its parent is this process, which gets the signal that the process in between would send.
        args.flags |= CLONE_PARENT;
        args.exit_signal = 0;
        let mut between = Box::new(Between {
            stack: [0; STACK_WORDS],
            joins: namespaces.iter().map(|(fd, kind)| (Fd(fd.as_raw_fd()), *kind, false)).collect(),
            args,
            trampoline,
            at: 0,
            errno: None,
        });
        let mut own = CloneArgs {
            flags: CLONE_VM | CLONE_FILES | CLONE_VFORK,
            exit_signal: SIGCHLD,
            stack: between.stack.as_mut_ptr() as u64,
            stack_size: size_of_val(&between.stack) as u64,
            ..CloneArgs::default()
        };
        // SAFETY: `between` holds the stack and all that the process uses, and this one goes on only when that has ended.
        let outcome = unsafe { clone_into(&mut own, go_between, &raw mut *between) };
        let failed = |call, kinds, errno| SyscallError::new(call, names_of(kinds), errno);
        let pid = outcome.map_err(|errno| failed("clone3", kinds, errno))?;
        // It has ended; nobody else waits for it.
        while raw::wait4(pid as i32, 0) == Err(Errno::INTR) {}
        match between.errno {
            // As the process in between sees it; `pid_of` tells what it is here.
            None => Ok(0),
            Some(errno) if between.at == 0 => Err(failed("clone3", kinds, errno)),
            Some(errno) => Err(failed("setns", between.at, errno)),
        }
    })?;
    let pid = pid_of(&spawned)?;
    Ok(spawned.with_pid(pid))
}

/// The life of the process in between: system calls only, no allocation, no lock, no thread-local variable.
extern "C" fn go_between(between: *mut Between) -> ! {
    // SAFETY: the parent sleeps, so that nothing else uses it.
    let between = unsafe { &mut *between };
    // First what the rights of this process suffice for, then the user namespace, then what takes rights over that.
    for user in [false, true] {
        for (fd, kind, joined) in &mut between.joins {
            if *joined || (*kind == CLONE_NEWUSER) != user {
                continue;
            }
            match raw::setns(*fd, *kind) {
                Ok(()) => *joined = true,
                Err(Errno::PERM) if !user => {}
                Err(errno) => {
                    (between.at, between.errno) = (*kind, Some(errno));
                    raw::exit(1);
                }
            }
        }
    }
    for (fd, kind, joined) in &between.joins {
        if !*joined && let Err(errno) = raw::setns(*fd, *kind) {
            (between.at, between.errno) = (*kind, Some(errno));
            raw::exit(1);
        }
    }
    // SAFETY: the arguments and the trampoline are the parent's, as for a process that it starts itself.
    if let Err(errno) = unsafe { clone_into(&mut between.args, super::child, between.trampoline) } {
        between.errno = Some(errno);
    }
    raw::exit(0)
}

/// The id that the process has here; the one in between may live in another pid namespace.
fn pid_of(spawned: &Spawned) -> Result<i32, SyscallError> {
    let path = format!("/proc/self/fdinfo/{}", spawned.pidfd.as_raw_fd());
    let text = fs::read_to_string(&path).map_err(|error| SyscallError::new("open", &path, error))?;
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    pid.ok_or_else(|| SyscallError::new("read", path, Errno::SRCH))
}

//! A mount namespace that the kernel takes for newer than ours.
//!
//! A mount namespace cannot be bound in one that is newer: it would keep itself alive. Which one is newer the kernel tells by
//! their numbers (`mnt_ns_loop`). As of Linux 6.18 each processor has numbers of its own, taken from a common counter
//! [`AT_ONCE`] at a time (`ns_tree_gen_id`, `DEFINE_COOKIE`), so that a namespace made a moment ago on another processor than ours can have a
//! lower number, and is refused with `EINVAL`. A processor that has used its numbers up gets higher ones than any before.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use sys::clone::{CLONE_NEWNS, CLONE_NEWUTS};
use sys::{Errno, SyscallError, raw};

use crate::error::Error;

/// How many numbers a processor takes at once (`COOKIE_LOCAL_BATCH`).
const AT_ONCE: usize = 4096;

/// Moves this process to a mount namespace that is newer than all that were there before. It takes about ten milliseconds.
///
/// # Errors
/// Those of unshare(2).
pub(crate) fn mount_namespace() -> Result<(), Error> {
    let before = sched_getaffinity(None).ok();
    // Numbers are used up on the processor that numbers the namespace then.
    let mut one = CpuSet::new();
    one.set(raw::processor());
    let pinned = sched_setaffinity(None, &one).is_ok();
    let outcome = use_numbers_up().and_then(|()| sys::ns::make(CLONE_NEWNS));
    if let Some(before) = before.filter(|_| pinned) {
        // It ran there a moment ago; where it may not any more the kernel has moved it already.
        let _ = sched_setaffinity(None, &before);
    }
    outcome.map_err(|cause| Error::step("make a mount namespace with a higher number", cause))
}

/// In a child: hostnames are the cheapest namespaces, each is gone when the next one is there.
fn use_numbers_up() -> Result<(), SyscallError> {
    match raw::fork().map_err(|errno| SyscallError::new("fork", "", errno))? {
        0 => {
            let made = (0..AT_ONCE).all(|_| raw::unshare(CLONE_NEWUTS).is_ok());
            raw::exit(u8::from(!made).into())
        }
        pid => {
            while raw::wait4(pid, 0) == Err(Errno::INTR) {}
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processors_are_as_before() {
        let before = sched_getaffinity(None).unwrap();
        match mount_namespace() {
            Ok(()) => {}
            Err(Error::Step { cause, .. }) if cause.errno == Errno::PERM => {
                return eprintln!("SKIPPED the_processors_are_as_before: needs root");
            }
            Err(error) => panic!("{error}"),
        }
        assert_eq!(sched_getaffinity(None).unwrap(), before);
    }
}

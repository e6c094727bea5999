//! Questions to the kernel that change nothing.

#![allow(unsafe_code)]

use crate::raw::syscall;

const LANDLOCK_CREATE_RULESET: usize = 444;
const LANDLOCK_CREATE_RULESET_VERSION: usize = 1;

/// The version of Landlock's interface, from 1; none where it is not built in or switched off (landlock(7), Linux 5.13).
pub fn landlock_version() -> Option<u32> {
    // SAFETY: without attributes the call reads and writes no memory.
    let version =
        unsafe { syscall!(LANDLOCK_CREATE_RULESET, 0usize, 0usize, LANDLOCK_CREATE_RULESET_VERSION) };
    version.ok().and_then(|version| u32::try_from(version).ok())
}

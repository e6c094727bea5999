//! Landlock: what a process may no longer do, by its own decision (landlock(7), Linux 5.13).

use super::{Fd, as_fd, nr, syscall};
use crate::Errno;

/// Which version of Landlock this kernel has (`LANDLOCK_CREATE_RULESET_VERSION`), from 1.
///
/// # Errors
/// `ENOSYS` when the kernel was built without it, `EOPNOTSUPP` when it was not switched on at boot.
pub fn landlock_abi() -> Result<u32, Errno> {
    const LANDLOCK_CREATE_RULESET_VERSION: usize = 1;
    // SAFETY: with this flag the kernel takes no structure.
    unsafe { syscall!(nr::LANDLOCK_CREATE_RULESET, 0usize, 0usize, LANDLOCK_CREATE_RULESET_VERSION) }
        .map(|abi| abi as u32)
}

/// A set of rules that governs these rights to files (`LANDLOCK_ACCESS_FS_*`); close-on-exec.
pub fn landlock_create_ruleset(files: u64) -> Result<Fd, Errno> {
    // `struct landlock_ruleset_attr` of the first version.
    let size = size_of::<u64>();
    // SAFETY: the kernel reads eight bytes.
    unsafe { syscall!(nr::LANDLOCK_CREATE_RULESET, &raw const files, size, 0usize) }.map(as_fd)
}

/// Grants rights to what is at and below `place` (`LANDLOCK_RULE_PATH_BENEATH`).
pub fn landlock_allow(rules: Fd, place: Fd, access: u64) -> Result<(), Errno> {
    const LANDLOCK_RULE_PATH_BENEATH: usize = 1;
    /// `struct landlock_path_beneath_attr`
    #[repr(C, packed)]
    struct Beneath {
        access: u64,
        place: i32,
    }
    let rule = Beneath { access, place: place.0 };
    // SAFETY: the kernel reads the twelve bytes of the structure.
    unsafe {
        syscall!(nr::LANDLOCK_ADD_RULE, rules.arg(), LANDLOCK_RULE_PATH_BENEATH, &raw const rule, 0usize)
    }
    .map(drop)
}

/// Holds this thread, and what it starts from now on, to the rules. Takes `no_new_privs` or `CAP_SYS_ADMIN`.
pub fn landlock_restrict_self(rules: Fd) -> Result<(), Errno> {
    // SAFETY: integers.
    unsafe { syscall!(nr::LANDLOCK_RESTRICT_SELF, rules.arg(), 0usize) }.map(drop)
}

//! Arguments that the kernel cuts down to 32 bits.
//!
//! A register has 64 bits, but `int` and `unsigned int` parameters are cut to the lower 32 before the
//! kernel looks at them. A filter that compares all 64 can be led past: `ioctl(fd, TIOCSTI | 1 << 32)` is
//! not equal to TIOCSTI for the filter and is TIOCSTI for the kernel (CVE-2019-7303, CVE-2019-10063), and a
//! family of `1 << 32 | AF_ALG` is greater than AF_VSOCK. For the arguments listed here the compiler
//! compares what the kernel will see.
//!
//! This is the one place where a filter answers differently from libseccomp's for the same rule. `long`
//! arguments, sizes, pointers and anything not listed are compared with all 64 bits.

/// Calls with their 32-bit arguments, one bit an argument; sorted. Prototypes: SYSCALL_DEFINE lines of
/// Linux 6.18.
const INTS: [(&str, u8); 46] = [
    ("accept4", 0b00_1001),
    ("bpf", 0b00_0101),
    ("clock_adjtime", 0b00_0001),
    ("clock_settime", 0b00_0001),
    ("close_range", 0b00_0111),
    ("fanotify_init", 0b00_0011),
    ("fanotify_mark", 0b00_0011),
    ("fchmodat2", 0b00_1001),
    ("fcntl", 0b00_0011),
    ("fcntl64", 0b00_0011),
    ("fsconfig", 0b01_0011),
    ("fsmount", 0b00_0111),
    ("fsopen", 0b00_0010),
    ("getsockopt", 0b00_0111),
    ("io_uring_register", 0b00_1011),
    ("io_uring_setup", 0b00_0001),
    ("ioctl", 0b00_0011),
    ("ioprio_set", 0b00_0111),
    ("keyctl", 0b00_0001),
    ("kill", 0b00_0011),
    ("memfd_create", 0b00_0010),
    ("memfd_secret", 0b00_0001),
    ("move_mount", 0b01_0101),
    ("open", 0b00_0010),
    ("open_tree", 0b00_0101),
    ("openat", 0b00_0101),
    ("personality", 0b00_0001),
    ("pidfd_getfd", 0b00_0111),
    ("pidfd_open", 0b00_0011),
    ("pidfd_send_signal", 0b00_1011),
    ("prctl", 0b00_0001),
    ("quotactl", 0b00_0001),
    ("reboot", 0b00_0111),
    ("rt_sigqueueinfo", 0b00_0011),
    ("seccomp", 0b00_0011),
    ("setns", 0b00_0011),
    ("setsockopt", 0b01_0111),
    ("shutdown", 0b00_0011),
    ("socket", 0b00_0111),
    ("socketpair", 0b00_0111),
    ("syslog", 0b00_0101),
    ("tgkill", 0b00_0111),
    ("tkill", 0b00_0011),
    ("umount2", 0b00_0010),
    ("userfaultfd", 0b00_0001),
    ("waitid", 0b00_1001),
];

/// Whether the kernel sees only the lower half of argument `index` of `call`.
pub fn is_int(call: &str, index: u8) -> bool {
    INTS.binary_search_by_key(&call, |(name, _)| name).is_ok_and(|at| INTS[at].1 >> index & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_names_calls_that_exist() {
        assert!(INTS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (name, mask) in INTS {
            assert!(crate::table::find(name).is_some(), "{name}");
            assert!(mask < 1 << 6);
        }
    }

    #[test]
    fn long_arguments_are_not_ints() {
        assert!(is_int("socket", 0) && is_int("ioctl", 1));
        assert!(!is_int("ioctl", 2) && !is_int("clone", 0) && !is_int("ptrace", 0) && !is_int("mmap", 2));
    }
}

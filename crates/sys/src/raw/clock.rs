//! Reading a clock.

use super::{nr, syscall};

/// Nanoseconds of `CLOCK_MONOTONIC` (clock_gettime(2)), which all processes of a host share unless they have a time namespace.
pub fn monotonic_ns() -> u64 {
    const CLOCK_MONOTONIC: usize = 1;
    let mut time = [0u64; 2];
    // SAFETY: the kernel writes a `struct timespec` of two 64-bit integers.
    let outcome = unsafe { syscall!(nr::CLOCK_GETTIME, CLOCK_MONOTONIC, time.as_mut_ptr()) };
    outcome.map_or(0, |_| time[0].wrapping_mul(1_000_000_000).wrapping_add(time[1]))
}

//! A seccomp profile in docker's form, read and compiled.

#![no_main]

use libfuzzer_sys::fuzz_target;
use seccomp::{Arch, Host, read_profile};

/// More rules than this take long to compile without being a discovery.
const MAX_RULES: usize = 64;

fuzz_target!(|bytes: &[u8]| {
    let host = Host { bounding: 0xa80425fb, kernel: (6, 1), machine: Arch::X86_64 };
    let Ok(Some(profile)) = read_profile(bytes, &host) else { return };
    if profile.rules.len() > MAX_RULES {
        return;
    }
    if let Ok(filter) = seccomp::compile(&profile, Arch::X86_64) {
        // The kernel takes no more (BPF_MAXINSNS).
        assert!((1..=4096).contains(&filter.instructions().len()));
    }
});

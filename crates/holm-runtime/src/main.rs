//! `holm-runtime`: see the library of the same name.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// A launch is over before any of its memory is needed anew.
#[global_allocator]
static ALLOCATOR: sys::arena::Arena = sys::arena::Arena::new();

/// What the smallest command takes of it.
const AT_LEAST_BYTES: usize = 32 << 10;

fn main() -> ExitCode {
    ALLOCATOR.provide(AT_LEAST_BYTES);
    holm_runtime::main(std::env::args_os().skip(1).collect())
}

//! `holm`: see the library of the same name.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// Small commands end before they have used it up. What goes on for long, such as a monitor, takes no more than this on top.
#[global_allocator]
static ALLOCATOR: sys::arena::Arena<{ 64 << 10 }> = sys::arena::Arena::new();

fn main() -> ExitCode {
    ALLOCATOR.provide(1);
    holm::main(std::env::args_os().skip(1).collect())
}

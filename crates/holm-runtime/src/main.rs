//! `holm-runtime`: see the library of the same name.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// A launch is over before any of its memory is needed anew.
#[global_allocator]
static ALLOCATOR: sys::arena::Arena<{ 512 << 10 }> = sys::arena::Arena::new();

/// What the smallest configurations take of it and of the stack. A page that is provided for nothing costs more than one that is not.
const TO_ENTER_BYTES: usize = 32 << 10;
const TO_LAUNCH_BYTES: usize = 72 << 10;
const STACK_BYTES: usize = 40 << 10;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    // A guess, which costs a little time where it is wrong.
    let any = |names: &[&str]| arguments.iter().any(|word| names.iter().any(|name| word == name));
    let bytes = if any(&["run", "create"]) {
        TO_LAUNCH_BYTES
    } else if any(&["exec"]) {
        TO_ENTER_BYTES
    } else {
        0
    };
    if bytes > 0 {
        ALLOCATOR.provide(bytes);
        sys::arena::provide_stack(STACK_BYTES);
    }
    holm_runtime::main(arguments)
}

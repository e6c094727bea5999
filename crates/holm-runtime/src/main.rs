//! `holm-runtime`: see the library of the same name.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// A launch is over before any of its memory is needed anew.
#[global_allocator]
static ALLOCATOR: sys::arena::Arena = sys::arena::Arena::new();

/// What the smallest command takes of it.
const AT_LEAST_BYTES: usize = 32 << 10;

/// What those take that start a program, of it and of the stack.
const TO_START_BYTES: usize = 72 << 10;
const STACK_TO_START_BYTES: usize = 40 << 10;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    // A guess, which costs a little time where it is wrong.
    if arguments.iter().any(|word| word == "exec" || word == "run" || word == "create") {
        ALLOCATOR.provide(TO_START_BYTES);
        sys::arena::provide_stack(STACK_TO_START_BYTES);
    } else {
        ALLOCATOR.provide(AT_LEAST_BYTES);
    }
    holm_runtime::main(arguments)
}

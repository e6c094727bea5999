//! `holm`: see the library of the same name.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// Commands that end soon do so before they have used it up. What goes on for long, such as a monitor, takes no more than the limit on top.
#[global_allocator]
static ALLOCATOR: sys::arena::Arena<{ 1 << 20 }, { 64 << 10 }> = sys::arena::Arena::new();

/// They make and forget many small things, and are over before memory is needed anew.
const SOON_OVER: [&str; 13] = [
    "run",
    "create",
    "start",
    "stop",
    "restart",
    "kill",
    "rm",
    "ps",
    "inspect",
    "images",
    "exec",
    "port",
    "--supervise",
];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|first| SOON_OVER.iter().any(|name| first == name)) {
        ALLOCATOR.allow();
    }
    ALLOCATOR.provide(1);
    holm::main(arguments)
}

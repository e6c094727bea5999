//! `holm-runtime`: see the library of the same name.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    holm_runtime::main(std::env::args_os().skip(1).collect())
}

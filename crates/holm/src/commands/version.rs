//! `holm version`.

use std::process::ExitCode;

/// Prints the version.
pub fn run() -> ExitCode {
    crate::print(concat!("holm ", env!("CARGO_PKG_VERSION"), "\n"));
    ExitCode::SUCCESS
}

//! The process that unpacks, as a program of its own: for users of the library whose program has no such command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(images::layer::child::main())
}

//! The repository's own tools: `cargo xtask COMMAND`.
//!
//! Each command is a module with `command`, its arguments, and `run`; [`COMMANDS`] lists them.

#![forbid(unsafe_code)]

mod bench;
mod check;
mod engines;
mod facts;
mod generate;
mod plan;
mod suites;
mod test;
mod tidy;
mod vm;
mod workspace;

use clap::{ArgMatches, Command};
use std::process::ExitCode;

/// What a command comes to: an exit code, or an error that ends it.
type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;

/// A command's arguments and what runs it.
type Entry = (fn() -> Command, fn(&ArgMatches) -> Outcome);

const COMMANDS: &[Entry] = &[
    (check::command, check::run),
    (tidy::command, tidy::run),
    (generate::command, generate::run),
    (test::command, test::run),
    (vm::command, vm::run),
    (facts::command, facts::run),
    (plan::command, plan::run),
    (bench::command, bench::run),
    (bench::room::command, bench::room::run),
    (bench::order::command, bench::order::run),
    (suites::command, suites::run),
    (suites::room::command, suites::room::run),
    (engines::command, engines::run),
    (engines::inside, engines::run_inside),
];

fn main() -> ExitCode {
    let program = Command::new("cargo xtask")
        .about("The repository's own tools")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(COMMANDS.iter().map(|(command, _)| command()));
    let matches = program.get_matches();
    let (name, arguments) = matches.subcommand().expect("clap requires one");
    let (_, run) =
        COMMANDS.iter().find(|(command, _)| command().get_name() == name).expect("clap knows no other");
    run(arguments).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

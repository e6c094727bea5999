//! What each command does.

mod run;
mod spec;

use std::process::ExitCode;

use clap::ArgMatches;

use crate::context::Context;
use crate::failure::Outcome;

/// Runs the command of this name, which is one of [`crate::cli::NAMES`].
pub(crate) fn run(name: &str, context: &Context, arguments: &ArgMatches) -> Outcome {
    match name {
        "run" => run::run(context, arguments),
        "spec" => spec::run(arguments),
        // `help` is the command-line parser's own.
        _ => Ok(ExitCode::SUCCESS),
    }
}

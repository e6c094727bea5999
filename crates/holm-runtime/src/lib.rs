//! An OCI runtime with runc's command line.
//!
//! [`main`] finds the command's name and builds only that part of the command line; start reading there. [`cli`] is the one
//! description of the flags, which reference pages come from too; `commands` has a file for each command. What this runtime does not do
//! yet is no command of it.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::process::ExitCode;

pub mod cli;

mod commands;
mod context;
mod failure;
mod log;
mod time;

use context::{Context, Rootless};
use log::Log;

/// Runs the command line `args`, without the program's name, and returns the exit status.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let name = cli::command_name(&args);
    if let Some((name, arguments)) = cli::plain(&args, name.as_deref()) {
        return run(name, &arguments, &args);
    }
    if let Some(message) = name.as_deref().and_then(|name| cli::refusal_of_later(name, &args)) {
        return cli::refuse(&message, &Log::of_raw_arguments(&args));
    }
    let subcommand = name.as_deref().and_then(cli::subcommand);
    let whole = match subcommand {
        Some(subcommand) => cli::frame().subcommand(subcommand),
        None => cli::command(),
    };
    let matches = match whole.no_binary_name(true).try_get_matches_from(&args) {
        Ok(matches) => matches,
        Err(error) => return cli::report_usage(&error, name.as_deref(), &Log::of_raw_arguments(&args)),
    };
    if matches.get_flag("version") {
        return cli::print(cli::VERSION);
    }
    let Some((name, arguments)) = matches.subcommand() else {
        return cli::print(&cli::command().render_help().to_string());
    };
    match cli::table(name) {
        Some(table) => run(table.name, &cli::Arguments::of_matches(table, arguments), &args),
        // `help` is the command-line parser's own.
        None => ExitCode::SUCCESS,
    }
}

fn run(name: &str, arguments: &cli::Arguments, args: &[OsString]) -> ExitCode {
    let context = match Context::new(arguments, Rootless::of(args)) {
        Ok(context) => context,
        Err(failure) => return failure.report(&Log::none()),
    };
    commands::run(name, &context, arguments).unwrap_or_else(|failure| failure.report(&context.log))
}

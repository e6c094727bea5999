//! `start`: lets a created container's program begin.

use std::process::ExitCode;

use clap::ArgMatches;

use crate::context::Context;
use crate::failure::Outcome;

pub(super) fn run(context: &Context, arguments: &ArgMatches) -> Outcome {
    super::container(context, arguments)?.start()?;
    Ok(ExitCode::SUCCESS)
}

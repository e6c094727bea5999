//! `create`: everything but the program.

use std::process::ExitCode;

use clap::ArgMatches;

use super::launching::{self, Mode};
use crate::context::Context;
use crate::failure::Outcome;

pub(super) fn run(context: &Context, arguments: &ArgMatches) -> Outcome {
    launching::launch(context, arguments, Mode::Create)?;
    Ok(ExitCode::SUCCESS)
}

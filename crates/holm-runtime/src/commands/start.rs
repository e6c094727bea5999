//! `start`: lets a created container's program begin.

use std::process::ExitCode;

use crate::cli::Arguments;

use crate::context::Context;
use crate::failure::Outcome;

pub(super) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    super::container(context, arguments)?.start()?;
    Ok(ExitCode::SUCCESS)
}

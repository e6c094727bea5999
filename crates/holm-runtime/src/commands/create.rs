//! `create`: everything but the program.

use std::process::ExitCode;

use crate::cli::Arguments;

use super::launching::{self, Mode};
use crate::context::Context;
use crate::failure::Outcome;

pub(super) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    launching::launch(context, arguments, Mode::Create)?;
    Ok(ExitCode::SUCCESS)
}

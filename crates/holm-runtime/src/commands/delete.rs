//! `delete`: takes a container away.

use std::process::ExitCode;

use crate::cli::Arguments;
use report::{Explain, Kind};
use runtime::{Container, ContainerError};

use crate::context::Context;
use crate::failure::Outcome;

pub(super) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    let force = arguments.get_flag("force");
    let container = match super::container(context, arguments) {
        // What is not there need not be taken away.
        Err(failure) if force && failure.kind() == Kind::NotFound => return Ok(ExitCode::SUCCESS),
        outcome => outcome?,
    };
    match delete(context, container, force) {
        Err(error) if force && error.kind() == Kind::NotFound => Ok(ExitCode::SUCCESS),
        outcome => Ok(outcome.map(|()| ExitCode::SUCCESS)?),
    }
}

/// Takes it away and tells what did not stop that.
pub(super) fn delete(context: &Context, container: Container, force: bool) -> Result<(), ContainerError> {
    for cause in container.delete(force)? {
        context.log.warn(&report::one_line(&cause));
    }
    Ok(())
}

//! `start`: lets a created container's program begin.

use std::os::fd::AsFd;
use std::process::ExitCode;

use crate::cli::Arguments;

use super::notify::{Notifications, Supervisor};
use crate::context::Context;
use crate::failure::Outcome;

pub(super) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    let Some(supervisor) = Supervisor::of_environment()? else {
        super::container(context, arguments)?.start()?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut container = super::container(context, arguments)?;
    // Before the program can say anything.
    let socket = if container.status() == spec::Status::Created { container.notifications()? } else { None };
    let process = container.process();
    container.start()?;
    match (socket, process) {
        (Some(socket), Some((pid, pidfd))) => {
            Notifications::new(socket, supervisor).wait(pid, pidfd.as_fd(), &context.log)?;
        }
        _ => context.log.warn(
            "NOTIFY_SOCKET was not set when the container was created: nobody is told that it is ready",
        ),
    }
    Ok(ExitCode::SUCCESS)
}

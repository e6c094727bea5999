//! `pause` and `resume`.

use std::process::ExitCode;
use std::time::Duration;

use crate::cli::Arguments;
use report::{Explain, Kind};
use spec::Status;

use super::container;
use crate::context::Context;
use crate::failure::Outcome;

/// How long processes may take to stand: some wait for a disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// The container is in no state for the command.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} container `{id}`, which is {status}")]
struct WrongState {
    verb: &'static str,
    id: String,
    status: Status,
}

impl Explain for WrongState {
    fn kind(&self) -> Kind {
        Kind::StateConflict
    }
}

pub(super) fn pause(context: &Context, arguments: &Arguments) -> Outcome {
    let container = container(context, arguments)?;
    match container.status() {
        Status::Running | Status::Created => container.cgroup()?.freeze(PATIENCE)?,
        status => return Err(WrongState { verb: "pause", id: container.id().to_string(), status }.into()),
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn resume(context: &Context, arguments: &Arguments) -> Outcome {
    let container = container(context, arguments)?;
    match container.status() {
        Status::Paused => container.cgroup()?.thaw(PATIENCE)?,
        status => return Err(WrongState { verb: "resume", id: container.id().to_string(), status }.into()),
    }
    Ok(ExitCode::SUCCESS)
}

//! What each command does.

mod bundle;
mod container;
mod create;
mod delete;
mod document;
mod events;
mod exec;
mod features;
mod kill;
mod launching;
mod list;
mod mounts;
mod notify;
mod pause;
mod ps;
mod relay;
mod run;
mod spec;
mod start;
mod state;
mod update;

use std::process::ExitCode;

use crate::cli::Arguments;

use runtime::state::{StateError, StateRoot};
use runtime::{Container, ContainerId};

use crate::context::Context;
use crate::failure::{Failure, Outcome};

/// Runs the command of this name, which is one of [`crate::cli::NAMES`].
pub(crate) fn run(name: &str, context: &Context, arguments: &Arguments) -> Outcome {
    match name {
        "create" => create::run(context, arguments),
        "start" => start::run(context, arguments),
        "run" => run::run(context, arguments),
        "exec" => exec::run(context, arguments),
        "pause" => pause::pause(context, arguments),
        "resume" => pause::resume(context, arguments),
        "update" => update::run(context, arguments),
        "events" => events::run(context, arguments),
        "ps" => ps::run(context, arguments),
        "mounts" => mounts::run(context, arguments),
        "features" => features::run(),
        "state" => state::run(context, arguments),
        "list" | "ls" => list::run(context, arguments),
        "kill" => kill::run(context, arguments),
        "delete" => delete::run(context, arguments),
        "spec" => spec::run(arguments),
        // `help` is the command-line parser's own.
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// The id that a command line names.
pub(crate) fn id(arguments: &Arguments) -> Result<ContainerId, Failure> {
    Ok(ContainerId::parse(arguments.get_one::<String>("id").map_or("", String::as_str))?)
}

/// The container that a command line names.
pub(crate) fn container(context: &Context, arguments: &Arguments) -> Result<Container, Failure> {
    let id = id(arguments)?;
    // A directory that is not there is not made for the question.
    match StateRoot::find(&context.root)? {
        Some(root) => Ok(Container::open(&root, &id)?),
        None => Err(StateError::NotFound { id: id.to_string() }.into()),
    }
}

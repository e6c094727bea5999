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
    // Not called in place: this function's frame would be as large as the largest of theirs, and what is touched of it costs time.
    let command: fn(&Context, &Arguments) -> Outcome = match name {
        "create" => create::run,
        "start" => start::run,
        "run" => run::run,
        "exec" => exec::run,
        "pause" => pause::pause,
        "resume" => pause::resume,
        "update" => update::run,
        "events" => events::run,
        "ps" => ps::run,
        "mounts" => mounts::run,
        "features" => |_, _| features::run(),
        "state" => state::run,
        "list" | "ls" => list::run,
        "kill" => kill::run,
        "delete" => delete::run,
        "spec" => |_, arguments| spec::run(arguments),
        // `help` is the command-line parser's own.
        _ => |_, _| Ok(ExitCode::SUCCESS),
    };
    command(context, arguments)
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

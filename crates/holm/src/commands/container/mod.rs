//! The commands for a container's life, a file for each subject.

mod attach;
mod exec;
mod inspect;
mod life;
mod logs;
pub(in crate::commands) mod output;
mod ps;
mod select;
mod top;

use clap::ArgMatches;
use engine::engine::Local;
use engine::host::Caller;
use report::{BoxedExplain, Explain};

use crate::Global;

/// Runs the command `name`.
///
/// # Errors
/// Those of the command.
pub fn run(name: &str, matches: &ArgMatches, global: Global) -> Result<u8, BoxedExplain> {
    if name == "create" {
        return super::run::create(matches);
    }
    let engine = Local::of(&Caller::read());
    match name {
        "start" => attach::start(&engine, matches),
        "stop" => life::stop(&engine, matches),
        "restart" => life::restart(&engine, matches),
        "kill" => life::kill(&engine, matches),
        "pause" => life::pause(&engine, matches),
        "unpause" => life::unpause(&engine, matches),
        "wait" => life::wait(&engine, matches),
        "rm" => life::remove(&engine, matches),
        "ps" => ps::run(&engine, matches),
        "inspect" => inspect::run(&engine, matches),
        "logs" => logs::run(&engine, matches),
        "attach" => attach::run(&engine, matches),
        "exec" => exec::run(&engine, matches, global),
        "rename" => life::rename(&engine, matches),
        "top" => top::run(&engine, matches),
        _ => inspect::port(&engine, matches),
    }
}

fn boxed(error: impl Explain + Send + Sync + 'static) -> BoxedExplain {
    Box::new(error)
}

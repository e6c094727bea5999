//! The commands for a container's life, a file for each subject.

mod attach;
mod exec;
mod inspect;
mod life;
mod logs;
mod output;
mod ps;
mod select;
mod top;

use clap::ArgMatches;
use engine::containers::Places;
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
    let places = Places::of(&Caller::read());
    match name {
        "start" => attach::start(&places, matches),
        "stop" => life::stop(&places, matches),
        "restart" => life::restart(&places, matches),
        "kill" => life::kill(&places, matches),
        "pause" => life::pause(&places, matches),
        "unpause" => life::unpause(&places, matches),
        "wait" => life::wait(&places, matches),
        "rm" => life::remove(&places, matches),
        "ps" => ps::run(&places, matches),
        "inspect" => inspect::run(&places, matches),
        "logs" => logs::run(&places, matches),
        "attach" => attach::run(&places, matches),
        "exec" => exec::run(&places, matches, global),
        "rename" => life::rename(&places, matches),
        "top" => top::run(&places, matches),
        _ => inspect::port(&places, matches),
    }
}

fn boxed(error: impl Explain + Send + Sync + 'static) -> BoxedExplain {
    Box::new(error)
}

//! The commands about all of holm.

mod events;
mod info;
mod screen;
mod stats;
mod update;
pub(super) mod upkeep;

use clap::ArgMatches;
use engine::containers::Places;
use engine::engine::Local;
use engine::host::Caller;
use report::{BoxedExplain, Explain};

/// Runs the command `name`.
///
/// # Errors
/// Those of the command.
pub fn run(name: &str, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let engine = Local::of(&Caller::read());
    let places = &engine.places;
    match (name, matches.subcommand()) {
        ("stats", _) => stats::run(places, matches),
        ("events", _) => events::run(&engine, matches),
        ("update", _) => update::run(&engine, matches),
        ("prune", _) => upkeep::prune(places, matches),
        ("system", Some(("check", matches))) => upkeep::check(places, matches),
        ("system", Some(("restore", _))) => upkeep::restore(places),
        ("system", Some(("prune", matches))) => upkeep::prune(places, matches),
        ("system", Some(("df", matches))) => info::room(places, matches),
        ("system", Some(("reset", matches))) => upkeep::reset(places, matches),
        ("system", Some((_, matches))) => info::run(places, matches),
        _ => info::run(places, matches),
    }
}

/// The live view of all containers: `holm top`.
///
/// # Errors
/// When there is no terminal, or it cannot be used.
pub fn screen() -> Result<u8, BoxedExplain> {
    screen::run(&Places::of(&Caller::read()))
}

fn boxed(error: impl Explain + Send + Sync + 'static) -> BoxedExplain {
    Box::new(error)
}

//! `holm ns`: a file for each subcommand.

mod containers;
mod enter;
mod hold;
mod inspect;
mod list;
mod run;

use clap::ArgMatches;
use namespaces::{Error, Kind};
use report::BoxedExplain;

/// Runs the subcommand that was named.
///
/// # Errors
/// What is wrong with the request, or what the kernel refuses.
pub fn run(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let outcome = match matches.subcommand() {
        Some(("list", flags)) => list::run(flags),
        Some(("inspect", flags)) => inspect::run(flags),
        Some(("enter", flags)) => enter::run(flags),
        Some(("run", flags)) => run::run(flags),
        Some(("hold", flags)) => hold::hold(flags),
        Some(("release", flags)) => hold::release(flags),
        other => unreachable!("clap knows no {other:?}"),
    };
    outcome.map_err(|failure| failure.0)
}

fn text<'a>(matches: &'a ArgMatches, id: &str) -> Option<&'a str> {
    matches.get_one::<String>(id).map(String::as_str)
}

fn kind(text: &str) -> Result<Kind, Error> {
    Kind::from_name(text).ok_or_else(|| namespaces::reference::unknown_kind(text))
}

/// A process id.
fn pid(text: &str) -> Result<u32, Error> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|&pid| pid > 0).ok_or_else(|| {
        Error::input(format!("`{}` is not a process id", text.escape_debug()), "give a number such as 4711")
    })
}

/// An id of a user or group, or `None` for `follow`.
fn id_or_follow(text: &str, flag: &str) -> Result<Option<u32>, Error> {
    if text == "follow" { Ok(None) } else { id(text, flag).map(Some) }
}

/// An id of a user or group; 4294967295 means "none" to the kernel.
fn id(text: &str, flag: &str) -> Result<u32, Error> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|&id| id != u32::MAX).ok_or_else(|| {
        Error::input(
            format!("{flag} `{}` is not an id", text.escape_debug()),
            "give a number from 0 to 4294967294",
        )
    })
}

//! `holm run`.

use std::io::IsTerminal as _;

use clap::ArgMatches;
use engine::host::Caller;
use engine::{prepare, run as launch, terminal};
use report::BoxedExplain;

use crate::Global;
use crate::cli::run::{Request, request, show_plan};

pub mod image;

/// Runs a container, or prints the plan for it.
///
/// # Errors
/// What is wrong with the request, or failed before the program ran.
pub fn run(matches: &ArgMatches, global: Global) -> Result<u8, BoxedExplain> {
    let caller = Caller::read();
    let size = terminal::size_of(std::io::stdin()).or_else(|| terminal::size_of(std::io::stdout()));
    let mut say = |line: &str| eprintln!("holm: {line}");
    let store;
    let _lease;
    let prepared = match request(matches)? {
        Request::Rootfs(request) => prepare::from_request(&request, &caller, size)?,
        Request::Bundle(request) => prepare::from_bundle(&request, size)?,
        Request::Image(asked) => {
            store = image::store()?;
            let (request, lease) = image::ready(matches, *asked, &store, &mut say)?;
            let prepared = prepare::from_request(&request, &caller, size)?;
            // It protects what the container uses until this command ends.
            _lease = lease;
            prepared
        }
    };
    prepared.remarks.iter().for_each(|line| say(line));
    if global.debug {
        prepared.details.iter().for_each(|line| say(line));
    }
    if show_plan(matches)? {
        let mut text = launch::plan(&prepared)?.to_string();
        if let Some(wanted) = &prepared.network {
            text.push_str(&engine::connection::Connection::preview(wanted, &caller)?);
        }
        launch::print(&text)?;
        return Ok(0);
    }
    if prepared.streams.tty && prepared.streams.interactive && !std::io::stdin().is_terminal() {
        say("the standard input is not a terminal: what it holds is typed to the program");
    }
    launch::run(prepared, &caller, &mut say)
}

//! `holm attach` and `holm start`.

use clap::ArgMatches;
use engine::containers::attach::{self, AttachOptions};
use engine::containers::{Home, Status};
use engine::engine::{Engine as _, Local};
use engine::flags::detach_keys::DetachKeys;
use engine::flags::parse_bool;
use engine::request::Streams;
use engine::terminal;
use report::BoxedExplain;

use super::boxed;
use super::life::{each, fail_unless_one};
use super::select::select;
use crate::cli::run::{on, optional, refuse, texts};
use crate::commands::run::status_of;

fn options(home: &Home, matches: &ArgMatches, input: bool) -> Result<AttachOptions, BoxedExplain> {
    let definition = home.definition().map_err(boxed)?;
    let keys: Option<DetachKeys> = optional(matches, "detach-keys", "--detach-keys")?;
    let pass_signals = match matches.try_get_one::<String>("sig-proxy") {
        Ok(Some(text)) => match parse_bool(text) {
            Ok(on) => on,
            Err(problem) => return refuse(format!("--sig-proxy `{text}`: {problem}"), "true or false"),
        },
        _ => true,
    };
    let size = terminal::size_of(std::io::stdin()).or_else(|| terminal::size_of(std::io::stdout()));
    Ok(AttachOptions {
        size,
        input: input && definition.open_stdin,
        output: true,
        pass_signals,
        streams: Streams {
            tty: definition.tty(),
            interactive: input,
            detach_keys: keys.unwrap_or(definition.request.streams.detach_keys),
        },
    })
}

pub(super) fn run(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let home = engine::containers::one(&engine.places, &texts(matches, "container").concat())?;
    let input = !on(matches, "no-stdin", "--no-stdin")?;
    let options = options(&home, matches, input)?;
    let signals = attach::catch()?;
    let socket = engine.attach(&home.id, &options)?;
    engine.attend(&home.id, socket, &signals, &options).map(status_of)
}

pub(super) fn start(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let interactive = on(matches, "interactive", "--interactive")?;
    let attached = interactive || on(matches, "attach", "--attach")?;
    if !attached {
        return start_all(engine, matches);
    }
    let mut selected = select(&engine.places, matches, |status| !status.is_alive())?;
    fail_unless_one(selected.homes.len() + selected.missing.len())?;
    if let Some(error) = selected.missing.pop() {
        return Err(error);
    }
    let (home, _) = selected.homes.remove(0);
    let options = options(&home, matches, interactive)?;
    let signals = attach::catch()?;
    let socket = match engine.start(&home.id, Some(&options))? {
        Some(socket) => socket,
        // It runs already: what it wrote before is in its log.
        None => engine.attach(&home.id, &options)?,
    };
    engine.attend(&home.id, socket, &signals, &options).map(status_of)
}

fn start_all(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let all: fn(Status) -> bool = |status| matches!(status, Status::Created | Status::Exited);
    each(engine, matches, all, |home| engine.start(&home.id, None).map(|_| None))
}

//! Commands that do the same to each of several containers.

use clap::ArgMatches;
use engine::containers::wait::Until;
use engine::containers::{Home, Status};
use engine::engine::{Engine as _, Local};
use engine::flags::Value as _;
use engine::flags::name::ContainerName;
use engine::run::print;
use report::BoxedExplain;
use spec::Signal;

use super::boxed;
use super::select::{Selected, select};
use crate::cli::keeping::seconds;
use crate::cli::run::{on, optional, refuse, texts};

/// Does it to each, prints what each was called by, and tells of failures as they come; the status is 1 when there was one.
pub(super) fn each(
    engine: &Local,
    matches: &ArgMatches,
    all: fn(Status) -> bool,
    mut act: impl FnMut(&Home) -> Result<Option<String>, BoxedExplain>,
) -> Result<u8, BoxedExplain> {
    let selected = select(&engine.places, matches, all)?;
    let (mut told, homes) = Told::begin(selected)?;
    for (home, called) in &homes {
        told.note(called, act(home))?;
    }
    Ok(u8::from(told.failed))
}

/// What is said of containers one after the other.
struct Told {
    only_one: bool,
    failed: bool,
}

impl Told {
    /// Says which are not there; that is the end of it where only one is meant.
    fn begin(mut selected: Selected) -> Result<(Self, Vec<(Home, String)>), BoxedExplain> {
        let only_one = selected.homes.len() + selected.missing.len() == 1;
        if only_one && let Some(error) = selected.missing.pop() {
            return Err(error);
        }
        for error in &selected.missing {
            eprint!("{}", report::render(&**error));
        }
        Ok((Self { only_one, failed: !selected.missing.is_empty() }, selected.homes))
    }

    /// Scripts find their own words: what it was called by, where there is no other line.
    fn note(
        &mut self,
        called: &str,
        outcome: Result<Option<String>, BoxedExplain>,
    ) -> Result<(), BoxedExplain> {
        match outcome {
            Ok(line) => print(&format!("{}\n", line.as_deref().unwrap_or(called))),
            Err(error) if self.only_one => Err(error),
            Err(error) => {
                eprint!("{}", report::render(&*error));
                self.failed = true;
                Ok(())
            }
        }
    }
}

fn alive(status: Status) -> bool {
    status.is_alive()
}

fn any(_: Status) -> bool {
    true
}

fn timeout(matches: &ArgMatches) -> Result<(Option<i64>, Option<Signal>), BoxedExplain> {
    Ok((seconds(matches, "time", "--time")?, optional(matches, "signal", "--signal")?))
}

pub(super) fn stop(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let (timeout, signal) = timeout(matches)?;
    each(
        engine,
        matches,
        |status| status != Status::Created && status != Status::Exited,
        |home| engine.stop(&home.id, timeout, signal).map(|_| None),
    )
}

pub(super) fn restart(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let (timeout, signal) = timeout(matches)?;
    each(engine, matches, alive, |home| {
        engine.stop(&home.id, timeout, signal)?;
        engine.start(&home.id, None).map(|_| None)
    })
}

pub(super) fn kill(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let signal = optional(matches, "signal", "--signal")?.unwrap_or(Signal::KILL);
    each(engine, matches, alive, |home| engine.kill(&home.id, signal).map(|()| None))
}

pub(super) fn pause(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    each(engine, matches, alive, |home| engine.freeze(&home.id, true).map(|()| None))
}

pub(super) fn unpause(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    each(engine, matches, alive, |home| engine.freeze(&home.id, false).map(|()| None))
}

pub(super) fn wait(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let until = match matches.get_one::<String>("condition").map(String::as_str) {
        None | Some("not-running" | "stopped" | "exited") => Until::NotRunning,
        Some("next-exit") => Until::NextExit,
        Some("removed") => Until::Removed,
        Some(other) => {
            return refuse(
                format!("--condition `{}`: there is no such condition", other.escape_debug()),
                "not-running, next-exit or removed",
            );
        }
    };
    each(engine, matches, any, |home| engine.wait(&home.id, until).map(|status| Some(status.to_string())))
}

pub(super) fn remove(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let force = on(matches, "force", "--force")?;
    let volumes = on(matches, "volumes", "--volumes")?;
    let all: fn(Status) -> bool = if force { any } else { |status| !status.is_alive() };
    let selected = select(&engine.places, matches, all)?;
    // As docker and podman have it: what is not there has not to be removed.
    if force && selected.homes.is_empty() && !selected.missing.is_empty() {
        return Ok(0);
    }
    let (mut told, named) = Told::begin(selected)?;
    let (homes, called): (Vec<Home>, Vec<String>) = named.into_iter().unzip();
    let (mut called, mut outcome) = (called.iter(), Ok(()));
    engine.remove_each(&homes, force, volumes, &mut |home, removed| {
        let called = called.next().unwrap_or(&home.id);
        if outcome.is_ok() {
            outcome = told.note(called, removed.map(|()| None));
        }
    });
    outcome.map(|()| u8::from(told.failed))
}

pub(super) fn rename(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let text = texts(matches, "name").concat();
    let name = match ContainerName::parse(text.strip_prefix('/').unwrap_or(&text)) {
        Ok(name) => name,
        Err(problem) => {
            return refuse(format!("the name `{}`: {problem}", text.escape_debug()), "for example: web-1");
        }
    };
    engine.rename(&texts(matches, "container").concat(), &name).map(|()| 0)
}

pub(super) fn fail_unless_one(count: usize) -> Result<(), BoxedExplain> {
    match count {
        1 => Ok(()),
        _ => Err(boxed(OnlyOne)),
    }
}

/// More than one container, for what is possible with one only.
#[derive(Debug, thiserror::Error)]
#[error("one cannot be attached to several containers at once")]
struct OnlyOne;

impl report::Explain for OnlyOne {
    fn kind(&self) -> report::Kind {
        report::Kind::InvalidInput
    }
    fn hint(&self) -> Option<report::Hint> {
        Some(report::Hint::new("name one container"))
    }
}

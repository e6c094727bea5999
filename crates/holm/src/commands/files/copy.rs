//! `holm cp`.

use std::io::{self, IsTerminal as _};

use clap::ArgMatches;
use engine::containers::files::{CopyOptions, End};
use engine::containers::{Places, one};
use engine::engine::{Files as _, Local};
use report::BoxedExplain;

use super::tell;
use crate::cli::run::{on, refuse, texts};

pub(super) fn run(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let (source, destination) = (texts(matches, "source").concat(), texts(matches, "destination").concat());
    let from = end(&engine.places, &source)?;
    let to = end(&engine.places, &destination)?;
    let is_container = |end: &End| matches!(end, End::Container(..));
    if !is_container(&from) && !is_container(&to) {
        return refuse(
            "neither of both is in a container",
            "write CONTAINER:PATH for one of them; a file of yours with a colon in its name is ./FILE",
        );
    }
    if from == End::Stream && io::stdin().is_terminal() {
        return refuse("there is no archive to copy", "send one to the standard input");
    }
    if to == End::Stream && io::stdout().is_terminal() {
        return refuse("an archive is nothing for a terminal", "send the standard output to a file");
    }
    let options = CopyOptions {
        archive: on(matches, "archive", "--archive")?,
        follow: on(matches, "follow-link", "--follow-link")?,
    };
    let quiet = on(matches, "quiet", "--quiet")?;
    let (count, remarks) = engine.copy(&from, &to, options)?;
    tell(&remarks);
    if !quiet && to != End::Stream && io::stderr().is_terminal() {
        let things = if count == 1 { "entry" } else { "entries" };
        eprintln!("copied {count} {things} to {destination}");
    }
    Ok(0)
}

/// What a person typed: as with docker, what begins with `/` or `.` is a file, and what has a colon is a container's.
fn end(places: &Places, text: &str) -> Result<End, BoxedExplain> {
    if text == "-" {
        return Ok(End::Stream);
    }
    if text.contains('\0') {
        return refuse("a path cannot contain NUL", "");
    }
    match text.split_once(':') {
        Some((name, path)) if !text.starts_with(['/', '.']) && !name.is_empty() => {
            if path.is_empty() {
                return refuse(format!("`{text}` has no path"), "write CONTAINER:/ for the root");
            }
            // A path of a container is one from its root on.
            let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
            Ok(End::Container(one(places, name)?, path))
        }
        _ if text.is_empty() => refuse("a path is empty", "write . for this directory"),
        _ => Ok(End::Own(text.to_owned())),
    }
}

//! `holm pull`, and how `holm run` fetches what is missing.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use clap::ArgMatches;
use images::platform::Platform;
use images::reference::{Name, Reference};
use images::registry::Conf;
use images::registry::pull::{JOBS, LOCK_FILE, Pull, Pulled};
use images::registry::short::{self, Candidates, Lock};
use images::store::{Image, Store};
use report::BoxedExplain;
use serde_json::json;

use super::progress::{Form, Shown};
use super::{Connection, boxed, host_of, refuse};
use crate::cli::registry::boolean;

/// Fetches images and prints the id of each.
///
/// # Errors
/// The first image that cannot be had; those before it are there.
pub fn run(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let connection = Connection::read(matches)?;
    let quiet = boolean(matches, "quiet")?.unwrap_or(false);
    let form = Form::of(matches.get_one::<String>("progress").map(String::as_str), quiet);
    let platform = platform_of(matches)?.unwrap_or_else(Platform::host);
    let jobs = jobs_of(matches)?;
    let names = matches.get_many::<String>("name").into_iter().flatten();
    let names = names.map(|text| Name::parse(text)).collect::<Result<Vec<_>, _>>().map_err(boxed)?;
    let store = crate::commands::image::store_with(matches)?;
    for name in &names {
        let shown = Shown::fetching(form);
        let pulled = fetch(&connection, &store, name, &platform, jobs, &shown)?;
        match form {
            Form::Json => shown.object(&result(&pulled)),
            _ => engine::run::print(&format!("{}\n", pulled.id))?,
        }
    }
    Ok(0)
}

fn result(pulled: &Pulled) -> serde_json::Value {
    json!({
        "event": "pulled",
        "name": pulled.name.to_string(),
        "digest": pulled.digest,
        "manifest": pulled.manifest,
        "id": pulled.id,
    })
}

/// Fetches one image.
///
/// # Errors
/// What the registry, the store or the image says.
pub fn fetch(
    connection: &Connection,
    store: &Store,
    name: &Name,
    platform: &Platform,
    jobs: usize,
    shown: &Shown,
) -> Result<Pulled, BoxedExplain> {
    let client = connection.client(host_of(name)).map_err(boxed)?;
    let pull = Pull {
        client: &client,
        conf: &connection.conf,
        store,
        verify: connection.verify,
        platform: platform.clone(),
        jobs,
        watcher: shown,
    };
    pull.named(name, &mut ask).map_err(boxed)
}

/// Finds an image here by what a person writes, and its full name if it was found by one. A short name means what it means when it is fetched.
///
/// # Errors
/// That there is none.
pub fn find(store: &Store, conf: &Conf, text: &str) -> Result<(Image, Option<Reference>), BoxedExplain> {
    if let Ok(Name::Short(short)) = Name::parse(text) {
        let lock = Lock::new(store.layout().root().join(LOCK_FILE));
        let locked = lock.get(&short).map_err(boxed)?;
        let list = match short::candidates(&short, conf, locked) {
            Ok(Candidates::One(reference, _)) => vec![reference],
            Ok(Candidates::FirstOf(list) | Candidates::Ask(list)) => list,
            Err(_) => Vec::new(),
        };
        for reference in list.into_iter().map(Reference::tagged) {
            if store.name(&reference).map_err(boxed)?.is_some() {
                return Ok((store.find(&reference.to_string()).map_err(boxed)?, Some(reference)));
            }
        }
    }
    let image = store.find(text).map_err(boxed)?;
    let named = match Reference::parse(text) {
        Ok(reference) if store.name(&reference).map_err(boxed)?.is_some() => Some(reference),
        _ => None,
    };
    Ok((image, named))
}

/// Asks the person at the terminal which image is meant.
fn ask(name: &str, list: &[Reference]) -> Option<usize> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    eprintln!("holm: `{name}` could be any of:");
    for (number, reference) in list.iter().enumerate() {
        eprintln!("  {}  {reference}", number + 1);
    }
    for _ in 0..3 {
        eprint!("Which one (1 to {})? ", list.len());
        let _ = std::io::stderr().flush();
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(number) =
            line.trim().parse::<usize>().ok().filter(|number| (1..=list.len()).contains(number))
        {
            return Some(number - 1);
        }
    }
    None
}

/// `--platform`, if it is given.
///
/// # Errors
/// What is no platform.
pub fn platform_of(matches: &ArgMatches) -> Result<Option<Platform>, BoxedExplain> {
    matches.get_one::<String>("platform").map(|text| Platform::parse(text)).transpose().map_err(boxed)
}

pub(super) fn jobs_of(matches: &ArgMatches) -> Result<usize, BoxedExplain> {
    match matches.get_one::<String>("jobs").map(|text| text.parse::<usize>()) {
        None => Ok(JOBS),
        Some(Ok(jobs)) if (1..=32).contains(&jobs) => Ok(jobs),
        Some(_) => refuse("--jobs: it takes a number from 1 to 32", ""),
    }
}

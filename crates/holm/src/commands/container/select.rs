//! Which containers a command is about.

use std::collections::BTreeSet;

use clap::ArgMatches;
use engine::containers::{Home, Places, find, state};
use engine::view::filter::Filters;
use engine::view::summary;
use report::{BoxedExplain, Explain, Hint, Kind};

use super::boxed;
use crate::cli::run::{on, texts};

/// No container is named.
#[derive(Debug, thiserror::Error)]
#[error("no container is named")]
struct Nobody;

impl Explain for Nobody {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
    fn hint(&self) -> Option<Hint> {
        Some(Hint::new("give its name or id, or --latest; `holm ps --all` lists containers"))
    }
}

/// Containers, and what was named and is none: a command goes on with the others.
pub(super) struct Selected {
    /// Each with what it was called by; its id, if by no name.
    pub(super) homes: Vec<(Home, String)>,
    pub(super) missing: Vec<BoxedExplain>,
}

/// Those that are named, are the latest, or fulfil the filters; `all` is what `--all` means for the command.
///
/// # Errors
/// When nobody is meant.
pub(super) fn select(
    places: &Places,
    matches: &ArgMatches,
    all: fn(state::Status) -> bool,
) -> Result<Selected, BoxedExplain> {
    let mut selected = Selected { homes: Vec::new(), missing: Vec::new() };
    let names = texts(matches, "container");
    let filters = texts(matches, "filter");
    let wants_all = matches!(matches.try_contains_id("all"), Ok(true)) && on(matches, "all", "--all")?;
    let latest = on(matches, "latest", "--latest")?;
    if names.is_empty() && filters.is_empty() && !wants_all && !latest {
        return Err(boxed(Nobody));
    }
    let mut known = BTreeSet::new();
    for name in names {
        match find(places, &name) {
            Ok(home) if known.insert(home.id.clone()) => selected.homes.push((home, name)),
            Ok(_) => {}
            Err(error) => selected.missing.push(boxed(error)),
        }
    }
    if wants_all || latest || !filters.is_empty() {
        let filters = Filters::parse(&filters).map_err(boxed)?;
        let list = filters.pick(summary::list(places));
        let list = list.into_iter().filter(|one| !wants_all || all(one.status));
        let most = if latest { 1 } else { usize::MAX };
        let called = |home: Home| (home.clone(), home.id);
        selected.homes.extend(list.take(most).map(|one| called(one.home)));
    }
    Ok(selected)
}

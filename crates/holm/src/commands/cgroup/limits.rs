//! `holm cgroup set` and `get`.

use cgroups::words::{self, Wish, device_number};
use cgroups::{Cgroup, CgroupPath, Layout};
use clap::ArgMatches;
use serde_json::{Map, Value};

use super::Host;
use crate::commands::failure::Failure;
use crate::commands::table;

/// What the arguments ask for.
pub(super) fn wish(matches: &ArgMatches) -> Result<Wish, Failure> {
    let mut wish = Wish::default();
    for text in matches.get_many::<String>("limits").into_iter().flatten() {
        wish.add(text, &device_number)?;
    }
    Ok(wish)
}

pub(super) fn set(matches: &ArgMatches) -> Result<u8, Failure> {
    let path = super::path(matches)?;
    let wish = wish(matches)?;
    let host = Host::read(matches)?;
    let cgroup = Cgroup::find(&host.layout, &path)?;
    let limits = wish.limits(&host.layout, cgroup.memory_now()?).map_err(words::named)?;
    let before = cgroup.current().unwrap_or_default();
    match cgroup.set(&host.layout, &path, &limits) {
        Ok(notes) => {
            notes.iter().for_each(|note| eprintln!("holm: {}: {}", note.limit, note.why));
            Ok(0)
        }
        Err(cgroups::Error::Refused(refused)) => Err(words::named(refused).into()),
        Err(error) => {
            restore(&host.layout, &cgroup, &path, &before, matches);
            Err(error.into())
        }
    }
}

/// Puts back what was written before the kernel refused something. What had been there was accepted once.
fn restore(
    layout: &Layout,
    cgroup: &Cgroup,
    path: &CgroupPath,
    before: &[(String, String)],
    matches: &ArgMatches,
) {
    let asked: Vec<_> = matches.get_many::<String>("limits").into_iter().flatten().collect();
    let was_asked = |word: &str| asked.iter().any(|text| text.split('=').next() == Some(word));
    for (word, value) in before.iter().filter(|(word, _)| was_asked(word)) {
        let mut wish = Wish::default();
        if wish.add(&format!("{word}={value}"), &device_number).is_ok()
            && let Ok(now) = cgroup.memory_now()
            && let Ok(limits) = wish.limits(layout, now)
        {
            let _ = cgroup.set(layout, path, &limits);
        }
    }
}

pub(super) fn get(matches: &ArgMatches) -> Result<u8, Failure> {
    let (_host, _, cgroup) = super::named(matches)?;
    let wanted: Vec<_> = matches.get_many::<String>("word").into_iter().flatten().collect();
    let mut all = cgroup.current()?;
    for word in &wanted {
        if !all.iter().any(|(known, _)| known == *word) {
            let why = match words::WORDS.iter().find(|known| known.name == word.as_str()) {
                Some(_) => "this group has no such limit: no hierarchy that it is in holds one, or none is set",
                None => "this is not a limit; `holm cgroup --help` lists them",
            };
            return Err(cgroups::Refused::value(word.escape_debug().to_string(), why).into());
        }
    }
    all.retain(|(word, _)| wanted.is_empty() || wanted.contains(&word));
    let text = if matches.get_flag("json") {
        table::json(&to_json(&all))
    } else if let ([_], [(_, value)]) = (wanted.as_slice(), all.as_slice()) {
        // One value by itself is what a script wants.
        format!("{value}\n")
    } else {
        all.iter().map(|(word, value)| format!("{word}={value}\n")).collect()
    };
    engine::run::print(&text)?;
    Ok(0)
}

/// An object; a word that is there several times has a list.
fn to_json(all: &[(String, String)]) -> Value {
    let mut object = Map::new();
    for (word, value) in all {
        let value = Value::String(value.clone());
        match object.get_mut(word) {
            None => drop(object.insert(word.clone(), value)),
            Some(Value::Array(list)) => list.push(value),
            Some(single) => *single = Value::Array(vec![single.take(), value]),
        }
    }
    Value::Object(object)
}

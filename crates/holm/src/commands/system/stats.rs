//! `holm stats`.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::ArgMatches;
use engine::containers::stats::{Sample, cpu_percent, look};
use engine::containers::{Home, Places, one};
use engine::run::print;
use engine::view::summary;
use report::BoxedExplain;
use serde_json::Value;

use crate::cli::run::{on, refuse, texts};
use crate::commands::container::output;

const USUAL: &str =
    "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";
pub(super) const HEADINGS: [(&str, &str); 9] = [
    ("ID", "CONTAINER ID"),
    ("Name", "NAME"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
    ("PIDs", "PIDS"),
    ("CPUPressure", "CPU PRESSURE"),
];

/// Those that are named, or all that run.
fn wanted(places: &Places, names: &[String], all: bool) -> Result<Vec<(Home, String)>, BoxedExplain> {
    if !names.is_empty() {
        return names
            .iter()
            .map(|name| {
                let home = one(places, name)?;
                let name = home.definition().map_or_else(|_| name.clone(), |definition| definition.name);
                Ok((home, name))
            })
            .collect();
    }
    let list = summary::list(places).into_iter().filter(|one| all || one.status.is_alive());
    Ok(list.map(|one| (one.home, one.definition.name)).collect())
}

/// A look at each.
pub(super) fn samples(places: &Places, homes: &[(Home, String)]) -> BTreeMap<String, Sample> {
    let look = |(home, _): &(Home, String)| Some((home.id.clone(), look(places, home).ok()??));
    homes.iter().filter_map(look).collect()
}

pub(super) fn rows(
    homes: &[(Home, String)],
    before: &BTreeMap<String, Sample>,
    now: &BTreeMap<String, Sample>,
    whole: bool,
    all: bool,
) -> Vec<Value> {
    let nothing = Sample::default();
    let rows = homes.iter().filter_map(|(home, name)| {
        let sample = match now.get(&home.id) {
            Some(sample) => sample,
            None if all => &nothing,
            None => return None,
        };
        let cpu = before.get(&home.id).map_or(0.0, |before| cpu_percent(before, sample));
        Some(sample.row(home, name, cpu, whole))
    });
    rows.collect()
}

pub(super) fn run(places: &Places, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let names = texts(matches, "container");
    let all = on(matches, "all", "--all")?;
    let whole = on(matches, "no-trunc", "--no-trunc")?;
    let stream = !on(matches, "no-stream", "--no-stream")?;
    on(matches, "no-reset", "--no-reset")?;
    let interval = match matches.get_one::<String>("interval") {
        None => Duration::from_secs(1),
        Some(text) => match text.parse::<f64>() {
            Ok(seconds) if (0.05..=3600.0).contains(&seconds) => Duration::from_secs_f64(seconds),
            _ => {
                return refuse(
                    format!("--interval `{text}`: a number from 0.05 to 3600"),
                    "for example: --interval 2",
                );
            }
        },
    };
    let format = matches.get_one::<String>("format").map(String::as_str);
    let clears = stream && format.is_none() && std::io::IsTerminal::is_terminal(&std::io::stdout());
    let mut homes = wanted(places, &names, all)?;
    let mut before = samples(places, &homes);
    loop {
        // A share takes two looks; one that is looked at once is looked at twice in a moment.
        std::thread::sleep(if stream { interval } else { interval.min(Duration::from_millis(200)) });
        let now = samples(places, &homes);
        let rows = rows(&homes, &before, &now, whole, all || !names.is_empty());
        let text = output::rows(format, &rows, USUAL, &HEADINGS)?;
        print(&if clears { format!("\x1b[H\x1b[J{text}") } else { text })?;
        if !stream {
            return Ok(0);
        }
        before = now;
        if names.is_empty() {
            homes = wanted(places, &names, all)?;
        }
    }
}

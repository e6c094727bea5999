//! `holm top CONTAINER`: its processes; without one the view of all containers.

use clap::ArgMatches;
use engine::containers::processes::{COLUMNS, processes};
use engine::engine::Local;
use engine::run::print;
use report::BoxedExplain;

use crate::cli::run::{refuse, texts};
use crate::commands::table::{Align, table};

pub(super) fn run(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    if texts(matches, "container").is_empty() {
        return crate::commands::system::screen();
    }
    let home = engine::containers::one(&engine.places, &texts(matches, "container").concat())?;
    let mut wanted: Vec<String> = Vec::new();
    for word in texts(matches, "columns") {
        // `-o pid,comm`, as ps(1) takes it; its other flags choose among processes, of which these are all.
        if !word.starts_with('-') {
            wanted.extend(word.split(',').filter(|name| !name.is_empty()).map(str::to_ascii_lowercase));
        }
    }
    if wanted.is_empty() {
        wanted = ["user", "pid", "ppid", "pcpu", "stime", "tty", "time", "args"].map(str::to_owned).to_vec();
    }
    if let Some(unknown) = wanted.iter().find(|name| !COLUMNS.contains(&name.as_str())) {
        return refuse(
            format!("there is no column `{}`", unknown.escape_debug()),
            "the columns are pid, ppid, user, uid, pcpu, etime, stime, time, tty, state, rss, vsz, comm, args",
        );
    }
    let rows: Vec<Vec<String>> = processes(&engine.places, &home)?
        .iter()
        .map(|process| wanted.iter().map(|column| process.column(column)).collect())
        .collect();
    let headings: Vec<String> = wanted.iter().map(|name| heading(name)).collect();
    let columns: Vec<(&str, Align)> = headings.iter().map(|name| (name.as_str(), Align::Left)).collect();
    print(&table(&columns, &rows))?;
    Ok(0)
}

fn heading(column: &str) -> String {
    match column {
        "pcpu" => "%CPU".to_owned(),
        "args" => "COMMAND".to_owned(),
        "comm" => "COMMAND".to_owned(),
        "etime" => "ELAPSED".to_owned(),
        "state" => "S".to_owned(),
        other => other.to_ascii_uppercase(),
    }
}

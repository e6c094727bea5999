//! `holm ps`.

use clap::ArgMatches;
use engine::engine::{Engine as _, Local};
use engine::run::print;
use engine::view::filter::Filters;
use engine::view::summary::{self, HEADINGS, Summary};
use report::BoxedExplain;
use serde_json::Value;

use super::{boxed, output};
use crate::cli::run::{on, refuse, texts};

const USUAL: [&str; 8] = ["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names", "Size"];

pub(super) fn run(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let filters = Filters::parse(&texts(matches, "filter")).map_err(boxed)?;
    let latest = on(matches, "latest", "--latest")?;
    let last = match matches.get_one::<String>("last") {
        None => None,
        Some(text) => match text.parse::<usize>() {
            Ok(number) => Some(number),
            Err(_) => return refuse(format!("--last `{text}`: that is no number"), "for example: --last 5"),
        },
    };
    let most = if latest { Some(1) } else { last };
    let all = on(matches, "all", "--all")? || most.is_some() || filters.asks_for_state();
    let whole = on(matches, "no-trunc", "--no-trunc")?;
    let size = on(matches, "size", "--size")?;
    let list = engine.list(&filters);
    let list = list.into_iter().filter(|one| all || one.status.is_alive()).take(most.unwrap_or(usize::MAX));
    if on(matches, "quiet", "--quiet")? {
        let ids = list.map(|one| if whole { one.home.id } else { one.home.short().to_owned() });
        print(&ids.map(|id| id + "\n").collect::<String>())?;
        return Ok(0);
    }
    let now = monitor::time::now_ns();
    let format = matches.get_one::<String>("format").map(String::as_str);
    let usual = if size { &USUAL[..] } else { &USUAL[..USUAL.len() - 1] };
    if matches!(format, None | Some("table" | "")) {
        let get = |one: &Summary, field: &str| match field {
            "Size" => Some(Value::from(summary::size(one))),
            field => one.field(field, now, !whole),
        };
        print(&output::columns(usual, list, &HEADINGS, get))?;
        return Ok(0);
    }
    let rows: Vec<Value> = list
        .map(|one| {
            let mut row = one.row(now, !whole);
            if size {
                row["Size"] = Value::from(summary::size(&one));
            }
            row
        })
        .collect();
    print(&output::rows(format, &rows, "", &HEADINGS)?)?;
    Ok(0)
}

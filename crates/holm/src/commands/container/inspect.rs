//! `holm inspect` and `holm port`.

use clap::ArgMatches;
use engine::engine::{Engine as _, Local};
use engine::run::print;
use engine::view::ports::{self, Port};
use engine::view::template::Template;
use network::Expose;
use report::BoxedExplain;
use runtime::state::StateRoot;
use serde_json::Value;

use super::boxed;
use super::select::select;
use crate::cli::run::{on, optional, refuse, texts};

pub(super) fn run(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    if let Some(kind) = matches.get_one::<String>("type").filter(|kind| *kind != "container") {
        return refuse(
            format!("--type `{}`: only containers can be looked at so", kind.escape_debug()),
            "leave it out",
        );
    }
    on(matches, "size", "--size")?;
    let template = match matches.get_one::<String>("format").map(String::as_str) {
        None | Some("json" | "") => None,
        Some(text) => Some(Template::parse(text).map_err(boxed)?),
    };
    let selected = select(&engine.places, matches, |_| true)?;
    let mut failures = selected.missing;
    let mut documents: Vec<Value> = Vec::new();
    let mut lines = String::new();
    for (home, _) in &selected.homes {
        match engine.inspect(&home.id) {
            Ok(document) => match &template {
                Some(template) => lines += &(template.render(&document).map_err(boxed)? + "\n"),
                None => documents.push(document),
            },
            Err(error) => failures.push(error),
        }
    }
    match template {
        Some(_) => print(&lines)?,
        None => print(&format!("{:#}\n", Value::Array(documents)))?,
    }
    if failures.len() == 1 && selected.homes.is_empty() {
        return Err(failures.swap_remove(0));
    }
    for error in &failures {
        eprint!("{}", report::render(&**error));
    }
    Ok(u8::from(!failures.is_empty()))
}

pub(super) fn port(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let home = engine::containers::one(&engine.places, &texts(matches, "container").concat())?;
    let definition = home.definition().map_err(boxed)?;
    let records = StateRoot::open(&engine.places.records()).map_err(boxed)?;
    let state = engine::containers::state::of(&home, &records);
    let connected =
        ports::of(&home.id, &definition.request.network, &definition.request.places, state.status);
    let asked: Option<Expose> = optional(matches, "private", "port")?;
    let is_asked = |port: &&Port| {
        asked.as_ref().is_none_or(|asked| {
            asked.protocol == port.protocol && (asked.ports.first..=asked.ports.last).contains(&port.private)
        })
    };
    let published = connected.ports.iter().filter(is_asked).filter_map(|port| Some((port, port.public?)));
    let lines: Vec<String> = published
        .map(|(port, (address, number))| {
            let host = format!("{}:{number}\n", ports::host(address));
            match asked {
                Some(_) => host,
                None => format!("{}/{} -> {host}", port.private, port.protocol),
            }
        })
        .collect();
    if let (Some(asked), true) = (&asked, lines.is_empty()) {
        let advice = match state.status.is_alive() {
            true => "`holm port` without a port lists those that are published",
            false => "ports are published while the container runs: holm start",
        };
        return refuse(
            format!(
                "no port of the host leads to {}/{} of container `{}`",
                asked.ports, asked.protocol, definition.name
            ),
            advice,
        );
    }
    print(&lines.concat())?;
    Ok(0)
}

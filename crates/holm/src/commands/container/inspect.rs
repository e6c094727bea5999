//! `holm inspect` and `holm port`.

use clap::ArgMatches;
use engine::engine::{Engine as _, Local};
use engine::run::print;
use engine::view::template::Template;
use report::BoxedExplain;
use serde_json::Value;

use super::boxed;
use super::select::select;
use crate::cli::run::{on, refuse, texts};

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
    for home in &selected.homes {
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
    home.definition().map_err(boxed)?;
    let asked = texts(matches, "private").concat();
    if !asked.is_empty() {
        return refuse(
            format!("no port of the host leads to port {} of the container", asked.escape_debug()),
            "",
        );
    }
    Ok(0)
}

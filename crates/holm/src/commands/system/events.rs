//! `holm events`.

use std::time::{Duration, Instant};

use clap::ArgMatches;
use engine::containers::events::Event;
use engine::engine::{Engine as _, Local};
use engine::flags::duration::Moment;
use engine::run::print;
use engine::view::template::Template;
use report::BoxedExplain;

use super::boxed;
use crate::cli::run::{on, optional, refuse, texts};

pub(super) fn run(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let now = monitor::time::now_ns();
    let moment = |id, flag| -> Result<Option<u64>, BoxedExplain> {
        Ok(optional::<Moment>(matches, id, flag)?.map(|moment| moment.ns(now)))
    };
    let (since, until) = (moment("since", "--since")?, moment("until", "--until")?);
    let stream = !on(matches, "no-stream", "--no-stream")?;
    let template = match matches.get_one::<String>("format").map(String::as_str) {
        None => None,
        Some("json") => Some(Template::parse("{{json .}}").map_err(boxed)?),
        Some(text) => Some(Template::parse(text).map_err(boxed)?),
    };
    let mut filters = Vec::new();
    for text in texts(matches, "filter") {
        match text.split_once('=') {
            Some((key, value)) if KEYS.contains(&key) => filters.push((key.to_owned(), value.to_owned())),
            _ => {
                return refuse(
                    format!("--filter `{}`: there is no such filter", text.escape_debug()),
                    "expected KEY=VALUE with one of the keys container, event, image, label, network, type, volume",
                );
            }
        }
    }
    // A time to come ends the waiting; one that has passed only the reading.
    let end = until.map(|until| Instant::now() + Duration::from_nanos(until.saturating_sub(now)));
    let mut events = engine.events(since.is_some() || until.is_some_and(|until| until <= now) || !stream);
    loop {
        let event = match (stream, end) {
            (false, _) => events.next_event(),
            (true, end) => events.wait_event(end),
        };
        let Some(event) = event else { return Ok(0) };
        if until.is_some_and(|until| event.time_ns > until) {
            return Ok(0);
        }
        if since.is_some_and(|since| event.time_ns < since) || !fits(&event, &filters) {
            continue;
        }
        let line = match &template {
            Some(template) => template.render(&event.fields()).map_err(boxed)?,
            None => event.line(),
        };
        print(&format!("{line}\n"))?;
    }
}

const KEYS: [&str; 7] = ["container", "event", "image", "label", "network", "type", "volume"];

fn fits(event: &Event, filters: &[(String, String)]) -> bool {
    KEYS.iter().all(|key| {
        let mut values = filters.iter().filter(|(known, _)| known == key).map(|(_, value)| value).peekable();
        values.peek().is_none() || values.any(|value| one_fits(event, key, value))
    })
}

fn one_fits(event: &Event, key: &str, value: &str) -> bool {
    let attribute = |name: &str| event.attributes.get(name).and_then(|value| value.as_str());
    let is_called =
        |kind| event.kind == kind && (event.id.starts_with(value) || attribute("name") == Some(value));
    match key {
        "container" => is_called("container"),
        "network" => is_called("network"),
        "volume" => event.kind == "volume" && event.id == value,
        "event" => event.action == value,
        "image" => attribute("image") == Some(value),
        "type" => event.kind == value,
        _ => match value.split_once('=') {
            Some((name, wanted)) => attribute(name) == Some(wanted),
            None => attribute(value).is_some(),
        },
    }
}

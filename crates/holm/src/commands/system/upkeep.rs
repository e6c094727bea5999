//! `holm prune`, `holm system check`, `restore`, `prune` and `reset`.

use std::collections::BTreeMap;

use clap::ArgMatches;
use engine::containers::{Definition, Places, upkeep};
use engine::engine::Local;
use engine::flags::Value as _;
use engine::flags::duration::Moment;
use engine::run::print;
use engine::view::units::decimal;
use report::BoxedExplain;

use crate::cli::run::{on, refuse, texts};

pub(super) fn check(places: &Places, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let findings = upkeep::check(places, on(matches, "only-look", "--only-look")?)?;
    match matches.get_one::<String>("format").map(String::as_str) {
        Some("json") => print(&format!("{:#}\n", serde_json::to_value(&findings).unwrap_or_default()))?,
        Some(other) => {
            return refuse(format!("--format `{}`: only json", other.escape_debug()), "leave it out");
        }
        None if findings.is_empty() => print("everything is as it should be\n")?,
        None => {
            let lines = findings.iter().map(|finding| {
                let done = finding.done.as_ref().map_or_else(String::new, |done| format!(" ({done})"));
                format!("{}: {}{done}\n", finding.container, finding.problem)
            });
            print(&lines.collect::<String>())?;
        }
    }
    Ok(u8::from(findings.iter().any(|finding| finding.done.is_none())))
}

pub(super) fn restore(places: &Places) -> Result<u8, BoxedExplain> {
    let mut failed = false;
    for (name, outcome) in upkeep::restore(places)? {
        match outcome {
            Ok(()) => print(&format!("{name}\n"))?,
            Err(error) => {
                eprint!("{}", report::render(&*error));
                failed = true;
            }
        }
    }
    Ok(u8::from(failed))
}

/// A condition of `prune`.
pub(in crate::commands) enum Condition {
    /// Made before this time.
    Until(u64),
    /// Has this label, with this value if one is given; or has it not.
    Label { wanted: bool, key: String, value: Option<String> },
}

/// Those that were given.
pub(in crate::commands) fn conditions(matches: &ArgMatches) -> Result<Vec<Condition>, BoxedExplain> {
    let mut conditions = Vec::new();
    for text in texts(matches, "filter") {
        let bad = |problem: &str| {
            refuse(
                format!("--filter `{}`: {problem}", text.escape_debug()),
                "until=TIME, label=KEY[=VALUE] or label!=KEY[=VALUE]",
            )
        };
        let label = |wanted, rest: &str| {
            let (key, value) = match rest.split_once('=') {
                Some((key, value)) => (key, Some(value.to_owned())),
                None => (rest, None),
            };
            Condition::Label { wanted, key: key.to_owned(), value }
        };
        if let Some(rest) = text.strip_prefix("until=") {
            match Moment::parse(rest) {
                Ok(moment) => conditions.push(Condition::Until(moment.ns(monitor::time::now_ns()))),
                Err(problem) => return bad(&problem),
            }
        } else if let Some(rest) = text.strip_prefix("label=") {
            conditions.push(label(true, rest));
        } else if let Some(rest) = text.strip_prefix("label!=") {
            conditions.push(label(false, rest));
        } else {
            return bad("there is no such filter");
        }
    }
    Ok(conditions)
}

impl Condition {
    /// Whether something fulfils it that was made then and has these labels.
    pub(in crate::commands) fn fits(&self, created_ns: u64, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::Until(time) => created_ns < *time,
            Self::Label { wanted, key, value } => {
                let own = labels.get(key);
                own.is_some_and(|own| value.as_ref().is_none_or(|value| own == value)) == *wanted
            }
        }
    }
}

fn labels(definition: &Definition) -> BTreeMap<String, String> {
    let labels = definition.request.labels.iter();
    labels.map(|label| (label.key.clone(), label.value.clone())).collect()
}

pub(super) fn prune(places: &Places, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    on(matches, "force", "--force")?;
    let conditions = conditions(matches)?;
    let (removed, bytes) = upkeep::prune(places, |definition| {
        let labels = labels(definition);
        !conditions.iter().all(|condition| condition.fits(definition.created_ns, &labels))
    });
    let mut text: String = removed.iter().map(|id| format!("{id}\n")).collect();
    text += &format!("reclaimed {}\n", decimal(bytes));
    print(&text)?;
    if !matches!(matches.try_contains_id("volumes"), Ok(true)) || !on(matches, "volumes", "--volumes")? {
        return Ok(0);
    }
    let (text, failures) =
        crate::commands::volume::pruned(&Local { places: places.clone() }, false, &conditions)?;
    print(&text)?;
    for error in &failures {
        eprint!("{}", report::render(&**error));
    }
    Ok(u8::from(!failures.is_empty()))
}

pub(super) fn reset(places: &Places, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    if !on(matches, "force", "--force")? {
        return refuse(
            "reset kills and removes every container and every volume, with all that is in them, and nobody asks twice",
            "give --force if that is what you want; images and networks stay",
        );
    }
    let (containers, volumes) = upkeep::reset(places)?;
    print(&format!("removed {containers} containers and {volumes} volumes; images and networks stay\n"))?;
    Ok(0)
}

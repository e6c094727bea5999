//! `holm prune`, `holm system check`, `restore`, `prune` and `reset`.

use clap::ArgMatches;
use engine::containers::{Definition, Places, upkeep};
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
enum Condition {
    /// Made before this time.
    Until(u64),
    /// Has this label, with this value if one is given; or has it not.
    Label { wanted: bool, key: String, value: Option<String> },
}

fn conditions(matches: &ArgMatches) -> Result<Vec<Condition>, BoxedExplain> {
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

fn fits(definition: &Definition, condition: &Condition) -> bool {
    match condition {
        Condition::Until(time) => definition.created_ns < *time,
        Condition::Label { wanted, key, value } => {
            let has =
                definition.request.labels.iter().any(|label| {
                    label.key == *key && value.as_ref().is_none_or(|value| label.value == *value)
                });
            has == *wanted
        }
    }
}

pub(super) fn prune(places: &Places, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    on(matches, "force", "--force")?;
    let conditions = conditions(matches)?;
    let (removed, bytes) =
        upkeep::prune(places, |definition| !conditions.iter().all(|condition| fits(definition, condition)));
    let mut text: String = removed.iter().map(|id| format!("{id}\n")).collect();
    text += &format!("reclaimed {}\n", decimal(bytes));
    print(&text)?;
    Ok(0)
}

pub(super) fn reset(places: &Places, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    if !on(matches, "force", "--force")? {
        return refuse(
            "reset kills and removes every container, and nobody asks twice",
            "give --force if that is what you want",
        );
    }
    let count = upkeep::reset(places)?;
    print(&format!("removed {count} containers\n"))?;
    Ok(0)
}

//! `update`: other limits for a container that is there.
//!
//! Flags and file mean the same document, the `resources` section of a configuration, so both go the same way from there on: checked,
//! turned into limits, and written.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::Arguments;
use cgroups::Layout;
use report::{Explain, Kind};
use serde_json::{Map, Value};
use spec::Resources;

use super::container::Live;
use super::document;
use crate::cli::limits::{Amount, FLAGS, Flag};
use crate::context::Context;
use crate::failure::{Failure, Outcome};

/// A flag's value cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--{flag} {}: {why}", value.escape_debug())]
struct BadValue {
    flag: &'static str,
    value: String,
    why: String,
    kind: Kind,
}

impl Explain for BadValue {
    fn kind(&self) -> Kind {
        self.kind
    }
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    let resources = match arguments.get_one::<PathBuf>("resources") {
        Some(path) => spec::load_as(&document::read("read limits from", path)?)?,
        None => from_flags(|name| arguments.get_one::<String>(name).map(String::as_str))?,
    };
    let resources = spec::validate_resources(resources)?;
    for warning in resources.warnings() {
        context.log.warn(&warning.to_string());
    }
    let limits = runtime::plan::limits_of(&resources)?;
    let container = Live::find(context, arguments)?;
    for note in container.cgroup()?.update(&Layout::read()?, &limits)? {
        context.log.warn(&format!("{}: {}", note.limit, note.why));
    }
    Ok(ExitCode::SUCCESS)
}

/// The document that flags stand for.
fn from_flags<'a>(value_of: impl Fn(&str) -> Option<&'a str>) -> Result<Resources, Failure> {
    let mut document = Map::new();
    for flag in FLAGS {
        let Some(text) = value_of(flag.name).filter(|text| !text.is_empty()) else { continue };
        let (section, property) = flag.place;
        let section = document.entry(section).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(section) = section {
            section.insert(property.to_owned(), value(flag, text)?);
        }
    }
    // The document's own types say what fits into them.
    let bytes = serde_json::to_vec(&document).unwrap_or_default();
    Ok(spec::load_as(&bytes)?)
}

fn value(flag: &Flag, text: &str) -> Result<Value, BadValue> {
    let bad =
        |why: String| BadValue { flag: flag.name, value: text.to_owned(), why, kind: Kind::InvalidInput };
    match flag.amount {
        Amount::Text => Ok(Value::from(text)),
        Amount::Number => {
            let number: Result<i64, _> = text.parse();
            number.map(Value::from).map_err(|_| bad("this is no number".to_owned()))
        }
        Amount::Bytes if text == "-1" => Ok(Value::from(-1)),
        Amount::Bytes => {
            let bytes = cgroups::units::parse_bytes(text);
            bytes.map(Value::from).map_err(|error| bad(error.to_string()))
        }
        Amount::Refused(why) => Err(BadValue { kind: Kind::Unsupported, ..bad(why.to_owned()) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(line: &[(&str, &str)]) -> Result<Resources, String> {
        let value_of = |name: &str| line.iter().find(|(flag, _)| *flag == name).map(|(_, value)| *value);
        from_flags(value_of).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn flags_are_a_document() {
        let resources = resources(&[
            ("memory", "64m"),
            ("memory-swap", "-1"),
            ("cpu-quota", "-1"),
            ("cpu-share", "512"),
            ("cpuset-cpus", "0-1"),
            ("pids-limit", "10"),
            ("blkio-weight", "500"),
            ("cpu-idle", "1"),
            ("memory-reservation", ""),
        ])
        .unwrap();
        assert_eq!((resources.memory.limit, resources.memory.swap), (Some(64 << 20), Some(-1)));
        assert_eq!(
            (resources.cpu.quota, resources.cpu.shares, resources.cpu.idle),
            (Some(-1), Some(512), Some(1))
        );
        assert_eq!((resources.cpu.cpus.as_str(), resources.pids.limit), ("0-1", Some(10)));
        assert_eq!((resources.block_io.weight, resources.memory.reservation), (Some(500), None));
    }

    #[test]
    fn every_flag_has_its_place_in_the_document() {
        for flag in FLAGS.iter().filter(|flag| !matches!(flag.amount, Amount::Refused(_))) {
            let value = if flag.amount == Amount::Text { "0" } else { "1" };
            assert_ne!(resources(&[(flag.name, value)]).unwrap(), Resources::default(), "{}", flag.name);
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for (flag, value) in [
            ("memory", "much"),
            ("memory", "-2"),
            ("cpu-quota", "1.5"),
            ("cpu-share", "-1"),
            ("blkio-weight", "70000"),
            ("l3-cache-schema", "L3:0=f"),
        ] {
            assert!(resources(&[(flag, value)]).is_err(), "{flag} {value}");
        }
    }
}

//! Which containers a list shows: `--filter`.

use network::Expose;
use report::{Explain, Hint, Kind};

use super::summary::{Summary, labels, network};
use crate::flags::mount::Mount;

/// Conditions: values of one key are alternatives, keys all count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(Vec<(String, String)>);

/// A filter that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--filter `{}`: {problem}", given.escape_debug())]
pub struct BadFilter {
    given: String,
    problem: String,
}

impl Explain for BadFilter {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
    fn hint(&self) -> Option<Hint> {
        Some(Hint::new(format!("expected KEY=VALUE with one of the keys {}", KEYS.join(", "))))
    }
}

const KEYS: [&str; 14] = [
    "id", "name", "label", "status", "exited", "ancestor", "before", "since", "volume", "network", "health",
    "restart", "publish", "expose",
];

impl Filters {
    /// Reads `KEY=VALUE` for each.
    ///
    /// # Errors
    /// [`BadFilter`], for the first that is none.
    pub fn parse(texts: &[String]) -> Result<Self, BadFilter> {
        let read = |text: &String| {
            let bad = |problem: String| BadFilter { given: text.clone(), problem };
            let (key, value) = text.split_once('=').ok_or_else(|| bad("there is no `=`".to_owned()))?;
            let key = key.trim().to_ascii_lowercase();
            let value = value.trim().to_owned();
            if !KEYS.contains(&key.as_str()) {
                return Err(bad(format!("there is no filter `{}`", key.escape_debug())));
            }
            match key.as_str() {
                "exited" if value.parse::<i32>().is_err() => Err(bad("the status is no number".to_owned())),
                "publish" | "expose" if value.parse::<Expose>().is_err() => {
                    Err(bad("the port is none; 8080, 8080/udp and 8000-8080/tcp are".to_owned()))
                }
                "status" if !STATES.contains(&value.as_str()) => {
                    Err(bad(format!("a status is one of {}", STATES.join(", "))))
                }
                _ => Ok((key, value)),
            }
        };
        texts.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a state or an exit is asked for: a list then shows more than what runs.
    pub fn asks_for_state(&self) -> bool {
        self.0.iter().any(|(key, _)| matches!(key.as_str(), "status" | "exited" | "before" | "since"))
    }

    /// Those that fulfil the conditions.
    pub fn pick(&self, list: Vec<Summary>) -> Vec<Summary> {
        let age = |text: &str| {
            list.iter()
                .find(|one| one.definition.name == text || one.home.id.starts_with(text))
                .map(|one| one.definition.created_ns)
        };
        let ages: Vec<Option<u64>> = self.0.iter().map(|(_, value)| age(value)).collect();
        let fits = |one: &Summary| {
            let keys: std::collections::BTreeSet<&str> = self.0.iter().map(|(key, _)| key.as_str()).collect();
            keys.into_iter().all(|key| {
                let mut values = self.0.iter().zip(&ages).filter(|((known, _), _)| known == key);
                // Labels all count, as docker has it.
                if key == "label" {
                    values.all(|((_, value), age)| self::fits(one, key, value, *age))
                } else {
                    values.any(|((_, value), age)| self::fits(one, key, value, *age))
                }
            })
        };
        let keep: Vec<bool> = list.iter().map(fits).collect();
        list.into_iter().zip(keep).filter_map(|(one, keep)| keep.then_some(one)).collect()
    }
}

const STATES: [&str; 8] =
    ["created", "running", "paused", "restarting", "exited", "removing", "dead", "stopped"];

fn fits(one: &Summary, key: &str, value: &str, age: Option<u64>) -> bool {
    let definition = &one.definition;
    match key {
        "id" => one.home.id.starts_with(value),
        "name" => matches_name(&definition.name, value),
        "label" => {
            let labels = labels(&definition.request.labels);
            match value.split_once('=') {
                Some((name, wanted)) => labels.get(name).is_some_and(|is| is == wanted),
                None => labels.contains_key(value),
            }
        }
        "status" => one.status.name() == value || (value == "stopped" && one.status.name() == "exited"),
        "exited" => one.status == crate::containers::Status::Exited && value.parse() == Ok(one.exit_status()),
        "ancestor" => definition.image() == value,
        "before" => age.is_some_and(|age| definition.created_ns < age),
        "since" => age.is_some_and(|age| definition.created_ns > age),
        "volume" => definition.request.mounts.iter().any(|mount| match mount {
            Mount::Bind(bind) => {
                bind.source.as_os_str() == value || bind.destination.as_path().as_os_str() == value
            }
            Mount::Tmpfs(tmpfs) => tmpfs.destination.as_path().as_os_str() == value,
            Mount::Volume(volume) => {
                volume.name.as_ref().is_some_and(|name| name.as_str() == value)
                    || volume.destination.as_path().as_os_str() == value
            }
        }),
        "publish" | "expose" => {
            let Ok(wanted) = value.parse::<Expose>() else { return false };
            one.ports.iter().any(|port| {
                let number = match key {
                    "publish" => port.public.map(|(_, number)| number),
                    _ => Some(port.private),
                };
                let range = wanted.ports.first..=wanted.ports.last;
                port.protocol == wanted.protocol && number.is_some_and(|number| range.contains(&number))
            })
        }
        "network" => network(&definition.request.network).split(',').any(|name| name == value),
        "health" => {
            let state = one.health().map(|health| health.state.name());
            state.unwrap_or(if definition.health { "starting" } else { "none" }) == value
        }
        "restart" => definition.restart.name() == value,
        _ => false,
    }
}

/// A part of the name; `^` and `$` bind it to the ends.
fn matches_name(name: &str, wanted: &str) -> bool {
    let (wanted, at_start) = match wanted.strip_prefix('^') {
        Some(rest) => (rest, true),
        None => (wanted, false),
    };
    let wanted = wanted.strip_prefix('/').unwrap_or(wanted);
    let (wanted, at_end) = match wanted.strip_suffix('$') {
        Some(rest) => (rest, true),
        None => (wanted, false),
    };
    match (at_start, at_end) {
        (true, true) => name == wanted,
        (true, false) => name.starts_with(wanted),
        (false, true) => name.ends_with(wanted),
        (false, false) => name.contains(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bound_to_their_ends() {
        let cases =
            [("web", true), ("eb", true), ("^web$", true), ("^/web$", true), ("^eb", false), ("we$", false)];
        for (wanted, fits) in cases {
            assert_eq!(matches_name("web", wanted), fits, "{wanted}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let told =
            |text: &str| Filters::parse(&[text.to_owned()]).map_or_else(|e| e.to_string(), |_| "ok".into());
        assert_eq!(told("status=running"), "ok");
        assert_eq!(told("status"), "--filter `status`: there is no `=`");
        assert_eq!(told("colour=red"), "--filter `colour=red`: there is no filter `colour`");
        assert_eq!(told("exited=x"), "--filter `exited=x`: the status is no number");
        assert!(told("status=sleeping").contains("a status is one of"));
        assert_eq!(told("publish=8000-8080/udp"), "ok");
        assert!(told("expose=x").contains("the port is none"));
    }
}

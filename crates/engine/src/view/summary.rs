//! The rows of a list of containers.

use monitor::HealthState;
use runtime::state::StateRoot;
use serde_json::{Map, Value, json};

use super::ports::{self, Port};
use super::units::{self, duration};
use crate::containers::home::{Home, Places};
use crate::containers::{Definition, State, Status, all, state};
use crate::flags::mount::Mount;
use crate::flags::network::Network;

/// A container in a list.
#[derive(Debug)]
pub struct Summary {
    /// Where it is.
    pub home: Home,
    /// What it is.
    pub definition: Definition,
    /// What it does.
    pub state: State,
    /// Its ports.
    pub ports: Vec<Port>,
}

/// Every container, the youngest first. One whose definition cannot be read is left out: `holm system check` tells of it.
pub fn list(places: &Places) -> Vec<Summary> {
    let Ok(records) = StateRoot::open(&places.records()) else { return Vec::new() };
    let mut list: Vec<Summary> = all(places)
        .into_iter()
        .filter_map(|home| {
            let definition = home.definition().ok()?;
            let state = state::of(&home, &records);
            // Most containers have no ports, and nothing is asked about them.
            let flags = &definition.request.places;
            let ports = match flags.publish.is_empty() && flags.expose.is_empty() {
                true => Vec::new(),
                false => ports::of(&definition, &state).ports,
            };
            Some(Summary { home, definition, state, ports })
        })
        .collect();
    list.sort_by_key(|one| std::cmp::Reverse(one.definition.created_ns));
    list
}

impl Summary {
    /// The state in docker's words: `Up 3 minutes (healthy)`, `Exited (0) 2 hours ago`.
    pub fn status(&self, now_ns: u64) -> String {
        let since = |ns: u64| duration(now_ns.saturating_sub(ns) / 1_000_000_000);
        let started = self.state.run.as_ref().map_or(now_ns, |run| run.started_ns);
        let exit = self.state.exit.as_ref();
        match self.state.status {
            Status::Created => "Created".to_owned(),
            Status::Running => {
                let health = self.health_words();
                format!("Up {}{health}", since(started))
            }
            Status::Paused => format!("Up {} (Paused)", since(started)),
            Status::Restarting => {
                let exit = exit.map(|exit| (exit.status, exit.finished_ns)).unwrap_or_default();
                format!("Restarting ({}) {} ago", exit.0, since(exit.1))
            }
            Status::Exited => {
                let exit = exit.map(|exit| (exit.status, exit.finished_ns)).unwrap_or_default();
                format!("Exited ({}) {} ago", exit.0, since(exit.1))
            }
        }
    }

    fn health_words(&self) -> &'static str {
        if self.definition.health.is_none() {
            return "";
        }
        match self.state.health(&self.home).map(|health| health.state).unwrap_or_default() {
            HealthState::Starting => " (health: starting)",
            HealthState::Healthy => " (healthy)",
            HealthState::Unhealthy => " (unhealthy)",
        }
    }

    /// The fields of a row, as docker names them.
    pub fn row(&self, now_ns: u64, shortened: bool) -> Value {
        let definition = &self.definition;
        let command = definition.command();
        let command = match shortened {
            true => ellipsis(&command, 20),
            false => command,
        };
        let labels: Vec<String> =
            definition.request.labels.iter().map(|label| format!("{}={}", label.key, label.value)).collect();
        let created = monitor::time::rfc3339(definition.created_ns);
        let running_for = duration(now_ns.saturating_sub(definition.created_ns) / 1_000_000_000);
        json!({
            "ID": if shortened { self.home.short() } else { &self.home.id },
            "Image": definition.image(),
            "Command": format!("\"{}\"", printable(&command)),
            "CreatedAt": format!("{} {} +0000 UTC", &created[..10], &created[11..19]),
            "RunningFor": format!("{running_for} ago"),
            "Status": self.status(now_ns),
            "State": self.state.status.name(),
            "Ports": ports::shown(&self.ports),
            "Names": definition.name,
            "Labels": labels.join(","),
            "Mounts": mounts(definition).join(","),
            "Networks": network(definition),
            "LocalVolumes": definition.request.mounts.iter().filter(|mount| mount.volume().is_some()).count().to_string(),
            "Pid": self.state.pid,
            "ExitCode": self.state.exit_status(),
            "Size": "",
        })
    }
}

/// What stands behind a network's flag; several networks are parted by commas.
pub(crate) fn network(definition: &Definition) -> String {
    match &definition.request.network {
        Network::None | Network::Unsaid => "none".to_owned(),
        Network::Host => "host".to_owned(),
        Network::Pasta => "pasta".to_owned(),
        Network::Join(_) => "ns".to_owned(),
        Network::Container(name) => format!("container:{name}"),
        Network::On(places) => {
            places.iter().map(|place| place.network.as_str()).collect::<Vec<_>>().join(",")
        }
    }
}

fn mounts(definition: &Definition) -> Vec<String> {
    let sources = definition.request.mounts.iter().filter_map(|mount| match mount {
        Mount::Bind(bind) => Some(bind.source.display().to_string()),
        Mount::Volume(volume) => Some(volume.shown().to_owned()),
        Mount::Tmpfs(_) => None,
    });
    sources.collect()
}

/// How much the container has changed of its root, in bytes on the disk.
pub fn size(one: &Summary) -> String {
    let crate::request::Changes::Keep(directory) = &one.definition.request.rootfs.changes else {
        return units::decimal(0);
    };
    units::decimal(crate::containers::usage(&directory.join("upper")))
}

fn ellipsis(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// Without characters that would do something to a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The headings of a table, by field.
pub const HEADINGS: [(&str, &str); 12] = [
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("RunningFor", "CREATED"),
    ("Status", "STATUS"),
    ("State", "STATE"),
    ("Ports", "PORTS"),
    ("Names", "NAMES"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Networks", "NETWORKS"),
    ("ExitCode", "EXIT CODE"),
];

/// Labels as a map.
pub(crate) fn labels(definition: &Definition) -> Map<String, Value> {
    let labels = definition.request.labels.iter();
    labels.map(|label| (label.key.clone(), Value::from(label.value.clone()))).collect()
}

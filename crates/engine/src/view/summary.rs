//! The rows of a list of containers.

use monitor::{ExitRecord, HealthRecord, HealthState};
use runtime::glance::Glances;
use runtime::state::StateRoot;
use serde_json::{Map, Value};

use super::ports::{self, Port};
use super::units::{self, duration};
use crate::containers::definition::Brief;
use crate::containers::home::{DEFINITION, Home, Places};
use crate::containers::{Status, all, state};
use crate::flags::label::Label;
use crate::flags::mount::Mount;
use crate::flags::network::Network;

/// A container in a list.
#[derive(Debug)]
pub struct Summary {
    /// Where it is.
    pub home: Home,
    /// What it is.
    pub definition: Brief,
    /// What it does.
    pub status: Status,
    /// Its first process; 0 without one.
    pub pid: i32,
    /// When its current or last run began, in nanoseconds since 1970; 0 before the first.
    pub started_ns: u64,
    /// How the last run ended, of one that does not run.
    pub exit: Option<ExitRecord>,
    /// Its ports.
    pub ports: Vec<Port>,
}

/// Every container, the youngest first. One whose definition cannot be read is left out: `holm system check` tells of it.
pub fn list(places: &Places) -> Vec<Summary> {
    let Ok(records) = StateRoot::open(&places.records()) else { return Vec::new() };
    let homes = [true, false].map(|durable| monitor::exit::open_directory(&places.homes(durable)));
    let (mut glances, mut reader) = (Glances::new(&records), sys::whole::Reader::default());
    let mut look = |home: Home| {
        let dir = homes[usize::from(!home.durable)].as_ref().ok()?;
        let bytes = reader.read(dir, format!("{}/{DEFINITION}", home.id)).ok()?;
        let definition = Brief::from_bytes(bytes)?;
        // Of one that runs, which most do that are asked for, everything else is in its record and the kernel's.
        let (status, pid, started_ns, exit) = match glances.at(&home.id) {
            Some(seen) => {
                let status = if seen.frozen { Status::Paused } else { Status::Running };
                (status, seen.pid, seen.created_ns, None)
            }
            None => {
                let state = state::of(&home, &records);
                let started_ns = state.run.as_ref().map_or(0, |run| run.started_ns);
                let exit = state.exit.filter(|_| !state.status.is_alive());
                (state.status, state.pid, started_ns, exit)
            }
        };
        // Most containers have no ports, and nothing is asked about them.
        let flags = &definition.request.places;
        let ports = match flags.publish.is_empty() && flags.expose.is_empty() {
            true => Vec::new(),
            false => ports::of(&home.id, &definition.request.network, flags, status).ports,
        };
        Some(Summary { home, definition, status, pid, started_ns, exit, ports })
    };
    let mut list: Vec<Summary> = all(places).into_iter().filter_map(&mut look).collect();
    list.sort_by_cached_key(|one| std::cmp::Reverse(one.definition.created_ns));
    list
}

impl Summary {
    /// The state in docker's words: `Up 3 minutes (healthy)`, `Exited (0) 2 hours ago`.
    pub fn status(&self, now_ns: u64) -> String {
        let since = |ns: u64| duration(now_ns.saturating_sub(ns) / 1_000_000_000);
        let started = if self.started_ns == 0 { now_ns } else { self.started_ns };
        let exit = self.exit.as_ref();
        match self.status {
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

    /// Its health, if it is asked for it.
    pub(super) fn health(&self) -> Option<HealthRecord> {
        let run = self.definition.health.then(|| self.home.run())??.run;
        self.home.health().filter(|health| health.run == run)
    }

    /// The status of the last run, as a shell has it; 0 before the first, and while there is one.
    pub fn exit_status(&self) -> i32 {
        self.exit.as_ref().map_or(0, |exit| exit.status)
    }

    fn health_words(&self) -> &'static str {
        if !self.definition.health {
            return "";
        }
        match self.health().map(|health| health.state).unwrap_or_default() {
            HealthState::Starting => " (health: starting)",
            HealthState::Healthy => " (healthy)",
            HealthState::Unhealthy => " (unhealthy)",
        }
    }

    /// A field of a row, as docker names it; none that there is not.
    pub fn field(&self, name: &str, now_ns: u64, shortened: bool) -> Option<Value> {
        let definition = &self.definition;
        let request = &definition.request;
        let text = match name {
            "ID" => if shortened { self.home.short() } else { &self.home.id }.to_owned(),
            "Image" => definition.image(),
            "Command" => {
                let command = request.args.join(" ");
                let command = if shortened { ellipsis(&command, 20) } else { command };
                format!("\"{}\"", printable(&command))
            }
            "CreatedAt" => {
                let created = monitor::time::rfc3339(definition.created_ns);
                format!("{} {} +0000 UTC", &created[..10], &created[11..19])
            }
            "RunningFor" => {
                let seconds = now_ns.saturating_sub(definition.created_ns) / 1_000_000_000;
                format!("{} ago", duration(seconds))
            }
            "Status" => self.status(now_ns),
            "State" => self.status.name().to_owned(),
            "Ports" => ports::shown(&self.ports),
            "Names" => definition.name.clone(),
            "Labels" => {
                let labels = request.labels.iter().map(|label| format!("{}={}", label.key, label.value));
                labels.collect::<Vec<_>>().join(",")
            }
            "Mounts" => mounts(&request.mounts).join(","),
            "Networks" => network(&request.network),
            "LocalVolumes" => {
                request.mounts.iter().filter(|mount| mount.volume().is_some()).count().to_string()
            }
            "Size" => String::new(),
            "Pid" => return Some(self.pid.into()),
            "ExitCode" => return Some(self.exit_status().into()),
            _ => return None,
        };
        Some(Value::String(text))
    }

    /// All fields of a row.
    pub fn row(&self, now_ns: u64, shortened: bool) -> Value {
        let field = |name: &&str| Some(((*name).to_owned(), self.field(name, now_ns, shortened)?));
        FIELDS.iter().filter_map(field).collect::<Map<_, _>>().into()
    }
}

const FIELDS: [&str; 16] = [
    "ID",
    "Image",
    "Command",
    "CreatedAt",
    "RunningFor",
    "Status",
    "State",
    "Ports",
    "Names",
    "Labels",
    "Mounts",
    "Networks",
    "LocalVolumes",
    "Pid",
    "ExitCode",
    "Size",
];

/// What stands behind a network's flag; several networks are parted by commas.
pub(crate) fn network(network: &Network) -> String {
    match network {
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

fn mounts(mounts: &[Mount]) -> Vec<String> {
    let sources = mounts.iter().filter_map(|mount| match mount {
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
pub(crate) fn labels(labels: &[Label]) -> Map<String, Value> {
    labels.iter().map(|label| (label.key.clone(), Value::from(label.value.clone()))).collect()
}

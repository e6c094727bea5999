//! What happens to containers, volumes and networks, in a file that grows by a line for each event and is set aside when it is large.
//!
//! Lines that belong together are written with one call, so lines of processes at once do not mix. Whoever follows reads on as the file grows.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::home::{Home, Places};
use super::{Definition, names};
use crate::connection::Joined;
use crate::flags::mount::Mount;
use crate::flags::named::VolumeMount;

/// The file, and the one that was set aside.
const FILE: &str = "events";
const OLDER: &str = "events.1";
/// When it is set aside, in bytes.
const MOST: u64 = 1 << 20;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, in nanoseconds since 1970.
    pub time_ns: u64,
    /// To what: `container`, `volume` or `network`.
    pub kind: String,
    /// What: `create`, `start`, `die`, `mount`, …
    pub action: String,
    /// The id of a container or network, the name of a volume.
    pub id: String,
    /// A container's name, image and labels, and what belongs to the action.
    pub attributes: Map<String, Value>,
}

impl Event {
    fn now(kind: &str, action: &str, id: &str, attributes: Map<String, Value>) -> Self {
        let (kind, action, id) = (kind.to_owned(), action.to_owned(), id.to_owned());
        Self { time_ns: monitor::time::now_ns(), kind, action, id, attributes }
    }

    fn of_container(
        home: &Home,
        definition: Option<&Definition>,
        action: &str,
        more: &[(&str, Value)],
    ) -> Self {
        let mut attributes = Map::new();
        if let Some(definition) = definition {
            for label in &definition.request.labels {
                attributes.insert(label.key.clone(), Value::from(label.value.clone()));
            }
            attributes.insert("name".to_owned(), Value::from(definition.name.clone()));
            attributes.insert("image".to_owned(), Value::from(definition.image()));
        }
        attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        Self::now("container", action, &home.id, attributes)
    }

    /// Something that happened to a volume.
    fn of_volume(name: &str, action: &str, more: &[(&str, Value)]) -> Self {
        let mut attributes = Map::from_iter([("driver".to_owned(), Value::from("local"))]);
        attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        Self::now("volume", action, name, attributes)
    }

    /// Something that happened to a network, and to a container in it.
    fn of_network(network: &Joined, action: &str, container: Option<&str>) -> Self {
        let more = [("name", network.name.as_str()), ("type", network.driver.as_str())];
        let all = more.into_iter().chain(container.map(|id| ("container", id)));
        let attributes = all.map(|(key, value)| (key.to_owned(), Value::from(value))).collect();
        Self::now("network", action, &network.id, attributes)
    }

    /// The fields as docker names them.
    pub fn fields(&self) -> Value {
        serde_json::json!({
            "status": self.action,
            "id": self.id,
            "from": self.attributes.get("image").filter(|_| self.kind == "container"),
            "Type": self.kind,
            "Action": self.action,
            "Actor": { "ID": self.id, "Attributes": self.attributes },
            "scope": "local",
            "time": self.time_ns / 1_000_000_000,
            "timeNano": self.time_ns,
            "ID": self.id,
            "Time": self.time_ns / 1_000_000_000,
            "Attributes": self.attributes,
            "Name": self.attributes.get("name"),
        })
    }

    /// As docker prints it.
    pub fn line(&self) -> String {
        let attributes: Vec<String> = self
            .attributes
            .iter()
            .map(|(key, value)| {
                format!("{key}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            })
            .collect();
        let time = monitor::time::rfc3339(self.time_ns);
        format!("{time} {} {} {} ({})", self.kind, self.action, self.id, attributes.join(", "))
    }
}

/// Notes that something happened. What cannot be noted has happened all the same.
pub fn emit(
    places: &Places,
    home: &Home,
    definition: Option<&Definition>,
    action: &str,
    more: &[(&str, Value)],
) {
    write(places, &[Event::of_container(home, definition, action, more)]);
}

/// Notes that a container was started, with the networks that it joined and the volumes that it mounted before.
pub(crate) fn started(places: &Places, home: &Home, definition: &Definition, joined: &[Joined]) {
    let mut all: Vec<Event> =
        joined.iter().map(|network| Event::of_network(network, "connect", Some(&home.id))).collect();
    all.extend(mounted(definition).map(|(name, mount)| {
        let more = [
            ("container", Value::from(home.id.clone())),
            ("destination", mount.destination.as_path().to_string_lossy().into_owned().into()),
            ("propagation", "".into()),
            ("read/write", (!mount.options.read_only).to_string().into()),
        ];
        Event::of_volume(name, "mount", &more)
    }));
    all.push(Event::of_container(home, Some(definition), "start", &[]));
    write(places, &all);
}

/// Notes that a container has ended, with the networks that it leaves and the volumes that are unmounted.
pub(crate) fn died(
    places: &Places,
    home: &Home,
    definition: &Definition,
    more: &[(&str, Value)],
    joined: &[Joined],
) {
    let mut all = vec![Event::of_container(home, Some(definition), "die", more)];
    all.extend(joined.iter().map(|network| Event::of_network(network, "disconnect", Some(&home.id))));
    let own = [("container", Value::from(home.id.clone()))];
    all.extend(mounted(definition).map(|(name, _)| Event::of_volume(name, "unmount", &own)));
    write(places, &all);
}

/// The volumes of a container, by name.
fn mounted(definition: &Definition) -> impl Iterator<Item = (&str, &VolumeMount)> {
    let volumes = definition.request.mounts.iter().filter_map(Mount::volume);
    volumes.filter_map(|volume| Some((volume.name.as_ref()?.as_str(), volume)))
}

/// Notes that something happened to a volume.
pub(crate) fn volume(places: &Places, name: &str, action: &str) {
    write(places, &[Event::of_volume(name, action, &[])]);
}

/// Notes that something happened to a network, and to a container in it.
pub fn network(places: &Places, network: &Joined, action: &str, container: Option<&str>) {
    write(places, &[Event::of_network(network, action, container)]);
}

fn write(places: &Places, events: &[Event]) {
    let mut lines = Vec::new();
    for event in events {
        let before = lines.len();
        match serde_json::to_writer(&mut lines, event) {
            Ok(()) => lines.push(b'\n'),
            Err(_) => lines.truncate(before),
        }
    }
    let path = places.run.join(FILE);
    let open = || File::options().append(true).create(true).mode(0o600).open(&path);
    let Ok(mut file) = open() else { return };
    if file.metadata().is_ok_and(|data| data.len() > MOST) {
        // Only one of several does it.
        names::under_lock(places, || {
            if std::fs::metadata(&path).is_ok_and(|data| data.len() > MOST) {
                let _ = std::fs::rename(&path, places.run.join(OLDER));
            }
        });
        match open() {
            Ok(newer) => file = newer,
            Err(_) => return,
        }
    }
    let _ = file.write_all(&lines);
}

/// Events as they come.
#[derive(Debug)]
pub struct Events {
    path: PathBuf,
    older: Option<BufReader<File>>,
    current: Option<(BufReader<File>, u64)>,
    line: Vec<u8>,
}

/// Reads events from the oldest that is known on, or only those to come.
pub fn read(places: &Places, from_the_beginning: bool) -> Events {
    let path = places.run.join(FILE);
    let older =
        from_the_beginning.then(|| File::open(places.run.join(OLDER)).ok().map(BufReader::new)).flatten();
    let mut events = Events { path, older, current: None, line: Vec::new() };
    events.open();
    if !from_the_beginning && let Some((reader, _)) = &mut events.current {
        use std::io::Seek as _;
        let _ = reader.seek(std::io::SeekFrom::End(0));
    }
    events
}

impl Events {
    fn open(&mut self) -> bool {
        let Ok(file) = File::open(&self.path) else { return false };
        let Ok(data) = file.metadata() else { return false };
        if self.current.as_ref().is_some_and(|(_, inode)| *inode == data.ino()) {
            return false;
        }
        self.current = Some((BufReader::new(file), data.ino()));
        true
    }

    /// The next event that has happened already; none when there is none yet.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            let read = match (&mut self.older, &mut self.current) {
                (Some(older), _) => older.read_until(b'\n', &mut self.line),
                (None, Some((current, _))) => current.read_until(b'\n', &mut self.line),
                (None, None) => Ok(0),
            };
            match read {
                Ok(1..) if self.line.ends_with(b"\n") => {
                    let event = serde_json::from_slice(&self.line).ok();
                    self.line.clear();
                    if event.is_some() {
                        return event;
                    }
                }
                Ok(1..) => {}
                _ if self.older.is_some() => self.older = None,
                _ => {
                    if !self.open() {
                        return None;
                    }
                    self.line.clear();
                }
            }
        }
    }

    /// The next event, waited for until `until` at most.
    pub fn wait_event(&mut self, until: Option<Instant>) -> Option<Event> {
        loop {
            if let Some(event) = self.next_event() {
                return Some(event);
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

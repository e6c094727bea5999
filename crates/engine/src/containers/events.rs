//! What happens to containers, in a file that grows by a line for each event and is set aside when it is large.
//!
//! A line is written with one call, so lines of processes at once do not mix. Whoever follows reads on as the file grows.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::home::{Home, Places};
use super::{Definition, names};

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
    /// To what: `container`.
    pub kind: String,
    /// What: `create`, `start`, `die`, …
    pub action: String,
    /// The container's id.
    pub id: String,
    /// Its name, image, labels, and what belongs to the action.
    pub attributes: Map<String, Value>,
}

impl Event {
    /// The fields as docker names them.
    pub fn fields(&self) -> Value {
        serde_json::json!({
            "status": self.action,
            "id": self.id,
            "from": self.attributes.get("image"),
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
    let mut attributes = Map::new();
    if let Some(definition) = definition {
        for label in &definition.request.labels {
            attributes.insert(label.key.clone(), Value::from(label.value.clone()));
        }
        attributes.insert("name".to_owned(), Value::from(definition.name.clone()));
        attributes.insert("image".to_owned(), Value::from(definition.image()));
    }
    attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    let event = Event {
        time_ns: monitor::time::now_ns(),
        kind: "container".to_owned(),
        action: action.to_owned(),
        id: home.id.clone(),
        attributes,
    };
    let Ok(mut line) = serde_json::to_vec(&event) else { return };
    line.push(b'\n');
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
    let _ = file.write_all(&line);
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

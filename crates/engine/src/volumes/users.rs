//! Who uses a volume.

use std::collections::BTreeMap;
use std::io::Read as _;

use crate::containers::home::{DEFINITION, Places};
use crate::containers::{ContainerFailure, all};
use crate::flags::named::VolumeName;

/// The containers that have each volume, by name; `but` is the id of one that does not count. One whose definition is damaged uses
/// what stands in it.
pub fn users(places: &Places, but: Option<&str>) -> Users {
    let mut users = Users::default();
    for home in all(places) {
        if but == Some(home.id.as_str()) {
            continue;
        }
        match home.definition() {
            Ok(definition) => {
                for name in definition.request.mounts.iter().filter_map(|mount| mount.volume()?.name.as_ref())
                {
                    let list = users.known.entry(name.clone()).or_default();
                    if !list.contains(&definition.name) {
                        list.push(definition.name.clone());
                    }
                }
            }
            Err(ContainerFailure::NotFound(_)) => {}
            Err(_) => {
                let mut text = Vec::new();
                let file = std::fs::File::open(home.directory.join(DEFINITION));
                let _ = file.map(|file| file.take(16 << 20).read_to_end(&mut text));
                users.damaged.push((home.short().to_owned(), String::from_utf8_lossy(&text).into_owned()));
            }
        }
    }
    users
}

/// What [`users`] found.
#[derive(Debug, Default)]
pub struct Users {
    known: BTreeMap<VolumeName, Vec<String>>,
    damaged: Vec<(String, String)>,
}

impl Users {
    /// The containers that have this volume.
    pub fn of(&self, name: &VolumeName) -> Vec<String> {
        let damaged = self.damaged.iter().filter(|(_, text)| text.contains(&format!("\"{name}\"")));
        let known = self.known.get(name).into_iter().flatten().cloned();
        known.chain(damaged.map(|(id, _)| id.clone())).collect()
    }
}

//! What a list says of containers that run, in as few calls as that takes.
//!
//! [`Glances::at`] reads a record, asks the kernel whether its process lives and whether it stands still, and keeps nothing open. Who wants
//! to know more, or to act, uses [`Container`](crate::Container).

use std::borrow::Cow;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use sys::whole::Reader;

use crate::record::{Process, Record, freezer_file, says_frozen};
use crate::state::{StateRoot, record_name};

/// Looks at the containers of one directory of records.
#[derive(Debug)]
pub struct Glances {
    root: StateRoot,
    reader: Reader,
    /// Where hierarchies are mounted: names below a descriptor are found faster than whole paths.
    mounts: Vec<(PathBuf, OwnedFd)>,
}

/// A container whose first process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glance {
    /// That process.
    pub pid: i32,
    /// Whether its processes stand still.
    pub frozen: bool,
    /// When it was made, in nanoseconds since 1970.
    pub created_ns: u64,
}

/// What is of interest in a record's first line.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Known<'a> {
    #[serde(borrow)]
    cgroups: Freezer<'a>,
    created_ns: u64,
}

/// The group of a record that freezes: v1's freezer, or the one of v2. The others are passed over.
struct Freezer<'a>(Option<Group<'a>>);

#[derive(Deserialize)]
struct Group<'a> {
    v2: bool,
    #[serde(borrow)]
    controllers: Cow<'a, str>,
    #[serde(borrow)]
    mount: Cow<'a, str>,
    #[serde(borrow)]
    path: Cow<'a, str>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Freezer<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Groups;
        impl<'de> Visitor<'de> for Groups {
            type Value = Freezer<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("groups")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Freezer<'de>, A::Error> {
                let mut found: Option<Group<'_>> = None;
                while let Some(group) = list.next_element::<Group<'_>>()? {
                    let is_better = |found: &Group<'_>| found.v2 && group.freezes();
                    if found.as_ref().map_or(group.v2 || group.freezes(), is_better) {
                        found = Some(group);
                    }
                }
                Ok(Freezer(found))
            }
        }
        from.deserialize_seq(Groups)
    }
}

impl Group<'_> {
    fn freezes(&self) -> bool {
        self.controllers.split([' ', ',']).any(|name| name == "freezer")
    }

    fn file(&self) -> PathBuf {
        Path::new(self.path.trim_start_matches('/')).join(freezer_file(self.v2))
    }
}

impl Glances {
    /// Of the containers whose records are in `root`.
    pub fn new(root: &StateRoot) -> Self {
        Self { root: root.again(), reader: Reader::default(), mounts: Vec::new() }
    }

    /// The container of this id; none when it has no process that lives, or no record.
    pub fn at(&mut self, id: &str) -> Option<Glance> {
        let text = self.reader.read(&self.root.dir, record_name(id)).ok()?;
        let (intent, events) = text.split_at(memchr::memchr(b'\n', text)? + 1);
        let process = Record::events(events).started.filter(|process| Process::open(*process).is_some())?;
        let known: Known<'_> = serde_json::from_slice(intent).ok()?;
        let created_ns = known.created_ns;
        let freezer = known.cgroups.0.map(|group| (PathBuf::from(&*group.mount), group.file()));
        let frozen = freezer.is_some_and(|(mount, file)| self.is_frozen(mount, &file));
        Some(Glance { pid: process.pid, frozen, created_ns })
    }

    /// Unreadable means that they do not stand still.
    fn is_frozen(&mut self, mount: PathBuf, path: &Path) -> bool {
        let known = self.mounts.iter().position(|(known, _)| *known == mount);
        let at = match known {
            Some(at) => at,
            None => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let Ok(dir) = openat(CWD, &mount, flags, Mode::empty()) else { return false };
                self.mounts.push((mount, dir));
                self.mounts.len() - 1
            }
        };
        self.reader.read(&self.mounts[at].1, path).is_ok_and(says_frozen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_that_freezes_is_found_among_others() {
        let found = |groups: &str| {
            let text = format!("{{\"id\":\"x\",\"cgroups\":[{groups}],\"createdNs\":7,\"hooks\":{{}}}}");
            let known: Known<'_> = serde_json::from_str(&text).unwrap();
            assert_eq!(known.created_ns, 7);
            known.cgroups.0.map(|group| format!("{}/{}", group.mount, group.file().display()))
        };
        let v2 = r#"{"v2":true,"controllers":"hugetlb","mount":"/u","path":"a"}"#;
        let freezer = r#"{"v2":false,"controllers":"freezer","mount":"/f","path":"/b\"c"}"#;
        let other = r#"{"v2":false,"controllers":"cpu,cpuacct","mount":"/c","path":"d"}"#;
        assert_eq!(found(""), None);
        assert_eq!(found(other), None);
        assert_eq!(found(&[other, v2].join(",")).as_deref(), Some("/u/a/cgroup.freeze"));
        for groups in [[v2, other, freezer], [freezer, v2, other], [v2, freezer, v2]] {
            assert_eq!(found(&groups.join(",")).as_deref(), Some("/f/b\"c/freezer.state"));
        }
    }
}

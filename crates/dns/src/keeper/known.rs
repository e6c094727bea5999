//! What the directory and the host's resolv.conf say, kept up to date by inotify(7).

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Read as _;
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{FlockOperation, flock};
use sys::SyscallError;

use super::bound::Bound;
use super::words;
use crate::Error;
use crate::records::{SERVED, ZONE_FILE, entries, failed, is_file_name};
use crate::resolvers;
use crate::start::FAILED;
use crate::table::Table;

/// The most that is read of a file of the directory.
const LONGEST_FILE: u64 = 256 * 1024;
/// What can happen to a file: it gets its name, or loses it.
const FILES: WatchFlags = WatchFlags::CLOSE_WRITE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::ONLYDIR);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Watched {
    Root,
    Network(String),
    Resolvers,
}

/// One network's directory.
#[derive(Debug, Default)]
struct Place {
    zone: String,
    entries: BTreeMap<String, String>,
    bound: Option<Bound>,
    /// What the sockets were made for.
    bound_to: String,
    failure: Option<String>,
}

impl Place {
    fn is_live(&self) -> bool {
        !self.zone.is_empty() && !self.entries.is_empty()
    }
}

pub(super) struct Known {
    directory: PathBuf,
    inotify: OwnedFd,
    watches: HashMap<i32, Watched>,
    networks: BTreeMap<String, Place>,
    resolvers: Vec<IpAddr>,
}

/// The part of a zone that its sockets follow from.
fn binding(zone: &str) -> String {
    let network = zone.lines().find(|line| line.starts_with("network ")).unwrap_or_default();
    let device = network.split(' ').take(3).collect::<Vec<_>>().join(" ");
    let gateways = zone.lines().find(|line| line.starts_with("gateways ")).unwrap_or_default();
    format!("{device}\n{gateways}")
}

/// Whether there is no container in a directory.
pub(super) fn is_deserted(directory: &Path) -> bool {
    entries(directory).iter().all(|network| {
        let place = directory.join(network);
        entries(&place).is_empty() || fs::metadata(place.join(ZONE_FILE)).is_err()
    })
}

fn content(path: &Path, most: u64) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(most).read_to_string(&mut text).ok()?;
    Some(text)
}

impl Known {
    pub(super) fn read(directory: &Path) -> Result<Self, Error> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .map_err(|errno| Error::Start(SyscallError::new("inotify_init1", "", errno)))?;
        let mut known = Self {
            directory: directory.to_owned(),
            inotify,
            watches: HashMap::new(),
            networks: BTreeMap::new(),
            resolvers: Vec::new(),
        };
        let root = inotify::add_watch(&known.inotify, directory, FILES)
            .map_err(|errno| failed("watch", "inotify_add_watch", directory)(errno.into()))?;
        known.watches.insert(root, Watched::Root);
        known.look_at_resolvers();
        known.look_at_everything();
        Ok(known)
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether no container is on any network.
    pub(super) fn is_empty(&self) -> bool {
        !self.networks.values().any(Place::is_live)
    }

    /// Reads all networks anew.
    fn look_at_everything(&mut self) {
        let found = entries(&self.directory);
        let gone: Vec<String> = self.networks.keys().filter(|name| !found.contains(name)).cloned().collect();
        for name in gone {
            self.lose(&name);
        }
        for name in found {
            self.look_at(&name);
        }
    }

    /// Reads all of a network. The watch comes first, so that nothing happens between the two unseen.
    fn look_at(&mut self, name: &str) {
        let path = self.directory.join(name);
        let Ok(watch) = inotify::add_watch(&self.inotify, &path, FILES) else { return self.lose(name) };
        self.watches.insert(watch, Watched::Network(name.to_owned()));
        let files = entries(&path);
        let place = self.networks.entry(name.to_owned()).or_default();
        place.zone = content(&path.join(ZONE_FILE), LONGEST_FILE).unwrap_or_default();
        place.entries = files
            .into_iter()
            .filter_map(|file| content(&path.join(&file), LONGEST_FILE).map(|text| (file, text)))
            .collect();
    }

    fn lose(&mut self, name: &str) {
        if let Some(place) = self.networks.get_mut(name) {
            place.zone.clear();
            place.entries.clear();
        }
    }

    fn look_at_file(&mut self, network: &str, file: &str) {
        let path = self.directory.join(network).join(file);
        // It may have been looked at when its directory was there and nothing in it: then it is nowhere yet.
        let place = self.networks.entry(network.to_owned()).or_default();
        let text = content(&path, LONGEST_FILE);
        match (file, text) {
            (ZONE_FILE, text) => place.zone = text.unwrap_or_default(),
            (file, Some(text)) if is_file_name(file) => drop(place.entries.insert(file.to_owned(), text)),
            (file, _) => drop(place.entries.remove(file)),
        }
    }

    /// Reads the host's resolvers, and watches the directory of the file and of what it is a link to.
    fn look_at_resolvers(&mut self) {
        let file = Path::new(resolvers::FILE);
        for path in [Some(file.to_owned()), file.canonicalize().ok()].into_iter().flatten() {
            // Without a watch the resolvers stay what they are now.
            if let Some(Ok(watch)) =
                path.parent().map(|place| inotify::add_watch(&self.inotify, place, FILES))
            {
                self.watches.entry(watch).or_insert(Watched::Resolvers);
            }
        }
        let text = content(file, resolvers::LONGEST).unwrap_or_default();
        self.resolvers = resolvers::parse(&text);
    }

    /// Takes in what has happened since.
    pub(super) fn changes(&mut self) {
        let mut room = [MaybeUninit::uninit(); 8192];
        let mut happened = Vec::new();
        let mut reader = inotify::Reader::new(&self.inotify, &mut room);
        while let Ok(event) = reader.next() {
            let name = event.file_name().and_then(|name| name.to_str().ok()).unwrap_or_default().to_owned();
            happened.push((event.wd(), event.events(), name));
        }
        let mut everything = false;
        let mut resolvers = false;
        for (watch, what, name) in happened {
            if what.contains(ReadFlags::QUEUE_OVERFLOW) {
                everything = true;
                continue;
            }
            let Some(watched) = self.watches.get(&watch).cloned() else { continue };
            match watched {
                Watched::Network(network) if what.contains(ReadFlags::IGNORED) => {
                    self.watches.remove(&watch);
                    // It is gone, unless another of that name is there already.
                    self.look_at(&network);
                }
                Watched::Root if is_file_name(&name) => self.look_at(&name),
                Watched::Network(network) if name == ZONE_FILE || is_file_name(&name) => {
                    self.look_at_file(&network, &name);
                }
                Watched::Resolvers => resolvers |= name == "resolv.conf" || name == self.resolver_file(),
                Watched::Root | Watched::Network(_) => {}
            }
        }
        if everything {
            self.look_at_everything();
        }
        if resolvers || everything {
            self.look_at_resolvers();
        }
    }

    fn resolver_file(&self) -> String {
        let path = Path::new(resolvers::FILE).canonicalize().unwrap_or_default();
        path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Forgets failures, so that what failed is tried again.
    pub(super) fn try_again(&mut self) {
        self.networks.values_mut().for_each(|place| place.failure = None);
    }

    /// Closes the sockets of networks that nobody is on, or that are elsewhere now: their names.
    pub(super) fn close(&mut self) -> Vec<String> {
        let mut closed = Vec::new();
        for (name, place) in &mut self.networks {
            let stale = !place.is_live() || place.bound_to != binding(&place.zone);
            if stale && place.bound.take().is_some() {
                closed.push(name.clone());
            }
        }
        self.networks.retain(|_, place| !place.zone.is_empty() || !place.entries.is_empty());
        closed
    }

    /// Binds the ports of networks that somebody is on: what was bound.
    pub(super) fn open(&mut self) -> Vec<&Bound> {
        let mut opened = Vec::new();
        for (name, place) in &mut self.networks {
            let wanted = binding(&place.zone);
            let tried = place.failure.is_some() && place.bound_to == wanted;
            if !place.is_live() || place.bound.is_some() || tried {
                continue;
            }
            place.bound_to = wanted;
            match Table::read(&place.zone).networks().first().map(Bound::new) {
                Some(Ok(bound)) if bound.network == *name => {
                    place.bound = Some(bound);
                    place.failure = None;
                    opened.push(name.clone());
                }
                Some(Err(error)) => place.failure = Some(words(&error)),
                _ => place.failure = Some(format!("{FAILED}the zone of network `{name}` cannot be read")),
            }
        }
        opened.iter().filter_map(|name| self.networks.get(name)?.bound.as_ref()).collect()
    }

    /// All sockets that there are.
    pub(super) fn bound(&self) -> Vec<&Bound> {
        self.networks.values().filter_map(|place| place.bound.as_ref()).collect()
    }

    /// Shows, by a lock, that the networks are served.
    pub(super) fn lock_bound(&mut self) {
        for (name, place) in &mut self.networks {
            let Some(bound) = place.bound.as_mut().filter(|bound| bound.lock.is_none()) else { continue };
            let path = self.directory.join(name).join(SERVED);
            let file = File::options().create(true).truncate(false).write(true).open(path);
            // Without the lock others ask each time; they are answered all the same.
            bound.lock = file.ok().filter(|file| flock(file, FlockOperation::LockExclusive).is_ok());
        }
    }

    pub(super) fn close_all(&mut self) {
        self.networks.values_mut().for_each(|place| place.bound = None);
    }

    /// Why a network is not served.
    pub(super) fn failure(&self, network: &str) -> Option<String> {
        match self.networks.get(network) {
            Some(place) if place.bound.is_some() => None,
            Some(Place { failure: Some(failure), .. }) => Some(failure.clone()),
            _ => Some(format!("{FAILED}there is no container on network `{network}`")),
        }
    }

    /// The table.
    pub(super) fn text(&self) -> String {
        let resolvers: Vec<String> = self.resolvers.iter().map(IpAddr::to_string).collect();
        let mut text = format!("resolvers {}\n", resolvers.join(" "));
        for place in self.networks.values().filter(|place| place.bound.is_some()) {
            text.push_str(&place.zone);
            for entry in place.entries.values() {
                // Each file is its own container's; a word that begins a network in it would reach into others.
                text.extend(
                    entry.lines().filter(|line| !line.starts_with("network")).flat_map(|line| [line, "\n"]),
                );
            }
        }
        text
    }
}

impl AsFd for Known {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Entry, Zone};

    #[test]
    fn a_network_that_was_seen_when_it_was_empty_is_served_when_somebody_is_on_it() {
        let directory = std::env::temp_dir().join(format!("holm-dns-known-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let mut known = Known::read(&directory).unwrap();
        // As the one who announces the first container of a network does it, disturbed after its first step.
        fs::create_dir(directory.join("shop")).unwrap();
        known.changes();
        assert!(known.close().is_empty());
        let zone = Zone {
            network: "shop".into(),
            device: "holm1".into(),
            gateways: Vec::new(),
            subnets: Vec::new(),
            internal: false,
            resolvers: Vec::new(),
        };
        let entry = Entry {
            container: "c1".into(),
            names: vec!["web".into()],
            addresses: Vec::new(),
            resolvers: Vec::new(),
        };
        crate::announce(&directory, &zone, &entry).unwrap();
        known.changes();
        let live = known.networks["shop"].is_live();
        // What is forgotten leaves nothing.
        crate::forget(&directory, "shop").unwrap();
        known.changes();
        known.close();
        let left = known.networks.len();
        let _ = fs::remove_dir_all(&directory);
        assert!(live && known.is_empty());
        assert_eq!(left, 0);
    }
}

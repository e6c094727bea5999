//! The directory that says who is called what: one directory a network, one file a container.
//!
//! An attachment costs one small file, however many there are; each file is complete before it has its name, so that
//! nobody reads half of one, and a killed writer leaves a file whose name begins with a dot, which nobody reads.

use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sys::SyscallError;

use crate::Error;
use crate::name::is_name;

/// The file with what holds for the network as a whole.
pub(crate) const ZONE_FILE: &str = "@zone";
/// Locked by the keeper while it serves the network.
pub(crate) const SERVED: &str = ".served";

/// A network, as its names need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its name.
    pub network: String,
    /// The bridge; queries from elsewhere are not seen.
    pub device: String,
    /// The host's addresses on the network, where the server listens.
    pub gateways: Vec<IpAddr>,
    /// The network's subnets, which the reverse zones are made of.
    pub subnets: Vec<(IpAddr, u8)>,
    /// Whether it has no way out, names included.
    pub internal: bool,
    /// Whom to ask for foreign names; the host's resolvers where empty.
    pub resolvers: Vec<IpAddr>,
}

/// A container on a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub container: String,
    /// Its names; the first one is what its addresses are called. What cannot be asked for is left out.
    pub names: Vec<String>,
    /// Its addresses on this network.
    pub addresses: Vec<IpAddr>,
    /// Whom to ask for this container's foreign names (`--dns`); the network's resolvers where empty.
    pub resolvers: Vec<IpAddr>,
}

fn joined<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(" ")
}

impl Zone {
    fn text(&self) -> String {
        let sort = if self.internal { "internal" } else { "open" };
        let subnets = self.subnets.iter().map(|(address, length)| format!("{address}/{length}"));
        format!(
            "network {} {} {sort}\ngateways {}\nsubnets {}\nforward {}\n",
            self.network,
            self.device,
            joined(&self.gateways),
            joined(subnets),
            joined(&self.resolvers)
        )
    }
}

impl Entry {
    fn text(&self) -> String {
        let names = self.names.iter().filter(|name| is_name(name));
        let mut text = format!(
            "entry {}\nnames {}\naddresses {}\n",
            self.container,
            joined(names),
            joined(&self.addresses)
        );
        if !self.resolvers.is_empty() {
            let _ = writeln!(text, "forward {}", joined(&self.resolvers));
        }
        text
    }
}

/// Whether a name is one file in a directory, and one word in a line.
pub(crate) fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && !name.starts_with(['.', '@'])
        && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
}

fn checked(what: &'static str, name: &str) -> Result<(), Error> {
    if is_file_name(name) { Ok(()) } else { Err(Error::Name { what, name: name.to_owned() }) }
}

pub(crate) fn checked_network(name: &str) -> Result<(), Error> {
    checked("network", name)
}

pub(crate) fn failed(
    action: &'static str,
    call: &'static str,
    path: &Path,
) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.display().to_string();
    move |error| Error::File { action, cause: SyscallError::new(call, path.clone(), error), path }
}

/// Publishes the names of a container that is on a network now; what was published before is replaced.
///
/// # Errors
/// [`Error::Name`], [`Error::File`]
pub fn announce(directory: &Path, zone: &Zone, entry: &Entry) -> Result<(), Error> {
    checked("network", &zone.network)?;
    checked("container", &entry.container)?;
    let place = directory.join(&zone.network);
    let text = zone.text();
    let file = place.join(ZONE_FILE);
    if fs::read(&file).map_or(true, |known| known != text.as_bytes()) {
        make_directory(&place)?;
        replace(&place, &file, &text)?;
    }
    replace(&place, &place.join(&entry.container), &entry.text())
}

/// Takes the names of a container back; nothing happens where there are none.
///
/// # Errors
/// [`Error::Name`], [`Error::File`]
pub fn withdraw(directory: &Path, network: &str, container: &str) -> Result<(), Error> {
    checked("network", network)?;
    checked("container", container)?;
    let path = directory.join(network).join(container);
    match fs::remove_file(&path) {
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(failed("remove", "unlink", &path)(error))
        }
        _ => Ok(()),
    }
}

/// Takes everything about a network back; nothing happens where there is nothing.
///
/// # Errors
/// [`Error::Name`], [`Error::File`]
pub fn forget(directory: &Path, network: &str) -> Result<(), Error> {
    checked("network", network)?;
    let path = directory.join(network);
    match fs::remove_dir_all(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", "rmdir", &path)(error)),
        _ => Ok(()),
    }
}

/// What is published: each network with each of its containers.
pub fn published(directory: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for network in entries(directory) {
        let containers = entries(&directory.join(&network));
        found.extend(containers.into_iter().map(|container| (network.clone(), container)));
    }
    found
}

/// The names in a directory that are somebody's, not the server's.
pub(crate) fn entries(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| is_file_name(name))
        .collect()
}

pub(crate) fn make_directory(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("make", "mkdir", path))
}

/// Writes a file under another name and gives it its own then.
fn replace(place: &Path, file: &Path, text: &str) -> Result<(), Error> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let temporary: PathBuf = place.join(format!(".{}-{count}", std::process::id()));
    fs::write(&temporary, text).map_err(failed("write", "write", &temporary))?;
    fs::rename(&temporary, file).map_err(|error| {
        let _ = fs::remove_file(&temporary);
        failed("write", "rename", file)(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Table;

    fn zone() -> Zone {
        Zone {
            network: "shop".into(),
            device: "holm1".into(),
            gateways: vec!["10.89.0.1".parse().unwrap()],
            subnets: vec![("10.89.0.0".parse().unwrap(), 24)],
            internal: false,
            resolvers: vec!["192.0.2.1".parse().unwrap()],
        }
    }

    fn entry(container: &str, name: &str, address: &str) -> Entry {
        Entry {
            container: container.into(),
            names: vec![name.into(), "not a name".into(), "Both".into()],
            addresses: vec![address.parse().unwrap()],
            resolvers: Vec::new(),
        }
    }

    #[test]
    fn what_is_written_reads_as_the_same() {
        let text = format!("{}{}", zone().text(), entry("c1", "web", "10.89.0.2").text());
        let table = Table::read(&text);
        let network = &table.networks()[0];
        assert_eq!(
            (network.name.as_str(), network.device.as_str(), network.internal),
            ("shop", "holm1", false)
        );
        assert_eq!(network.gateways, zone().gateways);
        assert_eq!(network.resolvers, zone().resolvers);
        assert_eq!(network.addresses("web"), network.addresses("both"));
        assert_eq!(network.addresses("web").len(), 1);
    }

    #[test]
    fn files_are_replaced_and_taken_back() {
        let place = std::env::temp_dir().join(format!("holm-dns-records-{}", std::process::id()));
        announce(&place, &zone(), &entry("c1", "web", "10.89.0.2")).unwrap();
        announce(&place, &zone(), &entry("c1", "www", "10.89.0.3")).unwrap();
        announce(&place, &Zone { internal: true, ..zone() }, &entry("c2", "db", "10.89.0.4")).unwrap();
        let mut names: Vec<_> =
            fs::read_dir(place.join("shop")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["@zone", "c1", "c2"]);
        assert!(fs::read_to_string(place.join("shop/c1")).unwrap().contains("names www Both"));
        assert!(fs::read_to_string(place.join("shop/@zone")).unwrap().contains("internal"));
        withdraw(&place, "shop", "c1").unwrap();
        withdraw(&place, "shop", "c1").unwrap();
        withdraw(&place, "none", "c1").unwrap();
        forget(&place, "shop").unwrap();
        forget(&place, "shop").unwrap();
        fs::remove_dir(&place).unwrap();
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        let place = Path::new("/nonexistent");
        for name in ["", "..", "a/b", ".x", "@zone", "a b", "a\nb"] {
            assert!(matches!(withdraw(place, name, "c"), Err(Error::Name { what: "network", .. })), "{name}");
            assert!(
                matches!(withdraw(place, "n", name), Err(Error::Name { what: "container", .. })),
                "{name}"
            );
            assert!(matches!(forget(place, name), Err(Error::Name { .. })), "{name}");
        }
    }
}

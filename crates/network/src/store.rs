//! The networks that there are: a file for each in the data directory, which outlives the machine's restarts.
//!
//! A file is written whole before it gets its name, and of two processes that make one network at once exactly one does. Start reading at
//! [`Networks`].

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use netlink::Socket;
use report::Kind;
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, linkat, openat, unlinkat};

use crate::decide::{self, Chance};
use crate::error::Error;
use crate::facts::HostNetwork;
use crate::model::{DEFAULT_NETWORK, Network, NetworkName};
use crate::places::Places;
use crate::request::NetworkRequest;

/// The longest file of a network that is read.
const LONGEST: u64 = 1 << 20;
const SUFFIX: &str = ".json";

/// The networks.
#[derive(Debug)]
pub struct Networks {
    pub(crate) places: Places,
    /// How the name server is run.
    pub(crate) name_server: Vec<OsString>,
    /// How the keeper of the rules is run.
    pub(crate) keeper: Vec<OsString>,
    dir: OwnedFd,
}

impl Networks {
    /// Opens the directory, and makes it if it is missing.
    ///
    /// # Errors
    /// When it can be neither opened nor made.
    pub fn open(places: &Places) -> Result<Self, Error> {
        Ok(Self {
            dir: directory(&places.config)?,
            places: places.clone(),
            name_server: Vec::new(),
            keeper: Vec::new(),
        })
    }

    /// Where they are kept.
    pub const fn places(&self) -> &Places {
        &self.places
    }

    /// Every network, by name.
    ///
    /// # Errors
    /// A file that cannot be read, or is not what holm wrote.
    pub fn list(&self) -> Result<Vec<Network>, Error> {
        let failed = |errno| Error::file(&self.places.config, "getdents64", errno);
        let mut networks = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_str().unwrap_or_default();
            if let Some(name) = name.strip_suffix(SUFFIX).and_then(|name| name.parse::<NetworkName>().ok()) {
                networks.extend(self.read(&name)?);
            }
        }
        networks.sort_by(|one, two| one.name.cmp(&two.name));
        Ok(networks)
    }

    /// The network with this name, or whose id alone begins like this.
    ///
    /// # Errors
    /// When there is none, or several whose ids begin so.
    pub fn get(&self, name: &str) -> Result<Network, Error> {
        if let Ok(parsed) = name.parse::<NetworkName>()
            && let Some(network) = self.read(&parsed)?
        {
            return Ok(network);
        }
        let is_id = name.len() >= 4 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut found: Vec<_> = match is_id {
            true => self.list()?.into_iter().filter(|network| network.id.starts_with(name)).collect(),
            false => Vec::new(),
        };
        match (found.pop(), found.len()) {
            (Some(network), 0) => Ok(network),
            (Some(_), _) => Err(Error::invalid(
                format!("network {name}"),
                "the ids of several networks begin like this",
                "give more digits, or the name",
            )),
            (None, _) => Err(Error::refused(
                format!("network {}", name.escape_debug()),
                "there is no such network",
                "`holm network list` shows the networks, `holm network create` makes one",
                Kind::NotFound,
            )),
        }
    }

    /// The network that containers get when nobody names one; it is made the first time.
    ///
    /// # Errors
    /// As [`Networks::create`].
    pub fn default_network(&self, socket: &mut Socket) -> Result<Network, Error> {
        let request = default_request()?;
        let name = &request.name;
        if let Some(network) = self.read(name)? {
            return Ok(network);
        }
        match self.create(&request, socket) {
            // Somebody else was faster.
            Err(Error::Refused { kind: Kind::AlreadyExists, .. }) => self.get(name.as_str()),
            outcome => outcome,
        }
    }

    /// Makes a network: what is chosen keeps clear of the others and of the host's routes. No link is made before a container needs it.
    ///
    /// # Errors
    /// What cannot be had; nothing was changed then.
    pub fn create(&self, request: &NetworkRequest, socket: &mut Socket) -> Result<Network, Error> {
        let _lock = self.lock()?;
        let host = HostNetwork::read(socket)?;
        let network = decide::network(request, &self.list()?, &host, &chance())?;
        self.write(&network)?;
        Ok(network)
    }

    /// Forgets a network. Its links and rules are taken away by [`crate::teardown`] before.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn forget(&self, name: &NetworkName) -> Result<(), Error> {
        let file = file_name(name);
        unlinkat(&self.dir, &file, AtFlags::empty())
            .map_err(|errno| Error::file(&self.places.config.join(&file), "unlinkat", errno))
    }

    /// Keeps other processes from making or removing networks until it is dropped.
    pub(crate) fn lock(&self) -> Result<OwnedFd, Error> {
        // Another description of the directory: a lock belongs to one.
        let failed = |call, errno: rustix::io::Errno| Error::file(&self.places.config, call, errno);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = openat(&self.dir, ".", flags, Mode::empty()).map_err(|errno| failed("openat", errno))?;
        loop {
            match flock(&dir, FlockOperation::LockExclusive) {
                Err(rustix::io::Errno::INTR) => {}
                outcome => return outcome.map(|()| dir).map_err(|errno| failed("flock", errno)),
            }
        }
    }

    fn read(&self, name: &NetworkName) -> Result<Option<Network>, Error> {
        let file = file_name(name);
        let path = || self.places.config.join(&file);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = match openat(&self.dir, &file, flags, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            outcome => outcome.map_err(|errno| Error::file(&path(), "openat", errno))?,
        };
        let mut text = Vec::new();
        File::from(opened)
            .take(LONGEST)
            .read_to_end(&mut text)
            .map_err(|error| Error::file(&path(), "read", error))?;
        let network: Network = serde_json::from_slice(&text)
            .map_err(|error| Error::Garbled { path: path(), problem: error.to_string() })?;
        match network.name == *name {
            true => Ok(Some(network)),
            false => {
                let problem = format!("it is of the network {}", network.name);
                Err(Error::Garbled { path: path(), problem })
            }
        }
    }

    fn write(&self, network: &Network) -> Result<(), Error> {
        let name = file_name(&network.name);
        let path = self.places.config.join(&name);
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        let file = openat(&self.dir, ".", flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| Error::file(&path, "openat O_TMPFILE", errno))?;
        let mut file = File::from(file);
        let mut text = serde_json::to_vec_pretty(network).unwrap_or_default();
        text.push(b'\n');
        file.write_all(&text).map_err(|error| Error::file(&path, "write", error))?;
        file.sync_all().map_err(|error| Error::file(&path, "fsync", error))?;
        let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
        linkat(CWD, &unnamed, &self.dir, &name, AtFlags::SYMLINK_FOLLOW)
            .map_err(|errno| Error::file(&path, "linkat", errno))
    }
}

fn file_name(name: &NetworkName) -> String {
    format!("{name}{SUFFIX}")
}

/// What makes the default network. Its containers do not find each other by name, as with docker and podman: they have nothing to do with each
/// other.
pub(crate) fn default_request() -> Result<NetworkRequest, Error> {
    let name = DEFAULT_NETWORK.parse().map_err(|_| Error::invalid(DEFAULT_NETWORK, "it is no name", ""))?;
    Ok(NetworkRequest { dns: false, ..NetworkRequest::bridge(name) })
}

/// Opens a directory of holm's own, for its owner only, and makes it if it is missing.
pub(crate) fn directory(path: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = match openat(CWD, path, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => {
            use std::os::unix::fs::DirBuilderExt;
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(|error| Error::file(path, "mkdir", error))?;
            openat(CWD, path, flags, Mode::empty())
        }
        outcome => outcome,
    };
    let dir = dir.map_err(|errno| Error::file(path, "openat", errno))?;
    // One of somebody else's would let them decide over links and rules of the host.
    let owner = rustix::fs::fstat(&dir).map_err(|errno| Error::file(path, "fstat", errno))?.st_uid;
    if owner != rustix::process::geteuid().as_raw() {
        return Err(Error::file(path, "fstat: the directory is another user's", sys::Errno::PERM));
    }
    Ok(dir)
}

pub(crate) fn chance() -> Chance {
    let mut id = [0; 32];
    let mut filled = 0;
    while filled < id.len() {
        match rustix::rand::getrandom(&mut id[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            // Kernels without getrandom(2) are too old for everything else here as well.
            Err(_) => break,
        }
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Chance { id, now: now.map_or(0, |since| since.as_secs()) }
}

//! From a request to a launch.
//!
//! [`from_request`] and [`from_bundle`] look at the host, apply the rules and return what is left to do, as data.

use std::path::PathBuf;

use cgroups::Place;
use cgroups::plan::CgroupPath;
use report::{BoxedExplain, Explain, Hint, Kind};
use runtime::{ContainerId, Entry, HostFacts, Launch, Root, Stdio, Upper};
use spec::{LoadError, Spec};

use crate::connection::{self, Wanted};
use crate::flags::mount::Mount as Asked;
use crate::flags::name::ContainerName;
use crate::host::{self, Caller, boxed};
use crate::id_pool::Claim;
use crate::owners::Gift;
use crate::request::{RunRequest, Streams};
use crate::rules::{self, Refused};

/// A container to launch, and what has to be kept while it runs.
#[derive(Debug)]
pub struct Prepared {
    /// What to launch.
    pub launch: Launch,
    /// What the host can do.
    pub facts: HostFacts,
    /// What happens on the standard streams.
    pub streams: Streams,
    /// What the caller should know, a line each.
    pub remarks: Vec<String>,
    /// What only somebody who looks for a reason wants to know, a line each.
    pub details: Vec<String>,
    /// The claim on the container's ids; dropping it gives them back.
    pub claim: Option<Claim>,
    /// What it asks of the network; none where holm makes none.
    pub network: Option<Wanted>,
    /// Files that change hands before the container starts.
    pub gifts: Vec<Gift>,
    /// Directories inside volumes, which the launch finds by their descriptors.
    pub held: Vec<std::os::fd::OwnedFd>,
}

/// What of their volumes mounts show, where that is for the launch to find.
fn parts(request: &RunRequest, sources: &[rules::Source]) -> Vec<runtime::Part> {
    let bound = request.mounts.iter().filter(|mount| !matches!(mount, Asked::Tmpfs(_)));
    let parts = bound.zip(sources).filter_map(|(mount, source)| {
        let destination = mount.destination().as_path().to_string_lossy().into_owned();
        Some(runtime::Part { destination, path: source.part.clone()? })
    });
    parts.collect()
}

/// `holm run --bundle DIR`: the configuration decides everything but these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleRequest {
    /// The bundle.
    pub directory: PathBuf,
    /// The container's name.
    pub name: Option<ContainerName>,
    /// What happens on the standard streams; the configuration tells whether there is a terminal.
    pub streams: Streams,
    /// Whether a reaper of ours is the first process.
    pub init: bool,
}

/// Decides everything for a request. `size` is that of the caller's terminal in rows and columns.
///
/// # Errors
/// What the host or the caller does not have, by flag.
pub fn from_request(
    request: &RunRequest,
    caller: &Caller,
    size: Option<(u16, u16)>,
) -> Result<Prepared, BoxedExplain> {
    for_container(request, caller, size, &random_id())
}

/// The same for a container that has an id already.
///
/// # Errors
/// What the host or the caller does not have, by flag.
pub fn for_container(
    request: &RunRequest,
    caller: &Caller,
    size: Option<(u16, u16)>,
    id: &str,
) -> Result<Prepared, BoxedExplain> {
    let request = &request.on(connection::resolve(request, caller)?);
    let facts = HostFacts::read().map_err(boxed)?;
    let found = host::look(request, caller, &facts, id)?;
    let configured = rules::configure(request, &found.facts).map_err(boxed)?;
    let mut root = configured.root;
    match &mut root {
        Root::Assembled { .. } => {}
        Root::Layers { upper, .. } => {
            // The layers are the store's own paths.
            if let Upper::Directory(kept) = upper {
                *kept = host::canonical("--keep-changes", kept)?;
            }
        }
        Root::Directory { path } | Root::Chroot { path, .. } => *path = host::canonical("--rootfs", path)?,
        Root::Overlay { lower, upper } => {
            *lower = host::canonical("--rootfs", lower)?;
            if let Upper::Directory(kept) = upper {
                *kept = host::canonical("--keep-changes", kept)?;
            }
        }
    }
    let root = assemble(root, &facts).map_err(boxed)?;
    let mut details = Vec::new();
    details.extend(found.no_own_ids.map(|reason| format!("ids inside are ids of the host: {reason}")));
    if let rules::Ids::Maps(maps) = &found.facts.ids
        && maps.single
    {
        details.push(
            "only one user and one group exist inside: there is no range in /etc/subuid and /etc/subgid, or no newuidmap"
                .to_owned(),
        );
    }
    let cgroup = place(id, &facts)?;
    let gifts = gifts(request, &configured.spec);
    let hostname = rules::namespaces::visible_hostname(request, &found.facts);
    let network = Wanted::of(request, &found.facts, id, &hostname);
    Ok(Prepared {
        launch: Launch {
            id: ContainerId::parse(id).map_err(boxed)?,
            spec: spec::validate(configured.spec).map_err(boxed)?,
            bundle: PathBuf::from("/"),
            root,
            idmap_root: configured.root_is_idmapped,
            files: configured.files,
            parts: parts(request, &found.facts.sources),
            make_cwd: true,
            stdio: stdio(request.streams.tty, size),
            cgroup,
            unit: None,
            init: request.init,
            die_with_parent: true,
            delegate_v1: request.privileged,
            keep_keyring: false,
            preserve_fds: 0,
            life: runtime::Life::Attended,
        },
        facts,
        streams: request.streams.clone(),
        remarks: configured.remarks,
        details,
        claim: found.claim,
        network,
        gifts,
        held: found.held,
    })
}

/// The root of the host as an ordinary user can have it: an overlay over it as a whole is refused in a user namespace, because of what
/// is mounted in it. What nothing is mounted in is laid below a layer entry by entry; the rest is an empty directory.
fn assemble(root: Root, facts: &HostFacts) -> Result<Root, Refused> {
    let (lower, upper) = match root {
        Root::Overlay { lower, upper } if !facts.is_privileged() => (lower, upper),
        other => return Ok(other),
    };
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points: Vec<&str> = mounts.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    let below =
        |path: &std::path::Path| points.iter().any(|point| std::path::Path::new(point).starts_with(path));
    let has_mounts = |path: &std::path::Path| {
        points
            .iter()
            .any(|point| *point != path.to_string_lossy() && std::path::Path::new(point).starts_with(path))
    };
    let Ok(listing) = std::fs::read_dir(&lower) else { return Ok(Root::Overlay { lower, upper }) };
    if !has_mounts(&lower) {
        return Ok(Root::Overlay { lower, upper });
    }
    let Upper::Tmpfs { size_bytes } = upper else {
        return Err(Refused {
            flag: "--keep-changes".to_owned(),
            problem: format!(
                "{} has other mounts in it, and over such a tree the kernel lays no layer for an ordinary user",
                lower.display()
            ),
            advice: "leave it out, name a root directory without mounts in it, or run as root".to_owned(),
            kind: Kind::Unsupported,
        });
    };
    let mut entries = Vec::new();
    for entry in listing.flatten() {
        let (Ok(name), Ok(kind)) = (entry.file_name().into_string(), entry.file_type()) else { continue };
        if kind.is_symlink() {
            if let Ok(target) = std::fs::read_link(entry.path()) {
                entries.push(Entry::Link(name, target));
            }
        } else if kind.is_dir() && (below(&entry.path()) || std::fs::read_dir(entry.path()).is_err()) {
            entries.push(Entry::Empty(name));
        } else if kind.is_dir() {
            entries.push(Entry::Layered(name));
        }
    }
    entries.sort_by(|left, right| name_of(left).cmp(name_of(right)));
    Ok(Root::Assembled { from: lower, entries, size_bytes })
}

fn name_of(entry: &Entry) -> &str {
    match entry {
        Entry::Layered(name) | Entry::Empty(name) | Entry::Link(name, _) => name,
    }
}

/// The volumes with the option `U`, and who their owner is on the host: the container's user, as the mount translates it.
fn gifts(request: &RunRequest, spec: &Spec) -> Vec<Gift> {
    let user = &spec.process.user;
    let asked = request.mounts.iter().filter_map(|mount| match mount {
        Asked::Bind(bind) if bind.options.chown => Some(&bind.destination),
        Asked::Volume(volume) if volume.options.chown => Some(&volume.destination),
        _ => None,
    });
    let gift = |destination: &crate::flags::destination::Destination| {
        let destination = destination.as_path();
        let mount =
            spec.mounts.iter().find(|mount| std::path::Path::new(&mount.destination) == destination)?;
        let on_host = |maps: &[spec::IdMapping], id| match maps.is_empty() || !mount.uid_mappings.is_empty() {
            true => Some(id),
            false => spec::id_map::to_host(maps, id),
        };
        Some(Gift {
            path: PathBuf::from(&mount.source),
            uid: on_host(&spec.linux.uid_mappings, user.uid)?,
            gid: on_host(&spec.linux.gid_mappings, user.gid)?,
        })
    };
    asked.filter_map(gift).collect()
}

/// Where the container's cgroup goes: below the host's root for root, below one's own where that was
/// delegated (systemd does so for users on v2), and nowhere else.
fn place(id: &str, facts: &HostFacts) -> Result<Place, BoxedExplain> {
    let path = CgroupPath::parse(&format!("holm-{id}")).map_err(boxed)?;
    if facts.uid == 0 {
        return Ok(Place::Mount(path));
    }
    let own = facts.cgroups.v2.as_ref().and_then(|v2| Some(v2.mount.join(v2.own_below_mount()?)));
    let writable = own.is_some_and(|directory| {
        rustix::fs::access(directory.join("cgroup.procs"), rustix::fs::Access::WRITE_OK).is_ok()
            && rustix::fs::access(&directory, rustix::fs::Access::WRITE_OK).is_ok()
    });
    Ok(match writable {
        true => Place::Own(path),
        false => Place::Nowhere("no cgroup was delegated to this user".to_owned()),
    })
}

/// A bundle that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadBundle {
    /// There is no configuration to read.
    #[error("cannot use the bundle {}", path.display())]
    Read {
        /// The bundle.
        path: PathBuf,
        /// Why.
        #[source]
        cause: sys::SyscallError,
    },
    /// It is not a configuration.
    #[error("cannot use {}", path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        cause: LoadError,
    },
}

impl Explain for BadBundle {
    fn below(&self) -> Option<&dyn Explain> {
        match self {
            Self::Read { cause, .. } => Some(cause),
            Self::Load { cause, .. } => Some(cause),
        }
    }
    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Read { cause, .. } if cause.kind() == Kind::NotFound => Some(Hint::new(
                "a bundle is a directory with a config.json and the root directory that it names; \
                 to run in a plain directory use --rootfs",
            )),
            _ => None,
        }
    }
}

/// Reads a bundle.
///
/// # Errors
/// [`BadBundle`] and what is wrong with the paths.
pub fn from_bundle(request: &BundleRequest, size: Option<(u16, u16)>) -> Result<Prepared, BoxedExplain> {
    let facts = HostFacts::read().map_err(boxed)?;
    let bundle = host::canonical("--bundle", &request.directory)?;
    let path = bundle.join("config.json");
    let bytes = std::fs::read(&path).map_err(|error| {
        let cause = sys::SyscallError::new("open", path.display().to_string(), error);
        boxed(BadBundle::Read { path: bundle.clone(), cause })
    })?;
    let spec: Spec =
        spec::load(&bytes).map_err(|cause| boxed(BadBundle::Load { path: path.clone(), cause }))?;
    let mut streams = request.streams.clone();
    streams.tty = spec.process.terminal;
    let random = random_id();
    let id = request.name.as_ref().map_or(random.as_str(), ContainerName::as_str);
    let cgroup = match spec.linux.cgroups_path.as_str() {
        "" => place(id, &facts)?,
        path => Place::Mount(CgroupPath::parse(path).map_err(boxed)?),
    };
    Ok(Prepared {
        launch: Launch {
            id: ContainerId::parse(id).map_err(boxed)?,
            root: Root::Directory { path: bundle.join(&spec.root.path) },
            spec: spec::validate(spec).map_err(boxed)?,
            bundle,
            idmap_root: false,
            files: Vec::new(),
            parts: Vec::new(),
            make_cwd: false,
            stdio: stdio(streams.tty, size),
            cgroup,
            unit: None,
            init: request.init,
            die_with_parent: true,
            delegate_v1: false,
            keep_keyring: false,
            preserve_fds: 0,
            life: runtime::Life::Attended,
        },
        facts,
        streams,
        remarks: Vec::new(),
        details: Vec::new(),
        claim: None,
        network: None,
        gifts: Vec::new(),
        held: Vec::new(),
    })
}

fn stdio(tty: bool, size: Option<(u16, u16)>) -> Stdio {
    if tty { Stdio::Terminal { size } } else { Stdio::Inherit }
}

/// 64 hexadecimal digits, as docker's and podman's ids.
pub(crate) fn random_id() -> String {
    use std::fmt::Write as _;
    let mut bytes = [0u8; 32];
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            // Kernels without getrandom(2) are too old for everything else here as well.
            Err(_) => break,
        }
    }
    bytes.iter().fold(String::with_capacity(64), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}

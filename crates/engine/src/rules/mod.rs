//! From a request and the facts of a host to an OCI configuration.
//!
//! [`configure`] is the whole; start reading there. Each subject has a file of its own, and none of them
//! looks at the host: [`Facts`] holds what was found before.

use std::collections::BTreeMap;
use std::path::PathBuf;

use report::{Explain, Hint, Kind};
use spec::{CapabilitySet, Spec};

use crate::flags::size::Bytes;
use crate::ids::Maps;
use crate::request::{Changes, RunRequest};
use crate::users::Identity;
use runtime::{File, Root, Upper};

mod capabilities;
mod devices;
pub(crate) mod files;
mod limits;
mod mounts;
pub(crate) mod namespaces;
mod process;
mod security;

/// What was found out about the host and the request's names before the rules apply.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The container's ids.
    pub ids: Ids,
    /// Why the root directory cannot be mounted with other owners; of no meaning without [`Ids::Maps`].
    pub no_idmapped_root: Option<String>,
    /// Who the program runs as.
    pub identity: Identity,
    /// The environment of the caller, as far as the request inherits from it.
    pub environment: BTreeMap<String, String>,
    /// What the caller's `TERM` is.
    pub terminal_type: Option<String>,
    /// The host's name.
    pub hostname: String,
    /// The host's /etc/hosts.
    pub hosts: String,
    /// The host's /etc/resolv.conf.
    pub resolv_conf: String,
    /// The id of the container; its first 12 characters are the host name unless one is given.
    pub id: String,
    /// The capabilities that the caller can pass on without a user namespace.
    pub caller_capabilities: CapabilitySet,
    /// What of /dev/mqueue and /dev/shm the host has.
    pub ipc_mounts: Vec<&'static str>,
    /// Whether AppArmor is active.
    pub apparmor: bool,
    /// Whether SELinux is active.
    pub selinux: bool,
    /// Whether the cpu controller is on cgroup v2.
    pub cpu_on_v2: bool,
    /// The running kernel's version.
    pub kernel: (u32, u32),
    /// Directories below /sys/devices/system/cpu that tell about throttling: a side channel, hidden as docker does.
    pub thermal_throttle: Vec<String>,
    /// Whether a cgroup of the container's own can say which devices may be used. Without one the user namespace does: nobody
    /// can make nodes in it, and the nodes of the host belong to others.
    pub device_rules: bool,
    /// The nodes that `--device` names, in its order; a directory has several.
    pub devices: Vec<devices::Node>,
    /// The numbers of the block devices that limits name.
    pub block_devices: BTreeMap<PathBuf, (u32, u32)>,
    /// For each bind mount and volume of the request, in its order, what its source is.
    pub sources: Vec<Source>,
    /// The system call filter of `--security-opt seccomp=FILE`.
    pub seccomp_file: Option<spec::Seccomp>,
    /// The caller's hard resource limits, by the kernel's number of the resource.
    pub hard_limits: BTreeMap<u32, u64>,
    /// The caller's own oom_score_adj.
    pub oom_score_adj: i32,
}

/// A bind mount's source on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// The source with links resolved, absolute.
    pub path: PathBuf,
    /// Why it cannot be mounted with other owners, if that is so.
    pub no_idmap: Option<String>,
    /// Nothing can be written through it, whatever the mount says.
    pub read_only: bool,
    /// The directory below it that is meant.
    pub part: Option<PathBuf>,
}

/// Whose ids the container has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Ids {
    /// The host's.
    #[default]
    Host,
    /// Those of this user namespace.
    Join(PathBuf),
    /// Its own.
    Maps(Maps),
}

/// A configuration and what goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// The configuration.
    pub spec: Spec,
    /// The root.
    pub root: Root,
    /// Whether the root is mounted with the container's owners.
    pub root_is_idmapped: bool,
    /// Files laid over those of the root.
    pub files: Vec<File>,
    /// What the caller should know although it is no failure, a line each.
    pub remarks: Vec<String>,
}

/// A flag that this host, or this caller, cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{flag}: {problem}")]
pub struct Refused {
    /// The flag with its value.
    pub flag: String,
    /// Why not.
    pub problem: String,
    /// What to do; may be empty.
    pub advice: String,
    /// What sort of failure it is.
    pub kind: Kind,
}

impl Explain for Refused {
    fn kind(&self) -> Kind {
        self.kind
    }
    fn hint(&self) -> Option<Hint> {
        (!self.advice.is_empty()).then(|| Hint::new(self.advice.as_str()))
    }
}

pub use devices::Node;
pub use security::document;
pub(crate) use security::machine;

/// The configuration that `request` means on a host like `facts`.
///
/// # Errors
/// [`Refused`], for a flag that cannot be had here.
pub fn configure(request: &RunRequest, facts: &Facts) -> Result<Configured, Refused> {
    let mut remarks = Vec::new();
    let capabilities = capabilities::bounding(request, facts)?;
    let (namespaces, sysctl, time_offsets) = namespaces::namespaces(request, facts);
    let security = security::security(request, facts, capabilities)?;
    let mut spec = Spec { oci_version: spec::OCI_VERSION.to_owned(), ..Spec::default() };
    spec.process = process::process(request, facts, capabilities, &security, &mut remarks)?;
    spec.root = spec::Root {
        path: request.rootfs.directory.to_string_lossy().into_owned(),
        readonly: request.read_only,
    };
    spec.hostname = namespaces::hostname(request, facts);
    spec.mounts = mounts::mounts(request, facts)?;
    spec.annotations = annotations(request);
    spec.linux.namespaces = namespaces;
    spec.linux.sysctl = sysctl;
    spec.linux.time_offsets = time_offsets;
    if let Ids::Maps(maps) = &facts.ids {
        spec.linux.uid_mappings = maps.uids.clone();
        spec.linux.gid_mappings = maps.gids.clone();
    }
    spec.linux.devices = devices::nodes(request, facts);
    spec.linux.resources = limits::resources(request, facts)?;
    spec.linux.resources.devices = devices::rules(request, facts);
    spec.linux.masked_paths = security.masked_paths;
    spec.linux.readonly_paths = security.readonly_paths;
    spec.linux.mount_label = security.mount_label;
    spec.linux.seccomp = security.seccomp;
    spec.linux.rootfs_propagation = mounts::root_propagation(request);
    Ok(Configured {
        root: root(request),
        root_is_idmapped: matches!(facts.ids, Ids::Maps(_)) && facts.no_idmapped_root.is_none(),
        files: files::files(request, facts),
        spec,
        remarks,
    })
}

/// The limits that `request` means, as the specification has them.
///
/// # Errors
/// [`Refused`], for a limit that cannot be had here.
pub fn resources(request: &RunRequest, facts: &Facts) -> Result<spec::Resources, Refused> {
    limits::resources(request, facts)
}

/// The bounding set of capabilities that `request` means.
///
/// # Errors
/// [`Refused`], for a capability that cannot be given here.
pub fn bounding(request: &RunRequest, facts: &Facts) -> Result<CapabilitySet, Refused> {
    capabilities::bounding(request, facts)
}

fn root(request: &RunRequest) -> Root {
    let lower = request.rootfs.directory.clone();
    let upper = match &request.rootfs.changes {
        Changes::Keep(directory) => Upper::Directory(directory.clone()),
        Changes::Discard | Changes::WriteThrough => {
            Upper::Tmpfs { size_bytes: request.rootfs.size.map(Bytes::get) }
        }
    };
    if !request.rootfs.below.is_empty() {
        let lower = std::iter::once(lower).chain(request.rootfs.below.iter().cloned()).collect();
        return Root::Layers { lower, upper };
    }
    match &request.rootfs.changes {
        Changes::WriteThrough => Root::Directory { path: lower },
        // Nothing can be changed, so no layer is needed. The mount points must exist then; the overlay
        // makes them where they do not.
        Changes::Discard | Changes::Keep(_) => Root::Overlay { lower, upper },
    }
}

/// Labels are annotations: the OCI configuration has no other place for them.
fn annotations(request: &RunRequest) -> spec::Map<String> {
    let mut annotations = spec::Map::new();
    for label in request.labels.iter().chain(&request.annotations) {
        annotations.insert(label.key.clone(), label.value.clone());
    }
    if let Some(signal) = request.stop_signal {
        annotations.insert("org.opencontainers.image.stopSignal".to_owned(), signal.to_string());
    }
    annotations
}

fn refused<T>(
    flag: impl Into<String>,
    problem: impl Into<String>,
    advice: &str,
    kind: Kind,
) -> Result<T, Refused> {
    Err(Refused { flag: flag.into(), problem: problem.into(), advice: advice.to_owned(), kind })
}

#[cfg(test)]
mod tests;

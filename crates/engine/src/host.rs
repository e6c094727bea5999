//! Looking at the host, as far as a request needs it.
//!
//! [`look`] fills the [`Facts`] that the rules take; start reading there. What it opens it closes, except for the
//! claim on a range of ids, which it hands out. Only what the request asks about is looked at: every call counts on the launch path.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use report::{BoxedExplain, Explain, Kind};
use runtime::HostFacts;
use rustix::fs::{FileType, Mode, OFlags};
use spec::CapabilitySet;
use sys::below::Links;

use crate::flags::env::EnvEntry;
use crate::flags::mount::Mount;
use crate::flags::named::VolumeMount;
use crate::flags::security_opt::{Seccomp, SecurityOpt};
use crate::flags::volume::Bind;
use crate::id_pool::{self, Claim};
use crate::ids::{self, Choice, IdFacts};
use crate::request::{Changes, RunRequest};
use crate::rules::{self, Facts, Ids, Node, Refused, Source};
use crate::volumes::VolumeFailure;
use crate::{idmap, users};

/// The caller, and where holm keeps what lives as long as the machine runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The effective user id.
    pub uid: u32,
    /// The effective group id.
    pub gid: u32,
    /// The effective capabilities.
    pub capabilities: CapabilitySet,
    /// `/run/holm`, or a directory in `XDG_RUNTIME_DIR` for others than root.
    pub run_directory: PathBuf,
    /// `/var/lib/holm`, or a directory in `XDG_DATA_HOME` for others than root: what survives a boot.
    pub state_directory: PathBuf,
}

impl Caller {
    /// This process.
    pub fn read() -> Self {
        let uid = rustix::process::geteuid().as_raw();
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let run_directory = match (variable("HOLM_RUNROOT"), variable("XDG_RUNTIME_DIR")) {
            (Some(directory), _) => directory,
            (None, Some(directory)) if uid != 0 => directory.join("holm"),
            _ if uid != 0 => PathBuf::from(format!("/tmp/holm-{uid}")),
            _ => PathBuf::from("/run/holm"),
        };
        let data = || variable("XDG_DATA_HOME").or_else(|| Some(variable("HOME")?.join(".local/share")));
        let state_directory = match (variable("HOLM_ROOT"), data()) {
            (Some(directory), _) => directory,
            (None, Some(data)) if uid != 0 => data.join("holm"),
            _ if uid != 0 => PathBuf::from(format!("/var/tmp/holm-{uid}")),
            _ => PathBuf::from("/var/lib/holm"),
        };
        Self {
            uid,
            gid: rustix::process::getegid().as_raw(),
            capabilities: sys::raw::capget().map(|sets| CapabilitySet(sets.effective)).unwrap_or_default(),
            run_directory,
            state_directory,
        }
    }
}

/// What was found, and what has to be held while the container runs.
#[derive(Debug)]
pub struct Found {
    /// The facts for the rules.
    pub facts: Facts,
    /// The claim on the container's ids.
    pub claim: Option<Claim>,
    /// Why the container has the host's ids although nobody asked for that.
    pub no_own_ids: Option<String>,
    /// Directories inside volumes, which sources name by their descriptors.
    pub held: Vec<OwnedFd>,
}

/// Looks at the host for `request`.
///
/// # Errors
/// What the request names and the host does not have.
pub fn look(
    request: &RunRequest,
    caller: &Caller,
    host: &HostFacts,
    id: &str,
) -> Result<Found, BoxedExplain> {
    let kernel = host.kernel;
    let (directory, root) = open_rootfs(&request.rootfs.directory)?;
    let below = request
        .rootfs
        .below
        .iter()
        .map(|path| Ok(open_rootfs(path)?.1))
        .collect::<Result<Vec<_>, BoxedExplain>>()?;
    if let Changes::Keep(path) = &request.rootfs.changes {
        check_directory("--keep-changes", path)?;
    }
    let layers: Vec<_> = std::iter::once(&root).chain(&below).map(AsFd::as_fd).collect();
    let database = users::read_database_of(&layers).map_err(boxed)?;
    let identity = users::resolve(request.user.as_ref(), &request.group_add, &database).map_err(boxed)?;

    let mapped = ids::parse_id_map(&read("/proc/self/uid_map"));
    let outside = idmap_outside(caller, &mapped);
    let no_idmapped_root = outside
        .clone()
        .or_else(|| std::iter::once(&root).chain(&below).find_map(|layer| no_idmap(layer, kernel, request)))
        .or_else(|| no_idmapped_layer(request, kernel));
    let no_idmapped_root = no_idmapped_root.or_else(|| {
        (!host.calls.mount_setattr)
            .then(|| "this kernel has no mount_setattr(2), or a filter hides it".to_owned())
    });
    let id_facts = read_id_facts(caller, mapped, no_idmapped_root.clone());
    let mut claim = None;
    let mut no_own_ids = None;
    let ids = match ids::choose(&request.userns, request.privileged, &id_facts).map_err(boxed)? {
        Choice::Host { because } => {
            no_own_ids = because;
            Ids::Host
        }
        Choice::Join(path) => Ids::Join(path),
        Choice::Maps(maps) => Ids::Maps(maps),
        Choice::Pool(pool) => {
            let held = id_pool::claim(&pool, &caller.run_directory).map_err(boxed)?;
            let maps = held.maps.clone();
            claim = Some(held);
            Ids::Maps(maps)
        }
    };

    let (sources, held) = sources(request, caller, host, outside.as_deref())?;
    let mut facts = Facts {
        ids,
        no_idmapped_root,
        identity,
        environment: inherited(request),
        terminal_type: None,
        hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        hosts: read("/etc/hosts"),
        resolv_conf: read("/etc/resolv.conf"),
        id: id.to_owned(),
        caller_capabilities: caller.capabilities,
        ipc_mounts: ["/dev/mqueue", "/dev/shm"].into_iter().filter(|path| Path::new(path).is_dir()).collect(),
        apparmor: read("/sys/module/apparmor/parameters/enabled").starts_with('Y'),
        selinux: Path::new("/sys/fs/selinux/enforce").exists(),
        cpu_on_v2: cpu_is_on_v2(&host.cgroups),
        kernel,
        thermal_throttle: thermal_throttle(),
        device_rules: caller.uid == 0,
        devices: device_nodes(request)?,
        block_devices: block_devices(request),
        sources,
        seccomp_file: None,
        hard_limits: (0..).zip(host.hard_limits).collect(),
        oom_score_adj: request.oom_score_adj.map_or(0, |_| host.on_demand.oom_score_adj()),
    };
    // A terminal's own name is only known to a container whose terminfo is the caller's.
    if directory == Path::new("/") {
        facts.terminal_type = std::env::var("TERM").ok().filter(|kind| !kind.is_empty());
    }
    facts.seccomp_file = seccomp_file(request, &facts)?;
    Ok(Found { facts, claim, no_own_ids, held })
}

/// What the rules for limits ask about, and nothing else.
pub fn limit_facts(request: &RunRequest) -> Facts {
    let cgroups = cgroups::Layout::read().unwrap_or_default();
    Facts { cpu_on_v2: cpu_is_on_v2(&cgroups), block_devices: block_devices(request), ..Facts::default() }
}

/// The path with links resolved, and a handle on it.
fn open_rootfs(directory: &Path) -> Result<(PathBuf, OwnedFd), BoxedExplain> {
    let path = canonical("--rootfs", directory)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(&path, flags, Mode::empty())
        .map_err(|errno| unusable("--rootfs", directory, errno))?;
    Ok((path, fd))
}

fn check_directory(flag: &str, path: &Path) -> Result<(), BoxedExplain> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(_) => Ok(()),
        Err(errno) => Err(unusable(flag, path, errno)),
    }
}

/// The absolute path that `path` means for the caller, without links.
///
/// # Errors
/// One that names the flag.
pub fn canonical(flag: &str, path: &Path) -> Result<PathBuf, BoxedExplain> {
    std::fs::canonicalize(path).map_err(|error| unusable(flag, path, error))
}

fn unusable(flag: &str, path: &Path, errno: impl Into<sys::Errno>) -> BoxedExplain {
    let errno = errno.into();
    let (problem, advice) = match errno {
        sys::Errno::NOENT => ("there is no such file or directory".to_owned(), "check the path"),
        sys::Errno::NOTDIR => ("it is not a directory".to_owned(), "give a directory"),
        other => (other.to_string(), ""),
    };
    boxed(Refused {
        flag: format!("{flag} {}", path.display()),
        problem,
        advice: advice.to_owned(),
        kind: sys::kind_of(errno),
    })
}

/// Why the layer that keeps the changes cannot be id-mapped, if there is one.
fn no_idmapped_layer(request: &RunRequest, kernel: (u32, u32)) -> Option<String> {
    let Changes::Keep(directory) = &request.rootfs.changes else { return None };
    // One that is missing is told of later, by its flag.
    let magic = rustix::fs::statfs(directory).ok()?.f_type as u64;
    idmap::unsupported(magic & u64::from(u32::MAX), kernel)
}

/// Why nobody here could mount with other owners, whatever the file system.
fn idmap_outside(caller: &Caller, mapped: &[ids::SubIdRange]) -> Option<String> {
    if !caller.capabilities.contains(spec::Capability::SysAdmin) || caller.uid != 0 {
        return Some("only root can mount a directory with other owners".to_owned());
    }
    let whole = mapped.first().is_some_and(|range| range.first == 0 && range.count == u32::MAX);
    (!whole).then(|| "in a user namespace no file system can be mounted with other owners".to_owned())
}

fn no_idmap(root: &OwnedFd, kernel: (u32, u32), request: &RunRequest) -> Option<String> {
    if request.rootfs.changes != Changes::WriteThrough && kernel < (5, 19) {
        return Some(format!(
            "overlay has layers with other owners since Linux 5.19, this is {}.{}",
            kernel.0, kernel.1
        ));
    }
    let magic = rustix::fs::fstatfs(root).map(|stat| stat.f_type as u64).unwrap_or(0);
    idmap::unsupported(magic & u64::from(u32::MAX), kernel)
}

/// What [`ids::choose`] asks about.
pub(crate) fn read_id_facts(
    caller: &Caller,
    mapped: Vec<ids::SubIdRange>,
    no_idmapped_root: Option<String>,
) -> IdFacts {
    let (subuid, subgid) = (read("/etc/subuid"), read("/etc/subgid"));
    let of = |text: &str| -> Vec<ids::SubIdRange> {
        if caller.uid == 0 {
            let named = ids::ROOT_NAMES.iter().map(|name| ids::parse_subids(text, name, u32::MAX));
            return named.into_iter().find(|ranges| !ranges.is_empty()).unwrap_or_default();
        }
        ids::parse_subids(text, &caller_name(caller.uid), caller.uid)
    };
    IdFacts {
        uid: caller.uid,
        gid: caller.gid,
        subuids: of(&subuid),
        subgids: of(&subgid),
        helpers: caller.uid != 0 && in_path("newuidmap") && in_path("newgidmap"),
        no_user_namespaces: no_user_namespaces(caller),
        no_idmapped_root,
        mapped,
    }
}

fn no_user_namespaces(caller: &Caller) -> Option<&'static str> {
    if !Path::new("/proc/self/ns/user").exists() {
        return Some("the kernel has no user namespaces");
    }
    if read("/proc/sys/user/max_user_namespaces").trim() == "0" {
        return Some("user namespaces are switched off: user.max_user_namespaces is 0");
    }
    // Debian's and Arch's older kernels.
    if caller.uid != 0 && read("/proc/sys/kernel/unprivileged_userns_clone").trim() == "0" {
        return Some("user namespaces are for root only: kernel.unprivileged_userns_clone is 0");
    }
    None
}

/// The name of a user of the host, from its passwd file.
fn caller_name(uid: u32) -> String {
    let user = crate::flags::user::User { user: crate::flags::user::Who::Id(uid), group: None };
    let database = users::Database { passwd: read("/etc/passwd"), group: String::new() };
    users::resolve(Some(&user), &[], &database).map(|identity| identity.name).unwrap_or_default()
}

/// Whether a program is in one of the usual directories.
pub(crate) fn in_path(program: &str) -> bool {
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .iter()
        .any(|directory| Path::new(directory).join(program).exists())
}

fn inherited(request: &RunRequest) -> BTreeMap<String, String> {
    let names = request.env.iter().filter_map(|entry| match entry {
        EnvEntry::Inherit { name } => Some(name),
        EnvEntry::Set { .. } => None,
    });
    names.filter_map(|name| Some((name.clone(), std::env::var(name).ok()?))).collect()
}

fn cpu_is_on_v2(layout: &cgroups::Layout) -> bool {
    layout
        .serving(cgroups::Controller::Cpu)
        .is_some_and(|hierarchy| hierarchy.version == cgroups::Version::V2)
}

fn thermal_throttle() -> Vec<String> {
    let path = |cpu: usize| format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle");
    if !Path::new(&path(0)).exists() {
        return Vec::new();
    }
    (0..).take_while(|cpu| Path::new(&path(*cpu)).exists()).map(path).collect()
}

/// The nodes of `--device`, and with `--privileged` all of the host's.
fn device_nodes(request: &RunRequest) -> Result<Vec<Node>, BoxedExplain> {
    let mut nodes = Vec::new();
    if request.privileged {
        collect_nodes(Path::new("/dev"), Path::new("/dev"), crate::flags::device::Access::ALL, 0, &mut nodes);
    }
    for device in &request.devices {
        let flag = format!("--device {}", device.host.display());
        let host =
            std::fs::canonicalize(&device.host).map_err(|error| unusable("--device", &device.host, error))?;
        let before = nodes.len();
        match node_at(&host, device.container.as_path(), device.access) {
            Some(node) => nodes.push(node),
            None => collect_nodes(&host, device.container.as_path(), device.access, 0, &mut nodes),
        }
        if nodes.len() == before {
            return Err(boxed(Refused {
                flag,
                problem: "it is neither a device nor a directory with devices".to_owned(),
                advice: "a file or directory is given with --volume".to_owned(),
                kind: Kind::InvalidInput,
            }));
        }
    }
    // The one given last wins.
    let mut seen = std::collections::BTreeSet::new();
    nodes.reverse();
    nodes.retain(|node| seen.insert(node.path.clone()));
    nodes.reverse();
    Ok(nodes)
}

fn node_at(host: &Path, container: &Path, access: crate::flags::device::Access) -> Option<Node> {
    let stat = rustix::fs::stat(host).ok()?;
    let block = match FileType::from_raw_mode(stat.st_mode) {
        FileType::BlockDevice => true,
        FileType::CharacterDevice => false,
        _ => return None,
    };
    Some(Node {
        path: container.to_string_lossy().into_owned(),
        block,
        major: rustix::fs::major(stat.st_rdev),
        minor: rustix::fs::minor(stat.st_rdev),
        mode: stat.st_mode & 0o777,
        access,
    })
}

/// The nodes below `host`. What every container has of its own is left out: terminals, shared memory, links.
fn collect_nodes(
    host: &Path,
    container: &Path,
    access: crate::flags::device::Access,
    depth: u32,
    nodes: &mut Vec<Node>,
) {
    const OWN: [&str; 13] = [
        "pts", "shm", "fd", "mqueue", "console", "ptmx", "null", "zero", "full", "random", "urandom", "tty",
        ".udev",
    ];
    let Ok(entries) = std::fs::read_dir(host) else { return };
    for entry in entries.flatten().take(65_536) {
        let name = entry.file_name();
        if depth == 0 && host == Path::new("/dev") && OWN.iter().any(|own| name == *own) {
            continue;
        }
        let Ok(kind) = entry.file_type() else { continue };
        let (from, to) = (entry.path(), container.join(&name));
        if kind.is_dir() && depth < 8 {
            collect_nodes(&from, &to, access, depth + 1, nodes);
        } else if !kind.is_symlink() {
            nodes.extend(node_at(&from, &to, access));
        }
    }
}

fn block_devices(request: &RunRequest) -> BTreeMap<PathBuf, (u32, u32)> {
    let limits = &request.limits;
    let weights = limits.blkio_weight_device.iter().map(|it| &it.device);
    let bytes = limits.device_read_bps.iter().chain(&limits.device_write_bps).map(|it| &it.device);
    let operations = limits.device_read_iops.iter().chain(&limits.device_write_iops).map(|it| &it.device);
    weights
        .chain(bytes)
        .chain(operations)
        .filter_map(|path| {
            let stat = rustix::fs::stat(path).ok()?;
            let is_block = FileType::from_raw_mode(stat.st_mode) == FileType::BlockDevice;
            let number = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
            is_block.then(|| (path.clone(), number))
        })
        .collect()
}

fn sources(
    request: &RunRequest,
    caller: &Caller,
    host: &HostFacts,
    outside: Option<&str>,
) -> Result<(Vec<Source>, Vec<OwnedFd>), BoxedExplain> {
    let (mut sources, mut held) = (Vec::new(), Vec::new());
    for mount in &request.mounts {
        match mount {
            Mount::Bind(bind) => sources.push(source(bind, host.kernel, outside)?),
            Mount::Volume(volume) => sources.push(volume_source(volume, caller, host, outside, &mut held)?),
            Mount::Tmpfs(_) => {}
        }
    }
    Ok((sources, held))
}

/// A volume's content. A directory inside it is opened here, below the volume's handle, and named by the descriptor: what a container makes of the
/// path to it meanwhile leads nowhere else.
fn volume_source(
    volume: &VolumeMount,
    caller: &Caller,
    host: &HostFacts,
    outside: Option<&str>,
    held: &mut Vec<OwnedFd>,
) -> Result<Source, BoxedExplain> {
    let (mut path, read_only) = crate::volumes::data_path(&caller.state_directory, volume);
    // One that is not there yet, for a plan that is only shown, will be where its store is.
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let no_idmap = no_idmap_at(there, host.kernel, outside);
    let mut part = None;
    match &volume.subpath {
        Some(subpath) if path.exists() => {
            let failed = |cause| {
                let (name, path) = (volume.shown().to_owned(), subpath.as_path().to_owned());
                boxed(VolumeFailure::NoSubpath { name, path, cause })
            };
            let top = monitor::exit::open_directory(&path).map_err(failed)?;
            let inner =
                sys::resolve::open_below(top.as_fd(), subpath.as_path(), sys::raw::O_PATH, Links::InRoot);
            let inner = inner.map_err(failed)?;
            if host.is_privileged() {
                path = format!("/proc/self/fd/{}", inner.as_raw_fd()).into();
                held.push(inner);
            } else {
                // Others mount in a namespace of their own, to which a descriptor of this one is of no use: there the way is gone once more.
                part = Some(subpath.as_path().to_owned());
            }
        }
        Some(subpath) => path.push(subpath.as_path()),
        None => {}
    }
    Ok(Source { path, no_idmap, read_only, part })
}

/// Why what is at a path cannot be mounted with other owners, if that is so.
fn no_idmap_at(path: &Path, kernel: (u32, u32), outside: Option<&str>) -> Option<String> {
    match outside {
        Some(reason) => Some(reason.to_owned()),
        None => {
            let magic = rustix::fs::statfs(path).map(|stat| stat.f_type as u64).unwrap_or(0);
            idmap::unsupported(magic & u64::from(u32::MAX), kernel)
        }
    }
}

fn source(bind: &Bind, kernel: (u32, u32), outside: Option<&str>) -> Result<Source, BoxedExplain> {
    if bind.options.create_source && !bind.source.exists() {
        std::fs::create_dir_all(&bind.source).map_err(|error| unusable("--mount", &bind.source, error))?;
    }
    let path = canonical("--volume", &bind.source)?;
    let no_idmap = no_idmap_at(&path, kernel, outside);
    Ok(Source { path, no_idmap, ..Source::default() })
}

fn seccomp_file(request: &RunRequest, facts: &Facts) -> Result<Option<spec::Seccomp>, BoxedExplain> {
    let last = request.security_opt.iter().rev().find_map(|option| match option {
        SecurityOpt::Seccomp(seccomp) => Some(seccomp),
        _ => None,
    });
    let Some(Seccomp::File(path)) = last else { return Ok(None) };
    let flag = "--security-opt seccomp";
    let json = read_limited(path, 16 << 20).map_err(|error| unusable(flag, path, error))?;
    let bounding = rules::bounding(request, facts).map_err(boxed)?.0;
    let host = seccomp::Host { bounding, kernel: facts.kernel, machine: rules::machine() };
    let profile = seccomp::read_profile(json.as_bytes(), &host)
        .map_err(|cause| boxed(BadSeccompFile { path: path.clone(), cause }))?;
    Ok(profile.as_ref().map(rules::document))
}

/// A system call filter in a file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("--security-opt seccomp={}", path.display())]
pub struct BadSeccompFile {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub cause: seccomp::JsonError,
}

impl Explain for BadSeccompFile {
    fn below(&self) -> Option<&dyn Explain> {
        Some(&self.cause)
    }
}

/// The text of a file the caller names, up to `limit` bytes.
///
/// # Errors
/// Those of reading; also for a text that is not UTF-8.
pub fn read_limited(path: &Path, limit: u64) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    File::open(path)?.take(limit).read_to_string(&mut text)?;
    Ok(text)
}

/// A small file of the host; empty where it cannot be read.
pub(crate) fn read(path: &str) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// For errors that leave the crate.
pub(crate) fn boxed(error: impl Explain + Send + Sync + 'static) -> BoxedExplain {
    Box::new(error)
}

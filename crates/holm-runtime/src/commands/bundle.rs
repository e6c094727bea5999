//! A bundle and the flags beside it, as a launch.

use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::cli::Arguments;
use cgroups::plan::CgroupPath;
use cgroups::{Place, delegation};
use report::{Explain, Hint, Kind};
use runtime::ahead::Network;
use runtime::unit::Unit;
use runtime::{ContainerId, Launch, Life, Root, Stdio};
use sys::SyscallError;

use super::launching::Mode;
use super::notify::{self, Supervisor};
use crate::context::{Context, Rootless};
use crate::failure::Failure;

/// `config.json` cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("read the bundle's configuration")]
struct Unreadable {
    #[source]
    cause: SyscallError,
}

impl Explain for Unreadable {
    fn below(&self) -> Option<&dyn Explain> {
        Some(&self.cause)
    }
    fn hint(&self) -> Option<Hint> {
        Some(Hint::new(
            "name the bundle's directory with --bundle; `holm-runtime spec` writes a first config.json",
        ))
    }
}

/// Flags and configuration do not go together, or ask for what is not there.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(super) struct Refused {
    pub(super) what: String,
    pub(super) kind: Kind,
}

impl Explain for Refused {
    fn kind(&self) -> Kind {
        self.kind
    }
}

pub(super) fn refuse(what: impl Into<String>) -> Refused {
    Refused { what: what.into(), kind: Kind::InvalidInput }
}

/// What units of systemd are called after where the configuration does not say: `holm-ID.scope`.
const UNIT_PREFIX: &str = "holm";

/// What the command line asks to launch, and what is being made for it already.
pub(super) fn launch(
    context: &Context,
    arguments: &Arguments,
    mode: Mode,
) -> Result<(Launch, Option<Network>), Failure> {
    let id = super::id(arguments)?;
    let bundle = arguments.get_one::<PathBuf>("bundle").cloned().unwrap_or_else(|| PathBuf::from("."));
    let unreadable = |call, path: &Path, error: std::io::Error| Unreadable {
        cause: SyscallError::new(call, path.display().to_string(), error),
    };
    let bundle = std::path::absolute(&bundle).map_err(|error| unreadable("getcwd", &bundle, error))?;
    let path = bundle.join("config.json");
    let config = std::fs::read(&path).map_err(|error| unreadable("open", &path, error))?;
    let mut spec = spec::load(&config)?;
    let network = Network::begin(&spec);
    let preserve_fds = preserved(arguments, &mut spec)?;
    let notify = Supervisor::of_environment()?.is_some();
    if notify {
        notify::add(&mut spec, &runtime::state::notify_directory(&context.root, &id));
    }
    spec.process.env = runtime::environment::of_process(&spec.process, &bundle.join(&spec.root.path));
    let root_path = bundle.join(&spec.root.path);
    for mount in &mut spec.mounts {
        // As with runc, a place that is named by its path on the host is meant in the root.
        if let Ok(inside) = Path::new(&mount.destination).strip_prefix(&root_path) {
            mount.destination = Path::new("/").join(inside).display().to_string();
        }
    }
    let spec = spec::validate(spec).inspect_err(|invalid| {
        invalid.warnings.iter().for_each(|warning| context.log.warn(&warning.to_string()));
    })?;
    let console_socket = arguments.is_given("console-socket");
    match (spec.process.terminal, mode.is_attended(), console_socket) {
        (true, false, false) => {
            return Err(refuse(
                "a container with `process.terminal` needs --console-socket, or to be run in the foreground",
            )
            .into());
        }
        (true, true, true) | (false, _, true) => {
            return Err(refuse(
                "--console-socket is for a container with `process.terminal` that is created or detached",
            )
            .into());
        }
        _ => {}
    }
    let size = spec.process.console_size.map(|size| (size.height as u16, size.width as u16));
    let unit = match context.systemd_cgroup {
        true => Some(Unit::find(&spec, UNIT_PREFIX, id.as_str())?),
        false => None,
    };
    let launch = Launch {
        root: root(bundle.join(&spec.root.path), arguments.get_flag("no-pivot"))?,
        cgroup: match &unit {
            Some(unit) => unit.place()?,
            None => place(&spec.linux.cgroups_path, &id, context.rootless)?,
        },
        unit,
        stdio: match spec.process.terminal {
            true if mode.is_attended() => Stdio::PlainTerminal { size },
            true => Stdio::Terminal { size },
            false => Stdio::Inherit,
        },
        id,
        spec,
        bundle,
        idmap_root: false,
        files: Vec::new(),
        parts: Vec::new(),
        make_cwd: true,
        init: false,
        die_with_parent: false,
        delegate_v1: false,
        keep_keyring: arguments.get_flag("no-new-keyring"),
        preserve_fds,
        life: Life::Kept { config, wait: mode == Mode::Create, notify },
    };
    Ok((launch, network))
}

/// The root, and with `--no-pivot` what the host has of procfs and sysfs.
fn root(path: PathBuf, no_pivot: bool) -> Result<Root, SyscallError> {
    const MOUNTS: &str = "/proc/self/mountinfo";
    if !no_pivot {
        return Ok(Root::Directory { path });
    }
    let mounts = std::fs::read(MOUNTS).map_err(|error| SyscallError::new("open", MOUNTS, error))?;
    let kernels = mounts.split(|byte| *byte == b'\n').filter_map(kernels_own).collect();
    Ok(Root::Chroot { path, kernels })
}

/// The place of a mount of procfs or sysfs in a line of mountinfo (proc_pid_mountinfo(5)).
fn kernels_own(line: &[u8]) -> Option<PathBuf> {
    let mut fields = line.split(|byte| *byte == b' ');
    let place = fields.nth(4)?;
    let fstype = fields.skip_while(|field| *field != b"-").nth(1)?;
    if !matches!(fstype, b"proc" | b"sysfs") {
        return None;
    }
    // Spaces, tabs, line ends and backslashes are three octal digits behind a backslash.
    let mut path = Vec::with_capacity(place.len());
    let mut rest = place;
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind
            .get(..3)
            .filter(|digits| *first == b'\\' && digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        match digits {
            Some(digits) => {
                path.push(
                    digits.iter().fold(0u8, |byte, digit| byte.wrapping_mul(8).wrapping_add(digit - b'0')),
                );
                rest = &behind[3..];
            }
            None => {
                path.push(*first);
                rest = behind;
            }
        }
    }
    Some(PathBuf::from(std::ffi::OsString::from_vec(path)))
}

/// How many descriptors from 3 on are passed: those of socket activation (sd_listen_fds(3)), which the program is told of, and
/// behind them those that were asked for.
fn preserved(arguments: &Arguments, spec: &mut spec::Spec) -> Result<u32, Failure> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    let mut count = 0;
    if let Some(passed) = number("LISTEN_FDS").filter(|_| number("LISTEN_PID") == Some(std::process::id())) {
        count = passed;
        spec.process.env.push(format!("LISTEN_FDS={passed}"));
        // The program is the first process of its pid namespace, or whatever it makes of that.
        spec.process.env.push("LISTEN_PID=1".to_owned());
        if let Ok(names) = std::env::var("LISTEN_FDNAMES") {
            spec.process.env.push(format!("LISTEN_FDNAMES={names}"));
        }
    }
    let asked = arguments.get_one::<u16>("preserve-fds").copied().unwrap_or(0);
    for descriptor in 3 + count..3 + count + u32::from(asked) {
        if !std::fs::exists(format!("/proc/self/fd/{descriptor}")).unwrap_or(false) {
            return Err(refuse(format!("--preserve-fds {asked}: descriptor {descriptor} is not open")).into());
        }
    }
    Ok(count + u32::from(asked))
}

/// An absolute path is one below each hierarchy, a relative one is below where this process is, or beside it (config-linux.md, "Cgroups
/// Path").
fn place(path: &str, id: &ContainerId, rootless: Rootless) -> Result<Place, Failure> {
    match path.strip_prefix('/') {
        Some(path) => Ok(Place::Mount(CgroupPath::parse(path)?)),
        None if path.is_empty() => {
            let path = CgroupPath::parse(id.as_str())?;
            if rootless.applies() { place_of_rootless(path) } else { Ok(Place::Near(path)) }
        }
        None => Ok(Place::Near(CgroupPath::parse(path)?)),
    }
}

/// Where nobody says which cgroup: below this process's, as far as the caller may make one there; on v2 below the nearest that was handed
/// to them; else none, which a plan refuses if there are limits.
fn place_of_rootless(path: CgroupPath) -> Result<Place, Failure> {
    let layout = cgroups::Layout::read()?;
    let is_ours = |hierarchy: &cgroups::layout::Hierarchy| {
        let own = hierarchy.own_below_mount().map(|own| hierarchy.mount.join(own));
        let may_write = |own: PathBuf| rustix::fs::access(own, rustix::fs::Access::WRITE_OK).is_ok();
        !hierarchy.read_only && own.is_some_and(may_write)
    };
    if layout.hierarchies().all(is_ours) {
        return Ok(Place::Own(path));
    }
    Ok(match delegation::choose(&delegation::read_candidates(&layout)?) {
        Ok(delegated) => delegated.place(path),
        Err(why) => Place::Nowhere(why),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_the_kernels_own_are_found() {
        let place = |line: &str| kernels_own(line.as_bytes()).map(|path| path.display().to_string());
        assert_eq!(place("22 1 0:20 / /proc rw shared:5 - proc proc rw").as_deref(), Some("/proc"));
        assert_eq!(place(r"23 1 0:21 / /a\040b rw - sysfs none rw").as_deref(), Some("/a b"));
        assert_eq!(place("24 1 0:22 / /dev rw - tmpfs none rw"), None);
        assert_eq!(place(""), None);
    }
}

//! `run`: a bundle in the foreground.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cgroups::Place;
use cgroups::plan::CgroupPath;
use clap::ArgMatches;
use report::{Explain, Hint, Kind};
use runtime::state::StateRoot;
use runtime::{ContainerId, HostFacts, Launch, Root, Stdio};
use sys::SyscallError;

use crate::context::Context;
use crate::failure::{Failure, Outcome};

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

/// The configuration asks for what this command does not do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotYet(&'static str);

impl Explain for NotYet {
    fn kind(&self) -> Kind {
        Kind::Unsupported
    }
}

pub(super) fn run(context: &Context, arguments: &ArgMatches) -> Outcome {
    let id = arguments.get_one::<String>("id").map_or("", String::as_str);
    let id = ContainerId::parse(id)?;
    let bundle = arguments.get_one::<PathBuf>("bundle").cloned().unwrap_or_else(|| PathBuf::from("."));
    let unreadable = |call, path: &Path, error: std::io::Error| Unreadable {
        cause: SyscallError::new(call, path.display().to_string(), error),
    };
    let bundle = std::path::absolute(&bundle).map_err(|error| unreadable("getcwd", &bundle, error))?;
    let path = bundle.join("config.json");
    let bytes = std::fs::read(&path).map_err(|error| unreadable("open", &path, error))?;
    let spec = spec::load(&bytes)?;
    let spec = spec::validate(spec)?;
    if spec.process.terminal {
        return Err(NotYet(
            "this version of holm-runtime has no console socket, so `process.terminal` has to be false",
        )
        .into());
    }
    if context.systemd_cgroup {
        return Err(NotYet(
            "this version of holm-runtime does not ask systemd for cgroups; leave --systemd-cgroup out",
        )
        .into());
    }
    let hooks = &spec.hooks;
    let lists = [
        &hooks.prestart,
        &hooks.create_runtime,
        &hooks.create_container,
        &hooks.start_container,
        &hooks.poststart,
        &hooks.poststop,
    ];
    if lists.iter().any(|list| !list.is_empty()) {
        return Err(NotYet("this version of holm-runtime runs no hooks, so `hooks` has to be empty").into());
    }
    let launch = Launch {
        root: Root::Directory { path: bundle.join(&spec.root.path) },
        cgroup: place(&spec.linux.cgroups_path, &id)?,
        id,
        spec,
        bundle,
        idmap_root: false,
        files: Vec::new(),
        make_cwd: false,
        stdio: Stdio::Inherit,
        init: false,
        die_with_parent: false,
        keep_keyring: arguments.get_flag("no-new-keyring"),
        preserve_fds: arguments.get_one::<u16>("preserve-fds").copied().unwrap_or(0).into(),
    };
    let facts = HostFacts::read()?;
    let plan = runtime::plan(&launch, &facts)?;
    if context.log.is_debug() {
        plan.to_string().lines().for_each(|step| context.log.debug(step));
    }
    for note in plan.notes() {
        context.log.warn(note);
    }
    let state = StateRoot::open(&context.root)?;
    let running = runtime::launch(&launch, &plan, &state)?;
    if let Some(file) = arguments.get_one::<PathBuf>("pid-file") {
        std::fs::write(file, running.pid().to_string()).map_err(|error| unreadable("write", file, error))?;
    }
    let (exit, left) = running.wait()?;
    for cause in left {
        context.log.warn(&format!("left behind: {cause}"));
    }
    Ok(ExitCode::from(exit.status() as u8))
}

/// An absolute path is one below each hierarchy, a relative one is below where this process is (config-linux.md, "Cgroups Path").
fn place(path: &str, id: &ContainerId) -> Result<Place, Failure> {
    match path.strip_prefix('/') {
        Some(path) => Ok(Place::Mount(CgroupPath::parse(path)?)),
        None if path.is_empty() => Ok(Place::Own(CgroupPath::parse(id.as_str())?)),
        None => Ok(Place::Own(CgroupPath::parse(path)?)),
    }
}

//! Making a container: its id, its name, its definition. Nothing of it runs then.

use std::path::Path;
use std::time::{Duration, Instant};

use monitor::Driver;
use report::{BoxedExplain, Explain, Hint, Kind};
use sys::SyscallError;

use super::definition::{Definition, HealthCheck, LogChoice};
use super::error::ContainerFailure;
use super::home::{Home, LAYER, Lock, Places, make_directory};
use super::{events, names, remove, root};
use crate::flags::env::EnvEntry;
use crate::flags::mount::Mount;
use crate::flags::name::ContainerName;
use crate::flags::named::VolumesFrom;
use crate::flags::network::Network;
use crate::host::{self, Caller, boxed};
use crate::request::{Changes, RunFlags, RunRequest};
use crate::volumes;

/// What is asked for beside the request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extras {
    /// `--rm`
    pub auto_remove: bool,
    /// `--interactive`
    pub open_stdin: bool,
    /// Its input ends with the first who gives some.
    pub stdin_once: bool,
    /// `--restart`
    pub restart: monitor::Policy,
    /// `--log-driver`, `--log-opt`
    pub log: LogChoice,
    /// `--stop-timeout`
    pub stop_timeout: Option<i64>,
    /// `--health-*`
    pub health: Option<HealthCheck>,
    /// The image's name, as it is shown.
    pub image: Option<String>,
    /// The image's manifest, by which the store knows it.
    pub manifest: Option<String>,
    /// `--volumes-from`
    pub volumes_from: Vec<VolumesFrom>,
}

/// A container that was just made, which this process has the lock of.
#[derive(Debug)]
pub struct Created {
    /// Where it is.
    pub home: Home,
    /// What it is.
    pub definition: Definition,
    /// The lock.
    pub lock: Lock,
}

/// Makes a container of `request`. When it fails nothing of it is left; a crash leaves a directory without a definition, which is nothing
/// to anybody and goes with the next [`super::remove::sweep`].
///
/// # Errors
/// What the request names and is not there, and [`ContainerFailure::NameTaken`].
pub fn create(places: &Places, request: &RunRequest, extras: Extras) -> Result<Created, BoxedExplain> {
    let mut request = settled(request)?;
    check_log(&request, &extras)?;
    let id = crate::prepare::random_id();
    let durable = !extras.auto_remove;
    let home = Home::new(places, &id, durable);
    let mut tries = 0;
    let lock = loop {
        make_directory(&home.directory)?;
        match home.lock() {
            Ok(lock) => break lock,
            // Somebody who sweeps took it for one that a killed process left, before it was locked.
            Err(ContainerFailure::NotFound(_)) if tries < 100 => tries += 1,
            Err(error) => {
                let _ = std::fs::remove_dir(&home.directory);
                return Err(boxed(error));
            }
        }
    };
    let held = extras.manifest.is_some();
    let outcome = fill(places, &home, &mut request, extras);
    match outcome {
        Ok(definition) => Ok(Created { home, definition, lock }),
        Err(error) => {
            if held {
                let _ = root::release(&home);
            }
            let _ = std::fs::remove_dir_all(&home.directory);
            Err(error)
        }
    }
}

/// A log that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("--log-driver {driver}: {why}")]
struct NoLog {
    driver: &'static str,
    why: &'static str,
    advice: &'static str,
}

impl Explain for NoLog {
    fn kind(&self) -> Kind {
        Kind::Unsupported
    }
    fn hint(&self) -> Option<Hint> {
        Some(Hint::new(self.advice))
    }
}

fn check_log(request: &RunFlags, extras: &Extras) -> Result<(), BoxedExplain> {
    let driver = extras.log.driver;
    let refuse = |why, advice| Err(boxed(NoLog { driver: driver.name(), why, advice }));
    match driver {
        Driver::Journald if !monitor::log::journald::is_there() => {
            refuse("there is no journal on this host", "json-file and k8s-file take files")
        }
        Driver::Passthrough if request.streams.tty => {
            refuse("a terminal of its own cannot be passed through", "leave out --tty")
        }
        _ => Ok(()),
    }
}

/// A size for what a directory's container keeps.
#[derive(Debug, thiserror::Error)]
#[error("--storage-opt size= limits changes to an image, or to what goes with its end")]
struct NoSize;

impl Explain for NoSize {
    fn kind(&self) -> Kind {
        Kind::Unsupported
    }
    fn hint(&self) -> Option<Hint> {
        Some(Hint::new(
            "use an image, or --rm, which keeps changes in memory, or limit the file system that holm's own files are on",
        ))
    }
}

/// How long a container may take to end whose holm was killed.
const DYING: Duration = Duration::from_secs(5);

/// Takes the name for a container. One whose holm was killed gives way, once its processes have ended with that.
fn claim(places: &Places, name: &str, home: &Home) -> Result<(), BoxedExplain> {
    let until = Instant::now() + DYING;
    loop {
        let Err(error) = names::claim(places, name, home) else { return Ok(()) };
        if !remove::sweep(places, usize::MAX).containers.is_empty() {
            return names::claim(places, name, home);
        }
        let is_left = |(id, durable): (String, bool)| Home::new(places, &id, durable).is_left_alone();
        if Instant::now() > until || !names::resolve(places, name).is_some_and(is_left) {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn fill(
    places: &Places,
    home: &Home,
    request: &mut RunFlags,
    extras: Extras,
) -> Result<Definition, BoxedExplain> {
    if let Some(manifest) = &extras.manifest {
        root::make(home, manifest, request)?;
    }
    if home.durable && request.rootfs.changes == Changes::Discard {
        if request.rootfs.size.is_some() {
            return Err(boxed(NoSize));
        }
        // It stays when the container ends, so that it finds its changes when it is started again.
        let layer = home.directory.join(LAYER);
        make_layer(&layer, &request.rootfs.directory)?;
        request.rootfs.changes = Changes::Keep(layer);
    }
    // What goes with its end has nothing in the store, unless its root is there.
    let manifest = extras.manifest.filter(|_| home.durable || request.rootfs.copied);
    let name = match &request.name {
        Some(name) => {
            claim(places, name.as_str(), home)?;
            name.as_str().to_owned()
        }
        None => claim_some_name(places, home)?,
    };
    // Behind the name, for which others may have to be taken away: nobody removes volumes as long as this is held, until the definition says
    // that they are used.
    let volumes = match volumes::attach(places, home, request, &extras.volumes_from) {
        Ok(volumes) => volumes,
        Err(error) => {
            let _ = names::release(places, &name, home);
            return Err(error);
        }
    };
    let definition = Definition {
        version: 1,
        id: home.id.clone(),
        name,
        created_ns: monitor::time::now_ns(),
        request: request.clone(),
        auto_remove: extras.auto_remove,
        open_stdin: extras.open_stdin,
        stdin_once: extras.stdin_once,
        restart: extras.restart,
        log: extras.log,
        stop_timeout: extras.stop_timeout,
        health: extras.health,
        terminal_type: std::env::var("TERM").ok().filter(|kind| !kind.is_empty()),
        image: extras.image,
        manifest,
        volumes_from: extras.volumes_from.iter().map(VolumesFrom::text).collect(),
    };
    if let Err(error) =
        home.write_definition(&definition, home.durable).and_then(|()| home.sync_names(places))
    {
        let _ = names::release(places, &definition.name, home);
        return Err(boxed(error));
    }
    volumes.keep();
    events::emit(places, home, Some(&definition), "create", &[]);
    Ok(definition)
}

/// The directories of a layer over `lower`. An overlay shows its upper root: that has to look like the root below, whatever the caller's umask.
pub(crate) fn make_layer(layer: &Path, lower: &Path) -> Result<(), BoxedExplain> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let upper = layer.join("upper");
    let is_new = !upper.exists();
    make_directory(&upper)?;
    make_directory(&layer.join("work"))?;
    let Ok(like) = std::fs::metadata(lower) else { return Ok(()) };
    if !is_new {
        return Ok(());
    }
    let mode = std::fs::Permissions::from_mode(like.mode() & 0o7777);
    std::fs::set_permissions(&upper, mode)
        .and_then(|()| match rustix::process::geteuid().is_root() {
            true => std::os::unix::fs::chown(&upper, Some(like.uid()), Some(like.gid())),
            false => Ok(()),
        })
        .map_err(|error| {
            let cause = SyscallError::new("chmod", upper.display().to_string(), error);
            boxed(ContainerFailure::Place { path: upper, cause })
        })
}

fn claim_some_name(places: &Places, home: &Home) -> Result<String, BoxedExplain> {
    let mut attempt = 0;
    loop {
        let name = names::from_id(&home.id, attempt);
        match names::claim(places, &name, home) {
            Ok(()) => return Ok(name),
            Err(error) if error.kind() == report::Kind::AlreadyExists && attempt < 15 => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Gives a container another name.
///
/// # Errors
/// [`ContainerFailure::NameTaken`], and those of the calls.
pub fn rename(places: &Places, home: &Home, name: &ContainerName) -> Result<(), BoxedExplain> {
    let _lock = home.lock().map_err(boxed)?;
    let mut definition = home.definition().map_err(boxed)?;
    let old = std::mem::replace(&mut definition.name, name.as_str().to_owned());
    names::rename(places, &old, name.as_str(), home, || {
        home.write_definition(&definition, home.durable).and_then(|()| home.sync_names(places)).map_err(boxed)
    })?;
    events::emit(places, home, Some(&definition), "rename", &[("oldName", old.into())]);
    Ok(())
}

/// The request without anything that depends on the caller: it is to mean the same whoever starts the container, and from where.
fn settled(request: &RunRequest) -> Result<RunFlags, BoxedExplain> {
    let mut flags: RunFlags = (**request).clone();
    if flags.rootfs.below.is_empty() {
        flags.rootfs.directory = host::canonical("--rootfs", &flags.rootfs.directory)?;
    }
    if let Changes::Keep(kept) = &mut flags.rootfs.changes {
        *kept = host::canonical("--keep-changes", kept)?;
    }
    flags.mounts = flags.mounts.into_iter().map(settled_mount).collect::<Result<_, _>>()?;
    flags.env = flags.env.into_iter().filter_map(resolved).collect();
    if flags.network == Network::Unsaid {
        // What is usual for this caller, by the caller's environment too.
        flags.network = crate::connection::resolve(request, &Caller::read())?;
    }
    Ok(flags)
}

/// A mount whose source does not depend on the caller. One that is missing is told of now, not when the container is started.
pub(super) fn settled_mount(mut mount: Mount) -> Result<Mount, BoxedExplain> {
    if let Mount::Bind(bind) = &mut mount {
        bind.source = absolute(&bind.source)?;
        if !bind.options.create_source {
            host::canonical("--volume", &bind.source)?;
        }
    }
    Ok(mount)
}

fn absolute(path: &Path) -> Result<std::path::PathBuf, BoxedExplain> {
    std::path::absolute(path).map_err(|error| {
        let cause = SyscallError::new("getcwd", path.display().to_string(), error);
        boxed(ContainerFailure::Place { path: path.to_owned(), cause })
    })
}

/// A variable with its value; none when it was to be the caller's, who has none.
fn resolved(entry: EnvEntry) -> Option<EnvEntry> {
    match entry {
        EnvEntry::Set { .. } => Some(entry),
        EnvEntry::Inherit { name } => {
            let value = std::env::var(&name).ok()?;
            Some(EnvEntry::Set { name, value })
        }
    }
}

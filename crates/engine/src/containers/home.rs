//! Where containers are kept.
//!
//! A container that stays has its home in the durable directory; one that goes with its end (`--rm`) in the run directory, which is in
//! memory on most hosts. Both have a directory in the latter for what lives as long as the container runs: the monitor's socket and
//! lock, and what is known of the run.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use report::BoxedExplain;
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, fstat, openat, statat};
use serde::{Deserialize, Serialize};
use sys::SyscallError;

use super::definition::Definition;
use super::error::ContainerFailure;
use crate::host::{Caller, boxed};

/// The file with the definition.
pub const DEFINITION: &str = "definition.json";
/// The file whose existence says that somebody stopped the container on purpose.
pub const STOPPED: &str = "stopped";
/// What is known of the current or last run.
pub const RUN: &str = "run.json";
/// The file that a monitor holds a lock on, in the run directory.
pub const MONITOR: &str = "monitor";
/// The file that a program holds a lock on which runs a container in the foreground, as long as it lives.
pub const KEEPER: &str = "keeper";
/// The directory of the layer that takes the changes of a container that stays.
pub const LAYER: &str = "layer";
/// The OCI configuration of a container in the foreground; the record of others has it.
pub const CONFIG: &str = "config.json";
/// The log.
pub const LOG: &str = "log";

/// How long another process may take with a container before we give up on it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The directories that everything is below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// What survives a boot.
    pub durable: PathBuf,
    /// What does not need to.
    pub run: PathBuf,
}

impl Places {
    /// Those of a caller.
    pub fn of(caller: &Caller) -> Self {
        Self { durable: caller.state_directory.clone(), run: caller.run_directory.clone() }
    }

    /// The directory with the homes of containers that stay, or that go with their end.
    pub fn homes(&self, durable: bool) -> PathBuf {
        if durable { self.durable.join("containers") } else { self.run.join("containers") }
    }

    /// The directory with the names of such containers.
    pub fn names(&self, durable: bool) -> PathBuf {
        if durable { self.durable.join("names") } else { self.run.join("names") }
    }

    /// The directory of the records of what runs.
    pub fn records(&self) -> PathBuf {
        self.run.join("run")
    }
}

/// Makes a directory and those above it, for its owner only.
///
/// # Errors
/// Those of mkdir(2).
pub(crate) fn make_directory(path: &Path) -> Result<(), BoxedExplain> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
        let cause = SyscallError::new("mkdir", path.display().to_string(), error);
        boxed(ContainerFailure::Place { path: path.to_owned(), cause })
    })
}

/// A container's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The id.
    pub id: String,
    /// Definition, log, layer, how the last run ended.
    pub directory: PathBuf,
    /// What lives as long as the machine runs.
    pub run_directory: PathBuf,
    /// Whether it stays when the container ends.
    pub durable: bool,
}

/// What is known of a run from its beginning on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RunRecord {
    /// Which run of the container, counted from 1.
    pub run: u64,
    /// When its program was started, in nanoseconds since 1970.
    pub started_ns: u64,
    /// Its first process.
    pub pid: i32,
    /// How many restarts in a row there were before it.
    pub restarts: u32,
    /// Whether it has a monitor; one in the foreground has not.
    pub monitored: bool,
    /// The inodes of the pipes that are its standard output and error, for a monitor after the first.
    pub pipes: Vec<u64>,
    /// The number of its range of ids, for such a monitor as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ids: Option<u32>,
}

impl Home {
    /// The place of a container of this id.
    pub fn new(places: &Places, id: &str, durable: bool) -> Self {
        Self {
            id: id.to_owned(),
            directory: places.homes(durable).join(id),
            run_directory: places.run.join("containers").join(id),
            durable,
        }
    }

    /// The beginning of the id, as it is shown.
    pub fn short(&self) -> &str {
        short(&self.id)
    }

    /// Reads the definition.
    ///
    /// # Errors
    /// [`ContainerFailure::NotFound`] when there is none, [`ContainerFailure::Damaged`] for one that cannot be read.
    pub fn definition(&self) -> Result<Definition, ContainerFailure> {
        let bytes = match std::fs::File::open(self.directory.join(DEFINITION)) {
            Ok(file) => {
                let mut bytes = Vec::with_capacity(2048);
                match file.take(16 << 20).read_to_end(&mut bytes) {
                    Ok(_) => bytes,
                    Err(error) => return Err(self.damaged(error.to_string())),
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ContainerFailure::NotFound(self.id.clone()));
            }
            Err(error) => return Err(self.damaged(error.to_string())),
        };
        Definition::from_bytes(&bytes).map_err(|why| self.damaged(why))
    }

    fn damaged(&self, why: String) -> ContainerFailure {
        ContainerFailure::Damaged { id: self.id.clone(), why }
    }

    /// Writes the definition, whole or not at all; with `sync` it is on the disk then, also if the power is lost.
    ///
    /// # Errors
    /// Those of the calls.
    pub fn write_definition(&self, definition: &Definition, sync: bool) -> Result<(), ContainerFailure> {
        let failed = |cause| self.failed("write the definition of", cause);
        let directory = monitor::exit::open_directory(&self.directory).map_err(failed)?;
        monitor::exit::write_file(&directory, DEFINITION, &definition.to_bytes(), sync).map_err(failed)
    }

    /// Puts on the disk that there is such a container, and such a name. One that goes with its end needs neither.
    ///
    /// # Errors
    /// Those of the calls.
    pub(crate) fn sync_names(&self, places: &Places) -> Result<(), ContainerFailure> {
        if !self.durable {
            return Ok(());
        }
        for path in [places.homes(true), places.names(true)] {
            let directory = monitor::exit::open_directory(&path)
                .map_err(|cause| self.failed("write the definition of", cause))?;
            // Where a directory cannot be synchronised the file system needs no telling.
            let _ = rustix::fs::fsync(directory);
        }
        Ok(())
    }

    /// A failure that is about this container.
    pub fn failed(&self, what: &'static str, cause: SyscallError) -> ContainerFailure {
        ContainerFailure::Call { what, name: self.short().to_owned(), cause }
    }

    /// The OCI configuration that it runs with. Whoever launched a container in the foreground keeps it once the program runs, and is
    /// waited for; this process must not have the lock.
    ///
    /// # Errors
    /// When it is not there, or is damaged.
    pub fn configuration(&self, container: &runtime::Container) -> Result<spec::Spec, BoxedExplain> {
        if self.run().is_none_or(|run| run.monitored) {
            return container.spec().map(spec::Valid::into_inner).map_err(boxed);
        }
        let path = self.directory.join(CONFIG);
        let again = |_| {
            drop(self.lock());
            std::fs::read(&path)
        };
        let bytes = std::fs::read(&path).or_else(again).map_err(|error| {
            let cause = SyscallError::new("read", path.display().to_string(), error);
            boxed(self.failed("read the configuration of", cause))
        })?;
        spec::load(&bytes).map_err(boxed)
    }

    /// How the last run ended.
    pub fn exit(&self) -> Option<monitor::ExitRecord> {
        read_json(&self.directory.join(monitor::exit::EXIT_FILE))
    }

    /// What is known of the current or last run.
    pub fn run(&self) -> Option<RunRecord> {
        read_json(&self.directory.join(RUN))
    }

    /// What is known of its health.
    pub fn health(&self) -> Option<monitor::HealthRecord> {
        read_json(&self.run_directory.join(monitor::exit::HEALTH_FILE))
    }

    /// Whether somebody stopped it on purpose.
    pub fn was_stopped(&self) -> bool {
        self.directory.join(STOPPED).exists()
    }

    /// Notes, or takes back, that somebody stopped it on purpose.
    ///
    /// # Errors
    /// Those of the calls.
    pub fn note_stopped(&self, stopped: bool) -> Result<(), ContainerFailure> {
        let path = self.directory.join(STOPPED);
        let outcome = match stopped {
            true => File::options().create(true).append(true).open(&path).map(drop),
            false => match std::fs::remove_file(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                outcome => outcome,
            },
        };
        outcome.map_err(|error| {
            self.failed("note what was asked of", SyscallError::new("openat", STOPPED, error))
        })
    }

    /// Notes that this process takes it away: what its monitor does after the end would be for nothing. The next start takes that back.
    pub(crate) fn note_removal(&self) {
        let _ = File::create(self.run_directory.join(monitor::setup::REMOVAL));
    }

    /// Whether a monitor watches it: its lock is the kernel's word for that.
    pub fn has_monitor(&self) -> bool {
        self.is_locked(MONITOR)
    }

    /// Whether it has ended and its log is not complete yet, which takes its monitor a moment.
    pub fn is_draining(&self) -> bool {
        let Ok(file) = File::open(self.run_directory.join(MONITOR)) else { return false };
        sys::lock::is_byte_locked(&file, monitor::setup::DRAINING).unwrap_or(false)
    }

    /// Whether a program runs it in the foreground, or is about to take away what is left of it.
    pub fn has_keeper(&self) -> bool {
        self.is_locked(KEEPER)
    }

    /// Whether it ran in the foreground and the program that did that is gone, with which its processes end.
    pub(crate) fn is_left_alone(&self) -> bool {
        let Some(_lock) = self.try_lock() else { return false };
        let goes = self.definition().is_ok_and(|definition| definition.auto_remove)
            && self.run().is_some_and(|run| !run.monitored);
        goes && !self.has_monitor() && !self.has_keeper()
    }

    fn is_locked(&self, file: &str) -> bool {
        let Ok(file) = File::open(self.run_directory.join(file)) else { return false };
        flock(&file, FlockOperation::NonBlockingLockShared).is_err()
    }

    /// Takes the lock that a monitor holds as long as it lives. None when there is one.
    pub(crate) fn monitor_lock(&self) -> Result<Option<OwnedFd>, ContainerFailure> {
        self.life_lock(MONITOR)
    }

    /// The same for who runs it in the foreground.
    pub(crate) fn keeper_lock(&self) -> Result<Option<OwnedFd>, ContainerFailure> {
        self.life_lock(KEEPER)
    }

    fn life_lock(&self, name: &'static str) -> Result<Option<OwnedFd>, ContainerFailure> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = self.run_directory.join(name);
        let open = || openat(CWD, &path, flags, Mode::RUSR | Mode::WUSR);
        let file = match open() {
            Err(rustix::io::Errno::NOENT) if make_directory(&self.run_directory).is_ok() => open(),
            outcome => outcome,
        };
        let file = file.map_err(|errno| self.failed("watch", SyscallError::new("openat", name, errno)))?;
        let until = Instant::now() + PATIENCE;
        while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            // Who only looks whether somebody has it has it for a moment himself, together with others who look.
            let is_anothers = flock(&file, FlockOperation::NonBlockingLockShared).is_err();
            if is_anothers || Instant::now() >= until {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        Ok(Some(file))
    }

    /// Keeps other processes from working on it as long as the lock lives.
    ///
    /// # Errors
    /// [`ContainerFailure::Busy`] when another one does for long; [`ContainerFailure::NotFound`] when it was taken away meanwhile.
    pub fn lock(&self) -> Result<Lock, ContainerFailure> {
        let until = Instant::now() + PATIENCE;
        let mut pause = Duration::from_micros(100);
        loop {
            let lock = self.open_lock()?;
            loop {
                match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                    Ok(()) => break,
                    Err(_) if Instant::now() >= until => {
                        return Err(ContainerFailure::Busy(self.short().to_owned()));
                    }
                    Err(_) => std::thread::sleep(pause),
                }
                pause = (pause * 2).min(Duration::from_millis(5));
            }
            if self.is_still(&lock) {
                return Ok(Lock(lock));
            }
        }
    }

    /// The lock if nobody has it.
    pub fn try_lock(&self) -> Option<Lock> {
        let lock = self.open_lock().ok()?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).ok()?;
        self.is_still(&lock).then_some(Lock(lock))
    }

    /// A lock on the directory itself: it cannot be left behind.
    fn open_lock(&self) -> Result<OwnedFd, ContainerFailure> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(CWD, &self.directory, flags, Mode::empty()).map_err(|errno| match errno {
            rustix::io::Errno::NOENT => ContainerFailure::NotFound(self.id.clone()),
            errno => self.failed("lock", SyscallError::new("openat", self.id.as_str(), errno)),
        })
    }

    /// Whether the directory still goes by its name.
    fn is_still(&self, lock: &OwnedFd) -> bool {
        let (Ok(ours), Ok(now)) = (fstat(lock), statat(CWD, &self.directory, AtFlags::SYMLINK_NOFOLLOW))
        else {
            return false;
        };
        (ours.st_dev, ours.st_ino) == (now.st_dev, now.st_ino)
    }
}

/// A container that this process works on.
#[derive(Debug)]
pub struct Lock(OwnedFd);

impl Lock {
    /// The descriptor, for the process that goes on with the work.
    pub(crate) fn into_fd(self) -> OwnedFd {
        self.0
    }

    /// A lock that another process has passed on.
    pub(crate) fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

/// The beginning of an id, as it is shown.
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

pub(crate) fn read_json<T: for<'a> Deserialize<'a>>(path: &Path) -> Option<T> {
    let file = File::open(path).ok()?;
    let mut bytes = Vec::with_capacity(512);
    file.take(1 << 20).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

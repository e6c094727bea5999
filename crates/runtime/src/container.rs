//! A container that is kept: what there is to know about it, from its record and from the kernel.
//!
//! [`Container::open`] finds it by its id. Whether it lives is asked of the kernel each time, by its process's handle; nothing
//! is looked up that a question does not need. [`Container::start`], [`Container::kill`] and [`Container::delete`] act on it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, SystemTime};

use cgroups::{Cgroup, Recorded};
use report::{Explain, Hint, Kind};
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, fstat, openat, statat};
use spec::{CapabilitySet, Hooks, Map, Spec, State, Status, Valid};
use sys::SyscallError;

use crate::act::LaunchError;
use crate::inputs::ContainerId;
use crate::record::{Intent, Process, Record, RecordedGroup, freezer};
use crate::start::Tail;
use crate::state::{
    StateError, StateRoot, config_name, listen_for_notifications, lock_within, notify_name, record_name,
    start_name,
};

/// How long another process may take with a container before we give up on it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A container of a record.
#[derive(Debug)]
pub struct Container {
    root: StateRoot,
    id: ContainerId,
    /// None when only what is beside the record is left.
    file: Option<File>,
    record: Record,
    /// How many bytes of the record were read. It is only ever added to.
    len: u64,
}

/// Something could not be done to a container.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// Its record cannot be had.
    #[error(transparent)]
    State(#[from] StateError),
    /// It is in a state in which that cannot be done.
    #[error("cannot {verb} container `{id}`: it {state}")]
    Conflict {
        /// The id.
        id: String,
        /// What was asked for.
        verb: &'static str,
        /// Why not.
        state: String,
    },
    /// There is no process to send a signal to. Engines look for these words.
    #[error("container not running: `{id}` is {status}")]
    NotRunning {
        /// The id.
        id: String,
        /// How it is instead.
        status: Status,
    },
    /// Its program could not be started.
    #[error(transparent)]
    Start(Box<LaunchError>),
    /// The kernel refuses something.
    #[error("{what} container `{id}`")]
    Call {
        /// What was being done.
        what: &'static str,
        /// The id.
        id: String,
        /// What failed.
        #[source]
        cause: SyscallError,
    },
    /// Its cgroup cannot be worked on.
    #[error("work on the cgroup of container `{id}`")]
    Cgroup {
        /// The id.
        id: String,
        /// What failed.
        #[source]
        cause: Box<cgroups::Error>,
    },
    /// What is kept of its configuration cannot be read.
    #[error("read the configuration kept of container `{id}`: {why}")]
    Configuration {
        /// The id.
        id: String,
        /// What is wrong.
        why: String,
    },
}

impl Explain for ContainerError {
    fn below(&self) -> Option<&dyn Explain> {
        match self {
            Self::State(cause) => cause.below(),
            Self::Start(cause) => cause.below(),
            Self::Call { cause, .. } => Some(cause),
            Self::Cgroup { cause, .. } => Some(&**cause),
            Self::Conflict { .. } | Self::NotRunning { .. } | Self::Configuration { .. } => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::State(cause) => cause.kind(),
            Self::Start(cause) => cause.kind(),
            Self::Call { cause, .. } => cause.kind(),
            Self::Cgroup { cause, .. } => cause.kind(),
            Self::Conflict { .. } | Self::NotRunning { .. } => Kind::StateConflict,
            Self::Configuration { .. } => Kind::Io,
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::State(cause) => cause.hint(),
            Self::Start(cause) => cause.hint(),
            Self::Conflict { verb: "delete", .. } => {
                Some(Hint::new("stop it first, or delete it with --force, which kills it"))
            }
            Self::Configuration { .. } => Some(Hint::new("only `delete --force` does without it")),
            _ => None,
        }
    }
}

impl Container {
    /// The container of this id. A record that is damaged is opened as well, for [`Container::delete`].
    ///
    /// # Errors
    /// [`StateError::NotFound`] when there is nothing of that id.
    pub fn open(root: &StateRoot, id: &ContainerId) -> Result<Self, StateError> {
        let root = root.again();
        let file = open_file(&root, &record_name(id.as_str()))?;
        let mut container = Self { root, id: id.clone(), file, record: Record::default(), len: 0 };
        container.read()?;
        if container.file.is_none() && container.record.intent.is_none() {
            let left = [config_name(id.as_str()), start_name(id.as_str()), notify_name(id.as_str())];
            let is_there =
                |name: &String| statat(&container.root.dir, name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
            if !left.iter().any(is_there) {
                return Err(StateError::NotFound { id: id.to_string() });
            }
        }
        Ok(container)
    }

    /// Reads the record once more, if anything was added to it.
    pub(crate) fn reread(&mut self) -> Result<(), StateError> {
        match self.file.as_ref().map(fstat) {
            Some(Ok(status)) if self.record.intent.is_some() && status.st_size as u64 == self.len => Ok(()),
            _ => self.read(),
        }
    }

    fn read(&mut self) -> Result<(), StateError> {
        /// More than any record that is one.
        const MOST: u64 = 16 << 20;
        if let Some(mut file) = self.file.as_ref() {
            let mut text = Vec::with_capacity(4096);
            let name = self.id.as_str();
            if self.len > 0 {
                file.seek(SeekFrom::Start(0)).map_err(|error| self.root.failed("lseek", name, error))?;
            }
            file.take(MOST).read_to_end(&mut text).map_err(|error| self.root.failed("read", name, error))?;
            self.record = Record::parse(&text);
            self.len = text.len() as u64;
        }
        if self.record.intent.is_none()
            && let Some(kept) = self.kept()
        {
            self.record.intent = Record::parse(&kept).intent;
        }
        Ok(())
    }

    /// What was kept beside the record: the intent, the tail of the plan, and the configuration.
    fn kept(&self) -> Option<Vec<u8>> {
        let mut kept = Vec::new();
        let file = open_file(&self.root, &config_name(self.id.as_str())).ok().flatten()?;
        (&file).read_to_end(&mut kept).ok()?;
        Some(kept)
    }

    pub(crate) fn tail(&self) -> Tail {
        let kept = self.kept_soon().unwrap_or_default();
        kept.split(|byte| *byte == b'\n')
            .nth(1)
            .and_then(|line| serde_json::from_slice(line).ok())
            .unwrap_or_default()
    }

    /// The configuration that it was made from.
    ///
    /// # Errors
    /// When what is kept of it is damaged.
    pub fn spec(&self) -> Result<Valid<Spec>, ContainerError> {
        spec::validate(self.spec_unjudged()?).map_err(|error| self.not_readable(report::one_line(&error)))
    }

    /// The same for who changes it and has it judged then.
    ///
    /// # Errors
    /// As [`Container::spec`].
    pub fn spec_unjudged(&self) -> Result<Spec, ContainerError> {
        let kept = self.kept_soon().unwrap_or_default();
        let config = kept.splitn(3, |byte| *byte == b'\n').nth(2);
        let config = config.ok_or_else(|| self.not_readable("it is not there, or was cut off".to_owned()))?;
        spec::load(config).map_err(|error| self.not_readable(report::one_line(&error)))
    }

    fn not_readable(&self, why: String) -> ContainerError {
        ContainerError::Configuration { id: self.id.to_string(), why }
    }

    /// What is kept beside the record. It is written while the first process is on its way already: who has seen that live waits a moment.
    fn kept_soon(&self) -> Option<Vec<u8>> {
        const PAUSE: std::time::Duration = std::time::Duration::from_millis(5);
        for _ in 0..400 {
            match self.kept() {
                None if self.process().is_some() => std::thread::sleep(PAUSE),
                kept => return kept,
            }
        }
        self.kept()
    }

    pub(crate) fn root(&self) -> &StateRoot {
        &self.root
    }

    pub(crate) fn dir(&self) -> BorrowedFd<'_> {
        self.root.dir.as_fd()
    }

    pub(crate) fn intent(&self) -> Option<&Intent> {
        self.record.intent.as_ref()
    }

    /// Its id.
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    /// The compiled filters that are kept beside its record.
    pub fn filters(&self) -> Option<std::sync::Arc<seccomp::Cache>> {
        self.root.filters()
    }

    /// The directory that relative paths of its configuration start from.
    pub fn bundle(&self) -> &Path {
        self.intent().map_or(Path::new(""), |intent| &intent.bundle)
    }

    /// The directory that its root is taken from.
    pub fn rootfs(&self) -> &Path {
        self.intent().map_or(Path::new(""), |intent| &intent.rootfs)
    }

    /// When it was made.
    pub fn created(&self) -> SystemTime {
        self.intent().map_or(SystemTime::UNIX_EPOCH, Intent::created)
    }

    /// The user who made it.
    pub fn owner_uid(&self) -> u32 {
        self.intent().map_or(0, |intent| intent.owner_uid)
    }

    /// Capabilities beyond which its program's bounding set does not go.
    pub fn bounding(&self) -> CapabilitySet {
        CapabilitySet(self.intent().map_or(u64::MAX, |intent| intent.bounding))
    }

    /// The annotations of its configuration.
    pub fn annotations(&self) -> &Map<String> {
        static NONE: Map<String> = Map::new();
        self.intent().map_or(&NONE, |intent| &intent.annotations)
    }

    /// The unit of systemd that its cgroup is: what has new limits before the cgroup's own files.
    pub fn unit(&self) -> Option<&crate::unit::RecordedUnit> {
        self.intent().and_then(|intent| intent.unit.as_ref())
    }

    /// The hooks that run after its creation.
    pub(crate) fn hooks(&self) -> &Hooks {
        static NONE: Hooks = Hooks {
            prestart: Vec::new(),
            create_runtime: Vec::new(),
            create_container: Vec::new(),
            start_container: Vec::new(),
            poststart: Vec::new(),
            poststop: Vec::new(),
        };
        self.intent().map_or(&NONE, |intent| &intent.hooks)
    }

    /// The version of the specification that its configuration follows.
    pub fn oci_version(&self) -> &str {
        self.intent().map_or(spec::OCI_VERSION, |intent| &intent.oci_version)
    }

    /// A handle of its first process; none when that has ended, whether somebody has waited for it or not.
    pub fn pidfd(&self) -> Option<OwnedFd> {
        self.record.started.and_then(Process::open)
    }

    /// Whether there ever was a first process.
    pub(crate) fn has_started(&self) -> bool {
        self.record.started.is_some()
    }

    /// The number and a handle of its first process; none when that has ended.
    pub fn process(&self) -> Option<(i32, OwnedFd)> {
        self.record.started.and_then(|process| Some((process.pid, process.open()?)))
    }

    /// The number of its first process; 0 when that has ended.
    pub fn pid(&self) -> i32 {
        self.record.started.filter(|process| process.open().is_some()).map_or(0, |process| process.pid)
    }

    /// Where in its life it is.
    pub fn status(&self) -> Status {
        self.status_of(self.pid() != 0)
    }

    /// The same for who knows whether its first process lives.
    pub fn status_of(&self, alive: bool) -> Status {
        match (alive, self.record.created) {
            (false, false) if self.intent().is_some_and(|intent| intent.keeper.open().is_some()) => {
                Status::Creating
            }
            (false, _) => Status::Stopped,
            (true, false) => Status::Creating,
            (true, true) if self.is_frozen() => Status::Paused,
            (true, true) if self.root.waits_for_start(&self.id) => Status::Created,
            (true, true) => Status::Running,
        }
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.intent().and_then(|intent| freezer(&intent.cgroups)).is_some_and(RecordedGroup::is_frozen)
    }

    /// Its state, as the specification has it.
    pub fn state(&self) -> State {
        let pid = self.pid();
        self.state_with(self.status_of(pid != 0), pid)
    }

    pub(crate) fn state_as(&self, status: Status) -> State {
        self.state_with(status, if status == Status::Stopped { 0 } else { self.pid() })
    }

    fn state_with(&self, status: Status, pid: i32) -> State {
        State {
            oci_version: self.oci_version().to_owned(),
            id: self.id.to_string(),
            status,
            pid,
            bundle: self.bundle().display().to_string(),
            annotations: self.annotations().clone(),
        }
    }

    /// What hooks are told of a program that was started, though it may have ended meanwhile.
    pub(crate) fn state_after_start(&self) -> State {
        let pid = self.record.started.map_or(0, |process| process.pid);
        State { pid, ..self.state_as(Status::Running) }
    }

    /// A socket for what its program says of itself, from now on; none for a container that was not to have one.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn notifications(&self) -> Result<Option<OwnedFd>, ContainerError> {
        let failed =
            |cause| ContainerError::Call { what: "listen to the program of", id: self.id.to_string(), cause };
        listen_for_notifications(&self.root.dir, self.id.as_str()).map_err(failed)
    }

    /// Its cgroup; directories that are gone are left out.
    ///
    /// # Errors
    /// When a hierarchy is no longer mounted where it was.
    pub fn cgroup(&self) -> Result<Cgroup, ContainerError> {
        let groups = self.intent().map_or(&[][..], |intent| &intent.cgroups);
        let recorded: Vec<_> = groups.iter().map(RecordedGroup::to_recorded).collect();
        Cgroup::open(&recorded)
            .map_err(|cause| ContainerError::Cgroup { id: self.id.to_string(), cause: Box::new(cause) })
    }

    /// Where its cgroup was made.
    pub fn recorded_cgroups(&self) -> Vec<Recorded> {
        let groups = self.intent().map_or(&[][..], |intent| &intent.cgroups);
        groups.iter().map(RecordedGroup::to_recorded).collect()
    }

    /// Keeps other processes from working on it as long as this value lives, and reads its record once more.
    ///
    /// # Errors
    /// [`StateError::Busy`] when another one does for long; [`StateError::NotFound`] when it was taken away meanwhile.
    pub fn lock(&mut self) -> Result<(), StateError> {
        let busy = StateError::Busy { id: self.id.to_string() };
        if !self.lock_within(PATIENCE) {
            return Err(busy);
        }
        self.confirm()?;
        self.reread()
    }

    pub(crate) fn lock_within(&self, patience: Duration) -> bool {
        self.file.as_ref().is_none_or(|file| lock_within(file, patience))
    }

    /// That the record still goes by its name: another process may have deleted the container, and a third made one anew.
    pub(crate) fn confirm(&self) -> Result<(), StateError> {
        let Some(file) = &self.file else { return Ok(()) };
        let name = record_name(self.id.as_str());
        let now = statat(&self.root.dir, &name, AtFlags::SYMLINK_NOFOLLOW);
        let ours = fstat(file).map_err(|errno| self.root.failed("fstat", &name, errno))?;
        match now {
            Ok(now) if (now.st_dev, now.st_ino) == (ours.st_dev, ours.st_ino) => Ok(()),
            _ => Err(StateError::NotFound { id: self.id.to_string() }),
        }
    }

    /// Lets others work on it again.
    pub fn unlock(&self) {
        if let Some(file) = &self.file {
            let _ = flock(file, FlockOperation::Unlock);
        }
    }

    pub(crate) fn conflict(&self, verb: &'static str, state: impl Into<String>) -> ContainerError {
        ContainerError::Conflict { id: self.id.to_string(), verb, state: state.into() }
    }
}

fn open_file(root: &StateRoot, name: &str) -> Result<Option<File>, StateError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(&root.dir, name, flags, Mode::empty()) {
        Ok(file) => Ok(Some(file.into())),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(errno) => Err(root.failed("openat", name, errno)),
    }
}

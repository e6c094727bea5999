//! The directory of records: what has to be known to take a container away after a crash.
//!
//! A record is one file, written whole before it gets its name, and before anything else of the container exists. The process that
//! works on a container holds a lock on it, which the kernel takes back when that process ends in whatever way. A container that was
//! made to end with its keeper and whose record has no lock belongs to nobody: [`StateRoot::sweep`] takes both away. One that is
//! kept is taken away by [`crate::Container::delete`] alone.
//!
//! Beside the record `ID.json` a kept container has `ID@config`, with the configuration as it was read and a copy of the record's
//! first line, and until it is started the socket `ID@start`. One whose program says something of itself has the directory `ID@notify`
//! with a socket. No id has an `@` in it. In `@filters` are filters of system calls that were compiled for one container and may serve
//! another; they may go at any time.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use cgroups::Cgroup;
use cgroups::plan::GroupPlan;
use report::{Explain, Hint, Kind};
use rustix::fs::{
    AtFlags, CWD, FlockOperation, Mode, OFlags, flock, fstat, linkat, mkdirat, openat, statat, unlinkat,
};
use rustix::process::{Signal, pidfd_send_signal};
use sys::SyscallError;

use crate::act::PATIENCE;
use crate::inputs::{ContainerId, Launch, Life};
use crate::record::{Event, Intent, Process, Record, RecordedGroup, line};
use crate::start::Tail;

/// The directory of the records.
#[derive(Debug)]
pub struct StateRoot {
    pub(crate) dir: Arc<OwnedFd>,
    pub(crate) path: PathBuf,
}

/// A container's record that this process holds.
#[derive(Debug)]
pub struct Claim {
    dir: Arc<OwnedFd>,
    id: ContainerId,
    file: File,
    durable: bool,
    /// The record's first line.
    intent: Vec<u8>,
    notify: bool,
    /// The socket for what the program says, of a container that does not wait for its start.
    notifications: Option<OwnedFd>,
}

/// The record of a container cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// There is one already.
    #[error("a container `{id}` exists already")]
    Exists {
        /// The id.
        id: String,
    },
    /// There is none.
    #[error("container `{id}` does not exist")]
    NotFound {
        /// The id.
        id: String,
    },
    /// Another process works on it, and does not stop.
    #[error("container `{id}` is being worked on by another process")]
    Busy {
        /// The id.
        id: String,
    },
    /// A file or directory cannot be used.
    #[error("keep the record of a container in {}", path.display())]
    Use {
        /// The directory.
        path: PathBuf,
        /// What failed.
        #[source]
        cause: SyscallError,
    },
}

impl Explain for StateError {
    fn below(&self) -> Option<&dyn Explain> {
        match self {
            Self::Exists { .. } | Self::NotFound { .. } | Self::Busy { .. } => None,
            Self::Use { cause, .. } => Some(cause),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Exists { .. } => Kind::AlreadyExists,
            Self::NotFound { .. } => Kind::NotFound,
            Self::Busy { .. } => Kind::Busy,
            Self::Use { cause, .. } => cause.kind(),
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Exists { .. } => Some(Hint::new("choose another name, or wait until that one has ended")),
            Self::NotFound { .. } | Self::Busy { .. } | Self::Use { .. } => None,
        }
    }
}

/// At most `most` of them, different ones each time: for who looks at a few in passing, so that all have their turn.
pub fn some_of<T>(mut all: Vec<T>, most: usize) -> Vec<T> {
    if all.len() > most {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let first = now.subsec_nanos() as usize % all.len();
        all.rotate_left(first);
        all.truncate(most);
    }
    all
}

impl StateRoot {
    /// Opens the directory, and makes it, for its owner only, if it is missing.
    ///
    /// # Errors
    /// When it can be neither opened nor made.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        if let Some(there) = Self::find(path)? {
            return Ok(there);
        }
        use std::os::unix::fs::DirBuilderExt;
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        let failed = |call, error: sys::Errno| StateError::Use {
            path: path.to_owned(),
            cause: SyscallError::new(call, path.display().to_string(), error),
        };
        made.map_err(|error| failed("mkdir", error.into()))?;
        Self::find(path)?.ok_or_else(|| failed("openat", sys::Errno::NOENT))
    }

    /// Opens the directory, if it is there: one that is not holds no containers.
    ///
    /// # Errors
    /// When it cannot be opened, or belongs to another user.
    pub fn find(path: &Path) -> Result<Option<Self>, StateError> {
        let failed = |call, errno: sys::Errno| StateError::Use {
            path: path.to_owned(),
            cause: SyscallError::new(call, path.display().to_string(), errno),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = match openat(CWD, path, flags, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            outcome => outcome.map_err(|errno| failed("openat", errno.into()))?,
        };
        // A directory of somebody else's, as anybody can make one in /tmp, would let them forge records.
        let owner = fstat(&dir).map_err(|errno| failed("fstat", errno.into()))?.st_uid;
        if owner != rustix::process::geteuid().as_raw() {
            return Err(failed("fstat: the directory is another user's", sys::Errno::PERM));
        }
        Ok(Some(Self { dir: Arc::new(dir), path: path.to_owned() }))
    }

    /// The compiled filters that are kept beside the records; none where that cannot be done, which costs time only.
    pub fn filters(&self) -> Option<Arc<seccomp::Cache>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || openat(&self.dir, FILTERS, flags, Mode::empty());
        let dir = match open() {
            Err(rustix::io::Errno::NOENT) => {
                mkdirat(&self.dir, FILTERS, Mode::RWXU).ok()?;
                open()
            }
            outcome => outcome,
        };
        seccomp::Cache::new(dir.ok()?).ok().map(Arc::new)
    }

    /// The same directory, by the same handle.
    pub(crate) fn again(&self) -> Self {
        Self { dir: Arc::clone(&self.dir), path: self.path.clone() }
    }

    pub(crate) fn failed(
        &self,
        call: &'static str,
        subject: &str,
        errno: impl Into<sys::Errno>,
    ) -> StateError {
        StateError::Use { path: self.path.clone(), cause: SyscallError::new(call, subject, errno) }
    }

    /// Writes down that the container is about to exist. Of several processes that do so at once for one id, one succeeds.
    pub(crate) fn claim(&self, launch: &Launch, groups: &[&GroupPlan]) -> Result<Claim, StateError> {
        let intent = line(&Intent::new(launch, groups));
        let name = record_name(launch.id.as_str());
        let mut file = File::from(self.unnamed(&name)?);
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|errno| self.failed("flock", &name, errno))?;
        file.write_all(&intent).map_err(|error| self.failed("write", &name, error))?;
        match give_name(&self.dir, &file, &name) {
            Ok(()) => {}
            Err(rustix::io::Errno::EXIST) => return Err(StateError::Exists { id: launch.id.to_string() }),
            Err(errno) => return Err(self.failed("linkat", &name, errno)),
        }
        let dir = Arc::clone(&self.dir);
        let durable = matches!(launch.life, Life::Kept { .. });
        let notify = launch.notifies();
        Ok(Claim { dir, id: launch.id.clone(), file, durable, intent, notify, notifications: None })
    }

    fn unnamed(&self, name: &str) -> Result<OwnedFd, StateError> {
        unnamed(&self.dir).map_err(|errno| self.failed("openat O_TMPFILE", name, errno))
    }

    /// The ids of all containers, in their order.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn ids(&self) -> Result<Vec<ContainerId>, StateError> {
        let failed = |errno| self.failed("getdents64", "", errno);
        let mut ids = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_str().unwrap_or_default();
            ids.extend(name.strip_suffix(SUFFIX).and_then(|id| ContainerId::parse(id).ok()));
        }
        ids.sort();
        Ok(ids)
    }

    /// Whether a container of this id waits for its start.
    pub(crate) fn waits_for_start(&self, id: &ContainerId) -> bool {
        statat(&self.dir, start_name(id.as_str()), AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Removes a file of a container; one that is not there is fine.
    pub(crate) fn remove(&self, name: &str) -> Result<(), StateError> {
        remove(&self.dir, name).map_err(|errno| self.failed("unlinkat", name, errno))
    }

    /// Takes away containers that nobody looks after any more: those that were to end with a process that was killed before it could see to
    /// it. At most `most` records are looked at, different ones each time. Returns their ids. What cannot be taken away now is left for
    /// the next time.
    pub fn sweep(&self, most: usize) -> Vec<String> {
        let Ok(entries) = rustix::fs::Dir::read_from(&self.dir) else { return Vec::new() };
        let names = entries.flatten().filter_map(|entry| entry.file_name().to_str().map(str::to_owned).ok());
        let mut names = some_of(names.filter(|name| name.ends_with(SUFFIX)).collect(), most);
        names.retain(|name| self.sweep_one(name).is_some());
        names.into_iter().map(|name| name.trim_end_matches(SUFFIX).to_owned()).collect()
    }

    fn sweep_one(&self, name: &str) -> Option<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(&self.dir, name, flags, Mode::empty()).ok()?);
        let locked = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        let mut text = Vec::new();
        (&file).take(1 << 20).read_to_end(&mut text).ok()?;
        let record = Record::parse(&text);
        if let Some(intent) = &record.intent {
            // A stage that has not executed itself yet has its dead keeper's lock.
            if intent.durable || (!locked && intent.keeper.open().is_some()) {
                return None;
            }
        } else if !locked {
            return None;
        }
        if let Some(pidfd) = record.started.and_then(Process::open) {
            let _ = pidfd_send_signal(&pidfd, Signal::KILL);
        }
        if let Some(intent) = record.intent {
            let recorded: Vec<_> = intent.cgroups.iter().map(RecordedGroup::to_recorded).collect();
            if let Ok(cgroup) = Cgroup::open(&recorded) {
                let _ = cgroup.kill(PATIENCE);
                cgroup.remove(PATIENCE).ok()?;
            }
            if let Some(unit) = &intent.unit {
                // It went with its cgroup; this clears what a failed one leaves, where systemd can be reached.
                let _ = unit.stop();
            }
        }
        unlinkat(&self.dir, name, AtFlags::empty()).ok()
    }
}

const SUFFIX: &str = ".json";
/// The directory of compiled filters.
const FILTERS: &str = "@filters";
/// What fits into the address of a socket behind `/proc/self/fd/N/`.
const SOCKET_NAME: usize = 80;

pub(crate) fn record_name(id: &str) -> String {
    format!("{id}{SUFFIX}")
}

pub(crate) fn config_name(id: &str) -> String {
    format!("{id}@config")
}

pub(crate) fn notify_name(id: &str) -> String {
    format!("{id}@notify")
}

/// The directory with the socket of a container's program, in the directory of records at `root`.
pub fn notify_directory(root: &Path, id: &ContainerId) -> PathBuf {
    root.join(notify_name(id.as_str()))
}

/// The name of the socket in that directory.
pub const NOTIFY_SOCKET: &str = "notify.sock";

/// Takes the directory away, if it is there.
pub(crate) fn remove_notify(dir: &OwnedFd, id: &str) -> Result<(), rustix::io::Errno> {
    let name = notify_name(id);
    let inside = open_directory(dir, &name).map(|inside| remove(&inside, NOTIFY_SOCKET));
    match inside {
        Err(rustix::io::Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno),
        Ok(removed) => removed?,
    }
    unlinkat(dir, &name, AtFlags::REMOVEDIR)
}

/// Listens on the socket in the directory; none when there is no such directory.
pub(crate) fn listen_for_notifications(dir: &OwnedFd, id: &str) -> Result<Option<OwnedFd>, SyscallError> {
    let name = notify_name(id);
    let failed = |call, errno: rustix::io::Errno| SyscallError::new(call, name.as_str(), errno);
    let inside = match open_directory(dir, &name) {
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        outcome => outcome.map_err(|errno| failed("openat", errno))?,
    };
    // One of a start that failed.
    remove(&inside, NOTIFY_SOCKET).map_err(|errno| failed("unlinkat", errno))?;
    let socket = sys::channel::datagrams_in(&inside, NOTIFY_SOCKET)?;
    // Whoever is the container's user has to write there; nobody else sees the directory.
    let mode = Mode::from_raw_mode(0o777);
    rustix::fs::chmodat(&inside, NOTIFY_SOCKET, mode, AtFlags::empty())
        .map_err(|errno| failed("fchmodat", errno))?;
    Ok(Some(socket))
}

fn open_directory(dir: &OwnedFd, name: &str) -> Result<OwnedFd, rustix::io::Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(dir, name, flags, Mode::empty())
}

/// Long ids are cut off, and distinguished by a sum (FNV-1a): two that are taken for one make the second creation fail.
pub(crate) fn start_name(id: &str) -> String {
    if id.len() + "@start".len() <= SOCKET_NAME {
        return format!("{id}@start");
    }
    let step = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let sum = id.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    format!("{}@{sum:016x}@start", &id[..SOCKET_NAME - 23])
}

fn unnamed(dir: &OwnedFd) -> Result<OwnedFd, rustix::io::Errno> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    openat(dir, ".", flags, Mode::RUSR | Mode::WUSR)
}

/// Gives a file without a name one that nothing has yet.
fn give_name(dir: &OwnedFd, file: &File, name: &str) -> Result<(), rustix::io::Errno> {
    // By its descriptor alone that takes CAP_DAC_READ_SEARCH, or Linux 6.10.
    match linkat(file, "", dir, name, AtFlags::EMPTY_PATH) {
        Err(rustix::io::Errno::NOENT) => {
            let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
            linkat(CWD, &unnamed, dir, name, AtFlags::SYMLINK_FOLLOW)
        }
        outcome => outcome,
    }
}

fn remove(dir: &OwnedFd, name: &str) -> Result<(), rustix::io::Errno> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Takes a lock that others hold for a moment only.
pub(crate) fn lock_within(file: &File, patience: std::time::Duration) -> bool {
    let until = Instant::now() + patience;
    let mut pause = std::time::Duration::from_micros(100);
    while flock(file, FlockOperation::NonBlockingLockExclusive).is_err() {
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(std::time::Duration::from_millis(5));
    }
    true
}

impl Claim {
    fn failed(&self, call: &'static str, error: impl Into<sys::Errno>) -> StateError {
        let name = record_name(self.id.as_str());
        StateError::Use { path: PathBuf::from(&name), cause: SyscallError::new(call, name, error) }
    }

    fn add(&mut self, event: &Event) -> Result<(), StateError> {
        self.file.write_all(&line(event)).map_err(|error| self.failed("write", error))
    }

    /// Adds what a kept container needs later and `state` does not.
    pub(crate) fn keep_config(&self, launch: &Launch, tail: &Tail) -> Result<(), StateError> {
        let Life::Kept { config, .. } = &launch.life else { return Ok(()) };
        let name = config_name(self.id.as_str());
        let content = [&self.intent, &line(tail), config.as_slice()].concat();
        // One that a record lost its owner to.
        let _ = unlinkat(&self.dir, &name, AtFlags::empty());
        let mut file =
            File::from(unnamed(&self.dir).map_err(|errno| self.failed("openat O_TMPFILE", errno))?);
        file.write_all(&content).map_err(|error| self.failed("write", error))?;
        give_name(&self.dir, &file, &name).map_err(|errno| self.failed("linkat", errno))
    }

    /// Adds the container's first process.
    pub(crate) fn started(&mut self, pid: i32, pidfd: BorrowedFd<'_>) -> Result<(), StateError> {
        self.add(&Event::Started(Process::of(pid, pidfd)))
    }

    /// Adds that everything is made.
    pub(crate) fn created(&mut self) -> Result<(), StateError> {
        self.add(&Event::Created)
    }

    /// The socket on which the stage waits for its start.
    pub(crate) fn listen(&self) -> Result<OwnedFd, SyscallError> {
        let name = start_name(self.id.as_str());
        // One that a record lost its owner to.
        let _ = remove(&self.dir, &name);
        sys::channel::listen_in(self.dir.as_fd(), &name)
    }

    /// Makes the directory for what the program says, and listens there unless the program waits for its start.
    pub(crate) fn make_notify(&mut self, waits: bool) -> Result<(), StateError> {
        let (id, name) = (self.id.as_str(), notify_name(self.id.as_str()));
        // One that a record lost its owner to.
        remove_notify(&self.dir, id).map_err(|errno| self.failed("unlinkat", errno))?;
        rustix::fs::mkdirat(&self.dir, &name, Mode::RWXU).map_err(|errno| self.failed("mkdirat", errno))?;
        // The mask of this process is for files of its own.
        rustix::fs::chmodat(&self.dir, &name, Mode::from_raw_mode(0o755), AtFlags::empty())
            .map_err(|errno| self.failed("fchmodat", errno))?;
        if !waits {
            let socket = listen_for_notifications(&self.dir, id);
            self.notifications = socket.map_err(|error| self.failed(error.call, error.errno))?;
        }
        Ok(())
    }

    /// The socket for what the program says.
    pub(crate) fn notifications(&self) -> Option<BorrowedFd<'_>> {
        self.notifications.as_ref().map(AsFd::as_fd)
    }

    /// Lets others work on a kept container.
    pub(crate) fn unlock(&self) {
        if self.durable {
            let _ = flock(&self.file, FlockOperation::Unlock);
        }
    }

    /// Takes the record away, last what the id is claimed by.
    pub(crate) fn release(self) -> Result<(), StateError> {
        let id = self.id.as_str();
        if self.notify {
            remove_notify(&self.dir, id).map_err(|errno| self.failed("unlinkat", errno))?;
        }
        if self.durable {
            let others = [start_name(id), config_name(id)].map(|name| remove(&self.dir, &name));
            others
                .into_iter()
                .collect::<Result<Vec<()>, _>>()
                .map_err(|errno| self.failed("unlinkat", errno))?;
        }
        unlinkat(&self.dir, record_name(id), AtFlags::empty()).map_err(|errno| self.failed("unlinkat", errno))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_another_user_holds_no_records() {
        if !rustix::process::geteuid().is_root() {
            eprintln!(
                "SKIPPED a_directory_of_another_user_holds_no_records: only root can give a directory away"
            );
            return;
        }
        let path = std::env::temp_dir().join(format!("holm-state-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let own = StateRoot::open(&path).map(drop);
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        let others = StateRoot::open(&path).map(drop);
        std::fs::remove_dir(&path).unwrap();
        assert!(own.is_ok());
        assert_eq!(others.unwrap_err().kind(), Kind::PermissionDenied);
    }

    #[test]
    fn names_of_sockets_fit_and_differ() {
        let long = "x".repeat(1000);
        for id in ["web", &long, &long[..75], &long[..74]] {
            let name = start_name(id);
            assert!(name.len() <= SOCKET_NAME && name.ends_with("@start"), "{name}");
        }
        assert_ne!(start_name(&long), start_name(&format!("{long}y")));
    }
}

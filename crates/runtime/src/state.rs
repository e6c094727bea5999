//! The record of a container: what has to be known to take it away after a crash.
//!
//! A record is one file, written whole before it gets its name, and before anything else of the container exists. The process that
//! looks after the container holds a lock on it, which the kernel takes back when that process ends in whatever way: a record
//! without a lock is of a container that nobody looks after, and [`StateRoot::sweep`] takes both away.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use cgroups::plan::GroupPlan;
use cgroups::{Cgroup, Recorded};
use report::{Explain, Hint, Kind};
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, fstat, linkat, openat, unlinkat};
use rustix::process::{Pid, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use sys::SyscallError;

use crate::act::PATIENCE;
use crate::inputs::{ContainerId, Launch};

/// The directory of the records.
#[derive(Debug)]
pub struct StateRoot {
    dir: OwnedFd,
    path: PathBuf,
}

/// A container's record that this process holds.
#[derive(Debug)]
pub struct Claim {
    dir: OwnedFd,
    name: String,
    file: File,
}

/// What a record says at first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Intent {
    id: String,
    bundle: PathBuf,
    cgroups: Vec<RecordedGroup>,
}

/// What it says once there is a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Started {
    pid: i32,
    /// The inode of the process's handle: no other process has it until the next boot (pidfs, Linux 6.9); 0 before.
    identity: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct RecordedGroup {
    v2: bool,
    controllers: String,
    mount: PathBuf,
    path: PathBuf,
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
            Self::Exists { .. } => None,
            Self::Use { cause, .. } => Some(cause),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Exists { .. } => Kind::AlreadyExists,
            Self::Use { cause, .. } => cause.kind(),
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Exists { .. } => Some(Hint::new("choose another name, or wait until that one has ended")),
            Self::Use { .. } => None,
        }
    }
}

impl StateRoot {
    /// Opens the directory, and makes it, for its owner only, if it is missing.
    ///
    /// # Errors
    /// When it can be neither opened nor made.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let failed = |call, errno: sys::Errno| StateError::Use {
            path: path.to_owned(),
            cause: SyscallError::new(call, path.display().to_string(), errno),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = match openat(CWD, path, flags, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => {
                use std::os::unix::fs::DirBuilderExt;
                std::fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(path)
                    .map_err(|error| failed("mkdir", error.into()))?;
                openat(CWD, path, flags, Mode::empty())
            }
            outcome => outcome,
        };
        let dir = dir.map_err(|errno| failed("openat", errno.into()))?;
        // A directory of somebody else's, as anybody can make one in /tmp, would let them forge records.
        let owner = fstat(&dir).map_err(|errno| failed("fstat", errno.into()))?.st_uid;
        if owner != rustix::process::geteuid().as_raw() {
            return Err(failed("fstat: the directory is another user's", sys::Errno::PERM));
        }
        Ok(Self { dir, path: path.to_owned() })
    }

    fn failed(&self, call: &'static str, subject: &str, errno: impl Into<sys::Errno>) -> StateError {
        StateError::Use { path: self.path.clone(), cause: SyscallError::new(call, subject, errno) }
    }

    /// Writes down that the container is about to exist. Of several processes that do so at once for one id, one succeeds.
    pub(crate) fn claim(&self, launch: &Launch, groups: &[&GroupPlan]) -> Result<Claim, StateError> {
        let intent = Intent {
            id: launch.id.to_string(),
            bundle: launch.bundle.clone(),
            cgroups: groups.iter().map(|group| RecordedGroup::of(group)).collect(),
        };
        let name = file_name(&launch.id);
        let mut text = serde_json::to_vec(&intent).unwrap_or_default();
        text.push(b'\n');
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        let file = openat(&self.dir, ".", flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| self.failed("openat O_TMPFILE", "", errno))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|errno| self.failed("flock", &name, errno))?;
        let mut file = File::from(file);
        file.write_all(&text).map_err(|error| self.failed("write", &name, error))?;
        let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
        match linkat(CWD, &unnamed, &self.dir, &name, AtFlags::SYMLINK_FOLLOW) {
            Ok(()) => {}
            Err(rustix::io::Errno::EXIST) => return Err(StateError::Exists { id: launch.id.to_string() }),
            Err(errno) => return Err(self.failed("linkat", &name, errno)),
        }
        let dir = self.dir.try_clone().map_err(|error| self.failed("fcntl F_DUPFD", &name, error))?;
        Ok(Claim { dir, name, file })
    }

    /// Takes away containers that nobody looks after any more, at most `most` of them: those whose process was killed before it
    /// could. Returns their ids. What cannot be taken away now is left for the next time.
    pub fn sweep(&self, most: usize) -> Vec<String> {
        let mut swept = Vec::new();
        let Ok(entries) = rustix::fs::Dir::read_from(&self.dir) else { return swept };
        for entry in entries.flatten().take(most.saturating_mul(64)) {
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name.ends_with(SUFFIX) && swept.len() < most && self.sweep_one(name).is_some() {
                swept.push(name.trim_end_matches(SUFFIX).to_owned());
            }
        }
        swept
    }

    fn sweep_one(&self, name: &str) -> Option<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.dir, name, flags, Mode::empty()).ok()?;
        // Held by whoever looks after it.
        flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
        let mut text = String::new();
        File::from(file.try_clone().ok()?).take(1 << 20).read_to_string(&mut text).ok()?;
        let mut lines = text.lines();
        let intent: Option<Intent> = lines.next().and_then(|line| serde_json::from_str(line).ok());
        let started: Option<Started> = lines.next().and_then(|line| serde_json::from_str(line).ok());
        if let Some(started) = started {
            started.kill();
        }
        if let Some(intent) = intent {
            let recorded: Vec<_> = intent.cgroups.iter().map(RecordedGroup::to_recorded).collect();
            if let Ok(cgroup) = Cgroup::open(&recorded) {
                let _ = cgroup.kill(PATIENCE);
                cgroup.remove(PATIENCE).ok()?;
            }
        }
        unlinkat(&self.dir, name, AtFlags::empty()).ok()
    }
}

const SUFFIX: &str = ".json";

fn file_name(id: &ContainerId) -> String {
    format!("{id}{SUFFIX}")
}

impl Claim {
    /// Adds the container's first process.
    pub(crate) fn started(&mut self, pid: i32, pidfd: BorrowedFd<'_>) -> Result<(), StateError> {
        let started = Started { pid, identity: identity(pidfd) };
        let mut text = serde_json::to_vec(&started).unwrap_or_default();
        text.push(b'\n');
        self.file.write_all(&text).map_err(|error| StateError::Use {
            path: PathBuf::from(&self.name),
            cause: SyscallError::new("write", self.name.as_str(), error),
        })
    }

    /// Takes the record away.
    pub(crate) fn release(self) -> Result<(), StateError> {
        unlinkat(&self.dir, &self.name, AtFlags::empty()).map_err(|errno| StateError::Use {
            path: PathBuf::from(&self.name),
            cause: SyscallError::new("unlinkat", self.name.as_str(), errno),
        })
    }
}

fn identity(pidfd: BorrowedFd<'_>) -> u64 {
    const PIDFS_MAGIC: u64 = 0x5049_4446;
    // Before pidfs all handles share one inode.
    match sys::raw::filesystem_type(sys::raw::Fd::from(&pidfd)) {
        Ok(PIDFS_MAGIC) => fstat(pidfd).map_or(0, |status| status.st_ino),
        _ => 0,
    }
}

impl Started {
    /// Ends the process, if it is still the one that was recorded.
    fn kill(self) {
        let Some(pid) = Pid::from_raw(self.pid) else { return };
        let Ok(pidfd) = pidfd_open(pid, rustix::process::PidfdFlags::empty()) else { return };
        // Without an identity the number alone proves nothing; the cgroup has what is left.
        if self.identity != 0 && identity(pidfd.as_fd()) == self.identity {
            let _ = pidfd_send_signal(&pidfd, Signal::KILL);
        }
    }
}

impl RecordedGroup {
    fn of(group: &GroupPlan) -> Self {
        Self {
            v2: group.version == cgroups::Version::V2,
            controllers: group.controllers.to_string(),
            mount: group.mount.clone(),
            path: group.path.clone(),
        }
    }

    fn to_recorded(&self) -> Recorded {
        Recorded {
            version: if self.v2 { cgroups::Version::V2 } else { cgroups::Version::V1 },
            controllers: cgroups::ControllerSet::parse(self.controllers.as_bytes()),
            mount: self.mount.clone(),
            path: self.path.clone(),
        }
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
}

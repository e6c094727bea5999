//! Locks on directories: they cannot be left behind, because the kernel gives them back with the process.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, fstat, openat, statat};
use sys::SyscallError;

/// How long others may take before we give up.
const PATIENCE: Duration = Duration::from_secs(120);

/// Why there is no lock.
#[derive(Debug)]
pub(super) enum NoLock {
    /// Others have it.
    Busy,
    /// The directory is not there, or has another name by now.
    Gone,
    /// A call failed.
    Call(SyscallError),
}

/// Keeps others from working on a directory, or from changing it if not `alone`, until the descriptor is closed.
pub(super) fn wait(path: &Path, alone: bool) -> Result<OwnedFd, NoLock> {
    let operation = match alone {
        true => FlockOperation::NonBlockingLockExclusive,
        false => FlockOperation::NonBlockingLockShared,
    };
    let until = Instant::now() + PATIENCE;
    let mut pause = Duration::from_micros(100);
    loop {
        let directory = open(path)?;
        loop {
            match flock(&directory, operation) {
                Ok(()) => break,
                Err(_) if Instant::now() >= until => return Err(NoLock::Busy),
                Err(_) => std::thread::sleep(pause),
            }
            pause = (pause * 2).min(Duration::from_millis(5));
        }
        // One that was renamed or removed while we waited is another directory.
        if is_still(&directory, path) {
            return Ok(directory);
        }
    }
}

/// The lock if nobody has it.
pub(super) fn now(path: &Path) -> Option<OwnedFd> {
    let directory = open(path).ok()?;
    flock(&directory, FlockOperation::NonBlockingLockExclusive).ok()?;
    is_still(&directory, path).then_some(directory)
}

fn open(path: &Path) -> Result<OwnedFd, NoLock> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty()).map_err(|errno| match errno {
        rustix::io::Errno::NOENT => NoLock::Gone,
        errno => NoLock::Call(SyscallError::new("openat", path.display().to_string(), errno)),
    })
}

fn is_still(directory: &OwnedFd, path: &Path) -> bool {
    let (Ok(ours), Ok(now)) = (fstat(directory), statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW)) else {
        return false;
    };
    (ours.st_dev, ours.st_ino) == (now.st_dev, now.st_ino)
}

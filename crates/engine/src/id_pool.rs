//! A range of ids for each running container.
//!
//! [`claim`] takes a range that no other process has, as a lock on one byte of a file. The lock belongs to the
//! process and ends with it, however it ends, so nothing has to be given back or cleaned up.
//!
//! A container in the background outlives its monitor, whose lock it is. So [`note`] tells beside the lock whose range it is, and a range
//! of a container that runs is nobody else's although nobody holds it; [`hold`] takes the lock again for a second monitor.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use report::{Explain, Hint, Kind};
use rustix::fs::{Mode, OFlags};
use sys::SyscallError;
use sys::pidfd::Identity;

use crate::ids::{Maps, Pool};

/// A range that is ours as long as this lives.
#[derive(Debug)]
pub struct Claim {
    /// The range.
    pub maps: Maps,
    /// Its number in the pool.
    pub slot: u32,
    lock: OwnedFd,
}

impl Claim {
    /// The lock by itself, for the process that goes on with the container.
    pub fn into_lock(self) -> OwnedFd {
        self.lock
    }
}

/// No range could be had.
#[derive(Debug, thiserror::Error)]
pub enum NoRange {
    /// The file could not be locked.
    #[error("take a range of ids from {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: SyscallError,
    },
    /// Every range belongs to a running container.
    #[error("all {count} ranges of ids are in use by running containers")]
    AllTaken {
        /// How many there are.
        count: u32,
    },
}

impl Explain for NoRange {
    fn below(&self) -> Option<&dyn Explain> {
        match self {
            Self::File { cause, .. } => Some(cause),
            Self::AllTaken { .. } => None,
        }
    }
    fn kind(&self) -> Kind {
        match self {
            Self::File { cause, .. } => cause.kind(),
            Self::AllTaken { .. } => Kind::ResourceExhausted,
        }
    }
    fn hint(&self) -> Option<Hint> {
        match self {
            Self::File { .. } => None,
            Self::AllTaken { .. } => Some(Hint::new(
                "give `holm` a larger range in /etc/subuid and /etc/subgid, or use --userns host",
            )),
        }
    }
}

/// Takes a range of `pool` that no other process has. The file `ids` in `directory` is made where it is missing.
///
/// The search begins at a random range: the first try is usually free, and a range that a container has just
/// left is not the next one's.
///
/// # Errors
/// [`NoRange`].
///
/// # Kernel
/// Linux 3.15.
pub fn claim(pool: &Pool, directory: &Path) -> Result<Claim, NoRange> {
    let path = directory.join("ids");
    let failed = |cause| NoRange::File { path: path.clone(), cause };
    let count = pool.len();
    let mut seed = [0; 4];
    // Without randomness the search begins at the first range.
    let _ = rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::NONBLOCK);
    let start = if count == 0 { 0 } else { u32::from_ne_bytes(seed) % count };
    let lock = open(directory, &path).map_err(failed)?;
    for slot in (start..count).chain(0..start) {
        if sys::lock::try_lock_byte(&lock, slot).map_err(failed)?
            && !is_noted(directory, slot)
            && let Some(maps) = pool.slot(slot)
        {
            return Ok(Claim { maps, slot, lock });
        }
        // It is of a container whose monitor was killed; the lock that this process has of it is no loss to anybody.
    }
    Err(NoRange::AllTaken { count })
}

/// The directory with what [`note`] writes.
const NOTES: &str = "ids.of";

/// Notes that a range is a container's as long as its first process runs.
///
/// # Errors
/// Those of writing.
pub fn note(directory: &Path, slot: u32, whose: Identity) -> Result<(), SyscallError> {
    let notes = directory.join(NOTES);
    let failed = |call, error: std::io::Error| SyscallError::new(call, notes.display().to_string(), error);
    match rustix::fs::mkdir(&notes, Mode::RWXU) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(errno) => return Err(failed("mkdir", errno.into())),
    }
    let text = format!("{whose}\n");
    let directory = monitor::exit::open_directory(&notes)?;
    monitor::exit::write_file(&directory, &slot.to_string(), text.as_bytes(), false)
}

fn is_noted(directory: &Path, slot: u32) -> bool {
    let text = std::fs::read_to_string(directory.join(NOTES).join(slot.to_string())).unwrap_or_default();
    text.parse().is_ok_and(|whose: Identity| whose.lives())
}

/// Takes the lock of a range again, for a second monitor of its container; none when somebody has it.
///
/// # Errors
/// Those of the file.
pub fn hold(directory: &Path, slot: u32) -> Result<Option<OwnedFd>, SyscallError> {
    let lock = open(directory, &directory.join("ids"))?;
    Ok(sys::lock::try_lock_byte(&lock, slot)?.then_some(lock))
}

fn open(directory: &Path, path: &Path) -> Result<OwnedFd, SyscallError> {
    use rustix::io::Errno;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mode = Mode::RUSR | Mode::WUSR;
    let outcome = match rustix::fs::open(path, flags, mode) {
        Err(Errno::NOENT) => {
            match rustix::fs::mkdir(directory, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(SyscallError::new("mkdir", directory.display().to_string(), errno)),
            }
            rustix::fs::open(path, flags, mode)
        }
        other => other,
    };
    outcome.map_err(|errno| SyscallError::new("open", path.display().to_string(), errno))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::userns::UserNamespace;
    use crate::ids::{Choice, IdFacts, SubIdRange, choose};

    fn pool_of(ranges: u32) -> Pool {
        let subids = vec![SubIdRange { first: 100_000, count: ranges * 65_536 }];
        let mapped = vec![SubIdRange { first: 0, count: u32::MAX }];
        let facts = IdFacts { subuids: subids.clone(), subgids: subids, mapped, ..IdFacts::default() };
        let Ok(Choice::Pool(pool)) = choose(&UserNamespace::Auto, false, &facts) else { panic!("no pool") };
        pool
    }

    struct Scratch(PathBuf);

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn every_claim_has_a_range_of_its_own_until_it_is_dropped() {
        let scratch = Scratch(std::env::temp_dir().join(format!("holm-ids-{}", std::process::id())));
        let pool = pool_of(3);
        let mut claims: Vec<Claim> = (0..3).map(|_| claim(&pool, &scratch.0).unwrap()).collect();
        let mut firsts: Vec<u32> = claims.iter().map(|claim| claim.maps.uids[0].host_id).collect();
        firsts.sort_unstable();
        assert_eq!(firsts, [100_000, 165_536, 231_072]);
        assert_eq!(
            claim(&pool, &scratch.0).unwrap_err().to_string(),
            "all 3 ranges of ids are in use by running containers"
        );
        // One whose lock is gone and whose container runs is not free.
        let lost = claims.remove(2);
        let own = rustix::process::getpid();
        let handle = rustix::process::pidfd_open(own, rustix::process::PidfdFlags::empty()).unwrap();
        let pid = own.as_raw_nonzero().get();
        let whose = Identity::of(pid, std::os::fd::AsFd::as_fd(&handle));
        note(&scratch.0, lost.slot, whose).unwrap();
        let slot = lost.slot;
        drop(lost);
        assert!(claim(&pool, &scratch.0).is_err());
        let again = hold(&scratch.0, slot).unwrap();
        assert!(again.is_some() && hold(&scratch.0, slot).unwrap().is_none());
        drop(again);
        note(&scratch.0, slot, Identity { handle: whose.handle + 1, start: whose.start + 1, pid }).unwrap();
        claims.push(claim(&pool, &scratch.0).unwrap());
        let freed = claims.remove(1).slot;
        assert_eq!(claim(&pool, &scratch.0).unwrap().slot, freed);
    }
}

//! Names of containers: each is a symbolic link to an id, so no two containers can have one.

use std::os::fd::OwnedFd;
use std::path::Path;

use report::BoxedExplain;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat, readlinkat, symlinkat};
use sys::SyscallError;

use super::error::ContainerFailure;
use super::home::{DEFINITION, Home, Places, make_directory, short};
use crate::host::boxed;

/// Keeps others from changing names as long as the descriptor is open; held for a few calls only.
fn lock(places: &Places) -> Result<OwnedFd, BoxedExplain> {
    let path = places.run.join("names.lock");
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    let file = match openat(CWD, &path, flags, mode) {
        Err(rustix::io::Errno::NOENT) => {
            make_directory(&places.run)?;
            openat(CWD, &path, flags, mode)
        }
        outcome => outcome,
    };
    let failed = |call, errno: rustix::io::Errno| {
        let cause = SyscallError::new(call, path.display().to_string(), errno);
        boxed(ContainerFailure::Place { path: path.clone(), cause })
    };
    let file = file.map_err(|errno| failed("openat", errno))?;
    loop {
        match flock(&file, FlockOperation::LockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(failed("flock", errno)),
        }
    }
}

/// Does something that only one process at a time may do; without the lock it is not done.
pub(super) fn under_lock(places: &Places, act: impl FnOnce()) {
    if let Ok(_lock) = lock(places) {
        act();
    }
}

/// The id behind a name, whether its container still exists or not.
pub(super) fn resolve(places: &Places, name: &str) -> Option<(String, bool)> {
    [false, true].into_iter().find_map(|durable| {
        let id = readlinkat(CWD, places.names(durable).join(name), Vec::with_capacity(80)).ok()?;
        Some((id.into_string().ok()?, durable))
    })
}

/// Gives `name` to the container. A name whose container is gone, because whoever took it away was killed in between, is free.
///
/// # Errors
/// [`ContainerFailure::NameTaken`], and those of the calls.
pub fn claim(places: &Places, name: &str, home: &Home) -> Result<(), BoxedExplain> {
    let _lock = lock(places)?;
    claim_locked(places, name, home)
}

fn claim_locked(places: &Places, name: &str, home: &Home) -> Result<(), BoxedExplain> {
    if let Some((owner, durable)) = resolve(places, name) {
        if owner == home.id {
            return Ok(());
        }
        let other = Home::new(places, &owner, durable);
        // One without a definition is being made by whoever has its lock, or was when that process was killed.
        let is_there = other.directory.join(DEFINITION).exists();
        if is_there || (other.directory.exists() && other.try_lock().is_none()) {
            let owner = short(&owner).to_owned();
            return Err(boxed(ContainerFailure::NameTaken { name: name.to_owned(), owner }));
        }
        let _ = std::fs::remove_file(places.names(durable).join(name));
    }
    let directory = places.names(home.durable);
    let link = |directory: &Path| symlinkat(&home.id, CWD, directory.join(name));
    let outcome = match link(&directory) {
        Err(rustix::io::Errno::NOENT) => {
            make_directory(&directory)?;
            link(&directory)
        }
        outcome => outcome,
    };
    outcome.map_err(|errno| boxed(home.failed("name", SyscallError::new("symlinkat", name, errno))))
}

/// Takes a name back if it is this container's.
pub fn release(places: &Places, name: &str, home: &Home) -> Result<(), BoxedExplain> {
    let _lock = lock(places)?;
    release_locked(places, name, home);
    Ok(())
}

fn release_locked(places: &Places, name: &str, home: &Home) {
    if resolve(places, name).is_some_and(|(owner, _)| owner == home.id) {
        let _ = std::fs::remove_file(places.names(home.durable).join(name));
    }
}

/// Gives the container another name: first the new one is taken, then `write` notes it, then the old one is given back. A crash in
/// between leaves a container with both, of which its definition tells the right one.
///
/// # Errors
/// [`ContainerFailure::NameTaken`], and those of `write`.
pub fn rename(
    places: &Places,
    old: &str,
    new: &str,
    home: &Home,
    write: impl FnOnce() -> Result<(), BoxedExplain>,
) -> Result<(), BoxedExplain> {
    let _lock = lock(places)?;
    claim_locked(places, new, home)?;
    if let Err(error) = write() {
        if new != old {
            release_locked(places, new, home);
        }
        return Err(error);
    }
    if new != old {
        release_locked(places, old, home);
    }
    Ok(())
}

/// Names that lead nowhere, or to a container that has another: what crashes left. They are taken back.
///
/// # Errors
/// Those of the lock.
pub fn mend(
    places: &Places,
    is_named: impl Fn(&str, bool) -> Option<String>,
) -> Result<Vec<String>, BoxedExplain> {
    let _lock = lock(places)?;
    let mut mended = Vec::new();
    for durable in [false, true] {
        let directory = places.names(durable);
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let owner =
                std::fs::read_link(entry.path()).ok().and_then(|id| id.into_os_string().into_string().ok());
            let right = owner.and_then(|id| is_named(&id, durable)).is_some_and(|named| named == name);
            if !right && std::fs::remove_file(entry.path()).is_ok() {
                mended.push(name);
            }
        }
    }
    Ok(mended)
}

const FIRST: [&str; 64] = [
    "calm", "brisk", "clear", "tidal", "sandy", "misty", "sunny", "windy", "stony", "grassy", "quiet",
    "salty", "rocky", "green", "blue", "grey", "silver", "golden", "amber", "copper", "early", "late",
    "outer", "inner", "upper", "lower", "eastern", "western", "northern", "southern", "little", "great",
    "long", "broad", "narrow", "steep", "gentle", "bright", "pale", "deep", "fair", "fresh", "frosty",
    "mossy", "reedy", "leafy", "wooded", "hidden", "lonely", "merry", "nimble", "patient", "proud", "rapid",
    "steady", "swift", "tall", "warm", "wild", "wise", "young", "keen", "kind", "bold",
];
const SECOND: [&str; 64] = [
    "holm", "skerry", "islet", "isle", "reef", "shoal", "cay", "atoll", "eyot", "ait", "inch", "key",
    "shore", "beach", "strand", "cove", "bay", "inlet", "fjord", "sound", "strait", "ford", "ferry", "jetty",
    "quay", "pier", "harbour", "haven", "anchor", "oar", "rudder", "keel", "mast", "sail", "heron", "otter",
    "tern", "gull", "swan", "eider", "osprey", "curlew", "plover", "puffin", "seal", "perch", "pike",
    "trout", "salmon", "birch", "alder", "willow", "rowan", "juniper", "heather", "bracken", "sedge", "rush",
    "reed", "lily", "dune", "cliff", "cairn", "beacon",
];

/// A name made of the id; a later `attempt` gives another one.
pub fn from_id(id: &str, attempt: usize) -> String {
    let digit =
        |at: usize| id.get(at..at + 2).and_then(|text| usize::from_str_radix(text, 16).ok()).unwrap_or(0);
    let at = attempt * 4 % 60;
    let name = format!("{}_{}", FIRST[digit(at) % FIRST.len()], SECOND[digit(at + 2) % SECOND.len()]);
    // There are 4096 of them; whoever has more containers gets longer ones.
    if attempt < 2 { name } else { format!("{name}_{}", id.get(at..at + 6).unwrap_or_default()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_ids_are_names() {
        use crate::flags::Value as _;
        let id: String = (0..64).map(|digit| char::from_digit(digit * 7 % 16, 16).unwrap()).collect();
        let names: Vec<_> = (0..5).map(|attempt| from_id(&id, attempt)).collect();
        for name in &names {
            crate::flags::name::ContainerName::parse(name).unwrap();
        }
        assert_ne!(names[0], names[1]);
    }
}

//! Where networks, leases and records are kept.
//!
//! A network is the host's: its bridge, its addresses, the rules and the published ports are there once in a network namespace, whoever asks
//! for them. So holm keeps what it knows of them in one place for all that share a network namespace ([`Places::of_host`]), whichever
//! directories it was told to keep containers in.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// The directory of the networks' files.
const CONFIG: &str = "/var/lib/holm/networks";
/// The directory of what lives as long as the machine runs.
const RUN: &str = "/run/holm/network";

/// Where networks are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The directory of the networks' files: `/var/lib/holm/networks`.
    pub config: PathBuf,
    /// The directory of what lives as long as the machine runs: `/run/holm/network`.
    pub run: PathBuf,
}

impl Places {
    /// Below a directory for what lasts and one for what lives as long as the machine runs (`/var/lib/holm`, `/run/holm`).
    pub fn below(data: &Path, run: &Path) -> Self {
        Self { config: data.join("networks"), run: run.join("network") }
    }

    /// Those of the network namespace that this thread is in. What networks there are is known in all of them; leases and records are each
    /// one's own: `/run/holm/network` in the one that the first process is in, `/run/holm/network-4026532291` in another.
    pub fn of_host() -> Self {
        let number = |path| fs::metadata(path).ok().map(|found| found.ino());
        let run = match (number("/proc/thread-self/ns/net"), number("/proc/1/ns/net")) {
            (Some(own), Some(first)) if own != first => format!("{RUN}-{own}"),
            _ => RUN.to_owned(),
        };
        Self { config: CONFIG.into(), run: run.into() }
    }

    /// Whether any container has been on a network here. Nothing is made.
    pub fn are_used(&self) -> bool {
        self.run.join("containers").exists()
    }

    /// The directories beside this one of network namespaces that are no more: no process is in them, nothing that is mounted here holds them, and
    /// nobody keeps a container there.
    pub(crate) fn deserted(&self) -> Vec<PathBuf> {
        let Some(above) = self.run.parent() else { return Vec::new() };
        let of_namespaces = names_in(above).into_iter().filter_map(|name| {
            let number = name.strip_prefix("network-")?.parse::<u64>().ok()?;
            Some((number, above.join(name)))
        });
        let mut others: Vec<_> = of_namespaces.filter(|(_, path)| *path != self.run).collect();
        if !others.is_empty() {
            let alive = namespaces();
            others.retain(|(number, path)| !alive.contains(number) && !is_used(path));
        }
        others.into_iter().map(|(_, path)| path).collect()
    }
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// The numbers of the network namespaces that processes and mounts of this host hold.
fn namespaces() -> BTreeSet<u64> {
    let processes = names_in(Path::new("/proc")).into_iter().filter_map(|name| {
        let pid = name.parse::<u32>().ok()?;
        Some(fs::metadata(format!("/proc/{pid}/ns/net")).ok()?.ino())
    });
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounted = mounts.lines().filter_map(|line| {
        line.split(' ').nth(3)?.strip_prefix("net:[")?.strip_suffix(']')?.parse::<u64>().ok()
    });
    processes.chain(mounted).collect()
}

/// Whether somebody keeps a container whose record is in the directory, or the rules.
fn is_used(run: &Path) -> bool {
    let containers = run.join("containers");
    let records = names_in(&containers).into_iter().map(|name| containers.join(name));
    records.chain([run.join("keeper")]).any(|path| {
        let lock = |file| flock(&file, FlockOperation::NonBlockingLockShared);
        fs::File::open(path).is_ok_and(|file| lock(file) == Err(rustix::io::Errno::WOULDBLOCK))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_a_namespace_that_is_gone_is_told_from_what_is_used() {
        let base = std::env::temp_dir().join(format!("holm-places-{}", std::process::id()));
        let own = fs::metadata("/proc/self/ns/net").unwrap().ino();
        for name in [
            "network/containers",
            &format!("network-{own}"),
            "network-7",
            "network-8/containers",
            "network-x",
        ] {
            fs::create_dir_all(base.join(name)).unwrap();
        }
        let kept = fs::File::create(base.join("network-8/containers/web.json")).unwrap();
        flock(&kept, FlockOperation::LockExclusive).unwrap();
        let places = Places::below(&base, &base);
        let found = places.deserted();
        drop(kept);
        let later = places.deserted();
        fs::remove_dir_all(&base).unwrap();
        assert_eq!(found, [base.join("network-7")]);
        assert_eq!(later.len(), 2);
    }
}

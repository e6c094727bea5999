//! Where a user who is not root may make groups.
//!
//! [`choose`] is pure; [`read_candidates`] looks at the host. Only v2 delegates safely, and a process can only be
//! moved below a group that is writable and lies above both ends of the move: so the candidates are this
//! process's own group and those above it.

use std::path::PathBuf;

use rustix::fs::{Access, AtFlags};

use crate::dir::Dir;
use crate::error::Error;
use crate::layout::{ControllerSet, Layout};
use crate::plan::{CgroupPath, Place};

/// A group at or above this process's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Relative to the mount; empty for the mounted group itself.
    pub path: PathBuf,
    /// The directory, `cgroup.procs` and `cgroup.subtree_control` can be written to.
    pub writable: bool,
    /// Processes are in the group itself, so that it cannot hand controllers down (except to the root).
    pub holds_processes: bool,
    /// What it may hand down.
    pub controllers: ControllerSet,
    /// What it hands down already.
    pub handed_down: ControllerSet,
}

/// Where groups can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegated {
    /// The group, relative to the mount.
    pub base: PathBuf,
    /// The controllers that groups below it can have as things are.
    pub controllers: ControllerSet,
    /// Those they can have once the processes in it are moved out of the way ([`crate::Plan::evacuating`]).
    pub controllers_if_evacuated: ControllerSet,
}

impl Delegated {
    /// The place of `path` below it.
    pub fn place(&self, path: CgroupPath) -> Place {
        Place::Delegated { base: self.base.clone(), path }
    }

    /// The layout as this user may use it: v2 offers what the delegated group can hand down, so that planning
    /// refuses the rest.
    pub fn narrow(&self, layout: &Layout, evacuating: bool) -> Layout {
        let mut narrowed = layout.clone();
        if let Some(v2) = &mut narrowed.v2 {
            v2.controllers = if evacuating { self.controllers_if_evacuated } else { self.controllers };
        }
        narrowed
    }
}

/// The candidate to use: the nearest writable one whose children can have controllers, else the nearest
/// writable one; `Err` says why there is none, in words for [`Place::Nowhere`].
///
/// `candidates` begins with this process's own group and goes up.
pub fn choose(candidates: &[Candidate]) -> Result<Delegated, String> {
    let reachable: Vec<_> = candidates.iter().take_while(|candidate| candidate.writable).collect();
    let offer = |candidate: &Candidate| {
        if candidate.holds_processes { candidate.handed_down } else { candidate.controllers }
    };
    let best = reachable.iter().find(|candidate| !offer(candidate).is_empty()).or(reachable.first());
    match best {
        Some(candidate) => Ok(Delegated {
            base: candidate.path.clone(),
            controllers: offer(candidate),
            controllers_if_evacuated: candidate.controllers,
        }),
        None => Err(match candidates.first() {
            Some(own) => {
                format!("cgroup v2 group /{} is not delegated to this user", own.path.display())
            }
            None => "no cgroup v2 hierarchy shows this process's group".to_owned(),
        }),
    }
}

/// This process's group on v2 and those above it, as far as they are mounted.
///
/// # Errors
/// When the hierarchy cannot be opened.
pub fn read_candidates(layout: &Layout) -> Result<Vec<Candidate>, Error> {
    let Some(v2) = layout.v2.as_ref().filter(|v2| !v2.read_only) else { return Ok(Vec::new()) };
    let Some(own) = v2.own_below_mount() else { return Ok(Vec::new()) };
    let mount = Dir::open_mount(&v2.mount)?;
    Ok(own.ancestors().map(|path| candidate(&mount.at(path))).collect())
}

fn candidate(dir: &Dir) -> Candidate {
    let writable = |file: &str| {
        let path = match (dir.is_mount(), file) {
            (true, "") => PathBuf::from("."),
            (false, "") => dir.below().to_path_buf(),
            _ => dir.below().join(file),
        };
        rustix::fs::accessat(dir.fd(), path, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
    };
    let set = |file| ControllerSet::parse(&dir.read(file).unwrap_or_default());
    Candidate {
        path: dir.below().to_path_buf(),
        writable: ["", "cgroup.procs", "cgroup.subtree_control"].into_iter().all(writable),
        holds_processes: dir.read("cgroup.procs").is_ok_and(|processes| !processes.is_empty()),
        controllers: set("cgroup.controllers"),
        handed_down: set("cgroup.subtree_control"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(path: &str, writable: bool, holds_processes: bool, handed_down: &str) -> Candidate {
        Candidate {
            path: PathBuf::from(path),
            writable,
            holds_processes,
            controllers: ControllerSet::parse(b"memory pids"),
            handed_down: ControllerSet::parse(handed_down.as_bytes()),
        }
    }

    #[test]
    fn the_nearest_group_that_can_hand_controllers_down_is_chosen() {
        let chosen = choose(&[
            candidate("u/app/run.scope", true, true, ""),
            candidate("u/app", true, false, "pids"),
            candidate("u", true, false, "memory pids"),
            candidate("", false, false, "memory pids"),
        ]);
        assert_eq!(chosen.unwrap().base, PathBuf::from("u/app"));
    }

    #[test]
    fn a_group_that_holds_processes_is_chosen_without_controllers_if_there_is_no_other() {
        let chosen =
            choose(&[candidate("u/run.scope", true, true, ""), candidate("u", false, false, "memory")])
                .unwrap();
        assert_eq!(chosen.base, PathBuf::from("u/run.scope"));
        assert!(chosen.controllers.is_empty());
    }

    #[test]
    fn a_writable_group_above_one_that_is_not_does_not_help() {
        let own = candidate("session-2.scope", false, true, "");
        let chosen = choose(&[own, candidate("", true, false, "memory")]);
        assert_eq!(chosen.unwrap_err(), "cgroup v2 group /session-2.scope is not delegated to this user");
    }
}

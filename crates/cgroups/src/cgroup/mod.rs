//! A group that exists: the acting side.
//!
//! [`Cgroup::create`] performs a [`Plan`] and undoes what it did if a step fails; [`Cgroup::open`] finds a group
//! of an earlier run again. The verbs are methods, in one file each.

mod admit;
mod create;
mod current;
mod delegate;
mod devices;
mod find;
mod freeze;
mod kill;
mod processes;
mod remove;
mod signal;
mod stats;
mod update;
mod usage;

pub use stats::Stats;
pub use usage::Usage;

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::OFlags;

use crate::dir::Dir;
use crate::error::Error;
use crate::layout::{Controller, ControllerSet, Version};
use crate::plan::{Join, Plan};

/// A group: one directory in each hierarchy it is in.
#[derive(Debug)]
pub struct Cgroup {
    groups: Vec<Group>,
}

/// The group's directory in one hierarchy.
#[derive(Debug)]
struct Group {
    version: Version,
    controllers: ControllerSet,
    dir: Dir,
    /// Directories above it that were made for it, topmost first.
    made_parents: Vec<Dir>,
    /// It was there before; undoing leaves it.
    taken_over: bool,
}

/// Where one directory of a group is: what has to be remembered to find the group again. The set of controllers
/// prints as text that [`ControllerSet::parse`] takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The interface.
    pub version: Version,
    /// The hierarchy's controllers.
    pub controllers: ControllerSet,
    /// Where the hierarchy is mounted.
    pub mount: PathBuf,
    /// The group, relative to the mount.
    pub path: PathBuf,
}

/// How the first process of a container gets into its group.
#[derive(Debug)]
pub struct Joining {
    /// Files that the process itself writes `0` to (v1).
    pub files: Vec<OwnedFd>,
    /// The directory for `CLONE_INTO_CGROUP` (v2).
    pub clone_into: Option<OwnedFd>,
}

impl Cgroup {
    /// Performs `plan`. If a step fails, everything made before it is removed again.
    ///
    /// # Errors
    /// [`Error::InUse`] when the group exists and has processes, children or is frozen; an existing group that
    /// is empty is taken over.
    pub fn create(plan: &Plan) -> Result<Self, Error> {
        create::create(plan)
    }

    /// The group that an earlier run recorded. A directory that is gone is left out: its group was removed.
    ///
    /// # Errors
    /// When a hierarchy is no longer mounted where it was.
    pub fn open(recorded: &[Recorded]) -> Result<Self, Error> {
        let mut groups = Vec::with_capacity(recorded.len());
        for Recorded { version, controllers, mount, path } in recorded {
            let plain = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
            if !plain || path.as_os_str().is_empty() {
                let what = "a recorded group has to be a path below the mount".to_owned();
                return Err(Error::Unreadable { file: path.clone(), what });
            }
            let mount = Dir::open_mount(mount)?;
            mount.verify(*version)?;
            let dir = mount.at(path.clone());
            if dir.exists() {
                let (version, controllers) = (*version, *controllers);
                groups.push(Group { version, controllers, dir, made_parents: Vec::new(), taken_over: false });
            }
        }
        Ok(Self { groups })
    }

    /// What to remember to [`Cgroup::open`] it again.
    pub fn recorded(&self) -> Vec<Recorded> {
        let record = |group: &Group| Recorded {
            version: group.version,
            controllers: group.controllers,
            mount: group.dir.mount_path(),
            path: group.dir.below().to_path_buf(),
        };
        self.groups.iter().map(record).collect()
    }

    /// Whether the group is in no hierarchy: it was planned nowhere, or it is gone.
    pub fn is_nowhere(&self) -> bool {
        self.groups.is_empty()
    }

    /// The directory in the hierarchy that serves `controller`, for people and tools.
    pub fn path_of(&self, controller: Controller) -> Option<PathBuf> {
        self.serving(controller).map(|group| group.dir.path())
    }

    /// Handles by which a process gets in. On v1 the process writes `0` to each file itself: a parent's write of
    /// another process's number waits 6 to 12 ms for an RCU grace period on an idle host.
    ///
    /// # Errors
    /// When a file cannot be opened for writing.
    pub fn joining(&self) -> Result<Joining, Error> {
        let mut joining = Joining { files: Vec::with_capacity(self.groups.len()), clone_into: None };
        for group in &self.groups {
            match Join::of(group.version) {
                Join::WriteTasks => joining.files.push(group.open_for_write("tasks")?),
                Join::CloneInto => {
                    let fd = group.dir.open_self().map_err(|errno| group.dir.failed("openat", "", errno))?;
                    joining.clone_into = Some(fd);
                }
            }
        }
        Ok(joining)
    }

    /// Files that a process writes `0` to in order to get into the group in every hierarchy, v2 included: for
    /// kernels and processes without `CLONE_INTO_CGROUP`.
    ///
    /// # Errors
    /// When a file cannot be opened for writing.
    pub fn join_files(&self) -> Result<Vec<OwnedFd>, Error> {
        self.groups
            .iter()
            .map(|group| match Join::of(group.version) {
                Join::WriteTasks => group.open_for_write("tasks"),
                Join::CloneInto => group.open_for_write("cgroup.procs"),
            })
            .collect()
    }

    fn serving(&self, controller: Controller) -> Option<&Group> {
        let has = |group: &&Group| group.controllers.contains(controller);
        let of_every_v2 = matches!(
            controller,
            Controller::Devices | Controller::Freezer | Controller::Cpuacct | Controller::PerfEvent
        );
        self.groups
            .iter()
            .find(has)
            .or_else(|| self.groups.iter().find(|group| of_every_v2 && group.version == Version::V2))
    }
}

impl Cgroup {
    pub(crate) fn dir_serving(&self, controller: Controller) -> Option<(Version, Dir)> {
        self.serving(controller).map(|group| (group.version, group.dir.clone()))
    }

    pub(crate) fn dir_v2(&self) -> Option<Dir> {
        self.v2().map(|group| group.dir.clone())
    }

    fn v2(&self) -> Option<&Group> {
        self.groups.iter().find(|group| group.version == Version::V2)
    }

    /// The directory by which processes are found: v2, else the freezer, else the first.
    fn tracking(&self) -> Option<&Group> {
        self.v2().or_else(|| self.serving(Controller::Freezer)).or(self.groups.first())
    }
}

impl Group {
    fn open_for_write(&self, file: &str) -> Result<OwnedFd, Error> {
        self.dir.open_file(file, OFlags::WRONLY).map_err(|errno| self.dir.failed("openat", file, errno))
    }
}

//! From a place and limits to what is made and written: the crate's decisions.
//!
//! [`plan`] is pure: it takes the [`Layout`] as an input. A [`Plan`] holds one [`GroupPlan`] per hierarchy and
//! prints as text, one step a line. [`crate::Cgroup::create`] performs it.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::controller::{self, devices::DeviceProgram};
use crate::error::{Refused, Why};
use crate::layout::{Controller, ControllerSet, Hierarchy, Layout, Version};
use crate::limits::Limits;
use crate::write::Write;

/// A path below a group: names joined by `/`, none of them empty, `.` or `..`, none a file of cgroupfs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CgroupPath(String);

impl CgroupPath {
    /// Parses a path; slashes at either end are ignored.
    ///
    /// # Errors
    /// When a name is empty, `.`, `..`, longer than 255 bytes, has a control character, or begins like a file
    /// that cgroupfs puts into every group (`cgroup.`, `memory.`, …).
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let refuse = |why: &str| Err(Refused::value(format!("cgroup path `{}`", text.escape_debug()), why));
        let names = text.trim_matches('/');
        if names.is_empty() {
            return refuse("a name is needed");
        }
        for name in names.split('/') {
            let prefix = name.split_once('.').map(|(prefix, _)| prefix.as_bytes());
            match name {
                "" => return refuse("a name between slashes is empty"),
                "." | ".." => return refuse("`.` and `..` are not allowed"),
                "tasks" | "notify_on_release" | "release_agent" => {
                    return refuse("cgroupfs has a file of that name");
                }
                _ if name.len() > 255 => return refuse("a name is longer than 255 bytes"),
                _ if name.chars().any(char::is_control) => return refuse("a name has a control character"),
                _ if prefix == Some(b"cgroup")
                    || prefix.is_some_and(|it| Controller::from_name(it).is_some()) =>
                {
                    return refuse("a name begins like a file of cgroupfs");
                }
                _ => {}
            }
        }
        Ok(Self(names.to_owned()))
    }

    /// The names, joined by `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where the group goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Below what is mounted: an absolute `cgroupsPath` of the OCI documents.
    Mount(CgroupPath),
    /// Below this process's own group in each hierarchy.
    Own(CgroupPath),
    /// The same, but on v2 beside this process's own group where controllers have to be handed down: one with a process in it cannot do
    /// that (cgroups(7), "no internal processes").
    Near(CgroupPath),
    /// Only on v2, below `base` (relative to the mount), which was delegated to this user.
    Delegated {
        /// The delegated group, relative to the mount; empty for the mounted group itself.
        base: PathBuf,
        /// The group below it.
        path: CgroupPath,
    },
    /// Nowhere: the container stays in the caller's group, for this reason.
    Nowhere(String),
}

/// In which hierarchies a group is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Which {
    /// In all of them: what runc and crun do, and what tools that watch containers expect.
    #[default]
    All,
    /// Where a limit needs it, and in one that processes are found, frozen and killed by.
    Needed,
}

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Where.
    pub place: &'a Place,
    /// What it may use.
    pub limits: &'a Limits,
    /// In which hierarchies.
    pub which: Which,
}

/// How a process gets into a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// The process itself writes `0` to `tasks`. A parent that writes another's number to `cgroup.procs` waits
    /// 6 to 12 ms for an RCU grace period on an idle host, a thread that moves itself does not.
    WriteTasks,
    /// `CLONE_INTO_CGROUP` with a handle of the directory (Linux 5.7), or `0` to `cgroup.procs`.
    CloneInto,
}

/// What is done in one hierarchy.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupPlan {
    /// The interface.
    pub version: Version,
    /// The hierarchy's controllers.
    pub controllers: ControllerSet,
    /// The name of a v1 hierarchy that has one.
    pub name: Option<String>,
    /// Where the hierarchy is mounted.
    pub mount: PathBuf,
    /// The group that exists already, relative to the mount.
    pub base: PathBuf,
    /// The group to make, relative to the mount.
    pub path: PathBuf,
    /// v2: controllers that every group from `base` to the parent hands down.
    pub enable: ControllerSet,
    /// v2: controllers that are handed down as well where they are offered, for their statistics.
    pub enable_if_offered: ControllerSet,
    /// v1: processors and memory nodes have to be copied down before a process can join.
    pub inherit_cpuset: bool,
    /// The values, in order.
    pub writes: Vec<Write>,
    /// v2: the device rules as a program.
    pub device_program: Option<DeviceProgram>,
    /// v2: if `base` holds processes, and so cannot hand controllers down, they are moved to its child `init`.
    pub evacuate: bool,
    /// What to do if the group exists already.
    pub existing: Existing,
    /// How a process gets in.
    pub join: Join,
}

/// What to do if the group exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// Take it over if it has no processes, has no groups below it and is not frozen: the OCI documents let a
    /// caller make the group that it names.
    #[default]
    TakeOverEmpty,
    /// Fail: the name is ours, so somebody else has made it.
    Refuse,
    /// Use it as it is, with its processes, and make it only where it is missing: a service manager has made it for us. Undoing
    /// leaves what was there.
    Adopt,
}

impl Plan {
    /// Refuses a group that exists already, also an empty one.
    pub fn exclusive(mut self) -> Self {
        self.groups.iter_mut().for_each(|group| group.existing = Existing::Refuse);
        self
    }

    /// Uses groups that a service manager has made for us, with the processes that are in them.
    pub fn adopting(mut self) -> Self {
        self.groups.iter_mut().for_each(|group| group.existing = Existing::Adopt);
        self
    }

    /// Lets the processes that stand in the way of cgroup v2's rule of no internal processes be moved to a child
    /// group `init` of the group they are in: the way of a container that runs containers. Without it
    /// [`crate::Error::HoldsProcesses`] explains.
    pub fn evacuating(mut self) -> Self {
        self.groups.iter_mut().for_each(|group| group.evacuate = group.version == Version::V2);
        self
    }
}

/// Something that was asked for and is left out, as the OCI documents allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What was asked for.
    pub limit: &'static str,
    /// Why it is left out.
    pub why: String,
}

/// What is done to make a group.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// One entry a hierarchy, v1 first. Empty if the container stays where the caller is.
    pub groups: Vec<GroupPlan>,
    /// What is left out; the caller tells it to a person.
    pub notes: Vec<Note>,
}

/// Decides what to do on a host of this `layout`.
///
/// # Errors
/// [`Refused`] when a limit was asked for that this host cannot hold: no limit is left out silently.
pub fn plan(layout: &Layout, wanted: &Wanted<'_>) -> Result<Plan, Refused> {
    let mut plan = Plan::default();
    let limits = controller::writes(layout, wanted.limits, &mut plan.notes)?;
    if let Place::Nowhere(reason) = wanted.place {
        return match limits.first_limit() {
            Some(limit) => Err(Refused::new(limit, Why::NoCgroup(reason.clone()))),
            None => Ok(plan),
        };
    }
    let mut unplaced = limits;
    for hierarchy in layout.hierarchies() {
        let taken = unplaced.take(hierarchy);
        let needed = taken.limit.is_some();
        // On a hybrid host the statistics come from v1, and what the root hands down is not ours to change.
        let is_unified = layout.v1.is_empty() && wanted.which == Which::All;
        let statistics = if is_unified { statistics(hierarchy.controllers) } else { ControllerSet::EMPTY };
        match group_plan(hierarchy, wanted.place, taken, statistics) {
            Ok(Some(group)) if needed || wanted.which == Which::All || tracks(layout, hierarchy) => {
                plan.groups.push(group);
            }
            Ok(_) => {}
            Err(refused) if needed => return Err(refused),
            Err(refused) => plan.notes.push(Note { limit: "cgroup", why: refused.why.to_string() }),
        }
    }
    match unplaced.first_limit() {
        Some(limit) => Err(Refused::new(limit, Why::NoCgroup("no hierarchy is mounted".to_owned()))),
        None => Ok(plan),
    }
}

/// Whether processes are found, frozen and killed by this hierarchy: v2 where it is mounted, else v1 freezer,
/// else the first.
fn tracks(layout: &Layout, hierarchy: &Hierarchy) -> bool {
    match &layout.v2 {
        Some(_) => hierarchy.version == Version::V2,
        None => match layout.serving(Controller::Freezer) {
            Some(freezer) => freezer == hierarchy,
            None => layout.v1.first() == Some(hierarchy),
        },
    }
}

/// The controllers that people look at and that cost a group little.
fn statistics(offered: ControllerSet) -> ControllerSet {
    let wanted = [Controller::Cpu, Controller::Io, Controller::Memory, Controller::Pids];
    wanted.into_iter().filter(|&controller| offered.contains(controller)).collect()
}

/// What goes into one hierarchy; `None` if the place does not reach it.
fn group_plan(
    hierarchy: &Hierarchy,
    place: &Place,
    taken: controller::Taken,
    statistics: ControllerSet,
) -> Result<Option<GroupPlan>, Refused> {
    let refuse = |why| Err(Refused::new(taken.limit.clone().unwrap_or_else(|| "cgroup".to_owned()), why));
    let (base, path) = match place {
        Place::Mount(path) => (PathBuf::new(), path),
        Place::Own(path) | Place::Near(path) => match hierarchy.own_below_mount() {
            Some(mut own) => {
                if matches!(place, Place::Near(_))
                    && hierarchy.version == Version::V2
                    && !taken.controllers.is_empty()
                {
                    own.pop();
                }
                (own, path)
            }
            None => return refuse(Why::OutsideMount(hierarchy.mount.clone())),
        },
        Place::Delegated { base, path } if hierarchy.version == Version::V2 => (base.clone(), path),
        Place::Delegated { .. } => {
            return match taken.limit {
                Some(limit) => Err(Refused::new(
                    limit,
                    Why::NoCgroup("only cgroup v2 is delegated to this user".to_owned()),
                )),
                None => Ok(None),
            };
        }
        Place::Nowhere(_) => return Ok(None),
    };
    if hierarchy.read_only {
        return refuse(Why::ReadOnly(hierarchy.mount.clone()));
    }
    let is_v2 = hierarchy.version == Version::V2;
    Ok(Some(GroupPlan {
        version: hierarchy.version,
        controllers: hierarchy.controllers,
        name: hierarchy.name.clone(),
        mount: hierarchy.mount.clone(),
        path: base.join(path.as_str()),
        base,
        enable: if is_v2 { taken.controllers } else { ControllerSet::EMPTY },
        enable_if_offered: statistics.without(taken.controllers),
        inherit_cpuset: !is_v2 && hierarchy.controllers.contains(Controller::Cpuset),
        writes: taken.writes,
        device_program: taken.device_program,
        evacuate: false,
        existing: Existing::default(),
        join: Join::of(hierarchy.version),
    }))
}

impl Join {
    /// The way in for a version.
    pub fn of(version: Version) -> Self {
        match version {
            Version::V1 => Self::WriteTasks,
            Version::V2 => Self::CloneInto,
        }
    }
}

impl GroupPlan {
    /// The groups between `base` and the new one that may have to be made first, topmost first; relative to
    /// the mount.
    pub fn parents(&self) -> Vec<&Path> {
        let mut parents: Vec<_> =
            self.path.ancestors().skip(1).take_while(|parent| *parent != self.base.as_path()).collect();
        parents.reverse();
        parents
    }
}

/// One step a line.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for group in &self.groups {
            let dir = group.mount.join(&group.path);
            let dir = dir.display();
            writeln!(f, "mkdir   {dir}")?;
            if group.inherit_cpuset {
                writeln!(f, "copy    {dir}/cpuset.cpus and cpuset.mems from the parent, where empty")?;
            }
            let enabled = group.enable.iter().chain(group.enable_if_offered.iter());
            if enabled.clone().next().is_some() {
                if group.evacuate {
                    let base = group.mount.join(&group.base);
                    writeln!(f, "move    {}/init  (processes in the way, if any)", base.display())?;
                }
                for parent in std::iter::once(group.base.as_path()).chain(group.parents()) {
                    let parent = group.mount.join(parent);
                    let parent = parent.display().to_string();
                    let parent = parent.trim_end_matches('/');
                    write!(f, "enable  {parent}/cgroup.subtree_control ")?;
                    enabled.clone().try_for_each(|controller| write!(f, " +{controller}"))?;
                    f.write_str("\n")?;
                }
            }
            for write in &group.writes {
                writeln!(f, "write   {dir}/{write}")?;
            }
            if let Some(program) = &group.device_program {
                writeln!(
                    f,
                    "attach  {dir}  device program of {} instructions",
                    program.instructions().len()
                )?;
            }
            match group.join {
                Join::WriteTasks => writeln!(f, "join    {dir}/tasks")?,
                Join::CloneInto => writeln!(f, "join    {dir}  (clone into)")?,
            }
        }
        for note in &self.notes {
            writeln!(f, "note    {}: {}", note.limit, note.why)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! A group that exists, by its name.

use std::path::Path;

use crate::controller::memory;
use crate::dir::Dir;
use crate::error::Error;
use crate::layout::{Controller, Layout};
use crate::limits::{Limit, Limits};
use crate::plan::{CgroupPath, Note, Place, Wanted, Which, plan};
use crate::words::MemoryNow;

use super::{Cgroup, Group, create};

impl Cgroup {
    /// The group `path` below where each hierarchy is mounted, in those where it exists.
    ///
    /// # Errors
    /// [`Error::NoSuch`] when it exists in none.
    pub fn find(layout: &Layout, path: &CgroupPath) -> Result<Self, Error> {
        let found = Self::at(layout, path.as_str())?;
        if found.is_nowhere() {
            return Err(Error::NoSuch { path: path.as_str().to_owned() });
        }
        Ok(found)
    }

    /// The topmost group of each hierarchy that is mounted: what the whole host (or container) uses.
    ///
    /// # Errors
    /// When a hierarchy cannot be opened.
    pub fn top(layout: &Layout) -> Result<Self, Error> {
        Self::at(layout, "")
    }

    fn at(layout: &Layout, path: &str) -> Result<Self, Error> {
        Self::at_path(layout, Path::new(path))
    }

    /// The same for a path that cgroupfs itself has told.
    pub(crate) fn at_path(layout: &Layout, path: &Path) -> Result<Self, Error> {
        let mut groups = Vec::new();
        for hierarchy in layout.hierarchies() {
            let dir = Dir::open_mount(&hierarchy.mount)?.at(path);
            if path.as_os_str().is_empty() || dir.exists() {
                groups.push(Group {
                    version: hierarchy.version,
                    controllers: hierarchy.controllers,
                    dir,
                    made_parents: Vec::new(),
                    taken_over: true,
                });
            }
        }
        Ok(Self { groups })
    }

    /// Sets limits of the group `path`, which this is. On v2 controllers that the groups above do not hand down yet
    /// are enabled there first.
    ///
    /// # Errors
    /// As [`Cgroup::update`], and when a controller cannot be handed down.
    pub fn set(&self, layout: &Layout, path: &CgroupPath, limits: &Limits) -> Result<Vec<Note>, Error> {
        let place = Place::Mount(path.clone());
        let planned = plan(layout, &Wanted { place: &place, limits, which: Which::Needed })?;
        for (planned, group) in planned.groups.iter().filter_map(|planned| {
            let same = |group: &&Group| group.version == planned.version && group.controllers == planned.controllers;
            let needs = planned.version == crate::Version::V2 && !planned.enable.is_empty();
            self.groups.iter().find(same).filter(|_| needs).map(|group| (planned, group))
        }) {
            create::enable(planned, &group.dir)?;
        }
        self.update(layout, limits)
    }

    /// What [`crate::words::Wish::limits`] has to know of an existing group.
    ///
    /// # Errors
    /// When the limit cannot be read.
    pub fn memory_now(&self) -> Result<Option<MemoryNow>, Error> {
        let limit = |stats: memory::MemoryStats| stats.max_bytes.map_or(Limit::Unlimited, Limit::At);
        Ok(self.memory_stats()?.map(|stats| MemoryNow { max: limit(stats) }))
    }

    /// The group hierarchy by hierarchy: what is done to one of these concerns that one only.
    pub fn apart(&self) -> Vec<Self> {
        let alone = |group: &Group| {
            let Group { version, controllers, dir, .. } = group;
            let (version, controllers, dir) = (*version, *controllers, dir.clone());
            Self { groups: vec![Group { version, controllers, dir, made_parents: Vec::new(), taken_over: true }] }
        };
        self.groups.iter().map(alone).collect()
    }

    /// Which controllers are served to the group: those of the hierarchies that it is in, on v2 those handed down to it.
    pub fn controllers(&self) -> Vec<Controller> {
        let mut all: Vec<_> = Vec::new();
        for group in &self.groups {
            let here = match group.version {
                crate::Version::V1 => group.controllers,
                crate::Version::V2 => crate::ControllerSet::parse(&group.dir.read("cgroup.controllers").unwrap_or_default()),
            };
            all.extend(here.iter());
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether groups are below it, in any hierarchy.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn has_children(&self) -> Result<bool, Error> {
        for group in &self.groups {
            let children = group.dir.children().map_err(|errno| group.dir.failed("getdents", "", errno))?;
            if !children.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

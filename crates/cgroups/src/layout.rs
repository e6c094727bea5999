//! Which hierarchy of this host serves which controller, and where this process sits in it.
//!
//! [`Layout::parse`] is pure and works on the texts of `/proc/self/mountinfo` and `/proc/self/cgroup`;
//! [`Layout::read`] reads them. Mounts that another mount hides are left out, as are further mounts of the
//! same hierarchy. Symbolic links such as `/sys/fs/cgroup/cpu` do not matter: mountinfo names the mount itself.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use sys::SyscallError;

use crate::dir::read_path;

mod live;

/// Which interface serves a controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// One hierarchy per controller or per few of them.
    V1,
    /// The unified hierarchy.
    V2,
}

macro_rules! controllers {
    ($($(#[$doc:meta])* $name:ident $text:literal,)*) => {
        /// A controller, named as in version 2 (`io` is `blkio` on version 1).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Controller { $($(#[$doc])* $name,)* }

        impl Controller {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name in version 2, or in version 1 where only that has it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

controllers! {
    /// Which processors and memory nodes.
    Cpuset "cpuset",
    /// Processor time.
    Cpu "cpu",
    /// Processor time used (v1; part of `cpu` on v2).
    Cpuacct "cpuacct",
    /// Block devices; `blkio` on v1.
    Io "io",
    /// Memory.
    Memory "memory",
    /// Access to devices (v1; a BPF program on v2).
    Devices "devices",
    /// Freezing (v1; in every group on v2).
    Freezer "freezer",
    /// Classes of packets (v1 only).
    NetCls "net_cls",
    /// perf(1) by group.
    PerfEvent "perf_event",
    /// Priorities of packets (v1 only).
    NetPrio "net_prio",
    /// Huge pages.
    Hugetlb "hugetlb",
    /// Number of processes.
    Pids "pids",
    /// RDMA adapters.
    Rdma "rdma",
    /// Scalar resources.
    Misc "misc",
}

impl Controller {
    /// The controller of this name in either version.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        if name == b"blkio" {
            return Some(Self::Io);
        }
        Self::ALL.iter().copied().find(|controller| controller.name().as_bytes() == name)
    }

    /// The name in `version`.
    pub fn name_in(self, version: Version) -> &'static str {
        match (self, version) {
            (Self::Io, Version::V1) => "blkio",
            _ => self.name(),
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of controllers.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct ControllerSet(u16);

impl ControllerSet {
    /// None.
    pub const EMPTY: Self = Self(0);

    /// Adds one.
    pub fn insert(&mut self, controller: Controller) {
        self.0 |= 1 << controller as u8;
    }

    /// Whether it is in.
    pub fn contains(self, controller: Controller) -> bool {
        self.0 & (1 << controller as u8) != 0
    }

    /// Whether none is in.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in this set and not in `other`.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The members.
    pub fn iter(self) -> impl Iterator<Item = Controller> + Clone {
        Controller::ALL.iter().copied().filter(move |&controller| self.contains(controller))
    }

    /// The names in a text such as `cpuset cpu io` or `rw,cpu,cpuacct`; unknown words are left out.
    pub fn parse(text: &[u8]) -> Self {
        text.split(|byte| byte.is_ascii_whitespace() || *byte == b',')
            .filter_map(Controller::from_name)
            .collect()
    }
}

impl FromIterator<Controller> for ControllerSet {
    fn from_iter<I: IntoIterator<Item = Controller>>(controllers: I) -> Self {
        let mut set = Self::EMPTY;
        controllers.into_iter().for_each(|controller| set.insert(controller));
        set
    }
}

impl fmt::Debug for ControllerSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

impl fmt::Display for ControllerSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, controller) in self.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{controller}")?;
        }
        Ok(())
    }
}

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// The interface.
    pub version: Version,
    /// The controllers it serves; on v2 those that its topmost mounted group may hand down.
    pub controllers: ControllerSet,
    /// The name of a v1 hierarchy that has one (`systemd`).
    pub name: Option<String>,
    /// Where it is mounted.
    pub mount: PathBuf,
    /// Which group is mounted there, as this process's cgroup namespace shows it; `/` outside of containers.
    pub root: PathBuf,
    /// The group of this process, as its cgroup namespace shows it; `None` if it was removed meanwhile.
    pub own: Option<PathBuf>,
    /// The mount cannot be written to.
    pub read_only: bool,
    /// Delegation stops at cgroup namespaces (mount option `nsdelegate`).
    pub nsdelegate: bool,
}

impl Hierarchy {
    /// The group of this process relative to the mount, empty for the mounted group itself; `None` if it is
    /// not below what is mounted.
    pub fn own_below_mount(&self) -> Option<PathBuf> {
        let own = self.own.as_ref()?;
        let below = own.strip_prefix(&self.root).ok()?;
        below.components().all(|part| matches!(part, Component::Normal(_))).then(|| below.to_path_buf())
    }
}

/// The hierarchies of this host as this process sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// Version 1 hierarchies in the order they are mounted.
    pub v1: Vec<Hierarchy>,
    /// The version 2 hierarchy.
    pub v2: Option<Hierarchy>,
}

/// Which of the three arrangements a host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrangement {
    /// Nothing is mounted.
    None,
    /// Only version 1.
    V1,
    /// Both; whichever has a controller serves it.
    Hybrid,
    /// Only version 2.
    V2,
}

impl Layout {
    /// Reads the layout of the live host: its mounts, `/proc/self/cgroup` and, where v2 is mounted, its
    /// `cgroup.controllers`. The mounts are asked for by statmount(2); before Linux 6.11 they come from
    /// `/proc/self/mountinfo`, for which the kernel writes down every mount that there is.
    ///
    /// # Errors
    /// When one of the texts in /proc cannot be read; without a mounted hierarchy the layout is empty.
    pub fn read() -> Result<Self, SyscallError> {
        let own = read_path(Path::new("/proc/self/cgroup"))?;
        let mut layout = match live::layout(&own) {
            Some(layout) => layout,
            None => Self::parse(&read_path(Path::new("/proc/self/mountinfo"))?, &own),
        };
        if let Some(v2) = &mut layout.v2 {
            let text = read_path(&v2.mount.join("cgroup.controllers")).unwrap_or_default();
            v2.controllers = ControllerSet::parse(&text);
        }
        Ok(layout)
    }

    /// The layout as process `pid` sits in it: the same mounts, with that process's groups as [`Hierarchy::own`].
    ///
    /// # Errors
    /// When there is no such process.
    pub fn of_process(&self, pid: u32) -> Result<Self, SyscallError> {
        let own = read_path(Path::new(&format!("/proc/{pid}/cgroup")))?;
        let mut layout = self.clone();
        for hierarchy in layout.v1.iter_mut().chain(&mut layout.v2) {
            let is_v2 = hierarchy.version == Version::V2;
            hierarchy.own = own_group(&own, hierarchy.controllers, hierarchy.name.as_deref(), is_v2);
        }
        Ok(layout)
    }

    /// The hierarchies in which this process may make or use the group at `path`, relative to the mounts: where that group,
    /// or the nearest one above it that exists, can be written to.
    ///
    /// # Errors
    /// When a hierarchy cannot be opened.
    pub fn usable(&self, path: &Path) -> Result<Self, crate::Error> {
        let mut layout = self.clone();
        let may = |hierarchy: &Hierarchy| {
            let mount = crate::dir::Dir::open_mount(&hierarchy.mount)?;
            let nearest = path.ancestors().map(|above| mount.at(above)).find(|dir| dir.is_mount() || dir.exists());
            Ok::<_, crate::Error>(nearest.is_some_and(|dir| dir.is_writable()))
        };
        let mut v1 = Vec::new();
        for hierarchy in layout.v1.drain(..) {
            if may(&hierarchy)? {
                v1.push(hierarchy);
            }
        }
        layout.v1 = v1;
        if let Some(v2) = &layout.v2
            && !may(v2)?
        {
            layout.v2 = None;
        }
        Ok(layout)
    }

    /// Adds a v1 hierarchy that only this process has mounted, at `mount`.
    ///
    /// # Errors
    /// When this process's groups cannot be read.
    pub fn add_private(&mut self, controllers: ControllerSet, mount: PathBuf) -> Result<(), SyscallError> {
        let own = read_path(Path::new("/proc/self/cgroup"))?;
        self.v1.push(Hierarchy {
            version: Version::V1,
            controllers,
            name: None,
            own: own_group(&own, controllers, None, false),
            root: PathBuf::from("/"),
            mount,
            read_only: false,
            nsdelegate: false,
        });
        Ok(())
    }

    /// The layout that these two texts describe; v2 controllers are in neither and remain empty.
    pub fn parse(mountinfo: &[u8], own: &[u8]) -> Self {
        let mounts = visible_cgroup_mounts(mountinfo);
        let mut layout = Self::default();
        for mount in mounts {
            let found = Found {
                is_v2: mount.fstype == b"cgroup2",
                root: path_of(mount.root),
                point: path_of(mount.point),
                read_only: has_option(mount.options, b"ro") || has_option(mount.super_options, b"ro"),
                options: mount.super_options,
            };
            layout.extend(found, own);
        }
        layout
    }

    /// The hierarchy that serves `controller`: v1 where it has it, because the kernel binds a controller to one
    /// hierarchy only. On v2 devices, freezing and processor accounting belong to every group.
    pub fn serving(&self, controller: Controller) -> Option<&Hierarchy> {
        let v1 = self.v1.iter().find(|hierarchy| hierarchy.controllers.contains(controller));
        v1.or_else(|| self.v2.as_ref().filter(|v2| has_v2(v2.controllers, controller)))
    }

    /// All hierarchies, v1 first.
    pub fn hierarchies(&self) -> impl Iterator<Item = &Hierarchy> {
        self.v1.iter().chain(&self.v2)
    }

    /// Which arrangement this is.
    pub fn arrangement(&self) -> Arrangement {
        match (self.v1.is_empty(), &self.v2) {
            (true, None) => Arrangement::None,
            (false, None) => Arrangement::V1,
            (false, Some(_)) => Arrangement::Hybrid,
            (true, Some(_)) => Arrangement::V2,
        }
    }

    /// Adds what is mounted, if it is a hierarchy.
    fn extend(&mut self, found: Found<'_>, own: &[u8]) {
        let Found { is_v2, root, point, read_only, options } = found;
        let controllers = if is_v2 { ControllerSet::EMPTY } else { ControllerSet::parse(options) };
        let name = option_value(options, b"name=").filter(|_| !is_v2);
        if !is_v2 && controllers.is_empty() && name.is_none() {
            return;
        }
        self.add(Hierarchy {
            version: if is_v2 { Version::V2 } else { Version::V1 },
            own: own_group(own, controllers, name.as_deref(), is_v2),
            controllers,
            name,
            root,
            mount: point,
            read_only,
            nsdelegate: has_option(options, b"nsdelegate"),
        });
    }

    /// Keeps the better of two mounts of one hierarchy: one that shows this process's group and can be
    /// written to, else the first.
    fn add(&mut self, new: Hierarchy) {
        let rank = |hierarchy: &Hierarchy| (hierarchy.own_below_mount().is_some(), !hierarchy.read_only);
        let same = match new.version {
            Version::V2 => self.v2.as_mut(),
            Version::V1 => {
                self.v1.iter_mut().find(|old| old.controllers == new.controllers && old.name == new.name)
            }
        };
        match (same, new.version) {
            (Some(old), _) if rank(&new) > rank(old) => *old = new,
            (Some(_), _) => {}
            (None, Version::V1) => self.v1.push(new),
            (None, Version::V2) => self.v2 = Some(new),
        }
    }
}

/// A visible mount of a hierarchy.
struct Found<'a> {
    is_v2: bool,
    root: PathBuf,
    point: PathBuf,
    read_only: bool,
    /// The filesystem's options.
    options: &'a [u8],
}

/// Whether a v2 group below one with `controllers` has what `controller` does.
fn has_v2(controllers: ControllerSet, controller: Controller) -> bool {
    match controller {
        Controller::Devices | Controller::Freezer | Controller::Cpuacct | Controller::PerfEvent => true,
        Controller::NetCls | Controller::NetPrio => false,
        _ => controllers.contains(controller),
    }
}

/// A line of mountinfo (proc_pid_mountinfo(5)), strings still escaped.
#[derive(Clone, Copy)]
struct MountLine<'a> {
    id: u32,
    parent: u32,
    root: &'a [u8],
    point: &'a [u8],
    options: &'a [u8],
    fstype: &'a [u8],
    super_options: &'a [u8],
}

impl<'a> MountLine<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.split(|&byte| byte == b' ');
        let id = number(fields.next()?)?;
        let parent = number(fields.next()?)?;
        let root = fields.nth(1)?;
        let point = fields.next()?;
        let options = fields.next()?;
        fields.by_ref().find(|&field| field == b"-")?;
        let fstype = fields.next()?;
        let super_options = fields.nth(1).unwrap_or_default();
        Some(Self { id, parent, root, point, options, fstype, super_options })
    }
}

/// The cgroup mounts that a path walk reaches, in the order of the text.
fn visible_cgroup_mounts(mountinfo: &[u8]) -> Vec<MountLine<'_>> {
    let lines = || mountinfo.split(|&byte| byte == b'\n').filter_map(MountLine::parse);
    let cgroups: Vec<_> =
        lines().filter(|mount| mount.fstype == b"cgroup" || mount.fstype == b"cgroup2").collect();
    // Only a mount on the way to a cgroup mount can hide it.
    let on_the_way: Vec<_> = lines()
        .filter(|mount| cgroups.iter().any(|cgroup| is_at_or_above(mount.point, cgroup.point)))
        .collect();
    cgroups.iter().copied().filter(|mount| !is_hidden(mount, &on_the_way)).collect()
}

/// Whether another mount lies over this one: on its root, or on a directory between an ancestor and it.
fn is_hidden(mount: &MountLine<'_>, mounts: &[MountLine<'_>]) -> bool {
    let covers = |below: &MountLine<'_>, point: &[u8], not: Option<u32>| {
        mounts.iter().any(|other| {
            other.parent == below.id
                && other.id != below.id
                && Some(other.id) != not
                && is_at_or_above(other.point, point)
                && is_at_or_above(below.point, other.point)
        })
    };
    if covers(mount, mount.point, None) {
        return true;
    }
    let mut current = *mount;
    // A chain of parents is never longer than the table; a text from elsewhere may have a loop.
    for _ in 0..mounts.len() {
        let Some(parent) = mounts.iter().find(|other| other.id == current.parent && other.id != current.id)
        else {
            break;
        };
        if covers(parent, current.point, Some(current.id)) {
            return true;
        }
        current = *parent;
    }
    false
}

fn is_at_or_above(upper: &[u8], lower: &[u8]) -> bool {
    upper == b"/" || lower.strip_prefix(upper).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// The group of this process in one hierarchy, from lines such as `4:cpu,cpuacct:/user.slice`.
fn own_group(text: &[u8], controllers: ControllerSet, name: Option<&str>, is_v2: bool) -> Option<PathBuf> {
    text.split(|&byte| byte == b'\n').find_map(|line| {
        let mut fields = line.splitn(3, |&byte| byte == b':');
        let (id, list, path) = (fields.next()?, fields.next()?, fields.next()?);
        let is_this = if is_v2 {
            id == b"0" && list.is_empty()
        } else {
            match controllers.iter().next() {
                Some(first) => ControllerSet::parse(list).contains(first),
                None => list.strip_prefix(b"name=").is_some_and(|own| Some(own) == name.map(str::as_bytes)),
            }
        };
        if !is_this || path.ends_with(b" (deleted)") {
            return None;
        }
        Some(PathBuf::from(OsStr::from_bytes(path)))
    })
}

fn has_option(options: &[u8], wanted: &[u8]) -> bool {
    options.split(|&byte| byte == b',').any(|option| option == wanted)
}

fn option_value(options: &[u8], key: &[u8]) -> Option<String> {
    let value = options.split(|&byte| byte == b',').find_map(|option| option.strip_prefix(key))?;
    Some(String::from_utf8_lossy(value).into_owned())
}

fn number(text: &[u8]) -> Option<u32> {
    str::from_utf8(text).ok()?.parse().ok()
}

/// A path with mountinfo's octal escapes (`\040`) undone.
fn path_of(escaped: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = (first == b'\\').then(|| tail.get(..3)).flatten().and_then(octal_byte);
        match octal {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

fn octal_byte(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests;

//! The container's cgroup: which directories, when they are made, how the stage gets in, and how the container sees it.

use std::path::{Path, PathBuf};

use cgroups::controller::devices::DeviceProgram;
use cgroups::plan::{GroupPlan, Join};
use cgroups::{Version, Wanted, Which};
use init::ops::{Op, Slot};
use sys::{clone, raw};
use systemd::Property;

use super::beside::Beside;
use super::mounts::{self, Tree};
use super::namespaces::Namespaces;
use super::{Act, Builder, PlanError, Produced, limits};
use crate::unit;

/// The decisions about the cgroup.
pub(crate) struct Group {
    /// Made before the stage, which starts in it.
    early: cgroups::Plan,
    /// Made while the stage works, which joins it by writing.
    late: cgroups::Plan,
    /// Device rules of the early one: to load them takes longer than to make it.
    devices: Option<DeviceProgram>,
    /// What systemd is asked to make it with, if it does that.
    properties: Option<Vec<Property>>,
}

impl Group {
    pub(crate) fn is_nowhere(&self) -> bool {
        self.early.groups.is_empty() && self.late.groups.is_empty()
    }

    pub(crate) fn clone_into(&self) -> bool {
        !self.early.groups.is_empty()
    }
}

pub(crate) fn decide(plan: &mut Builder<'_>) -> Result<Group, PlanError> {
    let mut limits = limits::of(&plan.launch.spec.linux.resources)?;
    if !plan.facts.is_privileged() {
        // Device rules take CAP_BPF or a v1 hierarchy of root's. Without them nothing is lost: in a user namespace no device can be
        // made, and those mounted are opened by the rights of their files.
        limits.devices = None;
    }
    let wanted = Wanted { place: &plan.launch.cgroup, limits: &limits, which: Which::All };
    let all = cgroups::plan(&plan.facts.cgroups, &wanted).map_err(PlanError::Limit)?;
    for note in &all.notes {
        plan.note(format!("{}: {}", note.limit, note.why));
    }
    let (unit, id) = (plan.launch.unit.as_ref(), plan.launch.id.as_str());
    let properties = unit.map(|unit| unit::all_properties(unit, id, &limits)).transpose();
    let properties = properties.map_err(|cause| PlanError::Unit(cause.into()))?;
    // A unit starts with a process in it, so that is there first; and the unit's cgroup is then there with the process.
    let all = if unit.is_some() { all.adopting() } else { all };
    let into = plan.facts.calls.clone_into_cgroup && unit.is_none();
    let (early, late) = all.groups.into_iter().partition(|group| into && group.join == Join::CloneInto);
    let mut early: Vec<_> = early;
    let devices = early.iter_mut().find_map(|group: &mut GroupPlan| group.device_program.take());
    Ok(Group {
        properties,
        early: cgroups::Plan { groups: early, notes: Vec::new() },
        late: cgroups::Plan { groups: late, notes: Vec::new() },
        devices,
    })
}

fn describe(plan: &cgroups::Plan) -> String {
    let paths: Vec<_> = plan.groups.iter().map(|group| directory(group).display().to_string()).collect();
    match paths.as_slice() {
        [path] => format!("make the cgroup {path}"),
        paths => format!("make the cgroups {}", paths.join(" ")),
    }
}

fn directory(group: &cgroups::plan::GroupPlan) -> PathBuf {
    group.mount.join(&group.path)
}

pub(crate) fn create_before_spawn(plan: &mut Builder<'_>, group: &Group) {
    if !group.early.groups.is_empty() {
        let act = Act::CreateCgroup(group.early.clone());
        plan.engine(describe(&group.early), "with its limits, so that the stage starts in it", act);
        delegate(plan);
    }
}

/// A container that sees its cgroup alone and may write to it gets it, limits excepted (config-linux.md, "Cgroup ownership"). Where
/// v1 is in use that takes [`crate::Launch::delegate_v1`].
fn delegate(plan: &mut Builder<'_>) {
    let spec = &plan.launch.spec;
    let writable = |mount: &spec::Mount| {
        let own = mounts::is_cgroup(mount) && Path::new(&mount.destination) == Path::new("/sys/fs/cgroup");
        own && !mount.options.iter().any(|option| option == "ro" || option == "rro")
    };
    let namespace = plan.namespace(spec::NamespaceType::Cgroup).is_new();
    let is_v1 = !plan.facts.cgroups.v1.is_empty();
    if (is_v1 && !plan.launch.delegate_v1) || !namespace || !spec.mounts.iter().any(writable) {
        return;
    }
    let user = &spec.process.user;
    let host = |maps: &[spec::IdMapping], id| match maps {
        [] => Some(id),
        maps => spec::id_map::to_host(maps, id),
    };
    let ids = (host(&spec.linux.uid_mappings, user.uid), host(&spec.linux.gid_mappings, user.gid));
    if let (Some(uid), Some(gid)) = ids
        && (uid, gid) != (plan.facts.uid, plan.facts.gid)
        && plan.facts.is_privileged()
    {
        let act = Act::DelegateCgroup { uid, gid };
        plan.engine(format!("give the cgroup to {uid}:{gid}"), "the container may write to its own", act);
    }
}

/// Where the stage finds what it writes to in order to join.
pub(crate) struct JoinFiles {
    pub(crate) first: Slot,
    pub(crate) count: u16,
}

/// Makes the groups that the stage is not born in; returns the first of the ways into them, and how many they are.
pub(crate) fn create_after_spawn(plan: &mut Builder<'_>, group: &Group) -> Option<(Produced, usize)> {
    if let (Some(unit), Some(properties)) = (plan.launch.unit.clone(), &group.properties) {
        let what = format!("have systemd start {} in {}", unit.path.unit, unit.path.slice);
        let act = Act::StartUnit { unit, properties: properties.clone() };
        plan.engine(what, "the stage is moved into its cgroup, whose limits systemd then knows", act);
    }
    let count = group.late.groups.len();
    if count == 0 {
        return None;
    }
    let act = Act::CreateCgroup(group.late.clone());
    let (what, why) = match plan.launch.unit {
        Some(_) => (describe(&group.late).replacen("make", "settle", 1), "what systemd has no property for"),
        None => (describe(&group.late), "with its limits, while the stage mounts"),
    };
    plan.engine(what, why, act);
    if group.early.groups.is_empty() {
        delegate(plan);
    }
    let why = "the stage writes itself in: that does not wait for a grace period of the kernel, as writing another would";
    plan.engine("open the ways into it", why, Act::OpenJoinFiles { count });
    Some((plan.yielded(count), count))
}

/// Puts the device rules on the group that the stage was born in; tells whether there are any.
pub(crate) fn confine(plan: &mut Builder<'_>, group: &Group) -> bool {
    let Some(program) = &group.devices else { return false };
    let what = format!(
        "put the device rules on the cgroup, a program of {} instructions",
        program.instructions().len()
    );
    plan.engine(
        what,
        "loading it takes the kernel some time, and nothing of the container runs yet",
        Act::ConfineDevices(program.clone()),
    );
    true
}

/// Joins, and makes the cgroup namespace whose root is where the stage then is.
pub(crate) fn join(plan: &mut Builder<'_>, namespaces: &Namespaces, beside: Option<&Beside>) {
    if let Some(files) = beside.and_then(Beside::join) {
        plan.stage("join the cgroup", "from here on everything counts");
        beside.iter().for_each(|beside| beside.need(plan));
        for index in 0..files.count {
            let slot = Slot(files.first.0 + index);
            let bytes = plan.ops.blob(b"0");
            plan.push(Op::Write { to: slot, bytes });
            plan.ops.close(slot);
        }
    }
    if namespaces.cgroup {
        plan.stage("make a cgroup namespace", "its root is the cgroup joined before");
    }
    // Also without any descriptor: the device rules are to hold before the container's program runs.
    beside.iter().for_each(|beside| beside.need(plan));
    if namespaces.cgroup {
        plan.push(Op::Unshare { kinds: clone::CLONE_NEWCGROUP });
    }
}

/// What a container sees of its cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CgroupView {
    pub(crate) groups: Vec<ViewedGroup>,
    /// All of them in a tmpfs, each on a directory of its name; else there is one.
    pub(crate) by_hierarchy: bool,
    pub(crate) attributes: u64,
}

/// One directory of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ViewedGroup {
    /// Its name, and links to that one for each controller of several.
    pub(crate) name: String,
    pub(crate) links: Vec<String>,
    /// The directory, on this host.
    pub(crate) path: PathBuf,
}

/// Views that the engine makes, each with the index of the mount that wants it.
pub(crate) fn views(
    plan: &mut Builder<'_>,
    group: &Group,
    namespaces: &Namespaces,
) -> Result<Vec<(usize, Produced)>, PlanError> {
    let mut views = Vec::new();
    let by_hierarchy = !plan.facts.cgroups.v1.is_empty();
    let calls = plan.facts.calls;
    // A tmpfs that is mounted nowhere takes mounts since Linux 6.15.
    let possible =
        plan.facts.is_privileged() && calls.mount_setattr && (calls.clone_detached || !by_hierarchy);
    let launch = plan.launch;
    for (index, mount) in
        launch.spec.mounts.iter().enumerate().filter(|(_, mount)| possible && mounts::is_cgroup(mount))
    {
        let options = mounts::options(mount)?;
        let attributes = options.attributes.set | options.recursive.set;
        let groups = if by_hierarchy { viewed(plan, group) } else { viewed_unified(plan, group, namespaces) };
        if groups.is_empty() {
            continue;
        }
        let act = Act::ViewCgroup(CgroupView { groups, by_hierarchy, attributes });
        let what = format!("make the view of the cgroup for {}", mount.destination);
        let why = "copies of the mounts that are there, rooted in the container's own";
        views.push((index, plan.produce(what, why, act)));
    }
    Ok(views)
}

/// The mounts of type `cgroup` of the specification: what the container sees of its cgroup.
pub(crate) fn mount(
    plan: &mut Builder<'_>,
    tree: &Tree,
    group: &Group,
    namespaces: &Namespaces,
    beside: Option<&Beside>,
) -> Result<(), PlanError> {
    let launch = plan.launch;
    for (index, mount) in launch.spec.mounts.iter().enumerate().filter(|(_, mount)| mounts::is_cgroup(mount))
    {
        let options = mounts::options(mount)?;
        let attributes = options.attributes.set | options.recursive.set;
        let what = format!("show the cgroup at {}", mount.destination);
        plan.stage(what, "copies of the mounts that are there, rooted in the container's own");
        if let Some((beside, view)) = beside.and_then(|beside| Some((beside, beside.view(index)?))) {
            beside.need(plan);
            mounts::attach(plan, tree, view, &mount.destination);
            plan.ops.close(view);
            continue;
        }
        if plan.facts.cgroups.v1.is_empty() {
            unified(plan, tree, group, namespaces, &mount.destination, attributes);
        } else {
            by_hierarchy(plan, tree, group, &mount.destination, attributes);
        }
    }
    Ok(())
}

/// The directory of the container in each hierarchy, or where this process is if the container has none.
fn directories(plan: &Builder<'_>, group: &Group) -> Vec<(Version, PathBuf, PathBuf)> {
    let groups = || group.late.groups.iter().chain(&group.early.groups);
    let of = |hierarchy: &cgroups::layout::Hierarchy| {
        let own = groups().find(|group| group.mount == hierarchy.mount).map(directory);
        let here = || Some(hierarchy.mount.join(hierarchy.own_below_mount()?));
        Some((hierarchy.version, hierarchy.mount.clone(), own.or_else(here)?))
    };
    plan.facts.cgroups.hierarchies().filter_map(of).collect()
}

fn unified(
    plan: &mut Builder<'_>,
    tree: &Tree,
    group: &Group,
    namespaces: &Namespaces,
    destination: &str,
    attributes: u64,
) {
    let out = plan.ops.slot();
    match viewed_unified(plan, group, namespaces).first() {
        Some(own) => {
            clone_directory(plan, &own.path, out);
            // Attached first: without mount_setattr(2) attributes are changed by mount(2), which takes no detached mount.
            mounts::attach(plan, tree, out, destination);
            mounts::set_attributes(plan, out, attributes, false);
        }
        None => {
            mounts::filesystem(plan, "cgroup2", &[], attributes, out);
            mounts::attach(plan, tree, out, destination);
        }
    }
    plan.ops.close(out);
}

/// The one directory of a v2 host.
fn viewed_unified(plan: &Builder<'_>, group: &Group, namespaces: &Namespaces) -> Vec<ViewedGroup> {
    let first = directories(plan, group).into_iter().next();
    first
        .into_iter()
        .map(|(_, mount, path)| {
            // Without a cgroup namespace of its own a container sees the whole hierarchy, as with other runtimes.
            let path = if namespaces.cgroup { path } else { mount };
            ViewedGroup { name: String::new(), links: Vec::new(), path }
        })
        .collect()
}

/// A directory for each hierarchy.
fn viewed(plan: &Builder<'_>, group: &Group) -> Vec<ViewedGroup> {
    let mut groups = Vec::new();
    for (version, mount, path) in directories(plan, group) {
        let name = match (version, mount.file_name()) {
            (Version::V2, _) => "unified".to_owned(),
            (Version::V1, Some(name)) => name.to_string_lossy().into_owned(),
            (Version::V1, None) => continue,
        };
        let links = name.split(',').filter(|single| *single != name).map(str::to_owned).collect();
        groups.push(ViewedGroup { name, links, path });
    }
    groups
}

fn by_hierarchy(plan: &mut Builder<'_>, tree: &Tree, group: &Group, destination: &str, attributes: u64) {
    let all = plan.ops.slot();
    let mode = [("mode".to_owned(), Some("755".to_owned()))];
    mounts::filesystem(plan, "tmpfs", &mode, attributes & !raw::MOUNT_ATTR_RDONLY, all);
    mounts::attach(plan, tree, all, destination);
    for ViewedGroup { name, links, path } in viewed(plan, group) {
        let copy = plan.ops.slot();
        clone_directory(plan, &path, copy);
        let name_text = plan.ops.text(&name);
        plan.push(Op::MakeDirectory { dir: all, name: name_text, mode: 0o755 });
        plan.push(Op::MoveMount { from: copy, to: all, name: name_text });
        mounts::set_attributes(plan, copy, attributes, false);
        plan.ops.close(copy);
        for link in links {
            let (target, link) = (plan.ops.text(&name), plan.ops.text(link));
            plan.push(Op::MakeLink { target, dir: all, name: link });
        }
    }
    if attributes & raw::MOUNT_ATTR_RDONLY != 0 {
        super::root::set_readonly(plan, all);
    }
    plan.ops.close(all);
}

fn clone_directory(plan: &mut Builder<'_>, path: &Path, out: Slot) {
    let name = plan.ops.text(path.as_os_str().as_encoded_bytes());
    plan.push(Op::OpenTree { dir: Slot::CWD, name, flags: raw::OPEN_TREE_CLONE, out });
}

//! The container's cgroup: which directories, when they are made, how the stage gets in, and how the container sees it.

use std::path::{Path, PathBuf};

use cgroups::plan::Join;
use cgroups::{Version, Wanted, Which};
use init::ops::{Op, Slot};
use sys::{clone, raw};

use super::mounts::{self, Tree};
use super::namespaces::Namespaces;
use super::{Act, Builder, PlanError, Ticket, limits};

/// The decisions about the cgroup.
pub(crate) struct Group {
    /// Made before the stage, which starts in it.
    early: cgroups::Plan,
    /// Made while the stage works, which joins it by writing.
    late: cgroups::Plan,
}

impl Group {
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
    let into = plan.facts.calls.clone_into_cgroup;
    let (early, late) = all.groups.into_iter().partition(|group| into && group.join == Join::CloneInto);
    Ok(Group {
        early: cgroups::Plan { groups: early, notes: Vec::new() },
        late: cgroups::Plan { groups: late, notes: Vec::new() },
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

/// A container that sees its v2 cgroup alone and may write to it gets it, limits excepted (config-linux.md, "Cgroup ownership"). v1
/// cannot be delegated safely.
fn delegate(plan: &mut Builder<'_>) {
    let spec = &plan.launch.spec;
    let writable = |mount: &spec::Mount| {
        let own = mounts::is_cgroup(mount) && Path::new(&mount.destination) == Path::new("/sys/fs/cgroup");
        own && !mount.options.iter().any(|option| option == "ro" || option == "rro")
    };
    let namespace = plan.namespace(spec::NamespaceType::Cgroup).is_new();
    if !plan.facts.cgroups.v1.is_empty() || !namespace || !spec.mounts.iter().any(writable) {
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

/// What the stage needs to join.
pub(crate) struct JoinFiles {
    ticket: Ticket,
    first: Slot,
    count: u16,
}

pub(crate) fn create_after_spawn(plan: &mut Builder<'_>, group: &Group) -> Option<JoinFiles> {
    let count = group.late.groups.len();
    if count == 0 {
        return None;
    }
    let act = Act::CreateCgroup(group.late.clone());
    plan.engine(describe(&group.late), "with its limits, while the stage mounts", act);
    if group.early.groups.is_empty() {
        delegate(plan);
    }
    let why = "the stage writes itself in: that does not wait for a grace period of the kernel, as writing another would";
    plan.engine("open the ways into it", why, Act::OpenJoinFiles { count });
    let produced = plan.yielded(count);
    let fds = (0..count).map(|index| super::Produced(produced.0 + index)).collect();
    let (ticket, first) = plan.hand_over(fds);
    Some(JoinFiles { ticket, first, count: count as u16 })
}

/// Joins, and makes the cgroup namespace whose root is where the stage then is.
pub(crate) fn join(plan: &mut Builder<'_>, namespaces: &Namespaces, files: Option<JoinFiles>) {
    if let Some(files) = files {
        plan.stage("join the cgroup", "from here on everything counts");
        plan.need(files.ticket);
        for index in 0..files.count {
            let slot = Slot(files.first.0 + index);
            let bytes = plan.ops.blob(b"0");
            plan.push(Op::Write { to: slot, bytes });
            plan.ops.close(slot);
        }
    }
    if namespaces.cgroup {
        plan.stage("make a cgroup namespace", "its root is the cgroup joined before");
        plan.push(Op::Unshare { kinds: clone::CLONE_NEWCGROUP });
    }
}

/// The mounts of type `cgroup` of the specification: what the container sees of its cgroup.
pub(crate) fn mount(
    plan: &mut Builder<'_>,
    tree: &Tree,
    group: &Group,
    namespaces: &Namespaces,
) -> Result<(), PlanError> {
    let spec = &plan.launch.spec;
    let wanted: Vec<_> = spec.mounts.iter().filter(|mount| mounts::is_cgroup(mount)).cloned().collect();
    for mount in wanted {
        let options = mounts::options(&mount)?;
        let attributes = options.attributes.set | options.recursive.set;
        let what = format!("show the cgroup at {}", mount.destination);
        plan.stage(what, "copies of the mounts that are there, rooted in the container's own");
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
    match directories(plan, group).first() {
        Some((_, mount, path)) => {
            // Without a cgroup namespace of its own a container sees the whole hierarchy, as with other runtimes.
            let path = if namespaces.cgroup { path.clone() } else { mount.clone() };
            clone_directory(plan, &path, out);
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

fn by_hierarchy(plan: &mut Builder<'_>, tree: &Tree, group: &Group, destination: &str, attributes: u64) {
    let all = plan.ops.slot();
    let mode = [("mode".to_owned(), Some("755".to_owned()))];
    mounts::filesystem(plan, "tmpfs", &mode, attributes & !raw::MOUNT_ATTR_RDONLY, all);
    mounts::attach(plan, tree, all, destination);
    for (version, mount, path) in directories(plan, group) {
        let name = match (version, mount.file_name()) {
            (Version::V2, _) => "unified".into(),
            (Version::V1, Some(name)) => name.to_string_lossy().into_owned(),
            (Version::V1, None) => continue,
        };
        let copy = plan.ops.slot();
        clone_directory(plan, &path, copy);
        let name_text = plan.ops.text(&name);
        plan.push(Op::MakeDirectory { dir: all, name: name_text, mode: 0o755 });
        plan.push(Op::MoveMount { from: copy, to: all, name: name_text });
        mounts::set_attributes(plan, copy, attributes, false);
        plan.ops.close(copy);
        for single in name.split(',').filter(|single| *single != name) {
            let (target, link) = (plan.ops.text(&name), plan.ops.text(single));
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

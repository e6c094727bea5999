//! What the engine makes beside the stage: /dev, the container's view of its cgroup, and the rules about devices.
//!
//! None of it needs the container's namespaces, and the stage has enough to do until it needs them. Everything is made detached, under
//! names that are in the specification or here: nothing is looked up in the container's root. [`make`] decides, and returns
//! what the stage finds where; one message passes all of it.

use std::path::Path;

use init::ops::{Op, Slot};
use spec::mount_options::{MountOptions, superblock};
use spec::{IdMapping, Mount};
use sys::raw;

use super::cgroup::{Group, JoinFiles};
use super::mounts::{self, Tree};
use super::namespaces::Namespaces;
use super::{Act, Builder, PlanError, Produced, Ticket, cgroup, devices};

/// A detached /dev.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceTree {
    pub(crate) root: Filesystem,
    /// Nodes: name, mode with type, device number.
    pub(crate) nodes: Vec<(&'static str, u32, u64)>,
    /// Links: name, target.
    pub(crate) links: Vec<(&'static str, &'static str)>,
    /// Empty directories, for what the stage mounts.
    pub(crate) directories: Vec<String>,
    /// What is mounted in it, each on a directory of its own.
    pub(crate) mounts: Vec<(String, Filesystem)>,
    /// Whose all of it is, by ids of the host.
    pub(crate) owner: (u32, u32),
}

/// A new filesystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filesystem {
    pub(crate) fstype: &'static str,
    pub(crate) data: Vec<(String, Option<String>)>,
    pub(crate) attributes: u64,
}

/// What the stage gets.
pub(crate) struct Beside {
    ticket: Ticket,
    join: Option<JoinFiles>,
    network: Option<Slot>,
    dev: Option<Dev>,
    /// A view of the cgroup for each mount of the specification that wants one, by its index.
    views: Vec<(usize, Slot)>,
}

/// /dev, which mounts of the specification are in it already, and for which there is a directory.
struct Dev {
    slot: Slot,
    made: Vec<usize>,
    directories: Vec<String>,
}

/// Adds the engine's steps.
pub(crate) fn make(
    plan: &mut Builder<'_>,
    group: &Group,
    namespaces: &Namespaces,
) -> Result<Option<Beside>, PlanError> {
    let join = cgroup::create_after_spawn(plan, group);
    let dev = match dev(plan, namespaces)? {
        None => None,
        Some((tree, made)) => {
            let what =
                format!("make {} with the default devices", plan.launch.spec.mounts[made[0]].destination);
            let why = "a tmpfs, detached, while the stage has other work";
            let directories = tree.directories.clone();
            Some((plan.produce(what, why, Act::MakeDev(tree)), made, directories))
        }
    };
    let views = cgroup::views(plan, group, namespaces)?;
    let confined = cgroup::confine(plan, group);
    let network = namespaces.network_ahead.then(|| {
        let what = "take the network namespace that was made ahead";
        plan.produce(what, "by a thread, since the configuration was read", Act::TakeNetwork)
    });
    if join.is_none() && dev.is_none() && views.is_empty() && !confined && network.is_none() {
        return Ok(None);
    }
    let joining = join.map_or(0..0, |(first, count)| first.0..first.0 + count);
    let count = joining.len();
    let mut all: Vec<Produced> = joining.map(Produced).collect();
    all.extend(dev.iter().map(|(produced, ..)| *produced));
    all.extend(views.iter().map(|(_, produced)| *produced));
    all.extend(network);
    let (ticket, first) = plan.hand_over(all);
    let mut next = first.0 + count as u16;
    let mut slot = || {
        next += 1;
        Slot(next - 1)
    };
    Ok(Some(Beside {
        ticket,
        join: (count > 0).then_some(JoinFiles { first, count: count as u16 }),
        dev: dev.map(|(_, made, directories)| Dev { slot: slot(), made, directories }),
        views: views.into_iter().map(|(index, _)| (index, slot())).collect(),
        network: network.map(|_| slot()),
    }))
}

impl Beside {
    /// Makes the stage wait for it, unless it has.
    pub(crate) fn need(&self, plan: &mut Builder<'_>) {
        plan.need(self.ticket);
    }

    /// Whether /dev is among it.
    pub(crate) fn dev_is_made(&self) -> bool {
        self.dev.is_some()
    }

    pub(crate) fn join(&self) -> Option<&JoinFiles> {
        self.join.as_ref()
    }

    /// Whether this mount of the specification is in /dev already.
    pub(crate) fn has_made(&self, index: usize) -> bool {
        self.dev.as_ref().is_some_and(|dev| dev.made.contains(&index))
    }

    /// Joins the network namespace, if it is among it; once, before anything shows which one the stage is in.
    pub(crate) fn enter_network(&self, plan: &mut Builder<'_>) {
        let Some(network) = self.network else { return };
        if plan.has_network {
            return;
        }
        plan.has_network = true;
        plan.stage("join the network namespace", "that was made ahead, with its loopback interface up");
        plan.need(self.ticket);
        plan.push(Op::Join { ns: network, kinds: sys::clone::CLONE_NEWNET });
        plan.ops.close(network);
    }

    /// The view of the cgroup for this mount of the specification.
    pub(crate) fn view(&self, index: usize) -> Option<Slot> {
        self.views.iter().find(|(of, _)| *of == index).map(|(_, slot)| *slot)
    }

    /// Attaches /dev, if it is among what was made.
    pub(crate) fn attach_dev(&self, plan: &mut Builder<'_>, tree: &mut Tree) {
        let Some(dev) = &self.dev else { return };
        plan.stage("attach /dev", "what the engine has made");
        plan.need(self.ticket);
        let (path, direct) = mounts::below_root(plan, "/dev");
        plan.push(Op::Attach { from: dev.slot, root: tree.root, path, direct, no_links: false });
        tree.dev = Some(dev.slot);
        tree.dev_is_filled = true;
        tree.dev_has.clone_from(&dev.directories);
        let devpts = dev
            .made
            .iter()
            .map(|index| &plan.launch.spec.mounts[*index])
            .find(|mount| mount.fstype == "devpts");
        if let (Some(devpts), Some(_)) = (devpts, plan.launch.stdio.terminal()) {
            let out = plan.ops.slot();
            let name = name_in_dev(devpts).unwrap_or_default();
            let name = plan.ops.text(name);
            plan.push(Op::Open { dir: dev.slot, name, flags: raw::O_PATH | raw::O_DIRECTORY, out });
            tree.devpts = Some(out);
        }
    }
}

/// /dev as the engine can make it, and the mounts of the specification that it holds; the first is /dev itself.
fn dev(plan: &Builder<'_>, namespaces: &Namespaces) -> Result<Option<(DeviceTree, Vec<usize>)>, PlanError> {
    let spec = &plan.launch.spec;
    // Nothing can be mounted in a detached tree before Linux 6.15.
    if !plan.facts.is_privileged() || !plan.facts.calls.clone_detached || !spec.linux.mount_label.is_empty() {
        return Ok(None);
    }
    let Some(owner) = owner(plan, namespaces) else { return Ok(None) };
    // Here such ids would be the host's.
    let has_owner =
        |filesystem: &Filesystem| filesystem.data.iter().any(|(key, _)| key == "uid" || key == "gid");
    let is_dev = |mount: &Mount| mounts::normal(&mount.destination) == Path::new("/dev");
    let mut found = spec.mounts.iter().enumerate().filter(|(_, mount)| is_dev(mount));
    let (Some((index, mount)), None) = (found.next(), found.next()) else { return Ok(None) };
    let Some(root) = filesystem(mount, &mounts::options(mount)?, &["tmpfs"]) else { return Ok(None) };
    if namespaces.foreign_ids && has_owner(&root) {
        return Ok(None);
    }
    let mut tree = DeviceTree {
        root,
        nodes: devices::DEFAULT
            .map(|(name, major, minor)| (name, raw::S_IFCHR | 0o666, raw::makedev(major, minor)))
            .to_vec(),
        links: devices::LINKS.to_vec(),
        directories: Vec::new(),
        mounts: Vec::new(),
        owner,
    };
    let mut made = vec![index];
    for (index, mount) in spec.mounts.iter().enumerate().skip(index + 1) {
        let options = mounts::options(mount)?;
        let Some(name) = name_in_dev(mount) else {
            if options.is_bind() && mounts::normal(&mount.destination).starts_with("/dev") {
                break;
            }
            continue;
        };
        if options.is_bind() || options.remount || devices::is_default_name(&name) {
            break;
        }
        // A devpts or an mqueue belongs to the namespaces that it is made in.
        let types: &[&'static str] = if namespaces.foreign_ids { &[] } else { &["tmpfs", "devpts"] };
        match filesystem(mount, &options, types) {
            Some(filesystem) if !tree.mounts.iter().any(|(other, _)| *other == name) => {
                tree.mounts.push((name, filesystem));
                made.push(index);
            }
            _ => tree.directories.push(name),
        }
    }
    tree.directories.sort();
    tree.directories.dedup();
    tree.directories.retain(|name| !tree.mounts.iter().any(|(other, _)| other == name));
    Ok(Some((tree, made)))
}

/// The host's ids of the container's user 0. None where they are not known.
fn owner(plan: &Builder<'_>, namespaces: &Namespaces) -> Option<(u32, u32)> {
    if !namespaces.foreign_ids {
        return Some((0, 0));
    }
    let linux = &plan.launch.spec.linux;
    let host = |maps: &[IdMapping]| spec::id_map::to_host(maps, 0);
    if namespaces.user { Some((host(&linux.uid_mappings)?, host(&linux.gid_mappings)?)) } else { None }
}

/// The name of a mount directly in /dev.
pub(crate) fn name_in_dev(mount: &Mount) -> Option<String> {
    let path = mounts::normal(&mount.destination);
    let name = path.strip_prefix("/dev").ok()?.to_str()?;
    let plain = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
    plain.then(|| name.to_owned())
}

/// A mount of the specification as a filesystem that depends on nothing but its options; none where there is more to it.
fn filesystem(mount: &Mount, options: &MountOptions, types: &[&'static str]) -> Option<Filesystem> {
    let fstype = types.iter().copied().find(|fstype| *fstype == mount.fstype)?;
    let attributes = options.attributes.set | options.recursive.set;
    let plain = !options.is_bind()
        && !options.remount
        && !options.tmpcopyup
        && options.propagation.is_empty()
        && options.idmap.is_none()
        && mount.uid_mappings.is_empty()
        && mount.gid_mappings.is_empty()
        && attributes & raw::MOUNT_ATTR_RDONLY == 0;
    let has_mode = fstype != "tmpfs" || options.data.iter().any(|(key, _)| key == "mode");
    if !plain || !has_mode || options.superblock.set & superblock::I_VERSION != 0 {
        return None;
    }
    let mut data = options.data.clone();
    let (set, clear) = (options.superblock.set & !superblock::RDONLY, options.superblock.clear);
    data.extend(superblock::fsconfig_keys(set, clear).map(|key| (key.to_owned(), None)));
    if fstype == "tmpfs" && !mount.source.is_empty() {
        data.push(("source".to_owned(), Some(mount.source.clone())));
    }
    Some(Filesystem { fstype, data, attributes })
}

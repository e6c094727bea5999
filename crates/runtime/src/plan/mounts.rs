//! Everything that is mounted besides the root: made detached, then attached to a place below the root's handle.

use std::path::{Path, PathBuf};

use init::ops::{Op, Slot, Text};
use spec::Mount;
use spec::mount_options::{self, Bind, Change, IdMap, MountOptions, superblock};
use sys::{Errno, raw};

use super::beside::{self, Beside};
use super::namespaces::Namespaces;
use super::own_sources::{self, OwnSource};
use super::{Act, Builder, CloneTree, PlanError, Produced, Ticket};
use crate::inputs::Part;

/// The root with what is mounted in it so far.
pub(crate) struct Tree {
    pub(crate) root: Slot,
    pub(crate) scratch: Scratch,
    /// A procfs of the container's own.
    pub(crate) proc: Option<Slot>,
    /// A fresh sysfs at /sys, in which nothing but cgroups is mounted.
    sysfs: Option<Slot>,
    /// A fresh tmpfs at /dev.
    pub(crate) dev: Option<Slot>,
    /// A fresh devpts.
    pub(crate) devpts: Option<Slot>,
    /// Whether something of the host's lies at /dev.
    pub(crate) dev_is_bound: bool,
    /// Whether the default devices are in /dev already.
    pub(crate) dev_is_filled: bool,
    /// Empty directories that are in /dev already.
    pub(crate) dev_has: Vec<String>,
    /// Whether something was mounted over or bound into /dev or above it since it was made.
    dev_is_covered: bool,
    /// Mounts that are made read-only when everything in them is made.
    pub(crate) readonly_at_last: Vec<(Slot, String)>,
}

/// Mounts that parts are copied from.
pub(crate) struct Scratch {
    /// For the container's own files. A copy of a detached mount takes Linux 6.15, so it is attached: over the old root and below the new
    /// one, with which it goes away at pivot_root.
    files: Option<Slot>,
    /// An empty directory, read-only and detached: the first directory that is hidden gets it, the others copies of it.
    pub(crate) empty: Option<Slot>,
    /// How many mounts lie over the old root.
    pub(crate) above: u32,
}

/// Before the root is attached: what comes after it would lie over it.
pub(crate) fn scratch(plan: &mut Builder<'_>) -> Scratch {
    let launch = plan.launch;
    let locked = raw::MOUNT_ATTR_NOSUID | raw::MOUNT_ATTR_NODEV | raw::MOUNT_ATTR_NOEXEC;
    let mut one = |what: &str, why, data: [(&str, &str); 2], attributes| {
        plan.stage(what, why);
        let out = plan.ops.slot();
        let data = data.map(|(key, value)| (key.to_owned(), Some(value.to_owned())));
        filesystem(plan, "tmpfs", &data, attributes, out);
        out
    };
    let masks = !launch.spec.linux.masked_paths.is_empty();
    let empty = masks.then(|| {
        let data = [("mode", "0555"), ("nr_inodes", "1")];
        one("make an empty directory in memory", "it hides others", data, locked | raw::MOUNT_ATTR_RDONLY)
    });
    let files = (!launch.files.is_empty()).then(|| {
        let (what, why) =
            ("make room in memory for the container's own files", "the root's files stay as they are");
        one(what, why, [("mode", "0755"), ("source", "tmpfs")], locked)
    });
    if let Some(files) = files.filter(|_| !plan.in_host_mounts()) {
        let name = plan.ops.text("/");
        plan.push(Op::MoveMount { from: files, to: Slot::CWD, name });
    }
    let above = u32::from(files.is_some() && !plan.in_host_mounts());
    Scratch { files, empty, above }
}

/// A bind mount's source that the engine has prepared.
pub(crate) struct Source {
    /// Which mount of the specification.
    pub(crate) index: usize,
    pub(crate) from: From,
}

/// Where a source comes from.
pub(crate) enum From {
    /// The engine passes it.
    Passed(Ticket, Slot),
    /// The stage has it from the start.
    Inherited(Slot),
    /// The container's own tree.
    Own(OwnSource),
}

impl Tree {
    /// A root in which nothing was mounted yet.
    pub(crate) fn bare(root: Slot, scratch: Scratch) -> Self {
        Self {
            root,
            scratch,
            proc: None,
            sysfs: None,
            dev: None,
            devpts: None,
            dev_is_bound: false,
            dev_is_filled: false,
            dev_has: Vec::new(),
            dev_is_covered: false,
            readonly_at_last: Vec::new(),
        }
    }
}

impl Scratch {
    /// None at all.
    pub(crate) const NONE: Self = Self { files: None, empty: None, above: 0 };
}

pub(crate) fn is_cgroup(mount: &Mount) -> bool {
    matches!(mount.fstype.as_str(), "cgroup" | "cgroup2")
}

pub(crate) fn options(mount: &Mount) -> Result<MountOptions, PlanError> {
    let named = |cause| PlanError::Option { destination: mount.destination.clone(), cause };
    mount_options::parse(mount).map_err(named)
}

pub(crate) fn host_path(plan: &Builder<'_>, source: &str) -> PathBuf {
    plan.launch.bundle.join(source)
}

/// Sources that only the engine can take: with a user namespace the stage may not even reach them, and an id-mapped mount takes
/// rights over the filesystem.
pub(crate) fn prepare_sources(
    plan: &mut Builder<'_>,
    namespaces: &mut Namespaces,
) -> Result<Vec<Source>, PlanError> {
    let mut sources = Vec::new();
    for (index, mount) in plan.launch.spec.mounts.iter().enumerate() {
        let options = options(mount)?;
        // A descriptor of the launching process is that process's to use.
        let is_descriptor = mount.source.starts_with("/proc/self/fd/");
        let by_engine = plan.facts.is_privileged()
            && (is_descriptor || plan.facts.calls.mount_setattr && namespaces.foreign_ids);
        if !options.is_bind() || options.remount {
            continue;
        }
        let mapped = is_mapped(mount, &options);
        let attached = plan.launch.place_of_root().is_some();
        if let Some(path) =
            own_sources::path(plan, index, &options).filter(|_| !is_descriptor && (mapped || !attached))
        {
            let idmap = if mapped { Some(mapping(plan, namespaces, mount)?) } else { None };
            sources.push(Source { index, from: From::Own(OwnSource { path, idmap }) });
        } else if mapped || by_engine {
            let fd = take(plan, namespaces, mount, &options)?;
            let (ticket, slot) = plan.hand_over(vec![fd]);
            sources.push(Source { index, from: From::Passed(ticket, slot) });
        }
    }
    Ok(sources)
}

/// Whether a mount takes an id mapping.
pub(crate) fn is_mapped(mount: &Mount, options: &MountOptions) -> bool {
    options.idmap.is_some() || !mount.uid_mappings.is_empty()
}

/// The source of a bind mount, taken by the engine.
pub(crate) fn take(
    plan: &mut Builder<'_>,
    namespaces: &mut Namespaces,
    mount: &Mount,
    options: &MountOptions,
) -> Result<Produced, PlanError> {
    let mapped = is_mapped(mount, options);
    let idmap = if mapped { Some(mapping(plan, namespaces, mount)?) } else { None };
    let path = host_path(plan, &mount.source);
    let what = format!("take {}{}", path.display(), if mapped { ", id-mapped" } else { "" });
    let act = Act::CloneTree(CloneTree {
        path,
        recursive: options.bind == Some(Bind::Recursive) || options.idmap == Some(IdMap::Recursive),
        propagation: 0,
        idmap,
        map_below: options.idmap == Some(IdMap::Recursive),
    });
    Ok(plan.produce(what, "the stage, in its user namespace, may not reach it", act))
}

/// The user namespace whose mapping a mount takes.
fn mapping(
    plan: &mut Builder<'_>,
    namespaces: &mut Namespaces,
    mount: &Mount,
) -> Result<Produced, PlanError> {
    let what = || format!("id-mapped mount on {}", mount.destination);
    if !plan.facts.is_privileged() || !plan.facts.calls.mount_setattr {
        let why = "it takes CAP_SYS_ADMIN and mount_setattr(2) of Linux 5.12";
        return Err(PlanError::unsupported(what(), why));
    }
    namespaces.for_mount(plan, mount).ok_or_else(|| {
        PlanError::unsupported(
            what(),
            "without mappings of its own or a user namespace there is no mapping to take",
        )
    })
}

pub(crate) fn mount_all(
    plan: &mut Builder<'_>,
    root: Slot,
    scratch: Scratch,
    sources: &[Source],
    namespaces: &Namespaces,
    beside: Option<&Beside>,
) -> Result<Tree, PlanError> {
    let mut tree = Tree::bare(root, scratch);
    let launch = plan.launch;
    // What the engine makes comes when it is first needed: until then there is something else to mount.
    let mut pending = beside.filter(|beside| beside.dev_is_made());
    let mut postponed = Vec::new();
    for (index, mount) in launch.spec.mounts.iter().enumerate().filter(|(_, mount)| !is_cgroup(mount)) {
        if beside.is_some_and(|beside| beside.has_made(index)) {
            continue;
        }
        // A procfs is of a pid namespace; a sysfs, and what a bind mount brings in, may show the network.
        if let (Some(beside), false) = (beside, mount.fstype == "proc") {
            let options = options(mount)?;
            if options.is_bind() || beside::name_in_dev(mount).is_none() {
                beside.enter_network(plan);
            }
        }
        if let Some(beside) = pending {
            let options = options(mount)?;
            let is_fresh = !options.is_bind() && !options.remount;
            if is_fresh && beside::name_in_dev(mount).is_some() {
                postponed.push((index, mount));
                continue;
            }
            let destination = normal(&mount.destination);
            let of_kernel = destination == Path::new("/proc") || destination == Path::new("/sys");
            if !(is_fresh && of_kernel && matches!(mount.fstype.as_str(), "proc" | "sysfs")) {
                pending = None;
                beside.attach_dev(plan, &mut tree);
                for (index, mount) in std::mem::take(&mut postponed) {
                    one(plan, &mut tree, index, mount, sources, namespaces)?;
                }
            }
        }
        one(plan, &mut tree, index, mount, sources, namespaces)?;
    }
    if let Some(beside) = beside {
        beside.enter_network(plan);
    }
    if let Some(beside) = pending {
        beside.attach_dev(plan, &mut tree);
    }
    for (index, mount) in postponed {
        one(plan, &mut tree, index, mount, sources, namespaces)?;
    }
    Ok(tree)
}

/// One mount of the specification.
pub(crate) fn one(
    plan: &mut Builder<'_>,
    tree: &mut Tree,
    index: usize,
    mount: &Mount,
    sources: &[Source],
    namespaces: &Namespaces,
) -> Result<(), PlanError> {
    let options = options(mount)?;
    let destination = normal(&mount.destination);
    if destination.starts_with("/sys") || destination == Path::new("/") {
        tree.sysfs = None;
    }
    if options.remount {
        remount(plan, tree, mount, &options)?;
    } else if options.is_bind() {
        let source = sources.iter().find(|source| source.index == index);
        bind(plan, tree, mount, &options, source, namespaces)?;
    } else {
        fresh(plan, tree, mount, &options, namespaces)?;
    }
    Ok(())
}

pub(crate) fn normal(destination: &str) -> PathBuf {
    let mut parts = destination.split('/');
    // As nearly all are.
    if parts.next() == Some("") && !parts.any(|part| part.is_empty() || part == ".") {
        return PathBuf::from(destination);
    }
    Path::new("/").join(destination).components().collect()
}

fn bind(
    plan: &mut Builder<'_>,
    tree: &mut Tree,
    mount: &Mount,
    options: &MountOptions,
    source: Option<&Source>,
    namespaces: &Namespaces,
) -> Result<(), PlanError> {
    let options =
        &MountOptions { attributes: implied(plan, options.attributes, namespaces), ..options.clone() };
    let path = host_path(plan, &mount.source);
    plan.stage(format!("mount {} on {}", path.display(), mount.destination), "as the specification asks");
    let copy = match source {
        Some(Source { from: From::Passed(ticket, slot), .. }) => {
            plan.need(*ticket);
            *slot
        }
        Some(Source { from: From::Inherited(slot), .. }) => *slot,
        Some(Source { from: From::Own(source), .. }) => own_sources::take(plan, tree, source, options),
        None => {
            let copy = plan.ops.slot();
            let name = plan.ops.text(path.as_os_str().as_encoded_bytes());
            let recursive = if options.bind == Some(Bind::Recursive) { raw::AT_RECURSIVE } else { 0 };
            let flags = raw::OPEN_TREE_CLONE | recursive;
            let is_of = |part: &&Part| normal(&part.destination) == normal(&mount.destination);
            match plan.launch.parts.iter().find(is_of) {
                None => plan.push(Op::OpenTree { dir: Slot::CWD, name, flags, out: copy }),
                Some(part) => {
                    let (source, place) = (plan.ops.slot(), plan.ops.slot());
                    let inner = plan.ops.text(part.path.as_os_str().as_encoded_bytes());
                    let empty = plan.ops.text("");
                    let directory = raw::O_PATH | raw::O_DIRECTORY;
                    plan.push(Op::Open { dir: Slot::CWD, name, flags: directory, out: source });
                    plan.push(Op::OpenBelow {
                        root: source,
                        path: inner,
                        flags: raw::O_PATH,
                        no_links: false,
                        out: place,
                    });
                    let flags = flags | raw::AT_EMPTY_PATH;
                    plan.push(Op::OpenTree { dir: place, name: empty, flags, out: copy });
                    plan.ops.close(place);
                    plan.ops.close(source);
                }
            }
            copy
        }
    };
    let destination = normal(&mount.destination);
    if destination == Path::new("/dev") {
        tree.dev_is_bound = true;
    }
    // What a bind mount brings in may hold links; a directory that was there would be covered.
    tree.dev_is_covered |= destination.starts_with("/dev") || Path::new("/dev").starts_with(&destination);
    let place = plan.ops.slot();
    let path = plan.ops.text(&mount.destination);
    plan.push(Op::EnsureSame { root: tree.root, path, like: copy, out: place });
    let empty = plan.ops.text("");
    if plan.facts.calls.mount_setattr {
        change(plan, copy, options)?;
        plan.push(Op::MoveMount { from: copy, to: place, name: empty });
    } else {
        plan.push(Op::MoveMount { from: copy, to: place, name: empty });
        change_by_name(plan, copy, mount, options)?;
    }
    plan.ops.close(place);
    plan.ops.close(copy);
    Ok(())
}

/// A bind mount that names an attribute has those that it names and no other, as mount(8) has it; how times are kept stays. In a user
/// namespace what the kernel locks there stays too (mount_namespaces(7)).
fn implied(plan: &Builder<'_>, mut change: Change, namespaces: &Namespaces) -> Change {
    const LOCKED: u64 =
        raw::MOUNT_ATTR_RDONLY | raw::MOUNT_ATTR_NOSUID | raw::MOUNT_ATTR_NODEV | raw::MOUNT_ATTR_NOEXEC;
    if !change.is_empty() {
        let lockable = if namespaces.foreign_ids { 0 } else { LOCKED };
        let free = if plan.facts.kernel >= (5, 14) { raw::MOUNT_ATTR_NOSYMFOLLOW } else { 0 };
        change.clear |= (lockable | free) & !change.set;
    }
    change
}

/// Attributes and propagation by mount_setattr(2).
fn change(plan: &mut Builder<'_>, mount: Slot, options: &MountOptions) -> Result<(), PlanError> {
    let mut attr = |recursive, change: Change, propagation| {
        plan.push(Op::MountAttr {
            mount,
            recursive,
            set: change.set,
            clear: change.clear,
            propagation,
            userns: Slot::NONE,
        });
    };
    if !options.attributes.is_empty() {
        attr(false, options.attributes, 0);
    }
    if !options.recursive.is_empty() {
        attr(true, options.recursive, 0);
    }
    // A copy has the propagation of its source; what nobody asked for is private.
    if options.propagation.is_empty() {
        attr(true, Change::default(), raw::MS_PRIVATE);
    }
    for propagation in &options.propagation {
        attr(propagation.is_recursive(), Change::default(), propagation.flag());
    }
    Ok(())
}

/// The same before Linux 5.12, on an attached mount.
fn change_by_name(
    plan: &mut Builder<'_>,
    copy: Slot,
    mount: &Mount,
    options: &MountOptions,
) -> Result<(), PlanError> {
    if !options.recursive.is_empty() {
        return Err(PlanError::unsupported(
            format!("recursive mount options on {}", mount.destination),
            "they take mount_setattr(2), which Linux has since 5.12",
        ));
    }
    if !options.attributes.is_empty() {
        let flags = flags_of(options.attributes.set);
        plan.push(Op::MountByFd { mount: copy, flags: raw::MS_REMOUNT | raw::MS_BIND | flags });
    }
    if options.propagation.is_empty() {
        plan.push(Op::MountByFd { mount: copy, flags: raw::MS_PRIVATE | raw::MS_REC });
    }
    for propagation in &options.propagation {
        let recursive = if propagation.is_recursive() { raw::MS_REC } else { 0 };
        plan.push(Op::MountByFd { mount: copy, flags: propagation.flag() | recursive });
    }
    Ok(())
}

/// The flags of mount(2) for attributes of mount_setattr(2).
fn flags_of(attributes: u64) -> u64 {
    let pairs = [
        (raw::MOUNT_ATTR_RDONLY, raw::MS_RDONLY),
        (raw::MOUNT_ATTR_NOSUID, raw::MS_NOSUID),
        (raw::MOUNT_ATTR_NODEV, raw::MS_NODEV),
        (raw::MOUNT_ATTR_NOEXEC, raw::MS_NOEXEC),
        (raw::MOUNT_ATTR_NODIRATIME, raw::MS_NODIRATIME),
        (raw::MOUNT_ATTR_NOSYMFOLLOW, raw::MS_NOSYMFOLLOW),
    ];
    let atime = match attributes & raw::MOUNT_ATTR_ATIME {
        raw::MOUNT_ATTR_NOATIME => raw::MS_NOATIME,
        raw::MOUNT_ATTR_STRICTATIME => raw::MS_STRICTATIME,
        _ => raw::MS_RELATIME,
    };
    pairs
        .iter()
        .filter(|(attribute, _)| attributes & attribute != 0)
        .fold(atime, |flags, (_, flag)| flags | flag)
}

fn remount(
    plan: &mut Builder<'_>,
    tree: &Tree,
    mount: &Mount,
    options: &MountOptions,
) -> Result<(), PlanError> {
    plan.stage(format!("change the mount on {}", mount.destination), "option `remount`");
    let of_filesystem = options.superblock.set & !superblock::RDONLY;
    let place = plan.ops.slot();
    let path = plan.ops.text(&mount.destination);
    plan.push(Op::OpenBelow { root: tree.root, path, flags: raw::O_PATH, no_links: false, out: place });
    if !options.is_bind() && (of_filesystem != 0 || !options.data.is_empty()) {
        reconfigure(plan, place, options, options.superblock.set);
    }
    if plan.facts.calls.mount_setattr {
        change(plan, place, options)?;
    } else {
        change_by_name(plan, place, mount, options)?;
    }
    plan.ops.close(place);
    Ok(())
}

/// Flags and parameters of a filesystem by mount(2), which sets the mount's attributes as well.
fn reconfigure(plan: &mut Builder<'_>, mount: Slot, options: &MountOptions, superblock: u64) {
    let parameters: Vec<String> = options
        .data
        .iter()
        .map(|(key, value)| value.as_ref().map_or_else(|| key.clone(), |value| format!("{key}={value}")))
        .collect();
    let data = plan.ops.text(parameters.join(","));
    plan.push(Op::Reconfigure { mount, flags: superblock | flags_of(options.attributes.set), data });
}

/// A filesystem that is made for the container.
fn fresh(
    plan: &mut Builder<'_>,
    tree: &mut Tree,
    mount: &Mount,
    options: &MountOptions,
    _namespaces: &Namespaces,
) -> Result<(), PlanError> {
    let fstype = mount.fstype.as_str();
    if fstype.is_empty() {
        return Err(PlanError::invalid(
            format!("mount on {}", mount.destination),
            "it has neither a type nor the option `bind`",
        ));
    }
    plan.stage(format!("mount {fstype} on {}", mount.destination), "as the specification asks");
    let out = plan.ops.slot();
    let mut data = options.data.clone();
    let kernels_own = matches!(fstype, "proc" | "sysfs" | "mqueue" | "devpts");
    let mut keys = options.superblock;
    if kernels_own || fstype == "tmpfs" {
        // The superblock may be shared with others (sysfs) or has yet to be filled (tmpfs): the mount is read-only.
        keys.set &= !superblock::RDONLY;
    }
    data.extend(superblock::fsconfig_keys(keys.set, keys.clear).map(|key| (key.to_owned(), None)));
    // Among the kernel's own only tmpfs shows it, to df(1).
    if !kernels_own && !mount.source.is_empty() {
        data.push(("source".to_owned(), Some(mount.source.clone())));
    }
    let label = &plan.launch.spec.linux.mount_label;
    if !label.is_empty() && !matches!(fstype, "proc" | "sysfs" | "mqueue") {
        data.push(("context".to_owned(), Some(label.clone())));
    }
    let mut attributes = options.attributes.set | options.recursive.set;
    let destination = normal(&mount.destination);
    if attributes & raw::MOUNT_ATTR_RDONLY != 0 && fstype == "tmpfs" {
        attributes &= !raw::MOUNT_ATTR_RDONLY;
        tree.readonly_at_last.push((out, mount.destination.clone()));
    }
    if fstype == "tmpfs" {
        like_what_it_covers(plan, tree, &data, attributes, out, (mount, options));
    } else {
        filesystem(plan, fstype, &data, attributes, out);
    }
    if matches!(fstype, "proc" | "sysfs") {
        // What is written to /proc, and what is masked there, is meant for procfs: a link or another mount in its
        // place would redirect it (CVE-2019-16884, CVE-2019-19921).
        let (path, direct) = below_root(plan, &mount.destination);
        plan.push(Op::Attach { from: out, root: tree.root, path, direct, no_links: true });
    } else {
        attach(plan, tree, out, &mount.destination);
    }
    if options.superblock.set & superblock::I_VERSION != 0 && !kernels_own {
        // fsconfig(2) has no name for it.
        reconfigure(plan, out, &MountOptions { data: Vec::new(), ..options.clone() }, keys.set);
    }
    // In a tree of no namespace there is nobody that an event could reach.
    let told: &[_] = if plan.in_host_mounts() { &[] } else { &options.propagation };
    for propagation in told {
        let recursive = propagation.is_recursive();
        if plan.facts.calls.mount_setattr {
            let userns = Slot::NONE;
            let propagation = propagation.flag();
            plan.push(Op::MountAttr { mount: out, recursive, set: 0, clear: 0, propagation, userns });
        } else {
            let recursive = if recursive { raw::MS_REC } else { 0 };
            plan.push(Op::MountByFd { mount: out, flags: propagation.flag() | recursive });
        }
    }
    match (fstype, destination.to_str()) {
        ("proc", Some("/proc")) => tree.proc = Some(out),
        ("sysfs", Some("/sys")) => tree.sysfs = Some(out),
        ("tmpfs", Some("/dev")) => tree.dev = Some(out),
        ("devpts", _) => tree.devpts = Some(out),
        _ if tree.readonly_at_last.iter().any(|(slot, _)| *slot == out) => {}
        _ => plan.ops.close(out),
    }
    Ok(())
}

/// A tmpfs without a mode of its own has that of the directory that it covers (as with runc and crun), and with `tmpcopyup` what is in
/// it too. Where there is none yet, it is as the kernel makes it.
fn like_what_it_covers(
    plan: &mut Builder<'_>,
    tree: &Tree,
    data: &[(String, Option<String>)],
    attributes: u64,
    tmpfs: Slot,
    (mount, options): (&Mount, &MountOptions),
) {
    let takes_mode = !options.data.iter().any(|(key, _)| key == "mode");
    if !takes_mode && !options.tmpcopyup {
        return filesystem(plan, "tmpfs", data, attributes, tmpfs);
    }
    let (context, covered) = (plan.ops.slot(), plan.ops.slot());
    parameters(plan, "tmpfs", data, context);
    let path = plan.ops.text(&mount.destination);
    let tolerate = |plan: &mut Builder<'_>, skip| {
        plan.push(Op::Tolerate { errno: Errno::NOENT.raw() as u32, skip });
        let flags = raw::O_PATH | raw::O_DIRECTORY;
        plan.push(Op::OpenBelow { root: tree.root, path, flags, no_links: false, out: covered });
    };
    if takes_mode {
        tolerate(plan, 2);
        plan.push(Op::FsMode { context, like: covered });
        plan.push(Op::Close { fd: covered });
    }
    plan.push(Op::FsMount { context, attributes, out: tmpfs });
    plan.ops.reuse(context);
    if options.tmpcopyup {
        tolerate(plan, 2);
        plan.push(Op::CopyTree { from: covered, to: tmpfs });
        plan.push(Op::Close { fd: covered });
    }
    plan.ops.reuse(covered);
}

/// A detached mount of a new filesystem.
pub(crate) fn filesystem(
    plan: &mut Builder<'_>,
    fstype: &str,
    data: &[(String, Option<String>)],
    attributes: u64,
    out: Slot,
) {
    let context = plan.ops.slot();
    parameters(plan, fstype, data, context);
    plan.push(Op::FsMount { context, attributes, out });
    plan.ops.reuse(context);
}

/// A context for a new filesystem with its parameters.
fn parameters(plan: &mut Builder<'_>, fstype: &str, data: &[(String, Option<String>)], context: Slot) {
    let name = plan.ops.text(fstype);
    plan.push(Op::FsOpen { fstype: name, out: context });
    for (key, value) in data {
        let key = plan.ops.text(key);
        match value {
            None => plan.push(Op::FsFlag { context, key }),
            Some(value) => {
                let value = plan.ops.text(value);
                plan.push(Op::FsString { context, key, value });
            }
        }
    }
}

/// Attaches a mount of a directory to a place below the root, which is made if it is missing.
pub(crate) fn attach(plan: &mut Builder<'_>, tree: &Tree, mount: Slot, destination: &str) {
    if let Some((dev, name)) = directly_in_fresh_dev(tree, destination) {
        // Nothing is in there but what was made here, so there is nothing to follow.
        let is_there = tree.dev_has.contains(&name);
        let name = plan.ops.text(name);
        if !is_there {
            plan.push(Op::Tolerate { errno: Errno::EXIST.raw() as u32, skip: 0 });
            plan.push(Op::MakeDirectory { dir: dev, name, mode: 0o755 });
        }
        plan.push(Op::MoveMount { from: mount, to: dev, name });
        return;
    }
    // Names in sysfs are the kernel's own: what they lead over are no links.
    let in_sysfs = normal(destination);
    let in_sysfs = in_sysfs.strip_prefix("/sys").ok().and_then(Path::to_str).filter(|rest| !rest.is_empty());
    let (root, (path, direct)) = match (tree.sysfs, in_sysfs) {
        (Some(sysfs), Some(rest)) if !rest.split('/').any(|part| part == "..") => {
            (sysfs, (plan.ops.text(rest), true))
        }
        _ => (tree.root, below_root(plan, destination)),
    };
    plan.push(Op::Attach { from: mount, root, path, direct, no_links: false });
}

/// A destination as a path below the root, and whether it is one name: then there is nothing on the way to it that could be a link.
pub(crate) fn below_root(plan: &mut Builder<'_>, destination: &str) -> (Text, bool) {
    let path = normal(destination);
    let name = path.strip_prefix("/").ok().and_then(Path::to_str).unwrap_or_default();
    match name.is_empty() || name.contains('/') || name == ".." {
        true => (plan.ops.text(destination), false),
        false => (plan.ops.text(name), true),
    }
}

/// The fresh /dev and the name in it, if that is where the destination is.
fn directly_in_fresh_dev(tree: &Tree, destination: &str) -> Option<(Slot, String)> {
    let dev = tree.dev.filter(|_| !tree.dev_is_covered)?;
    let path = normal(destination);
    let name = path.strip_prefix("/dev").ok()?.to_str()?;
    let plain = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
    plain.then(|| (dev, name.to_owned()))
}

/// Gives a mount attributes; one that is not attached yet needs mount_setattr(2).
pub(crate) fn set_attributes(plan: &mut Builder<'_>, mount: Slot, set: u64, recursive: bool) {
    if set == 0 {
        return;
    }
    if plan.facts.calls.mount_setattr {
        let userns = Slot::NONE;
        let clear = if set & raw::MOUNT_ATTR_ATIME == 0 { 0 } else { raw::MOUNT_ATTR_ATIME };
        plan.push(Op::MountAttr { mount, recursive, set, clear, propagation: 0, userns });
    } else {
        plan.push(Op::MountByFd { mount, flags: raw::MS_REMOUNT | raw::MS_BIND | flags_of(set) });
    }
}

/// Files with a content of the caller's making: written to a tmpfs, each mounted over its place.
pub(crate) fn files(plan: &mut Builder<'_>, tree: &Tree) -> Result<(), PlanError> {
    let launch = plan.launch;
    let Some(all) = tree.scratch.files else { return Ok(()) };
    for (index, file) in launch.files.iter().enumerate() {
        plan.stage(
            format!("mount a file on {}", file.destination.display()),
            "its content is the container's own",
        );
        let (copy, place) = (plan.ops.slot(), plan.ops.slot());
        let name = plan.ops.text(index.to_string());
        let bytes = plan.ops.blob(&file.content);
        plan.push(Op::MakeFile { dir: all, name, mode: file.mode, bytes });
        plan.push(Op::OpenTree { dir: all, name, flags: raw::OPEN_TREE_CLONE, out: copy });
        let path = plan.ops.text(file.destination.as_os_str().as_encoded_bytes());
        plan.push(Op::EnsureFile { root: tree.root, path, no_links: false, out: place });
        let empty = plan.ops.text("");
        plan.push(Op::MoveMount { from: copy, to: place, name: empty });
        plan.ops.close(place);
        plan.ops.close(copy);
    }
    plan.ops.close(all);
    Ok(())
}

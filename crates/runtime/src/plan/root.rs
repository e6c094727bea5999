//! The root filesystem: from where it comes to standing at `/`.

use std::path::{Path, PathBuf};

use init::ops::{Op, Slot};
use spec::Propagation;
use sys::raw;

use super::mounts::{self, Scratch, Tree};
use super::namespaces::Namespaces;
use super::{Act, Builder, CloneTree, Overlay, OverlayUpper, PlanError, Produced, Ticket, host_mounts};
use crate::inputs::{Entry, Root, Upper};

/// The first kernel whose overlayfs has id-mapped layers.
const IDMAPPED_LAYERS: (u32, u32) = (5, 19);

/// The first kernel whose overlayfs takes its lower layers one by one (`lowerdir+`).
const LAYERS_ONE_BY_ONE: (u32, u32) = (6, 8);

/// Where the stage finds the detached root.
pub(crate) enum Prepared {
    /// In a slot from the start.
    Inherited(Slot),
    /// In a slot, once the engine has passed it.
    Passed(Ticket, Slot),
    /// Not made yet: the engine needs the user namespace first.
    Later,
    /// The stage makes it.
    ByStage,
}

/// What of the root the engine can make before the stage starts: everything, unless it takes the mapping of a user namespace
/// that does not exist yet, or the engine may not mount.
pub(crate) fn before_spawn(plan: &mut Builder<'_>, namespaces: &Namespaces) -> Result<Prepared, PlanError> {
    if let Root::Overlay { upper: Upper::Directory(dir), .. }
    | Root::Layers { upper: Upper::Directory(dir), .. } = &plan.launch.root
    {
        let dirs = vec![dir.join("upper"), dir.join("work")];
        plan.engine(
            format!("make the directories of the layer in {}", dir.display()),
            "changes are kept in `upper`; `work` is the overlay's own",
            Act::MakeDirectories(dirs),
        );
    }
    let idmap = plan.launch.idmap_root && namespaces.user;
    if idmap && !(plan.facts.is_privileged() && plan.facts.calls.mount_setattr) {
        return Err(PlanError::unsupported(
            "id-mapped root",
            "it takes CAP_SYS_ADMIN and mount_setattr(2), which Linux has since 5.12",
        )
        .with_hint("use --userns=host, or a root whose files belong to the container's ids"));
    }
    if let Root::Layers { lower, .. } = &plan.launch.root
        && lower.len() > 1
        && !plan.facts.is_privileged()
        && plan.facts.kernel < LAYERS_ONE_BY_ONE
    {
        return Err(PlanError::unsupported(
            "image of several layers",
            format!(
                "Linux {}.{} takes no layers one by one, as an ordinary user has to give them; 6.8 does",
                plan.facts.kernel.0, plan.facts.kernel.1
            ),
        )
        .with_hint("run as root, or use an image of one layer"));
    }
    let (kernel, calls) = (plan.facts.kernel, plan.facts.calls);
    let detached = calls.clone_detached || (idmap && kernel >= IDMAPPED_LAYERS);
    let by_engine = plan.facts.is_privileged()
        && match &plan.launch.root {
            Root::Directory { .. } | Root::Chroot { .. } => calls.mount_setattr,
            // The stage knows no other way to tell several layers.
            Root::Layers { lower, .. } if lower.len() > 1 && kernel < LAYERS_ONE_BY_ONE && !idmap => true,
            Root::Overlay { .. } | Root::Layers { .. } => calls.mount_setattr && detached,
            Root::Assembled { .. } => false,
        };
    match (by_engine, idmap) {
        (false, true) => Err(PlanError::unsupported(
            "id-mapped overlay",
            format!(
                "Linux {}.{} does not take id-mapped mounts as its layers; 5.19 does",
                plan.facts.kernel.0, plan.facts.kernel.1
            ),
        )
        .with_hint("use --userns=host, or --rootfs-write")),
        (false, false) => Ok(Prepared::ByStage),
        (true, true) => Ok(Prepared::Later),
        (true, false) => {
            let root = make(plan, None);
            Ok(Prepared::Inherited(plan.inherit(root)))
        }
    }
}

/// What takes the mapping of the stage's user namespace.
pub(crate) fn after_spawn(
    plan: &mut Builder<'_>,
    namespaces: &mut Namespaces,
    prepared: Prepared,
) -> Result<Prepared, PlanError> {
    if !matches!(prepared, Prepared::Later) {
        return Ok(prepared);
    }
    let user = namespaces.user_fd(plan);
    let root = make(plan, Some(user));
    let (ticket, slot) = plan.hand_over(vec![root]);
    Ok(Prepared::Passed(ticket, slot))
}

fn make(plan: &mut Builder<'_>, idmap: Option<Produced>) -> Produced {
    const PRIVATE: &str = "a detached copy: nothing follows its path again, no event leaves it";
    // As a slave it gets what is mounted in the same place on the host from now on.
    let propagation = match plan.launch.spec.linux.rootfs_propagation {
        Some(Propagation::Slave | Propagation::Rslave) => raw::MS_SLAVE,
        _ => raw::MS_PRIVATE,
    };
    let tree = |path: &Path, recursive, idmap| CloneTree {
        path: path.to_owned(),
        recursive,
        propagation,
        idmap,
        map_below: false,
    };
    match plan.launch.root.clone() {
        Root::Directory { path } | Root::Chroot { path, .. } => {
            let what = format!("take {} as root{}", path.display(), mapped(idmap));
            plan.produce(what, PRIVATE, Act::CloneTree(tree(&path, true, idmap)))
        }
        Root::Assembled { from, .. } => {
            // Never asked of the engine; a copy of the whole directory is the nearest to it.
            let what = format!("take {} as root{}", from.display(), mapped(idmap));
            plan.produce(what, PRIVATE, Act::CloneTree(tree(&from, true, idmap)))
        }
        root @ (Root::Overlay { .. } | Root::Layers { .. }) => {
            let Some((lower, upper)) = layers_of(root) else { unreachable!("both have layers") };
            let attached = !plan.facts.calls.clone_detached;
            // What becomes a mount of a namespace of the engine's own becomes private there.
            let layer = |path: &Path| {
                let tree = tree(path, false, idmap);
                if attached { CloneTree { propagation: 0, ..tree } } else { tree }
            };
            let take = |path: &PathBuf| {
                let what = format!("take {} as lower layer{}", path.display(), mapped(idmap));
                plan.produce(what, PRIVATE, Act::CloneTree(layer(path)))
            };
            let lower = lower.iter().map(take).collect();
            let upper = match upper {
                Upper::Tmpfs { size_bytes } => OverlayUpper::Tmpfs { size_bytes },
                Upper::Directory(dir) => {
                    let what = format!("take {} as upper layer{}", dir.display(), mapped(idmap));
                    OverlayUpper::Directory(plan.produce(what, PRIVATE, Act::CloneTree(layer(&dir))))
                }
            };
            let linux = &plan.launch.spec.linux;
            let host = |maps: &[spec::IdMapping]| spec::id_map::to_host(maps, 0).unwrap_or(0);
            let owner = match idmap {
                Some(_) => (host(&linux.uid_mappings), host(&linux.gid_mappings)),
                None => (0, 0),
            };
            let what = match upper {
                OverlayUpper::Tmpfs { .. } => "lay a layer in memory over it",
                OverlayUpper::Directory(_) => "lay the upper layer over it",
            };
            let act = Act::Overlay(Overlay { lower, upper, owner, attached });
            plan.produce(what, "changes go there, and the lower layer stays as it is", act)
        }
    }
}

/// The lower layers of a root, the topmost first, and where its changes go.
fn layers_of(root: Root) -> Option<(Vec<PathBuf>, Upper)> {
    match root {
        Root::Overlay { lower, upper } => Some((vec![lower], upper)),
        Root::Layers { lower, upper } => Some((lower, upper)),
        Root::Directory { .. } | Root::Chroot { .. } | Root::Assembled { .. } => None,
    }
}

fn mapped(idmap: Option<Produced>) -> &'static str {
    if idmap.is_some() { ", id-mapped" } else { "" }
}

/// Cuts the stage's mounts off from the host's, and attaches the root.
pub(crate) fn attach(plan: &mut Builder<'_>, prepared: Prepared) -> Result<(Slot, Scratch), PlanError> {
    if plan.in_host_mounts() {
        plan.stage("take the root as it is", "attached nowhere: nothing of it shows on the host");
        plan.push(Op::SetUmask { mask: 0 });
        let scratch = mounts::scratch(plan);
        return match prepared {
            Prepared::Inherited(slot) => Ok((slot, scratch)),
            // `host_mounts::check` lets nothing pass whose root the engine cannot make at first.
            _ => Err(PlanError::unsupported(
                "launch without a mount namespace of its own",
                "its root cannot be made outside of it",
            )),
        };
    }
    let propagation = plan.launch.spec.linux.rootfs_propagation;
    plan.stage("cut the mounts off from the host's", "what is mounted here must not show there");
    // What is unbindable could not be copied: mounts become that at the end.
    let flags = match propagation {
        None | Some(Propagation::Slave | Propagation::Rslave) => raw::MS_SLAVE,
        Some(Propagation::Shared | Propagation::Rshared) => raw::MS_SHARED,
        Some(_) => raw::MS_PRIVATE,
    };
    plan.push(Op::PropagateAll { flags: flags | raw::MS_REC });
    if flags == raw::MS_SHARED {
        // The root is attached over `/`, which must not tell its peers (pivot_root(2) refuses it too).
        plan.push(Op::PropagateAll { flags: raw::MS_PRIVATE });
    }
    plan.push(Op::SetUmask { mask: 0 });
    // A copy takes along what lies over its root: it comes before the mounts that are put there.
    let copied = match (&prepared, &plan.launch.root) {
        (Prepared::ByStage, Root::Directory { path } | Root::Chroot { path, .. }) => {
            Some(copy(plan, &path.clone()))
        }
        _ => None,
    };
    let mut scratch = mounts::scratch(plan);
    let root = match prepared {
        Prepared::Inherited(slot) => slot,
        Prepared::Passed(ticket, slot) => {
            plan.need(ticket);
            slot
        }
        Prepared::Later | Prepared::ByStage => {
            if let Root::Assembled { from, entries, size_bytes } = plan.launch.root.clone() {
                // The layers lie over the old root as well.
                scratch.above += 1;
                return Ok((assembled(plan, &from, &entries, size_bytes), scratch));
            }
            match copied {
                Some(root) => root,
                None => by_stage(plan, &mut scratch),
            }
        }
    };
    if let Some(path) = plan.launch.place_of_root() {
        plan.stage("attach the root at its own path", "where hooks of the creation look for it");
        let place = plan.ops.slot();
        let (name, empty) = (plan.ops.text(path.as_os_str().as_encoded_bytes()), plan.ops.text(""));
        plan.push(Op::OpenTree { dir: Slot::CWD, name, flags: 0, out: place });
        plan.push(Op::MoveMount { from: root, to: place, name: empty });
        plan.ops.close(place);
        return Ok((root, scratch));
    }
    plan.stage("attach the root", "over the old one, where it is out of everybody's way until it is entered");
    let name = plan.ops.text("/");
    plan.push(Op::MoveMount { from: root, to: Slot::CWD, name });
    Ok((root, scratch))
}

/// A detached copy of a directory's mount and of all below it.
fn copy(plan: &mut Builder<'_>, path: &Path) -> Slot {
    plan.stage(format!("take {} as root", path.display()), "a detached copy: nothing follows its path again");
    let root = plan.ops.slot();
    let name = plan.ops.text(path.as_os_str().as_encoded_bytes());
    let flags = raw::OPEN_TREE_CLONE | raw::AT_RECURSIVE;
    plan.push(Op::OpenTree { dir: Slot::CWD, name, flags, out: root });
    let shared = [Some(Propagation::Shared), Some(Propagation::Rshared)];
    if shared.contains(&plan.launch.spec.linux.rootfs_propagation) {
        // It is shared like all mounts of the stage, and pivot_root(2) refuses such a one; it becomes that again when it is the root.
        let (mount, propagation) = (root, raw::MS_PRIVATE);
        if plan.facts.calls.mount_setattr {
            let userns = Slot::NONE;
            plan.push(Op::MountAttr { mount, recursive: false, set: 0, clear: 0, propagation, userns });
        } else {
            plan.push(Op::MountByFd { mount, flags: propagation });
        }
    }
    root
}

fn by_stage(plan: &mut Builder<'_>, scratch: &mut Scratch) -> Slot {
    match plan.launch.root.clone() {
        Root::Directory { path } | Root::Chroot { path, .. } => copy(plan, &path),
        root @ (Root::Overlay { .. } | Root::Layers { .. }) => {
            let Some((lower, upper)) = layers_of(root) else { unreachable!("both have layers") };
            let layers = plan.ops.slot();
            match upper {
                Upper::Tmpfs { size_bytes } => {
                    plan.stage("make a layer in memory", "changes go there and away with the container");
                    memory_layer(plan, size_bytes, layers);
                    scratch.above += 1;
                }
                Upper::Directory(dir) => {
                    plan.stage(format!("open the layer in {}", dir.display()), "changes are kept there");
                    let name = plan.ops.text(dir.as_os_str().as_encoded_bytes());
                    let flags = raw::O_PATH | raw::O_DIRECTORY;
                    plan.push(Op::Open { dir: Slot::CWD, name, flags, out: layers });
                }
            }
            let names: Vec<String> = lower.iter().map(|layer| layer.display().to_string()).collect();
            plan.stage(format!("lay it over {}", names.join(", ")), "the lower layer stays as it is");
            let root = overlay(plan, &lower, layers, "upper", "work");
            plan.ops.close(layers);
            root
        }
        // Attached piece by piece, by `assembled`.
        Root::Assembled { .. } => plan.ops.slot(),
    }
}

/// A root in memory, attached, with its entries.
fn assembled(plan: &mut Builder<'_>, from: &Path, entries: &[Entry], size_bytes: Option<u64>) -> Slot {
    plan.stage("make layers in memory", "changes go there and away with the container");
    let layers = plan.ops.slot();
    memory_layer(plan, size_bytes, layers);
    plan.stage("make a root in memory, and attach it", "over the old one, until pivot_root");
    let root = plan.ops.slot();
    let mode = [("mode".to_owned(), Some("0755".to_owned()))];
    mounts::filesystem(plan, "tmpfs", &mode, 0, root);
    let over = plan.ops.text("/");
    plan.push(Op::MoveMount { from: root, to: Slot::CWD, name: over });
    let mut made = Vec::new();
    for entry in entries {
        match entry {
            Entry::Empty(name) => {
                let name = plan.ops.text(name);
                plan.push(Op::MakeDirectory { dir: root, name, mode: 0o755 });
            }
            Entry::Link(name, target) => {
                let (name, target) =
                    (plan.ops.text(name), plan.ops.text(target.as_os_str().as_encoded_bytes()));
                plan.push(Op::MakeLink { target, dir: root, name });
            }
            Entry::Layered(name) => made.push(name),
        }
    }
    for name in made {
        let lower = from.join(name);
        plan.stage(
            format!("lay a layer over {}", lower.display()),
            "the directory of the host stays as it is",
        );
        let (upper, work) = (format!("upper.{name}"), format!("work.{name}"));
        for directory in [&upper, &work] {
            let directory = plan.ops.text(directory);
            plan.push(Op::MakeDirectory { dir: layers, name: directory, mode: 0o755 });
        }
        let copy = overlay(plan, std::slice::from_ref(&lower), layers, &upper, &work);
        let name = plan.ops.text(name);
        plan.push(Op::MakeDirectory { dir: root, name, mode: 0o755 });
        plan.push(Op::MoveMount { from: copy, to: root, name });
        plan.ops.close(copy);
    }
    plan.ops.close(layers);
    root
}

fn memory_layer(plan: &mut Builder<'_>, size_bytes: Option<u64>, out: Slot) {
    let context = plan.ops.slot();
    let fstype = plan.ops.text("tmpfs");
    plan.push(Op::FsOpen { fstype, out: context });
    let (key, value) = (plan.ops.text("mode"), plan.ops.text("0755"));
    plan.push(Op::FsString { context, key, value });
    if let Some(size) = size_bytes {
        let (key, value) = (plan.ops.text("size"), plan.ops.text(size.to_string()));
        plan.push(Op::FsString { context, key, value });
    }
    plan.push(Op::FsMount { context, attributes: 0, out });
    plan.ops.reuse(context);
    // Before Linux 6.15 only mounts of this namespace serve as layers; over `/` it goes away with the old root.
    let name = plan.ops.text("/");
    plan.push(Op::MoveMount { from: out, to: Slot::CWD, name });
    for (name, mode) in [("upper", 0o755), ("work", 0o700)] {
        let name = plan.ops.text(name);
        plan.push(Op::MakeDirectory { dir: out, name, mode });
    }
}

fn overlay(plan: &mut Builder<'_>, lower: &[PathBuf], layers: Slot, upper: &str, work: &str) -> Slot {
    let (context, root) = (plan.ops.slot(), plan.ops.slot());
    let mut opened = Vec::new();
    for layer in lower {
        let below = plan.ops.slot();
        let name = plan.ops.text(layer.as_os_str().as_encoded_bytes());
        plan.push(Op::Open { dir: Slot::CWD, name, flags: raw::O_PATH | raw::O_DIRECTORY, out: below });
        opened.push(below);
    }
    let fstype = plan.ops.text("overlay");
    plan.push(Op::FsOpen { fstype, out: context });
    let key = if opened.len() == 1 { "lowerdir" } else { "lowerdir+" };
    let below = opened.iter().map(|below| (key, *below, ""));
    for (key, dir, name) in below.chain([("upperdir", layers, upper), ("workdir", layers, work)]) {
        let (key, name) = (plan.ops.text(key), plan.ops.text(name));
        plan.push(Op::FsPath { context, key, dir, below: name });
    }
    if !plan.facts.is_privileged() {
        // `trusted.` attributes are for the initial user namespace; Linux 5.11.
        let key = plan.ops.text("userxattr");
        plan.push(Op::FsFlag { context, key });
    }
    plan.push(Op::FsMount { context, attributes: 0, out: root });
    plan.ops.reuse(context);
    for below in opened {
        plan.ops.close(below);
    }
    root
}

/// What is read-only once everything in it is made.
pub(crate) fn readonly_at_last(plan: &mut Builder<'_>, tree: &Tree) {
    for (slot, path) in &tree.readonly_at_last {
        plan.stage(format!("make {path} read-only"), "now that everything in it is made");
        match plan.in_host_mounts() {
            true => host_mounts::readonly_copy(plan, tree, path),
            false => set_readonly(plan, *slot),
        }
    }
}

/// Makes the root the root, and lets go of the host's.
pub(crate) fn enter(plan: &mut Builder<'_>, tree: &Tree) -> Result<(), PlanError> {
    readonly_at_last(plan, tree);
    if plan.launch.make_cwd && plan.launch.spec.process.cwd != "/" {
        let cwd = plan.launch.spec.process.cwd.clone();
        plan.stage(format!("make the directory {cwd} if it is missing"), "the program starts there");
        let out = plan.ops.slot();
        let path = plan.ops.text(&cwd);
        plan.push(Op::EnsureDirectory { root: tree.root, path, no_links: false, out });
        plan.ops.close(out);
    }
    let launch = plan.launch;
    if plan.in_host_mounts() {
        plan.stage("change to the root", "above it there is nothing: it is attached nowhere");
        if launch.spec.root.readonly {
            set_readonly(plan, tree.root);
        }
        plan.push(Op::ChangeRoot { root: tree.root });
        return Ok(());
    }
    if let Root::Chroot { kernels, .. } = &launch.root {
        plan.stage(
            "let go of the host's procfs and sysfs, and change to the root",
            "the old root stays below: nobody is to see the kernel through it",
        );
        for path in kernels.iter().rev() {
            let path = plan.ops.text(path.as_os_str().as_encoded_bytes());
            plan.push(Op::LetGo { path });
        }
        if launch.spec.root.readonly {
            set_readonly(plan, tree.root);
        }
        plan.push(Op::ChangeRoot { root: tree.root });
    } else {
        plan.stage(
            "make the root the root, and let go of the old one",
            "the host's tree is then out of reach",
        );
        if launch.spec.root.readonly {
            set_readonly(plan, tree.root);
        }
        plan.push(Op::PivotRoot { root: tree.root, above: tree.scratch.above });
    }
    match plan.launch.spec.linux.rootfs_propagation {
        None | Some(Propagation::Private | Propagation::Rprivate) => {}
        Some(propagation) => {
            let recursive = if propagation.is_recursive() { raw::MS_REC } else { 0 };
            plan.push(Op::PropagateAll { flags: propagation.flag() | recursive });
        }
    }
    Ok(())
}

pub(crate) fn set_readonly(plan: &mut Builder<'_>, mount: Slot) {
    if plan.facts.calls.mount_setattr {
        let set = raw::MOUNT_ATTR_RDONLY;
        plan.push(Op::MountAttr {
            mount,
            recursive: false,
            set,
            clear: 0,
            propagation: 0,
            userns: Slot::NONE,
        });
    } else {
        plan.push(Op::MountByFd { mount, flags: raw::MS_REMOUNT | raw::MS_BIND | raw::MS_RDONLY });
    }
}

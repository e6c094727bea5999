//! A container in the host's mount namespace. Nothing of it is attached there: its root is a tree of its own that belongs to no mount
//! namespace, and what is mounted below is mounted in that tree (Linux 6.15). The container's processes are in it by chroot(2); above its
//! root there is nothing, and when the last of them has ended the kernel takes all of it away.

use init::ops::{Op, Slot};
use spec::{NamespaceType, Propagation};
use sys::raw;

use super::mounts::{self, Tree};
use super::namespaces::Source;
use super::{Builder, PlanError};
use crate::inputs::Root;

impl Builder<'_> {
    /// Whether the container has no mount namespace of its own.
    pub(crate) fn in_host_mounts(&self) -> bool {
        self.namespace(NamespaceType::Mount) == Source::Host
    }
}

/// Refuses what takes a mount namespace of its own.
pub(crate) fn check(plan: &Builder<'_>) -> Result<(), PlanError> {
    if !plan.in_host_mounts() {
        return Ok(());
    }
    let what = "launch without a mount namespace of its own";
    if !plan.facts.calls.clone_detached || !plan.facts.calls.mount_setattr {
        let why = "its mounts would be the host's and stay there; Linux 6.15 mounts in a tree that is attached nowhere";
        return Err(PlanError::unsupported(what, why).with_hint("add `mount` to linux.namespaces"));
    }
    let spec = &plan.launch.spec;
    let refused = |why: &str| Err(PlanError::invalid(what, why));
    if plan.namespace(NamespaceType::User) != Source::Host || !plan.facts.is_privileged() {
        return refused(
            "mounts for it take the rights over the host's, which a user namespace does not give",
        );
    }
    if matches!(plan.launch.root, Root::Chroot { .. } | Root::Assembled { .. }) {
        return refused(
            "--no-pivot lets go of the host's procfs and sysfs, which it would take from the host",
        );
    }
    if let Some(propagation) = spec.linux.rootfs_propagation
        && !matches!(propagation, Propagation::Private | Propagation::Rprivate)
    {
        return refused(
            "linux.rootfsPropagation is about mounts of a namespace, which its root is not among",
        );
    }
    for mount in &spec.mounts {
        if mounts::options(mount)?.remount {
            let why = format!("`remount` of {} is for a mount of a namespace", mount.destination);
            return refused(&why);
        }
    }
    Ok(())
}

/// Attributes of what is mounted in the tree already cannot be changed: a copy that has them is laid over it.
pub(crate) fn readonly_copy(plan: &mut Builder<'_>, tree: &Tree, path: &str) {
    let (place, copy) = (plan.ops.slot(), plan.ops.slot());
    let name = plan.ops.text(path);
    let empty = plan.ops.text("");
    plan.push(Op::OpenBelow { root: tree.root, path: name, flags: raw::O_PATH, no_links: false, out: place });
    let flags = raw::OPEN_TREE_CLONE | raw::AT_RECURSIVE | raw::AT_EMPTY_PATH;
    plan.push(Op::OpenTree { dir: place, name: empty, flags, out: copy });
    let set = raw::MOUNT_ATTR_RDONLY;
    let userns = Slot::NONE;
    plan.push(Op::MountAttr { mount: copy, recursive: false, set, clear: 0, propagation: 0, userns });
    plan.push(Op::MoveMount { from: copy, to: place, name: empty });
    plan.ops.close(place);
    plan.ops.close(copy);
}

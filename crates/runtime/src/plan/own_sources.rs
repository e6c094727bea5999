//! Bind mounts whose source is in the container's own tree: what an earlier mount of the same container brings in is there only once that
//! was made. So the stage takes them, below the root's handle; an id mapping, which takes rights over the filesystem, is given by the
//! engine, who gets the detached copy for a moment.

use std::path::{Path, PathBuf};

use init::ops::{Op, Slot};
use spec::Mount;
use spec::mount_options::{Bind, IdMap, MountOptions};
use sys::raw;

use super::mounts::{self, Tree};
use super::{Act, Builder, Produced};
use crate::inputs::Root;

/// A source in the container's tree.
pub(crate) struct OwnSource {
    /// Where it is, below the root.
    pub(crate) path: String,
    /// The user namespace whose mapping the copy takes.
    pub(crate) idmap: Option<Produced>,
}

/// Where in the container the source of a bind mount is, if an earlier mount has to do with what is found there.
pub(crate) fn path(plan: &Builder<'_>, index: usize, options: &MountOptions) -> Option<String> {
    let (Root::Directory { path: root } | Root::Chroot { path: root, .. }) = &plan.launch.root else {
        return None;
    };
    let all = &plan.launch.spec.mounts;
    let source = normal(&mounts::host_path(plan, &all.get(index)?.source));
    let inside = Path::new("/").join(source.strip_prefix(normal(root)).ok()?);
    let recursive = options.bind == Some(Bind::Recursive) || options.idmap == Some(IdMap::Recursive);
    let concerns = |earlier: &Mount| {
        let place = mounts::normal(&earlier.destination);
        inside.starts_with(&place) || (recursive && place.starts_with(&inside))
    };
    all.iter().take(index).any(concerns).then(|| inside.display().to_string())
}

fn normal(path: &Path) -> PathBuf {
    path.components().collect()
}

/// Takes a copy, with its mapping.
pub(crate) fn take(plan: &mut Builder<'_>, tree: &Tree, source: &OwnSource, options: &MountOptions) -> Slot {
    let (place, copy) = (plan.ops.slot(), plan.ops.slot());
    let (path, empty) = (plan.ops.text(&source.path), plan.ops.text(""));
    plan.push(Op::OpenBelow { root: tree.root, path, flags: raw::O_PATH, no_links: false, out: place });
    let recursive = options.bind == Some(Bind::Recursive) || options.idmap == Some(IdMap::Recursive);
    let recursive = if recursive { raw::AT_RECURSIVE } else { 0 };
    let flags = raw::OPEN_TREE_CLONE | raw::AT_EMPTY_PATH | recursive;
    plan.push(Op::OpenTree { dir: place, name: empty, flags, out: copy });
    plan.ops.close(place);
    if let Some(userns) = source.idmap {
        let turn = plan.next_turn();
        plan.push(Op::Tell { turn, fd: copy });
        let below = options.idmap == Some(IdMap::Recursive);
        let act = Act::MapTree { turn, userns, below, subject: source.path.clone() };
        plan.engine(
            format!("give the copy of {} an id mapping", source.path),
            "the stage, in its user namespace, may not",
            act,
        );
        let (ticket, _) = plan.hand_over(Vec::new());
        plan.need(ticket);
    }
    copy
}

//! Mounts that the engine makes, all detached.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid, chownat, fstat, mkdirat, openat};
use sys::mount::{self, Context};
use sys::raw::MountAttr;
use sys::{Errno, SyscallError};

use crate::plan::{CloneTree, Overlay, OverlayUpper, Produced};

/// Makes directories and those above them.
pub(crate) fn make_directories(paths: &[PathBuf]) -> Result<(), SyscallError> {
    for path in paths {
        std::fs::create_dir_all(path)
            .map_err(|error| SyscallError::new("mkdir", path.display().to_string(), error))?;
    }
    Ok(())
}

/// Opens a file of nsfs, whose content is a namespace.
pub(crate) fn open_namespace(path: &Path) -> Result<OwnedFd, SyscallError> {
    openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())
        .map_err(|errno| SyscallError::new("openat", path.display().to_string(), errno))
}

/// A detached copy of a mount.
pub(crate) fn clone(tree: &CloneTree, userns: Option<BorrowedFd<'_>>) -> Result<OwnedFd, SyscallError> {
    let copy = mount::clone_tree(&tree.path, tree.recursive)?;
    let subject = tree.path.display().to_string();
    if let Some(userns) = userns {
        mount::map_ids(copy.as_fd(), tree.map_below, &userns, &subject)?;
    }
    if tree.propagation != 0 {
        let attr = MountAttr { propagation: tree.propagation, ..MountAttr::default() };
        mount::set_attributes(copy.as_fd(), tree.recursive, &attr, &subject)?;
    }
    Ok(copy)
}

/// A detached mount of an overlay from detached layers.
pub(crate) fn overlay<'a>(
    overlay: &Overlay,
    fd: impl Fn(Produced) -> BorrowedFd<'a>,
) -> Result<OwnedFd, SyscallError> {
    let lower: Vec<BorrowedFd<'a>> = overlay.lower.iter().map(|lower| fd(*lower)).collect();
    let memory;
    let layers = match &overlay.upper {
        OverlayUpper::Directory(layers) => fd(*layers),
        OverlayUpper::Tmpfs { size_bytes } => {
            let topmost = lower.first().ok_or_else(|| {
                SyscallError::new("fsconfig", "an overlay without a lower layer", Errno::INVAL)
            })?;
            memory = memory_layer(*topmost, *size_bytes, overlay.owner)?;
            memory.as_fd()
        }
    };
    let mount = || match overlay.attached {
        true => sys::overlay::of_detached(&lower, Some(layers), 0),
        false => detached_overlay(&lower, layers),
    };
    match (&overlay.upper, overlay.owner) {
        // overlayfs makes its work directory, and later its copies, as who mounts it: somebody whom the mapping of the layer knows.
        (OverlayUpper::Directory(_), (uid, gid)) if (uid, gid) != (0, 0) => {
            sys::fsids::with_filesystem_ids(uid, gid, mount)?
        }
        _ => mount(),
    }
}

/// One parameter a layer: there is no page of options that they would have to fit into.
fn detached_overlay(lower: &[BorrowedFd<'_>], layers: BorrowedFd<'_>) -> Result<OwnedFd, SyscallError> {
    let context = Context::new("overlay")?;
    for layer in lower {
        context.set_fd("lowerdir+", *layer)?;
    }
    context.set_fd("upperdir", open_directory(layers, "upper")?.as_fd())?;
    context.set_fd("workdir", open_directory(layers, "work")?.as_fd())?;
    context.mount(0)
}

/// A tmpfs with an empty layer, whose topmost directory is as the lower layer's: overlayfs shows the upper one's mode and owner.
fn memory_layer(
    lower: BorrowedFd<'_>,
    size_bytes: Option<u64>,
    owner: (u32, u32),
) -> Result<OwnedFd, SyscallError> {
    let context = Context::new("tmpfs")?;
    context.set("mode", "0755")?;
    if let Some(size) = size_bytes {
        context.set("size", &size.to_string())?;
    }
    let memory = context.mount(0)?;
    let failed = |call, errno: rustix::io::Errno| SyscallError::new(call, "the layer in memory", errno);
    let below = fstat(lower).map_err(|errno| failed("fstat", errno))?;
    let mode = Mode::from_raw_mode(below.st_mode & 0o7777);
    mkdirat(&memory, "upper", mode).map_err(|errno| failed("mkdirat", errno))?;
    mkdirat(&memory, "work", Mode::RWXU).map_err(|errno| failed("mkdirat", errno))?;
    rustix::fs::chmodat(&memory, "upper", mode, AtFlags::empty())
        .map_err(|errno| failed("fchmodat", errno))?;
    // The lower layer is seen through its id mapping: its owner 0 is `owner` here.
    let (uid, gid) = match (below.st_uid, below.st_gid) {
        (0, 0) => owner,
        other => other,
    };
    if (uid, gid) != (0, 0) {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        chownat(&memory, "upper", Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| failed("fchownat", errno))?;
    }
    Ok(memory)
}

fn open_directory(layers: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, SyscallError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(layers, name, flags, Mode::empty()).map_err(|errno: rustix::io::Errno| {
        SyscallError::new("openat", format!("{name} of the upper layer"), Errno::from(errno))
    })
}

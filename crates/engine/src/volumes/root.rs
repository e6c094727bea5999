//! What a container's root has somewhere, before there is a container.
//!
//! The root is looked at through a mount that nobody else has: the directory without what is mounted in it, or the layers one over the other,
//! as the container will see them. A path is followed below its handle.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use sys::below::Links;
use sys::mount;
use sys::{Errno, SyscallError, raw};

use crate::request::{Changes, RunFlags};

/// The root of a container that is made of these flags, read-only; none where this caller cannot look at several layers at once.
pub(super) fn open(flags: &RunFlags) -> Result<Option<OwnedFd>, SyscallError> {
    let root = &flags.rootfs;
    let mut layers: Vec<PathBuf> = Vec::new();
    if let Changes::Keep(kept) = &root.changes {
        let upper = kept.join("upper");
        let has_some = std::fs::read_dir(&upper).is_ok_and(|mut entries| entries.next().is_some());
        layers.extend(has_some.then_some(upper));
    }
    layers.push(root.directory.clone());
    layers.extend(root.below.iter().cloned());
    let opened = match &layers[..] {
        [one] => match mount::clone_tree(one, false) {
            Err(error) if error.errno == Errno::PERM => monitor::exit::open_directory(one),
            outcome => outcome,
        },
        several => overlay(several),
    };
    match opened {
        Err(error) if error.errno == Errno::PERM => Ok(None),
        outcome => outcome.map(Some),
    }
}

/// Layers one over the other, the topmost first, and no layer for changes.
fn overlay(layers: &[PathBuf]) -> Result<OwnedFd, SyscallError> {
    let open = |path: &PathBuf| monitor::exit::open_directory(path);
    let layers = layers.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let layers: Vec<_> = layers.iter().map(AsFd::as_fd).collect();
    sys::overlay::of_directories(&layers, None, raw::MOUNT_ATTR_RDONLY)
}

/// The directory at a path of the root; none where there is none.
pub(super) fn directory(root: &OwnedFd, path: &Path) -> Result<Option<OwnedFd>, SyscallError> {
    let flags = raw::O_RDONLY | raw::O_DIRECTORY;
    let device = |fd: &OwnedFd| {
        rustix::fs::fstat(fd)
            .map(|stat| stat.st_dev)
            .map_err(|errno| SyscallError::new("fstat", "the root", errno))
    };
    match sys::resolve::open_below(root.as_fd(), path, flags, Links::InRoot) {
        // Where the root could not be looked at by itself, what is mounted in it is not the container's.
        Ok(directory) => Ok((device(&directory)? == device(root)?).then_some(directory)),
        Err(error) if matches!(error.errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(error) => Err(error),
    }
}

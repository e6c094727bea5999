//! What the engine makes while the stage works: all of it detached.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid, chownat, mkdirat, mknodat, symlinkat};
use rustix::process::umask;
use sys::mount::{self, Context};
use sys::raw::{self, MountAttr};
use sys::{Errno, SyscallError};

use crate::plan::{CgroupView, DeviceTree, Filesystem};

/// A /dev with all that is in it.
pub(crate) fn device_tree(tree: &DeviceTree) -> Result<OwnedFd, SyscallError> {
    // Modes are those of the plan; this process's mask is for files of its own.
    let before = umask(Mode::empty());
    let made = fill(tree);
    umask(before);
    made
}

fn fill(tree: &DeviceTree) -> Result<OwnedFd, SyscallError> {
    let dev = filesystem(&tree.root)?;
    let failed = |call, name: &str, errno: rustix::io::Errno| {
        SyscallError::new(call, format!("/dev/{name}"), Errno::from(errno))
    };
    for (name, mode, device) in &tree.nodes {
        let (kind, permissions) = (FileType::from_raw_mode(*mode), Mode::from_raw_mode(mode & 0o7777));
        mknodat(&dev, *name, kind, permissions, *device).map_err(|errno| failed("mknodat", name, errno))?;
    }
    for (name, target) in &tree.links {
        symlinkat(*target, &dev, *name).map_err(|errno| failed("symlinkat", name, errno))?;
    }
    let inside = tree.mounts.iter().map(|(name, _)| name);
    for name in tree.directories.iter().chain(inside) {
        mkdirat(&dev, name.as_str(), Mode::from_raw_mode(0o755))
            .map_err(|errno| failed("mkdirat", name, errno))?;
    }
    if tree.owner != (0, 0) {
        let (uid, gid) = (Uid::from_raw(tree.owner.0), Gid::from_raw(tree.owner.1));
        let nodes = tree.nodes.iter().map(|(name, ..)| *name);
        let links = tree.links.iter().map(|(name, _)| *name);
        let directories =
            tree.directories.iter().chain(tree.mounts.iter().map(|(name, _)| name)).map(String::as_str);
        for name in nodes.chain(links).chain(directories).chain([""]) {
            let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
            chownat(&dev, name, Some(uid), Some(gid), flags)
                .map_err(|errno| failed("fchownat", name, errno))?;
        }
    }
    for (name, inside) in &tree.mounts {
        let inside = filesystem(inside)?;
        mount::attach(inside.as_fd(), dev.as_fd(), name)?;
    }
    Ok(dev)
}

fn filesystem(wanted: &Filesystem) -> Result<OwnedFd, SyscallError> {
    let context = Context::new(wanted.fstype)?;
    for (key, value) in &wanted.data {
        match value {
            Some(value) => context.set(key, value)?,
            None => context.flag(key)?,
        }
    }
    context.mount(wanted.attributes)
}

/// What a container sees of its cgroup.
pub(crate) fn cgroup_view(view: &CgroupView) -> Result<OwnedFd, SyscallError> {
    // A copy of a shared mount would tell the host what is mounted in it.
    let clear = if view.attributes & raw::MOUNT_ATTR_ATIME == 0 { 0 } else { raw::MOUNT_ATTR_ATIME };
    let attr =
        MountAttr { set: view.attributes, clear, propagation: raw::MS_PRIVATE, ..MountAttr::default() };
    let subject = || view.groups.first().map_or(String::new(), |group| group.path.display().to_string());
    if !view.by_hierarchy {
        let Some(group) = view.groups.first() else {
            return Err(SyscallError::new("open_tree", "the cgroup", Errno::NOENT));
        };
        let copy = mount::clone_tree(&group.path, false)?;
        mount::set_attributes(copy.as_fd(), false, &attr, &subject())?;
        return Ok(copy);
    }
    let context = Context::new("tmpfs")?;
    context.set("mode", "755")?;
    let all = context.mount(0)?;
    let before = umask(Mode::empty());
    let made = view.groups.iter().try_for_each(|group| {
        let failed =
            |call, errno: rustix::io::Errno| SyscallError::new(call, group.name.as_str(), Errno::from(errno));
        mkdirat(&all, group.name.as_str(), Mode::from_raw_mode(0o755))
            .map_err(|errno| failed("mkdirat", errno))?;
        let copy = mount::clone_tree(&group.path, false)?;
        mount::attach(copy.as_fd(), all.as_fd(), &group.name)?;
        group.links.iter().try_for_each(|link| {
            symlinkat(group.name.as_str(), &all, link.as_str()).map_err(|errno| failed("symlinkat", errno))
        })
    });
    umask(before);
    made?;
    mount::set_attributes(all.as_fd(), true, &attr, &subject())?;
    Ok(all)
}

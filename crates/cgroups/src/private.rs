//! A v1 hierarchy that nobody has mounted, for this process alone.
//!
//! The mount is made detached (fsmount(2), Linux 5.2) and attached nowhere: it is in no mount namespace, and goes with its
//! descriptor. What stays after that are the groups made in it, and the hierarchy as long as there are any.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use report::{Explain, Hint, Kind};
use sys::{Errno, SyscallError};

use crate::dir::{Dir, read_path};
use crate::layout::{Controller, ControllerSet, Layout, Version};

/// A hierarchy could not be mounted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("mount a cgroup v1 hierarchy with {controllers}")]
pub struct MountFailed {
    /// The controllers that it should have.
    pub controllers: ControllerSet,
    /// What failed.
    #[source]
    pub cause: SyscallError,
}

impl Explain for MountFailed {
    fn below(&self) -> Option<&dyn Explain> {
        Some(&self.cause)
    }

    fn kind(&self) -> Kind {
        match self.cause.errno {
            Errno::INVAL | Errno::NODEV | Errno::NOENT => Kind::Unsupported,
            _ => self.cause.kind(),
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self.cause.errno {
            Errno::BUSY => Some(Hint::new(
                "a hierarchy with some of them exists already, or cgroup v2 uses them: /proc/cgroups shows where",
            )),
            Errno::INVAL | Errno::NODEV | Errno::NOENT => Some(Hint::new(
                "this kernel lacks a controller for v1: /proc/cgroups lists what it has",
            )),
            Errno::PERM => Some(Hint::new("mounting a cgroup v1 hierarchy takes root in the first user namespace")),
            _ => None,
        }
    }
}

/// Mounts a hierarchy with `controllers` and adds it to `layout`. It is there as long as the result lives, or the process
/// that executes another program while it does not close it.
///
/// # Errors
/// When the kernel refuses; `EBUSY` when a controller is in use elsewhere.
pub fn mount(layout: &mut Layout, controllers: ControllerSet) -> Result<OwnedFd, MountFailed> {
    let failed = |cause| MountFailed { controllers, cause };
    let taken = |controller| {
        let v1 = layout.v1.iter().any(|hierarchy| hierarchy.controllers.contains(controller));
        v1 || layout.v2.as_ref().is_some_and(|v2| v2.controllers.contains(controller))
    };
    if let Some(taken) = controllers.iter().find(|&controller| taken(controller)) {
        return Err(failed(SyscallError::new("fsopen", format!("cgroup, {taken}"), Errno::BUSY)));
    }
    let context = sys::mount::Context::new("cgroup").map_err(failed)?;
    for controller in controllers.iter() {
        context.flag(controller.name_in(Version::V1)).map_err(failed)?;
    }
    let mount = context.mount(0).map_err(failed)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", mount.as_raw_fd()));
    layout.add_private(controllers, path).map_err(failed)?;
    Ok(mount)
}

/// Waits, for a second at most, until the kernel has let go of groups that were removed from such a hierarchy. It keeps
/// a hierarchy for ever whose last mount goes while it still has one, even a removed one (`cgroup_kill_sb`).
pub fn wait_for_release(layout: &Layout, controllers: ControllerSet) {
    let Some(controller) = controllers.iter().next() else { return };
    let Some(hierarchy) = layout.v1.iter().find(|it| it.controllers == controllers) else { return };
    // Groups that are still wanted keep it, and that is right.
    let wanted = Dir::open_mount(&hierarchy.mount).and_then(|top| {
        top.children().map_err(|errno| top.failed("getdents", "", errno))
    });
    if !wanted.is_ok_and(|children| children.is_empty()) {
        return;
    }
    for _ in 0..100 {
        let text = read_path(Path::new("/proc/cgroups")).unwrap_or_default();
        if number_of_groups(&String::from_utf8_lossy(&text), controller).is_none_or(|number| number <= 1) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The third column of `/proc/cgroups`: how many groups the hierarchy of a controller has, its topmost included.
fn number_of_groups(text: &str, controller: Controller) -> Option<u64> {
    let lines = text.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let mut lines = lines.filter(|words| words.first() == Some(&controller.name_in(Version::V1)));
    lines.next()?.get(2)?.parse().ok()
}

/// The controllers in a list such as `net_cls,perf_event`; `None` if a word is none of them.
pub fn parse_list(text: &str) -> Option<ControllerSet> {
    text.split(',').map(|word| Controller::from_name(word.as_bytes())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_of_a_controller_are_counted_by_the_kernel() {
        let text = "#subsys_name\thierarchy\tnum_cgroups\tenabled\nblkio\t7\t3\t1\nnet_cls\t10\t1\t1\n";
        assert_eq!(number_of_groups(text, Controller::NetCls), Some(1));
        assert_eq!(number_of_groups(text, Controller::Io), Some(3));
        assert_eq!(number_of_groups(text, Controller::Rdma), None);
    }

    #[test]
    fn a_list_names_controllers() {
        let set = parse_list("net_cls,net_prio").unwrap();
        assert!(set.contains(Controller::NetCls) && set.contains(Controller::NetPrio));
        assert_eq!(parse_list("net_cls,"), None);
        assert_eq!(parse_list("netcls"), None);
    }
}

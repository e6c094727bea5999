//! Mounts that come and go while a container runs: the inputs of [`crate::plan::change_mounts()`], as plain data.

use std::path::PathBuf;

use cgroups::Place;
use spec::{Mount, Spec, Valid};

use crate::inputs::{ContainerId, Launch, Life, Root, Stdio};

/// Mounts to make in a running container, or to take away.
#[derive(Debug, Clone)]
pub struct MountChange {
    /// What making a container and changing its mounts share reads a launch. Its `mounts` are those of the change.
    pub(crate) launch: Launch,
    /// The process id of the container's first process, as seen here.
    pub(crate) pid: i32,
    pub(crate) what: What,
}

/// What becomes of the mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// They are made, in their order.
    Add,
    /// They are taken away, the last one first, each with all below it. Only where they are matters.
    Remove,
}

impl MountChange {
    /// The mounts of this specification, which else is that of the container `id` with this bundle and first process.
    pub fn new(id: ContainerId, spec: Valid<Spec>, bundle: PathBuf, pid: i32, what: What) -> Self {
        let launch = Launch {
            id,
            spec,
            bundle,
            root: Root::Directory { path: PathBuf::from("/") },
            idmap_root: false,
            files: Vec::new(),
            parts: Vec::new(),
            make_cwd: false,
            stdio: Stdio::Inherit,
            cgroup: Place::Nowhere(String::new()),
            init: false,
            die_with_parent: false,
            delegate_v1: false,
            keep_keyring: true,
            preserve_fds: 0,
            unit: None,
            life: Life::Attended,
        };
        Self { launch, pid, what }
    }

    /// The mounts.
    pub fn mounts(&self) -> &[Mount] {
        &self.launch.spec.mounts
    }
}

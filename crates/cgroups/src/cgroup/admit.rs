//! Moving processes into a group.

use std::path::PathBuf;

use rustix::io::Errno as Failure;
use sys::SyscallError;

use super::{Cgroup, Group};
use crate::dir::write_once;
use crate::error::Error;
use crate::layout::{Layout, Version};

impl Cgroup {
    /// Moves a process with all its threads into the group in every hierarchy. When a hierarchy refuses it goes
    /// back to where it was in those before.
    ///
    /// # Errors
    /// When there is no such process, or it may not be moved.
    pub fn admit(&self, layout: &Layout, pid: u32) -> Result<(), Error> {
        let before = layout.of_process(pid).map_err(|cause| Error::Use {
            group: self.groups.first().map(|group| group.dir.path()).unwrap_or_default(),
            cause: SyscallError::new("open", format!("/proc/{pid}/cgroup"), cause.errno),
        })?;
        let place = |group: &Group| -> Option<PathBuf> {
            let same = |it: &&crate::layout::Hierarchy| {
                it.version == group.version && it.controllers == group.controllers && it.mount == group.dir.mount_path()
            };
            before.hierarchies().find(same)?.own_below_mount()
        };
        let mut moved: Vec<(&Group, Option<PathBuf>)> = Vec::new();
        for group in &self.groups {
            let old = place(group);
            match group.dir.write("cgroup.procs", pid.to_string().as_bytes()) {
                Ok(()) => moved.push((group, old)),
                Err(errno) => {
                    for (group, old) in moved.iter().rev() {
                        if let Some(old) = old {
                            let _ = group.dir.at(old.clone()).write("cgroup.procs", pid.to_string().as_bytes());
                        }
                    }
                    return Err(group.dir.failed("write", "cgroup.procs", errno));
                }
            }
        }
        Ok(())
    }

    /// Moves the calling thread into the group in every hierarchy: before it executes a program, which takes it to have one
    /// thread. Everything is opened before the first move.
    ///
    /// # Errors
    /// When a file cannot be opened or written to.
    pub fn enter(&self) -> Result<(), Error> {
        let files = self.join_files()?;
        for (group, file) in self.groups.iter().zip(&files) {
            write_once(file, b"0").map_err(|errno| {
                let name = if group.version == Version::V1 { "tasks" } else { "cgroup.procs" };
                group.dir.failed("write", name, errno)
            })?;
        }
        Ok(())
    }

    /// Processes of the group and those below it in any hierarchy: other tools move them in single ones.
    ///
    /// # Errors
    /// When a list cannot be read.
    pub fn processes_anywhere(&self) -> Result<Vec<u32>, Error> {
        let mut all = Vec::new();
        for group in &self.groups {
            all.extend(super::processes::members(&group.dir, "cgroup.procs")?);
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// The processes of the group itself, without those below it, in any hierarchy.
    pub fn own_processes(&self) -> Vec<u32> {
        let mut all = Vec::new();
        for group in &self.groups {
            match group.dir.read("cgroup.procs") {
                Ok(text) => all.extend(super::processes::parse(&text)),
                Err(Failure::NOENT | Failure::NODEV | Failure::OPNOTSUPP) => {}
                Err(_) => {}
            }
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}

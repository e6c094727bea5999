//! What few launches ask about a host, looked up the first time that a plan wants to know.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use sys::raw;

/// Facts about rare subjects. A test states them beforehand; otherwise each is looked up once.
#[derive(Debug, Clone, Default)]
pub struct OnDemand {
    /// Whether AppArmor decides here.
    pub apparmor: OnceLock<bool>,
    /// Whether SELinux decides here.
    pub selinux: OnceLock<bool>,
    /// The version of Landlock, from 1; 0 without it.
    pub landlock: OnceLock<u32>,
    /// Where resctrl is mounted.
    pub resctrl: OnceLock<Option<PathBuf>>,
    /// This process's `oom_score_adj`.
    pub oom_score_adj: OnceLock<i32>,
    /// Compiled filters of system calls, where some are kept. They make plans quicker, and no different.
    pub filters: Option<Arc<seccomp::Cache>>,
}

impl OnDemand {
    /// Whether AppArmor is compiled in and switched on.
    pub fn apparmor(&self) -> bool {
        *self.apparmor.get_or_init(|| {
            let enabled = fs::read("/sys/module/apparmor/parameters/enabled").unwrap_or_default();
            enabled.first() == Some(&b'Y')
        })
    }

    /// Whether SELinux has a policy: selinuxfs is mounted then.
    pub fn selinux(&self) -> bool {
        *self.selinux.get_or_init(|| Path::new("/sys/fs/selinux/enforce").exists())
    }

    /// The version of Landlock (`LANDLOCK_CREATE_RULESET_VERSION`); 0 where it is missing or switched off.
    pub fn landlock(&self) -> u32 {
        *self.landlock.get_or_init(|| raw::landlock_abi().unwrap_or(0))
    }

    /// This process's `oom_score_adj`, below which nobody gets without `CAP_SYS_RESOURCE` (proc_pid_oom_score_adj(5)).
    pub fn oom_score_adj(&self) -> i32 {
        *self.oom_score_adj.get_or_init(|| {
            let text = fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
            text.trim().parse().unwrap_or(0)
        })
    }

    /// Where resctrl is mounted (`Documentation/filesystems/resctrl.rst`).
    pub fn resctrl(&self) -> Option<&Path> {
        let look =
            || mount_of_type(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default(), "resctrl");
        self.resctrl.get_or_init(look).as_deref()
    }
}

/// The first mount of this type (proc_pid_mountinfo(5)).
fn mount_of_type(mountinfo: &str, fstype: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        (after.split(' ').next() == Some(fstype)).then(|| before.split(' ').nth(4).map(PathBuf::from))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_found_by_its_type() {
        let text = "22 1 0:21 / /proc rw - proc proc rw\n40 23 0:30 / /sys/fs/resctrl rw,relatime shared:9 - resctrl resctrl rw\n";
        assert_eq!(mount_of_type(text, "resctrl"), Some(PathBuf::from("/sys/fs/resctrl")));
        assert_eq!(mount_of_type(text, "bpf"), None);
    }
}

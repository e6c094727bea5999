//! Giving a group to a user, who may then make groups below it.

use rustix::fs::{AtFlags, Gid, Uid};
use rustix::io::Errno as Failure;

use super::{Cgroup, Group};
use crate::error::Error;
use crate::layout::Version;

/// What v1 documents (cgroups(7)): the rights to make groups and to move processes, never to raise limits.
const V1_FILES: [&str; 2] = ["cgroup.procs", "tasks"];

/// What v2 documents where `/sys/kernel/cgroup/delegate` (Linux 4.15) does not say more.
const V2_FILES: [&str; 3] = ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"];

impl Cgroup {
    /// Makes `host_uid` and `host_gid` the owners of the group's directories and of the files that the kernel
    /// lists in `/sys/kernel/cgroup/delegate`. Limits stay with the one who set them.
    ///
    /// # Errors
    /// When an owner cannot be changed. A listed file that this group does not have is none.
    pub fn delegate(&self, host_uid: u32, host_gid: u32) -> Result<(), Error> {
        self.give(host_uid, host_gid, |_| true)
    }

    /// The same where nobody comes by more than a group to sort processes into: on v2, and in v1's hierarchies without controllers. A
    /// controller of v1 obeys whoever makes groups in it (cgroups(7)).
    ///
    /// # Errors
    /// As [`Cgroup::delegate`].
    pub fn delegate_safely(&self, host_uid: u32, host_gid: u32) -> Result<(), Error> {
        self.give(host_uid, host_gid, |group| group.version == Version::V2 || group.controllers.is_empty())
    }

    fn give(&self, host_uid: u32, host_gid: u32, which: impl Fn(&Group) -> bool) -> Result<(), Error> {
        let (uid, gid) = (Some(Uid::from_raw(host_uid)), Some(Gid::from_raw(host_gid)));
        let listed = crate::dir::read_path(std::path::Path::new("/sys/kernel/cgroup/delegate"));
        let listed = String::from_utf8_lossy(&listed.unwrap_or_default()).into_owned();
        for group in self.groups.iter().filter(|group| which(group)) {
            let files: Vec<&str> = match group.version {
                Version::V1 => V1_FILES.to_vec(),
                Version::V2 if listed.is_empty() => V2_FILES.to_vec(),
                Version::V2 => listed.lines().filter(|file| !file.contains('/')).collect(),
            };
            let own = |path: &std::path::Path, file: &str| match rustix::fs::chownat(
                group.dir.fd(),
                path,
                uid,
                gid,
                AtFlags::SYMLINK_NOFOLLOW,
            ) {
                Ok(()) | Err(Failure::NOENT) => Ok(()),
                Err(errno) => Err(group.dir.failed("fchownat", file, errno)),
            };
            own(group.dir.below(), "")?;
            files.iter().try_for_each(|file| own(&group.dir.below().join(file), file))?;
        }
        Ok(())
    }
}

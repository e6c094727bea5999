//! Making files as somebody else.

use crate::error::SyscallError;
use crate::raw;

/// The ids of before; dropping it takes them again.
struct Ids {
    uid: u32,
    gid: u32,
}

impl Drop for Ids {
    fn drop(&mut self) {
        // From another id to 0 the kernel gives the effective capabilities back by itself (capabilities(7)).
        raw::set_filesystem_uid(self.uid);
        raw::set_filesystem_gid(self.gid);
    }
}

/// Calls `action` while this thread makes files as `uid` and `gid`, with the capabilities that it had: setfsuid(2) alone would take those
/// over files. What id-mapped mounts hold can be made only by ids that they map.
///
/// # Errors
/// `EPERM` when the thread may not take these ids; those of capget(2) and capset(2).
pub fn with_filesystem_ids<T>(uid: u32, gid: u32, action: impl FnOnce() -> T) -> Result<T, SyscallError> {
    let failed = |call, errno| SyscallError::new(call, format!("{uid}:{gid}"), errno);
    let capabilities = raw::capget().map_err(|errno| failed("capget", errno))?;
    let before = Ids { gid: raw::set_filesystem_gid(gid), uid: raw::set_filesystem_uid(uid) };
    // An id that cannot be taken is refused in silence; asking for an impossible one tells which is there.
    if (raw::set_filesystem_uid(u32::MAX), raw::set_filesystem_gid(u32::MAX)) != (uid, gid) {
        return Err(failed("setfsuid", crate::Errno::PERM));
    }
    raw::capset(&capabilities).map_err(|errno| failed("capset", errno))?;
    let outcome = action();
    drop(before);
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn files_are_made_with_other_ids_and_then_with_ones_own_again() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED files_are_made_with_other_ids_and_then_with_ones_own_again: needs root");
            return;
        }
        let path =
            |name: &str| std::env::temp_dir().join(format!("holm-fsids-{name}-{}", std::process::id()));
        let before = raw::capget();
        let made = with_filesystem_ids(4711, 4712, || std::fs::write(path("other"), ""));
        std::fs::write(path("own"), "").unwrap();
        let owners = ["other", "own"].map(|name| {
            let status = std::fs::metadata(path(name)).unwrap();
            std::fs::remove_file(path(name)).unwrap();
            (status.uid(), status.gid())
        });
        made.unwrap().unwrap();
        assert_eq!(owners, [(4711, 4712), (0, 0)]);
        assert_eq!(raw::capget(), before);
    }
}

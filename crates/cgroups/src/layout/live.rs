//! The cgroup mounts of the live host, without the kernel's writing down all mounts.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use sys::Errno;
use sys::raw::{self, Fd, MountStatus};

use super::{Found, Layout};
use crate::dir::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC};

/// More mounts than the kernel allows by default (`fs.mount-max`).
const MOST: usize = 1 << 17;
/// All that a hierarchy is described by.
const WANTED: u64 = raw::STATMOUNT_SB_BASIC
    | raw::STATMOUNT_MNT_BASIC
    | raw::STATMOUNT_MNT_ROOT
    | raw::STATMOUNT_MNT_POINT
    | raw::STATMOUNT_MNT_OPTS;

/// The layout; none where the kernel does not tell all of it, or not to this process.
pub(super) fn layout(own: &[u8]) -> Option<Layout> {
    let mut layout = Layout::default();
    let mut status = MountStatus::new();
    let mut ids = [0; 128];
    let (mut last, mut seen) = (0, 0);
    loop {
        let count = raw::listmount(last, &mut ids).ok()?;
        for id in ids.iter().take(count) {
            match look(*id, &mut status) {
                Ok(Some(found)) => layout.extend(found, own),
                Ok(None) | Err(Errno::NOENT) => {}
                Err(_) => return None,
            }
        }
        seen += count;
        match ids.get(count.wrapping_sub(1)) {
            Some(highest) if count == ids.len() && seen < MOST => last = *highest,
            _ => return Some(layout),
        }
    }
}

/// The mount as a hierarchy, if it is one and a path leads to it.
fn look(id: u64, status: &mut MountStatus) -> Result<Option<Found<'_>>, Errno> {
    raw::statmount(id, raw::STATMOUNT_SB_BASIC, status)?;
    let is_v2 = status.filesystem_type() == CGROUP2_SUPER_MAGIC;
    if !is_v2 && status.filesystem_type() != CGROUP_SUPER_MAGIC {
        return Ok(None);
    }
    raw::statmount(id, WANTED, status)?;
    // Before Linux 6.11 options are not told. A hierarchy of v2 may have none, one of v1 always has.
    let (Some(root), Some(point)) = (status.root(), status.point()) else { return Err(Errno::NODATA) };
    let options = status.options().map_or(&b""[..], |options| options.to_bytes());
    if options.is_empty() && !is_v2 {
        return Err(Errno::NODATA);
    }
    // What another mount lies over has another id where its path leads to.
    let visible =
        raw::status(Fd::CWD, &CString::from(point)).is_ok_and(|there| there.mount_id == status.short_id());
    let path = |text: &std::ffi::CStr| PathBuf::from(OsStr::from_bytes(text.to_bytes()));
    let read_only = status.attributes() & raw::MOUNT_ATTR_RDONLY != 0 || status.filesystem_is_read_only();
    Ok(visible.then(|| Found { is_v2, root: path(root), point: path(point), read_only, options }))
}

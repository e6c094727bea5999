//! Freezing: the `freezer` controller of v1, `cgroup.freeze` in every group of v2.

use crate::layout::Version;
use crate::write::Write;

/// What to write to freeze or thaw a group. The kernel does it in the background; see [`crate::Cgroup::freeze`].
pub fn write(frozen: bool, version: Version) -> Write {
    match (version, frozen) {
        (Version::V1, true) => Write::new("freezer.state", "FROZEN"),
        (Version::V1, false) => Write::new("freezer.state", "THAWED"),
        (Version::V2, frozen) => Write::new("cgroup.freeze", u8::from(frozen)),
    }
}

//! Which file systems can be mounted with other owners (`MOUNT_ATTR_IDMAP`, mount_setattr(2)).
//!
//! The kernel only tells by failing, late; [`unsupported`] knows from the type and the version.

/// File systems that can, by their magic number (statfs(2)), and since which kernel (`FS_ALLOW_IDMAP` in their sources).
const SINCE: [(u64, &str, (u32, u32)); 15] = [
    (0xef53, "ext4", (5, 12)),
    (0x5846_5342, "xfs", (5, 12)),
    (0x4d44, "vfat", (5, 12)),
    (0x9123_683e, "btrfs", (5, 15)),
    (0x7366_746e, "ntfs3", (5, 15)),
    (0xf2f5_2010, "f2fs", (5, 18)),
    (0xe0f5_e1e2, "erofs", (5, 19)),
    (0x7371_7368, "squashfs", (6, 2)),
    (0x0102_1994, "tmpfs", (6, 3)),
    (0x5a4f_4653, "zonefs", (6, 3)),
    (0x9584_58f6, "hugetlbfs", (6, 9)),
    (0x00c3_6400, "ceph", (6, 7)),
    (0x6573_5546, "fuse", (6, 12)),
    (0xca45_1a4e, "bcachefs", (6, 7)),
    (0x2fc1_2fc1, "zfs", (5, 12)),
];

/// File systems people meet that cannot, for the message.
const NEVER: [(u64, &str); 8] = [
    (0x794c_7630, "overlay"),
    (0x6969, "nfs"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb3"),
    (0x0102_1997, "9p"),
    (0x9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x8584_58f6, "ramfs"),
];

/// Why a file system with this magic number cannot be mounted with other owners, if that is so.
pub fn unsupported(magic: u64, kernel: (u32, u32)) -> Option<String> {
    let (major, minor) = kernel;
    if let Some((_, name, since)) = SINCE.iter().find(|(known, ..)| *known == magic) {
        return (kernel < *since).then(|| {
            format!(
                "{name} has id-mapped mounts since Linux {}.{}, this is {major}.{minor}",
                since.0, since.1
            )
        });
    }
    Some(match NEVER.iter().find(|(known, _)| *known == magic) {
        Some((_, name)) => format!("{name} has no id-mapped mounts"),
        None => format!("a file system of type {magic:#x} is not known to have id-mapped mounts"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn support_depends_on_file_system_and_kernel() {
        assert_eq!(unsupported(0xef53, (6, 18)), None);
        assert_eq!(
            unsupported(0x0102_1994, (6, 1)).as_deref(),
            Some("tmpfs has id-mapped mounts since Linux 6.3, this is 6.1")
        );
        assert_eq!(unsupported(0x6969, (6, 18)).as_deref(), Some("nfs has no id-mapped mounts"));
        assert_eq!(
            unsupported(1, (6, 18)).as_deref(),
            Some("a file system of type 0x1 is not known to have id-mapped mounts")
        );
    }
}

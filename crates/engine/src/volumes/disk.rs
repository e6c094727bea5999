//! Volumes with a file system of their own, and sizes.

use std::ffi::OsString;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use images::snapshot::{MIN_DISK_BYTES, is_mounted, make_disk, mount_disk};
use report::{BoxedExplain, Kind as ErrorKind};
use sys::mount::Context;
use sys::{SyscallError, raw};

use super::error::{VolumeFailure, boxed};
use super::options::Kind;
use super::record::Limit;
use super::store::{DATA, MOUNTED, Volume};
use crate::flags::tmpfs::TmpfsOptions;

/// The first project of volumes; those of images' containers begin far below.
pub(super) const FIRST_PROJECT: u32 = 1 << 28;
/// The file that a volume's own file system is in.
const DISK: &str = "disk";

/// Keeps what is made in a directory within so many bytes: by project quota where the file system counts projects, otherwise by a file
/// system in a file, made here and mounted when it is used.
pub(super) fn limit(directory: &Path, project: u32, bytes: u64) -> Result<Limit, images::Error> {
    if let Ok(handle) = std::fs::File::open(directory)
        && sys::quota::limit_project(handle.as_fd(), project, bytes).is_ok()
    {
        return Ok(Limit::Project(project));
    }
    if bytes < MIN_DISK_BYTES {
        return Err(images::Error::refused(
            ErrorKind::InvalidInput,
            format!("a volume of {bytes} bytes is too small for a file system of its own"),
            "give it 16 MiB or more",
        ));
    }
    if !rustix::process::geteuid().is_root() {
        return Err(images::Error::refused(
            ErrorKind::PermissionDenied,
            "the file system counts no projects, and only root can mount another one",
            "leave the size out, or run as root",
        ));
    }
    make_disk(&directory.join(DISK), bytes)?;
    Ok(Limit::Disk)
}

/// Mounts what has to be mounted for a volume to be there. Its lock is held.
pub(super) fn mount(volume: &Volume) -> Result<(), BoxedExplain> {
    let at = volume.directory.join(MOUNTED);
    let name = || volume.name().to_string();
    let failed = |cause| boxed(VolumeFailure::Call { what: "mount", name: name(), cause });
    match (&volume.kind, volume.record.limit) {
        (Kind::Tmpfs(options), _) => match is_mounted(&at) {
            true => Ok(()),
            false => mount_tmpfs(options, &at).map_err(failed),
        },
        (Kind::Plain { .. }, Some(Limit::Disk)) => {
            mount_disk(&volume.directory.join(DISK), &at)
                .map_err(|cause| boxed(VolumeFailure::Size { name: name(), cause: Box::new(cause) }))?;
            // The file system's own root has a directory for what was lost, so it is never empty.
            let data = at.join(DATA);
            match std::fs::create_dir(&data) {
                Ok(()) => std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
                Err(error) => Err(error),
            }
            .map_err(|error| failed(SyscallError::new("mkdir", data.display().to_string(), error)))
        }
        _ => Ok(()),
    }
}

/// Whether [`mount`] has something to do with this volume.
pub(super) fn has_own(volume: &Volume) -> bool {
    matches!(volume.kind, Kind::Tmpfs(_)) || volume.record.limit == Some(Limit::Disk)
}

fn mount_tmpfs(options: &TmpfsOptions, at: &Path) -> Result<(), SyscallError> {
    let context = Context::new("tmpfs")?;
    // The words that are no flags of the mount are the file system's.
    let parameters = options.to_oci();
    for (key, value) in parameters.iter().filter_map(|parameter| parameter.split_once('=')) {
        context.set(key, value)?;
    }
    let flags = [
        (options.read_only, raw::MOUNT_ATTR_RDONLY),
        (!options.suid, raw::MOUNT_ATTR_NOSUID),
        (!options.dev, raw::MOUNT_ATTR_NODEV),
        (!options.exec, raw::MOUNT_ATTR_NOEXEC),
    ];
    let attributes = flags.iter().filter(|(set, _)| *set).fold(0, |all, (_, flag)| all | flag);
    let mounted = context.mount(attributes)?;
    let directory = monitor::exit::open_directory(at)?;
    sys::mount::attach(mounted.as_fd(), directory.as_fd(), "")
}

/// Unmounts the file system of a volume's own, if it has one that is mounted.
pub(super) fn unmount(directory: &Path) -> Result<(), SyscallError> {
    let at = directory.join(MOUNTED);
    // Once for each time that it was mounted, which is one.
    for _ in 0..8 {
        if !is_mounted(&at) {
            break;
        }
        rustix::mount::unmount(&at, rustix::mount::UnmountFlags::DETACH)
            .map_err(|errno| SyscallError::new("umount2", at.display().to_string(), errno))?;
    }
    Ok(())
}

/// Something that somebody else has mounted in a volume's directory: removing the volume would remove its files.
pub(super) fn foreign_mount(directory: &Path) -> Option<PathBuf> {
    let directory = std::fs::canonicalize(directory).ok()?;
    let own = directory.join(MOUNTED);
    let mounts = std::fs::read("/proc/self/mountinfo").ok()?;
    let points =
        mounts.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    points
        .map(|point| PathBuf::from(unescaped(point)))
        .find(|point| point.starts_with(&directory) && *point != own)
}

/// A path of mountinfo: blanks and the like are octal numbers (proc_pid_mountinfo(5)).
fn unescaped(text: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind
            .get(..3)
            .filter(|digits| *first == b'\\' && digits.iter().all(|d| (b'0'..b'8').contains(d)));
        match digits {
            Some(digits) => {
                bytes.push(
                    digits.iter().fold(0u8, |sum, digit| sum.wrapping_mul(8).wrapping_add(digit - b'0')),
                );
                rest = &behind[3..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_mountinfo_are_read() {
        assert_eq!(unescaped(b"/a\\040b\\134c"), "/a b\\c");
        assert_eq!(unescaped(b"/a\\04"), "/a\\04");
    }

    #[test]
    fn what_others_mount_in_a_directory_is_found() {
        assert_eq!(foreign_mount(Path::new("/nonexistent")), None);
        // Whatever this machine is: something is mounted on its root.
        assert!(foreign_mount(Path::new("/")).is_some());
    }
}

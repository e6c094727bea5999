//! Namespaces that live without a process, because a name is bound to them.
//!
//! A held namespace is a bind mount of its nsfs file: `/run/holm/ns/KIND/NAME`, and `/run/netns/NAME` for the
//! network, where `ip netns` and [`holm ip`](https://man7.org/linux/man-pages/man8/ip-netns.8.html) look. [`bind`]
//! makes it, [`release`] takes it away.

use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use report::Kind as Failure;
use rustix::fs::{FlockOperation, flock};
use rustix::mount::{MountPropagationFlags, UnmountFlags};
use sys::{Errno, SyscallError};

use crate::error::Error;
use crate::find;
use crate::kind::{Id, Kind};
use crate::text;

/// Where names of all kinds but `net` are.
pub const DIRECTORY: &str = "/run/holm/ns";
/// Where network namespaces are by ip-netns(8)'s custom.
pub const NET_DIRECTORY: &str = "/run/netns";

/// A name for a namespace: letters, digits and `_.+-`, at most 200 bytes, not beginning with a dot or a dash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Reads a name.
    ///
    /// # Errors
    /// When it is empty, too long, or has other characters.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let fine = |c: char| c.is_ascii_alphanumeric() || "_.+-".contains(c);
        if text.is_empty() || text.len() > 200 || !text.chars().all(fine) || text.starts_with(['.', '-']) {
            return Err(Error::input(
                format!("`{}` is not a name for a namespace", text.escape_debug()),
                "use letters, digits and _.+- and begin with none of .-",
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The file that a held namespace is bound to.
pub fn path(kind: Kind, name: &Name) -> PathBuf {
    directory(kind).join(name.as_str())
}

fn directory(kind: Kind) -> PathBuf {
    match kind {
        Kind::Net => PathBuf::from(NET_DIRECTORY),
        _ => Path::new(DIRECTORY).join(kind.name()),
    }
}

/// A file made to bind a namespace to. If nothing is bound in the end it is removed again.
#[derive(Debug)]
pub struct Reserved {
    path: PathBuf,
    kept: bool,
}

impl Reserved {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// It stays: the namespace is bound.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Claims a name: exactly one of several callers gets it.
///
/// # Errors
/// When the name is taken, or the directory cannot be made or prepared.
pub fn reserve(kind: Kind, name: &Name) -> Result<Reserved, Error> {
    let directory = directory(kind);
    let what = format!("hold the {kind} namespace `{}`", name.as_str());
    let failed = |call: &'static str, path: &Path, error: &std::io::Error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(Errno::IO.raw()));
        let cause = SyscallError::new(call, path.display().to_string(), errno);
        Error::step_with(&what, cause, needs_root(errno))
    };
    prepare(kind).map_err(|cause| {
        let hint = needs_root(cause.errno);
        Error::step_with(&what, cause, hint)
    })?;
    let path = directory.join(name.as_str());
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o444).open(&path) {
        Ok(_) => Ok(Reserved { path, kept: false }),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(Error::Refused {
            what: format!("the name `{}` is taken: {}", name.as_str(), path.display()),
            kind: Failure::AlreadyExists,
            hint: Some(format!("`holm ns release {kind} {}` frees it", name.as_str())),
        }),
        Err(error) => Err(failed("open", &path, &error)),
    }
}

fn needs_root(errno: Errno) -> Option<&'static str> {
    matches!(errno, Errno::PERM | Errno::ACCES)
        .then_some("holding takes root in this mount namespace: the name is a mount")
}

/// Makes the directory of names, and makes it a mount that propagates as its kind needs.
///
/// `/run/netns` is shared, so that a network namespace is also known in mount namespaces made before, and a name that is
/// taken away is gone in all of them, as ip-netns(8) has it. Ours is private: the kernel refuses to bind a mount namespace
/// where that would propagate into the namespace itself (`EINVAL`), because it would then keep itself alive.
///
/// # Errors
/// Those of mkdir(2) and mount(2).
pub fn prepare(kind: Kind) -> Result<(), SyscallError> {
    let (place, flags) = match kind {
        Kind::Net => (NET_DIRECTORY, MountPropagationFlags::SHARED | MountPropagationFlags::REC),
        _ => (DIRECTORY, MountPropagationFlags::PRIVATE),
    };
    let failed = |call, errno: rustix::io::Errno| SyscallError::new(call, place, errno);
    make_directory(kind)?;
    // Two processes that bind the directory to itself at once would stack mounts (Debian bug 949235).
    let lock = File::open(place).map_err(|error| SyscallError::new("openat", place, error))?;
    let _ = flock(&lock, FlockOperation::LockExclusive);
    let propagate = || rustix::mount::mount_change(place, flags);
    match propagate() {
        // It is no mount yet.
        Err(rustix::io::Errno::INVAL) => {
            rustix::mount::mount_bind_recursive(place, place).map_err(|errno| failed("mount", errno))?;
            propagate().map_err(|errno| failed("mount", errno))
        }
        outcome => outcome.map_err(|errno| failed("mount", errno)),
    }
}

/// Makes the directory of names, if it is not there.
///
/// # Errors
/// Those of mkdir(2).
pub fn make_directory(kind: Kind) -> Result<(), SyscallError> {
    let directory = directory(kind);
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&directory)
        .map_err(|error| SyscallError::new("mkdir", directory.display().to_string(), error))
}

/// Binds the namespace at `source` (a file in /proc) to `target`, which exists.
///
/// # Errors
/// Those of mount(2).
pub fn bind(source: &Path, target: &Path) -> Result<(), SyscallError> {
    rustix::mount::mount_bind(source, target).map_err(|errno| {
        SyscallError::new("mount", format!("{}, {}", source.display(), target.display()), errno)
    })
}

/// Holds an existing namespace.
///
/// # Errors
/// When the name is taken or the kernel refuses.
pub fn hold(source: &Path, id: Id, name: &Name) -> Result<PathBuf, Error> {
    let reserved = reserve(id.kind, name)?;
    bind(source, reserved.path()).map_err(|cause| {
        let hint = (cause.errno == Errno::INVAL && id.kind == Kind::Mnt).then_some(
            "a mount namespace can only be held from one that the kernel numbered before it, never from itself: hold it from the \
             host's",
        );
        Error::step_with(format!("hold {id} as `{}`", name.as_str()), cause, hint)
    })?;
    let path = reserved.path().to_path_buf();
    reserved.keep();
    Ok(path)
}

/// Frees a name. The namespace ends with the last process, descriptor or mount that holds it.
///
/// # Errors
/// When there is no such name, or what is there is no namespace.
pub fn release(kind: Kind, name: &Name) -> Result<(), Error> {
    let path = path(kind, name);
    let what = format!("release the {kind} namespace `{}`", name.as_str());
    if !find::exists(&path) {
        return Err(Error::not_found(
            format!("no {kind} namespace is held as `{}`: there is no {}", name.as_str(), path.display()),
            "`holm ns list` shows what is held",
        ));
    }
    let failed = |call, errno: rustix::io::Errno| {
        Error::step(&what, SyscallError::new(call, path.display().to_string(), errno))
    };
    // A name that is not (or no longer) a mount is only a file; one that is something else is left alone.
    let mounted = text::read(Path::new("/proc/self/mountinfo")).unwrap_or_default();
    let bound = text::namespace_mounts(&mounted).into_iter().any(|(_, at)| at == path);
    if bound {
        rustix::mount::unmount(&path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
            .map_err(|errno| failed("umount2", errno))?;
    } else if !std::fs::symlink_metadata(&path).is_ok_and(|it| it.is_file() && it.len() == 0) {
        return Err(Error::Refused {
            what: format!("{} is neither a namespace nor an empty file", path.display()),
            kind: Failure::StateConflict,
            hint: Some("holm did not make it; look at it and remove it by hand".to_owned()),
        });
    }
    rustix::fs::unlink(&path).map_err(|errno| failed("unlink", errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_lead_elsewhere() {
        for text in ["blue", "a.b", "web_1", "x+y-z"] {
            assert_eq!(Name::parse(text).unwrap().as_str(), text);
        }
        for text in ["", ".", "..", "a/b", "/a", "-x", ".hidden", "a b", "ü", &"x".repeat(201)] {
            assert!(Name::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn network_namespaces_lie_where_ip_looks() {
        let name = Name::parse("blue").unwrap();
        assert_eq!(path(Kind::Net, &name), Path::new("/run/netns/blue"));
        assert_eq!(path(Kind::Mnt, &name), Path::new("/run/holm/ns/mnt/blue"));
    }
}

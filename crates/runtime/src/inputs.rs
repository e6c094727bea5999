//! What is launched: everything that the specification leaves to the caller, as plain data.

use std::fmt;
use std::path::PathBuf;

use cgroups::Place;
use report::{Explain, Kind};
use spec::{Spec, Valid};

/// A container to launch.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Its id.
    pub id: ContainerId,
    /// What it is.
    pub spec: Valid<Spec>,
    /// The directory that relative paths of the specification start from, absolute.
    pub bundle: PathBuf,
    /// Where its root comes from.
    pub root: Root,
    /// The root's files belong to container ids of the same number, whatever these are on the host: an id-mapped mount
    /// (Linux 5.12). Only with a user namespace of its own.
    pub idmap_root: bool,
    /// Files with a content of the caller's making, mounted over what the root has there.
    pub files: Vec<File>,
    /// Bind mounts that show only a directory below their source.
    pub parts: Vec<Part>,
    /// Make the working directory if it is missing.
    pub make_cwd: bool,
    /// What its first process reads from and writes to.
    pub stdio: Stdio,
    /// Where its cgroup goes.
    pub cgroup: Place,
    /// The unit of systemd that its cgroup is; `cgroup` is then its [`crate::unit::Unit::place`].
    pub unit: Option<crate::unit::Unit>,
    /// A reaper of ours stays as pid 1 and the program runs as its child.
    pub init: bool,
    /// The container dies with this process: for launches that nothing else looks after.
    pub die_with_parent: bool,
    /// The container is given its groups on v1 that have no controllers, where it can write to them: systemd sorts its services there. The
    /// specification has no such thing on v1 (config-linux.md, "Cgroup ownership"), for the sake of those that have.
    pub delegate_v1: bool,
    /// Keep the caller's session keyring.
    pub keep_keyring: bool,
    /// How many descriptors from 3 on the program inherits from the caller.
    pub preserve_fds: u32,
    /// What becomes of it when this process ends.
    pub life: Life,
}

/// A directory below the source of a bind mount, which is shown in the source's place. The way to it is followed below the source where it is mounted,
/// so links on it lead nowhere else. For launches without rights over the host's mounts: others can name a source by its descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where the mount is in the container.
    pub destination: String,
    /// The directory, below the source.
    pub path: PathBuf,
}

/// What becomes of a container when the process that launched it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    /// It is that process's: whatever is left of it then, [`crate::state::StateRoot::sweep`] takes away.
    Attended,
    /// It stays, with its record, until [`crate::Container::delete`].
    Kept {
        /// The configuration as it was read, for [`crate::Container::spec`].
        config: Vec<u8>,
        /// Everything is made, and the program waits for [`crate::Container::start`].
        wait: bool,
        /// There is a directory with a socket for what the program says of itself: [`crate::state::notify_directory`].
        notify: bool,
    },
}

impl Launch {
    /// Where hooks of the creation and mounts find the root: at its path of the host, in the container's mount namespace. None where it lies over
    /// the host's root until that is left, because nobody looks, or because the path may not be reached or would tell the host.
    pub(crate) fn place_of_root(&self) -> Option<&std::path::Path> {
        use spec::{NamespaceType, Propagation};
        let (hooks, linux) = (&self.spec.hooks, &self.spec.linux);
        let looked_for = [&hooks.prestart, &hooks.create_runtime, &hooks.create_container];
        // A mount may be made of what an earlier one brought into the root.
        let is_source = |path: &PathBuf| {
            let sources = self.spec.mounts.iter().filter(|mount| !mount.source.is_empty());
            sources.map(|mount| self.bundle.join(&mount.source)).any(|source| source.starts_with(path))
        };
        let told = matches!(linux.rootfs_propagation, Some(Propagation::Shared | Propagation::Rshared));
        match &self.root {
            Root::Directory { path }
                if (looked_for.iter().any(|hooks| !hooks.is_empty()) || is_source(path))
                    && !told
                    && self.files.is_empty()
                    && linux.namespace(NamespaceType::User).is_none()
                    && linux.namespace(NamespaceType::Mount).is_some() =>
            {
                Some(path)
            }
            _ => None,
        }
    }

    /// Whether the program waits to be started.
    pub fn waits(&self) -> bool {
        matches!(self.life, Life::Kept { wait: true, .. })
    }

    /// Whether the program has a socket to say something of itself.
    pub(crate) fn notifies(&self) -> bool {
        matches!(self.life, Life::Kept { notify: true, .. })
    }
}

/// Where the root filesystem comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// A directory, used as it is.
    Directory {
        /// The directory, absolute.
        path: PathBuf,
    },
    /// The same, entered with chroot(2) where the host's own root is one that pivot_root(2) cannot leave, such as an initramfs.
    Chroot {
        /// The directory, absolute.
        path: PathBuf,
        /// Where procfs and sysfs are mounted on the host, those above before those below: what could be seen through them is let go.
        kernels: Vec<PathBuf>,
    },
    /// A directory that stays as it is below a layer that takes the changes.
    Overlay {
        /// The directory, absolute.
        lower: PathBuf,
        /// Where changes go.
        upper: Upper,
    },
    /// Directories that stay as they are, one over the other, below a layer that takes the changes: an image's layers.
    Layers {
        /// The directories, absolute, the topmost first.
        lower: Vec<PathBuf>,
        /// Where changes go.
        upper: Upper,
    },
    /// A new directory in memory with entries of another one, each below a layer in memory of its own. For ordinary users and the
    /// root of the host: an overlay over a directory with mounts in it is refused in a user namespace, where those are locked
    /// (mount_namespaces(7)).
    Assembled {
        /// The directory that the entries are from, absolute.
        from: PathBuf,
        /// What is in the new directory.
        entries: Vec<Entry>,
        /// The most bytes of all layers together.
        size_bytes: Option<u64>,
    },
}

/// An entry of an assembled root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A directory with its content, below a layer of its own. Nothing may be mounted in it.
    Layered(String),
    /// An empty directory.
    Empty(String),
    /// A symlink and its target.
    Link(String, PathBuf),
}

/// Where the changes to an overlay go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upper {
    /// To memory, and away with the container.
    Tmpfs {
        /// The most bytes; `None` is the kernel's default, half of the memory.
        size_bytes: Option<u64>,
    },
    /// To the directory `upper` in this one; `work` beside it is the overlay's own. Both are made if missing.
    Directory(PathBuf),
}

/// A file with a content of the caller's making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where, in the container, absolute.
    pub destination: PathBuf,
    /// What is in it.
    pub content: Vec<u8>,
    /// Its permission bits.
    pub mode: u32,
}

/// What the first process reads from and writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdio {
    /// The caller's descriptors 0 to 2.
    Inherit,
    /// A new pseudoterminal of the container's own; the caller gets its other end.
    Terminal {
        /// Rows and columns, where they are known.
        size: Option<(u16, u16)>,
    },
    /// The same, with line ends as the program writes them: for a caller that copies what is written to a pipe, a file, or a terminal
    /// of its own that adds carriage returns itself.
    PlainTerminal {
        /// Rows and columns, where they are known.
        size: Option<(u16, u16)>,
    },
}

impl Stdio {
    /// Whether there is a terminal, and its size.
    pub(crate) fn terminal(self) -> Option<Option<(u16, u16)>> {
        match self {
            Self::Inherit => None,
            Self::Terminal { size } | Self::PlainTerminal { size } => Some(size),
        }
    }
}

/// A container's id: 1 to 1024 letters, digits and `_+-.`, never `.` or `..` (runc's rule).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(String);

impl ContainerId {
    /// Parses an id.
    ///
    /// # Errors
    /// [`BadId`] when it breaks the rule.
    pub fn parse(text: &str) -> Result<Self, BadId> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
        let good = (1..=1024).contains(&text.len()) && text.bytes().all(plain) && text != "." && text != "..";
        if good { Ok(Self(text.to_owned())) } else { Err(BadId(text.to_owned())) }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Not a container's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no container id: an id is 1 to 1024 letters, digits and `_+-.`, and not `.` or `..`", .0.escape_debug())]
pub struct BadId(pub String);

impl Explain for BadId {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_names_of_files_that_lead_nowhere() {
        for good in ["a", "web-1", "A_b+c.d", "...", &"x".repeat(1024)] {
            assert!(ContainerId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "a\0", "ä", "\n", &"x".repeat(1025)] {
            assert!(ContainerId::parse(bad).is_err(), "{bad:?}");
        }
    }
}

//! What a launch needs, as plain data.
//!
//! The rules make it, and the runtime takes it. Nothing here acts.

use std::path::PathBuf;

use spec::Spec;

/// A container, decided in every respect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The container's id.
    pub id: String,
    /// The OCI configuration.
    pub spec: Spec,
    /// The root file system.
    pub root: Root,
    /// Whether the root's files get the owners of the container's user namespace, by an id-mapped mount.
    pub root_is_idmapped: bool,
    /// Files that are laid over those of the root.
    pub files: Vec<File>,
    /// The standard streams.
    pub stdio: Stdio,
    /// The directory relative paths of the configuration are relative to.
    pub bundle: PathBuf,
    /// Whether a reaper of ours is the first process of the container.
    pub init: bool,
}

/// Where the root file system comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// A directory, used as it is; whether it is read-only is in the configuration.
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// A directory below a layer that takes the changes.
    Overlay {
        /// The directory.
        lower: PathBuf,
        /// Where changes go.
        upper: Upper,
    },
}

/// Where the changes of an overlay go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upper {
    /// To memory, gone with the container.
    Tmpfs {
        /// The most they may take; without it half of the memory.
        size_bytes: Option<u64>,
    },
    /// To `upper` in this directory, beside `work`.
    Directory(PathBuf),
}

/// A file laid over one of the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where, in the container.
    pub destination: PathBuf,
    /// What is in it.
    pub content: Vec<u8>,
    /// Its permission bits.
    pub mode: u32,
}

/// The standard streams of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdio {
    /// Those of this process.
    Inherit,
    /// A new terminal, whose other end the runtime hands back.
    Terminal {
        /// Rows and columns, where they are known.
        size: Option<(u16, u16)>,
    },
}

//! What can go wrong with a volume.

use std::path::PathBuf;

use report::{BoxedExplain, Explain, Hint, Kind};
use sys::SyscallError;

/// Something could not be done to a volume.
#[derive(Debug, thiserror::Error)]
pub enum VolumeFailure {
    /// There is none of this name.
    #[error("there is no volume `{}`", .0.escape_debug())]
    NotFound(String),
    /// Containers use it.
    #[error("cannot remove volume `{name}`: {} it", used_by(by))]
    InUse {
        /// The volume.
        name: String,
        /// The containers, by name.
        by: Vec<String>,
    },
    /// One of this name is there, and is another one.
    #[error("there is a volume `{name}` already, with other options")]
    Exists {
        /// The volume.
        name: String,
    },
    /// Another process works on it and does not stop.
    #[error("volume `{0}` is being worked on by another process")]
    Busy(String),
    /// What is kept of it cannot be read.
    #[error("the record of volume `{name}` cannot be read: {why}")]
    Damaged {
        /// The volume.
        name: String,
        /// Why.
        why: String,
    },
    /// Something is mounted in it that is not ours.
    #[error("cannot remove volume `{name}`: something is mounted on {}", at.display())]
    Mounted {
        /// The volume.
        name: String,
        /// Where.
        at: PathBuf,
    },
    /// An option that is none.
    #[error("--opt `{}`: {problem}", given.escape_debug())]
    BadOption {
        /// As it was given.
        given: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It has no such directory.
    #[error("volume `{name}` has no `{}`", path.display())]
    NoSubpath {
        /// The volume.
        name: String,
        /// The directory.
        path: PathBuf,
        /// What failed.
        #[source]
        cause: SyscallError,
    },
    /// What the root has at the destination could not be copied.
    #[error("fill volume `{name}` with what the root has at {}", at.display())]
    Fill {
        /// The volume.
        name: String,
        /// Where in the container.
        at: PathBuf,
        /// What failed.
        #[source]
        cause: SyscallError,
    },
    /// A file or call of ours.
    #[error("{what} volume `{name}`")]
    Call {
        /// What was being done.
        what: &'static str,
        /// The volume.
        name: String,
        /// What failed.
        #[source]
        cause: SyscallError,
    },
    /// Something that is not about one volume.
    #[error("keep volumes in {}", path.display())]
    Place {
        /// The directory.
        path: PathBuf,
        /// What failed.
        #[source]
        cause: SyscallError,
    },
    /// A size could not be had.
    #[error("limit the size of volume `{name}`")]
    Size {
        /// The volume.
        name: String,
        /// Why not.
        cause: Box<images::Error>,
    },
}

fn used_by(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(5).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > 5 { format!(" and {} more", names.len() - 5) } else { String::new() };
    match names.len() {
        1 => format!("container {} uses", shown[0]),
        _ => format!("containers {}{more} use", shown.join(", ")),
    }
}

impl Explain for VolumeFailure {
    fn below(&self) -> Option<&dyn Explain> {
        match self {
            Self::NoSubpath { cause, .. }
            | Self::Fill { cause, .. }
            | Self::Call { cause, .. }
            | Self::Place { cause, .. } => Some(cause),
            Self::Size { cause, .. } => Some(&**cause),
            _ => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::NotFound(_) => Kind::NotFound,
            Self::InUse { .. } | Self::Mounted { .. } => Kind::StateConflict,
            Self::Exists { .. } => Kind::AlreadyExists,
            Self::Busy(_) => Kind::Busy,
            Self::Damaged { .. } => Kind::Io,
            Self::BadOption { .. } => Kind::InvalidInput,
            Self::NoSubpath { cause, .. }
            | Self::Fill { cause, .. }
            | Self::Call { cause, .. }
            | Self::Place { cause, .. } => cause.kind(),
            Self::Size { cause, .. } => cause.kind(),
        }
    }

    fn hint(&self) -> Option<Hint> {
        let hint = match self {
            Self::NotFound(_) => "`holm volume list` lists them",
            Self::InUse { .. } => "remove the containers first: holm rm; a running one is stopped first",
            Self::Exists { .. } => {
                "`holm volume inspect` tells which; choose another name, or remove that one first"
            }
            Self::Busy(_) => "try again",
            Self::Damaged { .. } => {
                "its files are in the directory beside; `holm volume remove` takes it away with them"
            }
            Self::Mounted { .. } => "unmount that first, so that nothing of it is removed",
            Self::BadOption { .. } => {
                "there are size=BYTES; type=tmpfs with o=size=…,mode=…,uid=…,gid=…; type=none with o=bind and device=DIRECTORY"
            }
            Self::NoSubpath { .. } => "make it first, in a container that has the whole volume",
            Self::Fill { .. } => "with `nocopy` (volume-nocopy) it begins empty",
            _ => return None,
        };
        Some(Hint::new(hint))
    }
}

pub(super) fn boxed(failure: VolumeFailure) -> BoxedExplain {
    Box::new(failure)
}

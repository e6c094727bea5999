//! What can go wrong with a container that has a definition.

use report::{Explain, Hint, Kind};
use sys::SyscallError;

/// Something could not be done to a container.
#[derive(Debug, thiserror::Error)]
pub enum ContainerFailure {
    /// Nothing is called that.
    #[error("there is no container `{}`", .0.escape_debug())]
    NotFound(String),
    /// The beginning of an id is that of several.
    #[error("`{text}` is the beginning of {count} ids")]
    Ambiguous {
        /// The beginning.
        text: String,
        /// How many.
        count: usize,
    },
    /// A name belongs to another container.
    #[error("the name `{name}` belongs to container {owner}")]
    NameTaken {
        /// The name.
        name: String,
        /// The other's id, shortened.
        owner: String,
    },
    /// It is in a state in which that cannot be done.
    #[error("cannot {verb} container `{name}`: it is {state}")]
    Conflict {
        /// What was asked for.
        verb: &'static str,
        /// The container.
        name: String,
        /// What it is instead.
        state: String,
        /// What to do.
        advice: &'static str,
    },
    /// Another process works on it and does not stop.
    #[error("container `{0}` is being worked on by another process")]
    Busy(String),
    /// What is kept of it cannot be read.
    #[error("the definition of container {id} cannot be read: {why}")]
    Damaged {
        /// The id.
        id: String,
        /// Why.
        why: String,
    },
    /// A file or call of ours.
    #[error("{what} container `{name}`")]
    Call {
        /// What was being done.
        what: &'static str,
        /// The container.
        name: String,
        /// What failed.
        #[source]
        cause: SyscallError,
    },
    /// Something that is not about one container.
    #[error("keep containers in {}", path.display())]
    Place {
        /// The directory.
        path: std::path::PathBuf,
        /// What failed.
        #[source]
        cause: SyscallError,
    },
}

impl Explain for ContainerFailure {
    fn below(&self) -> Option<&dyn Explain> {
        match self {
            Self::Call { cause, .. } | Self::Place { cause, .. } => Some(cause),
            _ => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::NotFound(_) => Kind::NotFound,
            Self::Ambiguous { .. } => Kind::InvalidInput,
            Self::NameTaken { .. } => Kind::AlreadyExists,
            Self::Conflict { .. } => Kind::StateConflict,
            Self::Busy(_) => Kind::Busy,
            Self::Damaged { .. } => Kind::Io,
            Self::Call { cause, .. } | Self::Place { cause, .. } => cause.kind(),
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::NotFound(_) => Some(Hint::new("`holm ps --all` lists containers with their names and ids")),
            Self::Ambiguous { .. } => Some(Hint::new("give more of the id, or the name")),
            Self::NameTaken { .. } => {
                Some(Hint::new("choose another name, or take that one away first: holm rm, holm rename"))
            }
            Self::Conflict { advice, .. } if !advice.is_empty() => Some(Hint::new(*advice)),
            Self::Damaged { .. } => Some(Hint::new("`holm system check` tells more and mends what it can")),
            _ => None,
        }
    }
}

//! What can go wrong with images.

use report::{Explain, Hint, Kind};
use sys::SyscallError;

use crate::registry::RegistryError;

/// Something about an image failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A step that the kernel refused.
    #[error("{what}")]
    Step {
        /// What was tried, as a phrase that fits after "cannot".
        what: String,
        /// What failed.
        #[source]
        cause: SyscallError,
    },
    /// A document, a name or an archive is not what it should be.
    #[error("{what} is not usable: {problem}")]
    Malformed {
        /// Which one.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The content of a blob is not what its name says.
    #[error("{what} does not have the digest {expected}: it has {found}")]
    DigestMismatch {
        /// Which one.
        what: String,
        /// What was announced.
        expected: String,
        /// What came.
        found: String,
    },
    /// A blob is longer or shorter than announced.
    #[error("{what} does not have the announced size of {expected} bytes: it has {found}")]
    SizeMismatch {
        /// Which one.
        what: String,
        /// What was announced.
        expected: u64,
        /// How much came, so far.
        found: u64,
    },
    /// A limit of holm's own was passed.
    #[error("{what} exceeds the limit of {limit}")]
    Limit {
        /// What is too large.
        what: String,
        /// The limit, with its unit.
        limit: String,
        /// The flag that changes it, where there is one.
        flag: Option<&'static str>,
    },
    /// Something that is not there.
    #[error("there is no {what}")]
    NotFound {
        /// What, with its kind.
        what: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The request is wrong in itself, or against what is there; nothing was changed.
    #[error("{what}")]
    Refused {
        /// What is wrong.
        what: String,
        /// What sort of failure that is.
        kind: Kind,
        /// What to do.
        hint: Option<String>,
    },
    /// The store's table of contents could not be read or written.
    #[error("{doing} in the image store's database")]
    Database {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        #[source]
        cause: rusqlite::Error,
    },
    /// A registry, or the way to it.
    #[error(transparent)]
    Registry(Box<RegistryError>),
    /// An error of a part above or beside, with what was being done.
    #[error("{what}")]
    While {
        /// What was being done.
        what: String,
        /// What failed.
        #[source]
        cause: Box<Error>,
    },
}

impl Error {
    /// A step that the kernel refused.
    pub fn step(what: impl Into<String>, cause: SyscallError) -> Self {
        Self::Step { what: what.into(), cause }
    }

    /// A call of the standard library or of rustix that failed.
    pub fn call(what: impl Into<String>, call: &'static str, errno: impl Into<sys::Errno>) -> Self {
        Self::Step { what: what.into(), cause: SyscallError::new(call, String::new(), errno) }
    }

    /// Something that is not what it should be.
    pub fn malformed(what: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Malformed { what: what.into(), problem: problem.into() }
    }

    /// A request that is wrong.
    pub fn refused(kind: Kind, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused { what: what.into(), kind, hint: Some(hint.into()) }
    }

    /// Something that is not there.
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound { what: what.into(), hint: None }
    }

    /// The same error, below what was being done.
    pub fn during(self, what: impl Into<String>) -> Self {
        Self::While { what: what.into(), cause: Box::new(self) }
    }
}

impl Explain for Error {
    fn below(&self) -> Option<&dyn Explain> {
        match self {
            Self::Step { cause, .. } => Some(cause),
            Self::While { cause, .. } => Some(cause.as_ref()),
            Self::Registry(cause) => cause.below(),
            _ => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Step { cause, .. } => cause.kind(),
            Self::While { cause, .. } => cause.kind(),
            Self::Registry(cause) => cause.kind(),
            Self::Malformed { .. }
            | Self::DigestMismatch { .. }
            | Self::SizeMismatch { .. }
            | Self::Limit { .. } => Kind::InvalidInput,
            Self::NotFound { .. } => Kind::NotFound,
            Self::Refused { kind, .. } => *kind,
            Self::Database { cause, .. } => match cause.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => Kind::Busy,
                Some(rusqlite::ErrorCode::DiskFull | rusqlite::ErrorCode::OutOfMemory) => {
                    Kind::ResourceExhausted
                }
                Some(rusqlite::ErrorCode::PermissionDenied | rusqlite::ErrorCode::ReadOnly) => {
                    Kind::PermissionDenied
                }
                _ => Kind::Io,
            },
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Limit { flag: Some(flag), .. } => {
                Some(Hint::new(format!("`{flag}` raises it, if the image is to be trusted")))
            }
            Self::NotFound { hint, .. } | Self::Refused { hint, .. } => hint.clone().map(Hint::new),
            Self::Step { cause, .. } if matches!(cause.errno, sys::Errno::NOSPC | sys::Errno::DQUOT) => {
                Some(Hint::new(
                    "the disk of the image store is full; nothing was lost: `holm image prune` frees what nobody uses",
                ))
            }
            Self::DigestMismatch { .. } | Self::SizeMismatch { .. } => {
                Some(Hint::new("the source or the connection is broken, or somebody changed the content"))
            }
            Self::Database { cause, .. }
                if matches!(
                    cause.sqlite_error_code(),
                    Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt)
                ) =>
            {
                Some(Hint::new("`holm image verify --repair` makes it anew from the images themselves"))
            }
            Self::Registry(cause) => cause.hint(),
            _ => None,
        }
    }
}

impl From<RegistryError> for Error {
    fn from(cause: RegistryError) -> Self {
        Self::Registry(Box::new(cause))
    }
}

impl From<SyscallError> for Error {
    fn from(cause: SyscallError) -> Self {
        Self::Step { what: "use the image store".to_owned(), cause }
    }
}

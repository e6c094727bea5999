//! What can go wrong with a network, in words.

use std::path::{Path, PathBuf};

use report::{Explain, Hint, Kind};
use sys::SyscallError;

/// A failure about networks.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something that was asked for cannot be had; nothing was changed.
    #[error("{what}: {problem}")]
    Refused {
        /// What was asked for: `network web`, `--ip 10.0.0.1`.
        what: String,
        /// Why not.
        problem: String,
        /// What to do; may be empty.
        advice: String,
        /// What sort of failure it is.
        kind: Kind,
    },
    /// A file or directory of holm's own cannot be used.
    #[error("use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What failed.
        #[source]
        cause: SyscallError,
    },
    /// A file of holm's own does not say what it should.
    #[error("{} is not what holm wrote: {problem}", path.display())]
    Garbled {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The kernel refused a part of the work.
    #[error("{doing}")]
    Kernel {
        /// What was done: "make the bridge holm0".
        doing: String,
        /// What it said.
        #[source]
        cause: netlink::Error,
    },
    /// A system call failed.
    #[error("{doing}")]
    Call {
        /// What was done.
        doing: String,
        /// The call.
        #[source]
        cause: SyscallError,
    },
    /// The names of a container could not be published.
    #[error("let containers find each other by name")]
    Names(#[source] dns::Error),
    /// A limit on traffic could not be set.
    #[error("limit a container's traffic")]
    Limit(#[source] netlink::tc::LimitFailed),
}

impl Explain for Error {
    fn below(&self) -> Option<&dyn Explain> {
        match self {
            Self::Refused { .. } | Self::Garbled { .. } => None,
            Self::File { cause, .. } | Self::Call { cause, .. } => Some(cause),
            Self::Kernel { cause, .. } => Some(cause),
            Self::Names(cause) => Some(cause),
            Self::Limit(cause) => Some(cause),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Refused { kind, .. } => *kind,
            Self::Garbled { .. } => Kind::Io,
            Self::File { cause, .. } | Self::Call { cause, .. } => cause.kind(),
            Self::Kernel { cause, .. } => cause.kind(),
            Self::Names(cause) => cause.kind(),
            Self::Limit(cause) => cause.kind(),
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Refused { advice, .. } if !advice.is_empty() => Some(Hint::new(advice.as_str())),
            Self::Garbled { path, .. } => Some(Hint::new(format!(
                "look at {}; a network can be made again after it is removed",
                path.display()
            ))),
            Self::Kernel { cause, .. } if cause.errno() == Some(sys::Errno::PERM) => {
                Some(Hint::new("links and rules are changed by root, with CAP_NET_ADMIN"))
            }
            _ => None,
        }
    }
}

impl Error {
    pub(crate) fn refused(
        what: impl Into<String>,
        problem: impl Into<String>,
        advice: impl Into<String>,
        kind: Kind,
    ) -> Self {
        Self::Refused { what: what.into(), problem: problem.into(), advice: advice.into(), kind }
    }

    /// A request that is wrong in itself.
    pub(crate) fn invalid(
        what: impl Into<String>,
        problem: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self::refused(what, problem, advice, Kind::InvalidInput)
    }

    pub(crate) fn file(path: &Path, call: &'static str, errno: impl Into<sys::Errno>) -> Self {
        let cause = SyscallError::new(call, path.display().to_string(), errno);
        Self::File { path: path.to_owned(), cause }
    }

    pub(crate) fn kernel(doing: impl Into<String>, cause: netlink::Error) -> Self {
        Self::Kernel { doing: doing.into(), cause }
    }

    pub(crate) fn call(doing: impl Into<String>, cause: SyscallError) -> Self {
        Self::Call { doing: doing.into(), cause }
    }
}

//! What can go wrong with namespaces.

use report::{Explain, Hint, Kind};
use sys::{Errno, SyscallError};

/// Something about namespaces failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A step was refused by the kernel.
    #[error("{what}")]
    Step {
        /// What was tried, as a phrase that fits after "cannot".
        what: String,
        /// What failed.
        #[source]
        cause: SyscallError,
        /// What to do.
        hint: Option<&'static str>,
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
    /// The program could not be executed.
    #[error("execute `{program}`")]
    Program {
        /// Its name.
        program: String,
        /// What failed.
        #[source]
        cause: SyscallError,
    },
}

impl Error {
    /// A step that was refused.
    pub fn step(what: impl Into<String>, cause: SyscallError) -> Self {
        Self::Step { what: what.into(), cause, hint: None }
    }

    /// The same with a word about what to do.
    pub fn step_with(what: impl Into<String>, cause: SyscallError, hint: Option<&'static str>) -> Self {
        Self::Step { what: what.into(), cause, hint }
    }

    /// A request that is wrong.
    pub fn input(what: impl Into<String>, hint: &str) -> Self {
        Self::Refused { what: what.into(), kind: Kind::InvalidInput, hint: Some(hint.to_owned()) }
    }

    /// Something that is not there.
    pub fn not_found(what: impl Into<String>, hint: &str) -> Self {
        Self::Refused { what: what.into(), kind: Kind::NotFound, hint: Some(hint.to_owned()) }
    }
}

impl Explain for Error {
    fn below(&self) -> Option<&dyn Explain> {
        match self {
            Self::Step { cause, .. } | Self::Program { cause, .. } => Some(cause),
            Self::Refused { .. } => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Step { cause, .. } => cause.kind(),
            Self::Refused { kind, .. } => *kind,
            Self::Program { cause, .. } if matches!(cause.errno, Errno::NOENT | Errno::NOTDIR) => {
                Kind::CommandNotFound
            }
            Self::Program { .. } => Kind::CommandNotExecutable,
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Step { hint: Some(hint), .. } => Some(Hint::new(*hint)),
            Self::Refused { hint, .. } => hint.as_ref().map(Hint::new),
            Self::Program { cause, .. } if cause.errno == Errno::NOENT => Some(Hint::new(
                "the program, or the interpreter that it names, is not there in the mount namespace and root entered",
            )),
            Self::Step { .. } | Self::Program { .. } => None,
        }
    }
}

/// Why the kernel does not make namespaces.
pub(crate) fn hint_on_make(errno: Errno) -> Option<&'static str> {
    match errno {
        Errno::PERM => Some("without root, make a user namespace with it: -U, or -r to be root in it"),
        Errno::NOSPC | Errno::USERS => {
            Some("a limit in /proc/sys/user is reached, or they are nested 32 deep")
        }
        Errno::INVAL => Some("this kernel may lack the kind: see /proc/self/ns"),
        _ => None,
    }
}

/// Why the kernel does not let a process in.
pub(crate) fn hint_on_join(errno: Errno) -> Option<&'static str> {
    match errno {
        Errno::PERM => Some(
            "that takes CAP_SYS_ADMIN in the user namespace that owns it; enter that one as well (-U) if it is yours",
        ),
        Errno::INVAL => Some("a user namespace that this process is in already, or above, cannot be entered"),
        _ => None,
    }
}

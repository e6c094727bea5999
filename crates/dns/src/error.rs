//! What can go wrong around the server.

use report::{Explain, Hint, Kind};
use sys::{Errno, SyscallError};

/// Names could not be published, or the server not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name of a network or a container that cannot be a file.
    #[error("{what} `{name}` cannot have names")]
    Name {
        /// `network` or `container`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A file of the directory.
    #[error("{action} {path}")]
    File {
        /// What was done to it.
        action: &'static str,
        /// Its path.
        path: String,
        /// Why not.
        #[source]
        cause: SyscallError,
    },
    /// The server could not be started.
    #[error("start the name server")]
    Start(#[source] SyscallError),
    /// The server did not say that it serves.
    #[error("wait for the name server: {why}")]
    NotReady {
        /// What is known.
        why: String,
    },
    /// Port 53 of a network could not be had.
    #[error("serve names to network `{network}` on {address}")]
    Bind {
        /// The network.
        network: String,
        /// The address and port.
        address: String,
        /// Why not.
        #[source]
        cause: SyscallError,
    },
    /// The server said that it cannot serve a network.
    #[error("{message}")]
    Refused {
        /// Its words.
        message: String,
        /// Whether another program has the port.
        busy: bool,
    },
    /// The server itself.
    #[error("serve names")]
    Serve(#[source] SyscallError),
}

impl Explain for Error {
    fn below(&self) -> Option<&dyn Explain> {
        match self {
            Self::File { cause, .. } | Self::Start(cause) | Self::Bind { cause, .. } | Self::Serve(cause) => {
                Some(cause)
            }
            Self::Name { .. } | Self::NotReady { .. } | Self::Refused { .. } => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Name { .. } => Kind::InvalidInput,
            Self::NotReady { .. } => Kind::Io,
            Self::Refused { busy, .. } => {
                if *busy {
                    Kind::Busy
                } else {
                    Kind::Io
                }
            }
            Self::File { cause, .. } | Self::Start(cause) | Self::Bind { cause, .. } | Self::Serve(cause) => {
                cause.kind()
            }
        }
    }

    fn hint(&self) -> Option<Hint> {
        let busy = match self {
            Self::Bind { cause, .. } => cause.errno == Errno::ADDRINUSE,
            Self::Refused { busy, .. } => *busy,
            _ => false,
        };
        busy.then(|| {
            Hint::new(
                "another DNS server has port 53 of every address (look with `ss -lnp sport = :53`); \
                 let it listen on the host's own addresses only",
            )
        })
    }
}

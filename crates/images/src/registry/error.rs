//! What goes wrong with registries.

use std::time::Duration;

use report::{Explain, Hint, Kind};

use super::conf::{BadConf, Blocked};
use super::short::{LockFailed, Unresolved};
use crate::credentials::CredentialError;

/// A registry, or the way to it, failed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No connection, or one that broke again and again.
    #[error("{doing}: {host}: {problem}")]
    Unreachable {
        /// What was being done.
        doing: String,
        /// Who was asked.
        host: String,
        /// What happened.
        problem: String,
        /// Whether trying again may help.
        passing: bool,
    },
    /// The peer did not prove who it is, or speaks no TLS.
    #[error("{doing}: {host}: {problem}")]
    Tls {
        /// What was being done.
        doing: String,
        /// Who was asked.
        host: String,
        /// What happened.
        problem: String,
        /// Whether what answered is a plain HTTP server.
        plain: bool,
    },
    /// An answer that says no.
    #[error("{doing}: {host} answers {status}{}", words(message))]
    Status {
        /// What was being done.
        doing: String,
        /// Who was asked.
        host: String,
        /// The status of HTTP.
        status: u16,
        /// The registry's own words.
        message: String,
    },
    /// The repository, the tag or the blob is not there.
    #[error("{doing}: {host} does not have it{}", words(message))]
    Missing {
        /// What was being done.
        doing: String,
        /// Who was asked.
        host: String,
        /// The registry's own words.
        message: String,
    },
    /// The registry does not let one.
    #[error("{doing}: {host} refuses{}", words(message))]
    Denied {
        /// What was being done.
        doing: String,
        /// Who was asked.
        host: String,
        /// The registry's own words.
        message: String,
        /// Whether credentials were sent.
        known: bool,
        /// What is wrong besides.
        note: Option<String>,
    },
    /// The registry wants to be left alone.
    #[error("{doing}: {host} takes no more requests now{}", wait.map_or(String::new(), |wait| format!(", try again in {} s", wait.as_secs())))]
    Busy {
        /// What was being done.
        doing: String,
        /// Who was asked.
        host: String,
        /// How long it wants to be left alone.
        wait: Option<Duration>,
    },
    /// An answer that makes no sense.
    #[error("{doing}: {host}: {problem}")]
    BadAnswer {
        /// What was being done.
        doing: String,
        /// Who was asked.
        host: String,
        /// What makes no sense.
        problem: String,
    },
    /// A certificate, key or proxy setting that cannot be used.
    #[error("{what}: {problem}")]
    Setting {
        /// Which one.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Somebody pressed Ctrl-C, or another part failed first.
    #[error("{doing}: stopped")]
    Stopped {
        /// What was being done.
        doing: String,
    },
    /// The configuration of registries.
    #[error("the configuration of registries")]
    Conf(#[from] BadConf),
    /// The configuration forbids it.
    #[error(transparent)]
    Blocked(#[from] Blocked),
    /// A short name.
    #[error(transparent)]
    Short(#[from] Unresolved),
    /// The file of short names.
    #[error(transparent)]
    Lock(#[from] LockFailed),
    /// Credentials.
    #[error("the credentials of {host}")]
    Credentials {
        /// The registry.
        host: String,
        /// What failed.
        #[source]
        cause: CredentialError,
    },
}

fn words(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

impl RegistryError {
    /// Whether another place that has the same may still serve: not if the caller did something wrong here.
    pub fn another_may_help(&self) -> bool {
        !matches!(
            self,
            Self::Stopped { .. }
                | Self::Setting { .. }
                | Self::Conf(_)
                | Self::Blocked(_)
                | Self::Short(_)
                | Self::Lock(_)
        )
    }

    /// Whether the registry said that it does not have it.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }
}

impl Explain for RegistryError {
    fn below(&self) -> Option<&dyn Explain> {
        match self {
            Self::Conf(cause) => Some(cause),
            Self::Credentials { cause, .. } => Some(cause),
            _ => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Unreachable { .. } | Self::Tls { .. } | Self::Status { .. } | Self::BadAnswer { .. } => {
                Kind::Io
            }
            Self::Missing { .. } => Kind::NotFound,
            Self::Denied { .. } => Kind::PermissionDenied,
            Self::Busy { .. } => Kind::Busy,
            Self::Setting { .. } => Kind::InvalidInput,
            Self::Stopped { .. } => Kind::StateConflict,
            Self::Conf(cause) => cause.kind(),
            Self::Blocked(cause) => cause.kind(),
            Self::Short(cause) => cause.kind(),
            Self::Lock(cause) => cause.kind(),
            Self::Credentials { cause, .. } => cause.kind(),
        }
    }

    fn hint(&self) -> Option<Hint> {
        let text = match self {
            Self::Tls { plain: true, host, .. } => {
                format!(
                    "it speaks plain HTTP: `--tls-verify=false` permits that, or `insecure = true` for {host} in registries.conf"
                )
            }
            Self::Tls { host, .. } => {
                format!(
                    "put the certificate of its authority into /etc/containers/certs.d/{host}/ca.crt, or give --tls-verify=false"
                )
            }
            Self::Denied { note: Some(note), .. } => note.clone(),
            Self::Denied { known: false, host, .. } => {
                format!(
                    "`holm login {host}` if it wants to know who you are; a repository that does not exist looks the same"
                )
            }
            Self::Denied { known: true, host, .. } => {
                format!(
                    "the credentials for {host} are wrong, or do not permit this; `holm login {host}` gives others"
                )
            }
            Self::Missing { .. } => "is the name spelled right, and does the tag exist?".to_owned(),
            Self::Busy { .. } => "many registries permit more to users that are logged in".to_owned(),
            Self::Unreachable { .. } => {
                "is the name right, and does a proxy stand in between (HTTPS_PROXY, NO_PROXY)?".to_owned()
            }
            Self::Blocked(cause) => return cause.hint(),
            Self::Short(cause) => return cause.hint(),
            Self::Lock(cause) => return cause.hint(),
            _ => return None,
        };
        Some(Hint::new(text))
    }
}

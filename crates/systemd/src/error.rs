//! What can go wrong between us and systemd.

use report::{Explain, Hint, Kind};
use sys::SyscallError;

use crate::Bus;

/// systemd did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No bus could be reached.
    #[error("reach systemd over the {bus}")]
    Unreachable {
        /// Which one.
        bus: Bus,
        /// The last attempt's failure; `None` if there was nowhere to try.
        #[source]
        cause: Option<SyscallError>,
    },
    /// The bus did not let us in.
    #[error("the {bus} refused to talk to user {uid}: {answer}")]
    Refused {
        /// Which one.
        bus: Bus,
        /// This process's user.
        uid: u32,
        /// What it said.
        answer: String,
    },
    /// The connection failed.
    #[error("{what}")]
    Broken {
        /// While doing what.
        what: String,
        /// Why.
        #[source]
        cause: SyscallError,
    },
    /// There was no answer in time.
    #[error("{what}: no answer for {seconds} s")]
    Late {
        /// While doing what.
        what: String,
        /// How long we waited.
        seconds: u64,
    },
    /// What came is not D-Bus, or not what was asked for.
    #[error("{what}: the answer cannot be understood: {why}")]
    Malformed {
        /// While doing what.
        what: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// systemd answered with an error.
    #[error("{what}: {message} ({name})")]
    Answer {
        /// While doing what.
        what: String,
        /// The error's name, such as `org.freedesktop.systemd1.UnitExists`.
        name: String,
        /// Its message for people.
        message: String,
    },
    /// The job that starts or stops a unit did not succeed.
    #[error("{what}: the job ended as `{result}`")]
    Job {
        /// While doing what.
        what: String,
        /// `failed`, `canceled`, `timeout`, `dependency` or `skipped`.
        result: String,
    },
    /// A name or property that systemd would not take.
    #[error("{subject}: {why}")]
    Invalid {
        /// Which.
        subject: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Error {
    pub(crate) fn invalid(subject: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Invalid { subject: subject.into(), why: why.into() }
    }

    /// Whether systemd knows no such unit.
    pub fn is_no_such_unit(&self) -> bool {
        matches!(self, Self::Answer { name, .. } if name == "org.freedesktop.systemd1.NoSuchUnit")
    }

    /// Whether a unit of that name is there already.
    pub fn is_unit_exists(&self) -> bool {
        matches!(self, Self::Answer { name, .. } if name == "org.freedesktop.systemd1.UnitExists")
    }
}

impl Explain for Error {
    fn below(&self) -> Option<&dyn Explain> {
        match self {
            Self::Unreachable { cause, .. } => cause.as_ref().map(|cause| cause as &dyn Explain),
            Self::Broken { cause, .. } => Some(cause),
            _ => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Unreachable { .. } => Kind::Unsupported,
            Self::Refused { .. } => Kind::PermissionDenied,
            Self::Broken { cause, .. } => cause.kind(),
            Self::Late { .. } | Self::Malformed { .. } => Kind::Io,
            Self::Invalid { .. } => Kind::InvalidInput,
            Self::Job { .. } => Kind::StateConflict,
            Self::Answer { name, .. } => match name.rsplit('.').next() {
                Some("UnitExists") => Kind::AlreadyExists,
                Some("NoSuchUnit") => Kind::NotFound,
                Some("AccessDenied" | "InteractiveAuthorizationRequired") => Kind::PermissionDenied,
                Some("InvalidArgs" | "PropertyReadOnly" | "UnknownProperty") => Kind::InvalidInput,
                Some("ServiceUnknown" | "NameHasNoOwner") => Kind::Unsupported,
                _ => Kind::StateConflict,
            },
        }
    }

    fn hint(&self) -> Option<Hint> {
        let text = match self {
            Self::Unreachable { bus: Bus::System, .. } => {
                "systemd has to be process 1 here and dbus.socket active; without it leave --systemd-cgroup out"
            }
            Self::Unreachable { bus: Bus::User, .. } => {
                "log in with a session, or `loginctl enable-linger USER`, and set XDG_RUNTIME_DIR (the package is dbus-user-session); \
                 without it leave --systemd-cgroup out"
            }
            Self::Answer { name, .. } if name.ends_with(".UnitExists") => {
                "another container has this name; look with `systemctl status UNIT`, and let it go with `systemctl stop UNIT`"
            }
            Self::Answer { name, .. }
                if name.ends_with(".AccessDenied") || name.ends_with("AuthorizationRequired") =>
            {
                "only root may ask the system's systemd; others have one of their own on their session bus"
            }
            Self::Answer { name, .. } if name.ends_with(".PropertyReadOnly") => {
                "this systemd is older than the property; leave it out or update systemd"
            }
            Self::Answer { name, .. } if name.ends_with(".ServiceUnknown") => {
                "the bus is there, but systemd is not on it: it has to be process 1, or the user's manager running"
            }
            Self::Job { .. } => "look with `journalctl -u UNIT`",
            _ => return None,
        };
        Some(Hint::new(text))
    }
}

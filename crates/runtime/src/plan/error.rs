//! What a plan cannot give on this host.

use report::{Explain, Hint, Kind};

/// A launch that cannot be planned. Nothing was touched.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The host lacks something.
    #[error("{what}: {why}")]
    Unsupported {
        /// What was asked for.
        what: String,
        /// What is missing.
        why: String,
        /// What to do, where that is known.
        hint: Option<&'static str>,
    },
    /// The request contradicts itself.
    #[error("{what}: {why}")]
    Invalid {
        /// What was asked for.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A limit cannot be held.
    #[error("limit the container's resources")]
    Limit(#[source] cgroups::Refused),
    /// A unit of systemd cannot be what is asked for.
    #[error(transparent)]
    Unit(crate::unit::UnitError),
    /// A mount option has no place where it is.
    #[error("mount on {destination}")]
    Option {
        /// The mount.
        destination: String,
        /// What is wrong.
        #[source]
        cause: spec::mount_options::OptionRefused,
    },
    /// The seccomp profile cannot be compiled.
    #[error("compile the seccomp profile")]
    Filter(report::BoxedExplain),
    /// The plan does not fit.
    #[error("plan the launch")]
    TooLarge(#[source] init::program::TooLarge),
}

impl PlanError {
    pub(crate) fn unsupported(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into(), why: why.into(), hint: None }
    }

    pub(crate) fn invalid(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), why: why.into() }
    }

    pub(crate) fn with_hint(self, hint: &'static str) -> Self {
        match self {
            Self::Unsupported { what, why, .. } => Self::Unsupported { what, why, hint: Some(hint) },
            other => other,
        }
    }
}

impl Explain for PlanError {
    fn below(&self) -> Option<&dyn Explain> {
        match self {
            Self::Limit(cause) => Some(cause),
            Self::Unit(cause) => cause.below(),
            Self::Option { cause, .. } => Some(cause),
            Self::Filter(cause) => Some(&**cause),
            _ => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Unsupported { .. } => Kind::Unsupported,
            Self::Invalid { .. } => Kind::InvalidInput,
            Self::TooLarge(_) => Kind::ResourceExhausted,
            Self::Unit(cause) => cause.kind(),
            Self::Limit(_) | Self::Option { .. } | Self::Filter(_) => {
                self.below().map_or(Kind::Internal, Explain::kind)
            }
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Unsupported { hint, .. } => hint.map(Hint::new),
            _ => None,
        }
    }
}

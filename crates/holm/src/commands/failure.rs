//! One error type for commands that use several libraries: `?` takes any of theirs.

use report::BoxedExplain;

/// Any failure of a command.
#[derive(Debug)]
pub struct Failure(pub BoxedExplain);

impl From<BoxedExplain> for Failure {
    fn from(error: BoxedExplain) -> Self {
        Self(error)
    }
}

// A blanket implementation would overlap with the one above.
macro_rules! from {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self(Box::new(error))
            }
        })*
    };
}

from!(
    cgroups::Error,
    cgroups::Refused,
    cgroups::private::MountFailed,
    namespaces::Error,
    network::Error,
    super::accounts::UnknownName,
    sys::SyscallError,
);
